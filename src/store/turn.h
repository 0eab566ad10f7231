/*
 * turn.h - domains we are backup MX of.
 */
#ifndef STORE_TURN_H
#define STORE_TURN_H

#include "base/settings.h"

/*
 * Is it one of the setting smtp.backup_domains? A word there that begins
 * with a dot means every domain below it.
 */
bool backup_domain(const struct settings *, struct span domain);

#endif

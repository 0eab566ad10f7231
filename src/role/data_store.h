/*
 * data_store.h - the store below a data directory.
 *
 * For the store role, and for a command that works while no server runs
 * (having locked the directory: datadir.h).
 */
#ifndef ROLE_DATA_STORE_H
#define ROLE_DATA_STORE_H

#include "base/base.h"
#include "base/settings.h"
#include "base/text.h"
#include "store/store.h"

/*
 * directory: DATA/store ("." for the role, which stands there). The settings
 * and the string are the caller's, and stay. NULL: *why.
 */
struct store *data_store_open(const char *directory, const struct settings *,
    const uint8_t grant_key[32], struct text *why);
/* Everything on disk, everything closed. */
void data_store_close(struct store **);

#endif

/*
 * smtp_known.h - recipients that were there a moment ago.
 *
 * Most mail of a busy moment goes to few addresses. Who was found by the store
 * is not asked for again for KNOWN_MS; who was not, always is. The store
 * resolves every recipient once more when it takes the message, so a stale
 * answer costs a refusal after DATA instead of at RCPT, and nothing else.
 */
#ifndef SMTP_SMTP_KNOWN_H
#define SMTP_SMTP_KNOWN_H

#include "base/base.h"

enum { KNOWN_MS = 2000 };

bool smtp_known(struct span address);
void smtp_know(struct span address);	/* the store found it just now */
void smtp_know_nobody(void);		/* for tests */

#endif

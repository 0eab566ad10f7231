/*
 * smtp_rate.h - how much of something one party did in the last minute.
 *
 * Token buckets: who may do n things in a minute has room for n at once, and
 * gets them back evenly. Each process counts alone. Memory is bounded: of
 * very many parties those that were quiet longest are forgotten, as if they
 * had done nothing. Pure but for its table.
 */
#ifndef SMTP_SMTP_RATE_H
#define SMTP_SMTP_RATE_H

#include "base/base.h"
#include "base/clock.h"

enum smtp_rate {
	RATE_CONNECTIONS, RATE_MESSAGES, RATE_RECIPIENTS, RATE_ERRORS,
};

/* true: there was room for one more, and it is taken. A limit of 0 is none. */
bool smtp_rate_take(enum smtp_rate, struct span who, uint64_t per_minute,
    monotime_t now);
/* Is there room? Takes nothing. */
bool smtp_rate_has(enum smtp_rate, struct span who, uint64_t per_minute,
    monotime_t now);
void smtp_rate_forget_all(void);	/* for tests */

#endif

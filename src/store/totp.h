/*
 * totp.h - codes of six digits that change every half minute (RFC 6238, over
 * HMAC-SHA-1, which is what programs for them have in common). Pure.
 */
#ifndef STORE_TOTP_H
#define STORE_TOTP_H

#include "base/base.h"
#include "base/text.h"

enum { TOTP_SECRET = 20, TOTP_STEP = 30 };	/* bytes, seconds */

/* The code of a step (seconds since 1970 / TOTP_STEP). */
uint32_t totp_code(const uint8_t secret[TOTP_SECRET], uint64_t step);
/*
 * Is it the code of now, or of the step before or behind? The step, 0: no.
 */
uint64_t totp_check(const uint8_t secret[TOTP_SECRET], struct span code,
    int64_t now);
/* base32 (RFC 4648 6), as the programs want the secret. */
void base32_add(struct text *, struct span);

#endif

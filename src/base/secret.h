/*
 * secret.h - what secrets need: equal time, wiping, randomness.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/base.h"

/* Time depends on the lengths alone. */
bool secret_equal(struct span, struct span);
/* Overwrite so that no compiler drops it. */
void secret_wipe(void *p, size_t n);
/* From the kernel; ends the process should that ever fail. */
void random_bytes(void *p, size_t n);
uint64_t random_u64(void);
uint32_t random_below(uint32_t n);	/* uniform in [0, n), n > 0 */

/* Lower-case hexadecimal; out has room for 2 * n + 1, NUL-terminated. */
void hex_of(char *out, const void *p, size_t n);
int  hex_digit(char c);	/* 0 to 15, in either case; -1: no digit */
/* 1 done, 0 not 2 * n hex digits. */
int  hex_to(void *p, size_t n, struct span hex);

#endif

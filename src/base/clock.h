/*
 * clock.h - the two clocks, with a seam for tests.
 *
 * monotime_t never goes back and means nothing outside this boot: deadlines
 * and durations. walltime_t is UTC: what people and messages see.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

typedef struct { int64_t ms; } monotime_t;	/* milliseconds */
typedef int64_t walltime_t;			/* microseconds since 1970 UTC */

#define MONOTIME_NEVER ((monotime_t){ INT64_MAX })

monotime_t clock_mono(void);
walltime_t clock_wall(void);
int64_t    clock_wall_seconds(void);		/* seconds since 1970 UTC */

/* now + ms, clamped to MONOTIME_NEVER; ms < 0 means never. */
monotime_t clock_after(int64_t ms);
bool    mono_before(monotime_t a, monotime_t b);
int64_t mono_left(monotime_t deadline);		/* ms from now, at least 0 */

/* Tests hold the clocks: both stand still at these until moved. */
void clock_test_set(monotime_t, walltime_t);
void clock_test_clear(void);

#endif

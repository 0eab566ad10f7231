/*
 * clock.c - the two clocks, with a seam for tests.
 */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic bool held;
static _Atomic int64_t held_mono, held_wall;

monotime_t
clock_mono(void)
{
	struct timespec ts;

	if (atomic_load_explicit(&held, memory_order_relaxed))
		return (monotime_t){ atomic_load(&held_mono) };
	must(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	return (monotime_t){ (int64_t)ts.tv_sec * 1000 +
	    ts.tv_nsec / 1000000 };
}

walltime_t
clock_wall(void)
{
	struct timespec ts;

	if (atomic_load_explicit(&held, memory_order_relaxed))
		return atomic_load(&held_wall);
	must(clock_gettime(CLOCK_REALTIME, &ts) == 0);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_wall_seconds(void)
{
	return clock_wall() / 1000000;
}

monotime_t
clock_after(int64_t ms)
{
	int64_t now;

	if (ms < 0)
		return MONOTIME_NEVER;
	now = clock_mono().ms;
	return ms > INT64_MAX - now ? MONOTIME_NEVER : (monotime_t){ now + ms };
}

bool
mono_before(monotime_t a, monotime_t b)
{
	return a.ms < b.ms;
}

int64_t
mono_left(monotime_t deadline)
{
	int64_t now;

	if (deadline.ms == INT64_MAX)
		return INT64_MAX;
	now = clock_mono().ms;
	return deadline.ms > now ? deadline.ms - now : 0;
}

void
clock_test_set(monotime_t mono, walltime_t wall)
{
	atomic_store(&held_mono, mono.ms);
	atomic_store(&held_wall, wall);
	atomic_store(&held, true);
}

void
clock_test_clear(void)
{
	atomic_store(&held, false);
}

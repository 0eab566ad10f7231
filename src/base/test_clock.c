/* test_clock.c - the two clocks. */
#include "base/clock.h"

#include <setjmp.h>
#include <time.h>

#include <cmocka.h>

static void
held_clocks_stand_still(void **state)
{
	(void)state;
	clock_test_set((monotime_t){ 1000 }, 5000000);
	assert_int_equal(clock_mono().ms, 1000);
	assert_int_equal(clock_wall(), 5000000);
	assert_int_equal(clock_wall_seconds(), 5);
	assert_int_equal(clock_after(500).ms, 1500);
	assert_int_equal(mono_left((monotime_t){ 1500 }), 500);
	assert_int_equal(mono_left((monotime_t){ 900 }), 0);
	clock_test_clear();
}

static void
never_is_never(void **state)
{
	(void)state;
	assert_true(clock_after(-1).ms == INT64_MAX);
	assert_true(clock_after(INT64_MAX).ms == INT64_MAX);
	assert_true(mono_left(MONOTIME_NEVER) == INT64_MAX);
	assert_true(mono_before(clock_mono(), MONOTIME_NEVER));
	assert_false(mono_before(MONOTIME_NEVER, MONOTIME_NEVER));
}

static void
the_real_clocks_agree_with_libc(void **state)
{
	monotime_t before = clock_mono();
	time_t a = time(NULL);
	int64_t b = clock_wall_seconds();

	(void)state;
	assert_true(b >= a && b <= time(NULL) + 1);
	assert_false(mono_before(clock_mono(), before));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(held_clocks_stand_still),
		cmocka_unit_test(never_is_never),
		cmocka_unit_test(the_real_clocks_agree_with_libc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

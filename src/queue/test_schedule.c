/*
 * test_schedule.c - due in order, removed from anywhere; the back-off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "queue/schedule.h"

enum { MANY = 500 };

static void
test_order(void **state)
{
	struct schedule s = { 0 };
	struct schedule_item items[MANY] = { 0 };
	struct schedule_item *item;
	int64_t last = -1;
	size_t taken = 0;

	(void)state;
	assert_int_equal(schedule_next_due(&s), INT64_MAX);
	for (size_t i = 0; i < MANY; i++)
		schedule_add(&s, &items[i], (int64_t)(i * 7919 % MANY));
	for (size_t i = 0; i < MANY; i += 3)
		schedule_remove(&s, &items[i]);
	schedule_remove(&s, &items[0]);		/* not in any more: harmless */
	assert_null(schedule_take(&s, -1));
	while ((item = schedule_take(&s, MANY)) != NULL) {
		assert_true(item->due >= last);
		assert_int_equal((item - items) % 3 != 0, 1);
		assert_int_equal(item->at, 0);
		last = item->due;
		taken++;
	}
	assert_int_equal(taken, MANY - (MANY + 2) / 3);
	schedule_free(&s);
}

static void
test_due(void **state)
{
	struct schedule s = { 0 };
	struct schedule_item a = { 0 }, b = { 0 };

	(void)state;
	schedule_add(&s, &a, 100);
	schedule_add(&s, &b, 50);
	assert_int_equal(schedule_next_due(&s), 50);
	assert_null(schedule_take(&s, 49));
	assert_ptr_equal(schedule_take(&s, 60), &b);
	assert_null(schedule_take(&s, 60));
	assert_ptr_equal(schedule_take(&s, 100), &a);
	schedule_free(&s);
}

static void
test_wait(void **state)
{
	(void)state;
	assert_int_equal(schedule_wait(1, 60, 3600, 0), 60);
	assert_int_equal(schedule_wait(2, 60, 3600, 0), 120);
	assert_int_equal(schedule_wait(4, 60, 3600, 0), 480);
	assert_int_equal(schedule_wait(7, 60, 3600, 0), 3600);
	assert_int_equal(schedule_wait(UINT32_MAX, 60, 3600, 0), 3600);
	assert_int_equal(schedule_wait(1, 0, 0, 12345), 1);
	for (uint32_t r = 0; r < 4000; r++) {
		int64_t wait = schedule_wait(3, 60, 3600, r * 2654435761u);

		assert_true(wait > 240 - 61 && wait <= 240);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

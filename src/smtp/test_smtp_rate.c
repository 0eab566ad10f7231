/* test_smtp_rate.c - how much of something in a minute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "smtp/smtp_rate.h"

static bool
take(const char *who, uint64_t limit, int64_t ms)
{
	return smtp_rate_take(RATE_MESSAGES, span_str(who), limit,
	    (monotime_t){ ms });
}

static void
test_bucket(void **state)
{
	(void)state;
	smtp_rate_forget_all();
	for (int i = 0; i < 3; i++)
		assert_true(take("a", 3, 1000));
	assert_false(take("a", 3, 1000));
	assert_true(take("b", 3, 1000));
	assert_true(smtp_rate_take(RATE_ERRORS, SPAN("a"), 3,
	    (monotime_t){ 1000 }));
	assert_false(take("a", 3, 20999));
	assert_true(take("a", 3, 21000));	/* a third of a minute */
	assert_false(take("a", 3, 21000));
	/* However long it was quiet, there is no more than a minute's. */
	for (int i = 0; i < 3; i++)
		assert_true(take("a", 3, 10000000));
	assert_false(take("a", 3, 10000000));
	assert_false(smtp_rate_has(RATE_MESSAGES, SPAN("a"), 3,
	    (monotime_t){ 10000000 }));
	for (int i = 0; i < 1000; i++)
		assert_true(take("a", 0, 10000000));
	assert_true(take("a", 100, 10000000));	/* a reload gave more */
}

/* Many others do not make it forget who is busy. */
static void
test_many(void **state)
{
	char who[32];

	(void)state;
	smtp_rate_forget_all();
	for (int i = 0; i < 5; i++)
		assert_true(take("busy", 5, 1000));
	for (int i = 0; i < 100000; i++) {
		snprintf(who, sizeof(who), "other %d", i);
		assert_true(take(who, 5, 1000));
		if (i % 100 == 0)
			(void)take("busy", 5, 1000 + i / 100000);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bucket),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

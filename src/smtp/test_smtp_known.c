/* test_smtp_known.c - what is known, for how long, and of whom never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "smtp/smtp_known.h"

static void
for_a_moment(void **state)
{
	struct span ann = SPAN("ann@example.test");

	(void)state;
	clock_test_set((monotime_t){ 1000 }, 0);
	smtp_know_nobody();
	assert_false(smtp_known(ann));
	assert_false(smtp_known(SPAN_EMPTY));
	smtp_know(ann);
	assert_true(smtp_known(ann));
	assert_false(smtp_known(SPAN("ann@example.tes")));
	assert_false(smtp_known(SPAN("Ann@example.test")));
	clock_test_set((monotime_t){ 1000 + KNOWN_MS - 1 }, 0);
	assert_true(smtp_known(ann));
	clock_test_set((monotime_t){ 1000 + KNOWN_MS }, 0);
	assert_false(smtp_known(ann));
	clock_test_clear();
}

/* More than there is room for: some are forgotten, none is mistaken. */
static void
many(void **state)
{
	char address[64];
	size_t known = 0;

	(void)state;
	clock_test_set((monotime_t){ 1000 }, 0);
	smtp_know_nobody();
	for (int i = 0; i < 5000; i += 2) {
		int n = snprintf(address, sizeof(address), "u%d@x.test", i);

		smtp_know(span_of(address, (size_t)n));
	}
	for (int i = 0; i < 5000; i++) {
		int n = snprintf(address, sizeof(address), "u%d@x.test", i);
		bool is = smtp_known(span_of(address, (size_t)n));

		known += is;
		assert_false(is && i % 2 != 0);
	}
	assert_in_range(known, 500, 1024);
	clock_test_clear();
}

static void
too_long(void **state)
{
	char address[200];

	(void)state;
	memset(address, 'a', sizeof(address));
	smtp_know_nobody();
	smtp_know(span_of(address, sizeof(address)));
	assert_false(smtp_known(span_of(address, sizeof(address))));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(for_a_moment),
		cmocka_unit_test(many),
		cmocka_unit_test(too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

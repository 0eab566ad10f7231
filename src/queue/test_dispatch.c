/* test_dispatch.c - who goes next, on a clock of the test's own. */
#include "queue/dispatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct dispatch_limits usual = { .window_first = 2,
    .window_max = 20, .retry_first = 60000, .retry_longest = 3600000 };

static void
first_in_first_out(void **state)
{
	struct dispatch *d = dispatch_new();
	struct dispatch_item items[3] = { 0 }, *out[4];
	struct destination *at = NULL;
	monotime_t now = { 1 }, wake;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		dispatch_add(d, &items[i], SPAN("example.org"), &usual, 1, 0);
	assert_int_equal(dispatch_take(d, SPAN_EMPTY, now, out, 4, &at, &wake),
	    2);
	assert_ptr_equal(out[0], &items[0]);
	assert_ptr_equal(out[1], &items[1]);
	assert_int_equal(dispatch_take(d, SPAN_EMPTY, now, out, 4, &at, &wake),
	    0);
	dispatch_done(d, at, 2, DESTINATION_FINE, SPAN_EMPTY, now);
	assert_int_equal(dispatch_take(d, SPAN_EMPTY, now, out, 4, &at, &wake),
	    1);
	assert_ptr_equal(out[0], &items[2]);
	dispatch_free(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_in_first_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

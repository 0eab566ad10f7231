/* test_text.c - a growing run of bytes with a limit. */
#include "base/text.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static void
building(void **state)
{
	struct text t = TEXT_INIT(0);

	(void)state;
	text_str(&t, "250-");
	text_add(&t, SPAN("SIZE"));
	text_char(&t, ' ');
	text_u64(&t, UINT64_MAX);
	text_char(&t, ' ');
	text_u64(&t, 0);
	text_printf(&t, " %s=%d", "x", -3);
	text_str(&t, NULL);
	assert_true(span_is(text_span(&t),
	    "250-SIZE 18446744073709551615 0 x=-3"));
	text_clear(&t);
	assert_int_equal(text_span(&t).n, 0);
	for (int i = 0; i < 100000; i++)
		text_char(&t, (char)i);
	assert_int_equal(t.n, 100000);
	assert_int_equal(t.p[99999], (char)99999);
	text_free(&t);
	assert_null(t.p);
	assert_false(text_full(&t));
}

static void
additions_beyond_the_limit_are_dropped_whole(void **state)
{
	struct text t = TEXT_INIT(10);

	(void)state;
	text_str(&t, "12345");
	text_str(&t, "678901");
	assert_true(text_full(&t));
	assert_true(span_is(text_span(&t), "12345"));
	text_printf(&t, "%05d", 7);
	assert_true(span_is(text_span(&t), "1234500007"));
	text_char(&t, 'x');
	assert_int_equal(t.n, 10);
	assert_null(text_room(&t, SIZE_MAX));
	text_clear(&t);
	assert_false(text_full(&t));
	text_printf(&t, "%300d", 1);
	assert_true(text_full(&t));
	assert_int_equal(t.n, 0);
	text_wipe(&t);
	assert_int_equal(t.limit, 10);
}

static void
room_is_written_by_the_caller(void **state)
{
	struct text t = TEXT_INIT(300);
	char *p = text_room(&t, 300);

	(void)state;
	assert_non_null(p);
	memcpy(p, "abc", 3);
	text_grew(&t, 3);
	assert_true(span_is(text_span(&t), "abc"));
	text_printf(&t, "%297s", "x");
	assert_int_equal(t.n, 300);
	assert_false(text_full(&t));
	text_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(building),
		cmocka_unit_test(additions_beyond_the_limit_are_dropped_whole),
		cmocka_unit_test(room_is_written_by_the_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_span.c - runs of bytes. */
#include "base/base.h"

#include <setjmp.h>

#include <cmocka.h>

static void
parts_are_clamped(void **state)
{
	struct span s = SPAN("hello");

	(void)state;
	assert_true(span_is(span_sub(s, 1, 3), "ell"));
	assert_true(span_is(span_sub(s, 3, 99), "lo"));
	assert_int_equal(span_sub(s, 9, 2).n, 0);
	assert_int_equal(span_from(SPAN_EMPTY, 4).n, 0);
	assert_int_equal(span_str(NULL).n, 0);
}

static void
comparison(void **state)
{
	(void)state;
	assert_true(span_eq(SPAN("a\0b"), span_of("a\0b", 3)));
	assert_false(span_eq(SPAN("a"), SPAN("A")));
	assert_true(span_eq_nocase(SPAN("EhLo"), SPAN("ehlo")));
	assert_false(span_eq_nocase(SPAN("\xc4"), SPAN("\xe4")));
	assert_true(span_eq(SPAN_EMPTY, SPAN("")));
	assert_true(span_starts(SPAN("BODY[1]"), SPAN("BODY[")));
	assert_true(span_starts_nocase(SPAN("body[1]"), SPAN("BODY[")));
	assert_false(span_starts(SPAN("BO"), SPAN("BODY")));
	assert_true(span_ends(SPAN("a.test"), SPAN(".test")));
	assert_false(span_ends(SPAN("t"), SPAN(".test")));
	assert_true(span_compare(SPAN("a"), SPAN("b")) < 0);
	assert_true(span_compare(SPAN("ab"), SPAN("a")) > 0);
	assert_true(span_compare(SPAN("a\xff"), SPAN("a\x01")) > 0);
	assert_int_equal(span_compare(SPAN_EMPTY, SPAN_EMPTY), 0);
}

static void
finding(void **state)
{
	(void)state;
	assert_int_equal(span_find_char(SPAN("a,b,c"), ',', 2), 3);
	assert_true(span_find_char(SPAN("abc"), 'b', 2) == SIZE_MAX);
	assert_true(span_find_char(SPAN_EMPTY, 'b', 0) == SIZE_MAX);
	assert_int_equal(span_find(SPAN("x\r\n.\r\n"), SPAN("\r\n"), 2), 4);
	assert_true(span_find(SPAN("ab"), SPAN("abc"), 0) == SIZE_MAX);
	assert_int_equal(span_find(SPAN("ab"), SPAN_EMPTY, 2), 2);
	assert_true(span_find(SPAN("ab"), SPAN_EMPTY, 3) == SIZE_MAX);
}

static void
cutting(void **state)
{
	struct span head, rest = SPAN("  MAIL \t FROM:<a>  ");

	(void)state;
	assert_true(span_is(span_cut(SPAN("k=v=w"), '=', &head), "v=w"));
	assert_true(span_is(head, "k"));
	assert_int_equal(span_cut(SPAN("kv"), '=', &head).n, 0);
	assert_true(span_is(head, "kv"));
	assert_true(span_is(span_trim(SPAN(" \ta b\t ")), "a b"));
	assert_int_equal(span_trim(SPAN(" \t ")).n, 0);
	assert_true(span_is(span_chomp(SPAN("a\r\n")), "a"));
	assert_true(span_is(span_chomp(SPAN("a\n")), "a"));
	assert_true(span_is(span_chomp(SPAN("a\n\n")), "a\n"));
	assert_true(span_is(span_word(&rest), "MAIL"));
	assert_true(span_is(span_word(&rest), "FROM:<a>"));
	assert_int_equal(span_word(&rest).n, 0);
}

static void
numbers(void **state)
{
	uint64_t v = 7;
	uint32_t w = 7;

	(void)state;
	assert_int_equal(span_u64(SPAN("18446744073709551615"), &v), 1);
	assert_true(v == UINT64_MAX);
	assert_int_equal(span_u64(SPAN("18446744073709551616"), &v), 0);
	assert_int_equal(span_u64(SPAN("99999999999999999999"), &v), 0);
	assert_int_equal(span_u64(SPAN(""), &v), 0);
	assert_int_equal(span_u64(SPAN("+1"), &v), 0);
	assert_int_equal(span_u64(SPAN("1 "), &v), 0);
	assert_int_equal(span_u32(SPAN("4294967295"), &w), 1);
	assert_true(w == UINT32_MAX);
	assert_int_equal(span_u32(SPAN("4294967296"), &w), 0);
	assert_int_equal(span_u32(SPAN("0007"), &w), 1);
	assert_int_equal(w, 7);
}

static void
ascii_ignores_the_locale(void **state)
{
	(void)state;
	for (int i = -128; i < 128; i++) {
		char c = (char)i;
		bool upper = c >= 'A' && c <= 'Z';
		bool lower = c >= 'a' && c <= 'z';

		assert_int_equal(ascii_is_alpha(c), upper || lower);
		assert_int_equal(ascii_lower(c) != c, upper);
		assert_int_equal(ascii_upper(c) != c, lower);
		assert_int_equal(ascii_is_print(c), i >= 0x20 && i < 0x7f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_clamped),
		cmocka_unit_test(comparison),
		cmocka_unit_test(finding),
		cmocka_unit_test(cutting),
		cmocka_unit_test(numbers),
		cmocka_unit_test(ascii_ignores_the_locale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_charset.c - conversion to UTF-8, on every split, and case folding. */
#include "mail/charset.h"
#include "mail/encode.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
	const char *charset, *in, *want;
} rows[] = {
	{ "utf-8", "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80!",
	    "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80!" },
	{ "UTF-8", "a\xff\xe2\x82z", "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz" },
	{ "us-ascii", "plain", "plain" },
	/* mislabelled: UTF-8 where it is that, else windows-1252 */
	{ "us-ascii", "\xc3\xa9\xe9\x93", "\xc3\xa9\xc3\xa9\xe2\x80\x9c" },
	{ "x-nobody-knows", "\xe2\x82\xac\x80", "\xe2\x82\xac\xe2\x82\xac" },
	{ "", "\xe9", "\xc3\xa9" },
	{ "ISO-8859-1", "caf\xe9", "caf\xc3\xa9" },
	{ "iso-8859-2", "\xb1", "\xc4\x85" },
	{ "iso-8859-15", "\xa4", "\xe2\x82\xac" },
	{ "koi8-r", "\xf0\xd2\xc9", "\xd0\x9f\xd1\x80\xd0\xb8" },
	{ "windows-1252", "\x93q\x94", "\xe2\x80\x9cq\xe2\x80\x9d" },
	{ "shift_jis", "\x83\x65\x83\x58\x83\x67",
	    "\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88" },
	{ "ISO-2022-JP", "\x1b$B%F%9%H\x1b(B!",
	    "\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88!" },
	{ "gb2312", "\xc4\xe3\xba\xc3", "\xe4\xbd\xa0\xe5\xa5\xbd" },
	{ "big5", "\xa7\x41\xa6\x6e", "\xe4\xbd\xa0\xe5\xa5\xbd" },
	{ "ks_c_5601-1987", "\xb0\xa1", "\xea\xb0\x80" },
	{ "utf-7", "A+AOk-", "A\xc3\xa9" },
};

static void
test_rows_every_split(void **state)
{
	struct text t = TEXT_INIT(0);
	struct charset_decoder *d = charset_open(SPAN_EMPTY);
	struct span in;
	size_t i, cut;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		in = span_str(rows[i].in);
		for (cut = 0; cut <= in.n; cut++) {
			text_clear(&t);
			charset_reset(d, span_str(rows[i].charset));
			charset_add(d, span_sub(in, 0, cut), false, &t);
			charset_add(d, span_from(in, cut), true, &t);
			assert_true(span_is(text_span(&t), rows[i].want));
		}
		text_clear(&t);
		charset_reset(d, span_str(rows[i].charset));
		for (cut = 0; cut < in.n; cut++)
			charset_add(d, span_sub(in, cut, 1), false, &t);
		charset_add(d, SPAN_EMPTY, true, &t);
		assert_true(span_is(text_span(&t), rows[i].want));
	}
	charset_close(&d);
	assert_null(d);
	text_free(&t);
}

static void
test_known(void **state)
{
	(void)state;
	assert_true(charset_known(SPAN("utf-8")));
	assert_true(charset_known(SPAN("KOI8-R")));
	assert_true(charset_known(SPAN("windows-1251")));
	assert_true(charset_known(SPAN("iso-8859-8-i")));
	assert_false(charset_known(SPAN("")));
	assert_false(charset_known(SPAN("klingon-1")));
	assert_false(charset_known(SPAN("../../etc/passwd")));
	assert_false(charset_known(SPAN("iso-2022,locale=ja,version=1")));
	assert_false(charset_known(SPAN("utf-8\0x")));
}

static void
test_strict(void **state)
{
	struct text t = TEXT_INIT(0);

	(void)state;
	assert_int_equal(charset_to_utf8_strict(SPAN("koi8-r"), SPAN("\xf0"),
	    &t), 1);
	assert_true(span_is(text_span(&t), "\xd0\x9f"));
	assert_int_equal(charset_to_utf8_strict(SPAN("us-ascii"),
	    SPAN("\xe9"), &t), -1);
	assert_int_equal(charset_to_utf8_strict(SPAN("utf-8"), SPAN("\xe9"),
	    &t), -1);
	assert_int_equal(charset_to_utf8_strict(SPAN("shift_jis"),
	    SPAN("\x83"), &t), -1);
	assert_int_equal(charset_to_utf8_strict(SPAN("nope"), SPAN("a"), &t),
	    0);
	text_free(&t);
}

static void
test_limit_holds(void **state)
{
	struct text t = TEXT_INIT(10);
	char in[1000];

	(void)state;
	memset(in, 0xf0, sizeof(in));
	charset_to_utf8(SPAN("koi8-r"), span_of(in, sizeof(in)), &t);
	assert_true(text_full(&t));
	assert_true(t.n <= 10);
	text_free(&t);
}

static bool
same(const char *a, const char *b)
{
	struct text s = TEXT_INIT(0), t = TEXT_INIT(0);
	bool equal;

	casemap_add(&s, span_str(a));
	casemap_add(&t, span_str(b));
	equal = span_eq(text_span(&s), text_span(&t));
	text_free(&s);
	text_free(&t);
	return equal;
}

static void
test_casemap(void **state)
{
	(void)state;
	assert_true(same("Hello, World", "hELLO, wORLD"));
	assert_true(same("caf\xc3\xa9", "CAF\xc3\x89"));
	/* composed and decomposed are one */
	assert_true(same("caf\xc3\xa9", "Cafe\xcc\x81"));
	assert_true(same("\xd0\x9f\xd1\x80", "\xd0\xbf\xd0\xa0"));
	/* full width, compatibility */
	assert_true(same("\xef\xbc\xa1", "a"));
	assert_true(same("\xcf\x83", "\xce\xa3"));
	assert_false(same("a", "b"));
	assert_false(same("[", "{"));
	assert_false(same("caf\xc3\xa9", "cafe"));
	assert_true(same("\xff", "\xef\xbf\xbd"));
}

/* Every ASCII byte, at every place within eight. */
static void
test_casemap_ascii(void **state)
{
	struct text in = TEXT_INIT(0), out = TEXT_INIT(0);
	size_t i, skip;

	(void)state;
	for (i = 0; i < 1024; i++)
		text_char(&in, (char)(i % 128));
	for (skip = 0; skip < 9; skip++) {
		text_clear(&out);
		casemap_add(&out, span_from(text_span(&in), skip));
		assert_int_equal(out.n, in.n - skip);
		for (i = 0; i < out.n; i++)
			assert_int_equal(out.p[i],
			    ascii_upper(in.p[skip + i]));
	}
	text_free(&in);
	text_free(&out);
}

static void
test_casefold(void **state)
{
	struct text t = TEXT_INIT(0);

	(void)state;
	casefold_add(&t, SPAN("Ann.O'Neil+TAG"));
	assert_true(span_is(text_span(&t), "ann.o'neil+tag"));
	text_clear(&t);
	casefold_add(&t, SPAN("STRA\xc3\x9f" "E\xcc\x81\xff\xf0\x9f\x98\x80"));
	assert_true(span_is(text_span(&t),
	    "strass\xc3\xa9\xef\xbf\xbd\xf0\x9f\x98\x80"));
	text_clear(&t);
	/* the character that grows most, eighteen-fold */
	casefold_add(&t, SPAN("\xef\xb7\xba\xef\xb7\xba"));
	assert_false(text_full(&t));
	assert_true(t.n > 50);
	text_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_every_split),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_limit_holds),
		cmocka_unit_test(test_casemap),
		cmocka_unit_test(test_casemap_ascii),
		cmocka_unit_test(test_casefold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_encode.c - base64, quoted-printable, UTF-8, modified UTF-7. */
#include "mail/encode.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#define assert_text(t, want) \
    assert_true(span_is(text_span(&(t)), (want)))

static void
test_base64_vectors(void **state)
{
	/* RFC 4648 10 */
	static const char *const rows[][2] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
	};
	struct text t = TEXT_INIT(0);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		text_clear(&t);
		base64_add(&t, span_str(rows[i][0]));
		assert_text(t, rows[i][1]);
		text_clear(&t);
		assert_int_equal(base64_decode(span_str(rows[i][1]), &t), 1);
		assert_text(t, rows[i][0]);
	}
	text_free(&t);
}

static void
test_base64_strict(void **state)
{
	static const char *const wrong[] = {
		"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm9v\n", "Zg==Zg==",
		"=Zg=", "Z===", "====", "Zm 9", "Zm9vYg==AAAA",
	};
	struct text t = TEXT_INIT(0);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(wrong); i++) {
		text_clear(&t);
		assert_int_equal(base64_decode(span_str(wrong[i]), &t), 0);
		assert_int_equal(t.n, 0);
	}
	text_free(&t);
}

static void
test_base64_stream_every_split(void **state)
{
	struct span in = SPAN("aGVs\r\nbG8gd29y*bGQ=\r\nIQ==Zm9vYg");
	struct text t = TEXT_INIT(0);
	struct base64_stream s;
	size_t cut;

	(void)state;
	for (cut = 0; cut <= in.n; cut++) {
		text_clear(&t);
		memset(&s, 0, sizeof(s));
		base64_stream_add(&s, span_sub(in, 0, cut), &t);
		base64_stream_add(&s, span_from(in, cut), &t);
		assert_text(t, "hello world!foob");
	}
	text_free(&t);
}

static void
test_base64_lines(void **state)
{
	char zeros[100] = { 0 };
	struct text t = TEXT_INIT(0), back = TEXT_INIT(0);
	struct base64_stream s = { 0, 0 };

	(void)state;
	base64_add_lines(&t, span_of(zeros, sizeof(zeros)));
	assert_int_equal(t.n, 76 + 2 + 60 + 2);
	assert_memory_equal(t.p + 76, "\r\n", 2);
	base64_stream_add(&s, text_span(&t), &back);
	assert_int_equal(back.n, sizeof(zeros));
	assert_memory_equal(back.p, zeros, sizeof(zeros));
	text_free(&t);
	text_free(&back);
}

static void
quoted_check(struct span in, const char *want)
{
	struct text t = TEXT_INIT(0);
	struct quoted_stream s;
	size_t cut;

	for (cut = 0; cut <= in.n; cut++) {
		text_clear(&t);
		memset(&s, 0, sizeof(s));
		quoted_stream_add(&s, span_sub(in, 0, cut), &t);
		quoted_stream_add(&s, span_from(in, cut), &t);
		quoted_stream_end(&s, &t);
		assert_text(t, want);
	}
	text_free(&t);
}

static void
test_quoted_decode(void **state)
{
	(void)state;
	quoted_check(SPAN("a=3Db=C3=a9"), "a=b\xc3\xa9");
	quoted_check(SPAN("soft=\r\nbreak"), "softbreak");
	quoted_check(SPAN("soft= \t\r\nbreak"), "softbreak");
	quoted_check(SPAN("soft=\nbreak ="), "softbreak ");
	quoted_check(SPAN("blanks  \t\r\nend  "), "blanks\r\nend");
	quoted_check(SPAN("blank =\r\nkept"), "blank kept");
	quoted_check(SPAN("a b\tc  d"), "a b\tc  d");
	/* what is broken passes as it is */
	quoted_check(SPAN("=GZ =4 =X= =4x=="), "=GZ =4 =X= =4x=");
	quoted_check(SPAN("==3D"), "==");
	quoted_check(SPAN("=3"), "=3");
}

static void
test_quoted_many_blanks(void **state)
{
	char in[302];
	struct text t = TEXT_INIT(0);
	struct quoted_stream s = { .held_n = 0 };

	(void)state;
	memset(in, ' ', sizeof(in));
	in[300] = 'x';
	quoted_stream_add(&s, span_of(in, 301), &t);
	quoted_stream_end(&s, &t);
	assert_int_equal(t.n, 301);
	text_free(&t);
}

static void
test_quoted_encode(void **state)
{
	struct text t = TEXT_INIT(0), back = TEXT_INIT(0);
	struct quoted_stream s = { .held_n = 0 };
	char all[512];
	size_t i, at, next;

	(void)state;
	quoted_add(&t, SPAN("a=b \nc\t\r\n\xe9 d"));
	assert_text(t, "a=3Db=20\r\nc=09\r\n=E9 d");
	text_clear(&t);
	for (i = 0; i < sizeof(all); i++)
		all[i] = (char)(i == '\n' || i == 256 + '\n' ? 'x' : i);
	quoted_add(&t, span_of(all, sizeof(all)));
	for (at = 0; at < t.n; at = next + 2) {
		next = span_find(text_span(&t), SPAN("\r\n"), at);
		if (next == SIZE_MAX)
			next = t.n;
		assert_true(next - at <= 76);
	}
	quoted_stream_add(&s, text_span(&t), &back);
	quoted_stream_end(&s, &back);
	assert_int_equal(back.n, sizeof(all));
	assert_memory_equal(back.p, all, sizeof(all));
	text_free(&t);
	text_free(&back);
}

static void
test_utf8_valid(void **state)
{
	static const char *const good[] = {
		"", "plain ascii, longer than eight", "\xc3\xa9",
		"\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf",
		"\xed\x9f\xbf", "\xee\x80\x80",
	};
	static const char *const wrong[] = {
		"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xc3",
		"\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", "\xff", "abcdefgh\xe2\x82",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(good); i++)
		assert_true(utf8_valid(span_str(good[i])));
	for (i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(utf8_valid(span_str(wrong[i])));
}

static void
test_utf8_round(void **state)
{
	struct text t = TEXT_INIT(0);
	int32_t code;
	size_t at;

	(void)state;
	for (code = 0; code < 0x110000; code += 37) {
		if (code >= 0xd800 && code < 0xe000)
			continue;
		text_clear(&t);
		utf8_add(&t, code);
		at = 0;
		assert_int_equal(utf8_next(text_span(&t), &at), code);
		assert_int_equal(at, t.n);
	}
	text_free(&t);
}

static void
test_utf8_clip_and_scrub(void **state)
{
	struct text t = TEXT_INIT(0);
	struct span s = SPAN("a\xe2\x82\xac" "b");

	(void)state;
	assert_int_equal(utf8_clip(s, 1).n, 1);
	assert_int_equal(utf8_clip(s, 2).n, 1);
	assert_int_equal(utf8_clip(s, 3).n, 1);
	assert_int_equal(utf8_clip(s, 4).n, 4);
	assert_int_equal(utf8_clip(s, 99).n, 5);
	assert_int_equal(utf8_count(s), 3);
	utf8_add_scrubbed(&t, SPAN("a\xff" "b\xc3"));
	assert_text(t, "a\xef\xbf\xbd" "b\xef\xbf\xbd");
	text_clear(&t);
	utf8_add_scrubbed(&t, s);
	assert_true(span_eq(text_span(&t), s));
	text_free(&t);
}

static void
test_utf7(void **state)
{
	static const char *const rows[][2] = {
		{ "INBOX", "INBOX" }, { "A&-B", "A&B" },
		/* RFC 3501 5.1.3 */
		{ "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
		    "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/"
		    "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e" },
		{ "Entw&APw-rfe", "Entw\xc3\xbcrfe" },
		{ "&2D3eAA-", "\xf0\x9f\x98\x80" },
		{ "&AOk-&-", "\xc3\xa9&" },
		{ "&AAEAfw-", "\x01\x7f" },
	};
	struct text t = TEXT_INIT(0);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		text_clear(&t);
		assert_int_equal(utf7_decode(span_str(rows[i][0]), &t), 1);
		assert_text(t, rows[i][1]);
		text_clear(&t);
		assert_int_equal(utf7_encode(span_str(rows[i][1]), &t), 1);
		assert_text(t, rows[i][0]);
	}
	text_free(&t);
}

static void
test_utf7_strict(void **state)
{
	static const char *const wrong[] = {
		"&", "&AOk", "&AGE-", "&AOk-&AOk-", "&AOl-", "&AOkA-",
		"\xc3\xa9", "&AOk/-", "&A-", "&2D0-", "&3gA-", "&2D3YPQ-",
		"a\nb", "&AOk=-", "&Jjo!", "&U,BTFw-&ZeVnLIqe-", "&AOkAYQ-",
	};
	struct text t = TEXT_INIT(0);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(wrong); i++) {
		text_clear(&t);
		assert_int_equal(utf7_decode(span_str(wrong[i]), &t), 0);
	}
	assert_int_equal(utf7_encode(SPAN("a\xff"), &t), 0);
	assert_int_equal(utf7_encode(SPAN("\xc3\xa9\xff"), &t), 0);
	text_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64_vectors),
		cmocka_unit_test(test_base64_strict),
		cmocka_unit_test(test_base64_stream_every_split),
		cmocka_unit_test(test_base64_lines),
		cmocka_unit_test(test_quoted_decode),
		cmocka_unit_test(test_quoted_many_blanks),
		cmocka_unit_test(test_quoted_encode),
		cmocka_unit_test(test_utf8_valid),
		cmocka_unit_test(test_utf8_round),
		cmocka_unit_test(test_utf8_clip_and_scrub),
		cmocka_unit_test(test_utf7),
		cmocka_unit_test(test_utf7_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

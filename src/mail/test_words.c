/* test_words.c - encoded words and parameters, with the RFCs' examples. */
#include "mail/encode.h"
#include "mail/words.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static void
decodes(const char *in, const char *want)
{
	struct text t = TEXT_INIT(0);

	words_decode(span_str(in), &t);
	if (!span_is(text_span(&t), want))
		print_error("%s -> %.*s\n", in, SPAN_ARG(text_span(&t)));
	assert_true(span_is(text_span(&t), want));
	text_free(&t);
}

static void
test_decode_rfc2047(void **state)
{
	(void)state;
	/* RFC 2047 8 */
	decodes("=?ISO-8859-1?Q?Andr=E9?= Pirard", "Andr\xc3\xa9 Pirard");
	decodes("=?ISO-8859-1?Q?a?=", "a");
	decodes("=?ISO-8859-1?Q?a?= b", "a b");
	decodes("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab");
	decodes("=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab");
	decodes("=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=", "ab");
	decodes("=?ISO-8859-1?Q?a_b?=", "a b");
	decodes("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b");
	decodes("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
	    " =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
	    "If you can read this you understand the example.");
	/* RFC 2231 5: a language */
	decodes("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore");
}

static void
test_decode_more(void **state)
{
	(void)state;
	decodes("", "");
	decodes("plain\r\n folded", "plain folded");
	decodes("a =?utf-8?q?=c3=a9?= b", "a \xc3\xa9 b");
	/* a character cut between two words */
	decodes("=?utf-8?q?=c3?= =?utf-8?q?=a9?=", "\xc3\xa9");
	decodes("=?UTF-8?B?4oI=?=\r\n =?utf-8?B?rA==?=", "\xe2\x82\xac");
	/* not delimited, and 8-bit as it comes */
	decodes("x=?utf-8?q?y?=z", "xyz");
	decodes("caf\xc3\xa9 caf\xe9", "caf\xc3\xa9 caf\xc3\xa9");
	/* broken words pass as they are */
	decodes("=?utf-8?q?never ends", "=?utf-8?q?never ends");
	decodes("=?utf-8?x?abc?=", "=?utf-8?x?abc?=");
	decodes("=??q?abc?=", "=??q?abc?=");
	decodes("=?utf-8?q?abc?", "=?utf-8?q?abc?");
	decodes("=?=?=?=?utf-8?q?ok?=", "=?=?=?ok");
	decodes("=?utf-8?q?a=?=", "a=");
	decodes("=?nobody-knows?q?a=E9?=", "a\xc3\xa9");
	decodes("=?utf-8?q?with blank inside?=", "with blank inside");
	decodes("=?utf-8?q?" "?= x", " x");
}

static void
test_decode_hostile(void **state)
{
	size_t i, n = 300000;
	char *p = xmalloc(n);
	struct text t = TEXT_INIT(0);

	(void)state;
	for (i = 0; i + 1 < n; i += 2)
		memcpy(p + i, "=?", 2);
	words_decode(span_of(p, n), &t);
	assert_int_equal(t.n, n);
	text_clear(&t);
	memset(p, 'a', n);
	for (i = 0; i + 8 < n; i += 8)
		memcpy(p + i, "=?x?q?aa", 8);
	words_decode(span_of(p, n), &t);
	assert_int_equal(t.n, n);
	text_free(&t);
	free(p);
}

static void
encodes(const char *in, const char *want)
{
	struct text t = TEXT_INIT(0), back = TEXT_INIT(0);

	words_encode(span_str(in), &t);
	if (want != NULL && !span_is(text_span(&t), want))
		print_error("%s -> %.*s\n", in, SPAN_ARG(text_span(&t)));
	assert_true(want == NULL || span_is(text_span(&t), want));
	assert_true(utf8_is_ascii(text_span(&t)));
	words_decode(text_span(&t), &back);
	if (utf8_valid(span_str(in)))
		assert_true(span_is(text_span(&back), in));
	text_free(&t);
	text_free(&back);
}

static void
test_encode(void **state)
{
	(void)state;
	encodes("plain =?x", "plain =?x");
	encodes("caf\xc3\xa9", "=?UTF-8?Q?caf=C3=A9?=");
	encodes("Der K\xc3\xb6nig ist tot",
	    "Der =?UTF-8?Q?K=C3=B6nig?= ist tot");
	encodes("a \xc3\xa9 \xc3\xa8 b", NULL);
	encodes("\xc3\xa9  x  \xc3\xa9", NULL);
	encodes("x\xe9y", "=?unknown-8bit?Q?x=E9y?=");
	encodes("\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
	    "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
	    "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
	    "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac",
	    NULL);
}

static void
test_encode_width(void **state)
{
	struct text in = TEXT_INIT(0), t = TEXT_INIT(0);
	struct span rest, word;
	int i;

	(void)state;
	for (i = 0; i < 500; i++)
		utf8_add(&in, i % 3 == 0 ? 0x20ac : 0x61 + i % 26);
	words_encode(text_span(&in), &t);
	for (rest = text_span(&t); rest.n > 0; ) {
		word = span_word(&rest);
		assert_true(word.n <= 75);
	}
	text_free(&in);
	text_free(&t);
}

static void
param_is(const struct words_field *f, const char *name, bool extended,
    const char *raw, const char *text)
{
	const struct words_param *p = words_param(f, name);
	struct text t = TEXT_INIT(0);

	assert_non_null(p);
	assert_int_equal(p->extended, extended);
	if (!span_is(p->value, raw))
		print_error("%s=%.*s\n", name, SPAN_ARG(p->value));
	assert_true(span_is(p->value, raw));
	words_param_text(p, &t);
	if (!span_is(text_span(&t), text))
		print_error("%s=%.*s\n", name, SPAN_ARG(text_span(&t)));
	assert_true(span_is(text_span(&t), text));
	text_free(&t);
}

static void
test_params(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct words_field f;

	(void)state;
	assert_int_equal(words_field(SPAN("text/plain; charset=us-ascii "
	    "(Plain text); Format=\"fl\\\"owed\""), 100, a, &f), 1);
	assert_true(span_is(f.value, "text/plain"));
	param_is(&f, "charset", false, "us-ascii", "us-ascii");
	param_is(&f, "format", false, "fl\"owed", "fl\"owed");
	assert_null(words_param(&f, "boundary"));

	assert_int_equal(words_field(SPAN(" text (x) / (y) Plain ;;; =x; "
	    "a; b = c d ;\r\n e=\"unterminated"), 100, a, &f), 1);
	assert_true(span_is(f.value, "text/Plain"));
	param_is(&f, "b", false, "c d", "c d");
	param_is(&f, "E", false, "unterminated", "unterminated");

	assert_int_equal(words_field(SPAN("; name=x"), 100, a, &f), 0);
	param_is(&f, "name", false, "x", "x");
	assert_int_equal(words_field(SPAN(""), 100, a, &f), 0);
	assert_null(f.params);
	assert_int_equal(words_field(SPAN("attachment; filename="
	    "\"=?utf-8?q?caf=c3=a9?=\""), 100, a, &f), 1);
	param_is(&f, "filename", false, "=?utf-8?q?caf=c3=a9?=",
	    "caf\xc3\xa9");
	arena_free(&a);
}

static void
test_params_rfc2231(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct words_field f;

	(void)state;
	assert_int_equal(words_field(SPAN("message/external-body; "
	    "access-type=URL;\r\n URL*0=\"ftp://\";\r\n"
	    " URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\""),
	    100, a, &f), 1);
	param_is(&f, "url", false,
	    "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar",
	    "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar");

	assert_int_equal(words_field(SPAN("application/x-stuff; "
	    "title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A"),
	    100, a, &f), 1);
	param_is(&f, "title", true,
	    "us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
	    "This is ***fun***");

	assert_int_equal(words_field(SPAN("application/x-stuff;\r\n"
	    " title*1*=%2A%2A%2Afun%2A%2A%2A%20;\r\n"
	    " title*0*=us-ascii'en'This%20is%20even%20more%20;\r\n"
	    " title*2=\"isn't it!\""), 100, a, &f), 1);
	param_is(&f, "title", true, "us-ascii'en'This%20is%20even%20more%20"
	    "%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!",
	    "This is even more ***fun*** isn't it!");
	assert_null(f.params->next);

	/* both forms: the extended one counts */
	assert_int_equal(words_field(SPAN("attachment; filename=cafe; "
	    "filename*=iso-8859-1''caf%E9; x=y"), 100, a, &f), 1);
	param_is(&f, "filename", true, "iso-8859-1''caf%E9", "caf\xc3\xa9");
	assert_true(span_is(f.params->next->name, "x"));

	/* a gap ends it; numbers without a first are lost */
	assert_int_equal(words_field(SPAN("a; b*0=1; b*2=3; c*1=9; d*x=5"),
	    100, a, &f), 1);
	param_is(&f, "b", false, "1", "1");
	assert_null(words_param(&f, "c"));
	param_is(&f, "d*x", false, "5", "5");
	arena_free(&a);
}

static void
test_params_bounds(void **state)
{
	struct arena *a = arena_new(1 << 22), *tiny = arena_new(300);
	struct text t = TEXT_INIT(0);
	struct words_param *p;
	struct words_field f;
	int i, n = 0;

	(void)state;
	text_str(&t, "a/b");
	for (i = 0; i < 5000; i++)
		text_printf(&t, "; p%d=%d", i, i);
	assert_int_equal(words_field(text_span(&t), 64, a, &f), 1);
	for (p = f.params; p != NULL; p = p->next)
		n++;
	assert_int_equal(n, 64);
	assert_int_equal(words_field(text_span(&t), 64, tiny, &f), -1);
	text_free(&t);
	arena_free(&a);
	arena_free(&tiny);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode_rfc2047),
		cmocka_unit_test(test_decode_more),
		cmocka_unit_test(test_decode_hostile),
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_encode_width),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_params_rfc2231),
		cmocka_unit_test(test_params_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

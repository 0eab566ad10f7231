/*
 * test_smtp_answer.c - replies, whole and in part; what EHLO offers.
 */
#include "smtp/smtp_answer.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena *arena;

static int
set_up(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

/* -- replies ---- */

static const struct {
	const char *in;
	unsigned code;
	const char *enhanced, *text, *line;
	size_t rest;			/* bytes behind it */
} good[] = {
	{ "250 ok\r\n", 250, "", "ok", "250 ok", 0 },
	{ "250\r\n", 250, "", "", "250", 0 },
	{ "250 \n", 250, "", "", "250", 0 },
	{ "354 go\r\n250 x\r\n", 354, "", "go", "354 go", 7 },
	{ "250-a\r\n250-b\n250 c\r\n", 250, "", "a\nb\nc", "250 a b c", 0 },
	{ "250-\r\n250 c\r\n", 250, "", "\nc", "250  c", 0 },
	{ "550 5.1.1 no such user\r\n", 550, "5.1.1", "no such user",
	    "550 5.1.1 no such user", 0 },
	{ "550-5.1.1 no\r\n550 5.1.1 such\r\n", 550, "5.1.1", "no\nsuch",
	    "550 5.1.1 no such", 0 },
	{ "550-5.1.1 no\r\n550 such\r\n", 550, "5.1.1", "no\nsuch",
	    "550 5.1.1 no such", 0 },
	{ "550-no\r\n550 5.1.1 such\r\n", 550, "", "no\n5.1.1 such",
	    "550 no 5.1.1 such", 0 },
	{ "250 2.100.999\r\n", 250, "2.100.999", "", "250 2.100.999", 0 },
	/* None: another class, too long a number, no blank behind. */
	{ "550 4.1.1 x\r\n", 550, "", "4.1.1 x", "550 4.1.1 x", 0 },
	{ "550 5.1.1000 x\r\n", 550, "", "5.1.1000 x", "550 5.1.1000 x", 0 },
	{ "550 5.1.1x\r\n", 550, "", "5.1.1x", "550 5.1.1x", 0 },
	{ "550 5..1 x\r\n", 550, "", "5..1 x", "550 5..1 x", 0 },
	/* Nothing that moves a terminal; eight bits as they are. */
	{ "250 a\033[2Jb\r\r\n", 250, "", "a [2Jb ", "250 a [2Jb ", 0 },
	{ "250 \xc3\xa9\177\r\n", 250, "", "\xc3\xa9 ", "250 \xc3\xa9 ", 0 },
};

static void
replies(void **state)
{
	struct text line = TEXT_INIT(0);
	struct smtp_answer a;
	struct span in;
	size_t used;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		in = span_str(good[i].in);
		for (size_t n = 0; n < in.n - good[i].rest; n++)
			assert_int_equal(smtp_answer_parse(span_sub(in, 0, n),
			    arena, &a, &used), 0);
		for (size_t n = in.n - good[i].rest; n <= in.n; n++) {
			assert_int_equal(smtp_answer_parse(span_sub(in, 0, n),
			    arena, &a, &used), 1);
			assert_int_equal(used, in.n - good[i].rest);
		}
		assert_int_equal(a.code, good[i].code);
		assert_true(span_is(a.enhanced, good[i].enhanced));
		assert_true(span_is(a.text, good[i].text));
		text_clear(&line);
		smtp_answer_text(&a, &line);
		assert_true(span_is(text_span(&line), good[i].line));
	}
	text_free(&line);
}

static void
what_is_no_reply(void **state)
{
	static const char *const bad[] = {
		"\r\n", "hello\r\n", "25 x\r\n", "25\r\n", "250x\r\n",
		"199 x\r\n", "600 x\r\n", "+50 x\r\n", " 250 x\r\n",
		"250-a\r\n251 b\r\n", "250-a\r\nb\r\n", "2500 x\r\n",
		"250\tx\r\n",
	};
	struct smtp_answer a;
	size_t used;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(smtp_answer_parse(span_str(bad[i]), arena,
		    &a, &used), -1);
}

/* A line, a reply, and its text: each as long as it may be, and longer. */
static void
limits(void **state)
{
	struct text in = TEXT_INIT(0);
	struct smtp_answer a;
	size_t used;

	(void)state;
	text_str(&in, "250 ");
	while (in.n < ANSWER_LINE_MAX - 2)
		text_char(&in, 'x');
	assert_int_equal(smtp_answer_parse(text_span(&in), arena, &a, &used),
	    0);
	text_str(&in, "\r\n");
	assert_int_equal(smtp_answer_parse(text_span(&in), arena, &a, &used),
	    1);
	in.p[in.n - 1] = 'x';
	assert_int_equal(smtp_answer_parse(text_span(&in), arena, &a, &used),
	    -1);
	text_clear(&in);
	for (int i = 1; i < ANSWER_LINES_MAX; i++)
		text_printf(&in, "250-%0100d\r\n", i);
	assert_int_equal(smtp_answer_parse(text_span(&in), arena, &a, &used),
	    0);
	text_str(&in, "250 x\r\n");
	assert_int_equal(smtp_answer_parse(text_span(&in), arena, &a, &used),
	    1);
	assert_int_equal(used, in.n);
	assert_true(a.text.n <= ANSWER_TEXT_MAX && a.text.n > 8000);
	in.p[in.n - 4] = '-';
	assert_int_equal(smtp_answer_parse(text_span(&in), arena, &a, &used),
	    -1);
	text_free(&in);
}

/* Without memory there is still the code. */
static void
an_arena_that_is_full(void **state)
{
	struct arena *none = arena_new(1);
	struct smtp_answer a;
	size_t used;

	(void)state;
	assert_int_equal(smtp_answer_parse(SPAN("550 5.1.1 a\r\n"), none, &a,
	    &used), 1);
	assert_int_equal(a.code, 550);
	assert_int_equal(a.text.n, 0);
	assert_int_equal(a.enhanced.n, 0);
	arena_free(&none);
}

/* -- offers ---- */

static struct smtp_offers
offers(const char *lines)
{
	struct smtp_answer a = { .code = 250, .text = span_str(lines) };
	struct smtp_offers o;

	smtp_offers_parse(&a, arena, &o);
	return o;
}

static void
what_is_offered(void **state)
{
	struct smtp_offers o = offers("mx.test DSN\nPIPELINING\n8bitmime\n"
	    "SMTPUTF8\nCHUNKING\nBINARYMIME\nSTARTTLS\nDSN\nSIZE 1000\n"
	    "AUTH PLAIN LOGIN\nAUTH=PLAIN  CRAM-MD5\nREQUIRETLS\n"
	    "DELIVERBY 240\nMT-PRIORITY MIXER\n"
	    "LIMITS rcptmax=50 MAILMAX=7 RCPTDOMAINMAX=1 OTHER=x\n"
	    "ENHANCEDSTATUSCODES\nX-OTHER");

	(void)state;
	assert_int_equal(o.bits, (1 << 14) - 1);
	assert_int_equal(o.size, 1000);
	assert_int_equal(o.deliver_by_min, 240);
	assert_int_equal(o.mail_max, 7);
	assert_int_equal(o.recipients_max, 50);
	assert_int_equal(o.domains_max, 1);
	assert_true(span_is(o.mechanisms, "PLAIN LOGIN PLAIN  CRAM-MD5"));
}

static void
what_is_not_offered(void **state)
{
	struct smtp_offers o = offers("PIPELINING");

	(void)state;
	assert_int_equal(o.bits, 0);
	o = offers("mx.test\nSIZE\nDELIVERBY\nAUTH\nLIMITS MAILMAX=x RCPTMAX");
	assert_int_equal(o.bits, OFFERS_SIZE | OFFERS_DELIVERBY |
	    OFFERS_AUTH | OFFERS_LIMITS);
	assert_int_equal(o.size, 0);
	assert_int_equal(o.mail_max, 0);
	assert_int_equal(o.recipients_max, 0);
	assert_int_equal(o.mechanisms.n, 0);
	o = offers("mx.test\nSIZE 99999999999999999999999\nSIZES 5\n\nXDSN");
	assert_int_equal(o.bits, OFFERS_SIZE);
	assert_int_equal(o.size, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies),
		cmocka_unit_test(what_is_no_reply),
		cmocka_unit_test(limits),
		cmocka_unit_test(an_arena_that_is_full),
		cmocka_unit_test(what_is_offered),
		cmocka_unit_test(what_is_not_offered),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* test_date.c - the calendar and every written form. */
#include "mail/date.h"

#include <setjmp.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static void
test_calendar(void **state)
{
	struct date_parts p;
	struct tm tm;
	time_t t;
	int32_t day;

	(void)state;
	/* against the C library, a day and some in each step */
	for (t = -62167219200; t < 253402300800; t += 86400 * 13 + 7919) {
		gmtime_r(&t, &tm);
		p = date_split((struct date){ t, 0 });
		assert_int_equal(p.year, tm.tm_year + 1900);
		assert_int_equal(p.month, tm.tm_mon + 1);
		assert_int_equal(p.day, tm.tm_mday);
		assert_int_equal(p.hour, tm.tm_hour);
		assert_int_equal(p.minute, tm.tm_min);
		assert_int_equal(p.second, tm.tm_sec);
		assert_int_equal(p.weekday, tm.tm_wday);
		assert_int_equal(date_day_of(p.year, p.month, p.day, &day),
		    1);
		assert_int_equal(day, date_day((struct date){ t, 0 }));
	}
	assert_int_equal(date_day_of(1970, 1, 1, &day), 1);
	assert_int_equal(day, 0);
	assert_int_equal(date_day_of(2023, 2, 29, &day), 0);
	assert_int_equal(date_day_of(1900, 2, 29, &day), 0);
	assert_int_equal(date_day_of(2000, 2, 29, &day), 1);
	assert_int_equal(date_day_of(2024, 13, 1, &day), 0);
	assert_int_equal(date_day_of(10000, 1, 1, &day), 0);
}

static void
test_extremes(void **state)
{
	struct text t = TEXT_INIT(0);

	(void)state;
	date_add_message(&t, (struct date){ INT64_MAX, 1439 });
	date_add_message(&t, (struct date){ INT64_MIN, -1439 });
	date_add_imap(&t, (struct date){ INT64_MIN, 0 });
	date_add_imap_day(&t, INT32_MAX);
	assert_false(text_full(&t));
	text_free(&t);
}

static const struct {
	const char *in;
	int64_t seconds;
	int offset;
} good[] = {
	/* RFC 5322 appendix A */
	{ "Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360 },
	{ "Tue, 1 Jul 2003 10:52:37 +0200", 1057049557, 120 },
	{ "Thu, 13 Feb 1969 23:32:54 -0330", -27723426, -210 },
	{ "Thu,\r\n      13\r\n        Feb\r\n          1969\r\n"
	    "      23:32\r\n               -0330 (Newfoundland Time)",
	    -27723480, -210 },
	{ "21 Nov 97 09:55:06 GMT", 880106106, 0 },
	{ "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706,
	    -360 },
	{ "Fri, 21 Nov 1997 09:55:06 EST", 880124106, -300 },
	{ "Fri, 21 Nov 1997 09:55:06 Z", 880106106, 0 },
	{ "Fri, 21 Nov 1997 09:55:06 -0000", 880106106, 0 },
	{ "Fri, 21 Nov 1997 09:55:06", 880106106, 0 },
	{ "Friday, 21 November 1997 09:55:06 -0600", 880127706, -360 },
	{ "21-Nov-1997 09:55:06 -0600", 880127706, -360 },
	{ "1 Jan 49 00:00 +0000", 2493072000, 0 },
	{ "1 Jan 70 00:00 +0000", 0, 0 },
	{ "1 Jan 100 00:00 +0000", 946684800, 0 },
	{ "31 Dec 1998 23:59:60 +0000", 915148800, 0 },
};

static void
test_message_dates(void **state)
{
	static const char *const wrong[] = {
		"", "yesterday", "Fri, 32 Nov 1997 09:55:06 -0600",
		"Fri, 21 Foo 1997 09:55:06 -0600", "21 Nov 1997",
		"21 Nov 1997 24:00:00 +0000", "21 Nov 1997 09:60:00 +0000",
		"21 Nov 1997 09:55:61 +0000", "0 Nov 1997 09:55 +0000",
		"29 Feb 2023 00:00 +0000", "21 Nov 7 09:55 +0000",
		"21 Nov 1997 09", "21 Nov 1997 09:", "21 Nov 1997 :55",
	};
	struct date d;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(date_parse_message(span_str(good[i].in),
		    &d), 1);
		assert_int_equal(d.seconds, good[i].seconds);
		assert_int_equal(d.offset, good[i].offset);
	}
	for (i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(date_parse_message(span_str(wrong[i]), &d),
		    0);
}

static void
test_message_every_cut(void **state)
{
	struct span s = span_str(good[3].in);
	char *copy;
	struct date d;
	size_t cut;

	(void)state;
	for (cut = 0; cut <= s.n; cut++) {
		copy = xmalloc(cut + 1);
		memcpy(copy, s.p, cut);
		date_parse_message(span_of(copy, cut), &d);
		free(copy);
	}
}

static void
test_format(void **state)
{
	struct text t = TEXT_INIT(0);
	struct date d = { 880127706, -360 }, back;

	(void)state;
	date_add_message(&t, d);
	assert_true(span_is(text_span(&t),
	    "Fri, 21 Nov 1997 09:55:06 -0600"));
	assert_int_equal(date_parse_message(text_span(&t), &back), 1);
	assert_int_equal(back.seconds, d.seconds);
	text_clear(&t);
	date_add_imap(&t, d);
	assert_true(span_is(text_span(&t), "21-Nov-1997 09:55:06 -0600"));
	text_clear(&t);
	date_add_rfc3339(&t, d);
	assert_true(span_is(text_span(&t), "1997-11-21T09:55:06-06:00"));
	text_clear(&t);
	date_add_rfc3339(&t, (struct date){ d.seconds, 0 });
	assert_true(span_is(text_span(&t), "1997-11-21T15:55:06Z"));
	text_free(&t);
}

static void
test_imap(void **state)
{
	static const char *const wrong[] = {
		"", "1-Jul-1996 02:44:25 -0700", "001-Jul-1996 02:44:25 -0700",
		" 1-Jul-96 02:44:25 -0700", " 1-July-1996 02:44:25 -0700",
		" 1-Jul-1996 2:44:25 -0700", " 1-Jul-1996 02:44:25",
		" 1-Jul-1996 02:44:25 -07", " 1-Jul-1996 02:44:25 -0700 ",
		" 0-Jul-1996 02:44:25 -0700", "31-Jun-1996 02:44:25 -0700",
		" 1-Jul-1996 25:44:25 -0700", " 1-Jul-1996 02:44:25 -0799",
	};
	struct text t = TEXT_INIT(0);
	struct date d;
	int32_t day;
	size_t i;

	(void)state;
	assert_int_equal(date_parse_imap(SPAN(" 1-Jul-1996 02:44:25 -0700"),
	    &d), 1);
	assert_int_equal(d.seconds, 836214265);
	date_add_imap(&t, d);
	assert_true(span_is(text_span(&t), " 1-Jul-1996 02:44:25 -0700"));
	assert_int_equal(date_parse_imap(SPAN("01-Jul-1996 02:44:25 -0700"),
	    &d), 1);
	for (i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(date_parse_imap(span_str(wrong[i]), &d), 0);
	assert_int_equal(date_parse_imap_day(SPAN("1-Feb-1994"), &day), 1);
	assert_int_equal(day, 8797);
	assert_int_equal(date_parse_imap_day(SPAN("01-feb-1994"), &day), 1);
	assert_int_equal(day, 8797);
	assert_int_equal(date_parse_imap_day(SPAN("30-Feb-1994"), &day), 0);
	assert_int_equal(date_parse_imap_day(SPAN(" 1-Feb-1994"), &day), 0);
	text_clear(&t);
	date_add_imap_day(&t, 8797);
	assert_true(span_is(text_span(&t), "1-Feb-1994"));
	text_free(&t);
}

/* The day is the one that was written, whatever UTC says. */
static void
test_day_as_written(void **state)
{
	struct date d;
	int32_t day;

	(void)state;
	assert_int_equal(date_parse_message(
	    SPAN("1 Feb 1994 23:30:00 -0800"), &d), 1);
	assert_int_equal(date_parse_imap_day(SPAN("1-Feb-1994"), &day), 1);
	assert_int_equal(date_day(d), day);
	d.offset = 0;
	assert_int_equal(date_day(d), day + 1);
}

static void
test_rfc3339(void **state)
{
	struct date d;

	(void)state;
	/* RFC 3339 5.8 */
	assert_int_equal(date_parse_rfc3339(SPAN("1985-04-12T23:20:50.52Z"),
	    &d), 1);
	assert_int_equal(d.seconds, 482196050);
	assert_int_equal(date_parse_rfc3339(
	    SPAN("1996-12-19T16:39:57-08:00"), &d), 1);
	assert_int_equal(d.seconds, 851042397);
	assert_int_equal(d.offset, -480);
	assert_int_equal(date_parse_rfc3339(SPAN("1996-12-19T16:39:57"), &d),
	    0);
	assert_int_equal(date_parse_rfc3339(SPAN("1996-12-19"), &d), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_message_dates),
		cmocka_unit_test(test_message_every_cut),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_imap),
		cmocka_unit_test(test_day_as_written),
		cmocka_unit_test(test_rfc3339),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

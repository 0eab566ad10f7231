/* test_imap_search_match.c - keys against messages. */
#include "imap/imap_search_match.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static const char message[] =
    "Date: Tue, 1 Feb 1994 23:30:00 -0800\r\n"
    "From: =?utf-8?q?J=C3=BCrgen_M=C3=BCller?= <jm@example.test>\r\n"
    "To: \"Ann, A.\" <ann@example.test>\r\n"
    "Subject: =?utf-8?q?gr=C3?=\r\n =?utf-8?q?=BC=C3=9Fe?= aus Berlin\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    "the preamble\r\n"
    "--b\r\n"
    "Content-Type: text/plain; charset=koi8-r\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\n"
    "8NLJ18XU\r\n"			/* "Privet" in Cyrillic */
    "--b\r\n"
    "Content-Type: text/html; charset=iso-8859-1\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    "<b>caf=E9</b> soft=\r\nbreak\r\n"
    "--b\r\n"
    "Content-Type: application/pdf; name=report.pdf\r\n\r\n"
    "secret binary\r\n"
    "--b\r\n"
    "Content-Type: message/rfc822\r\n\r\n"
    "Subject: inner subject\r\n\r\ninner body\r\n"
    "--b--\r\n"
    "the epilogue\r\n";

struct bench {
	struct arena *arena;
	struct imap_matcher *matcher;
	struct imap_search_view view;
	struct imap_search_message message;
};

static struct bench
bench_new(void)
{
	struct bench b = {
		.arena = arena_new(1 << 20),
		.matcher = imap_matcher_new(&MIME_LIMITS_DEFAULT,
	    IMAP_UNICODE_CASEMAP),
		.view = { .last_sequence = 9, .last_uid = 90, .now = 1000000 },
		.message = {
			.sequence = 5, .uid = 50, .modseq = 7, .size = 1000,
			.flags = FLAG_SEEN | IMAP_FLAG_RECENT | 1 << 8,
			.internal_date = { 900000, 0 },
			.bytes = SPAN_EMPTY
		}
	};

	return b;
}

static void
bench_free(struct bench *b)
{
	imap_matcher_free(&b->matcher);
	arena_free(&b->arena);
}

static int
match(struct bench *b, struct imap_search_key *key, const char *charset)
{
	assert_int_equal(imap_search_prepare(key, span_str(charset),
	    IMAP_UNICODE_CASEMAP, b->arena), 1);
	return imap_search_match(b->matcher, key, &b->view, &b->message);
}

static int
text(struct bench *b, enum imap_search_kind kind, const char *name,
    const char *needle)
{
	struct imap_search_key key = {
		.kind = kind, .name = span_str(name), .text = span_str(needle)
	};

	return match(b, &key, "UTF-8");
}

static void
test_headers(void **state)
{
	struct bench b = bench_new();

	(void)state;
	assert_int_equal(text(&b, IMAP_SEARCH_HEADER, "Subject", "x"), -1);
	b.message.header = span_str(message);
	assert_int_equal(text(&b, IMAP_SEARCH_HEADER, "subject",
	    "GR\xc3\x9c\xc3\x9f" "e AUS ber"), 1);
	assert_int_equal(text(&b, IMAP_SEARCH_HEADER, "Subject", "utf-8"),
	    0);
	assert_int_equal(text(&b, IMAP_SEARCH_HEADER, "From",
	    "m\xc3\xbcller"), 1);
	/* decomposed is the same */
	assert_int_equal(text(&b, IMAP_SEARCH_HEADER, "From", "mu\xcc\x88l"),
	    1);
	assert_int_equal(text(&b, IMAP_SEARCH_HEADER, "From", "JM@EXAMPLE"),
	    1);
	assert_int_equal(text(&b, IMAP_SEARCH_HEADER, "To", "ann, a."), 1);
	assert_int_equal(text(&b, IMAP_SEARCH_HEADER, "Cc", "ann"), 0);
	/* the empty string: the field is there */
	assert_int_equal(text(&b, IMAP_SEARCH_HEADER, "To", ""), 1);
	assert_int_equal(text(&b, IMAP_SEARCH_HEADER, "Cc", ""), 0);
	/* fields of parts are not the message's */
	b.message.bytes = span_str(message);
	b.message.header = SPAN_EMPTY;
	assert_int_equal(text(&b, IMAP_SEARCH_HEADER, "Subject", "inner"),
	    0);
	bench_free(&b);
}

static void
test_bodies(void **state)
{
	static const struct {
		const char *needle;
		int body, text;
	} rows[] = {
		{ "\xd0\xbf\xd1\x80\xd0\x98\xd0\x92\xd0\xb5\xd1\x82", 1, 1 },
		{ "CAF\xc3\x89", 1, 1 },
		{ "<b>caf", 1, 1 },
		{ "soFTbreak", 1, 1 },
		{ "inner subject", 1, 1 },
		{ "Inner Body", 1, 1 },
		{ "report.pdf", 1, 1 },
		{ "secret", 0, 0 },		/* not text */
		{ "8NLJ", 0, 0 },		/* not decoded */
		{ "preamble", 0, 0 },
		{ "berlin", 0, 1 },		/* of the header */
		{ "subject: gr", 0, 1 },
		{ "", 1, 1 },
	};
	struct bench b = bench_new();
	size_t i;

	(void)state;
	b.message.bytes = span_str(message);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(text(&b, IMAP_SEARCH_BODY, "",
		    rows[i].needle), rows[i].body);
		assert_int_equal(text(&b, IMAP_SEARCH_TEXT, "",
		    rows[i].needle), rows[i].text);
	}
	/* with the header alone TEXT may know, BODY never does */
	b.message.bytes = SPAN_EMPTY;
	b.message.header = span_str(message);
	assert_int_equal(text(&b, IMAP_SEARCH_TEXT, "", "berlin"), 1);
	assert_int_equal(text(&b, IMAP_SEARCH_TEXT, "", "inner"), -1);
	assert_int_equal(text(&b, IMAP_SEARCH_BODY, "", "berlin"), -1);
	bench_free(&b);
}

/* A needle on every place around the seams between pieces. */
static void
test_seams(void **state)
{
	struct bench b = bench_new();
	struct text t = TEXT_INIT(0);
	size_t at;

	(void)state;
	for (at = 32768 - 20; at < 32768 + 10; at++) {
		text_clear(&t);
		text_str(&t, "\r\n");
		while (t.n < at)
			text_char(&t, '.');
		text_str(&t, "N\xc3\xa9" "edle\xe2\x82\xac");
		while (t.n < 70000)
			text_char(&t, '.');
		b.message.bytes = text_span(&t);
		assert_int_equal(text(&b, IMAP_SEARCH_BODY, "",
		    "n\xc3\x89" "EDLE\xe2\x82\xac"), 1);
		assert_int_equal(text(&b, IMAP_SEARCH_BODY, "",
		    "needles"), 0);
	}
	text_free(&t);
	bench_free(&b);
}

static void
test_charsets(void **state)
{
	struct bench b = bench_new();
	struct imap_search_key key = {
		.kind = IMAP_SEARCH_BODY, .text = SPAN("\xd0\xd2\xc9")
	};

	(void)state;
	b.message.bytes = span_str(message);
	assert_int_equal(match(&b, &key, "KOI8-R"), 1);
	key.text = SPAN("x");
	assert_int_equal(imap_search_prepare(&key, SPAN("x-none"),
	    IMAP_UNICODE_CASEMAP, b.arena), 0);
	key.text = SPAN("\xe9");
	assert_int_equal(imap_search_prepare(&key, SPAN("UTF-8"),
	    IMAP_UNICODE_CASEMAP, b.arena), -2);
	assert_int_equal(imap_search_prepare(&key, SPAN(""),
	    IMAP_UNICODE_CASEMAP, b.arena), -2);
	key.text = SPAN("CAF\xc3\x89");
	assert_int_equal(match(&b, &key, "US-ASCII"), 1);
	bench_free(&b);
}

static int
plain(struct bench *b, struct imap_search_key key)
{
	return match(b, &key, "");
}

#define KEY(...) plain(&b, (struct imap_search_key){ __VA_ARGS__ })

static void
test_rows(void **state)
{
	struct bench b = bench_new();

	(void)state;
	assert_int_equal(KEY(.kind = IMAP_SEARCH_ALL), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_FLAGS,
	    .flags = FLAG_SEEN | IMAP_FLAG_RECENT), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_FLAGS,
	    .flags = FLAG_SEEN | FLAG_DRAFT), 0);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_KEYWORD, .flags = 1 << 8),
	    1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_KEYWORD, .flags = 0), 0);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_LARGER, .number = 999), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_LARGER, .number = 1000), 0);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SMALLER, .number = 1000), 0);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SMALLER, .number = 1001), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_BEFORE, .day = 10), 0);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_BEFORE, .day = 11), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_ON, .day = 10), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SINCE, .day = 10), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SINCE, .day = 11), 0);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_OLDER, .number = 100000), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_OLDER, .number = 100001), 0);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_YOUNGER, .number = 100000),
	    1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_YOUNGER, .number = 99999),
	    0);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_YOUNGER,
	    .number = UINT64_MAX), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_MODSEQ, .number = 7), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_MODSEQ, .number = 8), 0);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SAVEDATE_SUPPORTED), 1);
	bench_free(&b);
}

static void
test_details(void **state)
{
	struct bench b = bench_new();

	(void)state;
	assert_int_equal(KEY(.kind = IMAP_SEARCH_EMAILID, .text = SPAN("M1")),
	    -1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SAVED_ON, .day = 11), -1);
	b.message.has_details = true;
	b.message.email_id = SPAN("M1");
	b.message.save_date = (struct date){ 86400 * 11, 0 };
	assert_int_equal(KEY(.kind = IMAP_SEARCH_EMAILID, .text = SPAN("M1")),
	    1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_EMAILID, .text = SPAN("m1")),
	    0);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_THREADID,
	    .text = SPAN("T1")), 0);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SAVED_ON, .day = 11), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SAVED_BEFORE, .day = 11), 0);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SAVED_SINCE, .day = 12), 0);
	bench_free(&b);
}

static void
test_sent(void **state)
{
	struct bench b = bench_new();
	struct summary s = { .has_sent = true, .sent = { 86400 * 20, 0 } };
	int32_t day;

	(void)state;
	assert_int_equal(date_parse_imap_day(SPAN("1-Feb-1994"), &day), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SENT_ON, .day = day), -1);
	b.message.header = span_str(message);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SENT_ON, .day = day), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SENT_SINCE, .day = day), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SENT_BEFORE, .day = day), 0);
	b.message.summary = &s;
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SENT_ON, .day = 20), 1);
	s.has_sent = false;
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SENT_ON, .day = 20), 0);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SENT_BEFORE, .day = 99), 0);
	bench_free(&b);
}

static void
test_sets(void **state)
{
	static const struct imap_range ranges[] = {
		{ 2, 4 }, { 8, 8 }, { 20, IMAP_RANGE_STAR },
		{ IMAP_RANGE_STAR, IMAP_RANGE_STAR }
	};
	struct imap_set set = { .ranges = ranges, .count = 2 };
	struct bench b = bench_new();

	(void)state;
	assert_false(imap_set_has(&set, 1, 9));
	assert_true(imap_set_has(&set, 2, 9));
	assert_true(imap_set_has(&set, 4, 9));
	assert_false(imap_set_has(&set, 5, 9));
	assert_true(imap_set_has(&set, 8, 9));
	set.count = 3;
	assert_true(imap_set_has(&set, 9, 9));	/* 20:* holds the last */
	assert_false(imap_set_has(&set, 7, 9));
	assert_true(imap_set_has(&set, 25, 30));
	set = (struct imap_set){ .ranges = ranges + 3, .count = 1 };
	assert_true(imap_set_has(&set, 9, 9));
	assert_false(imap_set_has(&set, 8, 9));
	set = (struct imap_set){ .ranges = ranges, .count = 4 };
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SEQUENCE, .set = set), 0);
	b.message.sequence = 9;
	assert_int_equal(KEY(.kind = IMAP_SEARCH_SEQUENCE, .set = set), 1);
	assert_int_equal(KEY(.kind = IMAP_SEARCH_UID, .set = set), 1);
	bench_free(&b);
}

/* Three answers: yes, no, and "give me more", in every combination. */
static void
test_logic(void **state)
{
	static const int answers[] = { 1, 0, -1 };
	struct bench b = bench_new();
	struct imap_search_key one, two, top;
	int i, j, want_and, want_or, x, y;

	(void)state;
	for (i = 0; i < 9; i++) {
		x = answers[i / 3];
		y = answers[i % 3];
		struct imap_search_key *keys[] = { &one, &two };

		for (j = 0; j < 2; j++) {
			int a = j == 0 ? x : y;

			*keys[j] = (struct imap_search_key){
				.kind = a < 0 ? IMAP_SEARCH_BODY :
				    IMAP_SEARCH_FLAGS,
				.text = SPAN("x"),
				.flags = a == 0 ? FLAG_DRAFT : 0
			};
		}
		one.next = &two;
		want_and = x == 0 || y == 0 ? 0 : x < 0 || y < 0 ? -1 : 1;
		want_or = x == 1 || y == 1 ? 1 : x < 0 || y < 0 ? -1 : 0;
		top = (struct imap_search_key){
			.kind = IMAP_SEARCH_AND, .list = &one
		};
		assert_int_equal(match(&b, &top, ""), want_and);
		top.kind = IMAP_SEARCH_OR;
		assert_int_equal(match(&b, &top, ""), want_or);
		assert_int_equal(imap_search_needs(&top),
		    x < 0 || y < 0 ? IMAP_NEED_BYTES : 0);
		one.next = NULL;
		top.kind = IMAP_SEARCH_NOT;
		assert_int_equal(match(&b, &top, ""), x < 0 ? -1 : !x);
	}
	top = (struct imap_search_key){ .kind = IMAP_SEARCH_AND };
	assert_int_equal(match(&b, &top, ""), 1);
	bench_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_seams),
		cmocka_unit_test(test_charsets),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_details),
		cmocka_unit_test(test_sent),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_logic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

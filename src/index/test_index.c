/*
 * test_index.c - messages into a segment, and searches of it against a naive
 * search of the same texts: what is sure must match, and what matches must be
 * sure or at least be told to be looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "index/extract.h"
#include "index/fuzzy.h"
#include "index/html.h"
#include "index/query.h"
#include "index/token.h"
#include "mail/charset.h"
#include "mail/encode.h"

enum { MESSAGES = 60, QUERIES = 400, ROUNDS = 12 };

static uint64_t seed = 88172645463325252u;

static uint32_t
roll(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % below;
}

/* ---- texts ----------------------------------------------------------- */

/* Few letters, so that strings are found again; several scripts. */
static const char *const alphabets[] = {
	"a b c A B C - , . 0 1", "\u00e4 \u00f6 \u00fc \u00df e u \u0301 -",
	"\u043f \u0440 \u0418 \u0432 \u0435 ,", "\u4e2d \u6587 \u5b57 \u3002 a",
	"\u304b \u304c \u30ab \u30ac \u3001 1", "\u0e01 \u0e02 \u0e33 x",
	"\uac00 \uac01 \u1100 .", "\u0627 \u0628 \u0640 \u060c",
	"\U0001f600 \U0001f601 ! a", "a a a a b",
};

static void
add_letters(struct text *t, uint32_t most)
{
	const char *alphabet = alphabets[roll(ARRAY_LEN(alphabets))];
	uint32_t n = roll(most);
	struct span rest, word;

	while (n-- > 0) {
		uint32_t skip = roll(12);

		if (roll(7) == 0) {
			text_char(t, ' ');
			continue;
		}
		rest = span_str(alphabet);
		for (word = span_word(&rest); skip > 0 && rest.n > 0; skip--)
			word = span_word(&rest);
		text_add(t, word);
	}
	if (roll(40) == 0)
		for (n = roll(150); n > 0; n--)
			text_char(t, "abAB01"[roll(6)]);
}

/* What SEARCH looks at, of one message, folded: each a text of its own. */
struct document_texts {
	struct text subject, from, header, body;
};

static void
fold(struct text *t, struct span s)
{
	text_clear(t);
	casemap_add(t, s);
}

static void
make_message(struct document_texts *d, struct text *message)
{
	struct text subject = TEXT_INIT(0), from = TEXT_INIT(0);
	struct text body = TEXT_INIT(0), header = TEXT_INIT(0);

	text_char(&subject, 'x');
	add_letters(&subject, 20);
	text_char(&subject, 'y');
	text_char(&from, 'f');
	add_letters(&from, 12);
	text_char(&from, 'g');
	add_letters(&body, 120);
	text_clear(message);
	text_printf(message, "Subject: %.*s\r\nFROM: %.*s\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n\r\n%.*s",
	    SPAN_ARG(text_span(&subject)), SPAN_ARG(text_span(&from)),
	    SPAN_ARG(text_span(&body)));
	fold(&d->subject, text_span(&subject));
	fold(&d->from, text_span(&from));
	fold(&d->body, text_span(&body));
	text_printf(&header, "Subject: %.*s\nFROM: %.*s\n"
	    "Content-Type: text/plain; charset=utf-8",
	    SPAN_ARG(text_span(&subject)), SPAN_ARG(text_span(&from)));
	fold(&d->header, text_span(&header));
	text_free(&subject);
	text_free(&from);
	text_free(&body);
	text_free(&header);
}

/* ---- the specification ----------------------------------------------- */

static bool
holds(const struct text *t, struct span needle)
{
	return span_find(text_span(t), needle, 0) != SIZE_MAX;
}

static bool
holds_line(const struct text *t, struct span needle)
{
	struct span rest = text_span(t), line;

	while (rest.n > 0) {
		rest = span_cut(rest, '\n', &line);
		if (span_find(line, needle, 0) != SIZE_MAX)
			return true;
	}
	return false;
}

static bool
matches(const struct document_texts *d, enum index_field field,
    struct span needle)
{
	switch (field) {
	case INDEX_SUBJECT:
		return holds(&d->subject, needle);
	case INDEX_FROM:
		return holds(&d->from, needle);
	case INDEX_BODY:
		return holds(&d->body, needle);
	case INDEX_TEXT:
		return holds(&d->body, needle) ||
		    holds_line(&d->header, needle);
	default:
		return false;
	}
}

/* ---- the test -------------------------------------------------------- */

struct corpus {
	struct document_texts texts[MESSAGES];
	struct text segment;
	uint64_t asked, sure, maybe;	/* documents, of all queries */
};

static void
check_query(struct corpus *c, struct segment *s, enum index_field field,
    struct span needle)
{
	struct bits sure = bits_new(s->documents);
	struct bits maybe = bits_new(s->documents);

	assert_int_equal(query_segment(s, field, needle, &sure, &maybe), 1);
	for (uint32_t i = 0; i < s->documents; i++) {
		uint32_t uid = segment_document(s, i).uid;
		bool yes = matches(&c->texts[uid - 1], field, needle);

		if (bits_have(&sure, i) && (!yes || bits_have(&maybe, i)))
			fail_msg("%.*s is not in %u (%d)", SPAN_ARG(needle),
			    uid, field);
		if (yes && !bits_have(&sure, i) && !bits_have(&maybe, i))
			fail_msg("%.*s was missed in %u (%d)",
			    SPAN_ARG(needle), uid, field);
		c->asked++;
		c->sure += bits_have(&sure, i);
		c->maybe += bits_have(&maybe, i);
	}
	bits_free(&sure);
	bits_free(&maybe);
}

/* A piece of some text, of whole characters, at times a little changed. */
static void
pick_needle(const struct corpus *c, struct text *needle)
{
	const struct document_texts *d = &c->texts[roll(MESSAGES)];
	const struct text *from[] = { &d->subject, &d->from, &d->body,
		&d->body, &d->header };
	const struct text *t = from[roll(ARRAY_LEN(from))];
	size_t at = roll((uint32_t)t->n + 1);
	size_t n = 1 + roll(roll(8) == 0 ? 60 : 8);

	text_clear(needle);
	while (at > 0 && at < t->n && (t->p[at] & 0xc0) == 0x80)
		at--;
	text_add(needle, utf8_clip(span_from(text_span(t), at), n + 3));
	if (roll(6) == 0)
		text_char(needle, "A 1-"[roll(4)]);
	for (size_t i = 0; i < needle->n; i++)
		if (needle->p[i] == '\n')
			needle->p[i] = ' ';
}

static void
check_queries(struct corpus *c, struct segment *s)
{
	static const enum index_field fields[] = { INDEX_TEXT, INDEX_BODY,
		INDEX_SUBJECT, INDEX_FROM };
	struct text needle = TEXT_INIT(0);

	for (int i = 0; i < QUERIES; i++) {
		pick_needle(c, &needle);
		if (needle.n > 0)
			check_query(c, s, fields[roll(ARRAY_LEN(fields))],
			    text_span(&needle));
	}
	text_free(&needle);
}

static void
open_segment(struct segment *s, const struct text *t)
{
	*s = (struct segment){ .base = t->p, .size = (uint32_t)t->n };
	assert_int_equal(segment_open(s), 1);
	assert_int_equal(segment_check_documents(s), 1);
}

static bool
keep_odd(void *arg, uint32_t uid)
{
	(void)arg;
	return uid % 2 == 1;
}

static bool
keep_all(void *arg, uint32_t uid)
{
	(void)arg;
	(void)uid;
	return true;
}

static void
build(struct corpus *c, uint32_t first, uint32_t last, struct text *out)
{
	struct extractor *x = extractor_new();
	struct builder *b = builder_new();
	struct text message = TEXT_INIT(0);

	for (uint32_t uid = first; uid <= last; uid++) {
		make_message(&c->texts[uid - 1], &message);
		extract_message(x, b, uid, text_span(&message));
	}
	assert_int_equal(builder_documents(b), last - first + 1);
	assert_int_equal(builder_finish(b, NULL, NULL, out), 1);
	text_free(&message);
	builder_free(&b);
	extractor_free(&x);
}

static void
free_texts(struct corpus *c)
{
	for (size_t i = 0; i < MESSAGES; i++) {
		text_free(&c->texts[i].subject);
		text_free(&c->texts[i].from);
		text_free(&c->texts[i].header);
		text_free(&c->texts[i].body);
	}
}

static void
as_a_naive_search(void **state)
{
	struct corpus c = { .sure = 0 };
	struct segment s[2], merged;
	struct text one = TEXT_INIT(0), two = TEXT_INIT(0);
	struct text all = TEXT_INIT(0), odd = TEXT_INIT(0);
	struct segment_merge merge = { .from = s, .count = 2,
		.keep = keep_all };
	uint32_t n;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		text_clear(&one);
		text_clear(&two);
		text_clear(&all);
		text_clear(&odd);
		build(&c, 1, MESSAGES / 2, &one);
		build(&c, MESSAGES / 2 + 1, MESSAGES, &two);
		open_segment(&s[0], &one);
		open_segment(&s[1], &two);
		check_queries(&c, &s[0]);
		check_queries(&c, &s[1]);
		merge.keep = keep_all;
		assert_int_equal(segment_merge(&merge, &all, &n), 1);
		assert_int_equal(n, MESSAGES);
		open_segment(&merged, &all);
		check_queries(&c, &merged);
		merge.keep = keep_odd;
		assert_int_equal(segment_merge(&merge, &odd, &n), 1);
		assert_int_equal(n, MESSAGES / 2);
		open_segment(&merged, &odd);
		check_queries(&c, &merged);
		free_texts(&c);
		memset(c.texts, 0, sizeof(c.texts));
	}
	/* And it narrows: else all of the above would say nothing. */
	print_message("%" PRIu64 " asked, %" PRIu64 " sure, %" PRIu64
	    " maybe\n", c.asked, c.sure, c.maybe);
	assert_true(c.sure > c.asked / 40 && c.maybe < c.asked / 4);
	text_free(&one);
	text_free(&two);
	text_free(&all);
	text_free(&odd);
}

/* ---- what was cut ---------------------------------------------------- */

static void
one_message(const char *message, struct text *out)
{
	struct extractor *x = extractor_new();
	struct builder *b = builder_new();

	extract_message(x, b, 1, span_str(message));
	extract_nothing(b, 2);
	assert_int_equal(builder_finish(b, NULL, NULL, out), 1);
	builder_free(&b);
	extractor_free(&x);
}

/* 's' sure, 'm' maybe, '-' neither: of the first and the second message. */
static void
asks(struct segment *s, enum index_field field, const char *text,
    const char *want)
{
	struct bits sure = bits_new(s->documents);
	struct bits maybe = bits_new(s->documents);
	struct text folded = TEXT_INIT(0);
	char got[3] = "";

	casemap_add(&folded, span_str(text));
	assert_int_equal(query_segment(s, field, text_span(&folded), &sure,
	    &maybe), 1);
	for (uint32_t i = 0; i < s->documents && i < 2; i++)
		got[i] = bits_have(&sure, i) ? 's' : bits_have(&maybe, i)
		    ? 'm' : '-';
	assert_string_equal(got, want);
	text_free(&folded);
	bits_free(&sure);
	bits_free(&maybe);
}

static void
what_is_known(void **state)
{
	struct text t = TEXT_INIT(0);
	struct segment s;

	(void)state;
	one_message("Subject: Re: The =?utf-8?q?M=C3=BCnchen?= plan\r\n"
	    "From: Ann Lee <ann@example.org>\r\nX-Spam: certainly\r\n"
	    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	    "--b\r\nContent-Type: text/plain\r\n\r\nHello fellow\r\n"
	    "--b\r\nContent-Type: text/html\r\n\r\n"
	    "<p>Gr&uuml;&szlig;e <b>bo</b>ld</p>\r\n"
	    "--b\r\nContent-Type: application/pdf\r\n\r\nsecretly\r\n--b--\r\n",
	    &t);
	open_segment(&s, &t);
	asks(&s, INDEX_SUBJECT, "m\u00fcnch", "sm");
	asks(&s, INDEX_SUBJECT, "the m\u00fc", "mm");
	asks(&s, INDEX_SUBJECT, "hello", "-m");
	asks(&s, INDEX_FROM, "ann@example", "mm");
	asks(&s, INDEX_FROM, "lee", "sm");
	asks(&s, INDEX_TEXT, "ello", "sm");
	asks(&s, INDEX_TEXT, "hello f", "mm");
	asks(&s, INDEX_TEXT, "subject: re", "mm");
	asks(&s, INDEX_TEXT, "spam", "sm");
	asks(&s, INDEX_BODY, "spam", "-m");
	asks(&s, INDEX_BODY, "content", "sm");
	asks(&s, INDEX_BODY, "secret", "-m");
	asks(&s, INDEX_BODY, "uuml", "sm");
	asks(&s, INDEX_HEADER, "certainly", "mm");
	asks(&s, INDEX_HEADER, "lee", "-m");
	asks(&s, INDEX_TEXT, "--", "mm");
	asks(&s, INDEX_TEXT, "hello fellow yellow", "-m");
	text_free(&t);
}

/* ---- fuzzy ----------------------------------------------------------- */

static void
finds(struct segment *s, const char *text, const char *want)
{
	struct stemmer *stemmer = stemmer_new(SPAN("english german klingon"));
	struct segment *all[] = { s };
	struct text folded = TEXT_INIT(0), got = TEXT_INIT(0);
	struct fuzzy_hit *hits;
	size_t n, damaged;

	assert_int_equal(stemmer_count(stemmer), 2);
	casemap_add(&folded, span_str(text));
	assert_int_equal(fuzzy_search(all, 1, INDEX_TEXT, text_span(&folded),
	    stemmer, &hits, &n, &damaged), 1);
	for (size_t round = 0; round < n; round++) {
		size_t best = 0;

		for (size_t i = 0; i < n; i++)
			if (hits[i].score > hits[best].score)
				best = i;
		assert_in_range(hits[best].score, 1, 100);
		hits[best].score = 0;
		text_printf(&got, "%u ", hits[best].uid);
	}
	text_char(&got, '\0');
	assert_string_equal(got.p, want);
	free(hits);
	text_free(&got);
	text_free(&folded);
	stemmer_free(&stemmer);
}

static void
words_alike(void **state)
{
	static const char *const messages[] = {
		"Subject: lunch\r\n\r\nThe reports about houses are here.",
		"Subject: reporting\r\n\r\nNothing in it.",
		"Subject: x\r\n\r\n\xe4\xb8\xad\xe5\x9b\xbd\xe4\xba\xba "
		    "\xe5\x8c\x97\xe4\xba\xac\xe5\xa4\xa7\xe5\xad\xa6",
		"Subject: y\r\n\r\nEin Haus und viele H\xc3\xa4user",
		"Subject: z\r\nContent-Type: text/html\r\n\r\n"
		    "<p>sch&ouml;ne <i>H&auml;u</i>ser</p>",
	};
	struct extractor *x = extractor_new();
	struct builder *b = builder_new();
	struct text t = TEXT_INIT(0);
	struct segment s;

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(messages); i++)
		extract_message(x, b, i + 1, span_str(messages[i]));
	assert_int_equal(builder_finish(b, NULL, NULL, &t), 1);
	open_segment(&s, &t);
	finds(&s, "report", "2 1 ");	/* a subject weighs more */
	finds(&s, "REPORTED", "2 1 ");
	finds(&s, "house", "1 ");
	finds(&s, "lun", "1 ");
	finds(&s, "nothing to be found zebra", "2 ");
	finds(&s, "zebra", "");
	finds(&s, "sch\xc3\xb6ne", "5 ");
	finds(&s, "H\xc3\xa4user", "4 5 ");
	finds(&s, "\xe5\x8c\x97\xe4\xba\xac", "3 ");
	finds(&s, "\xe4\xb8\xad\xe5\x9b\xbd\xe5\xa4\xa7\xe5\xad\xa6", "3 ");
	finds(&s, "", "");
	text_free(&t);
	builder_free(&b);
	extractor_free(&x);
}

/* ---- HTML ------------------------------------------------------------ */

static void
reads_as(const char *in, const char *want)
{
	struct text got = TEXT_INIT(0);

	html_words(span_str(in), &got);
	if (!span_is(text_span(&got), want))
		print_error("%s: %.*s\n", in, SPAN_ARG(text_span(&got)));
	assert_true(span_is(text_span(&got), want));
	text_free(&got);
}

static void
html(void **state)
{
	(void)state;
	reads_as("", "");
	reads_as("plain", "plain");
	reads_as("a<b>b</b>c", "abc");
	reads_as("a<p>b</p>c<br>d", "a b c d");
	reads_as("x<style>p { y: z }</style>w", "x w");
	reads_as("x<SCRIPT src=a>if (a < b) '</p>'</script>w", "x w");
	reads_as("x<script>never ended", "x ");
	reads_as("x<!-- <p> no -->y", "xy");
	reads_as("x<!-- never ended", "x");
	reads_as("<a title=\"1 > 0\" href='>'>y</a>", "y");
	reads_as("a < b", "a   b");
	reads_as("M&uuml;ller &amp; S&oslash;n", "Mu\u0308ller & S\u00f8n");
	reads_as("&#228;&#xe4;&#xE4;", "\u00e4\u00e4\u00e4");
	reads_as("&#1;&#xd800;&#x110000;", "   #x110000;");
	reads_as("so&shy;ft", "soft");
	reads_as("&nothing; & &", " nothing;    ");
	reads_as("<", " ");
	reads_as("x<", "x ");
	reads_as("&", " ");
}

/* ---- words ----------------------------------------------------------- */

static void
tokens_are(const char *in, const char *want)
{
	struct text t = TEXT_INIT(0);
	struct run token;
	struct span term;
	size_t at = 0;

	while (token_next(span_str(in), &at, &token)) {
		size_t n = 0;
		bool cut = false;

		text_str(&t, token.first ? "^" : "");
		while (term_next(&token, &n, &term, &cut)) {
			text_add(&t, term);
			text_char(&t, cut ? '~' : '|');
		}
		text_str(&t, token.last ? "$" : "");
	}
	text_char(&t, '\0');
	assert_string_equal(t.p, want);
	text_free(&t);
}

static void
tokens(void **state)
{
	(void)state;
	tokens_are("", "");
	tokens_are(" - ", "");
	tokens_are("ONE", "^ONE|$");
	tokens_are("ONE-TWO ", "^ONE|TWO|");
	tokens_are(" X1@Y", "X1|Y|$");
	tokens_are("A\u4e2d\u6587\u5b57B", "^A|\u4e2d\u6587|\u6587\u5b57|B|$");
	tokens_are("\u4e2d", "^\u4e2d|$");
	tokens_are("\u4e2d\u3002\u6587", "^\u4e2d|\u6587|$");
	tokens_are("U\u0308B", "^U\u0308B|$");
	tokens_are("01234567890123456789012345678901"
	    "01234567890123456789012345678901X",
	    "^0123456789012345678901234567890101234567890123456789012345678901"
	    "~01234567890123456789012345678901X~$");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(html),
		cmocka_unit_test(tokens),
		cmocka_unit_test(what_is_known),
		cmocka_unit_test(as_a_naive_search),
		cmocka_unit_test(words_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

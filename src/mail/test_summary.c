/* test_summary.c - records built, read back, bounded, damaged, forged. */
#include "mail/summary.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static const char sample[] =
    "Received: from x\r\n"
    "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n"
    "From: Ann Example <ann@example.test>\r\n"
    "Sender: ann@example.test\r\n"
    "To: Team: bob@example.test, =?utf-8?q?Carl?= <carl@example.test>;\r\n"
    "To: dan@example.test\r\n"
    "Subject: Re: [list] a\r\n folded one\r\n"
    "Message-ID: <3@x>\r\n"
    "In-Reply-To: <2@x>\r\n"
    "References: <1@x>\r\n\t<2@x>\r\n"
    "Content-Type: multipart/mixed; boundary=\"b\"\r\n"
    "Content-Language: en, de (German)\r\n"
    "\r\n"
    "--b\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n"
    "\r\n"
    "  Gr=C3=BC=C3=9Fe,\r\n\r\n  aus =\r\nBerlin\r\n"
    "--b\r\n"
    "Content-Type: message/rfc822\r\n"
    "Content-Disposition: attachment; filename*=utf-8''x%20y.eml\r\n"
    "Content-ID: <part@x>\r\n"
    "\r\n"
    "From: in@x\r\nSubject: inner\r\n\r\nbody\r\n"
    "--b--\r\n";

static void
build(struct span message, struct text *out)
{
	struct arena *a = arena_new(16 << 20);

	assert_int_equal(summary_build(message, &SUMMARY_LIMITS_DEFAULT, a,
	    out), 1);
	arena_free(&a);
	a = arena_new(64 << 20);
	assert_int_equal(summary_check(text_span(out), message.n, a), 1);
	arena_free(&a);
}

static void
test_fields(void **state)
{
	struct span message = span_str(sample);
	struct text t = TEXT_INIT(0);
	struct summary s;

	(void)state;
	build(message, &t);
	assert_int_equal(summary_open(text_span(&t), message.n, &s), 1);
	assert_int_equal(s.size, message.n);
	assert_true(span_starts(span_from(message, s.header_size),
	    SPAN("--b\r\n")));
	assert_int_equal(s.lines, 18);
	assert_int_equal(s.sent.seconds, 880127706);
	assert_int_equal(s.sent.offset, -360);
	assert_true(s.has_sent);
	assert_true(s.is_reply);
	assert_true(s.has_attachment);
	assert_false(s.truncated);
	assert_true(span_is(s.base_subject, "a folded one"));
	assert_true(span_is(s.preview, "Gr\xc3\xbc\xc3\x9f" "e, aus Berlin"));
	assert_true(s.thread_key == summary_message_id_key(SPAN("<1@x>")));
	assert_int_equal(summary_open(text_span(&t), message.n + 1, &s), 0);
	assert_int_equal(summary_open(text_span(&t), UINT64_MAX, &s), 1);
	text_free(&t);
}

static void
test_links(void **state)
{
	struct text in = TEXT_INIT(0), t = TEXT_INIT(0);
	struct summary s;

	(void)state;
	build(span_str(sample), &t);
	assert_int_equal(summary_open(text_span(&t), UINT64_MAX, &s), 1);
	assert_true(s.has_links);
	assert_int_equal(summary_links(&s), 3);
	assert_true(summary_link(&s, 0) == summary_message_id_key(
	    SPAN("<3@x>")));
	assert_true(summary_link(&s, 1) == s.thread_key);
	assert_true(summary_link(&s, 2) == summary_message_id_key(
	    SPAN("<2@x>")));
	/* Without References the first of In-Reply-To, undressed. */
	text_clear(&t);
	build(SPAN("In-Reply-To: your mail of <\"a b\\\"\"@ x>, <y>\r\n"
	    "References: none\r\n\r\n"), &t);
	assert_int_equal(summary_open(text_span(&t), UINT64_MAX, &s), 1);
	assert_int_equal(summary_links(&s), 2);
	assert_true(summary_link(&s, 0) == 0);
	assert_true(summary_link(&s, 1) == summary_message_id_key(
	    SPAN("<ab\"@x>")));
	/* Of too many the first and the last. */
	text_str(&in, "References:");
	for (int i = 1; i <= 300; i++)
		text_printf(&in, " <%d@x>", i);
	text_str(&in, "\r\n\r\n");
	text_clear(&t);
	build(text_span(&in), &t);
	assert_int_equal(summary_open(text_span(&t), UINT64_MAX, &s), 1);
	assert_int_equal(summary_links(&s), SUMMARY_LINKS_MAX);
	assert_true(summary_link(&s, 1) == summary_message_id_key(
	    SPAN("<1@x>")));
	assert_true(summary_link(&s, 2) == summary_message_id_key(
	    SPAN("<202@x>")));
	assert_true(summary_link(&s, SUMMARY_LINKS_MAX - 1) ==
	    summary_message_id_key(SPAN("<300@x>")));
	text_free(&in);
	text_free(&t);
}

/* As it was written before there were links. */
static void
test_version_1(void **state)
{
	static const char record[] = "S\x01\0\4\4\0\0\0\0\0\0\0\0\0\0\0"
	    "\1\1\0\0\0\0";
	struct summary s;

	(void)state;
	assert_int_equal(summary_open(span_of(record, sizeof(record) - 1),
	    4, &s), 1);
	assert_false(s.has_links);
	assert_int_equal(summary_links(&s), 0);
	assert_int_equal(s.size, 4);
}

static void
test_envelope(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct text t = TEXT_INIT(0);
	struct summary_envelope e;
	struct address_entry *to;
	struct summary s;

	(void)state;
	build(span_str(sample), &t);
	assert_int_equal(summary_open(text_span(&t), UINT64_MAX, &s), 1);
	assert_int_equal(summary_envelope(&s, a, &e), 1);
	assert_true(span_is(e.date, "Fri, 21 Nov 1997 09:55:06 -0600"));
	assert_true(span_is(e.subject, "Re: [list] a folded one"));
	assert_true(span_is(e.in_reply_to, "<2@x>"));
	assert_true(span_is(e.message_id, "<3@x>"));
	assert_true(span_is(e.from->name, "Ann Example"));
	assert_null(e.from->next);
	assert_true(span_is(e.sender->local, "ann"));
	assert_null(e.cc);
	assert_null(e.reply_to);
	to = e.to;
	assert_int_equal(to->kind, ADDRESS_GROUP);
	assert_true(span_is(to->name, "Team"));
	to = to->next->next;
	assert_true(span_is(to->name, "=?utf-8?q?Carl?="));
	to = to->next;
	assert_int_equal(to->kind, ADDRESS_GROUP_END);
	assert_true(span_is(to->next->local, "dan"));
	assert_null(to->next->next);
	text_free(&t);
	arena_free(&a);
}

static void
test_parts(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct span message = span_str(sample);
	struct summary_part *root, *p;
	struct text t = TEXT_INIT(0), name = TEXT_INIT(0);
	struct summary s;

	(void)state;
	build(message, &t);
	assert_int_equal(summary_open(text_span(&t), UINT64_MAX, &s), 1);
	assert_int_equal(summary_parts(&s, a, &root), 1);
	assert_int_equal(root->kind, MIME_MULTIPART);
	assert_true(span_is(root->params->name, "boundary"));
	assert_true(span_is(root->languages->value, "en"));
	assert_true(span_is(root->languages->next->value, "de"));
	assert_null(root->languages->next->next);
	p = root->first;
	assert_int_equal(p->number, 1);
	assert_int_equal(p->encoding_kind, MIME_QUOTED);
	assert_true(span_is(p->encoding, "quoted-printable"));
	assert_int_equal(p->body_lines, 3);
	assert_true(span_starts(span_from(message, p->body_at),
	    SPAN("  Gr=C3")));
	p = p->next;
	assert_int_equal(p->number, 2);
	assert_null(p->next);
	assert_int_equal(p->kind, MIME_MESSAGE);
	assert_true(span_is(p->id, "<part@x>"));
	assert_true(span_is(p->disposition, "attachment"));
	assert_true(p->disposition_params->extended);
	words_param_text(p->disposition_params, &name);
	assert_true(span_is(text_span(&name), "x y.eml"));
	assert_true(span_is(p->envelope->subject, "inner"));
	assert_true(span_is(p->envelope->from->local, "in"));
	assert_int_equal(p->first->header_at, p->body_at);
	assert_true(span_is(span_sub(message, p->first->body_at,
	    p->first->body_size), "body"));
	text_free(&t);
	text_free(&name);
	arena_free(&a);
}

static void
test_little(void **state)
{
	struct text t = TEXT_INIT(0);
	struct summary s;

	(void)state;
	build(SPAN_EMPTY, &t);
	assert_int_equal(summary_open(text_span(&t), 0, &s), 1);
	assert_int_equal(s.preview.n, 0);
	assert_true(s.thread_key == 0);
	assert_false(s.has_sent);
	text_clear(&t);
	build(SPAN("In-Reply-To: Your message of <7@x>\n\nx"), &t);
	assert_int_equal(summary_open(text_span(&t), UINT64_MAX, &s), 1);
	assert_true(s.thread_key == summary_message_id_key(SPAN("<7@x>")));
	assert_true(span_is(s.preview, "x"));
	text_free(&t);
}

static void
preview(const char *message, const char *want)
{
	struct text t = TEXT_INIT(0);
	struct summary s;

	build(span_str(message), &t);
	assert_int_equal(summary_open(text_span(&t), UINT64_MAX, &s), 1);
	if (!span_is(s.preview, want))
		print_error("%.*s\n", SPAN_ARG(s.preview));
	assert_true(span_is(s.preview, want));
	text_free(&t);
}

static void
test_preview(void **state)
{
	(void)state;
	preview("\n  a \t b\r\n\r\nc\x01" "d", "a b c d");
	preview("\ncaf\xc3\xa9 \xe9", "caf\xc3\xa9 \xc3\xa9");
	preview("Content-Type: text/html\n\n<html><head><title>T</title>"
	    "<style>p{}</style></head><body><!-- no > --><p>One&nbsp;&amp; "
	    "two</p><script>x</script>&#x20AC;&#65;&bogus;&",
	    "One & two \xe2\x82\xac" "A&bogus;&");
	preview("Content-Type: image/png\n\nx", "");
	preview("Content-Type: multipart/alternative; boundary=b\n\n"
	    "--b\nContent-Type: text/html\n\n<b>html</b>\n"
	    "--b\nContent-Type: text/plain\nContent-Transfer-Encoding: "
	    "base64\n\ncGxhaW4=\n--b--\n", "plain");
	preview("Content-Type: text/plain; charset=iso-8859-2\n\n\xb1",
	    "\xc4\x85");
	preview("\n"
	    "0123456789 0123456789 0123456789 0123456789 0123456789 "
	    "0123456789 0123456789 0123456789 0123456789 0123456789 "
	    "0123456789 0123456789 0123456789 0123456789 0123456789 "
	    "0123456789 0123456789 0123456789 0123456789 0123456789 ",
	    "0123456789 0123456789 0123456789 0123456789 0123456789 "
	    "0123456789 0123456789 0123456789 0123456789 0123456789 "
	    "0123456789 0123456789 0123456789 0123456789 0123456789 "
	    "0123456789 0123456789 0123456789 01");
}

/* Whatever is too much: the record stays within its bound, and is good. */
static void
bounded(struct text *message)
{
	struct text t = TEXT_INIT(SUMMARY_MAX);
	struct arena *a = arena_new(1 << 20);
	struct summary_part *root;
	struct summary s;

	build(text_span(message), &t);
	assert_true(t.n <= SUMMARY_MAX);
	assert_int_equal(summary_open(text_span(&t), message->n, &s), 1);
	assert_true(s.truncated);
	assert_int_equal(summary_parts(&s, a, &root), 1);
	assert_int_equal(root->kind, MIME_LEAF);
	assert_int_equal(root->body_at + root->body_size, message->n);
	text_free(&t);
	arena_free(&a);
	text_clear(message);
}

static void
test_bounds(void **state)
{
	struct text m = TEXT_INIT(0);
	int i;

	(void)state;
	text_str(&m, "Content-Type: multipart/mixed; boundary=b\n\n");
	for (i = 0; i < 20000; i++)
		text_str(&m, "--b\n\n\n");
	bounded(&m);
	text_str(&m, "To: ");
	for (i = 0; i < 20000; i++)
		text_printf(&m, "\"%d\" <u%d@example.test>,\r\n ", i, i);
	text_str(&m, "\r\n\r\n");
	bounded(&m);
	for (i = 0; i < 100000; i++)
		text_str(&m, "To: a b c <a@b>\n");
	bounded(&m);
	text_str(&m, "Subject: ");
	for (i = 0; i < 2000000; i++)
		text_str(&m, "\xc3\xa9\n ");
	bounded(&m);
	for (i = 0; i < 300; i++)
		text_str(&m, i % 2 == 0 ? "From: " : "Cc: \"");
	while (m.n < 3000000)
		text_str(&m, "x\\\"y ");
	bounded(&m);
	text_str(&m, "Content-Type: a/b; ");
	for (i = 0; i < 64; i++) {
		text_printf(&m, "p%d*1=\"", i);
		while (m.n % 40000 != 0)
			text_char(&m, 'x');
		text_str(&m, "\";");
	}
	bounded(&m);
	text_free(&m);
}

/* The largest thing a cut record can be still fits. */
static void
test_worst_cut(void **state)
{
	static const char *const lists[] = {
		"From", "Sender", "Reply-To", "To", "Cc", "Bcc"
	};
	static const char *const strings[] = {
		"Date", "Subject", "In-Reply-To", "Message-ID", "Content-ID",
		"Content-Description", "Content-MD5", "Content-Location"
	};
	struct text m = TEXT_INIT(0), s = TEXT_INIT(0);
	size_t i, j;

	(void)state;
	while (s.n < 400)
		text_str(&s, "x");
	text_char(&s, '\0');
	for (i = 0; i < ARRAY_LEN(lists); i++) {
		text_printf(&m, "%s: ", lists[i]);
		for (j = 0; j < 60; j++)
			text_printf(&m, "%s <@%s:%s@%s>, ", s.p, s.p, s.p,
			    s.p);
		text_str(&m, "\n");
	}
	for (i = 0; i < ARRAY_LEN(strings); i++)
		text_printf(&m, "%s: %s\n", strings[i], s.p);
	text_printf(&m, "Content-Type: %s/%s", s.p, s.p);
	for (j = 0; j < 20; j++)
		text_printf(&m, "; %s%zu=%s", s.p, j, s.p);
	text_printf(&m, "\nContent-Disposition: %s", s.p);
	for (j = 0; j < 20; j++)
		text_printf(&m, "; %s%zu=%s", s.p, j, s.p);
	text_str(&m, "\nContent-Language: ");
	for (j = 0; j < 20; j++)
		text_printf(&m, "%s, ", s.p);
	text_str(&m, "\nReferences:");
	for (j = 0; j < 200; j++)
		text_printf(&m, " <%zu@x>", j);
	text_printf(&m, "\n\n%s", s.p);
	bounded(&m);
	text_free(&m);
	text_free(&s);
}

/* Any damage is refused or harmless: every cut, every byte changed. */
static void
test_damage(void **state)
{
	struct text t = TEXT_INIT(0);
	struct span message = span_str(sample);
	struct arena *a;
	size_t i;
	char *copy;
	int bit;

	(void)state;
	build(message, &t);
	for (i = 0; i < t.n; i++) {
		copy = xmalloc(i + 1);
		memcpy(copy, t.p, i);
		a = arena_new(1 << 20);
		assert_int_equal(summary_check(span_of(copy, i), message.n,
		    a), 0);
		arena_free(&a);
		free(copy);
	}
	for (i = 0; i < t.n * 8; i++) {
		bit = 1 << (i % 8);
		t.p[i / 8] = (char)(t.p[i / 8] ^ bit);
		a = arena_new(1 << 20);
		assert_true(summary_check(text_span(&t), message.n, a) >= 0);
		arena_free(&a);
		t.p[i / 8] = (char)(t.p[i / 8] ^ bit);
	}
	text_free(&t);
}

static void
test_forged(void **state)
{
	/* a tree of messages, each in the other, deeper than is let pass */
	struct text t = TEXT_INIT(0);
	struct arena *a = arena_new(16 << 20);
	struct summary s = { .size = 100 };
	struct summary_part *root;
	int i;

	(void)state;
	for (i = 0; i < 5000; i++) {
		text_add(&t, SPAN("\2\1\0\0"));
		text_char(&t, i == 0 ? 100 : 100);
		text_add(&t, SPAN("\0\0\0\0\0\0\0\0\0\0\0\0"));
		text_add(&t, SPAN("\0\0\0\0\0\0\0\0\0\0"));
	}
	s.parts_record = text_span(&t);
	assert_int_equal(summary_parts(&s, a, &root), 0);
	/* as many children as a number can say */
	text_clear(&t);
	text_add(&t, SPAN("\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0\0"));
	text_add(&t, SPAN("\144\0\0\0\0\0\0\0\0\0\0\0\0"));
	s.parts_record = text_span(&t);
	assert_int_equal(summary_parts(&s, a, &root), 0);
	arena_free(&a);
	text_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_little),
		cmocka_unit_test(test_preview),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_worst_cut),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_forged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

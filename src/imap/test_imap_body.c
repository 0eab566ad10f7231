/* test_imap_body.c - body structures, and which bytes a section means. */
#include "imap/imap_body.h"
#include "mail/mime.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

struct opened {
	struct arena *arena;
	struct text record;
	struct summary s;
	struct summary_part *root;
	struct span message;
};

static struct opened
open_message(const char *message)
{
	struct opened o = {
		.arena = arena_new(16 << 20), .record = TEXT_INIT(0),
		.message = span_str(message)
	};

	assert_int_equal(summary_build(o.message, &SUMMARY_LIMITS_DEFAULT,
	    o.arena, &o.record), 1);
	assert_int_equal(summary_open(text_span(&o.record), o.message.n,
	    &o.s), 1);
	assert_int_equal(summary_parts(&o.s, o.arena, &o.root), 1);
	return o;
}

static void
close_message(struct opened *o)
{
	text_free(&o->record);
	arena_free(&o->arena);
}

static void
structure(const char *message, bool extended, const char *want)
{
	struct opened o = open_message(message);
	struct text t = TEXT_INIT(0);

	imap_add_body(&t, o.root, extended, IMAP_TEXT_ASCII);
	if (!span_is(text_span(&t), want))
		print_error("got %.*s\n", SPAN_ARG(text_span(&t)));
	assert_true(span_is(text_span(&t), want));
	text_free(&t);
	close_message(&o);
}

static void
test_simple(void **state)
{
	(void)state;
	structure("Subject: x\r\n\r\none\r\ntwo\r\n", false,
	    "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL "
	    "\"7bit\" 10 2)");
	structure("Subject: x\r\n\r\none\r\ntwo\r\n", true,
	    "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL "
	    "\"7bit\" 10 2 NIL NIL NIL NIL)");
	structure("Content-Type: TEXT/Html; format=flowed\r\n\r\n", false,
	    "(\"TEXT\" \"Html\" (\"format\" \"flowed\" \"charset\" "
	    "\"us-ascii\") NIL NIL \"7bit\" 0 0)");
	structure("Content-Type: image/png; name=\"a b\"\r\n"
	    "Content-Transfer-Encoding: BASE64\r\nContent-ID: <i@x>\r\n"
	    "Content-Description: caf\xc3\xa9\r\n"
	    "Content-MD5: Q2hlY2s=\r\nContent-Language: en, fr\r\n"
	    "Content-Location: http://x/\r\nContent-Disposition: "
	    "attachment; filename*=utf-8''%C3%A9; size=4\r\n\r\nAAAA", true,
	    "(\"image\" \"png\" (\"name\" \"a b\") \"<i@x>\" "
	    "\"=?UTF-8?Q?caf=C3=A9?=\" \"BASE64\" 4 \"Q2hlY2s=\" "
	    "(\"attachment\" (\"filename*\" \"utf-8''%C3%A9\" \"size\" "
	    "\"4\")) (\"en\" \"fr\") \"http://x/\")");
	structure("Content-Type: a/b\r\nContent-Disposition: inline\r\n"
	    "Content-Language: en\r\n\r\n", true,
	    "(\"a\" \"b\" NIL NIL NIL \"7bit\" 0 NIL (\"inline\" NIL) "
	    "\"en\" NIL)");
}

static const char nested[] =
    "Content-Type: multipart/mixed; boundary=o\r\n\r\n"
    "--o\r\n\r\none\r\n"
    "--o\r\nContent-Type: message/rfc822\r\n\r\n"
    "From: a@b\r\nSubject: in\r\n"
    "Content-Type: multipart/alternative; boundary=i\r\n\r\n"
    "--i\r\nX-Part: p\r\n\r\nplain\r\n"
    "--i\r\nContent-Type: text/html\r\n\r\n<b>\r\n--i--\r\n"
    "--o\r\nContent-Type: message/rfc822\r\n\r\n"
    "Subject: simple\r\n\r\nits body\r\n"
    "--o--\r\n";

static void
test_nested(void **state)
{
	(void)state;
	structure(nested, false,
	    "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL "
	    "\"7bit\" 3 0)"
	    "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 142 "
	    "(NIL \"in\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) "
	    "((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL NIL) "
	    "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL "
	    "\"7bit\" 5 0)(\"text\" \"html\" (\"charset\" \"us-ascii\") NIL "
	    "NIL \"7bit\" 3 0) \"alternative\") 12)"
	    "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 27 "
	    "(NIL \"simple\" NIL NIL NIL NIL NIL NIL NIL NIL) "
	    "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL "
	    "\"7bit\" 8 0) 2) \"mixed\")");
	structure("Content-Type: multipart/x; boundary=b\r\n\r\n"
	    "--b\r\n\r\n--b--", true,
	    "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL "
	    "\"7bit\" 0 0 NIL NIL NIL NIL) \"x\" (\"boundary\" \"b\") NIL "
	    "NIL NIL)");
}

static void
test_broken(void **state)
{
	(void)state;
	structure("Content-Type: multipart/x; boundary=b\r\n\r\nnothing",
	    false, "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL "
	    "\"7bit\" 0 0) \"x\")");
	structure("Content-Type: multipart/x\r\n\r\nno boundary", false,
	    "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL "
	    "\"7bit\" 11 0)");
	structure("Content-Type: message/rfc822\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\nAAAA", false,
	    "(\"application\" \"octet-stream\" NIL NIL NIL \"base64\" 4)");
}

/* ---- sections ------------------------------------------------------------ */

/* The bytes of a section, "!" when it is none, "-" when it is not there. */
static void
section(struct opened *o, const char *text, const char *want)
{
	struct text t = TEXT_INIT(0), again = TEXT_INIT(0);
	struct imap_section s;
	struct imap_extent e;
	struct span bytes;

	if (imap_section_parse(span_str(text), o->arena, &s) != 1) {
		text_str(&t, "!");
	} else if (imap_section_extent(&s, &o->s,
	    imap_section_needs_parts(&s) ? o->root : NULL, &e) != 1) {
		text_str(&t, "-");
	} else {
		bytes = span_sub(o->message, e.at, e.size);
		assert_true(e.at + e.size <= o->message.n);
		if (s.kind == IMAP_SECTION_FIELDS ||
		    s.kind == IMAP_SECTION_FIELDS_NOT)
			imap_add_section_fields(&t, &s, bytes);
		else
			text_add(&t, bytes);
	}
	if (!span_is(text_span(&t), want))
		print_error("%s: got %.*s\n", text, SPAN_ARG(text_span(&t)));
	assert_true(span_is(text_span(&t), want));
	text_free(&t);
	text_free(&again);
}

static void
test_sections(void **state)
{
	struct opened o = open_message(nested);

	(void)state;
	section(&o, "", nested);
	section(&o, "HEADER",
	    "Content-Type: multipart/mixed; boundary=o\r\n\r\n");
	section(&o, "1", "one");
	section(&o, "1.MIME", "\r\n");
	section(&o, "1.TEXT", "-");
	section(&o, "1.1", "-");
	section(&o, "2.HEADER", "From: a@b\r\nSubject: in\r\n"
	    "Content-Type: multipart/alternative; boundary=i\r\n\r\n");
	section(&o, "2.mime", "Content-Type: message/rfc822\r\n\r\n");
	section(&o, "2.HEADER.FIELDS (subject \"FROM\" x)",
	    "From: a@b\r\nSubject: in\r\n\r\n");
	section(&o, "2.HEADER.FIELDS.NOT (Content-Type From)",
	    "Subject: in\r\n\r\n");
	section(&o, "2.TEXT", "--i\r\nX-Part: p\r\n\r\nplain\r\n"
	    "--i\r\nContent-Type: text/html\r\n\r\n<b>\r\n--i--");
	section(&o, "2.1", "plain");
	section(&o, "2.1.MIME", "X-Part: p\r\n\r\n");
	section(&o, "2.2", "<b>");
	section(&o, "2.3", "-");
	section(&o, "3", "Subject: simple\r\n\r\nits body");
	section(&o, "3.1", "its body");
	section(&o, "3.2", "-");
	section(&o, "3.TEXT", "its body");
	section(&o, "4", "-");
	close_message(&o);
	o = open_message("A: b\r\nC: d\r\n e\r\n\r\nbody");
	section(&o, "1", "body");
	section(&o, "1.MIME", "A: b\r\nC: d\r\n e\r\n\r\n");
	section(&o, "2", "-");
	section(&o, "1.1", "-");
	section(&o, "TEXT", "body");
	section(&o, "HEADER.FIELDS (c)", "C: d\r\n e\r\n\r\n");
	section(&o, "HEADER.FIELDS (z)", "\r\n");
	section(&o, "HEADER.FIELDS.NOT (c)", "A: b\r\n\r\n");
	close_message(&o);
	o = open_message("A: b");
	section(&o, "HEADER.FIELDS (a)", "A: b\r\n\r\n");
	close_message(&o);
}

static void
test_section_syntax(void **state)
{
	static const char *const wrong[] = {
		"0", "01", "1.", ".1", "1..2", "a", "MIME", "1.0",
		"HEADER.FIELDS", "HEADER.FIELDS ", "HEADER.FIELDS ()",
		"HEADER.FIELDS (a", "HEADER.FIELDS a", "HEADER.FIELDS (a )",
		"HEADER.FIELDS ( a)", "HEADER.FIELDS (a  b)",
		"HEADER.FIELDS (\"a)", "HEADER.FIELDS (a\"b)", "HEADER x",
		"TEXT ", "4294967296", "1.TEXTX", "HEADER.FIELDS (a:b)",
	};
	struct opened o = open_message("A: b\r\n\r\n");
	struct imap_section s;
	struct text t = TEXT_INIT(0);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(wrong); i++)
		section(&o, wrong[i], "!");
	for (i = 0; i < 127; i++)
		text_str(&t, "1.");
	text_str(&t, "1");
	assert_int_equal(imap_section_parse(text_span(&t), o.arena, &s), 1);
	text_str(&t, ".1");
	assert_int_equal(imap_section_parse(text_span(&t), o.arena, &s), 0);
	text_free(&t);
	close_message(&o);
}

static void
test_section_shown(void **state)
{
	static const char *const rows[][2] = {
		{ "", "BODY[]" }, { "1.2", "BODY[1.2]" },
		{ "text", "BODY[TEXT]" }, { "1.mime", "BODY[1.MIME]" },
		{ "1.header.fields (From \"a\\\"b\" \"x y\")",
		    "BODY[1.HEADER.FIELDS (From \"a\\\"b\" \"x y\")]" },
		{ "HEADER.FIELDS.NOT (a)", "BODY[HEADER.FIELDS.NOT (a)]" },
	};
	struct arena *a = arena_new(1 << 16);
	struct text t = TEXT_INIT(0);
	struct imap_section s;
	struct imap_extent e;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		text_clear(&t);
		assert_int_equal(imap_section_parse(span_str(rows[i][0]), a,
		    &s), 1);
		imap_add_section(&t, &s);
		assert_true(span_is(text_span(&t), rows[i][1]));
	}
	s = (struct imap_section){
		.is_partial = true, .origin = 5, .octets = 10
	};
	text_clear(&t);
	imap_add_section(&t, &s);
	assert_true(span_is(text_span(&t), "BODY[]<5>"));
	e = imap_section_partial(&s, (struct imap_extent){ 100, 12 });
	assert_true(e.at == 105 && e.size == 7);
	e = imap_section_partial(&s, (struct imap_extent){ 100, 3 });
	assert_true(e.at == 103 && e.size == 0);
	s.origin = UINT64_MAX;
	e = imap_section_partial(&s, (struct imap_extent){ 100, 3 });
	assert_true(e.at == 103 && e.size == 0);
	text_free(&t);
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_section_syntax),
		cmocka_unit_test(test_section_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

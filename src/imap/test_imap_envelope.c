/* test_imap_envelope.c - strings on the wire, and envelopes. */
#include "imap/imap_envelope.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef void adder(struct text *, struct span, enum imap_text_mode);

static void
writes(adder *add, struct span in, enum imap_text_mode mode, const char *want)
{
	struct text t = TEXT_INIT(0);

	add(&t, in, mode);
	if (!span_is(text_span(&t), want))
		print_error("got %.*s\n", SPAN_ARG(text_span(&t)));
	assert_true(span_is(text_span(&t), want));
	text_free(&t);
}

static void
test_strings(void **state)
{
	(void)state;
	writes(imap_add_nstring, SPAN_EMPTY, IMAP_TEXT_ASCII, "NIL");
	writes(imap_add_nstring, SPAN(""), IMAP_TEXT_ASCII, "\"\"");
	writes(imap_add_nstring, SPAN("NIL"), IMAP_TEXT_ASCII, "\"NIL\"");
	writes(imap_add_string, SPAN_EMPTY, IMAP_TEXT_ASCII, "\"\"");
	writes(imap_add_string, SPAN("a\"b\\c"), IMAP_TEXT_ASCII,
	    "\"a\\\"b\\\\c\"");
	writes(imap_add_string, SPAN("a\r\nb"), IMAP_TEXT_ASCII,
	    "{4}\r\na\r\nb");
	writes(imap_add_string, SPAN("a\0b"), IMAP_TEXT_ASCII,
	    "{3}\r\na?b");
	writes(imap_add_string, SPAN("\xc3\xa9"), IMAP_TEXT_ASCII,
	    "{2}\r\n\xc3\xa9");
	writes(imap_add_string, SPAN("\xc3\xa9"), IMAP_TEXT_UTF8,
	    "\"\xc3\xa9\"");
	writes(imap_add_string, SPAN("\xe9"), IMAP_TEXT_UTF8,
	    "{1}\r\n\xe9");
}

/* What a byte becomes between quotes; NULL: none may. */
static const char *
quoted(unsigned char c)
{
	static char room[3];

	if (c == '\r' || c == '\n' || c == '\0' || c >= 0x80)
		return NULL;
	snprintf(room, sizeof(room), "%s%c", c == '"' || c == '\\' ? "\\" : "",
	    c);
	return room;
}

/* Every byte, at every place of strings of every length. */
static void
test_every_byte(void **state)
{
	char in[40], want[64];

	(void)state;
	for (size_t n = 1; n <= 26; n++)
		for (size_t at = 0; at < n; at++)
			for (unsigned c = 0; c < 256; c++) {
				const char *q = quoted((unsigned char)c);

				memset(in, 'x', n);
				in[at] = (char)c;
				if (q != NULL)
					snprintf(want, sizeof(want),
					    "\"%.*s%s%.*s\"", (int)at,
					    "xxxxxxxxxxxxxxxxxxxxxxxxxxxx", q,
					    (int)(n - at - 1),
					    "xxxxxxxxxxxxxxxxxxxxxxxxxxxx");
				else
					snprintf(want, sizeof(want),
					    "{%zu}\r\n%.*s%c%.*s", n,
					    (int)at, in, c == 0 ? '?' : (int)c,
					    (int)(n - at - 1), in + at + 1);
				writes(imap_add_string, span_of(in, n),
				    IMAP_TEXT_ASCII, want);
			}
}

static void
test_free_text(void **state)
{
	(void)state;
	writes(imap_add_free_text, SPAN("plain"), IMAP_TEXT_ASCII,
	    "\"plain\"");
	writes(imap_add_free_text, SPAN("caf\xc3\xa9"), IMAP_TEXT_ASCII,
	    "\"=?UTF-8?Q?caf=C3=A9?=\"");
	writes(imap_add_free_text, SPAN("caf\xc3\xa9"), IMAP_TEXT_UTF8,
	    "\"caf\xc3\xa9\"");
	writes(imap_add_free_text, SPAN("caf\xe9"), IMAP_TEXT_UTF8,
	    "\"=?unknown-8bit?Q?caf=E9?=\"");
}

static void
test_astrings(void **state)
{
	(void)state;
	writes(imap_add_astring, SPAN("INBOX"), IMAP_TEXT_ASCII, "INBOX");
	writes(imap_add_astring, SPAN("a]b/c&-"), IMAP_TEXT_ASCII,
	    "a]b/c&-");
	writes(imap_add_astring, SPAN(""), IMAP_TEXT_ASCII, "\"\"");
	writes(imap_add_astring, SPAN("nil"), IMAP_TEXT_ASCII, "\"nil\"");
	writes(imap_add_astring, SPAN("a b"), IMAP_TEXT_ASCII, "\"a b\"");
	writes(imap_add_astring, SPAN("a%"), IMAP_TEXT_ASCII, "\"a%\"");
	writes(imap_add_astring, SPAN("a*"), IMAP_TEXT_ASCII, "\"a*\"");
}

static void
envelope(const char *message, const char *want)
{
	struct arena *a = arena_new(16 << 20);
	struct text record = TEXT_INIT(0), t = TEXT_INIT(0);
	struct summary_envelope e;
	struct summary s;

	assert_int_equal(summary_build(span_str(message),
	    &SUMMARY_LIMITS_DEFAULT, a, &record), 1);
	assert_int_equal(summary_open(text_span(&record), UINT64_MAX, &s),
	    1);
	assert_int_equal(summary_envelope(&s, a, &e), 1);
	imap_add_envelope(&t, &e, IMAP_TEXT_ASCII);
	if (!span_is(text_span(&t), want))
		print_error("got %.*s\n", SPAN_ARG(text_span(&t)));
	assert_true(span_is(text_span(&t), want));
	text_free(&t);
	text_free(&record);
	arena_free(&a);
}

static void
test_envelopes(void **state)
{
	(void)state;
	/* RFC 3501 8 */
	envelope("Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
	    "From: Terry Gray <gray@cac.washington.edu>\r\n"
	    "Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
	    "To: imap@cac.washington.edu\r\n"
	    "cc: minutes@CNRI.Reston.VA.US, John Klensin "
	    "<KLENSIN@MIT.EDU>\r\n"
	    "Message-Id: <B27397-0100000@cac.washington.edu>\r\n\r\n",
	    "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" "
	    "\"IMAP4rev1 WG mtg summary and minutes\" "
	    "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	    "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	    "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	    "((NIL NIL \"imap\" \"cac.washington.edu\")) "
	    "((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")"
	    "(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL "
	    "\"<B27397-0100000@cac.washington.edu>\")");
	envelope("", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
	envelope("Subject:\r\nTo: Us: a@b;, undisclosed:;\r\n"
	    "Reply-To: <@r:x@y>\r\nFrom: nobody\r\n\r\n",
	    "(NIL \"\" ((NIL NIL \"nobody\" \"\")) ((NIL NIL \"nobody\" "
	    "\"\")) ((NIL \"@r\" \"x\" \"y\")) ((NIL NIL \"Us\" NIL)"
	    "(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL)(NIL NIL \"undisclosed\""
	    " NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)");
	envelope("Subject: caf\xc3\xa9 \"x\"\r\nFrom: J\xfcrgen <j@x>\r\n"
	    "Message-ID: <\xc3\xa9>\r\n\r\n",
	    "(NIL \"=?UTF-8?Q?caf=C3=A9?= \\\"x\\\"\" "
	    "((\"=?unknown-8bit?Q?J=FCrgen?=\" NIL \"j\" \"x\")) "
	    "((\"=?unknown-8bit?Q?J=FCrgen?=\" NIL \"j\" \"x\")) "
	    "((\"=?unknown-8bit?Q?J=FCrgen?=\" NIL \"j\" \"x\")) "
	    "NIL NIL NIL NIL {4}\r\n<\xc3\xa9>)");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_free_text),
		cmocka_unit_test(test_astrings),
		cmocka_unit_test(test_envelopes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

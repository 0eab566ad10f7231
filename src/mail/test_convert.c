/*
 * test_convert.c - messages for seven bits: what comes out is that, and says
 * the same. Given "-", it converts its standard input instead, for
 * test/convert_reader.py, which reads the result with another library.
 */
#include "mail/convert.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mail/encode.h"
#include "mail/mime.h"

#define E "\xc3\xa9"
#define MIXED "MIME-Version: 1.0\r\n" \
    "Content-Type: multipart/mixed; boundary=b\r\n"

static struct text out, why;

static int
convert_span(struct span message)
{
	struct arena *arena = arena_new(1 << 20);
	int status;

	text_clear(&out);
	text_clear(&why);
	status = convert_to_7bit(message, arena, &out, &why);
	text_char(&out, '\0');
	text_char(&why, '\0');
	arena_free(&arena);
	return status;
}

static int
convert(const char *message)
{
	return convert_span(span_str(message));
}

static int
tear_down(void **state)
{
	(void)state;
	text_free(&out);
	text_free(&why);
	return 0;
}

/* -- what becomes of what ---- */

static const struct {
	const char *in, *out;
} rows[] = {
	/* Nothing to do. */
	{ "Subject: x\r\n\r\nhello\r\n", "Subject: x\r\n\r\nhello\r\n" },
	{ "Subject: x\r\n", "Subject: x\r\n" },
	/* It was never declared. */
	{ "Subject: x\r\n\r\nh" E "\r\n",
	    "Subject: x\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "h=C3=A9\r\n" },
	{ "Subject: x\r\n\r\nabcdefghijklmnop\xe9\r\n",
	    "Subject: x\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=unknown-8bit\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "abcdefghijklmnop=E9\r\n" },
	/* In its place; once. */
	{ "mime-version: 1.0\r\nContent-transfer-encoding:\r\n 8bit\r\n"
	    "Content-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\n"
	    "\r\nh" E " \r\nx=\r\n",
	    "mime-version: 1.0\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n"
	    "Content-Type: text/html\r\n\r\nh=C3=A9=20\r\nx=3D\r\n" },
	/* Base64 where that is shorter, or the bytes are no text. */
	{ "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=x\r\n\r\n"
	    E E E E E E E E E E E E E E E E E E E E E E E E E E E E E E,
	    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=x\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\n"
	    "w6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOp"
	    "w6nDqcOpw6nD\r\nqcOp\r\n" },
	{ "MIME-Version: 1.0\r\nContent-Type: x/y\r\n\r\na\nb",
	    "MIME-Version: 1.0\r\nContent-Type: x/y\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\nYQpi\r\n" },
	/* Parts, each on its own; what stands between them. */
	{ MIXED "Content-Transfer-Encoding: 8bit\r\n\r\npre\r\n--b\r\n\r\n"
	    "abcdefghijklmnopq" E "\r\n--b\r\nContent-Transfer-Encoding: 8bit"
	    "\r\n\r\nok\r\n--b--\r\npost\r\n",
	    MIXED "Content-Transfer-Encoding: 7bit\r\n\r\npre\r\n--b\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "abcdefghijklmnopq=C3=A9\r\n--b\r\n"
	    "Content-Transfer-Encoding: 7bit\r\n\r\nok\r\n--b--\r\npost\r\n" },
	{ MIXED "\r\np" E "e\r\n--b\r\n\r\nok\r\n--b--\r\np" E "st",
	    MIXED "\r\np??e\r\n--b\r\n\r\nok\r\n--b--\r\np??st\r\n" },
	/* A message within: so it is there. */
	{ "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n"
	    "Subject: y\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
	    "abcdefghijklmnopq" E "\r\n",
	    "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n"
	    "Content-Transfer-Encoding: 7bit\r\n\r\n"
	    "Subject: y\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "abcdefghijklmnopq=C3=A9\r\n" },
	/* Quoted-printable that was not, and base64 that was not. */
	{ "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "abcdefghijklmnopq" E "=C3=A9\r\n",
	    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "abcdefghijklmnopq=C3=A9=C3=A9\r\n" },
	{ "MIME-Version: 1.0\r\nContent-Type: x/y\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\nYQ" E "pi\r\n",
	    "MIME-Version: 1.0\r\nContent-Type: x/y\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\nYQpi\r\n" },
	/* What was no field is none, what was a value is the same one. */
	{ "Content-Transfer-Encoding\r: base64\r\n\r\nYQpi\r\n",
	    "Content-Transfer-Encoding?: base64\r\nMIME-Version: 1.0\r\n"
	    "\r\nYQpi\r\n" },
	{ "Subject: x\r\n\ry: z\r\n\r\nhello\r\n",
	    "Subject: x\r\n?y: z\r\nMIME-Version: 1.0\r\n\r\nhello\r\n" },
	{ "Content-Transfer-Encoding:\rbase64\r\r\n\r\nYQpi\r\n",
	    "Content-Transfer-Encoding: base64 \r\nMIME-Version: 1.0\r\n"
	    "\r\nYQpi\r\n" },
	/* Signed, and there is nothing to do within. */
	{ MIXED "\r\n--b\r\nContent-Type: multipart/signed; boundary=c\r\n"
	    "\r\n--c\r\nContent-Transfer-Encoding: 8bit\r\n\r\nok\r\n--c--\r\n"
	    "--b\r\n\r\nabcdefghijklmnopq" E "\r\n--b--\r\n",
	    MIXED "\r\n--b\r\nContent-Type: multipart/signed; boundary=c\r\n"
	    "\r\n--c\r\nContent-Transfer-Encoding: 8bit\r\n\r\nok\r\n--c--\r\n"
	    "--b\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "abcdefghijklmnopq=C3=A9\r\n--b--\r\n" },
};

static void
forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (convert(rows[i].in) != 1)
			fail_msg("row %zu: %s", i, why.p);
		assert_string_equal(out.p, rows[i].out);
	}
}

static void
what_cannot_be(void **state)
{
	static const struct {
		const char *in, *why;
	} no[] = {
		{ "Subject: " E "\r\n\r\nx\r\n",
		    "its header has 8-bit characters" },
		{ MIXED "\r\n--b\r\nX: " E "\r\n\r\nx\r\n--b--\r\n",
		    "the header of a part has 8-bit characters" },
		{ "Content-Type: multipart/signed; boundary=b\r\n\r\n"
		    "--b\r\n\r\n" E "\r\n--b--\r\n",
		    "a signature would break" },
		{ "Content-Type: multipart/encrypted; boundary=b\r\n\r\n"
		    "--b\r\n\r\n" E "\r\n--b--\r\n",
		    "it is encrypted as it is" },
		{ "Content-Type: message/partial\r\n\r\n" E "\r\n",
		    "a message within cannot be encoded" },
		{ "Content-Type: multipart/mixed\r\n\r\n" E "\r\n",
		    "a multipart has no boundary, or is too deep" },
		{ "Content-Transfer-Encoding: x-own\r\n\r\n" E "\r\n",
		    "a part has an unknown Content-Transfer-Encoding" },
		/* What was encoded would be a boundary. */
		{ MIXED "\r\n--b\r\nContent-Type: text/plain\r\n"
		    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
		    "abcdefghijklmnopq" E "\r\n=2D-b\r\n--b--\r\n",
		    "its parts would not stay what they are" },
		/* A message within, of which a type would make a text. */
		{ "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n"
		    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
		    "abcdefghijklmnopq" E "\r\n--b--\r\n",
		    "its parts would not stay what they are" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		if (convert(no[i].in) != 0)
			fail_msg("row %zu: %s", i, out.p);
		assert_string_equal(why.p, no[i].why);
	}
}

/* A blank in its place would be one to who reads the header. */
static void
nul_is_no_blank(void **state)
{
	(void)state;
	assert_int_equal(convert_span(
	    SPAN("Content-Transfer-Encoding\0: base64\r\n\r\nYQpi\r\n")), 1);
	assert_string_equal(out.p, "Content-Transfer-Encoding?: base64\r\n"
	    "MIME-Version: 1.0\r\n\r\nYQpi\r\n");
	assert_int_equal(convert_span(
	    SPAN("Content-Transfer-Encoding:\0base64\r\n\r\nYQpi\r\n")), 1);
	assert_string_equal(out.p, "Content-Transfer-Encoding:?base64\r\n"
	    "MIME-Version: 1.0\r\n\r\nYQpi\r\n");
}

/* A line of a header is folded where it can be. */
static void
long_header_lines(void **state)
{
	char in[4000] = "X:";
	size_t n = 2;

	(void)state;
	for (; n < 2500; n += 10)
		memcpy(in + n, " 123456789", 10);
	memcpy(in + n, "\r\n\r\nx" E "\r\n", 9);
	in[n + 9] = '\0';
	assert_int_equal(convert(in), 1);
	for (const char *p = out.p, *end; (end = strstr(p, "\r\n")) != NULL;
	    p = end + 2)
		assert_true(end - p <= 998);
	memset(in + 2, 'x', n - 2);
	assert_int_equal(convert(in), 0);
	assert_string_equal(why.p, "a line of a header is too long");
	memset(in, ' ', n);		/* but not within the name */
	memcpy(in, "X", 1);
	in[n - 2] = ':';
	assert_int_equal(convert(in), 0);
	assert_string_equal(why.p, "a line of a header is too long");
}

/* A line break that would make a boundary of what was none. */
static void
no_boundary_comes_to_be(void **state)
{
	char in[1000];

	(void)state;
	for (int before = 60; before < 90; before++) {
		snprintf(in, sizeof(in), MIXED "\r\n--b\r\n\r\n" E "%0*d--b\r\n"
		    "--b--\r\n", before, 0);
		assert_int_equal(convert(in), 1);
	}
}

static void
survey(void **state)
{
	static const struct {
		const char *in;
		bool header, body, binary;
	} all[] = {
		{ "Subject: x\r\n\r\nhello\r\n", false, false, false },
		{ "Subject: " E "\r\n\r\nhello\r\n", true, false, false },
		{ "Subject: x\r\n\r\n" E "\r\n", false, true, false },
		{ MIXED "\r\n--b\r\nX: " E "\r\n\r\nx\r\n--b--\r\n", true,
		    true, false },
		{ "Content-Type: message/global\r\n\r\nX: " E "\r\n\r\nx\r\n",
		    false, true, false },
		{ "X: y\r\n\r\na\nb\r\n", false, false, true },
		{ "X: y\r\n\r\na\rb\r\n", false, false, true },
		{ "X: y\r\n\r\na\r", false, false, true },
	};
	struct convert_survey s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		convert_survey(span_str(all[i].in), &s);
		assert_int_equal(s.header_8bit, all[i].header);
		assert_int_equal(s.body_8bit, all[i].body);
		assert_int_equal(s.binary, all[i].binary);
	}
	convert_survey(span_of("X: y\r\n\r\n\0\r\n", 11), &s);
	assert_true(s.binary);
}

static void
lines_of_998_and_more(void **state)
{
	struct convert_survey s;
	char in[1100] = "X: y\r\n\r\n";

	(void)state;
	memset(in + 8, 'x', 999);
	for (size_t n = 998; n <= 999; n++) {
		memcpy(in + 8 + n, "\r\n", 2);
		convert_survey(span_of(in, 8 + n), &s);
		assert_int_equal(s.binary, n == 999);
		convert_survey(span_of(in, 8 + n + 2), &s);
		assert_int_equal(s.binary, n == 999);
		memset(in + 8, 'x', 1000);
	}
}

/* -- as a filter ---- */

static int
filter(void)
{
	struct arena *arena = arena_new(64 << 20);
	struct text in = TEXT_INIT(0);
	char block[4096];
	size_t n;
	int status;

	while ((n = fread(block, 1, sizeof(block), stdin)) > 0)
		text_add(&in, span_of(block, n));
	status = convert_to_7bit(text_span(&in), arena, &out, &why);
	fwrite(out.p, 1, status == 1 ? out.n : 0, stdout);
	text_free(&in);
	arena_free(&arena);
	tear_down(NULL);
	return status == 1 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(what_cannot_be),
		cmocka_unit_test(nul_is_no_blank),
		cmocka_unit_test(long_header_lines),
		cmocka_unit_test(no_boundary_comes_to_be),
		cmocka_unit_test(survey),
		cmocka_unit_test(lines_of_998_and_more),
	};

	if (argc == 2 && strcmp(argv[1], "-") == 0)
		return filter();
	return cmocka_run_group_tests(tests, NULL, tear_down);
}

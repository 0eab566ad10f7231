/* test_smtp_text.c - where a text ends, and what smuggles nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/text.h"
#include "smtp/smtp_text.h"

struct outcome {
	struct smtp_text t;
	struct text bytes;
	size_t used;
};

static void
sink(void *arg, struct span bytes)
{
	text_add(arg, bytes);
}

/* Show the input in pieces of `piece` bytes, as a stream would. */
static void
run(struct outcome *o, struct span in, size_t piece, size_t max)
{
	size_t from = 0, n = 0;

	*o = (struct outcome){ .t = SMTP_TEXT_INIT(max) };
	while (!o->t.done && from + n < in.n) {
		char *copy;
		size_t used;

		n = MIN(n + piece, in.n - from);
		copy = malloc(n);
		assert_non_null(copy);
		memcpy(copy, in.p + from, n);
		used = smtp_text_take(&o->t, span_of(copy, n), sink,
		    &o->bytes);
		free(copy);
		from += used;
		n -= used;
	}
	o->used = from;
}

static void
expect(struct span in, const char *bytes, size_t used, bool bare)
{
	struct outcome o;

	for (size_t piece = 1; piece <= in.n; piece++) {
		run(&o, in, piece, 1000);
		assert_true(o.t.done);
		assert_int_equal(o.used, used);
		assert_int_equal(o.t.has_bare, bare);
		if (bytes != NULL)
			assert_true(span_is(text_span(&o.bytes), bytes));
		text_free(&o.bytes);
	}
}

static void
test_end(void **state)
{
	(void)state;
	expect(SPAN("a\r\n.\r\n"), "a\r\n", 6, false);
	expect(SPAN(".\r\n"), "", 3, false);
	expect(SPAN("a\r\nb\r\n.\r\nQUIT\r\n"), "a\r\nb\r\n", 9, false);
	expect(SPAN("\r\n\r\n.\r\n"), "\r\n\r\n", 7, false);
}

static void
test_dots(void **state)
{
	(void)state;
	expect(SPAN("..\r\n.\r\n"), ".\r\n", 7, false);
	expect(SPAN(".a\r\n.\r\n"), "a\r\n", 7, false);
	expect(SPAN("...a\r\n..b\r\nc..\r\n.\r\n"), "..a\r\n.b\r\nc..\r\n",
	    19, false);
}

/* Whatever another server might take for an end is none, and is refused. */
static void
test_smuggling(void **state)
{
	static const char *const tricks[] = {
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r",
		"\n\r.\r\n", "\r\n\r.\r\n", "\r\r\n.\r\n", "\n.\r", "\r.\n",
	};
	char in[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tricks); i++) {
		size_t used;

		strcpy(in, "a");
		strcat(in, tricks[i]);
		strcat(in, "MAIL FROM:<x@y.test>\r\n.\r\n");
		used = strlen(in);
		/* A CRCRLF before it leaves the dot at a true line's begin:
		 * the text ends there in every server's eyes. */
		if (strcmp(tricks[i], "\r\r\n.\r\n") == 0)
			used = strlen("a\r\r\n.\r\n");
		strcat(in, "QUIT\r\n");
		expect(span_str(in), NULL, used, true);
	}
}

/* Passed on before its end is seen, a long line loses its dot all the same. */
static void
test_dot_of_a_long_line(void **state)
{
	const struct span in = SPAN("..xxxxxxxxxxxxxxxxxxxxxxxxx\r\n.\r\n");
	struct outcome o;

	(void)state;
	for (size_t piece = 1; piece <= in.n; piece++) {
		run(&o, in, piece, 8);
		assert_true(o.t.done && o.t.has_long_line);
		assert_true(span_is(text_span(&o.bytes),
		    ".xxxxxxxxxxxxxxxxxxxxxxxxx\r\n"));
		text_free(&o.bytes);
	}
}

static void
test_nul_and_long_lines(void **state)
{
	struct outcome o;
	char in[300];

	(void)state;
	run(&o, SPAN("a\0b\r\n.\r\n"), 100, 1000);
	assert_true(o.t.has_nul);
	assert_false(o.t.has_long_line);
	text_free(&o.bytes);
	for (size_t n = 90; n < 120; n++) {
		memset(in, 'x', n);
		strcpy(in + n, "\r\n.\r\n");
		for (size_t piece = 1; piece < 40; piece++) {
			run(&o, span_str(in), piece, 100);
			assert_true(o.t.done);
			assert_int_equal(o.t.has_long_line, n + 2 > 100);
			assert_false(o.t.has_bare);
			assert_int_equal(o.bytes.n, n + 2);
			text_free(&o.bytes);
		}
	}
}

static void
check(struct span in, bool bare)
{
	for (size_t cut = 0; cut <= in.n; cut++) {
		struct smtp_text t = SMTP_TEXT_INIT(1000);
		char last = 0;

		smtp_text_check(&t, &last, span_sub(in, 0, cut));
		smtp_text_check(&t, &last, span_from(in, cut));
		if (last == '\r')
			t.has_bare = true;
		assert_int_equal(t.has_bare, bare);
	}
}

static void
test_chunks(void **state)
{
	(void)state;
	check(SPAN("a\r\nb\r\n"), false);
	check(SPAN("\r\n"), false);
	check(SPAN("\r\n\r\n"), false);
	check(SPAN("a"), false);
	check(SPAN("a\nb"), true);
	check(SPAN("\n"), true);
	check(SPAN("a\rb"), true);
	check(SPAN("a\r\r\n"), true);
	check(SPAN("a\r"), true);
	check(SPAN("\r\n\n"), true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_dots),
		cmocka_unit_test(test_smuggling),
		cmocka_unit_test(test_dot_of_a_long_line),
		cmocka_unit_test(test_nul_and_long_lines),
		cmocka_unit_test(test_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

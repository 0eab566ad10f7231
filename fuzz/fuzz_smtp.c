/*
 * fuzz_smtp.c - SMTP's command lines, and texts on their way in.
 *
 * A text shown whole and the same text shown in pieces must come out the
 * same and end at the same byte, and its dots be taken off as the RFC says.
 */
#include <stdlib.h>

#include "base/text.h"
#include "smtp/smtp_command.h"
#include "smtp/smtp_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
sink(void *arg, struct span bytes)
{
	text_add(arg, bytes);
}

/* Returns how much was used; pieces of 1, 2, 3, ... bytes, or all at once. */
static size_t
receive(struct smtp_text *t, struct span in, bool pieces, struct text *out)
{
	size_t from = 0, n = 0, piece = 1;

	while (!t->done && from + n < in.n) {
		size_t used;

		n = pieces ? MIN(n + piece++, in.n - from) : in.n - from;
		used = smtp_text_take(t, span_sub(in, from, n), sink, out);
		must(used <= n);
		from += used;
		n -= used;
		if (!pieces)
			break;
	}
	return from;
}

/* RFC 5321 4.5.2, said a second time and as plainly as can be. */
static void
check_dots(struct span in, struct span out)
{
	struct text plain = TEXT_INIT(0);

	while (!span_eq(in, SPAN(".\r\n"))) {
		struct span line = span_sub(in, 0,
		    span_find(in, SPAN("\r\n"), 0) + 2);

		text_add(&plain, span_from(line, line.p[0] == '.'));
		in = span_from(in, line.n);
	}
	must(span_eq(text_span(&plain), out));
	text_free(&plain);
}

static void
check_text(struct span in)
{
	struct smtp_text whole = SMTP_TEXT_INIT(200), cut = whole;
	struct text a = TEXT_INIT(0), b = TEXT_INIT(0);
	size_t n = receive(&whole, in, false, &a);
	size_t m = receive(&cut, in, true, &b);

	must(whole.done == cut.done);
	if (whole.done) {
		must(n == m && span_eq(text_span(&a), text_span(&b)));
		must(whole.has_bare == cut.has_bare &&
		    whole.has_nul == cut.has_nul &&
		    whole.has_long_line == cut.has_long_line);
		must(n >= 3 && memcmp(in.p + n - 3, ".\r\n", 3) == 0);
		must(n == 3 || memcmp(in.p + n - 5, "\r\n", 2) == 0);
		if (!whole.has_bare)
			check_dots(span_sub(in, 0, n), text_span(&a));
	}
	text_free(&a);
	text_free(&b);
}

static void
check_chunk(struct span in, size_t at)
{
	struct smtp_text whole = SMTP_TEXT_INIT(200), cut = whole;
	char a = 0, b = 0;

	smtp_text_check(&whole, &a, in);
	smtp_text_check(&cut, &b, span_sub(in, 0, at));
	smtp_text_check(&cut, &b, span_from(in, at));
	must(a == b && whole.has_bare == cut.has_bare &&
	    whole.has_nul == cut.has_nul);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span in = span_of(data, n), rest = in, line;
	struct arena *arena = arena_new(1 << 20);
	struct smtp_command c;

	while (rest.n > 0) {
		size_t end = span_find_char(rest, '\n', 0);

		line = span_sub(rest, 0, end == SIZE_MAX ? rest.n : end + 1);
		(void)smtp_parse(line, (n & 1) != 0, arena, &c);
		rest = span_from(rest, line.n);
	}
	arena_free(&arena);
	check_text(in);
	check_chunk(in, n / 2);
	return 0;
}

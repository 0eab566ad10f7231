/*
 * fuzz_smtp.c - SMTP's command lines, the URLs and attributes in them, and
 * texts on their way in.
 *
 * A text shown whole and the same text shown in pieces must come out the
 * same and end at the same byte, and its dots be taken off as the RFC says.
 */
#include <stdlib.h>

#include "base/text.h"
#include "smtp/smtp_parameter.h"
#include "smtp/smtp_text.h"
#include "mail/imap_url.h"
#include "smtp/smtp_xclient.h"

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

/* What comes through is what a header may hold. */
static void
check_line(struct span line, bool utf8, struct arena *arena)
{
	struct smtp_command c;
	struct smtp_xclient x;
	struct imap_url url;

	if (smtp_parse(line, utf8, arena, &c) != SMTP_FINE)
		return;
	for (size_t i = 0; i < c.envid.n; i++)
		must(ascii_is_print(c.envid.p[i]));
	for (size_t i = 0; i < c.original.n; i++)
		must((unsigned char)c.original.p[i] >= 0x20);
	must(c.envid.n <= 100 && c.original.n <= 600);
	must(c.priority >= -9 && c.priority <= 9);
	if (c.verb == SMTP_BURL &&
	    imap_url_parse(c.argument, arena, &url) == 1)
		must(url.uid > 0 && span_find_char(url.mailbox, '\0', 0) ==
		    SIZE_MAX);
	if (c.verb == SMTP_XCLIENT &&
	    smtp_xclient_parse(c.argument, arena, &x) == 1)
		must(span_find_char(x.name, ' ', 0) == SIZE_MAX &&
		    span_find_char(x.helo, ')', 0) == SIZE_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span in = span_of(data, n), rest = in, line;
	struct arena *arena = arena_new(1 << 20);

	while (rest.n > 0) {
		size_t end = span_find_char(rest, '\n', 0);

		line = span_sub(rest, 0, end == SIZE_MAX ? rest.n : end + 1);
		check_line(line, (n & 1) != 0, arena);
		rest = span_from(rest, line.n);
	}
	arena_free(&arena);
	check_text(in);
	check_chunk(in, n / 2);
	return 0;
}

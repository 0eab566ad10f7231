/*
 * pop3_text.c - dot-stuffing and TOP's cut, in runs as long as there are.
 */
#include "pop3/pop3_text.h"

struct pop3_text
pop3_text_whole(void)
{
	return (struct pop3_text){ .line_empty = true };
}

struct pop3_text
pop3_text_top(uint32_t lines)
{
	return (struct pop3_text){ .line_empty = true, .limited = true,
		.lines = lines };
}

/* How much of the piece TOP may still send; sets done behind the last. */
static size_t
cut_for_top(struct pop3_text *t, struct span piece)
{
	for (size_t i = 0; i < piece.n; i++) {
		char c = piece.p[i];

		if (t->in_body && t->lines == 0) {
			t->done = true;
			return i;
		}
		if (c != '\n') {
			t->line_empty = t->line_empty && c == '\r';
			continue;
		}
		if (t->in_body)
			t->lines--;
		else if (t->line_empty)
			t->in_body = true;
		t->line_empty = true;
	}
	return piece.n;
}

/*
 * The LF of the first "\n.", or SIZE_MAX. Dots are rarer than line ends, and
 * one byte is found many times faster than two.
 */
static size_t
line_with_dot(struct span s)
{
	size_t at = 0;

	while ((at = span_find_char(s, '.', at + 1)) != SIZE_MAX)
		if (s.p[at - 1] == '\n')
			return at - 1;
	return SIZE_MAX;
}

void
pop3_text_add(struct pop3_text *t, struct span piece, pop3_text_out *out,
    void *arg)
{
	size_t run;

	if (t->limited)
		piece.n = t->done ? 0 : cut_for_top(t, piece);
	if (piece.n == 0)
		return;
	if (!t->in_line && piece.p[0] == '.')
		out(arg, SPAN("."));
	/* A run ends with the LF before a dot; then one dot more goes out. */
	while ((run = line_with_dot(piece)) != SIZE_MAX) {
		out(arg, span_sub(piece, 0, run + 1));
		out(arg, SPAN("."));
		piece = span_from(piece, run + 1);
	}
	out(arg, piece);
	t->in_line = piece.p[piece.n - 1] != '\n';
}

void
pop3_text_end(struct pop3_text *t, pop3_text_out *out, void *arg)
{
	out(arg, t->in_line ? SPAN("\r\n.\r\n") : SPAN(".\r\n"));
}

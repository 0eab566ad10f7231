/*
 * smtp_text.c - line by line, at the speed of memchr.
 */
#include "smtp/smtp_text.h"

/* Bytes without their order: of a line that ends at `end` with its LF. */
static void
check_line(struct smtp_text *t, struct span line, bool crlf)
{
	size_t n = line.n - (crlf ? 2 : 1);

	if (!crlf || span_find_char(span_sub(line, 0, n), '\r', 0) != SIZE_MAX)
		t->has_bare = true;
	if (line.n > t->max_line)
		t->has_long_line = true;
}

/*
 * More than a line may have, and no end in sight: pass it on, but for a CR
 * that may be half of a CRLF.
 */
static size_t
take_part(struct smtp_text *t, struct span rest)
{
	size_t n = rest.n;

	if (n <= t->max_line + 1)
		return 0;
	if (rest.p[n - 1] == '\r')
		n--;
	if (span_find_char(span_sub(rest, 0, n), '\r', 0) != SIZE_MAX)
		t->has_bare = true;
	t->has_long_line = true;
	t->inside = true;
	return n;
}

static void
give(struct smtp_text *t, void (*sink)(void *, struct span), void *arg,
    struct span run)
{
	if (run.n == 0)
		return;
	if (span_find_char(run, '\0', 0) != SIZE_MAX)
		t->has_nul = true;
	sink(arg, run);
}

size_t
smtp_text_take(struct smtp_text *t, struct span in,
    void (*sink)(void *, struct span), void *arg)
{
	size_t at = 0, run = 0, end;

	while (!t->done && (end = span_find_char(in, '\n', at)) != SIZE_MAX) {
		struct span line = span_sub(in, at, end + 1 - at);
		bool crlf = line.n >= 2 && line.p[line.n - 2] == '\r';

		if (!t->inside && !t->bare && line.p[0] == '.') {
			give(t, sink, arg, span_sub(in, run, at - run));
			run = at + 1;
			line = span_from(line, 1);
			t->done = crlf && line.n == 2;
		}
		if (t->done)
			run = end + 1;
		else
			check_line(t, line, crlf);
		t->bare = !crlf;
		t->inside = false;
		at = end + 1;
	}
	if (!t->done) {
		bool dot = at < in.n && !t->inside && !t->bare &&
		    in.p[at] == '.';

		end = at + take_part(t, span_from(in, at));
		if (dot && end > at) {
			give(t, sink, arg, span_sub(in, run, at - run));
			run = at + 1;
		}
		at = end;
	}
	give(t, sink, arg, span_sub(in, run, at - run));
	return at;
}

void
smtp_text_check(struct smtp_text *t, char *last, struct span in)
{
	size_t at = 0, end;

	if (in.n == 0)
		return;
	if (*last == '\r' && in.p[0] != '\n')
		t->has_bare = true;
	if (span_find_char(in, '\0', 0) != SIZE_MAX)
		t->has_nul = true;
	for (; (end = span_find_char(in, '\n', at)) != SIZE_MAX; at = end + 1) {
		char before = end > 0 ? in.p[end - 1] : *last;
		struct span line = span_sub(in, at, end - at);

		if (before != '\r')
			t->has_bare = true;
		else if (line.n > 0)
			line.n--;
		if (span_find_char(line, '\r', 0) != SIZE_MAX)
			t->has_bare = true;
	}
	if (at < in.n && span_find_char(span_sub(in, at, in.n - 1 - at), '\r',
	    0) != SIZE_MAX)
		t->has_bare = true;
	*last = in.p[in.n - 1];
}

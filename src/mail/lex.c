/*
 * lex.c - blanks, comments, quoted strings.
 */
#include "mail/lex.h"

size_t
lex_blanks(struct span s, size_t at)
{
	while (at < s.n && lex_is_blank(s.p[at]))
		at++;
	return at;
}

size_t
lex_comment(struct span s, size_t at)
{
	size_t depth = 0;

	for (; at < s.n; at++) {
		if (s.p[at] == '\\')
			at++;
		else if (s.p[at] == '(')
			depth++;
		else if (s.p[at] == ')' && --depth == 0)
			return at + 1;
	}
	return s.n;
}

size_t
lex_skip(struct span s, size_t at)
{
	at = lex_blanks(s, at);
	while (at < s.n && s.p[at] == '(')
		at = lex_blanks(s, lex_comment(s, at));
	return at;
}

size_t
lex_quoted(struct span s, size_t at)
{
	char end = s.p[at] == '[' ? ']' : '"';

	for (at++; at < s.n; at++) {
		if (s.p[at] == '\\')
			at++;
		else if (s.p[at] == end)
			return at + 1;
	}
	return s.n;
}

static char
closing(char open)
{
	if (open == '(')
		return ')';
	return open == '[' ? ']' : '"';
}

/* A closing delimiter that a backslash escapes is none. */
static bool
closed(struct span whole)
{
	size_t i = whole.n - 1, slashes = 0;

	if (whole.n < 2 || whole.p[i] != closing(whole.p[0]))
		return false;
	while (i-- > 1 && whole.p[i] == '\\')
		slashes++;
	return slashes % 2 == 0;
}

struct span
lex_unquote(struct arena *a, struct span whole)
{
	struct span in = span_sub(whole, 1,
	    whole.n - (closed(whole) ? 2 : 1));
	char *p = arena_alloc(a, in.n + 1);
	size_t i, n = 0;

	if (p == NULL)
		return SPAN_EMPTY;
	for (i = 0; i < in.n; i++) {
		if (in.p[i] == '\\' && i + 1 < in.n)
			i++;
		else if (in.p[i] == '\r' || in.p[i] == '\n')
			continue;
		p[n++] = in.p[i];
	}
	p[n] = '\0';
	return span_of(p, n);
}

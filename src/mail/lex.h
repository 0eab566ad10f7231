/*
 * lex.h - the small pieces every structured header field is made of:
 * blanks and folds, comments, quoted strings (RFC 5322 3.2).
 *
 * All take a position and return the one behind; never beyond the end.
 */
#ifndef MAIL_LEX_H
#define MAIL_LEX_H

#include "base/arena.h"

/* SP, HTAB, CR, LF. */
static inline bool
lex_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

size_t lex_blanks(struct span, size_t at);
/* Behind the comment whose "(" is at `at`; the end, if it never closes. */
size_t lex_comment(struct span, size_t at);
/* Behind blanks and comments. */
size_t lex_skip(struct span, size_t at);
/* Behind the quoted string whose quote is at `at`; the same for "[...]". */
size_t lex_quoted(struct span, size_t at);
/*
 * The content of a quoted string or comment as taken by the above, with its
 * delimiters: without them, backslashes and line ends. p NULL: arena full.
 */
struct span lex_unquote(struct arena *, struct span whole);

#endif

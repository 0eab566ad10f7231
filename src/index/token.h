/*
 * token.h - where words begin and end in folded text. Pure.
 *
 * The index holds text as its words: runs of characters of one class in the
 * form casemap_add makes (mail/charset.h). What parts words is chosen by fixed
 * tables, not by a library's: a word of an old segment must be a word of a
 * new query. So a string without separators lies within a message's text only
 * if it lies within one of its words, byte by byte.
 *
 * Scripts without spaces (Chinese, Japanese, Thai ...) are kept as pairs of
 * neighbouring characters; so are symbols that people look for (emoji).
 */
#ifndef INDEX_TOKEN_H
#define INDEX_TOKEN_H

#include "base/base.h"

enum token_class { TOKEN_SEPARATOR, TOKEN_WORD, TOKEN_PAIRS };

/*
 * A term is a word, or a piece of one that is longer: pieces overlap, so that
 * every string of up to TERM_OVERLAP bytes lies within one of them.
 */
enum { TERM_MAX = 64, TERM_OVERLAP = 32 };

/* Valid UTF-8 (folded text is). */
enum token_class token_class(int32_t code);

struct run {
	enum token_class class;		/* WORD or PAIRS */
	struct span text;		/* a whole run of its class */
	bool first, last;		/* it begins, or ends, the string */
};
/* The next run at *at (start with 0). False: there is none. */
bool token_next(struct span folded, size_t *at, struct run *);

/*
 * The terms of a run, one after the other: start with *at == 0. *cut is set
 * (never cleared) when the run is a word longer than TERM_MAX.
 */
bool term_next(const struct run *, size_t *at, struct span *term,
    bool *cut);

#endif

/*
 * imap_parse.h - the words of an IMAP command.
 *
 * Pure: a whole command in (its literals stand in it as they came, "{3}",
 * CRLF, three bytes), spans out that point into it or into the arena. Every
 * function takes one thing and returns true, or leaves `hint` behind, which
 * says in words what was expected, and returns false.
 */
#ifndef IMAP_IMAP_PARSE_H
#define IMAP_IMAP_PARSE_H

#include "base/arena.h"
#include "base/base.h"
#include "imap/imap_search.h"

struct imap_parser {
	struct span rest;
	struct arena *arena;
	const char *hint;	/* of the first failure; NULL: none yet */
};

struct imap_parser imap_parser(struct span command, struct arena *);
/* Note the hint, unless there is one already. Returns false. */
bool imap_parse_fail(struct imap_parser *, const char *hint);

/* The next byte without taking it; -1 at the end. */
int  imap_parse_peek(const struct imap_parser *);
/* Is it this byte? Then take it. No hint. */
bool imap_parse_next(struct imap_parser *, char);
/* It must be this byte. */
bool imap_parse_char(struct imap_parser *, char);
bool imap_parse_space(struct imap_parser *);
/* The end of the command: CRLF or LF, and nothing behind it. */
bool imap_parse_end(struct imap_parser *);

bool imap_parse_tag(struct imap_parser *, struct span *);
bool imap_parse_atom(struct imap_parser *, struct span *);
bool imap_parse_astring(struct imap_parser *, struct span *);
bool imap_parse_string(struct imap_parser *, struct span *);
/* As string, or a literal8, which may hold NUL. */
bool imap_parse_string8(struct imap_parser *, struct span *);
/* NIL gives p == NULL. */
bool imap_parse_nstring(struct imap_parser *, struct span *);
/* As astring, with the wildcards % and * in the atom. */
bool imap_parse_pattern(struct imap_parser *, struct span *);

bool imap_parse_u32(struct imap_parser *, uint32_t *);
bool imap_parse_nz_u32(struct imap_parser *, uint32_t *);
bool imap_parse_u63(struct imap_parser *, uint64_t *);	/* mod-sequences */
bool imap_parse_set(struct imap_parser *, struct imap_set *);

/* "\Seen", "Work": adds to *flags (FLAG_*) or to `keywords`. */
struct imap_flags {
	uint64_t flags;
	struct span keywords;	/* SP between */
	size_t keyword_count;
};
bool imap_parse_flag_list(struct imap_parser *, struct imap_flags *);
/* The list may come without its parentheses (STORE). */
bool imap_parse_flags(struct imap_parser *, struct imap_flags *);
/* Quoted date-time of APPEND, in seconds since 1970 UTC. */
bool imap_parse_date_time(struct imap_parser *, int64_t *);
/* A date of SEARCH as a day since 1970-01-01. */
bool imap_parse_day(struct imap_parser *, int32_t *);

/*
 * Does the line (with its line end) end in a literal's announcement?
 * 1 yes, 0 no, -1 a number beyond 2^63 (size is then UINT64_MAX).
 */
struct imap_literal {
	uint64_t size;
	bool waits;		/* "{3}": the client waits for our word */
	bool binary;		/* "~{3}": may hold NUL (RFC 3516) */
	size_t at;		/* where the { or ~ stands in the line */
};
int  imap_line_literal(struct span line, struct imap_literal *);

/*
 * A mailbox name as it was sent (modified UTF-7) in the store's terms:
 * UTF-8, INBOX in capitals, one '/' between levels and none behind them. 1
 * done, 0 not a name we could ever have, -1 arena full. Names of 8-bit bytes
 * are UTF-8 (RFC 6855 section 3).
 */
int  imap_name_decode(struct span sent, struct arena *, struct span *name);
/* The same of a name that is UTF-8 by agreement: '&' means nothing. */
int  imap_name_decode_utf8(struct span sent, struct arena *, struct span *);
/* Back again. Never fails on a name the store knows. */
struct span imap_name_encode(struct span name, struct arena *);

/* A flag's name as the client sends it: may it be a keyword? */
bool imap_is_keyword(struct span);

#endif

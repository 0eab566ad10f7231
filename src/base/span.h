/*
 * span.h - a read-only run of bytes that somebody else owns.
 *
 * A span is a value: pass and return it by value. It may hold any byte,
 * NUL too, and is never assumed to end in one. The empty span has n == 0;
 * p may then be NULL.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include "base/base.h"

struct span {
	const char *p;
	size_t n;
};

#define SPAN_EMPTY ((struct span){ NULL, 0 })
/* A span of a string literal: SPAN("EHLO"). */
#define SPAN(literal) ((struct span){ "" literal, sizeof(literal) - 1 })
/* For printf: printf("%.*s", SPAN_ARG(s)). Cut at 1 MiB. */
#define SPAN_ARG(s) (int)((s).n > 1048576 ? 1048576 : (s).n), \
    ((s).n > 0 ? (s).p : "")

struct span span_of(const void *p, size_t n);
struct span span_str(const char *s);		/* NULL gives the empty span */
struct span span_sub(struct span, size_t from, size_t n);  /* clamped */
struct span span_from(struct span, size_t from);	   /* clamped */

bool span_eq(struct span, struct span);
bool span_eq_nocase(struct span, struct span);	/* ASCII letters only */
bool span_is(struct span, const char *);	/* equal to a C string */
bool span_is_nocase(struct span, const char *);
bool span_starts(struct span, struct span prefix);
bool span_starts_nocase(struct span, struct span prefix);
bool span_ends(struct span, struct span suffix);
int  span_compare(struct span, struct span);	/* bytewise, like memcmp */

/* Index of the first match at or after `from`, or SIZE_MAX. */
size_t span_find_char(struct span, char c, size_t from);
size_t span_find(struct span, struct span needle, size_t from);

/* White space here is SP and HTAB (RFC 5234 WSP), nothing else. */
struct span span_trim(struct span);
/* "a\r\n" and "a\n" give "a". */
struct span span_chomp(struct span);

/*
 * Split at the first `c`: *head is what stands before, the result what
 * stands after. Without `c`, *head is everything and the result is empty.
 */
struct span span_cut(struct span, char c, struct span *head);
/* Take the next word from *rest, words being parted by SP or HTAB. */
struct span span_word(struct span *rest);

/* Decimal digits only, the whole span; 1 done, 0 not a number or too big. */
int span_u64(struct span, uint64_t *);
int span_u32(struct span, uint32_t *);

/* ASCII, never the locale. */
char ascii_lower(char);
char ascii_upper(char);
bool ascii_is_alpha(char);
bool ascii_is_digit(char);
bool ascii_is_alnum(char);
bool ascii_is_print(char);	/* 0x20 to 0x7e */

#endif

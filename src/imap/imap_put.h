/*
 * imap_put.h - the few functions that write most of what is sent, inline:
 * an ENVELOPE is a hundred small additions.
 */
#ifndef IMAP_IMAP_PUT_H
#define IMAP_IMAP_PUT_H

#include "base/text.h"

static inline void
put_char(struct text *t, char c)
{
	if (t->n < t->room)
		t->p[t->n++] = c;
	else
		text_char(t, c);
}

static inline void
put_span(struct text *t, struct span s)
{
	if (s.n == 0 || s.n > t->room - t->n) {
		text_add(t, s);
		return;
	}
	memcpy(t->p + t->n, s.p, s.n);
	t->n += s.n;
}

/* text_room(), for who knows how much it is at most. */
static inline char *
put_room(struct text *t, size_t n)
{
	return n <= t->room - t->n ? t->p + t->n : text_room(t, n);
}

/* A literal of the source: its length is known. */
#define put_lit(t, s)	put_span((t), SPAN(s))

#endif

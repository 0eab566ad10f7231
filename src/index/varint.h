/*
 * varint.h - numbers of seven bits a byte, the lowest first.
 */
#ifndef INDEX_VARINT_H
#define INDEX_VARINT_H

#include "base/text.h"

enum { VARINT_MAX = 10 };

/* How many bytes. */
static inline size_t
varint_write(char b[VARINT_MAX], uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		b[n++] = (char)(v | 0x80);
	b[n++] = (char)v;
	return n;
}

static inline void
varint_put(struct text *t, uint64_t v)
{
	char b[VARINT_MAX];

	text_add(t, span_of(b, varint_write(b, v)));
}

/* Takes one of up to 32 bits from *s. 1, 0 nothing is there, -1 not one. */
static inline int
varint_get(struct span *s, uint32_t *out)
{
	uint64_t v = 0;
	size_t i;

	if (s->n == 0)
		return 0;
	for (i = 0; i < s->n && i < 5; i++) {
		v |= (uint64_t)((unsigned char)s->p[i] & 0x7f) << 7 * i;
		if (((unsigned char)s->p[i] & 0x80) == 0)
			break;
	}
	if (i == s->n || i == 5 || v > UINT32_MAX)
		return -1;
	*out = (uint32_t)v;
	*s = (struct span){ s->p + i + 1, s->n - i - 1 };
	return 1;
}

#endif

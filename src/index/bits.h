/*
 * bits.h - a set of a segment's documents, by their places.
 */
#ifndef INDEX_BITS_H
#define INDEX_BITS_H

#include "base/base.h"

#include <stdlib.h>

struct bits {
	uint64_t *words;
	uint32_t limit;			/* places below it */
	uint32_t count;			/* that are in it */
};

static inline struct bits
bits_new(uint32_t limit)
{
	return (struct bits){ xcalloc((size_t)limit / 64 + 1,
	    sizeof(uint64_t)), limit, 0 };
}

static inline void
bits_free(struct bits *b)
{
	free(b->words);
	*b = (struct bits){ NULL, 0, 0 };
}

static inline bool
bits_have(const struct bits *b, uint32_t place)
{
	return (b->words[place / 64] >> place % 64 & 1) != 0;
}

static inline void
bits_add(struct bits *b, uint32_t place)
{
	uint64_t bit = UINT64_C(1) << place % 64;

	b->count += (b->words[place / 64] & bit) == 0;
	b->words[place / 64] |= bit;
}

/* What is in both stays. */
static inline void
bits_intersect(struct bits *b, const struct bits *other)
{
	b->count = 0;
	for (size_t i = 0; i <= b->limit / 64; i++) {
		b->words[i] &= other->words[i];
		b->count += (uint32_t)__builtin_popcountll(b->words[i]);
	}
}

#endif

/*
 * sorted.c - a skip list: a sorted list with express lanes above it.
 *
 * Every fourth entry of a lane is on the lane above, by lot; so a search
 * takes a logarithmic number of steps, and nothing is ever rebalanced.
 */
#include "store/sorted.h"

#include <stdlib.h>

enum { LANES = 12 };

struct entry {
	struct span key, value;
	size_t lanes;
	struct entry *next[];
};

struct sorted {
	struct entry *first;	/* no entry itself: before the first */
	size_t count;
	uint64_t lot;
};

static struct entry *
entry_new(size_t lanes, struct span key, struct span value)
{
	struct entry *e = xcalloc(1,
	    sizeof(*e) + lanes * sizeof(struct entry *));

	e->lanes = lanes;
	if (key.n > 0)
		e->key = span_of(memcpy(xmalloc(key.n), key.p, key.n), key.n);
	if (value.n > 0)
		e->value = span_of(memcpy(xmalloc(value.n), value.p, value.n),
		    value.n);
	return e;
}

static void
entry_free(struct entry *e)
{
	free((void *)(uintptr_t)e->key.p);
	free((void *)(uintptr_t)e->value.p);
	free(e);
}

struct sorted *
sorted_new(void)
{
	struct sorted *s = xcalloc(1, sizeof(*s));

	s->first = entry_new(LANES, SPAN_EMPTY, SPAN_EMPTY);
	s->lot = 88172645463325252u;
	return s;
}

void
sorted_free(struct sorted **sp)
{
	if (*sp == NULL)
		return;
	for (struct entry *e = (*sp)->first, *next; e != NULL; e = next) {
		next = e->next[0];
		entry_free(e);
	}
	free(*sp);
	*sp = NULL;
}

size_t
sorted_count(const struct sorted *s)
{
	return s->count;
}

/* On each lane the last entry before key; the entry at or after it. */
static struct entry *
search(const struct sorted *s, struct span key, struct entry *before[LANES])
{
	struct entry *e = s->first;

	for (size_t lane = LANES; lane-- > 0;) {
		while (e->next[lane] != NULL &&
		    span_compare(e->next[lane]->key, key) < 0)
			e = e->next[lane];
		before[lane] = e;
	}
	return e->next[0];
}

/* xorshift64: no secret hangs on it. */
static size_t
draw_lanes(struct sorted *s)
{
	size_t lanes = 1;
	uint64_t x = s->lot;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	s->lot = x;
	while (lanes < LANES && (x & 3) == 0) {
		lanes++;
		x >>= 2;
	}
	return lanes;
}

bool
sorted_remove(struct sorted *s, struct span key)
{
	struct entry *before[LANES], *e = search(s, key, before);

	if (e == NULL || !span_eq(e->key, key))
		return false;
	for (size_t lane = 0; lane < e->lanes; lane++)
		before[lane]->next[lane] = e->next[lane];
	s->count--;
	entry_free(e);
	return true;
}

void
sorted_put(struct sorted *s, struct span key, struct span value)
{
	struct entry *before[LANES];
	struct entry *new = entry_new(draw_lanes(s), key, value);

	sorted_remove(s, new->key);
	search(s, new->key, before);
	for (size_t lane = 0; lane < new->lanes; lane++) {
		new->next[lane] = before[lane]->next[lane];
		before[lane]->next[lane] = new;
	}
	s->count++;
}

bool
sorted_seek(const struct sorted *s, struct span from, struct span *key,
    struct span *value)
{
	struct entry *before[LANES], *e = search(s, from, before);

	if (e == NULL)
		return false;
	if (key != NULL)
		*key = e->key;
	if (value != NULL)
		*value = e->value;
	return true;
}

bool
sorted_get(const struct sorted *s, struct span key, struct span *value)
{
	struct span found;

	return sorted_seek(s, key, &found, value) && span_eq(found, key);
}

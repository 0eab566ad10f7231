/*
 * uids.c - sets of UIDs, and their two encodings.
 */
#include "store/uids.h"

#include <stdlib.h>

enum { RANGE_BYTES = 8, VARINT_MAX = 5 };

void
uids_free(struct uids *u)
{
	free(u->at);
	*u = (struct uids){ 0 };
}

void
uids_clear(struct uids *u)
{
	u->n = 0;
}

static void
append(struct uids *u, uint32_t first, uint32_t last)
{
	if (u->n == u->room) {
		u->room = u->room == 0 ? 4 : u->room * 2;
		u->at = xrealloc(u->at, u->room * sizeof(*u->at));
	}
	u->at[u->n++] = (struct uid_range){ first, last };
}

void
uids_add(struct uids *u, uint32_t first, uint32_t last)
{
	struct uid_range *end = u->n > 0 ? &u->at[u->n - 1] : NULL;

	must(first > 0 && first <= last);
	must(end == NULL || first >= end->first);
	if (end != NULL && first - 1 <= end->last)
		end->last = MAX(end->last, last);
	else
		append(u, first, last);
}

bool
uids_have(const struct uids *u, uint32_t uid)
{
	size_t low = 0, high = u->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (u->at[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < u->n && u->at[low].first <= uid;
}

uint64_t
uids_count(const struct uids *u)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < u->n; i++)
		sum += (uint64_t)u->at[i].last - u->at[i].first + 1;
	return sum;
}

/* ---- the contract's -------------------------------------------------- */

static int
by_first(const void *a, const void *b)
{
	uint32_t x = ((const struct uid_range *)a)->first;
	uint32_t y = ((const struct uid_range *)b)->first;

	return (x > y) - (x < y);
}

/* Ranges in any order become a set, in place. */
static void
normalise(struct uids *u)
{
	size_t n = u->n;
	bool ordered = true;

	for (size_t i = 1; i < n && ordered; i++)
		ordered = u->at[i - 1].first <= u->at[i].first;
	if (!ordered)
		qsort(u->at, n, sizeof(*u->at), by_first);
	u->n = 0;
	for (size_t i = 0; i < n; i++) {
		struct uid_range range = u->at[i];

		uids_add(u, range.first, range.last);
	}
}

int
uids_read(struct uids *u, struct span records)
{
	struct cursor c = { .rest = records };
	struct uid_range range;
	int status;

	uids_clear(u);
	while ((status = uid_range_get(&c, &range)) == 1) {
		if (range.first == 0 || range.first > range.last)
			return 0;
		append(u, range.first, range.last);
	}
	if (status < 0)
		return 0;
	normalise(u);
	return 1;
}

int
uids_write(const struct uids *u, struct arena *arena, struct span *records)
{
	struct text t = TEXT_INIT(0);

	for (size_t i = 0; i < u->n; i++)
		uid_range_put(&t, &u->at[i]);
	*records = arena_dup(arena, text_span(&t));
	text_free(&t);
	return u->n == 0 || records->p != NULL ? 1 : -1;
}

/* ---- the store's ----------------------------------------------------- */

static void
put_varint(struct text *t, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		put_u8(t, (uint8_t)(v | 0x80));
	put_u8(t, (uint8_t)v);
}

static uint32_t
get_varint(struct cursor *c)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 7 * VARINT_MAX; shift += 7) {
		uint8_t byte = get_u8(c);

		v |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			break;
		if (shift == 7 * (VARINT_MAX - 1))
			c->bad = true;
	}
	if (v > UINT32_MAX)
		c->bad = true;
	return (uint32_t)v;
}

size_t
uids_put_max(size_t n)
{
	return VARINT_MAX + n * 2 * VARINT_MAX;
}

void
uids_put(struct text *t, const struct uids *u)
{
	uint32_t before = 0;

	must(u->n <= UINT32_MAX);
	put_varint(t, (uint32_t)u->n);
	for (size_t i = 0; i < u->n; i++) {
		put_varint(t, u->at[i].first - before);
		put_varint(t, u->at[i].last - u->at[i].first);
		before = u->at[i].last;
	}
}

void
uids_get(struct cursor *c, struct uids *u)
{
	uint32_t n = get_varint(c), before = 0;

	uids_clear(u);
	for (uint32_t i = 0; i < n && !c->bad; i++) {
		uint64_t first = (uint64_t)before + get_varint(c);
		uint64_t last = first + get_varint(c);

		/* The first after 0, each later one beyond a gap. */
		if (last > UINT32_MAX || first <= before + (i > 0 ? 1u : 0u))
			c->bad = true;
		if (c->bad)
			break;
		append(u, (uint32_t)first, (uint32_t)last);
		before = (uint32_t)last;
	}
}

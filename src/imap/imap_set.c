/*
 * imap_set.c - sets of message numbers or UIDs.
 */
#include "imap/imap_search.h"

#include <stdlib.h>

/* With its numbers: 9:* where * is 5 is 5:9 (RFC 3501 6.4.8). */
static struct imap_range
numbers_of(struct imap_range r, uint32_t largest)
{
	if (r.last == IMAP_RANGE_STAR)
		r.last = largest;
	if (r.first == IMAP_RANGE_STAR)
		r.first = largest;
	if (r.first > r.last)
		return (struct imap_range){ r.last, r.first };
	return r;
}

static int
compare(const void *a, const void *b)
{
	const struct imap_range *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

bool
imap_set_settle(struct imap_set *set, uint32_t largest, struct arena *arena)
{
	struct imap_range *to = arena_alloc(arena,
	    MAX(set->count, 1) * sizeof(*to));
	size_t n = 0;

	if (to == NULL)
		return false;
	for (size_t i = 0; i < set->count; i++)
		to[i] = numbers_of(set->ranges[i], largest);
	if (set->count > 1)
		qsort(to, set->count, sizeof(*to), compare);
	for (size_t i = 0; i < set->count; i++) {
		if (n > 0 && (to[n - 1].last == UINT32_MAX ||
		    to[i].first <= to[n - 1].last + 1))
			to[n - 1].last = MAX(to[n - 1].last, to[i].last);
		else
			to[n++] = to[i];
	}
	*set = (struct imap_set){ .ranges = to, .count = n, .settled = true };
	return true;
}

bool
imap_set_has(const struct imap_set *set, uint32_t number, uint32_t largest)
{
	size_t low = 0, high = set->count;

	if (!set->settled) {
		for (size_t i = 0; i < set->count; i++) {
			struct imap_range r = numbers_of(set->ranges[i],
			    largest);

			if (number >= r.first && number <= r.last)
				return true;
		}
		return false;
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->ranges[middle].last < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < set->count && set->ranges[low].first <= number;
}

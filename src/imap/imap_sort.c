/*
 * imap_sort.c - many messages put in order by keys that are numbers.
 *
 * A radix sort by bytes, the lowest first; bytes that are the same in every
 * key are passed over.
 */
#include "imap/imap_sort.h"

/* One pass by the byte at `shift`; `flip` is all ones for descending. */
static void
pass(uint32_t *to, const uint32_t *from, size_t n, const uint64_t *keys,
    unsigned shift, uint64_t flip)
{
	size_t starts[256] = { 0 }, sum = 0;

	for (size_t i = 0; i < n; i++)
		starts[((keys[from[i]] ^ flip) >> shift) & 0xff]++;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		size_t count = starts[i];

		starts[i] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
		to[starts[((keys[from[i]] ^ flip) >> shift) & 0xff]++] =
		    from[i];
}

void
imap_sort_by(uint32_t *order, size_t n, const uint64_t *keys, bool reverse,
    uint32_t *scratch)
{
	uint64_t differ = 0, flip = reverse ? UINT64_MAX : 0;
	uint32_t *from = order, *to = scratch, *swap;

	for (size_t i = 1; i < n; i++)
		differ |= keys[order[i]] ^ keys[order[0]];
	for (unsigned shift = 0; shift < 64; shift += 8) {
		if (((differ >> shift) & 0xff) == 0)
			continue;
		pass(to, from, n, keys, shift, flip);
		swap = from;
		from = to;
		to = swap;
	}
	if (from != order)
		memcpy(order, from, n * sizeof(*order));
}

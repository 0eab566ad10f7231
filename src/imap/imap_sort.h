/*
 * imap_sort.h - many messages put in order by keys that are numbers.
 *
 * Stable: sorted by the last criterion first and by the first one last, the
 * order is that of all of them (RFC 5256 3). Time grows with the number of
 * messages alone. Pure.
 */
#ifndef IMAP_IMAP_SORT_H
#define IMAP_IMAP_SORT_H

#include "base/base.h"

/* order[0..n) are indexes into keys; `scratch` has room for n. */
void imap_sort_by(uint32_t *order, size_t n, const uint64_t *keys,
    bool reverse, uint32_t *scratch);

/* A signed number as a key. */
static inline uint64_t
imap_sort_signed(int64_t value)
{
	return (uint64_t)value ^ (UINT64_C(1) << 63);
}

#endif

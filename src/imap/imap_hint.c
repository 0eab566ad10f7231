/*
 * imap_hint.c - what the search index says of one key.
 */
#include "imap/imap_hint.h"

#include "ipc/wire.h"

enum { RECORD = 8 };			/* bytes of a uid_range */

int
imap_hint_list(struct span records, struct arena *arena,
    struct imap_hint_list *out)
{
	struct cursor at = { .rest = records };
	struct imap_range *ranges;
	struct uid_range range;
	uint32_t last = 0;
	int status;

	*out = (struct imap_hint_list){ .ranges = NULL };
	if (records.n % RECORD != 0)
		return 0;
	ranges = arena_alloc(arena, MAX(records.n, 1));
	if (ranges == NULL)
		return -1;
	while ((status = uid_range_get(&at, &range)) == 1) {
		if (range.first <= last || range.last < range.first)
			return 0;
		last = range.last;
		ranges[out->count++] = (struct imap_range){ range.first,
		    range.last };
	}
	out->ranges = ranges;
	return status == 0;
}

bool
imap_hint_has(struct imap_hint_list *l, uint32_t uid)
{
	size_t low = 0, high = l->count;

	if (l->at < l->count && l->ranges[l->at].first <= uid) {
		if (uid <= l->ranges[l->at].last)
			return true;
		low = l->at + 1;
		if (low == l->count || uid < l->ranges[low].first)
			return false;
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->ranges[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == l->count || l->ranges[low].first > uid) {
		l->at = low > 0 ? low - 1 : 0;
		return false;
	}
	l->at = low;
	return true;
}

/* Where the scores of each range begin. */
static int
count_before(struct imap_hint *hint, struct arena *arena)
{
	uint32_t *before = arena_alloc(arena,
	    MAX(hint->sure.count, 1) * sizeof(*before));
	uint64_t total = 0;

	if (before == NULL)
		return -1;
	for (size_t i = 0; i < hint->sure.count; i++) {
		before[i] = (uint32_t)total;
		total += (uint64_t)hint->sure.ranges[i].last -
		    hint->sure.ranges[i].first + 1;
		if (total > hint->scores.n)
			return 0;
	}
	hint->before = before;
	return 1;
}

int
imap_hint_make(const struct index_answer *answer, bool exact,
    struct arena *arena, struct imap_hint *hint)
{
	int status = imap_hint_list(answer->maybe, arena, &hint->maybe);

	if (status == 1)
		status = imap_hint_list(answer->sure, arena, &hint->sure);
	if (status != 1)
		return status;
	hint->scores = answer->scores.n == 0 ? SPAN_EMPTY :
	    arena_dup(arena, answer->scores);
	if (answer->scores.n > 0 && hint->scores.p == NULL)
		return -1;
	hint->before = NULL;
	hint->exact = exact;
	return hint->scores.n > 0 ? count_before(hint, arena) : 1;
}

int
imap_hint_ask(struct imap_hint *hint, uint32_t uid)
{
	if (!imap_hint_has(&hint->known, uid))
		return -1;
	if (imap_hint_has(&hint->sure, uid))
		return hint->exact ? 1 : -1;
	return imap_hint_has(&hint->maybe, uid) ? -1 : 0;
}

unsigned
imap_hint_score(struct imap_hint *hint, uint32_t uid)
{
	size_t at;

	if (hint->before == NULL || !imap_hint_has(&hint->known, uid) ||
	    !imap_hint_has(&hint->sure, uid))
		return 0;
	at = hint->before[hint->sure.at] + (uid -
	    hint->sure.ranges[hint->sure.at].first);
	return (unsigned char)hint->scores.p[at];
}

/*
 * index_record.c - records of segments, and which of them are merged.
 *
 * Neighbours are merged when there are several of about one size: so each
 * message is written anew a few times only, and a mailbox has few segments
 * however its mail came.
 */
#include "store/index_record.h"

#include <stdlib.h>

enum { RECORD_VERSION = 1, MERGE_LEAST = 4, MERGE_MOST = 64 };

void
index_entries_free(struct index_entries *e)
{
	free(e->at);
	*e = (struct index_entries){ 0 };
}

int
index_entries_add(struct index_entries *e, const struct index_entry *one)
{
	size_t i = e->n;

	while (i > 0 && e->at[i - 1].first > one->first)
		i--;
	if ((i > 0 && e->at[i - 1].last >= one->first) ||
	    (i < e->n && e->at[i].first <= one->last))
		return 0;
	if (e->n == e->room) {
		e->room = e->room * 2 + 8;
		e->at = xrealloc(e->at, e->room * sizeof(*e->at));
	}
	memmove(&e->at[i + 1], &e->at[i], (e->n - i) * sizeof(*e->at));
	e->at[i] = *one;
	e->n++;
	return 1;
}

const struct index_entry *
index_entries_find(const struct index_entries *e, uint64_t segment)
{
	for (size_t i = 0; i < e->n; i++)
		if (e->at[i].segment == segment)
			return &e->at[i];
	return NULL;
}

void
index_entries_remove(struct index_entries *e, uint64_t segment)
{
	for (size_t i = 0; i < e->n; i++)
		if (e->at[i].segment == segment) {
			memmove(&e->at[i], &e->at[i + 1],
			    (e->n - i - 1) * sizeof(*e->at));
			e->n--;
			return;
		}
}

/* ---- records --------------------------------------------------------- */

struct key
index_key(uint64_t segment)
{
	return key_u64(INDEX_SEGMENT, segment);
}

struct key
index_holder(uint64_t mailbox, uint64_t segment)
{
	struct key k = key_u64(HOLDER_INDEX, mailbox);
	struct key s = key_u64(INDEX_SEGMENT, segment);

	memcpy(k.b + k.n, s.b + 1, s.n - 1);
	k.n += s.n - 1;
	return k;
}

void
index_encode(struct text *t, const struct index_entry *e)
{
	put_u8(t, RECORD_VERSION);
	put_raw(t, e->body.b, sizeof(e->body.b));
	put_u32(t, e->first);
	put_u32(t, e->last);
	put_u32(t, e->messages);
	put_u64(t, e->size);
}

int
index_decode(struct span key, struct span value, struct index_entry *e)
{
	struct cursor c = { value, false };
	uint8_t version = get_u8(&c);

	get_raw(&c, e->body.b, sizeof(e->body.b));
	e->first = get_u32(&c);
	e->last = get_u32(&c);
	e->messages = get_u32(&c);
	e->size = get_u64(&c);
	return key_read_u64(key, &e->segment) && !c.bad && c.rest.n == 0 &&
	    version == RECORD_VERSION && e->first > 0 && e->first <= e->last;
}

/* ---- the plan -------------------------------------------------------- */

/* Messages of the mailbox from first to last. */
static size_t
present(const struct table *t, uint32_t first, uint32_t last)
{
	size_t end = last == UINT32_MAX ? t->n : table_seek(t, last + 1);

	return end - table_seek(t, first);
}

uint64_t
index_covered(const struct index_entries *e, const struct table *t)
{
	uint64_t n = 0;

	for (size_t i = 0; i < e->n; i++)
		n += present(t, e->at[i].first, e->at[i].last);
	return n;
}

/* A run that no segment tells of, if it has messages. */
static bool
plan_build(const struct table *t, uint32_t first, uint32_t last,
    const struct index_limits *limits, struct index_plan *plan)
{
	size_t n = first > last ? 0 : present(t, first, last);

	if (n == 0)
		return false;
	plan->step = INDEX_STEP_BUILD;
	plan->first = first;
	plan->last = last;
	if (n > limits->messages)
		plan->last = t->rows[table_seek(t, first) +
		    limits->messages - 1].uid;
	return true;
}

static bool
plan_gaps(const struct index_entries *e, const struct table *t,
    const struct index_limits *limits, struct index_plan *plan)
{
	uint32_t from = 1;

	for (size_t i = 0; i < e->n; i++) {
		if (plan_build(t, from, e->at[i].first - 1, limits, plan))
			return true;
		from = e->at[i].last + 1;
	}
	return from > 0 && limits->before > 0 &&
	    plan_build(t, from, limits->before - 1, limits, plan);
}

static void
plan_entries(const struct index_entries *e, enum index_step step,
    size_t from, size_t count, struct index_plan *plan)
{
	plan->step = step;
	plan->from = from;
	plan->count = count;
	plan->first = e->at[from].first;
	plan->last = e->at[from + count - 1].last;
}

/* Terms of what was expunged leave the disk. */
static bool
plan_cleaning(const struct index_entries *e, const struct table *t,
    const struct index_limits *limits, struct index_plan *plan)
{
	for (size_t i = 0; i < e->n; i++) {
		size_t n = present(t, e->at[i].first, e->at[i].last);

		if (n == 0) {
			plan_entries(e, INDEX_STEP_DROP, i, 1, plan);
			return true;
		}
		if (n >= e->at[i].messages)
			continue;
		plan->dirty = true;
		if (limits->clean) {
			plan_entries(e, INDEX_STEP_MERGE, i, 1, plan);
			return true;
		}
	}
	return false;
}

/*
 * From here the longest run that may become one: none of it weighs more than
 * half of them all, so that who is written anew doubles at least.
 */
static size_t
mergeable(const struct index_entries *e, size_t from,
    const struct index_limits *limits)
{
	uint64_t sum = 0, most = 0;
	size_t best = 0;

	for (size_t i = from; i < e->n && i - from < MERGE_MOST; i++) {
		sum += e->at[i].size;
		most = MAX(most, e->at[i].size);
		if (sum > limits->room)
			break;
		if (i + 1 - from >= MERGE_LEAST && most * 2 <= sum)
			best = i + 1 - from;
	}
	return best;
}

static bool
plan_merge(const struct index_entries *e, const struct index_limits *limits,
    struct index_plan *plan)
{
	size_t best = 0, from = 0, n;

	for (size_t i = 0; i < e->n; i++) {
		n = mergeable(e, i, limits);
		if (n > best) {
			best = n;
			from = i;
		}
	}
	if (best > 0)
		plan_entries(e, INDEX_STEP_MERGE, from, best, plan);
	return best > 0;
}

void
index_plan(const struct index_entries *e, const struct table *t,
    const struct index_limits *limits, struct index_plan *plan)
{
	*plan = (struct index_plan){ .step = INDEX_STEP_NONE };
	if (!plan_gaps(e, t, limits, plan) &&
	    !plan_cleaning(e, t, limits, plan))
		plan_merge(e, limits, plan);
}

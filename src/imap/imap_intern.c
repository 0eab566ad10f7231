/*
 * imap_intern.c - strings that occur again and again, kept once.
 *
 * The strings stand one behind the other; ends[i] is where number i ends. The
 * table holds numbers, its places are chosen by a keyed hash.
 */
#include "imap/imap_intern.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/text.h"

enum { SLOTS_FIRST = 64 };

struct imap_intern {
	struct text bytes;
	size_t *ends;
	uint32_t *hashes;	/* of each, for growing and a first look */
	uint32_t count, room;
	uint32_t *slots;	/* number + 1; 0: free */
	size_t slot_count;	/* a power of two */
	uint32_t *ranks;
	uint32_t ranked;	/* ranks are of that many */
};

struct imap_intern *
imap_intern_new(void)
{
	struct imap_intern *in = xcalloc(1, sizeof(*in));

	in->bytes = TEXT_INIT(0);
	in->slot_count = SLOTS_FIRST;
	in->slots = xcalloc(in->slot_count, sizeof(*in->slots));
	(void)imap_intern(in, SPAN(""));
	return in;
}

void
imap_intern_free(struct imap_intern **in)
{
	if (*in == NULL)
		return;
	text_free(&(*in)->bytes);
	free((*in)->ends);
	free((*in)->hashes);
	free((*in)->slots);
	free((*in)->ranks);
	free(*in);
	*in = NULL;
}

struct span
imap_intern_text(const struct imap_intern *in, uint32_t number)
{
	size_t from = number == 0 ? 0 : in->ends[number - 1];

	must(number < in->count);
	if (in->ends[number] == from)	/* perhaps there are no bytes at all */
		return SPAN_EMPTY;
	return span_of(in->bytes.p + from, in->ends[number] - from);
}

/* The place of a string, or the free one where it would stand. */
static size_t
place(const struct imap_intern *in, struct span s, uint32_t hash)
{
	size_t mask = in->slot_count - 1, at = hash & mask;

	for (; in->slots[at] != 0; at = (at + 1) & mask) {
		uint32_t number = in->slots[at] - 1;

		if (in->hashes[number] == hash &&
		    span_eq(imap_intern_text(in, number), s))
			break;
	}
	return at;
}

static void
grow_slots(struct imap_intern *in)
{
	size_t mask;

	in->slot_count *= 2;
	free(in->slots);
	in->slots = xcalloc(in->slot_count, sizeof(*in->slots));
	mask = in->slot_count - 1;
	for (uint32_t i = 0; i < in->count; i++) {
		size_t at = in->hashes[i] & mask;

		while (in->slots[at] != 0)
			at = (at + 1) & mask;
		in->slots[at] = i + 1;
	}
}

static uint32_t
add(struct imap_intern *in, struct span s, uint32_t hash)
{
	must(in->count < UINT32_MAX);
	if (in->count == in->room) {
		in->room = in->room == 0 ? SLOTS_FIRST : in->room * 2;
		in->ends = xrealloc(in->ends, in->room * sizeof(*in->ends));
		in->hashes = xrealloc(in->hashes,
		    in->room * sizeof(*in->hashes));
	}
	text_add(&in->bytes, s);
	in->ends[in->count] = in->bytes.n;
	in->hashes[in->count] = hash;
	return in->count++;
}

uint32_t
imap_intern(struct imap_intern *in, struct span s)
{
	uint32_t hash = (uint32_t)map_hash(s);
	size_t at = place(in, s, hash);

	if (in->slots[at] != 0)
		return in->slots[at] - 1;
	in->slots[at] = add(in, s, hash) + 1;
	if ((size_t)in->count * 4 > in->slot_count * 3)
		grow_slots(in);
	return in->count - 1;
}

/* -- order ---- */

struct ranked {
	uint64_t head;		/* the first 8 bytes, to compare as a number */
	uint32_t number;
};

static uint64_t
head_of(struct span s)
{
	uint64_t head = 0;

	for (size_t i = 0; i < sizeof(head); i++)
		head = head << 8 | (i < s.n ? (unsigned char)s.p[i] : 0);
	return head;
}

static int
compare(const void *a, const void *b, void *arg)
{
	const struct ranked *x = a, *y = b;

	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return span_compare(imap_intern_text(arg, x->number),
	    imap_intern_text(arg, y->number));
}

const uint32_t *
imap_intern_ranks(struct imap_intern *in)
{
	struct ranked *all;

	if (in->ranked == in->count)
		return in->ranks;
	all = xcalloc(in->count, sizeof(*all));
	for (uint32_t i = 0; i < in->count; i++)
		all[i] = (struct ranked){ head_of(imap_intern_text(in, i)), i };
	qsort_r(all, in->count, sizeof(*all), compare, in);
	in->ranks = xrealloc(in->ranks, in->count * sizeof(*in->ranks));
	for (uint32_t i = 0; i < in->count; i++)
		in->ranks[all[i].number] = i;
	in->ranked = in->count;
	free(all);
	return in->ranks;
}

size_t
imap_intern_bytes(const struct imap_intern *in)
{
	return in->bytes.room + in->room * (sizeof(*in->ends) +
	    sizeof(*in->hashes)) + in->slot_count * sizeof(*in->slots) +
	    in->ranked * sizeof(*in->ranks);
}

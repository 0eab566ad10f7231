/*
 * imap_order.c - found messages in the order SORT asks for.
 *
 * Each criterion becomes a number for every message, from its row or from the
 * facts; strings by their rank. Sorting is imap_sort_by, criterion by
 * criterion from the last to the first.
 */
#include "imap/imap_searches.h"

#include <stdlib.h>

#include "imap/imap_facts.h"
#include "imap/imap_sort.h"

enum { FROM_ROW = 0, SCORED = 1U << 31 };

/* What a criterion is made of. */
static const struct {
	unsigned wanted;		/* columns of the facts; or the above */
	enum imap_address_column column;
} criteria[] = {
	[IMAP_SORT_ARRIVAL] = { FROM_ROW, 0 },
	[IMAP_SORT_SIZE] = { FROM_ROW, 0 },
	[IMAP_SORT_DATE] = { IMAP_FACTS_SENT, 0 },
	[IMAP_SORT_SUBJECT] = { IMAP_FACTS_SUBJECT, 0 },
	[IMAP_SORT_FROM] = { IMAP_FACTS_ADDRESSES, IMAP_FROM },
	[IMAP_SORT_TO] = { IMAP_FACTS_ADDRESSES, IMAP_TO },
	[IMAP_SORT_CC] = { IMAP_FACTS_ADDRESSES, IMAP_CC },
	[IMAP_SORT_DISPLAY_FROM] = { IMAP_FACTS_ADDRESSES,
	    IMAP_DISPLAY_FROM },
	[IMAP_SORT_DISPLAY_TO] = { IMAP_FACTS_ADDRESSES, IMAP_DISPLAY_TO },
	[IMAP_SORT_RELEVANCY] = { SCORED, 0 },
};

static unsigned
wanted_by(const struct imap_search_command *wish)
{
	unsigned wanted = 0;

	for (size_t i = 0; i < wish->sort_count; i++)
		wanted |= criteria[wish->sort[i].field].wanted;
	return wanted & ~SCORED;
}

/* Where the facts of each message lie; both ascend by uid. */
static void
find_facts(const struct imap_find *f, const struct imap_facts *facts,
    uint32_t *places)
{
	size_t at = 0;

	for (size_t i = 0; i < f->count; i++) {
		uint32_t uid = imap_view_uid(&f->box->view, f->indexes[i]);

		while (at < facts->count && facts->uids[at] < uid)
			at++;
		places[i] = at < facts->count && facts->uids[at] == uid
		    ? (uint32_t)at : UINT32_MAX;
	}
}

static uint64_t
row_key(const struct imap_find *f, size_t i, enum imap_sort_field field)
{
	const struct message_row *row = imap_view_row(&f->box->view,
	    f->indexes[i]);

	if (row == NULL)
		return 0;
	return field == IMAP_SORT_SIZE ? row->size
	    : imap_sort_signed(row->internal_date);
}

static uint64_t
fact_key(const struct imap_facts *facts, const uint32_t *ranks,
    uint32_t place, enum imap_sort_field field)
{
	if (place == UINT32_MAX)
		return 0;	/* it is gone */
	must(facts != NULL);
	switch (criteria[field].wanted) {
	case IMAP_FACTS_SENT:
		return imap_sort_signed(facts->sent[place]);
	case IMAP_FACTS_SUBJECT:
		must(ranks != NULL);
		return ranks[facts->subjects[place]];
	default:
		must(ranks != NULL);
		return ranks[facts->addresses[criteria[field].column][place]];
	}
}

/* RFC 6203 5: the highest score first. */
static uint64_t
score_key(const struct imap_find *f, size_t i)
{
	return f->scores == NULL ? 0 : UINT8_MAX - f->scores[i];
}

struct order {
	struct imap_find *f;
	const struct imap_facts *facts;
	const uint32_t *ranks;
	uint32_t *places, *order, *scratch;
	uint64_t *keys;
};

static void
sort_by(struct order *o, const struct imap_sort_key *key)
{
	const struct imap_find *f = o->f;

	for (size_t i = 0; i < f->count; i++) {
		if (criteria[key->field].wanted == FROM_ROW)
			o->keys[i] = row_key(f, i, key->field);
		else if (criteria[key->field].wanted == SCORED)
			o->keys[i] = score_key(f, i);
		else
			o->keys[i] = fact_key(o->facts, o->ranks,
			    o->places[i], key->field);
	}
	imap_sort_by(o->order, f->count, o->keys, key->reverse, o->scratch);
}

/* Indexes and scores as the order says. */
static void
rearrange(struct order *o)
{
	struct imap_find *f = o->f;
	uint8_t *scores = f->scores == NULL ? NULL : xmalloc(f->count);

	for (size_t i = 0; i < f->count; i++) {
		o->scratch[i] = f->indexes[o->order[i]];
		if (scores != NULL)
			scores[i] = f->scores[o->order[i]];
	}
	memcpy(f->indexes, o->scratch, f->count * sizeof(*f->indexes));
	if (scores != NULL)
		memcpy(f->scores, scores, f->count);
	free(scores);
}

static void
sort_all(struct imap_find *f, const struct imap_search_command *wish,
    struct imap_facts *facts, unsigned wanted)
{
	struct order o = { .f = f, .facts = facts };

	o.places = xcalloc(f->count, sizeof(*o.places));
	o.order = xcalloc(f->count, sizeof(*o.order));
	o.scratch = xcalloc(f->count, sizeof(*o.scratch));
	o.keys = xcalloc(f->count, sizeof(*o.keys));
	must((facts != NULL) == (wanted != 0));
	if (facts != NULL)
		find_facts(f, facts, o.places);
	if ((wanted & (IMAP_FACTS_SUBJECT | IMAP_FACTS_ADDRESSES)) != 0)
		o.ranks = imap_intern_ranks(facts->strings);
	for (size_t i = 0; i < f->count; i++)
		o.order[i] = (uint32_t)i;
	for (size_t i = wish->sort_count; i > 0; i--)
		sort_by(&o, &wish->sort[i - 1]);
	rearrange(&o);
	free(o.keys);
	free(o.scratch);
	free(o.order);
	free(o.places);
}

int
imap_order(struct imap_find *f, const struct imap_search_command *wish)
{
	unsigned wanted = wanted_by(wish);
	struct imap_facts *facts = NULL;

	if (f->count < 2)
		return 1;
	if (wanted != 0 && imap_facts_take(f->t, f->box, f->collation, wanted,
	    &facts) != 1)
		return -1;
	sort_all(f, wish, facts, wanted);
	if (facts != NULL)
		imap_facts_give(&facts);
	return 1;
}

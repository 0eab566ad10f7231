/*
 * seen.c - which messages each user of a mailbox has seen.
 */
#include "store/seen.h"

#include <stdlib.h>

void
seens_free(struct seens *s)
{
	for (size_t i = 0; i < s->n; i++)
		uids_free(&s->at[i].uids);
	free(s->at);
	*s = (struct seens){ 0 };
}

size_t
seens_bytes(const struct seens *s)
{
	size_t sum = s->room * sizeof(*s->at);

	for (size_t i = 0; i < s->n; i++)
		sum += s->at[i].uids.room * sizeof(struct uid_range);
	return sum;
}

static struct seen *
find(const struct seens *s, uint64_t user)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->at[i].user == user)
			return &s->at[i];
	return NULL;
}

const struct uids *
seens_of(const struct seens *s, uint64_t user)
{
	static const struct uids nothing;
	const struct seen *seen = find(s, user);

	return seen != NULL ? &seen->uids : &nothing;
}

struct seen *
seens_make(struct seens *s, uint64_t user)
{
	struct seen *seen = find(s, user);

	if (seen != NULL)
		return seen;
	if (s->n == s->room) {
		s->room = s->room * 2 + 4;
		s->at = xrealloc(s->at, s->room * sizeof(*s->at));
	}
	s->at[s->n] = (struct seen){ .user = user };
	return &s->at[s->n++];
}

/* ---- sets ------------------------------------------------------------ */

static void
merge(const struct uids *a, const struct uids *b, struct uids *out)
{
	size_t i = 0, k = 0;

	while (i < a->n || k < b->n) {
		const struct uid_range *next;

		if (k == b->n || (i < a->n && a->at[i].first <= b->at[k].first))
			next = &a->at[i++];
		else
			next = &b->at[k++];
		uids_add(out, next->first, next->last);
	}
}

static void
subtract(const struct uids *a, const struct uids *b, struct uids *out)
{
	size_t k = 0;

	for (size_t i = 0; i < a->n; i++) {
		uint64_t first = a->at[i].first, last = a->at[i].last;

		while (k < b->n && b->at[k].last < first)
			k++;
		for (size_t at = k; at < b->n && b->at[at].first <= last;
		    at++) {
			if (b->at[at].first > first)
				uids_add(out, (uint32_t)first,
				    b->at[at].first - 1);
			first = MAX(first, (uint64_t)b->at[at].last + 1);
		}
		if (first <= last)
			uids_add(out, (uint32_t)first, (uint32_t)last);
	}
}

void
uids_between(const struct uids *u, uint32_t first, uint32_t last,
    struct uids *out)
{
	for (size_t i = 0; i < u->n && u->at[i].first <= last; i++)
		if (u->at[i].last >= first)
			uids_add(out, MAX(u->at[i].first, first),
			    MIN(u->at[i].last, last));
}

void
seen_change(struct seen *seen, enum store_mode mode, const struct uids *uids)
{
	struct uids after = { 0 };

	if (uids->n == 0)
		return;
	if (mode == STORE_ADD)
		merge(&seen->uids, uids, &after);
	else
		subtract(&seen->uids, uids, &after);
	uids_free(&seen->uids);
	seen->uids = after;
	if (seen->first == 0 || uids->at[0].first < seen->first)
		seen->first = uids->at[0].first;
	seen->last = MAX(seen->last, uids->at[uids->n - 1].last);
}

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

/* Where a user's set is, or would be. */
static size_t
seek(const struct seens *s, uint64_t user)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->at[middle].user < user)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct uids *
seens_of(const struct seens *s, uint64_t user)
{
	static const struct uids nothing;
	size_t i = seek(s, user);

	return i < s->n && s->at[i].user == user ? &s->at[i].uids : &nothing;
}

struct seen *
seens_make(struct seens *s, uint64_t user)
{
	size_t i = seek(s, user);

	if (i < s->n && s->at[i].user == user)
		return &s->at[i];
	if (s->n == s->room) {
		s->room = s->room * 2 + 4;
		s->at = xrealloc(s->at, s->room * sizeof(*s->at));
	}
	memmove(&s->at[i + 1], &s->at[i], (s->n++ - i) * sizeof(*s->at));
	s->at[i] = (struct seen){ .user = user };
	return &s->at[i];
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

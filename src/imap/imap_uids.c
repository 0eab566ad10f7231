/*
 * imap_uids.c - sets of UIDs as ascending runs.
 */
#include "imap/imap_uids.h"

#include <stdlib.h>

void
imap_uids_free(struct imap_uids *u)
{
	free(u->runs);
	*u = (struct imap_uids){ .runs = NULL };
}

uint32_t
imap_uids_count(const struct imap_uids *u)
{
	const struct imap_run *end;

	if (u->from == u->to)
		return 0;
	end = &u->runs[u->to - 1];
	return end->before + imap_run_length(end) - u->base;
}

uint32_t
imap_uids_seek(const struct imap_uids *u, uint32_t uid)
{
	uint32_t low = u->from, high = u->to;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (u->runs[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
imap_uids_have(const struct imap_uids *u, uint32_t uid)
{
	uint32_t i = imap_uids_seek(u, uid);

	return i < u->to && u->runs[i].first <= uid;
}

uint32_t
imap_uids_below(const struct imap_uids *u, uint32_t uid)
{
	uint32_t i = imap_uids_seek(u, uid);

	if (i == u->to)
		return imap_uids_count(u);
	return u->runs[i].before - u->base +
	    (uid > u->runs[i].first ? uid - u->runs[i].first : 0);
}

uint32_t
imap_uids_last(const struct imap_uids *u)
{
	return u->from < u->to ? u->runs[u->to - 1].last : 0;
}

void
imap_uids_append(struct imap_uids *u, uint32_t first, uint32_t last)
{
	struct imap_run *end = u->from < u->to ? &u->runs[u->to - 1] : NULL;

	must(first <= last && (end == NULL || first > end->last));
	if (end != NULL && end->last + 1 == first) {
		end->last = last;
		return;
	}
	if (u->to == u->room) {
		u->room = u->room == 0 ? 4 : u->room * 2;
		u->runs = xrealloc(u->runs, u->room * sizeof(*u->runs));
	}
	u->runs[u->to] = (struct imap_run){ first, last,
	    u->base + imap_uids_count(u) };
	u->to++;
}

/* The run with the lower beginning of two sets; false: there is none left. */
static bool
next_run(const struct imap_uids *a, uint32_t *i, const struct imap_uids *b,
    uint32_t *j, struct imap_run *out)
{
	if (*i < a->to && (*j == b->to ||
	    a->runs[*i].first <= b->runs[*j].first))
		*out = a->runs[(*i)++];
	else if (*j < b->to)
		*out = b->runs[(*j)++];
	else
		return false;
	return true;
}

void
imap_uids_merge(struct imap_uids *u, const struct imap_uids *more)
{
	struct imap_uids sum = { .runs = NULL };
	struct imap_run run;
	uint32_t i = u->from, j = more->from, last;

	if (more->from == more->to)
		return;
	while (next_run(u, &i, more, &j, &run)) {
		last = imap_uids_last(&sum);
		if (run.last <= last)
			continue;
		imap_uids_append(&sum, MAX(run.first, last + 1), run.last);
	}
	imap_uids_free(u);
	*u = sum;
}

/* What is left of [first, last] without the runs of `less` from *j on. */
static void
append_rest(struct imap_uids *u, uint32_t first, uint32_t last,
    const struct imap_uids *less, uint32_t *j)
{
	while (*j < less->to && less->runs[*j].last < first)
		(*j)++;
	for (uint32_t i = *j; i < less->to && less->runs[i].first <= last;
	    i++) {
		if (first < less->runs[i].first)
			imap_uids_append(u, first, less->runs[i].first - 1);
		if (less->runs[i].last >= last)
			return;
		first = less->runs[i].last + 1;
		*j = i;
	}
	imap_uids_append(u, first, last);
}

void
imap_uids_subtract(struct imap_uids *u, const struct imap_uids *less)
{
	struct imap_uids rest = { .runs = NULL };
	uint32_t j = less->from;

	if (less->from == less->to)
		return;
	for (uint32_t i = u->from; i < u->to; i++)
		append_rest(&rest, u->runs[i].first, u->runs[i].last, less,
		    &j);
	imap_uids_free(u);
	*u = rest;
}

/* At an end, which is the way the sets are used up, this costs nothing. */
static bool
remove_at_end(struct imap_uids *u, uint32_t first, uint32_t last)
{
	struct imap_run *front = &u->runs[u->from];
	struct imap_run *end = &u->runs[u->to - 1];

	if (first <= front->first && last < front->last) {
		u->base += last - front->first + 1;
		front->before = u->base;
		front->first = last + 1;
	} else if (first <= front->first && u->from + 1 < u->to &&
	    last < u->runs[u->from + 1].first) {
		u->base += imap_run_length(front);
		u->from++;
	} else if (last >= end->last && first > end->first) {
		end->last = first - 1;
	} else if (last >= end->last && u->from + 1 < u->to &&
	    first > end[-1].last) {
		u->to--;
	} else {
		return false;
	}
	return true;
}

void
imap_uids_remove(struct imap_uids *u, uint32_t first, uint32_t last)
{
	struct imap_run run = { first, last, 0 };
	struct imap_uids less = { .runs = &run, .to = 1 };
	uint32_t i = imap_uids_seek(u, first);

	if (i < u->to && u->runs[i].first <= last &&
	    !remove_at_end(u, first, last))
		imap_uids_subtract(u, &less);
}

void
imap_uids_coarsen(struct imap_uids *u, uint32_t runs)
{
	struct imap_uids fewer = { .runs = NULL };
	uint32_t many = u->to - u->from, share;

	if (many <= runs)
		return;
	share = (many + runs - 1) / runs;
	for (uint32_t i = u->from; i < u->to; i += share)
		imap_uids_append(&fewer, u->runs[i].first,
		    u->runs[MIN(i + share, u->to) - 1].last);
	imap_uids_free(u);
	*u = fewer;
}

void
imap_uids_add(const struct imap_uids *u, struct text *out)
{
	for (uint32_t i = u->from; i < u->to; i++) {
		if (i > u->from)
			text_char(out, ',');
		text_u64(out, u->runs[i].first);
		if (u->runs[i].first == u->runs[i].last)
			continue;
		text_char(out, ':');
		text_u64(out, u->runs[i].last);
	}
}

/*
 * imap_resync.c - what a client missed: QRESYNC (RFC 7162 3.2).
 *
 * Flags that changed are known here; of what vanished the store is asked, who
 * remembers a good deal of it (store.tombstones). When it does not go back
 * that far, the UIDs that are not there are told instead: more than need be,
 * never less.
 */
#include "imap/imap_resync.h"

#include "imap/imap_uids.h"
#include "ipc/wire.h"

/* -- the parameter ---- */

static bool
take_plain_set(struct imap_parser *in, struct imap_set *set)
{
	if (!imap_parse_set(in, set))
		return false;
	if (set->saved)
		return imap_parse_fail(in, "A list of UIDs expected");
	for (size_t i = 0; i < set->count; i++)
		if (set->ranges[i].last == IMAP_RANGE_STAR)
			return imap_parse_fail(in, "\"*\" is not known yet");
	return true;
}

static uint64_t
members(const struct imap_set *set)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < set->count; i++)
		sum += (uint64_t)set->ranges[i].last - set->ranges[i].first +
		    1;
	return sum;
}

static bool
ascends(const struct imap_set *set)
{
	for (size_t i = 1; i < set->count; i++)
		if (set->ranges[i].first <= set->ranges[i - 1].last)
			return false;
	return true;
}

static bool
take_match(struct imap_parser *in, struct imap_resync *r)
{
	r->has_match = true;
	if (!imap_parse_char(in, '(') || !take_plain_set(in, &r->numbers) ||
	    !imap_parse_space(in) || !take_plain_set(in, &r->uids) ||
	    !imap_parse_char(in, ')'))
		return false;
	if (members(&r->numbers) != members(&r->uids))
		return imap_parse_fail(in, "As many numbers as UIDs expected");
	return (ascends(&r->numbers) && ascends(&r->uids)) ||
	    imap_parse_fail(in, "Ascending numbers expected");
}

bool
imap_parse_resync(struct imap_parser *in, struct imap_resync *r)
{
	*r = (struct imap_resync){ .uidvalidity = 0 };
	if (!imap_parse_space(in) || !imap_parse_char(in, '(') ||
	    !imap_parse_nz_u32(in, &r->uidvalidity) || !imap_parse_space(in) ||
	    !imap_parse_u63(in, &r->modseq))
		return false;
	if (imap_parse_peek(in) == ')')
		return imap_parse_char(in, ')');
	if (!imap_parse_space(in))
		return false;
	if (imap_parse_peek(in) != '(') {
		r->has_known = true;
		if (!take_plain_set(in, &r->known))
			return false;
		if (imap_parse_peek(in) == ')')
			return imap_parse_char(in, ')');
		if (!imap_parse_space(in))
			return false;
	}
	return take_match(in, r) && imap_parse_char(in, ')');
}

/* -- what vanished ---- */

/*
 * The highest UID whose number is what the client says: none is missing
 * below it. Numbers only fall: who matches, matches up to there.
 */
static uint32_t
highest_match(const struct imap_view *view, const struct imap_resync *r)
{
	size_t i = 0, j = 0;
	uint32_t into_i = 0, into_j = 0, best = 0;

	while (i < r->numbers.count && j < r->uids.count) {
		uint32_t number = r->numbers.ranges[i].first + into_i;
		uint32_t uid = r->uids.ranges[j].first + into_j;
		uint32_t low = 0, high = MIN(
		    r->numbers.ranges[i].last - number,
		    r->uids.ranges[j].last - uid) + 1, n = high;

		while (low < high) {
			uint32_t middle = low + (high - low) / 2;

			if (number - 1 + middle < imap_view_count(view) &&
			    imap_view_uid(view, number - 1 + middle) ==
			    uid + middle)
				low = middle + 1;
			else
				high = middle;
		}
		if (low > 0)
			best = uid + low - 1;
		if (low < n)
			break;
		into_i += n;
		into_j += n;
		if (number + (n - 1) == r->numbers.ranges[i].last) {
			i++;
			into_i = 0;
		}
		if (uid + (n - 1) == r->uids.ranges[j].last) {
			j++;
			into_j = 0;
		}
	}
	return best;
}

/* A set as UIDs that were given out. False: the arena is full. */
static bool
given_out(const struct imap_view *view, const struct imap_set *set,
    struct arena *arena, struct imap_uids *out)
{
	uint32_t last = view->model->uidnext - 1;
	struct imap_set settled = *set;

	*out = (struct imap_uids){ .runs = NULL };
	if (last == 0)
		return true;
	if (!imap_set_settle(&settled, last, arena))
		return false;
	for (size_t i = 0; i < settled.count; i++) {
		struct imap_range r = settled.ranges[i];

		if (r.first <= last)
			imap_uids_append(out, r.first, MIN(r.last, last));
	}
	return true;
}

static struct imap_uids
those_there(const struct imap_view *view)
{
	const struct imap_model *m = view->model;
	struct imap_uids uids = { .runs = NULL };

	for (uint32_t i = 0; i < m->count; i++)
		imap_uids_append(&uids, m->rows[i].uid, m->rows[i].uid);
	return uids;
}

/* Those of `uids` that are in the records too. */
static int
keep_those_in(struct imap_uids *uids, struct span records)
{
	struct imap_uids others = { .runs = NULL }, all = *uids;
	struct cursor at = { .rest = records };
	struct uid_range range;
	uint32_t from = 1;
	int status;

	*uids = (struct imap_uids){ .runs = NULL };
	imap_uids_merge(uids, &all);
	while ((status = uid_range_get(&at, &range)) == 1) {
		if (range.first < from || range.last == UINT32_MAX)
			break;
		if (range.first > from)
			imap_uids_append(&others, from, range.first - 1);
		from = range.last + 1;
	}
	imap_uids_append(&others, from, UINT32_MAX);
	imap_uids_subtract(uids, &others);
	imap_uids_free(&others);
	imap_uids_free(&all);
	return status == 0 ? 1 : -1;
}

static void
say_earlier(struct imap_task *t, const struct imap_uids *uids)
{
	struct text line = TEXT_INIT(0);

	if (uids->from == uids->to)
		return;
	text_str(&line, "* VANISHED (EARLIER) ");
	imap_uids_add(uids, &line);
	text_str(&line, "\r\n");
	stream_write(t->s->stream, text_span(&line));
	text_free(&line);
}

bool
imap_say_vanished(struct imap_task *t, uint64_t since,
    const struct imap_set *set, const struct imap_resync *match,
    struct imap_reply *why)
{
	struct imap_view *view = &t->s->box->view;
	struct mailbox_vanished_request request = { .grant = t->s->grant,
	    .mailbox = t->s->box->id, .since = since };
	struct mailbox_vanished_reply reply;
	struct imap_uids uids, there;
	uint32_t known;
	bool sane = true;

	if (call_mailbox_vanished(imap_store(), t->arena, &request,
	    &reply) != 1) {
		*why = imap_unavailable();
		return false;
	}
	if (reply.result != RESULT_OK ||
	    !given_out(view, set, t->arena, &uids)) {
		*why = reply.result != RESULT_OK
		    ? imap_box_refused(t, reply.result) : imap_no_memory();
		blob_release(&reply.vanished);
		return false;
	}
	if (reply.complete)
		sane = keep_those_in(&uids, reply.vanished.bytes) == 1;
	else if (match != NULL && match->has_match &&
	    (known = highest_match(view, match)) > 0)
		imap_uids_remove(&uids, 1, known);
	/* Expunged this moment: that will be told like any other. */
	there = those_there(view);
	imap_uids_subtract(&uids, &there);
	imap_uids_subtract(&uids, &view->gone);
	if (sane)
		say_earlier(t, &uids);
	else
		*why = imap_no("SERVERBUG", "The mailbox is damaged");
	imap_uids_free(&there);
	imap_uids_free(&uids);
	blob_release(&reply.vanished);
	return sane;
}

/* -- all that was missed ---- */

static void
say_changed(struct imap_task *t, const struct imap_resync *r,
    const struct imap_set *set)
{
	struct imap_view *view = &t->s->box->view;
	uint32_t last = imap_view_last_uid(view);
	struct text lines = TEXT_INIT(0);

	for (uint32_t i = 0; i < imap_view_count(view); i++) {
		const struct message_row *row = imap_view_row(view, i);

		if (row == NULL || row->modseq <= r->modseq ||
		    !imap_set_has(set, row->uid, last))
			continue;
		imap_tell_flags(t->s, i, true, &lines);
		imap_say(t->s, &lines, false);
	}
	imap_say(t->s, &lines, true);
	text_free(&lines);
}

bool
imap_say_missed(struct imap_task *t, const struct imap_resync *r,
    struct imap_reply *why)
{
	struct imap_range all = { 1, IMAP_RANGE_STAR };
	struct imap_set set = { .ranges = &all, .count = 1 };

	if (r->uidvalidity != t->s->box->view.model->uidvalidity)
		return true;	/* nothing that the client has is true */
	if (r->has_known)
		set = r->known;
	if (!imap_say_vanished(t, r->modseq, &set, r, why))
		return false;
	if (!imap_set_settle(&set, imap_view_last_uid(&t->s->box->view),
	    t->arena)) {
		*why = imap_no_memory();
		return false;
	}
	say_changed(t, r, &set);
	return true;
}

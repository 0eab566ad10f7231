/*
 * imap_view.c - a mailbox as one client believes it to be.
 */
#include "imap/imap_view.h"

#include <stdlib.h>

#include "ipc/wire.h"

enum {
	CHANGED_RUNS = 1024,		/* more of them become coarser */
	RECENT_RUNS = 1024,
};

/* -- coming and going ---- */

void
imap_view_attach(struct imap_view *v, struct imap_model *m,
    uint32_t recent_from)
{
	*v = (struct imap_view){ .model = m, .next = m->views };
	if (m->views != NULL)
		m->views->before = v;
	m->views = v;
	if (recent_from < m->uidnext)
		imap_view_note_recent(v, MAX(recent_from, 1), m->uidnext - 1);
	v->told_count = m->count;
	v->told_recent = imap_view_recent(v);
}

void
imap_view_detach(struct imap_view *v)
{
	if (v->model == NULL)
		return;
	if (v->before != NULL)
		v->before->next = v->next;
	else
		v->model->views = v->next;
	if (v->next != NULL)
		v->next->before = v->before;
	imap_uids_free(&v->gone);
	imap_uids_free(&v->changed);
	imap_uids_free(&v->recent);
	*v = (struct imap_view){ .model = NULL };
}

void
imap_view_note(struct imap_view *v, const struct imap_uids *gone,
    const struct imap_uids *changed, uint64_t after, bool keywords)
{
	imap_uids_merge(&v->gone, gone);
	if (v->changed.from == v->changed.to)
		v->changed_after = after;
	imap_uids_merge(&v->changed, changed);
	imap_uids_coarsen(&v->changed, CHANGED_RUNS);
	v->tell_keywords = v->tell_keywords || keywords;
}

/* \Recent matters to nobody so much that it may take up memory. */
void
imap_view_note_recent(struct imap_view *v, uint32_t first, uint32_t last)
{
	if (v->no_recent)
		return;
	first = MAX(first, imap_uids_last(&v->recent) + 1);
	if (first <= last && v->recent.to - v->recent.from < RECENT_RUNS)
		imap_uids_append(&v->recent, first, last);
}

/* -- rows ---- */

/* The index of the first member of a run of messages that are gone. */
static uint32_t
gone_at(const struct imap_view *v, uint32_t run)
{
	const struct imap_run *r = &v->gone.runs[run];

	return imap_model_find(v->model, r->first) + r->before - v->gone.base;
}

/*
 * The last run of those that are gone which begins at or before an index;
 * false: none does.
 */
static bool
run_before(const struct imap_view *v, uint32_t index, uint32_t *run)
{
	uint32_t low = v->gone.from, high = v->gone.to;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (gone_at(v, middle) <= index)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == v->gone.from)
		return false;
	*run = low - 1;
	return true;
}

/* Of messages the client will know when all is told but what is gone. */
static uint32_t
whole(const struct imap_view *v)
{
	return v->model->count + imap_uids_count(&v->gone);
}

/* Is the message gone? Else *row is its row in the model. */
static bool
is_gone(const struct imap_view *v, uint32_t index, uint32_t *uid,
    uint32_t *row)
{
	const struct imap_run *r;
	uint32_t run, into;

	must(index < whole(v));
	*row = index;
	if (v->gone.from == v->gone.to || !run_before(v, index, &run))
		return false;
	r = &v->gone.runs[run];
	into = index - gone_at(v, run);
	if (into < imap_run_length(r)) {
		*uid = r->first + into;
		return true;
	}
	*row = index - (r->before - v->gone.base) - imap_run_length(r);
	return false;
}

uint32_t
imap_view_count(const struct imap_view *v)
{
	return v->model == NULL ? 0 : v->told_count;
}

bool
imap_view_any_gone(const struct imap_view *v)
{
	return v->gone.from < v->gone.to;
}

const struct message_row *
imap_view_row(const struct imap_view *v, uint32_t index)
{
	uint32_t uid, row;

	return is_gone(v, index, &uid, &row) ? NULL : &v->model->rows[row];
}

uint32_t
imap_view_uid(const struct imap_view *v, uint32_t index)
{
	uint32_t uid, row;

	return is_gone(v, index, &uid, &row) ? uid : v->model->rows[row].uid;
}

uint32_t
imap_view_find(const struct imap_view *v, uint32_t uid)
{
	return MIN(v->told_count, imap_model_find(v->model, uid) +
	    imap_uids_below(&v->gone, uid));
}

uint32_t
imap_view_last_uid(const struct imap_view *v)
{
	uint32_t count = imap_view_count(v);

	return count == 0 ? 0 : imap_view_uid(v, count - 1);
}

uint64_t
imap_view_modseq(const struct imap_view *v)
{
	return v->model->modseq;
}

uint64_t
imap_view_flags(const struct imap_view *v, const struct message_row *row)
{
	if (v->recent.from == v->recent.to)
		return row->flags;
	return row->flags |
	    (imap_uids_have(&v->recent, row->uid) ? IMAP_FLAG_RECENT : 0);
}

uint32_t
imap_view_recent(const struct imap_view *v)
{
	uint32_t sum = 0;

	for (uint32_t i = v->recent.from; i < v->recent.to; i++)
		sum += imap_view_find(v, v->recent.runs[i].last + 1) -
		    imap_view_find(v, v->recent.runs[i].first);
	return sum;
}

/* -- flags ---- */

uint64_t
imap_view_keyword(const struct imap_view *v, struct span name)
{
	return imap_model_keyword(v->model, name);
}

uint64_t
imap_view_keywords(const struct imap_view *v, struct span names)
{
	return imap_model_keywords(v->model, names);
}

static void
add_word(struct text *out, size_t begin, struct span word)
{
	if (out->n > begin)
		text_char(out, ' ');
	text_add(out, word);
}

static const struct {
	uint64_t flag;
	struct span name;
} flag_names[] = {
	{ FLAG_ANSWERED, { "\\Answered", 9 } },
	{ FLAG_FLAGGED, { "\\Flagged", 8 } },
	{ FLAG_DELETED, { "\\Deleted", 8 } },
	{ FLAG_SEEN, { "\\Seen", 5 } },
	{ FLAG_DRAFT, { "\\Draft", 6 } },
	{ IMAP_FLAG_RECENT, { "\\Recent", 7 } },
};

void
imap_view_add_flags(const struct imap_view *v, struct text *out,
    uint64_t flags)
{
	size_t begin = out->n;
	struct span rest = text_span(&v->model->keywords);
	uint64_t keywords = flags >> FLAG_KEYWORD_0;

	if (flags == 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(flag_names); i++)
		if ((flags & flag_names[i].flag) != 0)
			add_word(out, begin, flag_names[i].name);
	for (; keywords != 0; keywords >>= 1) {
		struct span word = span_word(&rest);

		if (word.n == 0)
			break;
		if ((keywords & 1) != 0)
			add_word(out, begin, word);
	}
}

void
imap_view_add_all_flags(const struct imap_view *v, struct text *out)
{
	imap_view_add_flags(v, out, FLAGS_SYSTEM);
	if (v->model->keywords.n > 0)
		text_char(out, ' ');
	text_add(out, text_span(&v->model->keywords));
}

/* -- telling ---- */

static bool
is_news(const struct imap_view *v, const struct message_row *row)
{
	return row->modseq > v->changed_after;
}

bool
imap_view_changed(const struct imap_view *v, uint32_t index)
{
	const struct message_row *row = imap_view_row(v, index);

	return row != NULL && is_news(v, row) &&
	    imap_uids_have(&v->changed, row->uid);
}

void
imap_view_told_all(struct imap_view *v, uint32_t from, uint32_t to)
{
	if (v->changed.from == v->changed.to || from >= to)
		return;
	/* Up to the messages beside them there is nothing to tell of. */
	imap_uids_remove(&v->changed,
	    from == 0 ? 1 : imap_view_uid(v, from - 1) + 1,
	    imap_view_uid(v, to - 1));
}

void
imap_view_told(struct imap_view *v, uint32_t index)
{
	if (v->changed.from < v->changed.to)
		imap_view_told_all(v, index, index + 1);
}

bool
imap_view_news(const struct imap_view *v)
{
	return imap_view_any_gone(v) || v->tell_keywords ||
	    v->told_count != whole(v) ||
	    v->told_recent != imap_view_recent(v) ||
	    v->changed.from < v->changed.to;
}

/* Messages that are gone, and the client never knew of. */
static void
drop_untold(struct imap_view *v)
{
	while (imap_view_any_gone(v)) {
		struct imap_run run = v->gone.runs[v->gone.to - 1];
		uint32_t at = gone_at(v, v->gone.to - 1);
		uint32_t known = at < v->told_count ? v->told_count - at : 0;

		if (known >= imap_run_length(&run))
			return;
		imap_uids_remove(&v->gone, run.first + known, run.last);
	}
}

/* From the last to the first: so no number moves before it is told. */
static bool
next_expunge(struct imap_view *v, struct imap_event *event)
{
	uint32_t uid;

	drop_untold(v);
	if (!imap_view_any_gone(v))
		return false;
	uid = imap_uids_last(&v->gone);
	*event = (struct imap_event){ IMAP_EVENT_EXPUNGE,
	    imap_view_find(v, uid) + 1 };
	imap_uids_remove(&v->gone, uid, uid);
	v->told_count--;
	return true;
}

bool
imap_view_vanish(struct imap_view *v, struct text *uids)
{
	drop_untold(v);
	if (!imap_view_any_gone(v))
		return false;
	imap_uids_add(&v->gone, uids);
	v->told_count -= imap_uids_count(&v->gone);
	imap_uids_free(&v->gone);
	return true;
}

static bool
next_fetch(struct imap_view *v, struct imap_event *event)
{
	const struct imap_model *m = v->model;

	while (v->changed.from < v->changed.to) {
		struct imap_run run = v->changed.runs[v->changed.from];
		uint32_t row = imap_model_find(m, run.first);

		while (row < m->count && m->rows[row].uid <= run.last &&
		    !is_news(v, &m->rows[row]))
			row++;
		if (row == m->count || m->rows[row].uid > run.last) {
			imap_uids_remove(&v->changed, run.first, run.last);
			continue;
		}
		imap_uids_remove(&v->changed, run.first, m->rows[row].uid);
		*event = (struct imap_event){ IMAP_EVENT_FETCH,
		    imap_view_find(v, m->rows[row].uid) + 1 };
		return true;
	}
	return false;
}

bool
imap_view_next(struct imap_view *v, bool expunges, struct imap_event *event)
{
	if (expunges && next_expunge(v, event))
		return true;
	if (v->tell_keywords) {
		v->tell_keywords = false;
		*event = (struct imap_event){ IMAP_EVENT_KEYWORDS, 0 };
		return true;
	}
	if (v->told_count != whole(v)) {
		v->told_count = whole(v);
		*event = (struct imap_event){ IMAP_EVENT_EXISTS,
		    v->told_count };
		return true;
	}
	if (v->told_recent != imap_view_recent(v)) {
		v->told_recent = imap_view_recent(v);
		*event = (struct imap_event){ IMAP_EVENT_RECENT,
		    v->told_recent };
		return true;
	}
	return next_fetch(v, event);
}

/* -- sets ---- */

static int
compare_picks(const void *a, const void *b)
{
	const struct imap_pick *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

/* Sorted, overlapping ones joined, counted. */
static void
join_picks(struct imap_picks *out)
{
	size_t to = 0;

	if (out->count > 1)
		qsort(out->picks, out->count, sizeof(*out->picks),
		    compare_picks);
	for (size_t i = 0; i < out->count; i++) {
		struct imap_pick pick = out->picks[i];

		if (pick.from >= pick.to)
			continue;
		if (to > 0 && pick.from <= out->picks[to - 1].to) {
			out->picks[to - 1].to = MAX(out->picks[to - 1].to,
			    pick.to);
			continue;
		}
		out->picks[to++] = pick;
	}
	out->count = to;
	for (size_t i = 0; i < to; i++)
		out->messages += out->picks[i].to - out->picks[i].from;
}

static struct imap_pick
pick_uids(const struct imap_view *v, struct imap_range r)
{
	uint32_t last = imap_view_last_uid(v);
	uint32_t swap;

	if (r.last == IMAP_RANGE_STAR) {
		r.last = last;
		if (r.first == IMAP_RANGE_STAR)
			r.first = last;
	}
	if (r.first > r.last) {
		swap = r.first;
		r.first = r.last;
		r.last = swap;
	}
	return (struct imap_pick){ imap_view_find(v, r.first),
	    r.last == UINT32_MAX ? imap_view_count(v)
	    : imap_view_find(v, r.last + 1) };
}

/* False: a number beyond the last message. In an empty mailbox "*", and what
 * reaches up to it, is nothing: clients say 1:* there. */
static bool
pick_numbers(const struct imap_view *v, struct imap_range r,
    struct imap_pick *out)
{
	*out = (struct imap_pick){ 0, 0 };
	if (r.last == IMAP_RANGE_STAR) {
		if (imap_view_count(v) == 0)
			return true;
		r.last = imap_view_count(v);
		if (r.first == IMAP_RANGE_STAR)
			r.first = imap_view_count(v);
	}
	if (r.first > imap_view_count(v) || r.last > imap_view_count(v))
		return false;
	*out = (struct imap_pick){ r.first - 1, r.last };
	return true;
}

int
imap_view_pick(const struct imap_view *v, const struct imap_set *set,
    bool by_uid, struct arena *arena, struct imap_picks *out)
{
	*out = (struct imap_picks){ .count = set->count };
	out->picks = arena_alloc(arena, set->count * sizeof(*out->picks));
	if (out->picks == NULL)
		return -1;
	for (size_t i = 0; i < set->count; i++) {
		if (by_uid)
			out->picks[i] = pick_uids(v, set->ranges[i]);
		else if (!pick_numbers(v, set->ranges[i], &out->picks[i]))
			return 0;
	}
	join_picks(out);
	return 1;
}

struct imap_picks
imap_view_all(const struct imap_view *v, struct imap_pick *room)
{
	*room = (struct imap_pick){ 0, imap_view_count(v) };
	return (struct imap_picks){ .picks = room,
	    .count = imap_view_count(v) > 0,
	    .messages = imap_view_count(v) };
}

/* -- ranges ---- */

static void
add_range(struct text *out, struct uid_range range)
{
	text_u64(out, range.first);
	if (range.last == range.first)
		return;
	text_char(out, ':');
	text_u64(out, range.last);
}

void
imap_ranges_add(struct imap_ranges *r, uint32_t number)
{
	if (r->any && number == r->last.last + 1) {
		r->last.last = number;
		return;
	}
	if (r->any) {
		add_range(&r->text, r->last);
		text_char(&r->text, ',');
	}
	r->last = (struct uid_range){ .first = number, .last = number };
	r->any = true;
}

void
imap_ranges_end(struct imap_ranges *r)
{
	if (r->any)
		add_range(&r->text, r->last);
	r->any = false;
}

int
imap_add_uid_ranges(struct text *out, struct span records)
{
	struct cursor at = { .rest = records };
	struct uid_range range;
	bool first = true;
	int status;

	while ((status = uid_range_get(&at, &range)) == 1) {
		if (!first)
			text_char(out, ',');
		first = false;
		add_range(out, range);
	}
	return status == 0 ? 1 : -1;
}

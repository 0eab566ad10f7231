/*
 * imap_view.c - a mailbox as one client believes it to be.
 */
#include "imap/imap_view.h"

#include <stdlib.h>

#include "ipc/wire.h"

enum { ROW_SIZE = 32, KEYWORDS_LIMIT = 16384 };

/* -- rows ---- */

uint32_t
imap_view_find(const struct imap_view *v, uint32_t uid)
{
	uint32_t low = 0, high = v->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (v->rows[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint32_t
imap_view_last_uid(const struct imap_view *v)
{
	return v->count > 0 ? v->rows[v->count - 1].uid : 0;
}

static bool
row_gone(const struct message_row *row)
{
	return (row->modseq & IMAP_ROW_GONE) != 0;
}

uint32_t
imap_view_count(const struct imap_view *v)
{
	return v->count;
}

bool
imap_view_any_gone(const struct imap_view *v)
{
	return v->gone > 0;
}

const struct message_row *
imap_view_row(const struct imap_view *v, uint32_t index)
{
	must(index < v->count);
	return row_gone(&v->rows[index]) ? NULL : &v->rows[index];
}

uint32_t
imap_view_uid(const struct imap_view *v, uint32_t index)
{
	must(index < v->count);
	return v->rows[index].uid;
}

uint64_t
imap_view_flags(const struct imap_view *v, const struct message_row *row)
{
	(void)v;
	return row->flags;
}

bool
imap_view_changed(const struct imap_view *v, uint32_t index)
{
	return (v->rows[index].modseq & IMAP_ROW_CHANGED) != 0;
}

uint64_t
imap_view_modseq(const struct imap_view *v)
{
	return v->modseq;
}

static bool
make_room(struct imap_view *v, size_t more, uint32_t max)
{
	size_t need = v->count + more, room = v->room;

	if (need > max)
		return false;
	if (need <= room)
		return true;
	room = MIN(MAX(need, room + room / 4), max);
	v->rows = xrealloc(v->rows, room * sizeof(*v->rows));
	v->room = (uint32_t)room;
	return true;
}

static void
mark_changed(struct imap_view *v, uint32_t index)
{
	v->rows[index].modseq |= IMAP_ROW_CHANGED;
	if (v->changed_from == v->changed_to) {
		v->changed_from = index;
		v->changed_to = index + 1;
		return;
	}
	v->changed_from = MIN(v->changed_from, index);
	v->changed_to = MAX(v->changed_to, index + 1);
}

void
imap_view_told(struct imap_view *v, uint32_t index)
{
	v->rows[index].modseq &= ~IMAP_ROW_CHANGED;
	if (v->changed_to == index + 1 && v->changed_from == index)
		v->changed_from = v->changed_to = 0;
}

static void
mark_gone(struct imap_view *v, uint32_t index)
{
	if (row_gone(&v->rows[index]))
		return;
	v->rows[index].modseq |= IMAP_ROW_GONE;
	v->gone_from = v->gone > 0 ? MIN(v->gone_from, index) : index;
	v->gone_to = v->gone > 0 ? MAX(v->gone_to, index + 1) : index + 1;
	v->gone++;
}

static void
append_row(struct imap_view *v, const struct message_row *row,
    uint32_t recent_from)
{
	struct message_row *fresh = &v->rows[v->count++];

	*fresh = *row;
	fresh->modseq &= ~IMAP_ROW_MARKS;
	fresh->flags &= ~IMAP_FLAG_RECENT;
	if (row->uid >= recent_from) {
		fresh->flags |= IMAP_FLAG_RECENT;
		v->recent++;
	}
}

static void
change_row(struct imap_view *v, uint32_t index, const struct message_row *row)
{
	struct message_row *mine = &v->rows[index];
	uint64_t recent = mine->flags & IMAP_FLAG_RECENT;
	uint64_t marks = mine->modseq & IMAP_ROW_MARKS;
	uint64_t modseq = row->modseq & ~IMAP_ROW_MARKS;

	if (row_gone(mine) || imap_row_modseq(mine) == modseq)
		return;
	mine->flags = (row->flags & ~IMAP_FLAG_RECENT) | recent;
	mine->modseq = modseq | marks;
	mark_changed(v, index);
}

/* -- keywords ---- */

static void
set_keywords(struct imap_view *v, struct span names)
{
	struct span rest = names;

	if (span_eq(text_span(&v->keywords), names))
		return;
	if (v->keywords.limit == 0)
		v->keywords = TEXT_INIT(KEYWORDS_LIMIT);
	text_clear(&v->keywords);
	text_add(&v->keywords, names);
	v->keyword_count = 0;
	while (span_word(&rest).n > 0)
		v->keyword_count++;
	v->tell_keywords = true;
}

uint64_t
imap_view_keyword(const struct imap_view *v, struct span name)
{
	struct span rest = text_span(&v->keywords);

	for (unsigned bit = FLAG_KEYWORD_0; bit < 64; bit++) {
		struct span word = span_word(&rest);

		if (word.n == 0)
			break;
		if (span_eq_nocase(word, name))
			return UINT64_C(1) << bit;
	}
	return 0;
}

uint64_t
imap_view_keywords(const struct imap_view *v, struct span names)
{
	uint64_t bits = 0;
	struct span word;

	while ((word = span_word(&names)).n > 0)
		bits |= imap_view_keyword(v, word);
	return bits;
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
	struct span rest = text_span(&v->keywords);
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
	if (v->keywords.n > 0)
		text_char(out, ' ');
	text_add(out, text_span(&v->keywords));
}

/* -- opening and applying ---- */

int
imap_view_open(struct imap_view *v, const struct mailbox_open_reply *reply,
    uint32_t max)
{
	struct cursor at = { .rest = reply->rows.bytes };
	struct message_row row;
	uint32_t last = 0;
	int status;

	*v = (struct imap_view){ .uidvalidity = reply->uidvalidity,
	    .uidnext = reply->uidnext, .modseq = reply->highestmodseq };
	if (!make_room(v, at.rest.n / ROW_SIZE, max))
		return 0;
	while ((status = message_row_get(&at, &row)) == 1) {
		if (row.uid <= last || v->count == v->room)
			return -1;
		last = row.uid;
		append_row(v, &row, reply->recent_from);
	}
	set_keywords(v, reply->keywords);
	v->tell_keywords = false;
	v->told_count = v->count;
	v->told_recent = v->recent;
	return status == 0 ? 1 : -1;
}

void
imap_view_free(struct imap_view *v)
{
	free(v->rows);
	text_free(&v->keywords);
	*v = (struct imap_view){ 0 };
}

/* What lies in [from, to) was not in a complete listing. */
static void
mark_gone_between(struct imap_view *v, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		mark_gone(v, i);
}

static int
apply_rows(struct imap_view *v, const struct imap_changes *c, uint32_t max)
{
	struct cursor at = { .rest = c->rows };
	struct message_row row;
	uint32_t last = imap_view_last_uid(v), before = v->count, seen = 0;
	uint32_t index;
	int status;

	while ((status = message_row_get(&at, &row)) == 1) {
		if (row.uid > last) {
			if (!make_room(v, 1, max))
				return 0;
			append_row(v, &row, c->recent_from);
			last = row.uid;
			continue;
		}
		index = imap_view_find(v, row.uid);
		if (index >= before || v->rows[index].uid != row.uid)
			continue;	/* told as expunged long ago */
		if (!c->complete)
			mark_gone_between(v, MIN(seen, index), index);
		seen = index + 1;
		change_row(v, index, &row);
	}
	if (status == 0 && !c->complete)
		mark_gone_between(v, MIN(seen, before), before);
	return status == 0 ? 1 : -1;
}

static int
apply_vanished(struct imap_view *v, struct span vanished)
{
	struct cursor at = { .rest = vanished };
	struct uid_range range;
	int status;

	while ((status = uid_range_get(&at, &range)) == 1)
		for (uint32_t i = imap_view_find(v, range.first);
		    i < v->count && v->rows[i].uid <= range.last; i++)
			mark_gone(v, i);
	return status == 0 ? 1 : -1;
}

int
imap_view_apply(struct imap_view *v, const struct imap_changes *c,
    uint32_t max)
{
	int status;

	set_keywords(v, c->keywords);
	if ((status = apply_rows(v, c, max)) == 1)
		status = apply_vanished(v, c->vanished);
	v->uidnext = MAX(v->uidnext, c->uidnext);
	v->modseq = MAX(v->modseq, c->modseq);
	return status;
}

/* -- telling ---- */

bool
imap_view_news(const struct imap_view *v)
{
	return v->gone > 0 || v->count != v->told_count ||
	    v->recent != v->told_recent || v->tell_keywords ||
	    v->changed_from < v->changed_to;
}

/* Rows of messages that are gone leave; the numbers behind them move. */
static void
drop_gone(struct imap_view *v)
{
	uint32_t to = v->gone_from;

	for (uint32_t i = v->gone_from; i < v->gone_to; i++) {
		if (!row_gone(&v->rows[i]))
			v->rows[to++] = v->rows[i];
		else if ((v->rows[i].flags & IMAP_FLAG_RECENT) != 0)
			v->recent--;
	}
	memmove(&v->rows[to], &v->rows[v->gone_to],
	    (v->count - v->gone_to) * sizeof(*v->rows));
	v->count -= v->gone_to - to;
	v->gone = 0;
	v->changed_from = MIN(v->changed_from, v->gone_from);
	v->changed_to = MIN(v->changed_to, v->count);
	if (v->changed_from >= v->changed_to)
		v->changed_from = v->changed_to = 0;
}

/* From the last to the first: so no number moves before it is told. */
static bool
next_expunge(struct imap_view *v, struct imap_event *event)
{
	if (v->expunge_at == 0)
		v->expunge_at = v->gone_to;
	while (v->expunge_at > v->gone_from) {
		uint32_t index = --v->expunge_at;

		if (!row_gone(&v->rows[index]) ||
		    index >= v->told_count)
			continue;
		v->told_count--;
		*event = (struct imap_event){ IMAP_EVENT_EXPUNGE, index + 1 };
		if (index == v->gone_from) {
			v->expunge_at = 0;
			drop_gone(v);
		}
		return true;
	}
	v->expunge_at = 0;
	drop_gone(v);
	return false;
}

static bool
next_fetch(struct imap_view *v, struct imap_event *event)
{
	while (v->changed_from < v->changed_to) {
		uint32_t index = v->changed_from++;
		struct message_row *row = &v->rows[index];

		if ((row->modseq & IMAP_ROW_CHANGED) == 0)
			continue;
		row->modseq &= ~IMAP_ROW_CHANGED;
		if (row_gone(row))
			continue;
		*event = (struct imap_event){ IMAP_EVENT_FETCH, index + 1 };
		return true;
	}
	v->changed_from = v->changed_to = 0;
	return false;
}

bool
imap_view_next(struct imap_view *v, bool expunges, struct imap_event *event)
{
	if (expunges && v->gone > 0 && next_expunge(v, event))
		return true;
	if (v->tell_keywords) {
		v->tell_keywords = false;
		*event = (struct imap_event){ IMAP_EVENT_KEYWORDS, 0 };
		return true;
	}
	if (v->told_count != v->count) {
		v->told_count = v->count;
		*event = (struct imap_event){ IMAP_EVENT_EXISTS, v->count };
		return true;
	}
	if (v->told_recent != v->recent) {
		v->told_recent = v->recent;
		*event = (struct imap_event){ IMAP_EVENT_RECENT, v->recent };
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
	    r.last == UINT32_MAX ? v->count : imap_view_find(v, r.last + 1) };
}

/* False: a number beyond the last message. In an empty mailbox "*", and what
 * reaches up to it, is nothing: clients say 1:* there. */
static bool
pick_numbers(const struct imap_view *v, struct imap_range r,
    struct imap_pick *out)
{
	*out = (struct imap_pick){ 0, 0 };
	if (r.last == IMAP_RANGE_STAR) {
		if (v->count == 0)
			return true;
		r.last = v->count;
		if (r.first == IMAP_RANGE_STAR)
			r.first = v->count;
	}
	if (r.first > v->count || r.last > v->count)
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
	*room = (struct imap_pick){ 0, v->count };
	return (struct imap_picks){ .picks = room, .count = v->count > 0,
	    .messages = v->count };
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

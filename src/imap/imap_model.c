/*
 * imap_model.c - the rows of a mailbox, and how what the store says changes
 * them.
 */
#include "imap/imap_model.h"

#include <stdlib.h>

#include "imap/imap_view.h"
#include "ipc/wire.h"

enum { ROW_SIZE = 32, KEYWORDS_LIMIT = 16384 };

uint32_t
imap_model_find(const struct imap_model *m, uint32_t uid)
{
	uint32_t low = 0, high = m->count;

	if (high == 0 || m->rows[high - 1].uid < uid)
		return high;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (m->rows[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint32_t
imap_model_unseen(struct imap_model *m)
{
	while (m->seen < m->count &&
	    (m->rows[m->seen].flags & FLAG_SEEN) != 0)
		m->seen++;
	return m->seen;
}

size_t
imap_model_bytes(const struct imap_model *m)
{
	return sizeof(*m) + m->room * sizeof(*m->rows) + m->keywords.room;
}

void
imap_model_free(struct imap_model *m)
{
	must(m->views == NULL);
	free(m->rows);
	text_free(&m->keywords);
	*m = (struct imap_model){ .rows = NULL };
}

static bool
make_room(struct imap_model *m, size_t more, uint32_t max)
{
	size_t need = m->count + more, room = m->room;

	if (need > max)
		return false;
	if (need <= room)
		return true;
	room = MIN(MAX(need, room + room / 8), max);
	m->rows = xrealloc(m->rows, room * sizeof(*m->rows));
	m->room = (uint32_t)room;
	return true;
}

static bool
set_keywords(struct imap_model *m, struct span names)
{
	struct span rest = names;

	if (span_eq(text_span(&m->keywords), names))
		return false;
	if (m->keywords.limit == 0)
		m->keywords = TEXT_INIT(KEYWORDS_LIMIT);
	text_clear(&m->keywords);
	text_add(&m->keywords, names);
	m->keyword_count = 0;
	while (span_word(&rest).n > 0)
		m->keyword_count++;
	return true;
}

int
imap_model_open(struct imap_model *m, const struct mailbox_open_reply *reply,
    uint32_t max)
{
	struct cursor at = { .rest = reply->rows.bytes };
	struct message_row row;
	uint32_t last = 0;
	int status;

	*m = (struct imap_model){ .uidvalidity = reply->uidvalidity,
	    .uidnext = reply->uidnext, .modseq = reply->highestmodseq };
	if (!make_room(m, at.rest.n / ROW_SIZE, max))
		return 0;
	while ((status = message_row_get(&at, &row)) == 1) {
		if (row.uid <= last || m->count == m->room)
			return -1;
		last = row.uid;
		m->rows[m->count++] = row;
	}
	m->uidnext = MAX(m->uidnext, last + 1);
	set_keywords(m, reply->keywords);
	return status == 0 ? 1 : -1;
}

/* -- applying ---- */

/* One application while it is going on. */
struct work {
	struct imap_model *m;
	const struct imap_changes *c;
	const struct imap_expected *expected;
	uint64_t expected_flags;
	uint32_t before;		/* rows there were */
	uint32_t at;			/* the next row that may be told of */
	uint32_t changed_at, news_at;	/* rows put there last, + 1 */
	struct imap_uids gone;
	struct imap_uids changed;
	struct imap_uids news;		/* changed, and not as expected */
};

/* Runs join over UIDs that no message has. */
static void
note_row(struct imap_uids *u, uint32_t *last, uint32_t index, uint32_t uid)
{
	if (*last != 0 && *last == index)
		imap_uids_append(u, imap_uids_last(u) + 1, uid);
	else
		imap_uids_append(u, uid, uid);
	*last = index + 1;
}

static void
note_gone(struct work *w, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		imap_uids_append(&w->gone, w->m->rows[i].uid,
		    w->m->rows[i].uid);
}

static uint64_t
flags_asked(const struct work *w, uint64_t before)
{
	switch (w->expected->mode) {
	case STORE_ADD:
		return before | w->expected_flags;
	case STORE_REMOVE:
		return before & ~w->expected_flags;
	case STORE_SET:
		break;
	}
	return w->expected_flags;
}

static bool
as_expected(const struct work *w, uint32_t uid, uint64_t before, uint64_t now)
{
	if (w->c->as_asked)
		return true;
	return w->expected != NULL &&
	    imap_uids_have(w->expected->uids, uid) &&
	    now == flags_asked(w, before);
}

static void
change_row(struct work *w, uint32_t index, const struct message_row *row)
{
	struct message_row *mine = &w->m->rows[index];

	if (row->modseq <= mine->modseq)
		return;
	note_row(&w->changed, &w->changed_at, index, row->uid);
	if (!as_expected(w, row->uid, mine->flags, row->flags))
		note_row(&w->news, &w->news_at, index, row->uid);
	if ((row->flags & FLAG_SEEN) == 0)
		w->m->seen = MIN(w->m->seen, index);
	mine->flags = row->flags;
	mine->modseq = row->modseq;
}

/* A row that was there, or 0. It is most often the one behind the last. */
static bool
locate(const struct work *w, uint32_t uid, uint32_t *index)
{
	const struct imap_model *m = w->m;

	*index = w->at;
	if (w->at >= w->before || m->rows[w->at].uid != uid)
		*index = imap_model_find(m, uid);
	return *index < w->before && m->rows[*index].uid == uid;
}

static int
apply_rows(struct work *w, uint32_t max)
{
	struct imap_model *m = w->m;
	struct cursor at = { .rest = w->c->rows };
	struct message_row row;
	uint32_t index;
	int status;

	while ((status = message_row_get(&at, &row)) == 1) {
		if (row.uid >= m->uidnext) {
			if (!make_room(m, 1, max))
				return 0;
			m->rows[m->count++] = row;
			m->uidnext = row.uid + 1;
			continue;
		}
		if (!locate(w, row.uid, &index) || index < w->at)
			continue;	/* expunged meanwhile */
		if (!w->c->complete)
			note_gone(w, w->at, index);
		w->at = index + 1;
		change_row(w, index, &row);
	}
	if (status == 0 && !w->c->complete)
		note_gone(w, w->at, w->before);
	return status == 0 ? 1 : -1;
}

/* All of the set became what the command asked for, and nothing else did. */
static void
apply_as_asked(struct work *w)
{
	const struct imap_uids *set;
	struct message_row row;
	uint32_t index;

	must(w->expected != NULL);
	set = w->expected->uids;
	w->expected_flags = w->c->bits;
	for (uint32_t i = set->from; i < set->to; i++) {
		index = imap_model_find(w->m, set->runs[i].first);
		for (; index < w->before &&
		    w->m->rows[index].uid <= set->runs[i].last; index++) {
			row = w->m->rows[index];
			row.flags = flags_asked(w, row.flags);
			if (row.flags == w->m->rows[index].flags)
				continue;
			row.modseq = w->c->modseq;
			change_row(w, index, &row);
		}
	}
}

static int
apply_vanished(struct work *w)
{
	struct cursor at = { .rest = w->c->vanished };
	struct uid_range range;
	uint32_t done = 0;
	int status;

	if (!w->c->complete)
		return 1;
	while ((status = uid_range_get(&at, &range)) == 1) {
		uint32_t from = imap_model_find(w->m, range.first), to = from;

		if (range.first <= done)
			return -1;
		done = range.last;
		while (to < w->m->count && w->m->rows[to].uid <= range.last)
			to++;
		note_gone(w, from, to);
	}
	return status == 0 ? 1 : -1;
}

/* Rows between the runs move down, each at once. */
static void
drop_gone(struct work *w)
{
	struct imap_model *m = w->m;
	uint32_t to = 0, from = 0;

	if (w->gone.from == w->gone.to)
		return;
	for (uint32_t i = w->gone.from; i < w->gone.to; i++) {
		uint32_t low = imap_model_find(m, w->gone.runs[i].first);

		if (i == w->gone.from) {
			to = low;
		} else {
			memmove(&m->rows[to], &m->rows[from],
			    (low - from) * sizeof(*m->rows));
			to += low - from;
		}
		from = low + imap_run_length(&w->gone.runs[i]);
	}
	memmove(&m->rows[to], &m->rows[from],
	    (m->count - from) * sizeof(*m->rows));
	m->count -= from - to;
	m->seen = MIN(m->seen, imap_model_find(m,
	    w->gone.runs[w->gone.from].first));
}

static void
tell_views(const struct work *w, struct imap_view *own, uint64_t after,
    bool keywords)
{
	for (struct imap_view *v = w->m->views; v != NULL; v = v->next)
		imap_view_note(v, &w->gone,
		    v == own ? &w->news : &w->changed, after, keywords);
}

static int
apply(struct work *w, uint32_t max, struct imap_view *own)
{
	struct imap_model *m = w->m;
	uint64_t after = m->modseq;
	bool keywords = set_keywords(m, w->c->keywords);
	int status;

	if (w->expected != NULL)
		w->expected_flags = w->expected->flags |
		    imap_model_keywords(m, w->expected->keywords);
	if (w->c->as_asked)
		apply_as_asked(w);
	if ((status = apply_rows(w, max)) == 1)
		status = apply_vanished(w);
	drop_gone(w);
	m->uidnext = MAX(m->uidnext, w->c->uidnext);
	m->modseq = w->c->modseq;
	tell_views(w, own, after, keywords);
	return status;
}

int
imap_model_apply(struct imap_model *m, const struct imap_changes *c,
    uint32_t max, struct imap_view *own, const struct imap_expected *expected)
{
	struct work w = { .m = m, .c = c, .expected = expected,
	    .before = m->count };
	int status = 1;

	if (!c->complete && c->modseq < c->since)
		return -1;	/* of a store that went back in time */
	if (c->modseq > m->modseq)
		status = apply(&w, max, own);
	if (own != NULL && c->recent_from < c->uidnext)
		imap_view_note_recent(own, c->recent_from, c->uidnext - 1);
	imap_uids_free(&w.gone);
	imap_uids_free(&w.changed);
	imap_uids_free(&w.news);
	return status;
}

/* -- keywords ---- */

uint64_t
imap_model_keyword(const struct imap_model *m, struct span name)
{
	struct span rest = text_span(&m->keywords);

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
imap_model_keywords(const struct imap_model *m, struct span names)
{
	uint64_t bits = 0;
	struct span word;

	while ((word = span_word(&names)).n > 0)
		bits |= imap_model_keyword(m, word);
	return bits;
}

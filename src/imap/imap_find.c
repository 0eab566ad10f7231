/*
 * imap_find.c - the messages of a mailbox that a tree of keys stands for.
 *
 * Rows are taken in blocks. Most keys are answered by the view, those of text
 * by the index; where the answer hangs on more, the details, then the header
 * or the bytes are got for those rows of the block alone. Other sessions have
 * their turn in between.
 */
#include "imap/imap_find.h"

#include <stdlib.h>

#include "imap/imap_message.h"
#include "imap/imap_search_match.h"
#include "imap/imap_searches.h"
#include "io/fiber.h"

enum {
	BLOCK = 256,
	BODIES_A_TURN = 8,
	GROUP_BYTES = 1 << 20,		/* of bodies got at once */
	GROUP_ALONE = 128 << 10,
	FIRST_ROOM = 64,
	HINTS_MEMORY = 64 << 20,
};

/* What is known of one row of the block. */
struct entry {
	uint32_t index;
	struct message_row row;
	int match;			/* as imap_search_match says */
	char email_id[40], thread_id[24];
	struct summary summary;
};

struct run {
	struct imap_find *f;
	struct imap_task *t;
	struct imap_search_view view;
	struct imap_matcher *matcher;
	unsigned needs;
	uint32_t from, to;		/* no other index can match */
	struct arena *arena, *block_arena;
	struct entry block[BLOCK];
	size_t count;
	unsigned bodies;
};

/* -- one row ---- */

static struct imap_search_message
message_of(const struct run *r, const struct entry *e)
{
	const struct message_row *row = &e->row;

	return (struct imap_search_message){
		.sequence = e->index + 1, .uid = row->uid,
		.flags = imap_view_flags(&r->f->box->view, row),
		.modseq = imap_row_modseq(row), .size = row->size,
		.internal_date = { .seconds = row->internal_date },
	};
}

static void
add_details(struct entry *e, const struct message_detail *detail,
    struct imap_search_message *m)
{
	struct text id = TEXT_INIT(sizeof(e->email_id));

	imap_add_email_id(&id, detail);
	memcpy(e->email_id, id.p, id.n);
	m->email_id = span_of(e->email_id, id.n);
	text_clear(&id);
	imap_add_thread_id(&id, detail);
	memcpy(e->thread_id, id.p, id.n);
	m->thread_id = span_of(e->thread_id, id.n);
	text_free(&id);
	m->has_details = true;
	m->save_date = (struct date){ .seconds = detail->save_date };
	if (summary_open(detail->summary, m->size, &e->summary) == 1)
		m->summary = &e->summary;
}

static int
match(struct run *r, const struct imap_search_message *m)
{
	return imap_search_match(r->matcher, r->f->root, &r->view, m);
}

/* The header, and if it still hangs on more the whole message. */
static int
match_bytes(struct run *r, struct imap_message *bytes,
    struct imap_search_message *m)
{
	int status, result = -1;

	if (m->bytes.p == NULL && (r->needs & IMAP_NEED_BYTES) == 0) {
		if ((status = imap_message_header(bytes, &m->header)) != 1)
			return status;
		result = match(r, m);
	}
	if (result == -1) {
		if ((status = imap_message_bytes(bytes, 0, bytes->size,
		    &m->bytes)) != 1)
			return status;
		result = match(r, m);
	}
	if (++r->bodies % BODIES_A_TURN == 0)
		(void)fiber_yield();
	return result == -1 ? 0 : result;
}

/* 1, 0; -1 the store is away. */
static int
match_entry(struct run *r, struct entry *e, const struct message_detail *detail,
    struct span body)
{
	struct imap_search_message m = message_of(r, e);
	struct imap_message bytes;
	int result = -1;

	if (detail != NULL && detail->uid == 0)
		return 0;	/* gone */
	if (detail != NULL) {
		add_details(e, detail, &m);
		result = match(r, &m);
	}
	if (result != -1)
		return result;
	imap_message_begin(&bytes, r->t, r->f->box, r->arena, &e->row);
	bytes.held = body;
	result = match_bytes(r, &bytes, &m);
	imap_message_end(&bytes);
	return result;
}

/* -- a block ---- */

/* The rows that hang on more than the view knows. */
struct open_rows {
	size_t entry[BLOCK];
	uint32_t uid[BLOCK];
	struct message_detail *details;
	struct span bodies[BLOCK];
	size_t count;
};

static uint64_t
size_of(const struct run *r, const struct open_rows *o, size_t i)
{
	return r->block[o->entry[i]].row.size;
}

/* From `from` on, as many as are got together: small ones. Of a larger message
 * the header, where that will do, is got by itself. */
static size_t
group_end(const struct run *r, const struct open_rows *o, size_t from)
{
	uint64_t alone = (r->needs & IMAP_NEED_BYTES) != 0 ? GROUP_ALONE
	    : IMAP_MESSAGE_HEADER;
	uint64_t bytes = 0;
	size_t end = from;

	while (end < o->count && size_of(r, o, end) <= alone &&
	    bytes + size_of(r, o, end) <= GROUP_BYTES)
		bytes += size_of(r, o, end++);
	return MAX(end, from + 1);
}

static int
match_group(struct run *r, struct open_rows *o, size_t from, size_t end)
{
	struct blob blob = BLOB_OF(SPAN_EMPTY);
	int status = 1;

	memset(o->bodies + from, 0, (end - from) * sizeof(*o->bodies));
	if ((r->needs & (IMAP_NEED_BYTES | IMAP_NEED_HEADER)) != 0 &&
	    end - from > 1)
		status = imap_get_bodies(r->f->box, r->block_arena,
		    o->uid + from, end - from, o->bodies + from, &blob);
	for (size_t i = from; status == 1 && i < end; i++) {
		struct entry *e = &r->block[o->entry[i]];

		if (o->bodies[i].n != size_of(r, o, i))
			o->bodies[i] = SPAN_EMPTY;
		e->match = match_entry(r, e, o->details == NULL ? NULL
		    : &o->details[i], o->bodies[i]);
		if (e->match == -1)
			status = -1;
	}
	blob_release(&blob);
	return status;
}

static int
match_open(struct run *r)
{
	struct open_rows *o = arena_zalloc(r->block_arena, sizeof(*o));
	int status = 1;

	if (o == NULL)
		return -1;
	for (size_t i = 0; i < r->count; i++)
		if (r->block[i].match == -1) {
			o->uid[o->count] = r->block[i].row.uid;
			o->entry[o->count++] = i;
		}
	if (o->count > 0 &&
	    (r->needs & (IMAP_NEED_DETAILS | IMAP_NEED_SUMMARY)) != 0) {
		o->details = arena_alloc(r->block_arena,
		    o->count * sizeof(*o->details));
		if (o->details == NULL)
			return -1;
		status = imap_get_details(r->f->box, r->block_arena, o->uid,
		    o->count, (r->needs & IMAP_NEED_SUMMARY) != 0, o->details);
	}
	for (size_t i = 0; status == 1 && i < o->count;) {
		size_t end = group_end(r, o, i);

		status = match_group(r, o, i, end);
		i = end;
	}
	return status;
}

/* The rows [from, to) that are there. */
static void
take_block(struct run *r, uint32_t from, uint32_t to)
{
	const struct imap_view *view = &r->f->box->view;

	r->count = 0;
	for (uint32_t i = from; i < to; i++) {
		const struct message_row *row = imap_view_row(view, i);
		struct imap_search_message m;
		struct entry *e = &r->block[r->count];

		if (row == NULL || imap_row_modseq(row) <= r->f->since)
			continue;
		e->index = i;
		e->row = *row;
		m = message_of(r, e);
		e->match = match(r, &m);
		if (e->match != 0)
			r->count++;
	}
}

/* -- what was found ---- */

static void
add_found(struct imap_find *f, const struct entry *e)
{
	if (f->count == f->room) {
		f->room = f->room == 0 ? FIRST_ROOM : f->room * 2;
		f->indexes = xrealloc(f->indexes,
		    f->room * sizeof(*f->indexes));
		if (f->fuzzy)
			f->scores = xrealloc(f->scores, f->room);
	}
	if (f->fuzzy)
		f->scores[f->count] = (uint8_t)imap_find_score(f->root,
		    e->row.uid);
	f->indexes[f->count++] = e->index;
}

static void
add_block(struct run *r)
{
	for (size_t i = 0; i < r->count; i++) {
		size_t at = r->f->back ? r->count - 1 - i : i;

		if (r->block[at].match == 1)
			add_found(r->f, &r->block[at]);
	}
}

/* It was searched from the end. */
static void
turn_around(struct imap_find *f)
{
	for (size_t i = 0, j = f->count; i + 1 < j; i++) {
		uint32_t index = f->indexes[i];
		uint8_t score = f->fuzzy ? f->scores[i] : 0;

		f->indexes[i] = f->indexes[--j];
		f->indexes[j] = index;
		if (f->fuzzy) {
			f->scores[i] = f->scores[j];
			f->scores[j] = score;
		}
	}
}

static int
run(struct run *r)
{
	struct imap_find *f = r->f;
	uint32_t total = r->to - r->from, done = 0, n;
	int status = 1;

	while (status == 1 && done < total &&
	    (f->enough == 0 || f->count < f->enough)) {
		n = MIN(total - done, BLOCK);
		if (f->back)
			take_block(r, r->to - done - n, r->to - done);
		else
			take_block(r, r->from + done, r->from + done + n);
		if (r->needs != 0 && r->count > 0) {
			status = match_open(r);
			arena_reset(r->block_arena);
		}
		if (status == 1)
			add_block(r);
		done += n;
		if (r->needs != 0 && r->t->command != NULL)
			imap_progress(r->t, done, total);
		(void)fiber_share();
	}
	if (f->back)
		turn_around(f);
	return status;
}

/* -- before it ---- */

/* Keywords become bits of this mailbox, sets its numbers. */
static bool
settle(struct imap_find *f, const struct imap_search_view *now,
    struct imap_search_key *key)
{
	for (; key != NULL; key = key->next) {
		bool by_uid = key->kind == IMAP_SEARCH_UID;

		key->hint = NULL;
		if (key->kind == IMAP_SEARCH_KEYWORD)
			key->flags = imap_view_keyword(&f->box->view,
			    key->text);
		if (key->set.saved) {
			key->kind = IMAP_SEARCH_UID;
			/* In another mailbox nothing was saved. */
			key->settled = f->box == f->t->s->box
			    ? imap_searches_saved(f->t->s)
			    : (struct imap_set){ .settled = true };
		} else if (by_uid || key->kind == IMAP_SEARCH_SEQUENCE) {
			key->settled = key->set;
			if (!imap_set_settle(&key->settled, by_uid
			    ? now->last_uid : now->last_sequence,
			    f->t->arena))
				return false;
		}
		if (!settle(f, now, key->list))
			return false;
	}
	return true;
}

/* Sets that every match must be in say where to look. */
static void
set_range(struct run *r)
{
	const struct imap_view *view = &r->f->box->view;
	const struct imap_search_key *key = r->f->root->list;

	r->from = 0;
	r->to = r->view.last_sequence;
	for (; key != NULL && r->from < r->to; key = key->next) {
		const struct imap_set *set = &key->settled;
		uint32_t first, last;

		if (!set->settled || (key->kind != IMAP_SEARCH_UID &&
		    key->kind != IMAP_SEARCH_SEQUENCE))
			continue;
		if (set->count == 0) {
			r->to = r->from;
			break;
		}
		first = set->ranges[0].first;
		last = set->ranges[set->count - 1].last;
		if (key->kind == IMAP_SEARCH_UID) {
			first = imap_view_find(view, first);
			last = last == UINT32_MAX ? r->to
			    : imap_view_find(view, last + 1);
		} else {
			first = first == 0 ? 0 : first - 1;
		}
		r->from = MAX(r->from, first);
		r->to = MIN(r->to, MAX(last, r->from));
	}
	r->from = MIN(r->from, r->to);
}

/* RFC 9738: the messages before these are left to another search. */
static void
limit_range(struct run *r)
{
	uint64_t limit = imap_settings()->imap_message_limit;

	if (limit == 0 || r->to - r->from <= limit || r->f->since != 0 ||
	    r->f->box != r->t->s->box || r->t->command == NULL)
		return;
	r->from = r->to - (uint32_t)limit;
	r->t->lowest_uid = imap_view_uid(&r->f->box->view, r->from);
}

bool
imap_find_prepare(struct imap_task *t, struct imap_search_command *wish,
    enum imap_collation collation, struct imap_reply *why)
{
	if (!imap_filter_expand(t, wish, collation, why))
		return false;
	switch (imap_search_prepare(wish->root, wish->charset, collation,
	    t->arena)) {
	case 1:
		return true;
	case 0:
		*why = imap_no("BADCHARSET (US-ASCII UTF-8)",
		    "Unknown charset");
		return false;
	case -2:
		*why = imap_bad("A string is not of that charset");
		return false;
	default:
		*why = imap_no_memory();
		return false;
	}
}

int
imap_find(struct imap_find *f)
{
	struct mime_limits limits = MIME_LIMITS_DEFAULT;
	const struct imap_view *view = &f->box->view;
	struct arena *hints;
	struct run *r;
	int status = -1;

	r = xcalloc(1, sizeof(*r));
	r->f = f;
	r->t = f->t;
	r->needs = imap_search_needs(f->root);
	r->view = (struct imap_search_view){
		.last_sequence = MIN(imap_view_count(view), view->told_count),
		.last_uid = imap_view_last_uid(view),
		.now = clock_wall_seconds() };
	hints = arena_new(HINTS_MEMORY);
	r->arena = imap_arena_get();
	r->block_arena = imap_arena_get();
	if (r->needs != 0)
		r->matcher = imap_matcher_new(&limits, f->collation);
	if (settle(f, &r->view, f->root)) {
		set_range(r);
		limit_range(r);
		imap_find_hints(f, hints);
		status = run(r);
	}
	imap_matcher_free(&r->matcher);
	imap_arena_put(&r->block_arena);
	imap_arena_put(&r->arena);
	arena_free(&hints);
	free(r);
	return status;
}

void
imap_find_end(struct imap_find *f)
{
	free(f->indexes);
	free(f->scores);
	f->indexes = NULL;
	f->scores = NULL;
	f->count = f->room = 0;
}

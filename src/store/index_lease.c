/*
 * index_lease.c - work for the role index: a lease, the mail it reads, the
 * segment it makes.
 *
 * Who is index reads the mail that the store gives it, mailbox by mailbox, and
 * nothing else. What it saves takes the place of what was leased to it; the
 * store does not look into it.
 */
#include "base/clock.h"
#include "base/secret.h"
#include "store/index.h"
#include "store/verbs.h"

#include <stdlib.h>

enum {
	TRIES = 64,			/* mailboxes looked at in one call */
	MESSAGES_MAX = 16384,		/* of one lease */
	MESSAGES_AT_ONCE = 1024,	/* of one answer */
	BODIES_BYTES = 32 << 20,
	BODY_CHUNK = 1 << 20,
	MESSAGE_MAX = 48 << 20,		/* whatever the settings say */
	IDLE_MS = 60 * 1000,
	BUSY_MS = 20,			/* more of the walk is to come */
	FAILURES_MERGE = 3,		/* then they are built anew */
	FAILURES_UNREAD = 5,		/* then it is not read */
};

/* ---- leases ---------------------------------------------------------- */

/* Under the lock. */
static void
forget_lease(struct indexing *ix)
{
	free(ix->lease.segments);
	ix->lease = (struct index_lease){ 0 };
	ix->leased = NULL;
}

/* It came to nothing. */
static void
break_lease(struct indexing *ix, uint64_t link)
{
	struct todo *t = NULL;

	pthread_mutex_lock(&ix->lock);
	if (ix->lease.id != 0 && (link == 0 || ix->lease.link == link)) {
		t = ix->leased;
		t->failures++;
		forget_lease(ix);
	}
	pthread_mutex_unlock(&ix->lock);
	if (t != NULL)
		index_again(ix, t);
}

void
index_link_gone(struct store *store, uint64_t link)
{
	struct indexing *ix = store->indexing;

	break_lease(ix, link);
	pthread_mutex_lock(&ix->lock);
	if (ix->link == link) {
		ix->link = 0;
		ix->idle = false;
	}
	pthread_mutex_unlock(&ix->lock);
}

/* A copy of this link's lease, in the arena. */
static bool
lease_of(struct indexing *ix, const struct caller *caller, uint64_t id,
    struct arena *arena, struct index_lease *lease)
{
	bool found;
	size_t bytes;

	pthread_mutex_lock(&ix->lock);
	found = id != 0 && ix->lease.id == id &&
	    ix->lease.link == caller->link;
	if (found) {
		*lease = ix->lease;
		bytes = lease->segment_count * sizeof(*lease->segments);
		lease->segments = arena_alloc(arena, MAX(bytes, (size_t)1));
		found = lease->segments != NULL;
		if (found && bytes > 0)
			memcpy(lease->segments, ix->lease.segments, bytes);
	}
	pthread_mutex_unlock(&ix->lock);
	return found;
}

bool
index_leased(struct store *store, const struct caller *caller, uint64_t id,
    struct arena *arena, uint64_t *mailbox)
{
	struct index_lease lease;

	if (!lease_of(store->indexing, caller, id, arena, &lease))
		return false;
	*mailbox = lease.mailbox;
	return true;
}

/* ---- the next piece of work ------------------------------------------ */

/* Less and less of what nobody came back from. */
static size_t
share_of(const struct todo *t)
{
	static const size_t shares[] = { MESSAGES_MAX, 256, 16 };

	return t->failures < ARRAY_LEN(shares) ? shares[t->failures] : 1;
}

static void
put_segments(const struct index_entry *e, size_t n, struct text *out)
{
	for (size_t i = 0; i < n; i++)
		index_segment_put(out, &(struct index_segment){
		    .segment = e[i].segment, .first = e[i].first,
		    .last = e[i].last, .messages = e[i].messages,
		    .size = e[i].size });
}

static struct blob
text_blob(struct arena *arena, struct text *t)
{
	struct span s = arena_dup(arena, text_span(t));

	text_free(t);
	return BLOB_OF(s);
}

/* Of the messages from first to last, those that are there. */
static void
put_present(const struct table *t, uint32_t first, uint32_t last,
    struct text *out)
{
	struct uid_range range = { 0, 0 };
	size_t i = table_seek(t, first);

	for (; i < t->n && t->rows[i].uid <= last; i++) {
		if (range.first != 0 && t->rows[i].uid == range.last + 1) {
			range.last++;
			continue;
		}
		if (range.first != 0)
			uid_range_put(out, &range);
		range = (struct uid_range){ t->rows[i].uid, t->rows[i].uid };
	}
	if (range.first != 0)
		uid_range_put(out, &range);
}

static uint64_t
grant_lease(struct indexing *ix, struct todo *t, uint64_t link,
    const struct index_plan *plan, const struct index_entries *e)
{
	struct index_lease *lease = &ix->lease;
	uint64_t id;

	pthread_mutex_lock(&ix->lock);
	forget_lease(ix);
	*lease = (struct index_lease){ .id = ++ix->last_lease, .link = link,
		.mailbox = t->mailbox, .step = plan->step,
		.first = plan->first, .last = plan->last,
		.segment_count = plan->count,
		.unread = t->failures >= FAILURES_UNREAD };
	lease->segments = xcalloc(MAX(plan->count, (size_t)1),
	    sizeof(*lease->segments));
	for (size_t i = 0; i < plan->count; i++)
		lease->segments[i] = e->at[plan->from + i].segment;
	ix->leased = t;
	ix->link = link;
	id = lease->id;
	pthread_mutex_unlock(&ix->lock);
	return id;
}

static void
answer_lease(const struct mailbox *mb, const struct index_plan *plan,
    const struct index_entries *e, struct arena *arena,
    struct index_lease_reply *reply)
{
	struct text segments = TEXT_INIT(0), present = TEXT_INIT(0);

	reply->work = plan->step == INDEX_STEP_BUILD ? INDEX_BUILD
	    : INDEX_MERGE;
	reply->mailbox = mailbox_id(mb);
	reply->first = plan->first;
	reply->last = plan->last;
	if (plan->count > 0)
		put_segments(e->at + plan->from, plan->count, &segments);
	if (plan->step == INDEX_STEP_MERGE)
		put_present(&mb->table, plan->first, plan->last, &present);
	reply->segments = text_blob(arena, &segments);
	reply->present = text_blob(arena, &present);
}

/* Where the uids end that this visit indexes. */
static uint32_t
visit(struct todo *t, const struct table *table)
{
	if (t->end == 0)
		t->end = table->uidnext;
	return t->end;
}

/* What it leads to: 1 a lease, 0 nothing now, -1 look again. */
static int
plan_mailbox(struct indexing *ix, struct todo *t, struct mailbox *mb,
    const struct caller *caller, uint64_t room, struct arena *arena,
    struct index_lease_reply *reply, bool *dirty)
{
	struct index_limits limits = { .room = room,
		.messages = share_of(t),
		.before = visit(t, &mb->table),
		.clean = t->clean.ms != 0 &&
		    !mono_before(clock_mono(), t->clean) };
	struct index_entries e = { 0 };
	struct index_plan plan;
	int status = 0;

	*dirty = false;
	if (index_entries_read(ix->store, t->mailbox, &e) != RESULT_OK)
		goto out;
	index_plan(&e, &mb->table, &limits, &plan);
	*dirty = plan.dirty;
	if (plan.step == INDEX_STEP_DROP || (plan.step == INDEX_STEP_MERGE &&
	    t->failures >= FAILURES_MERGE)) {
		status = index_replace(ix->store, t->mailbox,
		    e.at + plan.from, plan.count, NULL, SPAN_EMPTY) ==
		    RESULT_OK ? -1 : 0;
	} else if (plan.step == INDEX_STEP_NONE) {
		t->failures = 0;
		if (!plan.dirty && t->end == mb->table.uidnext)
			index_settle(mb);
	} else {
		reply->lease = grant_lease(ix, t, caller->link, &plan, &e);
		answer_lease(mb, &plan, &e, arena, reply);
		status = 1;
	}
out:
	index_entries_free(&e);
	return status;
}

/* True: the reply is a lease. */
static bool
look_at(struct indexing *ix, struct todo *t, const struct caller *caller,
    uint64_t room, struct arena *arena, struct index_lease_reply *reply)
{
	struct mailbox *mb;
	bool dirty = false;
	int status = 0;

	if (mailbox_enter_any(ix->store->mailboxes, t->mailbox, &mb) ==
	    RESULT_OK) {
		if (!mb->removed)
			status = plan_mailbox(ix, t, mb, caller, room, arena,
			    reply, &dirty);
		mailbox_leave(&mb);
	}
	if (status == 0)
		index_done(ix, t, dirty);
	else if (status < 0)
		index_again(ix, t);
	return status == 1;
}

void
verb_index_lease(void *arg, const struct caller *caller,
    struct arena *arena, const struct index_lease_request *req,
    struct index_lease_reply *reply)
{
	struct store *store = arg;
	struct indexing *ix = store->indexing;
	struct todo *t;

	reply->work = INDEX_NOTHING;
	break_lease(ix, 0);
	if (!store_settings(store)->index_enabled) {
		index_walk_again(ix);	/* once it is */
		reply->pause_ms = IDLE_MS;
		return;
	}
	for (int i = 0; i < TRIES; i++) {
		t = index_take(ix);
		if (t == NULL && !index_walk(ix))
			break;
		if (t != NULL && look_at(ix, t, caller, req->room, arena,
		    reply))
			return;
	}
	reply->pause_ms = MAX(index_idle(ix, caller->link, IDLE_MS),
	    (uint32_t)BUSY_MS);
}

/* ---- the mail of a lease --------------------------------------------- */

/* Copies of its rows from `from` on, for free(); *next is behind them, or 0. */
static struct row *
rows_from(struct store *store, const struct index_lease *lease,
    uint32_t from, uint64_t limit, size_t *n, uint32_t *next)
{
	struct row *rows = xcalloc(MESSAGES_AT_ONCE, sizeof(*rows));
	struct mailbox *mb;
	uint64_t bytes = 0;
	size_t i;

	*n = 0;
	*next = 0;
	if (mailbox_enter_any(store->mailboxes, lease->mailbox, &mb) !=
	    RESULT_OK)
		return rows;
	i = table_seek(&mb->table, MAX(from, lease->first));
	for (; i < mb->table.n && mb->table.rows[i].uid <= lease->last; i++) {
		const struct row *row = &mb->table.rows[i];

		if (*n == MESSAGES_AT_ONCE ||
		    (*n > 0 && bytes + row->size > limit)) {
			*next = row->uid;
			break;
		}
		bytes += row->size;
		rows[(*n)++] = *row;
	}
	mailbox_leave(&mb);
	return rows;
}

static void
put_message(struct store *store, const struct row *row, bool unread,
    struct text *scratch, struct text *out)
{
	uint64_t most = MIN(store_settings(store)->index_max_message,
	    (uint64_t)MESSAGE_MAX);
	struct message_bytes bytes = { .uid = row->uid };

	text_clear(scratch);
	if (!unread && row->size <= most && engine_body_read(store->engine,
	    row->body, 0, UINT64_MAX, scratch) == 1)
		bytes.data = text_span(scratch);
	message_bytes_put(out, &bytes);
}

void
verb_index_messages(void *arg, const struct caller *caller,
    struct arena *arena, const struct index_messages_request *req,
    struct index_messages_reply *reply)
{
	struct store *store = arg;
	struct text out = TEXT_INIT(0), scratch = TEXT_INIT(0);
	struct index_lease lease;
	struct row *rows;
	size_t n;

	if (!lease_of(store->indexing, caller, req->lease, arena, &lease) ||
	    lease.step != INDEX_STEP_BUILD) {
		reply->result = RESULT_NOT_FOUND;
		return;
	}
	rows = rows_from(store, &lease, req->from,
	    MIN(req->limit, (uint64_t)BODIES_BYTES), &n, &reply->next);
	for (size_t i = 0; i < n; i++)
		put_message(store, &rows[i], lease.unread, &scratch, &out);
	reply->bodies = text_blob(arena, &out);
	if (reply->bodies.bytes.p == NULL)
		reply->result = RESULT_TEMPORARY;
	text_free(&scratch);
	free(rows);
}

/* ---- what came of it ------------------------------------------------- */

static enum result
stream_segment(struct engine *engine, struct body_id id, struct span rest)
{
	struct body_writer *w = body_writer_open(engine, id);

	if (w == NULL)
		return result_of_errno();
	for (; rest.n > 0; rest = span_from(rest, BODY_CHUNK)) {
		if (body_write(w, span_sub(rest, 0, BODY_CHUNK)) != 1) {
			body_writer_abort(&w);
			return result_of_errno();
		}
	}
	return body_writer_finish(&w, SPAN_EMPTY) == 1 ? RESULT_OK
	    : result_of_errno();
}

/* The entries it was made of; and is there room between the others? */
static enum result
take_old(const struct index_lease *lease, struct index_entries *e,
    const struct index_entry *fresh, struct index_entry *old)
{
	const struct index_entry *one;

	for (size_t i = 0; i < lease->segment_count; i++) {
		one = index_entries_find(e, lease->segments[i]);
		if (one == NULL)
			return RESULT_CONFLICT;
		old[i] = *one;
		index_entries_remove(e, lease->segments[i]);
	}
	return index_entries_add(e, fresh) ? RESULT_OK : RESULT_CONFLICT;
}

static enum result
replace(struct store *store, const struct index_lease *lease,
    const struct index_entry *fresh, struct span small, struct arena *arena)
{
	struct index_entry *old = arena_zalloc(arena,
	    (lease->segment_count + 1) * sizeof(*old));
	struct index_entries e = { 0 };
	struct mailbox *mb;
	enum result result = old == NULL ? RESULT_TEMPORARY
	    : mailbox_enter_any(store->mailboxes, lease->mailbox, &mb);

	if (result != RESULT_OK)
		return result;
	result = mb->removed ? RESULT_NOT_FOUND
	    : index_entries_read(store, lease->mailbox, &e);
	if (result == RESULT_OK)
		result = take_old(lease, &e, fresh, old);
	if (result == RESULT_OK)
		result = index_replace(store, lease->mailbox, old,
		    lease->segment_count, fresh, small);
	index_entries_free(&e);
	mailbox_leave(&mb);
	return result;
}

/* One by one where a message kept us from more; and then no longer. */
static void
end_lease(struct indexing *ix, const struct index_lease *lease,
    uint32_t messages)
{
	struct todo *t = NULL;

	pthread_mutex_lock(&ix->lock);
	if (ix->lease.id == lease->id) {
		t = ix->leased;
		if (lease->unread)
			t->failures = 0;
		forget_lease(ix);
	}
	ix->saved++;
	if (lease->step == INDEX_STEP_BUILD)
		ix->messages += messages;
	pthread_mutex_unlock(&ix->lock);
	if (t != NULL)
		index_again(ix, t);
}

void
verb_index_save(void *arg, const struct caller *caller, struct arena *arena,
    const struct index_save_request *req, struct index_save_reply *reply)
{
	struct store *store = arg;
	struct span bytes = req->segment.bytes;
	struct index_entry fresh = { .body = body_id_new(),
		.last = req->last, .messages = req->messages,
		.size = bytes.n };
	struct index_lease lease;

	if (!lease_of(store->indexing, caller, req->lease, arena, &lease)) {
		reply->result = RESULT_NOT_FOUND;
		return;
	}
	fresh.first = lease.first;
	random_bytes(&fresh.segment, sizeof(fresh.segment));
	if (bytes.n == 0 || req->last < lease.first ||
	    req->last > lease.last || (lease.step == INDEX_STEP_MERGE &&
	    req->last != lease.last)) {
		reply->result = RESULT_INVALID;
		return;
	}
	if (bytes.n > ENGINE_BODY_INLINE)
		reply->result = stream_segment(store->engine, fresh.body,
		    bytes);
	if (reply->result == RESULT_OK)
		reply->result = replace(store, &lease, &fresh,
		    bytes.n <= ENGINE_BODY_INLINE ? bytes : SPAN_EMPTY,
		    arena);
	if (reply->result == RESULT_OK)
		end_lease(store->indexing, &lease, req->messages);
}

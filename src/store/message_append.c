/*
 * message_append.c - messages come in: APPEND, MULTIAPPEND (RFC 3502), REPLACE
 * (RFC 8508).
 *
 * All messages of a call come with one batch, and the one that they replace
 * goes with it when it is in the same mailbox. In another mailbox it is an
 * intent first (mailbox_intent.c): the token in the target tells the replay
 * whether the new message is there, so that the old one may go.
 *
 * A call that is made again because its answer was lost finds the messages by
 * its token. The bodies' ids are random and ours: whoever could choose one
 * could write over the body of another.
 */
#include "store/mailboxes.h"
#include "store/quota.h"
#include "store/verbs.h"
#include "ipc/wire.h"

#include <stdlib.h>

enum { BODY_CHUNK = 1 << 20 };		/* streamed in such pieces */

/* A message on its way in. */
struct arrival {
	struct message_new is;
	struct span body;
	struct body_id id;
};

struct arrivals {
	struct token token;
	struct arrival *at;
	size_t n;
	uint32_t replaces;		/* a uid of the source; 0: none */
	uint64_t source, target;	/* mailboxes */
	uint32_t uid, uidvalidity;	/* of the first, once they are there */
};

/* ---- bodies ---------------------------------------------------------- */

static bool
is_large(const struct arrival *a)
{
	return a->body.n > ENGINE_BODY_INLINE;
}

static enum result
stream_body(struct engine *engine, const struct arrival *a)
{
	struct body_writer *w = body_writer_open(engine, a->id);
	struct span rest = a->body;

	if (w == NULL)
		return result_of_errno();
	for (; rest.n > 0; rest = span_from(rest, BODY_CHUNK)) {
		if (body_write(w, span_sub(rest, 0, BODY_CHUNK)) != 1) {
			body_writer_abort(&w);
			return result_of_errno();
		}
	}
	return body_writer_finish(&w, a->is.summary) == 1 ? RESULT_OK
	    : result_of_errno();
}

static enum result
stream_bodies(struct engine *engine, const struct arrivals *all)
{
	enum result result = RESULT_OK;

	for (size_t i = 0; i < all->n && result == RESULT_OK; i++)
		if (is_large(&all->at[i]))
			result = stream_body(engine, &all->at[i]);
	return result;
}

/* ---- rows ------------------------------------------------------------ */

static enum result
define_keywords(const struct table *t, struct span names,
    struct change *change, uint64_t *bits)
{
	struct span word;
	uint64_t bit;

	while ((word = span_word(&names)).n > 0) {
		if (table_define(t, change, word, &bit) != 1)
			return RESULT_LIMIT;
		change->flags |= bit;
		*bits |= bit;
	}
	return RESULT_OK;
}

static enum result
make_row(const struct mailbox *mb, const struct arrival *a, uint32_t uid,
    struct change *change, struct row *row)
{
	bool may_words = (mailbox_may_set(mb) &
	    (UINT64_C(1) << FLAG_KEYWORD_0)) != 0;
	int64_t now = clock_wall_seconds();

	*row = (struct row){
		.uid = uid, .size = (uint32_t)a->body.n,
		.flags = a->is.flags & FLAGS_SYSTEM,
		.internal_date = a->is.internal_date == INT64_MIN ? now
		    : a->is.internal_date,
		.save_date = now, .body = a->id, .thread = a->is.thread,
	};
	return define_keywords(&mb->table, may_words ? a->is.keywords
	    : SPAN_EMPTY, change, &row->flags);
}

static void
put_body(struct mailbox *mb, struct batch *b, const struct arrival *a,
    uint32_t uid)
{
	struct key holder = message_holder(mailbox_id(mb), uid);

	if (!is_large(a))
		batch_body(b, a->id, a->body, SPAN_EMPTY, a->is.summary);
	batch_link(b, a->id, key_span(&holder));
}

/* The one that is replaced goes by this change, if it lies in `mb`. */
static bool
goes_along(const struct mailbox *mb, const struct arrivals *all,
    struct batch *b, struct change *change)
{
	const struct row *row = table_find(&mb->table, all->replaces);
	struct key holder = message_holder(mailbox_id(mb), all->replaces);

	if (all->replaces == 0 || all->source != all->target || row == NULL)
		return false;
	*change = (struct change){ .kind = CHANGE_EXPUNGE };
	uids_add(&change->uids, row->uid, row->uid);
	batch_unlink(b, row->body, key_span(&holder));
	return true;
}

/* What they have seen of these comes behind them, what goes, last. */
static enum result
make(struct mailbox *mb, struct arrivals *all, struct change *added)
{
	struct change changes[3] = { *added }, *gone;
	size_t count = 1;
	struct batch *b;
	enum result result;

	if (mailbox_admit_flags(mb, added->rows, added->row_count,
	    &changes[1]))
		count++;
	b = mailbox_batch(mb);
	for (size_t i = 0; i < all->n; i++)
		put_body(mb, b, &all->at[i], added->rows[i].uid);
	gone = &changes[count];
	if (goes_along(mb, all, b, gone))
		count++;
	result = mailbox_make(mb, b, changes, count, NULL);
	batch_free(&b);
	uids_free(&changes[1].uids);
	uids_free(&changes[2].uids);
	return result;
}

static enum result
add_rows(struct mailbox *mb, struct arrivals *all, struct row *rows)
{
	struct change change = {
		.kind = CHANGE_ADD, .token = all->token, .rows = rows,
		.row_count = all->n, .total = (uint32_t)all->n,
	};
	uint32_t first = mb->table.uidnext;
	enum result result = RESULT_OK;

	if (UINT32_MAX - first <= all->n)
		return RESULT_LIMIT;
	for (size_t i = 0; i < all->n && result == RESULT_OK; i++)
		result = make_row(mb, &all->at[i], first + (uint32_t)i,
		    &change, &rows[i]);
	all->uid = first;
	return result == RESULT_OK ? make(mb, all, &change) : result;
}

static enum result
add_all(struct mailbox *mb, struct arrivals *all)
{
	struct row one, *rows = &one;
	enum result result;

	if (all->n > 1)
		rows = xcalloc(all->n, sizeof(*rows));
	result = add_rows(mb, all, rows);
	if (rows != &one)
		free(rows);
	return result;
}

/* ---- room ------------------------------------------------------------ */

/* What is replaced makes room, where we see how much. */
static enum result
has_room(const struct mailbox *target, const struct arrivals *all)
{
	const struct row *old = all->replaces != 0 &&
	    (all->source == 0 || all->source == all->target)
	    ? table_find(&target->table, all->replaces) : NULL;
	uint64_t bytes = 0, less = old != NULL ? old->size : 0;

	for (size_t i = 0; i < all->n; i++)
		bytes += all->at[i].body.n;
	return quota_room(target->owner->store, target->table.account,
	    bytes - MIN(bytes, less), all->n - (all->replaces != 0), false);
}

/* ---- into one mailbox ------------------------------------------------ */

/* Are the messages there already? */
static bool
added_before(const struct mailbox *mb, struct arrivals *all)
{
	const struct done *done = table_done(&mb->table, &all->token);

	all->uidvalidity = mb->table.uidvalidity;
	if (done == NULL)
		return false;
	all->uid = done->first;
	return true;
}

static bool
any_large(const struct arrivals *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (is_large(&all->at[i]))
			return true;
	return false;
}

static enum result
enter(struct store *store, const struct grant *grant,
    const struct arrivals *all, struct mailbox **mb)
{
	uint32_t needs = RIGHT_INSERT | (all->replaces == 0 ? 0
	    : RIGHT_DELETED | RIGHT_EXPUNGE);

	return mailbox_open_for(store, grant, all->target, needs, mb);
}

/*
 * A large body is streamed before its row is made, and without the lock:
 * nobody waits for it.
 */
static enum result
add_to_one(struct store *store, const struct grant *grant,
    struct arrivals *all, struct mailbox **mb)
{
	enum result result = enter(store, grant, all, mb);

	if (result != RESULT_OK || added_before(*mb, all))
		return result;
	result = has_room(*mb, all);
	if (result != RESULT_OK)
		return result;
	if (any_large(all)) {
		mailbox_leave(mb);
		result = stream_bodies(store->engine, all);
		if (result == RESULT_OK)
			result = enter(store, grant, all, mb);
		if (result != RESULT_OK || added_before(*mb, all))
			return result;
	}
	if (all->replaces != 0 &&
	    table_find(&(*mb)->table, all->replaces) == NULL)
		return RESULT_CONFLICT;
	return add_all(*mb, all);
}

/* ---- in place of a message elsewhere --------------------------------- */

static enum result
replace_between(struct mailbox *source, struct mailbox *target,
    struct arrivals *all)
{
	uint64_t account = source->table.account;
	struct intent intent = {
		.kind = INTENT_REPLACE, .token = all->token,
		.source = all->source, .target = all->target,
	};
	enum result result = RESULT_OK;

	uids_add(&intent.uids, all->replaces, all->replaces);
	if (!added_before(target, all)) {
		result = table_find(&source->table, all->replaces) == NULL
		    ? RESULT_CONFLICT : has_room(target, all);
		if (result == RESULT_OK)
			result = intent_write(source->owner, account,
			    &intent);
		if (result == RESULT_OK)
			result = add_all(target, all);
		if (result != RESULT_OK)
			intent_forget(source->owner, account, &all->token);
	}
	if (result == RESULT_OK) {
		result = mailbox_expunge(source, &intent.uids);
		if (result == RESULT_OK)
			result = intent_forget(source->owner, account,
			    &all->token);
		if (result != RESULT_OK)
			work_add(source->owner, WORK_INTENTS, account);
	}
	uids_free(&intent.uids);
	return result;
}

static enum result
add_between(struct store *store, const struct grant *grant,
    struct arrivals *all, struct mailbox *two[2])
{
	const struct wanted_mailbox wanted[2] = {
		{ all->source, RIGHT_DELETED | RIGHT_EXPUNGE },
		{ all->target, RIGHT_INSERT },
	};
	enum result result = mailbox_open_two_for(store, grant, wanted, two);

	if (result == RESULT_OK && any_large(all)) {
		mailbox_leave(&two[0]);
		mailbox_leave(&two[1]);
		result = stream_bodies(store->engine, all);
		if (result == RESULT_OK)
			result = mailbox_open_two_for(store, grant, wanted,
			    two);
	}
	return result != RESULT_OK ? result
	    : replace_between(two[0], two[1], all);
}

/* ---- the verbs ------------------------------------------------------- */

static enum result
add(struct store *store, const struct grant *grant, struct arrivals *all,
    struct mailbox *two[2])
{
	uint64_t limit = store_settings(store)->imap_append_limit;

	for (size_t i = 0; i < all->n; i++) {
		all->at[i].id = body_id_new();
		if (all->at[i].body.n > limit)
			return RESULT_LIMIT;
	}
	if (all->replaces != 0 && all->source != all->target)
		return add_between(store, grant, all, two);
	return add_to_one(store, grant, all, &two[0]);
}

/* Who may put messages in, but not look, is told of no UID (RFC 9051 11.4). */
static uint32_t
uid_told(const struct arrivals *all, struct mailbox *const two[2])
{
	const struct mailbox *mb = two[1] != NULL ? two[1] : two[0];

	return mb != NULL && (mb->user == 0 ||
	    (mb->rights & RIGHT_READ) != 0) ? all->uid : 0;
}

void
verb_message_append(void *arg, const struct caller *caller,
    struct arena *arena, const struct message_append_request *req,
    struct message_append_reply *reply)
{
	struct arrival one = { .body = req->body.bytes, .is = {
		.flags = req->flags, .keywords = req->keywords,
		.internal_date = req->internal_date, .thread = req->thread,
		.summary = req->summary.bytes,
	} };
	struct arrivals all = { .token = req->token, .at = &one, .n = 1,
	    .target = req->mailbox };
	struct mailbox *two[2] = { NULL, NULL };

	(void)caller;
	(void)arena;
	reply->result = add(arg, &req->grant, &all, two);
	reply->uid = uid_told(&all, two);
	reply->uidvalidity = all.uidvalidity;
	mailbox_answer_two(two, 0, &reply->result);
}

/* The records, each with its share of the bytes: nothing may be left. */
static enum result
take_records(const struct message_put_request *req, size_t max,
    struct arena *arena, struct arrivals *all)
{
	struct cursor at = { .rest = req->messages.bytes };
	struct span rest = req->bodies.bytes;
	struct message_new next;
	int status;

	all->at = arena_alloc(arena, max * sizeof(*all->at));
	if (all->at == NULL)
		return RESULT_TEMPORARY;
	while ((status = message_new_get(&at, &next)) == 1) {
		if (all->n == max)
			return RESULT_LIMIT;
		if (next.size > rest.n)
			return RESULT_INVALID;
		all->at[all->n++] = (struct arrival){ .is = next,
		    .body = span_sub(rest, 0, (size_t)next.size) };
		rest = span_from(rest, (size_t)next.size);
	}
	return status == 0 && rest.n == 0 && all->n > 0 &&
	    !token_is_zero(&all->token) ? RESULT_OK : RESULT_INVALID;
}

/* What the source looks like without the message that was replaced. */
static enum result
tell_source(struct mailbox *source, const struct message_put_request *req,
    struct arena *arena, struct message_put_reply *reply)
{
	struct view view;
	enum result result = view_changes(source, req->since, arena, &view);

	VIEW_TO_REPLY(&view, reply);
	return result;
}

void
verb_message_put(void *arg, const struct caller *caller, struct arena *arena,
    const struct message_put_request *req, struct message_put_reply *reply)
{
	struct store *store = arg;
	struct arrivals all = { .token = req->token, .target = req->mailbox,
	    .source = req->source, .replaces = req->replaces };
	struct mailbox *two[2] = { NULL, NULL };
	size_t max = MIN(store_settings(store)->imap_append_messages,
	    CHANGE_ROWS_MAX);

	reply->result = take_records(req, max, arena, &all);
	if (reply->result == RESULT_OK)
		reply->result = add(store, &req->grant, &all, two);
	reply->uid = uid_told(&all, two);
	reply->uidvalidity = all.uidvalidity;
	if (reply->result == RESULT_OK && all.replaces != 0)
		reply->result = tell_source(two[0], req, arena, reply);
	(void)caller;
	mailbox_answer_two(two, 0, &reply->result);
}

/*
 * message_copy.c - COPY and MOVE (RFC 3501 6.4.7, RFC 6851).
 *
 * A copy links the same body, under the same EMAILID. All messages come with
 * one batch in the target. A move is an intent first (mailbox_intent.c), the
 * copies, and then the originals go: the copies' token in the target tells
 * whoever repeats it, client or replay, how far it came.
 */
#include "store/mailboxes.h"
#include "store/quota.h"
#include "store/verbs.h"

#include <stdlib.h>

/* ---- the copies ------------------------------------------------------ */

/* Rows of the set; *found names each of them. In memory of the caller's. */
static struct row *
take_rows(const struct mailbox *mb, const struct uids *wanted,
    struct uids *found, size_t *count)
{
	const struct table *t = &mb->table;
	struct row *rows = NULL;
	size_t n = 0, room = 0;

	for (size_t r = 0; r < wanted->n; r++) {
		size_t i = table_seek(t, wanted->at[r].first);
		uint32_t last = wanted->at[r].last;

		for (; i < t->n && t->rows[i].uid <= last; i++) {
			if (n == room) {
				room = room * 2 + 16;
				rows = xrealloc(rows, room * sizeof(*rows));
			}
			rows[n] = t->rows[i];
			rows[n++].flags = mailbox_flags(mb, &t->rows[i]);
			uids_add(found, t->rows[i].uid, t->rows[i].uid);
		}
	}
	*count = n;
	return rows;
}

/* The target's bit for each keyword; where it has none left, 0. */
static void
map_keywords(const struct table *from, const struct table *to, uint64_t used,
    struct change *change, uint64_t map[KEYWORDS_MAX])
{
	for (size_t i = 0; i < KEYWORDS_MAX; i++) {
		map[i] = 0;
		if (i >= from->keyword_count ||
		    (used >> (FLAG_KEYWORD_0 + i) & 1) == 0)
			continue;
		if (table_define(to, change, span_str(from->keywords[i]),
		    &map[i]) != 1)
			map[i] = 0;
		/* So that no later name takes the bit over. */
		change->flags |= map[i];
	}
}

static uint64_t
map_flags(uint64_t flags, const uint64_t map[KEYWORDS_MAX])
{
	uint64_t out = flags & FLAGS_SYSTEM;

	for (flags >>= FLAG_KEYWORD_0; flags != 0; flags &= flags - 1)
		out |= map[__builtin_ctzll(flags)];
	return out;
}

static void
make_copies(const struct table *from, const struct table *to,
    struct row *rows, size_t n, struct change *change)
{
	int64_t now = clock_wall_seconds();
	uint64_t map[KEYWORDS_MAX], used = 0;

	for (size_t i = 0; i < n; i++)
		used |= rows[i].flags;
	map_keywords(from, to, used, change, map);
	for (size_t i = 0; i < n; i++) {
		rows[i].uid = to->uidnext + (uint32_t)i;
		rows[i].flags = map_flags(rows[i].flags, map);
		rows[i].save_date = now;
	}
}

/* One change for every CHANGE_ROWS_MAX rows; token and names in the first. */
static enum result
add_rows(struct mailbox *target, struct change *first, struct row *rows,
    size_t n, ticket_t *ticket)
{
	size_t count = (n + CHANGE_ROWS_MAX - 1) / CHANGE_ROWS_MAX;
	struct change *changes = xcalloc(count + 1, sizeof(*changes));
	struct change seen;
	bool own = mailbox_admit_flags(target, rows, n, &seen);
	struct batch *b = mailbox_batch(target);
	enum result result;

	changes[0] = *first;
	for (size_t i = 0; i < count; i++) {
		changes[i].kind = CHANGE_ADD;
		changes[i].rows = rows + i * CHANGE_ROWS_MAX;
		changes[i].row_count = MIN(n - i * CHANGE_ROWS_MAX,
		    (size_t)CHANGE_ROWS_MAX);
	}
	for (size_t i = 0; i < n; i++) {
		struct key holder = message_holder(mailbox_id(target),
		    rows[i].uid);

		batch_link(b, rows[i].body, key_span(&holder));
	}
	changes[count] = seen;
	result = mailbox_make(target, b, changes, count + own, ticket);
	batch_free(&b);
	uids_free(&seen.uids);
	free(changes);
	return result;
}

/* ---- copy and move --------------------------------------------------- */

static enum result
copy(struct mailbox *source, struct mailbox *target, struct row *rows,
    size_t n, struct transfer *t)
{
	struct change change = {
		.kind = CHANGE_ADD, .token = t->token, .total = (uint32_t)n,
		.uids = t->uids,
	};

	t->count = (uint32_t)n;
	t->first = target->table.uidnext;
	if (n == 0)
		return RESULT_OK;
	if (n > TRANSFER_MAX || t->uids.n > CHANGE_RANGES_MAX ||
	    UINT32_MAX - target->table.uidnext <= n)
		return RESULT_LIMIT;
	make_copies(&source->table, &target->table, rows, n, &change);
	return add_rows(target, &change, rows, n, &t->ticket);
}

static enum result
copy_wanted(struct mailbox *source, struct mailbox *target,
    struct transfer *t)
{
	struct uids found = { 0 };
	size_t n;
	struct row *rows = take_rows(source, &t->uids, &found, &n);
	struct intent intent = {
		.kind = INTENT_MOVE, .token = t->token,
		.source = mailbox_id(source), .target = mailbox_id(target),
		.uids = found,
	};
	enum result result = RESULT_OK;

	uids_free(&t->uids);
	t->uids = found;
	if (t->move && n > 0 && n <= TRANSFER_MAX &&
	    found.n <= CHANGE_RANGES_MAX)
		result = intent_write(source->owner, source->table.account,
		    &intent);
	if (result == RESULT_OK)
		result = copy(source, target, rows, n, t);
	/* What was refused shall not happen later after all. */
	if (result != RESULT_OK && t->move)
		intent_forget(source->owner, source->table.account, &t->token);
	free(rows);
	return result;
}

static void
recall(const struct done *done, struct transfer *t)
{
	t->first = done->first;
	t->count = done->count;
	uids_clear(&t->uids);
	for (size_t i = 0; i < done->sources.n; i++)
		uids_add(&t->uids, done->sources.at[i].first,
		    done->sources.at[i].last);
}

enum result
mailbox_transfer(struct mailbox *source, struct mailbox *target,
    struct transfer *t)
{
	const struct done *done = table_done(&target->table, &t->token);
	enum result result = RESULT_OK;

	if (done != NULL)
		recall(done, t);
	else
		result = copy_wanted(source, target, t);
	if (result != RESULT_OK || !t->move || t->count == 0)
		return result;
	result = mailbox_expunge(source, &t->uids);
	if (result == RESULT_OK)
		result = intent_forget(source->owner, source->table.account,
		    &t->token);
	if (result != RESULT_OK)
		work_add(source->owner, WORK_INTENTS, source->table.account);
	return result;
}

/* ---- the verb -------------------------------------------------------- */

static enum result
fill_reply(struct mailbox *source, struct mailbox *target,
    const struct message_copy_request *req, const struct transfer *t,
    struct arena *arena, struct message_copy_reply *reply)
{
	struct uids copies = { 0 };
	struct span from = SPAN_EMPTY, to = SPAN_EMPTY;
	struct view view;
	enum result result = view_changes(source, req->since, arena, &view);

	VIEW_TO_REPLY(&view, reply);
	if (t->count > 0)
		uids_add(&copies, t->first, t->first + (t->count - 1));
	if (uids_write(&t->uids, arena, &from) != 1 ||
	    uids_write(&copies, arena, &to) != 1)
		result = RESULT_TEMPORARY;
	reply->sources = BLOB_OF(from);
	reply->targets = BLOB_OF(to);
	reply->target_uidvalidity = target->table.uidvalidity;
	uids_free(&copies);
	return result;
}

static enum result
enter(struct store *store, const struct message_copy_request *req,
    struct mailbox *two[2])
{
	struct wanted_mailbox wanted[2] = {
		{ req->mailbox, RIGHT_READ },
		{ req->target, RIGHT_INSERT },
	};

	if (req->move)
		wanted[0].needs |= RIGHT_DELETED | RIGHT_EXPUNGE;
	return mailbox_open_two_for(store, &req->grant, wanted, two);
}

/* Within an account a move takes no room; nor does what was done before. */
static enum result
has_room(const struct mailbox *source, const struct mailbox *target,
    const struct transfer *t)
{
	uint64_t bytes = 0, messages = 0;

	if ((t->move && source->table.account == target->table.account) ||
	    table_done(&target->table, &t->token) != NULL)
		return RESULT_OK;
	for (size_t r = 0; r < t->uids.n; r++) {
		const struct table *rows = &source->table;
		size_t i = table_seek(rows, t->uids.at[r].first);

		for (; i < rows->n && rows->rows[i].uid <=
		    t->uids.at[r].last; i++) {
			bytes += rows->rows[i].size;
			messages++;
		}
	}
	return quota_room(target->owner->store, target->table.account, bytes,
	    messages, false);
}

void
verb_message_copy(void *arg, const struct caller *caller,
    struct arena *arena, const struct message_copy_request *req,
    struct message_copy_reply *reply)
{
	struct store *store = arg;
	struct transfer t = { .token = req->token, .move = req->move != 0 };
	struct mailbox *two[2] = { NULL, NULL }, *target;

	reply->result = uids_read(&t.uids, req->uids.bytes) &&
	    !token_is_zero(&t.token) ? RESULT_OK : RESULT_INVALID;
	if (reply->result == RESULT_OK)
		reply->result = enter(store, req, two);
	if (reply->result == RESULT_OK) {
		target = two[1] != NULL ? two[1] : two[0];
		watch_by_answer(two[0], caller, req->watch);
		reply->result = has_room(two[0], target, &t);
		if (reply->result == RESULT_OK)
			reply->result = mailbox_transfer(two[0], target, &t);
		if (reply->result == RESULT_OK)
			reply->result = fill_reply(two[0], target, req, &t,
			    arena, reply);
	}
	mailbox_answer_two(two, t.ticket, &reply->result);
	uids_free(&t.uids);
}

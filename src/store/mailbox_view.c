/*
 * mailbox_view.c - what a session sees of a mailbox: the snapshot, what
 * changed since, the counters.
 */
#include "store/mailboxes.h"
#include "store/share.h"
#include "store/verbs.h"

/* ---- rows ------------------------------------------------------------ */

static void
put_row(struct text *t, const struct row *row, uint64_t flags)
{
	message_row_put(t, &(struct message_row){
	    .uid = row->uid, .size = row->size, .flags = flags,
	    .modseq = row->modseq, .internal_date = row->internal_date });
}

/* Rows of the ranges that changed after `since`, as message_row records. */
static enum result
view_rows(const struct mailbox *mb, const struct uids *where, uint64_t since,
    struct arena *arena, struct blob *rows)
{
	const struct table *t = &mb->table;
	bool own = mailbox_has_own_seen(mb);
	struct share out;

	share_begin(&out);
	for (size_t r = 0; r < where->n; r++) {
		size_t i = table_seek(t, where->at[r].first);

		for (; i < t->n && t->rows[i].uid <= where->at[r].last; i++) {
			if (t->rows[i].modseq <= since)
				continue;
			put_row(&out.text, &t->rows[i], own
			    ? mailbox_flags(mb, &t->rows[i])
			    : t->rows[i].flags);
			share_flush(&out);
		}
	}
	return share_end(&out, arena, rows);
}

static enum result
view_all(const struct mailbox *mb, struct arena *arena, struct blob *rows)
{
	struct uid_range whole = { 1, UINT32_MAX };
	struct uids where = { .at = &whole, .n = 1 };

	return view_rows(mb, &where, 0, arena, rows);
}

static enum result
view_since(const struct mailbox *mb, uint64_t since, const struct uids *gone,
    struct arena *arena, struct view *v)
{
	struct uids where = { 0 };
	enum result result;

	table_changed(&mb->table, since, &where);
	result = view_rows(mb, &where, since, arena, &v->rows);
	uids_free(&where);
	if (result == RESULT_OK && uids_write(gone, arena, &v->vanished) != 1)
		result = RESULT_TEMPORARY;
	return result;
}

enum result
view_changes(const struct mailbox *mb, uint64_t since, struct arena *arena,
    struct view *v)
{
	const struct table *t = &mb->table;
	struct uids gone = { 0 };
	enum result result;

	*v = (struct view){
		.uidnext = t->uidnext, .recent_from = t->recent,
		.highestmodseq = t->modseq,
		.keywords = table_keywords(t, arena),
		.rows = BLOB_OF(SPAN_EMPTY),
	};
	if (since == UINT64_MAX) {
		v->complete = 1;
		return RESULT_OK;
	}
	/* A modseq from the future: of a store that was restored. */
	v->complete = since <= t->modseq &&
	    table_vanished(t, since, &gone) == 1;
	if (v->complete)
		result = view_since(mb, since, &gone, arena, v);
	else
		result = view_all(mb, arena, &v->rows);
	uids_free(&gone);
	return result;
}

/* ---- \Recent --------------------------------------------------------- */

/*
 * What nobody was told of yet is this session's. Lost with the power at
 * worst: then a message is recent once more.
 */
static enum result
claim_recent(struct mailbox *mb)
{
	struct key key = key_letter(MAILBOX_RECENT);
	struct text t = TEXT_INIT(64);
	struct batch *b;
	enum result result = RESULT_OK;

	/* Who only looks takes nothing from others. */
	if (mb->table.recent == mb->table.uidnext ||
	    (mb->rights & RIGHTS_TO_CHANGE) == 0)
		return RESULT_OK;
	b = mailbox_batch(mb);
	number_encode(&t, mb->table.uidnext);
	batch_put(b, key_span(&key), text_span(&t));
	if (mailbox_commit(mb, b, NULL) == 1)
		mb->table.recent = mb->table.uidnext;
	else
		result = result_of_errno();
	batch_free(&b);
	text_free(&t);
	return result;
}

/* ---- the verbs ------------------------------------------------------- */

static enum result
watch(struct mailbox *mb, const struct caller *caller, uint64_t id)
{
	if (id == 0)
		return RESULT_OK;
	return watches_add(mb->owner->watches, mailbox_id(mb), caller->link,
	    id, mb->table.modseq);
}

static enum result
fill_snapshot(struct mailbox *mb, struct arena *arena,
    struct mailbox_open_reply *reply)
{
	const struct table *t = &mb->table;
	enum result result = view_all(mb, arena, &reply->rows);

	reply->uidvalidity = t->uidvalidity;
	reply->uidnext = t->uidnext;
	reply->recent_from = t->recent;
	reply->highestmodseq = t->modseq;
	reply->keywords = table_keywords(t, arena);
	reply->rights = mb->rights;
	return result;
}

void
verb_mailbox_open(void *arg, const struct caller *caller,
    struct arena *arena, const struct mailbox_open_request *req,
    struct mailbox_open_reply *reply)
{
	struct mailbox *mb = NULL;

	reply->result = mailbox_open_for(arg, &req->grant, req->mailbox,
	    RIGHT_READ, &mb);
	if (reply->result == RESULT_OK)
		reply->result = fill_snapshot(mb, arena, reply);
	if (reply->result == RESULT_OK && req->claim_recent)
		reply->result = claim_recent(mb);
	if (reply->result == RESULT_OK)
		reply->result = watch(mb, caller, req->watch);
	mailbox_answer(&mb, 0, &reply->result);
}

void
verb_mailbox_changes(void *arg, const struct caller *caller,
    struct arena *arena, const struct mailbox_changes_request *req,
    struct mailbox_changes_reply *reply)
{
	struct mailbox *mb = NULL;
	struct view view;

	reply->result = mailbox_open_for(arg, &req->grant, req->mailbox,
	    RIGHT_READ, &mb);
	if (reply->result == RESULT_OK) {
		reply->result = view_changes(mb, req->since, arena, &view);
		VIEW_TO_REPLY(&view, reply);
		reply->rights = mb->rights;
	}
	if (reply->result == RESULT_OK && req->claim_recent)
		reply->result = claim_recent(mb);
	if (reply->result == RESULT_OK)
		reply->result = watch(mb, caller, req->watch);
	mailbox_answer(&mb, 0, &reply->result);
}

void
verb_mailbox_vanished(void *arg, const struct caller *caller,
    struct arena *arena, const struct mailbox_vanished_request *req,
    struct mailbox_vanished_reply *reply)
{
	struct mailbox *mb = NULL;
	struct uids gone = { 0 };
	struct span records = SPAN_EMPTY;

	(void)caller;
	reply->result = mailbox_open_for(arg, &req->grant, req->mailbox,
	    RIGHT_READ, &mb);
	if (reply->result == RESULT_OK) {
		reply->complete = req->since <= mb->table.modseq &&
		    table_vanished(&mb->table, req->since, &gone) == 1;
		if (reply->complete && uids_write(&gone, arena, &records) != 1)
			reply->result = RESULT_TEMPORARY;
		reply->vanished = BLOB_OF(records);
	}
	uids_free(&gone);
	mailbox_answer(&mb, 0, &reply->result);
}

/* A mailbox that is gone has no watches that matter. */
void
verb_mailbox_close(void *arg, const struct caller *caller,
    struct arena *arena, const struct mailbox_close_request *req,
    struct mailbox_close_reply *reply)
{
	struct store *store = arg;
	uint64_t account;

	(void)arena;
	reply->result = grant_account(store, &req->grant, &account);
	if (reply->result == RESULT_OK)
		watches_remove(store->mailboxes->watches, req->mailbox,
		    caller->link, req->watch);
}

void
verb_mailbox_status(void *arg, const struct caller *caller,
    struct arena *arena, const struct mailbox_status_request *req,
    struct mailbox_status_reply *reply)
{
	struct mailbox *mb = NULL;
	const struct table *t;

	(void)caller;
	(void)arena;
	reply->result = mailbox_open_for(arg, &req->grant, req->mailbox,
	    RIGHT_READ, &mb);
	if (reply->result != RESULT_OK)
		return;
	t = &mb->table;
	reply->messages = (uint32_t)t->n;
	reply->unseen = mailbox_unseen(mb);
	reply->deleted = t->deleted;
	reply->recent = (uint32_t)(t->n - table_seek(t, t->recent));
	reply->uidnext = t->uidnext;
	reply->uidvalidity = t->uidvalidity;
	reply->highestmodseq = t->modseq;
	reply->bytes = t->bytes;
	reply->deleted_bytes = t->deleted_bytes;
	mailbox_answer(&mb, 0, &reply->result);
}

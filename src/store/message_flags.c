/*
 * message_flags.c - flags and keywords (RFC 3501 6.4.6, RFC 7162 3.1.3).
 *
 * One record in the tail, whatever the number of messages. Its ranges name
 * the messages that may change; those that have the flags already keep their
 * modseq.
 */
#include "store/mailboxes.h"
#include "store/verbs.h"

/* The bits of keyword names; those not there yet are defined by the change. */
static enum result
add_keywords(const struct table *t, struct span names, bool define,
    struct change *change)
{
	struct span word;
	uint64_t bit;

	while ((word = span_word(&names)).n > 0) {
		if (!define)
			bit = table_keyword(t, word);
		else if (!table_define(t, change, word, &bit))
			return RESULT_LIMIT;
		change->flags |= bit;
	}
	return RESULT_OK;
}

struct selection {
	struct uids changed, failed;
	bool any;			/* a message really changes */
};

static bool
would_change(const struct change *change, uint64_t flags)
{
	switch (change->mode) {
	case STORE_ADD:
		return (flags | change->flags) != flags;
	case STORE_REMOVE:
		return (flags & change->flags) != 0;
	case STORE_SET:
		break;
	}
	return flags != change->flags;
}

static void
extend(struct uids *uids, size_t *before, size_t i, uint32_t uid)
{
	if (uids->n > 0 && *before + 1 == i)
		uids->at[uids->n - 1].last = uid;
	else
		uids_add(uids, uid, uid);
	*before = i;
}

/* Which rows the change is for, and which changed too lately for it. */
static void
select_rows(const struct table *t, const struct uids *wanted,
    uint64_t unchanged_since, const struct change *change,
    struct selection *s)
{
	size_t before = SIZE_MAX;

	for (size_t r = 0; r < wanted->n; r++) {
		size_t i = table_seek(t, wanted->at[r].first);
		uint32_t last = wanted->at[r].last;

		for (; i < t->n && t->rows[i].uid <= last; i++) {
			const struct row *row = &t->rows[i];

			if (row->modseq > unchanged_since) {
				uids_add(&s->failed, row->uid, row->uid);
				continue;
			}
			extend(&s->changed, &before, i, row->uid);
			if (would_change(change, row->flags))
				s->any = true;
		}
	}
}

/* A set with very many gaps takes more than one record. */
static enum result
make_flags(struct mailbox *mb, struct change *change,
    const struct uids *changed, ticket_t *ticket)
{
	enum result result = RESULT_OK;

	for (size_t i = 0; i < changed->n && result == RESULT_OK;
	    i += CHANGE_RANGES_MAX) {
		struct batch *b = mailbox_batch(mb);

		change->uids = (struct uids){ .at = changed->at + i,
		    .n = MIN(changed->n - i, (size_t)CHANGE_RANGES_MAX) };
		result = mailbox_make(mb, b, change, 1, ticket);
		change->defined = 0;
		batch_free(&b);
	}
	return result;
}

static enum result
store_flags(struct mailbox *mb, const struct message_store_request *req,
    const struct uids *wanted, struct selection *s, ticket_t *ticket)
{
	struct change change = {
		.kind = CHANGE_FLAGS, .mode = req->mode,
		.flags = req->flags & FLAGS_SYSTEM,
	};
	enum result result = add_keywords(&mb->table, req->keywords,
	    req->mode != STORE_REMOVE, &change);

	if (result != RESULT_OK)
		return result;
	select_rows(&mb->table, wanted, req->unchanged_since, &change, s);
	return s->any ? make_flags(mb, &change, &s->changed, ticket)
	    : RESULT_OK;
}

static enum result
fill_reply(struct mailbox *mb, const struct message_store_request *req,
    const struct selection *s, struct arena *arena,
    struct message_store_reply *reply)
{
	struct view view;
	struct span failed;
	enum result result = view_changes(mb, req->since, arena, &view);

	VIEW_TO_REPLY(&view, reply);
	if (uids_write(&s->failed, arena, &failed) != 1)
		return RESULT_TEMPORARY;
	reply->modified = BLOB_OF(failed);
	return result;
}

void
verb_message_store(void *arg, const struct caller *caller,
    struct arena *arena, const struct message_store_request *req,
    struct message_store_reply *reply)
{
	struct store *store = arg;
	struct uids wanted = { 0 };
	struct selection s = { 0 };
	struct mailbox *mb = NULL;
	ticket_t ticket = 0;

	reply->result = req->mode <= STORE_REMOVE &&
	    uids_read(&wanted, req->uids.bytes) ? RESULT_OK : RESULT_INVALID;
	if (reply->result == RESULT_OK)
		reply->result = mailbox_open_for(store, &req->grant,
		    req->mailbox, RIGHT_READ, &mb);
	if (reply->result == RESULT_OK) {
		watch_by_answer(mb, caller, req->watch);
		reply->result = store_flags(mb, req, &wanted, &s, &ticket);
	}
	if (reply->result == RESULT_OK)
		reply->result = fill_reply(mb, req, &s, arena, reply);
	if (!store_settings(store)->store_sync_flags)
		ticket = 0;
	mailbox_answer(&mb, ticket, &reply->result);
	uids_free(&wanted);
	uids_free(&s.changed);
	uids_free(&s.failed);
}

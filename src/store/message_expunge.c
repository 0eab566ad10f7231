/*
 * message_expunge.c - messages go for good.
 *
 * One record in the tail, whatever their number; the bodies lose their links
 * in the same batch and are collected later.
 */
#include "store/mailboxes.h"
#include "store/verbs.h"

enum { EXPUNGE_AT_ONCE = 100000 };	/* messages that one batch takes */

/*
 * The first rows that are in the set and have these flags, as ranges, which
 * join over gaps between neighbours. How many rows.
 */
static size_t
next_share(const struct table *t, const struct uids *wanted, uint64_t flags,
    struct uids *share)
{
	size_t count = 0, before = SIZE_MAX;

	uids_clear(share);
	for (size_t r = 0; r < wanted->n; r++) {
		size_t i = table_seek(t, wanted->at[r].first);
		uint32_t last = wanted->at[r].last;

		for (; i < t->n && t->rows[i].uid <= last; i++) {
			if ((t->rows[i].flags & flags) != flags)
				continue;
			if (count == EXPUNGE_AT_ONCE ||
			    share->n == CHANGE_RANGES_MAX)
				return count;
			if (count > 0 && before + 1 == i)
				share->at[share->n - 1].last = t->rows[i].uid;
			else
				uids_add(share, t->rows[i].uid,
				    t->rows[i].uid);
			before = i;
			count++;
		}
	}
	return count;
}

static void
unlink_rows(struct mailbox *mb, struct batch *b, const struct uids *uids)
{
	const struct table *t = &mb->table;

	for (size_t r = 0; r < uids->n; r++) {
		size_t i = table_seek(t, uids->at[r].first);

		for (; i < t->n && t->rows[i].uid <= uids->at[r].last; i++) {
			struct key holder = message_holder(mailbox_id(mb),
			    t->rows[i].uid);

			batch_unlink(b, t->rows[i].body, key_span(&holder));
		}
	}
}

static enum result
expunge(struct mailbox *mb, const struct uids *wanted, uint64_t flags)
{
	struct change change = { .kind = CHANGE_EXPUNGE };
	enum result result = RESULT_OK;
	struct batch *b;

	while (result == RESULT_OK &&
	    next_share(&mb->table, wanted, flags, &change.uids) > 0) {
		b = mailbox_batch(mb);
		unlink_rows(mb, b, &change.uids);
		result = mailbox_make(mb, b, &change, 1, NULL);
		batch_free(&b);
	}
	change_free(&change);
	return result;
}

enum result
mailbox_expunge(struct mailbox *mb, const struct uids *wanted)
{
	return expunge(mb, wanted, 0);
}

void
verb_message_expunge(void *arg, const struct caller *caller,
    struct arena *arena, const struct message_expunge_request *req,
    struct message_expunge_reply *reply)
{
	uint64_t flags = req->only_deleted ? FLAG_DELETED : 0;
	uint32_t needs = RIGHT_EXPUNGE | (flags != 0 ? 0 : RIGHT_DELETED);
	struct uids wanted = { 0 };
	struct mailbox *mb = NULL;
	struct view view;

	reply->result = uids_read(&wanted, req->uids.bytes) ? RESULT_OK
	    : RESULT_INVALID;
	if (reply->result == RESULT_OK)
		reply->result = mailbox_open_for(arg, &req->grant,
		    req->mailbox, needs, &mb);
	if (reply->result == RESULT_OK) {
		watch_by_answer(mb, caller, req->watch);
		reply->result = expunge(mb, &wanted, flags);
	}
	if (reply->result == RESULT_OK) {
		reply->result = view_changes(mb, req->since, arena, &view);
		VIEW_TO_REPLY(&view, reply);
	}
	mailbox_answer(&mb, 0, &reply->result);
	uids_free(&wanted);
}

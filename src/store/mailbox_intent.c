/*
 * mailbox_intent.c - what spans two partitions is written down first.
 *
 * A move adds messages to one mailbox and takes them from another; a removed
 * mailbox loses its name in the account and its messages in its own
 * partition. No batch covers two partitions: so an intent is written to the
 * account before, and removed after. Each step may be made again, and whoever
 * touches the account first after a crash finds the intent and does so. (What
 * is durable is a prefix of what was committed, so no step needs the disk but
 * the last.)
 */
#include "store/index.h"
#include "store/mailboxes.h"
#include "store/shares.h"

enum { REMOVE_AT_ONCE = 50000 };	/* links undone by one batch */

void
intent_put(struct batch *b, const struct intent *intent)
{
	struct key key = key_token(ACCOUNT_INTENT, &intent->token);
	struct text t = TEXT_INIT(0);

	intent_encode(&t, intent);
	batch_put(b, key_span(&key), text_span(&t));
	text_free(&t);
}

static enum result
commit_to_account(struct mailboxes *m, struct batch **b)
{
	int status = engine_commit(m->store->engine, *b, NULL);

	batch_free(b);
	return status == 1 ? RESULT_OK : result_of_errno();
}

enum result
intent_write(struct mailboxes *m, uint64_t account,
    const struct intent *intent)
{
	struct batch *b = batch_new((struct partition){
	    PARTITION_ACCOUNT, account });

	intent_put(b, intent);
	return commit_to_account(m, &b);
}

enum result
intent_forget(struct mailboxes *m, uint64_t account,
    const struct token *token)
{
	struct key key = key_token(ACCOUNT_INTENT, token);
	struct batch *b = batch_new((struct partition){
	    PARTITION_ACCOUNT, account });

	batch_delete(b, key_span(&key));
	return commit_to_account(m, &b);
}

/* ---- replay -------------------------------------------------------------- */

struct replay {
	struct mailboxes *m;
	uint64_t account;
};

/* Whoever wrote it may have finished, or refused, while we waited. */
static int
still_there(const struct replay *r, const struct intent *intent)
{
	struct key key = key_token(ACCOUNT_INTENT, &intent->token);
	struct arena *arena = arena_new(ENGINE_VALUE_MAX + 4096);
	struct span value;
	int status = engine_get(r->m->store->engine, (struct partition){
	    PARTITION_ACCOUNT, r->account }, key_span(&key), arena, &value);

	arena_free(&arena);
	return status;
}

static enum result
move_again(const struct replay *r, const struct intent *intent,
    struct mailbox *source, struct mailbox *target)
{
	struct transfer t = { .token = intent->token, .move = true };
	enum result result;
	int status = still_there(r, intent);

	if (status != 1)
		return status == 0 ? RESULT_OK : RESULT_TEMPORARY;
	for (size_t i = 0; i < intent->uids.n; i++)
		uids_add(&t.uids, intent->uids.at[i].first,
		    intent->uids.at[i].last);
	result = mailbox_transfer(source, target, &t);
	uids_free(&t.uids);
	return result;
}

/* The old message goes if the new one has come, and not otherwise. */
static enum result
replace_again(const struct replay *r, const struct intent *intent,
    struct mailbox *source, struct mailbox *target)
{
	int status = still_there(r, intent);

	if (status != 1)
		return status == 0 ? RESULT_OK : RESULT_TEMPORARY;
	return table_done(&target->table, &intent->token) == NULL ? RESULT_OK
	    : mailbox_expunge(source, &intent->uids);
}

/* A mailbox that went meanwhile has taken its messages along. */
static enum result
replay_between(const struct replay *r, const struct intent *intent,
    enum result (*again)(const struct replay *, const struct intent *,
    struct mailbox *, struct mailbox *))
{
	uint64_t id[2] = { intent->source, intent->target };
	size_t low = id[0] <= id[1] ? 0 : 1;
	struct mailbox *two[2] = { NULL, NULL };
	enum result result = mailbox_enter_any(r->m, id[low], &two[low]);

	if (result == RESULT_OK && id[0] != id[1])
		result = mailbox_enter_any(r->m, id[1 - low], &two[1 - low]);
	if (result == RESULT_OK)
		result = again(r, intent, two[0], two[1] != NULL
		    ? two[1] : two[0]);
	mailbox_leave(&two[1 - low]);
	mailbox_leave(&two[low]);
	return result == RESULT_NOT_FOUND ? RESULT_OK : result;
}

/* Undoing a link twice is harmless: so the rows stay until the end. */
static enum result
unlink_all(struct mailbox *mb)
{
	const struct table *t = &mb->table;
	enum result result = RESULT_OK;

	for (size_t i = 0; i < t->n && result == RESULT_OK;) {
		struct batch *b = mailbox_batch(mb);
		size_t end = MIN(t->n, i + REMOVE_AT_ONCE);

		for (; i < end; i++) {
			struct key holder = message_holder(mailbox_id(mb),
			    t->rows[i].uid);

			batch_unlink(b, t->rows[i].body, key_span(&holder));
		}
		if (mailbox_commit(mb, b, NULL) != 1)
			result = result_of_errno();
		batch_free(&b);
	}
	return result;
}

static enum result
replay_remove(const struct replay *r, const struct intent *intent)
{
	struct mailbox *mb;
	enum result result = shares_apply(r->m->store, &(struct share){
	    r->account, intent->source });

	if (result != RESULT_OK)
		return result;
	result = mailbox_enter_any(r->m, intent->source, &mb);
	if (result != RESULT_OK)
		return result == RESULT_NOT_FOUND ? RESULT_OK : result;
	mb->removed = true;
	result = unlink_all(mb);
	if (result == RESULT_OK)
		result = index_forget(r->m->store, intent->source);
	if (result == RESULT_OK && digest_forget(r->m->store->engine,
	    intent->source) < 0)
		result = RESULT_TEMPORARY;
	if (result == RESULT_OK && engine_drop_partition(r->m->store->engine,
	    (struct partition){ PARTITION_MAILBOX, intent->source },
	    NULL) < 0)
		result = RESULT_TEMPORARY;
	mb->loaded = false;
	mailbox_leave(&mb);
	return result;
}

static enum result
replay(const struct replay *r, const struct intent *intent)
{
	enum result result = RESULT_DAMAGED;

	switch (intent->kind) {
	case INTENT_MOVE:
		result = replay_between(r, intent, move_again);
		break;
	case INTENT_REPLACE:
		result = replay_between(r, intent, replace_again);
		break;
	case INTENT_REMOVE:
		result = replay_remove(r, intent);
		break;
	case INTENT_SHARE:
		result = shares_apply(r->m->store, &(struct share){
		    r->account, intent->source });
		break;
	}
	if (result == RESULT_OK)
		result = intent_forget(r->m, r->account, &intent->token);
	return result;
}

/* The first intent at or behind *from, which becomes the key behind it. */
static int
next_intent(const struct replay *r, struct text *from, struct intent *intent)
{
	struct key end = key_letter_after(ACCOUNT_INTENT);
	struct scan *scan = scan_open(r->m->store->engine,
	    (struct partition){ PARTITION_ACCOUNT, r->account },
	    text_span(from), key_span(&end));
	struct span key, value;
	int status = scan == NULL ? -1 : scan_next(scan, &key, &value);

	if (status == 1) {
		text_clear(from);
		text_add(from, key);
		text_char(from, '\0');
		if (!intent_decode(value, intent))
			status = -1;
	}
	scan_close(&scan);
	return status;
}

int
intents_replay(struct mailboxes *m, uint64_t account, bool removals)
{
	struct replay r = { m, account };
	struct text from = TEXT_INIT(0);
	struct intent intent = { 0 };
	bool all = true;
	int status;

	text_char(&from, ACCOUNT_INTENT);
	while ((status = next_intent(&r, &from, &intent)) == 1) {
		if (intent.kind == INTENT_REMOVE && !removals)
			work_add(m, WORK_INTENTS, account);
		else if (replay(&r, &intent) != RESULT_OK)
			all = false;
	}
	uids_free(&intent.uids);
	text_free(&from);
	return status == 0 && all ? 1 : -1;
}

bool
intents_left(struct mailboxes *m, uint64_t account)
{
	struct replay r = { m, account };
	struct text from = TEXT_INIT(0);
	struct intent intent = { 0 };
	int status;

	text_char(&from, ACCOUNT_INTENT);
	status = next_intent(&r, &from, &intent);
	uids_free(&intent.uids);
	text_free(&from);
	return status != 0;
}

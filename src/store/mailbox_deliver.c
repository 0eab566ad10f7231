/*
 * mailbox_deliver.c - from the queue into INBOX, exactly once.
 *
 * The batch that adds the message also writes a marker with the envelope's
 * id; a delivery that finds its marker was made already. When the envelope is
 * finished the marker may go, with whatever batch comes next: what dies in
 * between leaves a marker too many, never one too few.
 */
#include "store/mailboxes.h"
#include "store/quota.h"

#include <stdlib.h>

enum { SWEEP_MAX = 1000 };	/* markers that leave with one batch */

static char marker;

static struct span
key_of(const struct token *token)
{
	return span_of(token->b, sizeof(token->b));
}

void
mailbox_delivery_note(struct mailbox *mb, const struct token *queue)
{
	if (mb->delivered == NULL)
		mb->delivered = map_new();
	map_put(mb->delivered, key_of(queue), &marker);
}

void
mailbox_delivery_over(struct mailbox *mb, const struct token *queue)
{
	if (mb->finished_count == mb->finished_room) {
		mb->finished_room = mb->finished_room * 2 + 8;
		mb->finished = xrealloc(mb->finished,
		    mb->finished_room * sizeof(*mb->finished));
	}
	if (mb->finished_count == 0)
		work_add(mb->owner, WORK_SWEEP, mailbox_id(mb));
	mb->finished[mb->finished_count++] = *queue;
}

static size_t
sweep_count(const struct mailbox *mb)
{
	return MIN(mb->finished_count, (size_t)SWEEP_MAX);
}

void
mailbox_delivery_sweep(struct mailbox *mb, struct batch *b)
{
	size_t n = sweep_count(mb);

	for (size_t i = 0; i < n; i++) {
		struct key key = key_token(MAILBOX_DELIVERED,
		    &mb->finished[mb->finished_count - 1 - i]);

		batch_delete(b, key_span(&key));
	}
}

void
mailbox_delivery_swept(struct mailbox *mb)
{
	size_t n = sweep_count(mb);

	for (; n > 0; n--) {
		mb->finished_count--;
		if (mb->delivered != NULL)
			map_remove(mb->delivered,
			    key_of(&mb->finished[mb->finished_count]));
	}
}

int
mailbox_delivery_flush(struct mailbox *mb)
{
	struct batch *b;
	int status = 1;

	while (status == 1 && mb->finished_count > 0) {
		b = mailbox_batch(mb);
		mailbox_delivery_sweep(mb, b);
		status = mailbox_commit(mb, b, NULL);
		batch_free(&b);
		if (status == 1)
			mailbox_delivery_swept(mb);
	}
	return status;
}

/* ---- the queue's side ------------------------------------------------ */

static enum result
inbox_of(struct mailboxes *m, uint64_t account, uint64_t *inbox)
{
	struct names *names;
	enum result result = names_enter(m, account, &names);

	if (result != RESULT_OK)
		return result;
	*inbox = names->inbox;
	names_leave(&names);
	return *inbox != 0 ? RESULT_OK : RESULT_NOT_FOUND;
}

static enum result
enter_inbox(struct mailboxes *m, uint64_t account, struct mailbox **mb)
{
	uint64_t inbox;
	enum result result = inbox_of(m, account, &inbox);

	if (result == RESULT_NOT_FOUND) {
		result = mailboxes_make_defaults(m, account);
		if (result == RESULT_OK)
			result = inbox_of(m, account, &inbox);
	}
	return result == RESULT_OK ? mailbox_enter_any(m, inbox, mb) : result;
}

static enum result
deliver(struct mailbox *mb, const struct delivery *d, ticket_t *ticket)
{
	struct row row = {
		.uid = mb->table.uidnext, .size = (uint32_t)d->size,
		.internal_date = d->arrived / 1000000,
		.save_date = clock_wall_seconds(),
		.body = d->body, .thread = d->thread,
	};
	struct change change = {
		.kind = CHANGE_ADD, .rows = &row, .row_count = 1, .total = 1,
	};
	struct key key = key_token(MAILBOX_DELIVERED, &d->queue);
	struct key holder = message_holder(mailbox_id(mb), row.uid);
	struct batch *b;
	struct text t = TEXT_INIT(64);
	enum result result;

	if (d->size > UINT32_MAX || row.uid == UINT32_MAX)
		return RESULT_LIMIT;
	b = mailbox_batch(mb);
	number_encode(&t, (uint64_t)row.save_date);
	batch_put(b, key_span(&key), text_span(&t));
	batch_link(b, d->body, key_span(&holder));
	result = mailbox_make(mb, b, &change, 1, ticket);
	batch_free(&b);
	text_free(&t);
	if (result == RESULT_OK)
		mailbox_delivery_note(mb, &d->queue);
	return result;
}

/* Unless it is there already. */
static enum result
deliver_once(struct mailbox *mb, const struct delivery *d, ticket_t *ticket)
{
	enum result result;

	if (mb->delivered != NULL &&
	    map_get(mb->delivered, key_of(&d->queue)) != NULL) {
		*ticket = mb->structural;
		return RESULT_OK;
	}
	result = quota_room(mb->owner->store, mb->table.account, d->size, 1,
	    true);
	return result == RESULT_OK ? deliver(mb, d, ticket) : result;
}

enum result
mailbox_deliver(struct mailboxes *m, uint64_t account,
    const struct delivery *d, ticket_t *ticket)
{
	struct mailbox *mb;
	enum result result = enter_inbox(m, account, &mb);

	*ticket = 0;
	if (result != RESULT_OK)
		return result;
	result = deliver_once(mb, d, ticket);
	mailbox_leave(&mb);
	return result;
}

void
mailbox_delivery_done(struct mailboxes *m, uint64_t account,
    const struct token *queue)
{
	struct mailbox *mb;
	uint64_t inbox;

	/* What cannot be noted now is found by its age later. */
	if (inbox_of(m, account, &inbox) != RESULT_OK ||
	    mailbox_enter_any(m, inbox, &mb) != RESULT_OK)
		return;
	if (mb->delivered != NULL &&
	    map_get(mb->delivered, key_of(queue)) != NULL)
		mailbox_delivery_over(mb, queue);
	mailbox_leave(&mb);
}

/*
 * pop3_maildrop.c - the maildrop as one session sees it: locked and read at
 * login, changed at QUIT, and only there.
 */
#include "base/log.h"
#include "base/text.h"
#include "edge/login.h"
#include "pop3/pop3_impl.h"

void
pop3_ahead_drop(struct pop3 *p)
{
	if (p->ahead.valid)
		blob_release(&p->ahead.blob);
	p->ahead = (struct ahead){ 0 };
}

void
pop3_maildrop_close(struct pop3 *p)
{
	struct maildrop_unlock_request request = {
		.grant = p->grant, .token = p->lock,
	};
	struct maildrop_unlock_reply reply;

	pop3_ahead_drop(p);
	/* Unheard, the lock ends with our link to the store. */
	if (p->locked && call_maildrop_unlock(pop3_store(), p->arena,
	    &request, &reply) == 1)
		p->locked = false;
}

static enum result
maildrop_read(struct pop3 *p)
{
	struct mailbox_open_request request = {
		.grant = p->grant, .mailbox = p->inbox,
	};
	struct mailbox_open_reply reply;
	struct message_row row;
	struct cursor rows;
	size_t room;

	if (call_mailbox_open(pop3_store(), p->arena, &request,
	    &reply) != 1)
		return RESULT_TEMPORARY;
	if (reply.result != RESULT_OK)
		return reply.result;
	rows = (struct cursor){ .rest = reply.rows.bytes };
	room = rows.rest.n / 32;		/* a row's bytes on the wire */
	p->items = xcalloc(room + 1, sizeof(*p->items));
	p->uidvalidity = reply.uidvalidity;
	while (p->count < room && message_row_get(&rows, &row) == 1)
		p->items[p->count++] = (struct item){
			.uid = row.uid, .size = row.size };
	blob_release(&reply.rows);
	return rows.bad || rows.rest.n > 0 ? RESULT_TEMPORARY : RESULT_OK;
}

/* Logged in: lock the maildrop and take its snapshot (RFC 1939 section 4). */
void
pop3_maildrop_enter(struct pop3 *p, const struct login *login)
{
	struct maildrop_lock_request request = { .grant = login->grant };
	struct maildrop_lock_reply reply;

	p->grant = login->grant;
	p->lock = token_new();
	request.token = p->lock;
	if (call_maildrop_lock(pop3_store(), p->arena, &request,
	    &reply) != 1)
		reply.result = RESULT_TEMPORARY;
	switch (reply.result) {
	case RESULT_OK:
		break;
	case RESULT_LOCKED:
		pop3_err(p, "[IN-USE] Another session has this maildrop open");
		return;
	case RESULT_LIMIT:
		stream_printf(p->stream,
		    "-ERR [LOGIN-DELAY] Please wait %" PRIu32 " seconds\r\n",
		    reply.wait_seconds);
		return;
	default:
		pop3_refuse(p, reply.result);
		return;
	}
	p->locked = true;
	p->inbox = reply.inbox;
	reply.result = maildrop_read(p);
	if (reply.result != RESULT_OK) {
		pop3_maildrop_close(p);
		pop3_refuse(p, reply.result);
		return;
	}
	p->state = POP3_TRANSACTION;
	p->failures = 0;
	log_event(LOG_LEVEL_INFO, "pop3.login",
	    log_str("session", session_id(p->session)),
	    log_str("account", login->address),
	    log_str("peer", session_peer(p->session)->address),
	    log_text("tls", stream_tls_info(p->stream)),
	    log_int("messages", p->count));
	stream_printf(p->stream, "+OK %s has %" PRIu32 " messages\r\n",
	    login->address, p->count);
}

/* The message a command names; NULL: answered. */
struct item *
pop3_item(struct pop3 *p, const struct pop3_command *c)
{
	if (c->number > p->count) {
		pop3_mistake(p, "There is no such message");
		return NULL;
	}
	if (p->items[c->number - 1].deleted) {
		pop3_mistake(p, "This message is marked as deleted");
		return NULL;
	}
	return &p->items[c->number - 1];
}

/* The uids of the marked, as ranges; neighbours in the table join. */
static void
collect(const struct pop3 *p, bool deleted, struct text *out)
{
	struct uid_range range = { 0 };

	for (uint32_t i = 0; i <= p->count; i++) {
		const struct item *item = &p->items[i];
		bool marked = i < p->count && (deleted ? item->deleted :
		    item->fetched && !item->deleted);

		if (marked && range.first == 0)
			range.first = item->uid;
		if (marked)
			range.last = item->uid;
		else if (range.first != 0) {
			uid_range_put(out, &range);
			range.first = 0;
		}
	}
}

/* What was fetched is no longer new to IMAP. Best effort. */
static void
mark_seen(struct pop3 *p)
{
	struct text uids = TEXT_INIT(0);
	struct message_store_request request = {
		.grant = p->grant, .mailbox = p->inbox, .mode = STORE_ADD,
		.flags = FLAG_SEEN, .unchanged_since = UINT64_MAX,
		.since = UINT64_MAX,
	};
	struct message_store_reply reply;

	if (pop3_settings()->pop3_mark_seen)
		collect(p, false, &uids);
	request.uids = BLOB_OF(text_span(&uids));
	if (uids.n > 0 && call_message_store(pop3_store(), p->arena,
	    &request, &reply) == 1) {
		blob_release(&reply.modified);
		blob_release(&reply.rows);
		blob_release(&reply.vanished);
	}
	text_free(&uids);
}

static enum result
delete_marked(struct pop3 *p, const struct text *uids)
{
	struct message_expunge_request request = {
		.grant = p->grant, .mailbox = p->inbox,
		.uids = BLOB_OF(text_span(uids)), .since = UINT64_MAX,
	};
	struct message_expunge_reply reply;

	if (call_message_expunge(pop3_store(), p->arena, &request,
	    &reply) != 1)
		return RESULT_TEMPORARY;
	blob_release(&reply.rows);
	blob_release(&reply.vanished);
	return reply.result;
}

/* UPDATE (RFC 1939 section 6): +OK means the deletions are on disk. */
void
pop3_quit(struct pop3 *p, const struct pop3_command *c)
{
	struct text uids = TEXT_INIT(0);
	enum result result = RESULT_OK;

	(void)c;
	p->closing = true;
	if (p->state == POP3_TRANSACTION) {
		mark_seen(p);
		collect(p, true, &uids);
		if (uids.n > 0)
			result = delete_marked(p, &uids);
		pop3_maildrop_close(p);
	}
	text_free(&uids);
	if (result == RESULT_OK)
		pop3_ok(p, "Goodbye");
	else
		pop3_err(p, "[SYS/TEMP] Some messages were not deleted");
}

/*
 * url.c - the message that an IMAP URL names, for BURL (RFC 4468).
 */
#include "store/mailboxes.h"
#include "store/verbs.h"

/* The mailbox of that name, if its UIDVALIDITY is the one that is meant. */
static enum result
find_mailbox(struct store *store, const struct url_fetch_request *req,
    struct arena *arena, uint64_t *mailbox)
{
	const struct listed *listed = NULL;
	struct names *names;
	struct span name;
	uint64_t account;
	enum result result = grant_account(store, &req->grant, &account);

	if (result != RESULT_OK)
		return result;
	if (names_normal(req->mailbox, arena, &name) != 1)
		return RESULT_NOT_FOUND;
	result = names_enter(store->mailboxes, account, &names);
	if (result != RESULT_OK)
		return result;
	listed = names_find(names, name);
	if (listed == NULL || listed->mailbox == 0 ||
	    (req->uidvalidity != 0 && listed->uidvalidity != req->uidvalidity))
		result = RESULT_NOT_FOUND;
	else
		*mailbox = listed->mailbox;
	names_leave(&names);
	return result;
}

void
verb_url_fetch(void *arg, const struct caller *caller, struct arena *arena,
    const struct url_fetch_request *req, struct url_fetch_reply *reply)
{
	struct message_body_request body = { .grant = req->grant,
	    .uid = req->uid, .count = UINT64_MAX };
	struct message_body_reply found = { .data = BLOB_OF(SPAN_EMPTY) };

	reply->result = find_mailbox(arg, req, arena, &body.mailbox);
	if (reply->result != RESULT_OK)
		return;
	verb_message_body(arg, caller, arena, &body, &found);
	reply->result = found.result;
	reply->data = found.data;
}

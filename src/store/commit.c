/*
 * commit.c - the verbs with which the edge brings mail.
 *
 * The edge proves nothing by saying it: whose the sender's address is and
 * whether we serve the recipients is found out again here. What came from
 * outside (mx) reaches accounts of ours and nobody else.
 */
#include "base/clock.h"
#include "base/secret.h"
#include "ipc/wire.h"
#include "mail/address.h"
#include "store/directory.h"
#include "store/queue.h"
#include "store/verbs.h"

enum {
	HEADERS_ROOM = 128 << 10,	/* what the edge adds to a message */
	SENDER_MAX = 320,
};

void
verb_recipient_check(void *arg, const struct caller *caller,
    struct arena *arena, const struct recipient_check_request *req,
    struct recipient_check_reply *reply)
{
	struct store *store = arg;
	uint64_t *accounts;
	size_t count;

	(void)caller;
	reply->result = directory_resolve(store->directory, req->address,
	    arena, &accounts, &count);
}

/* The null sender is anybody's: notifications have it (RFC 5321 4.5.5). */
static enum result
sender_fits(struct store *store, const struct holder *holder,
    struct span sender, struct arena *arena)
{
	enum result result;

	if (sender.n == 0)
		return RESULT_OK;
	result = directory_owns(store->directory, holder->account, sender,
	    arena);
	return result == RESULT_NOT_FOUND || result == RESULT_NOT_LOCAL
	    ? RESULT_DENIED : result;
}

void
verb_sender_check(void *arg, const struct caller *caller,
    struct arena *arena, const struct sender_check_request *req,
    struct sender_check_reply *reply)
{
	struct store *store = arg;
	struct holder holder;

	(void)caller;
	reply->result = grant_check(store, &req->grant, &holder) == 1
	    ? sender_fits(store, &holder, req->address, arena)
	    : RESULT_DENIED;
}

static enum result
check_sender(struct store *store, const struct caller *caller,
    struct arena *arena, const struct queue_commit_request *req,
    uint64_t *account)
{
	struct address address;
	struct holder holder;

	*account = 0;
	if (req->sender.n > 0 && (req->sender.n > SENDER_MAX ||
	    address_mailbox(req->sender, ADDRESS_ALLOW_UTF8, arena,
	    &address) != 1))
		return RESULT_INVALID;
	if (caller->role == MX)
		return RESULT_OK;
	if (grant_check(store, &req->grant, &holder) != 1)
		return RESULT_DENIED;
	*account = holder.account;
	return sender_fits(store, &holder, req->sender, arena);
}

/* An address may stand for very many: no more than one's are held. */
static enum result
resolve(struct store *store, struct span address)
{
	struct arena *work = arena_new(1 << 20);
	uint64_t *accounts;
	size_t count;
	enum result result = directory_resolve(store->directory, address,
	    work, &accounts, &count);

	arena_free(&work);
	return result;
}

/* All must be served here, and somebody must be there. */
static enum result
read_recipients(struct store *store, struct span records,
    struct arena *arena, struct envelope *e)
{
	struct cursor c = { records, false };
	struct recipient one;
	size_t room = 0, found = 0;
	int rc;

	while ((rc = recipient_get(&c, &one)) == 1) {
		enum result result = resolve(store, one.address);

		if (result != RESULT_OK && result != RESULT_NOT_FOUND)
			return result;
		found += result == RESULT_OK;
		if (e->count == room) {
			size_t more = MAX(room * 2, 8);

			e->recipients = arena_grow(arena, e->recipients,
			    room * sizeof(*e->recipients),
			    more * sizeof(*e->recipients));
			room = more;
		}
		if (e->recipients == NULL ||
		    e->count == ENVELOPE_RECIPIENTS_MAX)
			return RESULT_LIMIT;
		e->recipients[e->count++] = (struct envelope_recipient){
		    .address = one.address };
	}
	if (rc == -1 || e->count == 0)
		return RESULT_INVALID;
	return found > 0 ? RESULT_OK : RESULT_NOT_FOUND;
}

static enum result
build_envelope(struct store *store, const struct caller *caller,
    struct arena *arena, const struct queue_commit_request *req,
    struct envelope *e)
{
	uint64_t max = store_settings(store)->smtp_max_size + HEADERS_ROOM;
	struct body_id body = body_id_new();
	enum result result;

	*e = (struct envelope){
		.token = req->token,
		.arrived = clock_wall(),
		.next_attempt = clock_wall_seconds(),
		.size = req->body.bytes.n,
		.prefix = req->prefix,
		.flags = req->flags & ~(uint32_t)ENVELOPE_STORE_SAYS,
		.thread = req->thread,
		.state = ENVELOPE_ACTIVE,
		.sender = req->sender,
		.message_id = req->message_id,
		.trace = req->trace,
	};
	if (req->prefix > e->size)
		return RESULT_INVALID;
	if (e->size > max)
		return RESULT_LIMIT;
	memcpy(e->body.b, body.b, sizeof(e->body.b));
	result = check_sender(store, caller, arena, req, &e->account);
	if (e->account != 0)
		e->flags |= ENVELOPE_AUTHENTICATED;
	if (result == RESULT_OK)
		result = read_recipients(store, req->recipients.bytes, arena,
		    e);
	return result;
}

/*
 * RFC 5321 4.2.5: after this answer the message is ours. It goes out when
 * the batch that holds the whole message is on disk.
 */
void
verb_queue_commit(void *arg, const struct caller *caller,
    struct arena *arena, const struct queue_commit_request *req,
    struct queue_commit_reply *reply)
{
	struct store *store = arg;
	char id[QUEUE_ID_CHARS + 1];
	struct envelope envelope;
	struct submission s = { .envelope = &envelope,
	    .head = req->body.bytes, .summary = req->summary.bytes };
	ticket_t ticket = 0;

	reply->result = build_envelope(store, caller, arena, req, &envelope);
	if (reply->result != RESULT_OK)
		return;
	reply->result = queue_accept(store->queue, &s, &ticket);
	if (reply->result != RESULT_OK && reply->result != RESULT_EXISTS)
		return;
	reply->result = RESULT_OK;
	queue_id_of(&req->token, id);
	reply->queue_id = arena_dup(arena, span_str(id));
	if (!serve_after(ticket) && engine_sync(store->engine, ticket) != 1)
		reply->result = RESULT_TEMPORARY;
}

/*
 * commit.c - the verbs with which the edge brings mail.
 *
 * The edge proves nothing by saying it: whose the sender's address is, and
 * where the recipients are, is found out again here. What came from outside
 * (mx) reaches accounts of ours, the domains we are backup MX of, and nobody
 * else; who holds a grant writes to anybody.
 *
 * Recipients in several places become one envelope for each: those that are
 * here; and those of each domain outside, by the route that they take.
 */
#include "base/clock.h"
#include "base/map.h"
#include "base/secret.h"
#include "ipc/wire.h"
#include "mail/address.h"
#include "store/directory.h"
#include "store/limit.h"
#include "store/mailboxes.h"
#include "store/queue.h"
#include "store/quota.h"
#include "store/suppress.h"
#include "store/turn.h"
#include "store/verbs.h"

enum {
	HEADERS_ROOM = 128 << 10,	/* what the edge adds to a message */
	SENDER_MAX = 320,
};

/* -- where a recipient is -------------------------------------------------- */

struct asking {
	struct store *store;
	struct span sender;
	uint64_t account;		/* whose grant it is; 0: a stranger */
};

struct answer {
	enum result result;		/* OK: here; NOT_LOCAL: outside */
	struct span domain;		/* outside: canonical */
	bool restricted, rewritten;	/* depends on who asks */
	uint64_t account;		/* that is all it leads to; or 0 */
	struct span why;
};

/* SRS addresses are read back for notifications alone. */
static bool
is_rewritten(struct span address)
{
	return span_starts_nocase(address, SPAN("SRS0")) ||
	    span_starts_nocase(address, SPAN("SRS1"));
}

static struct answer
look_up(const struct asking *ask, struct span address, struct arena *arena)
{
	struct directory *d = ask->store->directory;
	struct answer a = { .rewritten = is_rewritten(address) };
	struct expansion x = { 0 };
	struct address parsed;

	a.result = directory_expand(d, address, ask->sender, arena, &x);
	a.why = x.why;
	a.restricted = x.restricted;
	if (x.account_count == 1 && x.outside_count == 0)
		a.account = x.accounts[0];
	if (a.result == RESULT_OK && x.restricted) {
		a.result = directory_may_write(d, address, ask->sender,
		    ask->account, arena);
		if (a.result == RESULT_DENIED)
			a.why = SPAN(DIRECTORY_NOT_FOR_SENDER);
	}
	if (a.result != RESULT_NOT_LOCAL)
		return a;
	if (address_mailbox(address, ADDRESS_ALLOW_UTF8, arena, &parsed) != 1)
		a.result = RESULT_INVALID;
	else
		a.domain = parsed.domain;
	return a;
}

/* May mail of theirs go to an address outside? */
static bool
may_relay(const struct asking *ask, struct span domain)
{
	return ask->account != 0 ||
	    backup_domain(store_settings(ask->store), domain);
}

/* Who has no grant of ours is a stranger; a grant that does not hold: no. */
static bool
who_asks(struct store *store, const struct grant *grant, uint64_t *account)
{
	static const struct grant none;
	struct holder holder;

	*account = 0;
	if (secret_equal(span_of(grant, sizeof(*grant)),
	    span_of(&none, sizeof(none))))
		return true;
	if (grant_check(store, grant, &holder) != 1)
		return false;
	*account = holder.account;
	return true;
}

/*
 * Somebody who has no room is not to be sent to; or not so much. Only where
 * there is room for anything does the answer hold for others too.
 */
static void
check_room(const struct asking *ask, const struct answer *a, uint64_t size,
    struct recipient_check_reply *reply)
{
	if (quota_is_far(ask->store, a->account,
	    store_settings(ask->store)->smtp_max_size))
		return;
	reply->same_for_all = false;
	if (quota_room(ask->store, a->account, size, 1, true) !=
	    RESULT_OVERQUOTA)
		return;
	reply->result = RESULT_OVERQUOTA;
	reply->why = span_str(quota_text(store_settings(ask->store)));
}

void
verb_recipient_check(void *arg, const struct caller *caller,
    struct arena *arena, const struct recipient_check_request *req,
    struct recipient_check_reply *reply)
{
	struct asking ask = { .store = arg, .sender = req->sender };
	struct answer a;

	(void)caller;
	if (!who_asks(arg, &req->grant, &ask.account)) {
		reply->result = RESULT_DENIED;
		return;
	}
	a = look_up(&ask, req->address, arena);
	reply->result = a.result;
	reply->why = a.why;
	reply->same_for_all = !a.restricted && !a.rewritten;
	if (a.result == RESULT_OK && a.account != 0)
		check_room(&ask, &a, req->size, reply);
	if (a.result != RESULT_NOT_LOCAL || !may_relay(&ask, a.domain))
		return;
	reply->result = RESULT_OK;
	if (ask.account == 0)
		return;
	reply->same_for_all = false;
	if (suppress_find(arg, req->address, arena, &reply->why) == 1)
		reply->result = RESULT_DENIED;
}

/* -- who sends ------------------------------------------------------------- */

/* RIGHT_POST on somebody's INBOX is the right to write in their name. */
static bool
may_send_as(struct store *store, uint64_t account, struct span sender,
    struct arena *arena)
{
	uint64_t *owners;
	size_t n;

	if (directory_owners(store->directory, sender, arena, &owners, &n) !=
	    RESULT_OK)
		return false;
	for (size_t i = 0; i < n; i++)
		if (access_may_post(store->mailboxes, account, owners[i]))
			return true;
	return false;
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
	if (result == RESULT_DENIED && may_send_as(store, holder->account,
	    sender, arena))
		return RESULT_OK;
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

/* -- envelopes ------------------------------------------------------------- */

/* A message being taken apart. */
struct parting {
	struct asking ask;
	struct queue *queue;
	struct arena *arena;
	struct envelope whole;		/* what its parts have in common */
	struct envelope **parts;
	size_t *rooms;			/* for recipients, in each of them */
	size_t count, room, outside;
	struct map *by_place;
	bool found;			/* somebody is there */
};

static struct span
place_of(struct parting *p, struct span address, struct span domain)
{
	struct text place = TEXT_INIT(2 * QUEUE_DESTINATION_MAX);
	struct span out;

	text_add(&place, domain);
	text_char(&place, ' ');
	if (domain.n > 0)
		queue_destination(p->queue, p->ask.sender, address, domain,
		    &place);
	out = arena_dup(p->arena, text_span(&place));
	text_free(&place);
	return out;
}

static bool
part_room(struct parting *p)
{
	size_t more = MAX(p->room * 2, 8);
	void *parts, *rooms;

	if (p->count < p->room)
		return true;
	parts = arena_grow(p->arena, p->parts, p->room *
	    sizeof(struct envelope *), more * sizeof(struct envelope *));
	rooms = arena_grow(p->arena, p->rooms, p->room *
	    sizeof(p->rooms[0]), more * sizeof(p->rooms[0]));
	if (parts == NULL || rooms == NULL)
		return false;
	p->parts = parts;
	p->rooms = rooms;
	p->room = more;
	return true;
}

/* The part for a place, made when it is the first one there. 0: none. */
static size_t
part_at(struct parting *p, struct span place, struct span domain)
{
	size_t at = (size_t)(uintptr_t)map_get(p->by_place, place);
	struct envelope *e;

	if (at > 0 || p->count == QUEUE_PARTS)
		return at;
	e = arena_alloc(p->arena, sizeof(*e));
	if (e == NULL || !part_room(p))
		return 0;
	*e = p->whole;
	e->domain = domain;
	e->token = queue_part(&p->whole.token, p->count);
	if (domain.n > 0 && p->ask.account == 0)
		e->priority = MIN(e->priority, 0);
	p->rooms[p->count] = 0;
	p->parts[p->count++] = e;
	map_put(p->by_place, place, (void *)(uintptr_t)p->count);
	return p->count;
}

static enum result
part_add(struct parting *p, size_t at, const struct recipient *r)
{
	struct envelope *e = p->parts[at - 1];
	size_t *room = &p->rooms[at - 1];

	if (e->count == *room) {
		size_t more = MAX(*room * 2, 4);

		e->recipients = arena_grow(p->arena, e->recipients,
		    *room * sizeof(*e->recipients),
		    more * sizeof(*e->recipients));
		*room = more;
	}
	if (e->recipients == NULL || e->count == ENVELOPE_RECIPIENTS_MAX)
		return RESULT_LIMIT;
	e->recipients[e->count++] = (struct envelope_recipient){
	    .address = r->address, .original = r->original,
	    .notify = r->notify };
	p->outside += e->domain.n > 0;
	return RESULT_OK;
}

/* An address may stand for very many: no more than one's are held. */
static enum result
part_recipient(struct parting *p, const struct recipient *r,
    struct arena *work)
{
	struct answer a;
	struct span domain;
	size_t at;

	arena_reset(work);
	a = look_up(&p->ask, r->address, work);
	if (a.result == RESULT_NOT_LOCAL && may_relay(&p->ask, a.domain))
		a.result = RESULT_OK;
	if (a.result != RESULT_OK && a.result != RESULT_NOT_FOUND)
		return a.result;
	p->found = p->found || a.result == RESULT_OK;
	domain = arena_dup(p->arena, a.domain);
	at = part_at(p, place_of(p, r->address, domain), domain);
	return at == 0 ? RESULT_LIMIT : part_add(p, at, r);
}

/* All may be written to, and somebody must be there. */
static enum result
part_recipients(struct parting *p, struct span records)
{
	struct arena *work = arena_new(1 << 20);
	struct cursor c = { records, false };
	enum result result = RESULT_OK;
	struct recipient one;
	int rc = 1;

	while (result == RESULT_OK && (rc = recipient_get(&c, &one)) == 1)
		result = part_recipient(p, &one, work);
	arena_free(&work);
	if (result != RESULT_OK)
		return result;
	if (rc == -1 || p->count == 0)
		return RESULT_INVALID;
	return p->found ? RESULT_OK : RESULT_NOT_FOUND;
}

/* Beyond what an account may send, it is kept until the operator says so. */
static void
hold_beyond_limit(struct parting *p)
{
	if (p->ask.account == 0 ||
	    limit_take(p->ask.store, p->ask.account, p->outside))
		return;
	for (size_t i = 0; i < p->count; i++) {
		p->parts[i]->state = ENVELOPE_HELD;
		p->parts[i]->reason = SPAN(LIMIT_REASON);
		p->parts[i]->next_attempt = QUEUE_NEVER;
	}
}

static enum result
build_envelopes(const struct caller *caller,
    const struct queue_commit_request *req, struct parting *p)
{
	struct store *store = p->ask.store;
	uint64_t max = store_settings(store)->smtp_max_size + HEADERS_ROOM;
	struct body_id body = body_id_new();
	int64_t now = clock_wall_seconds();
	enum result result;

	p->whole = (struct envelope){
		.token = req->token,
		.arrived = clock_wall(),
		.next_attempt = MAX(now, req->release_at),
		.release_at = req->release_at,
		.size = req->body.bytes.n,
		.prefix = req->prefix,
		.flags = req->flags & ~(uint32_t)ENVELOPE_STORE_SAYS,
		.thread = req->thread,
		.priority = req->priority,
		.deliver_by = req->deliver_by,
		.state = ENVELOPE_ACTIVE,
		.envid = req->envid,
		.sender = req->sender,
		.message_id = req->message_id,
		.trace = req->trace,
		.delivered_to = req->delivered_to,
	};
	if (req->prefix > p->whole.size || req->priority < -9 ||
	    req->priority > 9 || req->deliver_by < 0 ||
	    req->release_at < 0 || (req->release_at > 0 && caller->role == MX))
		return RESULT_INVALID;
	if (p->whole.size > max)
		return RESULT_LIMIT;
	memcpy(p->whole.body.b, body.b, sizeof(p->whole.body.b));
	result = check_sender(store, caller, p->arena, req, &p->ask.account);
	p->whole.account = p->ask.account;
	if (p->ask.account != 0)
		p->whole.flags |= ENVELOPE_AUTHENTICATED;
	if (result == RESULT_OK)
		result = part_recipients(p, req->recipients.bytes);
	if (result == RESULT_OK)
		hold_beyond_limit(p);
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
	struct parting *p = arena_zalloc(arena, sizeof(*p));
	struct submission s = { .head = req->body.bytes,
	    .summary = req->summary.bytes };
	ticket_t ticket = 0;

	if (p == NULL) {
		reply->result = RESULT_LIMIT;
		return;
	}
	p->ask = (struct asking){ .store = store, .sender = req->sender };
	p->queue = store->queue;
	p->arena = arena;
	p->by_place = map_new();
	reply->result = build_envelopes(caller, req, p);
	map_free(&p->by_place);
	if (reply->result != RESULT_OK)
		return;
	s.envelopes = p->parts;
	s.count = p->count;
	reply->result = queue_accept(store->queue, &s, &ticket);
	if (reply->result != RESULT_OK && reply->result != RESULT_EXISTS)
		return;
	reply->result = RESULT_OK;
	queue_id_of(&req->token, id);
	reply->queue_id = arena_dup(arena, span_str(id));
	if (!serve_after(ticket) && engine_sync(store->engine, ticket) != 1)
		reply->result = RESULT_TEMPORARY;
}

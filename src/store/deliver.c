/*
 * deliver.c - from the queue into the mailboxes.
 *
 * A delivery thread takes a group of envelopes, delivers each to the
 * accounts behind its recipients, and ends the group with two batches: what
 * happened, into the trace; then, into the queue, the envelopes that are
 * finished, changed or new (notifications). Nothing waits for the disk:
 * durability is a prefix, so after a crash either all of this stands or the
 * envelope does, and it is delivered again; mailbox_deliver() makes sure that
 * this happens once. The marker it needs for that goes when the envelope has.
 *
 * What becomes of a recipient:
 *	done		in the mailboxes of all its accounts;
 *	waiting		a temporary failure: the envelope is tried again;
 *	failed		nobody is there any more, or queue.lifetime is over.
 * Of a failure the sender is told when they have a mailbox here. Otherwise,
 * and for mail from the null sender, the envelope is held: it stays, it is
 * tried again once a day and when an account or alias is added, and the
 * operator sees why.
 */
#include "store/queue.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "queue/bounce.h"
#include "store/trace.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	HELD_RETRY = 86400,		/* seconds */
	GROUP_MEMORY = 64 << 20,
	BOUNCE_MAX = 4 << 20,
};

/* What became of an envelope in this attempt. */
enum outcome { OUTCOME_SKIPPED, OUTCOME_ENDED, OUTCOME_LATER };

struct work {
	struct queue_entry *entry;
	struct envelope envelope;
	enum outcome outcome;
	uint64_t *accounts;		/* delivered to in this attempt */
	size_t count;
	struct text rows;		/* steps of this attempt */
};

/* A notification made on the way, and its place in the queue. */
struct notice {
	struct notice *next;
	struct token token;
	struct span record;
};

struct group {
	struct queue *queue;
	struct store *store;
	struct arena *arena;
	struct work works[QUEUE_GROUP];
	size_t count;
	struct batch *batch;		/* of the queue */
	struct notice *notices;
	struct queue_counts counts;
	walltime_t now;
	bool crowded;			/* too much for one group's memory */
};

/* -- one recipient --------------------------------------------------------- */

static const char *
failure_text(enum result result)
{
	switch (result) {
	case RESULT_NOT_FOUND:
		return "5.1.1 no such account";
	case RESULT_NOT_LOCAL:
		return "5.1.2 the domain is not served here";
	case RESULT_INVALID:
		return "5.1.3 not an address";
	case RESULT_FULL:
		return "4.3.1 the disk is full";
	case RESULT_DAMAGED:
		return "4.3.0 the mailbox is damaged";
	case RESULT_LIMIT:
		return "4.2.2 the mailbox is full";
	default:
		return "4.3.0 a temporary failure";
	}
}

static bool
is_permanent(enum result result)
{
	return result == RESULT_NOT_FOUND || result == RESULT_NOT_LOCAL ||
	    result == RESULT_INVALID;
}

static bool
was_delivered(const struct work *w, uint64_t account)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->accounts[i] == account)
			return true;
	return false;
}

static bool
note_delivered(struct group *g, struct work *w, uint64_t account)
{
	uint64_t *grown = arena_grow(g->arena, w->accounts,
	    w->count * sizeof(*grown), (w->count + 1) * sizeof(*grown));

	if (grown == NULL)
		return false;
	w->accounts = grown;
	w->accounts[w->count++] = account;
	return true;
}

/* Into INBOX; once for an account, by however many names it is reached. */
static enum result
deliver_account(struct group *g, struct work *w, uint64_t account)
{
	const struct envelope *e = &w->envelope;
	struct delivery delivery = { .queue = e->token, .size = e->size,
	    .thread = e->thread, .arrived = e->arrived };
	ticket_t ticket;
	enum result result;

	if (was_delivered(w, account))
		return RESULT_OK;
	memcpy(delivery.body.b, e->body.b, sizeof(delivery.body.b));
	result = mailbox_deliver(g->store->mailboxes, account, &delivery,
	    &ticket);
	if (result == RESULT_OK && !note_delivered(g, w, account))
		return RESULT_TEMPORARY;
	/* An account that went meanwhile is nobody. */
	return result;
}

static void
deliver_recipient(struct group *g, struct work *w,
    struct envelope_recipient *r)
{
	uint64_t *accounts;
	size_t count;
	enum result result = directory_resolve(g->store->directory,
	    r->address, g->arena, &accounts, &count);

	for (size_t i = 0; result == RESULT_OK && i < count; i++)
		result = deliver_account(g, w, accounts[i]);
	if (result == RESULT_OK) {
		r->state = RECIPIENT_DONE;
		r->reason = SPAN_EMPTY;
		trace_step(&w->rows, &w->envelope.token, g->now, "delivered",
		    "to=<%.*s>", SPAN_ARG(r->address));
		return;
	}
	r->reason = span_str(failure_text(result));
	r->state = is_permanent(result) ? RECIPIENT_FAILED
	    : RECIPIENT_WAITING;
	trace_step(&w->rows, &w->envelope.token, g->now,
	    is_permanent(result) ? "failed" : "deferred",
	    "to=<%.*s> reason=%.*s", SPAN_ARG(r->address),
	    SPAN_ARG(r->reason));
}

static size_t
count_recipients(const struct envelope *e, enum recipient_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < e->count; i++)
		n += e->recipients[i].state == state;
	return n;
}

/* -- telling the sender ---------------------------------------------------- */

/* Has the sender a mailbox here? */
static bool
sender_is_here(struct group *g, const struct envelope *e)
{
	uint64_t *accounts;
	size_t count;

	return e->sender.n > 0 && directory_resolve(g->store->directory,
	    e->sender, g->arena, &accounts, &count) == RESULT_OK;
}

static struct span
hostname_of(const struct settings *s, char buffer[256])
{
	if (s->hostname[0] != '\0')
		return span_str(s->hostname);
	if (gethostname(buffer, 255) != 0)
		return SPAN("localhost");
	buffer[255] = '\0';
	return span_str(buffer);
}

static struct envelope
notice_envelope(const struct bounce *b, struct span body, uint32_t prefix,
    struct span message_id, struct envelope_recipient *to)
{
	struct body_id body_id = body_id_new();
	struct envelope e = {
		.token = b->token, .arrived = b->now, .size = body.n,
		.prefix = prefix,
		.flags = ENVELOPE_8BITMIME | ENVELOPE_OURS,
		.thread = b->envelope->thread, .state = ENVELOPE_ACTIVE,
		.next_attempt = b->now / 1000000, .message_id = message_id,
		.recipients = to, .count = 1,
	};

	*to = (struct envelope_recipient){ .address = b->envelope->sender };
	memcpy(e.body.b, body_id.b, sizeof(e.body.b));
	return e;
}

/* Into the group's batch. False: not now; the envelope is tried again. */
static bool
put_notice(struct group *g, const struct envelope *e, struct span body)
{
	struct submission s = { .rest = body };
	struct text record = TEXT_INIT(ENVELOPE_RECORD_MAX);
	struct envelope copy = *e;
	struct notice *n = arena_zalloc(g->arena, sizeof(*n));
	int rc = -1;

	/* batch_body() does not copy: the bytes stay in the arena. */
	s.rest = arena_dup(g->arena, body);
	s.envelope = &copy;
	if (n != NULL && s.rest.p != NULL)
		rc = queue_put(g->store, g->batch, &s, &record);
	if (rc == 1) {
		n->token = e->token;
		n->record = arena_dup(g->arena, text_span(&record));
		n->next = g->notices;
		g->notices = n;
	}
	text_free(&record);
	return rc == 1 && n->record.p != NULL;
}

static bool
notify(struct group *g, struct work *w, enum bounce_kind kind)
{
	const struct settings *s = store_settings(g->store);
	struct text header = TEXT_INIT(0), out = TEXT_INIT(BOUNCE_MAX);
	struct text id = TEXT_INIT(0);
	struct envelope_recipient to;
	struct envelope e;
	struct body_id body;
	char host[256];
	uint32_t prefix = 0;
	bool done = false;
	struct bounce b = {
		.kind = kind, .hostname = hostname_of(s, host),
		.now = g->now, .envelope = &w->envelope,
		.retry_until = (w->envelope.arrived / 1000 +
		    s->queue_lifetime) / 1000,
	};

	random_bytes(b.token.b, sizeof(b.token.b));
	memcpy(body.b, w->envelope.body.b, sizeof(body.b));
	if (engine_body_read(g->store->engine, body, w->envelope.prefix,
	    BOUNCE_HEADER_MAX, &header) == 1) {
		b.header = text_span(&header);
		bounce_build(&b, &out, &prefix, &id);
		e = notice_envelope(&b, text_span(&out), prefix,
		    text_span(&id), &to);
		done = !text_full(&out) && put_notice(g, &e, text_span(&out));
	}
	if (done) {
		char name[QUEUE_ID_CHARS + 1];

		queue_id_of(&b.token, name);
		trace_step(&w->rows, &w->envelope.token, g->now,
		    kind == BOUNCE_FAILED ? "returned" : "warned",
		    "to=<%.*s> queue_id=%s", SPAN_ARG(w->envelope.sender),
		    name);
		g->counts.bounced++;
	}
	text_free(&header);
	text_free(&out);
	text_free(&id);
	return done;
}

/* -- one envelope ---------------------------------------------------------- */

static void
expire_recipients(struct group *g, struct work *w)
{
	struct envelope *e = &w->envelope;
	int64_t age = (g->now - e->arrived) / 1000;

	if (e->state == ENVELOPE_HELD ||
	    age < store_settings(g->store)->queue_lifetime)
		return;
	for (size_t i = 0; i < e->count; i++) {
		struct envelope_recipient *r = &e->recipients[i];

		if (r->state != RECIPIENT_WAITING)
			continue;
		r->state = RECIPIENT_FAILED;
		trace_step(&w->rows, &e->token, g->now, "failed",
		    "to=<%.*s> reason=5.4.7 too old, last: %.*s",
		    SPAN_ARG(r->address), SPAN_ARG(r->reason));
		r->reason = SPAN("5.4.7 it could not be delivered in time");
	}
}

static void
settle_failed(struct envelope *e, enum recipient_state state)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == RECIPIENT_FAILED)
			e->recipients[i].state = state;
}

/* Nobody can be told: those who failed wait for better days. */
static void
hold(struct group *g, struct work *w)
{
	struct envelope *e = &w->envelope;

	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == RECIPIENT_FAILED)
			e->reason = e->recipients[i].reason;
	settle_failed(e, RECIPIENT_WAITING);
	if (e->state != ENVELOPE_HELD) {
		trace_step(&w->rows, &e->token, g->now, "held",
		    "reason=%.*s", SPAN_ARG(e->reason));
		g->counts.held++;
	}
	e->state = ENVELOPE_HELD;
	e->next_attempt = g->now / 1000000 + HELD_RETRY;
	w->outcome = OUTCOME_LATER;
}

static void
defer(struct group *g, struct work *w)
{
	const struct settings *s = store_settings(g->store);
	struct envelope *e = &w->envelope;

	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == RECIPIENT_WAITING)
			e->reason = e->recipients[i].reason;
	if (s->queue_delay_warning > 0 && !e->warned &&
	    (g->now - e->arrived) / 1000 >= s->queue_delay_warning &&
	    sender_is_here(g, e))
		e->warned = notify(g, w, BOUNCE_DELAYED);
	e->state = ENVELOPE_DEFERRED;
	e->next_attempt = g->now / 1000000 + schedule_wait(e->attempts,
	    s->queue_retry_first / 1000, s->queue_retry_longest / 1000,
	    (uint32_t)random_u64());
	g->counts.deferred++;
	w->outcome = OUTCOME_LATER;
}

static void
settle_envelope(struct group *g, struct work *w)
{
	struct envelope *e = &w->envelope;

	expire_recipients(g, w);
	if (count_recipients(e, RECIPIENT_FAILED) > 0) {
		if (!sender_is_here(g, e)) {
			hold(g, w);
			return;
		}
		/* Told, they are settled; else they are tried again. */
		settle_failed(e, notify(g, w, BOUNCE_FAILED)
		    ? RECIPIENT_DONE : RECIPIENT_WAITING);
	}
	if (count_recipients(e, RECIPIENT_WAITING) > 0)
		defer(g, w);
	else
		w->outcome = OUTCOME_ENDED;
}

static void
deliver_envelope(struct group *g, struct work *w)
{
	struct envelope *e = &w->envelope;

	w->rows = TEXT_INIT(2 * TRACE_STEPS_MAX);
	if (queue_load(g->queue, w->entry, g->arena, e) != 1) {
		w->outcome = OUTCOME_SKIPPED;
		g->crowded = arena_full(g->arena);
		if (!g->crowded)
			log_event(LOG_LEVEL_ERROR, "queue.unreadable",
			    log_errno());
		return;
	}
	if (e->attempts++ == 0)
		trace_accepted(&w->rows, e);
	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == RECIPIENT_WAITING)
			deliver_recipient(g, w, &e->recipients[i]);
	settle_envelope(g, w);
	if (w->outcome == OUTCOME_ENDED)
		queue_end(g->batch, e);
	else
		queue_update(g->batch, e);
}

/* -- a group --------------------------------------------------------------- */

/* What happened, by the day each message arrived on. 1, -1. */
static int
commit_trace(struct group *g)
{
	struct batch *batch = NULL;
	struct partition day = { 0 };
	int rc = 1;

	for (size_t i = 0; rc == 1 && i < g->count; i++) {
		struct work *w = &g->works[i];
		struct partition own = trace_partition(w->envelope.arrived);

		if (w->outcome == OUTCOME_SKIPPED)
			continue;
		if (batch != NULL && own.id != day.id) {
			rc = engine_commit(g->store->engine, batch, NULL);
			batch_free(&batch);
		}
		if (batch == NULL)
			batch = batch_new(own);
		day = own;
		trace_put(batch, &w->envelope, w->envelope.attempts,
		    text_span(&w->rows));
	}
	if (rc == 1 && batch != NULL)
		rc = engine_commit(g->store->engine, batch, NULL);
	batch_free(&batch);
	return rc;
}

static void
log_work(const struct work *w)
{
	const struct envelope *e = &w->envelope;
	char id[QUEUE_ID_CHARS + 1];

	queue_id_of(&e->token, id);
	if (w->outcome == OUTCOME_ENDED)
		log_event(LOG_LEVEL_INFO, "queue.finished",
		    log_str("queue_id", id),
		    log_int("accounts", (int64_t)w->count),
		    log_int("ms", (clock_wall() - e->arrived) / 1000));
	else
		log_event(LOG_LEVEL_WARNING, e->state == ENVELOPE_HELD
		    ? "queue.held" : "queue.deferred",
		    log_str("queue_id", id), log_text("reason", e->reason),
		    log_int("attempts", e->attempts));
}

/* Markers of earlier attempts too: their accounts are found once more. */
static void
forget_markers(struct group *g, struct work *w)
{
	const struct envelope *e = &w->envelope;
	struct arena *arena = e->attempts > 1 ? arena_new(1 << 20) : NULL;
	uint64_t *accounts;
	size_t count;

	for (size_t i = 0; i < w->count; i++)
		mailbox_delivery_done(g->store->mailboxes, w->accounts[i],
		    &e->token);
	for (size_t i = 0; arena != NULL && i < e->count; i++) {
		arena_reset(arena);
		if (directory_resolve(g->store->directory,
		    e->recipients[i].address, arena, &accounts, &count) !=
		    RESULT_OK)
			continue;
		for (size_t a = 0; a < count; a++)
			if (!was_delivered(w, accounts[a]))
				mailbox_delivery_done(g->store->mailboxes,
				    accounts[a], &e->token);
	}
	arena_free(&arena);
}

/* The group's batches are applied: entries follow what stands on disk. */
static void
group_applied(struct group *g)
{
	for (struct notice *n = g->notices; n != NULL; n = n->next)
		queue_add(g->queue, &n->token, n->record);
	for (size_t i = 0; i < g->count; i++) {
		struct work *w = &g->works[i];

		if (w->outcome == OUTCOME_SKIPPED)
			continue;
		log_work(w);
		if (w->outcome == OUTCOME_LATER) {
			queue_wait(g->queue, w->entry,
			    w->envelope.next_attempt);
			continue;
		}
		forget_markers(g, w);
		g->counts.delivered += w->count > 0;
		queue_ended(g->queue, w->entry);
	}
	queue_count(g->queue, &g->counts);
}

/* Nothing was written: everything is tried again in a while. */
static void
group_failed(struct group *g, int error)
{
	int64_t due = clock_wall_seconds() +
	    store_settings(g->store)->queue_retry_first / 1000;

	log_event(LOG_LEVEL_ERROR, "queue.stuck",
	    log_int("envelopes", (int64_t)g->count),
	    log_str("error", strerror(error)));
	for (size_t i = 0; i < g->count; i++)
		if (g->works[i].outcome != OUTCOME_SKIPPED)
			queue_wait(g->queue, g->works[i].entry, due);
}

/* What could not be read comes again: at once if only room was lacking. */
static void
give_back_skipped(struct group *g)
{
	for (size_t i = 0; i < g->count; i++)
		if (g->works[i].outcome == OUTCOME_SKIPPED)
			queue_wait(g->queue, g->works[i].entry,
			    g->now / 1000000 + (g->crowded ? 0 : HELD_RETRY));
}

static void
group_begin(struct group *g, struct queue *q, struct arena *arena)
{
	memset(g, 0, sizeof(*g));
	g->queue = q;
	g->store = q->store;
	g->arena = arena;
	g->batch = batch_new(queue_partition);
}

static void
group_end(struct group *g)
{
	int rc = commit_trace(g);

	if (rc == 1)
		rc = engine_commit(g->store->engine, g->batch, NULL);
	if (rc == 1)
		group_applied(g);
	else
		group_failed(g, errno);
	give_back_skipped(g);
	for (size_t i = 0; i < g->count; i++)
		text_free(&g->works[i].rows);
	batch_free(&g->batch);
	arena_reset(g->arena);
}

/*
 * Deliveries are made as they come; the group ends when it is full or when
 * nothing more comes for a moment.
 */
void *
deliver_thread(void *arg)
{
	struct queue *q = arg;
	struct queue_entry *entries[QUEUE_GROUP];
	struct group *g = xcalloc(1, sizeof(*g));
	struct arena *arena = arena_new(GROUP_MEMORY);
	size_t n;

	while ((n = queue_take(q, entries, QUEUE_GROUP, false)) > 0) {
		group_begin(g, q, arena);
		do {
			g->now = clock_wall();
			for (size_t i = 0; i < n; i++) {
				struct work *w = &g->works[g->count++];

				w->entry = entries[i];
				deliver_envelope(g, w);
			}
			n = g->count == QUEUE_GROUP || g->crowded ? 0 :
			    queue_take(q, entries, QUEUE_GROUP - g->count,
			    true);
		} while (n > 0);
		group_end(g);
	}
	arena_free(&arena);
	free(g);
	return NULL;
}

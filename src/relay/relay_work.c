/*
 * relay_work.c - the pool of fibers that lease, send and report.
 *
 * A worker has envelopes of one destination in hand and at most one
 * connection. Whenever a lease brings something, and nobody else is asking,
 * one more worker is started, so that as many work as there is work for; one
 * that is given nothing ends, and its connection waits for the next.
 *
 * Outcomes go to the store within a few milliseconds, while the next message
 * is being sent, and a report under way gathers behind it what comes
 * meanwhile. So the death of this process repeats little, and many small
 * messages share a call.
 */
#include "base/log.h"
#include "base/metric.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "ipc/wire.h"
#include "relay/relay.h"
#include "relay/relay_idle.h"
#include "relay/relay_policy.h"
#include "relay/relay_post.h"
#include "relay/relay_send.h"

#include <stdlib.h>

enum {
	LEASE_FIRST = 2,		/* envelopes, of one not known yet */
	LEASE_MAX = 64,
	LEASE_TIME = 50000,		/* us: what a lease should take */
	LEASE_ROOM = 256 << 10,		/* bytes of messages along with it */
	LEASE_MEMORY = 64 << 20,
	MESSAGE_MEMORY = 64 << 20,
	ASK_TIME = 1000,		/* ms: when no note came */
	REPORT_WAIT = 5,		/* ms: for more to be told along */
	REPORT_PAUSE = 200,		/* ms, before one is repeated */
	REPORT_TRIES = 50,
	IDLE_PART = 5,			/* of all connections may be idle */
	FLUSH_TIME = 60000,		/* ms: what TLS reports will tell */
};

/* An envelope in hand. */
struct item {
	struct envelope envelope;
	struct span body;		/* "": it must be asked for */
	bool finished;			/* its outcome is on the way */
	bool settled;			/* the store knows it */
};

struct worker {
	struct worker *next, **at;	/* of all */
	struct fiber *fiber;
	struct relay_connection *connection;
	struct arena *lease, *message;	/* memory of a lease, of a message */
	struct relay_rules *rules;
	struct span destination;
	struct blob rows;		/* where messages lie */
	struct item *items;
	size_t count;
	struct relay_report gathered, told;
	struct fiber *reporter;		/* while it waits for more to tell */
	bool hurry;			/* there will be no more */
	bool settled;			/* no report is under way */
	bool left;			/* its fiber is gone: reporter ends */
};

static struct {
	struct worker *all;
	size_t count;
	size_t asking;			/* wait for an answer to queue_lease */
	bool more;			/* a note came while they did */
	bool started, stopping;
	bool attached;			/* the store knows what is in hand */
	struct timer ask, flush, grace;
	void (*done)(void *);
	void *done_arg;
} pool;

static void hire(void);
static void worker_free(struct worker *);

/* ---- telling the store --------------------------------------------------- */

static void
mark_settled(struct worker *w, const struct relay_report *r)
{
	struct token token;

	for (size_t i = 0; i < r->envelopes; i++) {
		memcpy(token.b, r->tokens.p + i * sizeof(token.b),
		    sizeof(token.b));
		for (size_t k = 0; k < w->count; k++)
			if (memcmp(w->items[k].envelope.token.b, token.b,
			    sizeof(token.b)) == 0)
				w->items[k].settled = true;
	}
}

/*
 * Refused or unanswered: the store has just come back and does not know yet
 * what we have in hand. Then again, a little later.
 */
static void
tell(struct worker *w, struct relay_report *r)
{
	struct queue_report_request ask = { .destination = w->destination,
	    .state = r->state, .reason = text_span(&r->reason),
	    .tokens = BLOB_OF(text_span(&r->tokens)),
	    .outcomes = BLOB_OF(text_span(&r->outcomes)) };
	struct arena *arena = arena_new(16 << 10);
	struct queue_report_reply reply = { .result = RESULT_TEMPORARY };

	for (int i = 0; i < REPORT_TRIES && reply.result != RESULT_OK; i++) {
		if (i > 0 && fiber_wait(clock_after(REPORT_PAUSE)) < 0)
			break;
		arena_reset(arena);
		if (call_queue_report(relay_store(), arena, &ask, &reply) < 0)
			reply.result = RESULT_TEMPORARY;
	}
	if (reply.result != RESULT_OK)
		log_event(LOG_LEVEL_ERROR, "relay.report_lost",
		    log_text("destination", w->destination),
		    log_int("envelopes", (int64_t)r->envelopes),
		    log_str("result", result_name(reply.result)));
	arena_free(&arena);
	mark_settled(w, r);
}

static void
reporter(void *arg)
{
	struct worker *w = arg;
	struct relay_report swap;

	while (w->gathered.envelopes > 0) {
		w->reporter = fiber_self();
		if (!w->hurry)
			fiber_wait(clock_after(REPORT_WAIT));
		w->reporter = NULL;
		swap = w->told;
		w->told = w->gathered;
		w->gathered = swap;
		relay_report_clear(&w->gathered);
		tell(w, &w->told);
	}
	w->settled = true;
	if (w->left)
		worker_free(w);
	else
		fiber_nudge(w->fiber);
}

static void
report(struct worker *w)
{
	if (!w->settled || w->gathered.envelopes == 0)
		return;
	w->settled = false;
	if (fiber_start(reporter, w) != 1)
		reporter(w);
}

/* false: we were cancelled, and reporter goes on alone. */
static bool
wait_settled(struct worker *w)
{
	w->hurry = true;
	if (w->reporter != NULL)
		fiber_wake(w->reporter);
	report(w);
	if (w->settled || fiber_wait_for(&w->settled, MONOTIME_NEVER) == 1)
		return true;
	return w->settled;
}

/* ---- connections --------------------------------------------------------- */

static void
let_go(struct worker *w)
{
	const struct settings *s = relay_settings();

	if (w->connection == NULL)
		return;
	if (pool.stopping || w->connection->messages >= s->relay_max_messages)
		relay_disconnect(&w->connection, true);
	else
		relay_idle_put(&w->connection, s->relay_idle_time,
		    MAX(s->relay_max_connections_total / IDLE_PART, 1));
}

static bool
fits(const struct worker *w, uint32_t class)
{
	const struct relay_connection *c = w->connection;

	return c != NULL && c->class == class &&
	    span_eq(c->destination, w->destination) &&
	    c->messages < relay_settings()->relay_max_messages;
}

/* 1 connected; 0 *why. `fresh`: one that is kept will not do. */
static int
get_connection(struct worker *w, uint32_t class, bool fresh,
    struct relay_nowhere *why)
{
	const struct settings *s = relay_settings();
	struct relay_target target;

	if (!fresh && fits(w, class))
		return 1;
	let_go(w);
	if (!fresh)
		w->connection = relay_idle_take(w->destination, class);
	if (w->connection != NULL)
		return 1;
	while (relay_connections() >= s->relay_max_connections_total)
		if (!relay_idle_end_one())
			break;
	relay_target_find(w->destination, w->rules->routes, s, w->message,
	    &target);
	return relay_connect(&target, w->destination, class, w->message,
	    &w->connection, why);
}

/* ---- one message --------------------------------------------------------- */

/* The message, without its Return-Path. 1; 0 gone: nothing to send; -1. */
static int
get_body(struct item *item, struct arena *arena, struct blob *blob,
    struct span *out)
{
	struct queue_body_request ask = { .token = item->envelope.token };
	struct queue_body_reply reply;

	*blob = BLOB_OF(item->body);
	if (item->body.n == 0) {
		if (call_queue_body(relay_store(), arena, &ask, &reply) < 0)
			return -1;
		if (reply.result != RESULT_OK)
			return reply.result == RESULT_NOT_FOUND ? 0 : -1;
		*blob = reply.body;
	}
	*out = blob->bytes;
	return 1;
}

static void
finish(struct worker *w, struct item *item, const struct relay_nowhere *why)
{
	relay_report_all(&w->gathered, &item->envelope, why);
	item->finished = true;
}

static const struct relay_nowhere untried = { .outcome = RELAY_UNTRIED };

/*
 * No way there. If it is this destination's fault just now, one of its
 * messages has been tried, and the others wait with it; a reason that is for
 * good concerns each of them.
 */
static void
finish_all(struct worker *w, struct item *first,
    const struct relay_nowhere *why)
{
	const struct relay_nowhere *one = why;

	if (pool.stopping)		/* our fault rather */
		why = one = &untried;
	for (struct item *i = first; i < w->items + w->count; i++) {
		if (i->finished || relay_class(i->envelope.flags) !=
		    relay_class(first->envelope.flags))
			continue;
		finish(w, i, one);
		if (why->outcome != RELAY_FAILED)
			one = &untried;
	}
	if (why != &untried)
		relay_report_state(&w->gathered, why->state, why->reason);
}

static void
pace(struct relay_connection *c, int64_t us)
{
	c->pace = c->pace == 0 ? MAX(us, 1) :
	    MAX(c->pace + (us - c->pace) / 4, 1);
}

/* Over a connection, another one if the first had ended meanwhile. */
static void
send_over(struct worker *w, struct item *item, struct span message)
{
	uint32_t class = relay_class(item->envelope.flags);
	struct relay_nowhere why;
	bool fresh = false;

	while (get_connection(w, class, fresh, &why) == 1) {
		int64_t start = clock_mono().ms;
		enum relay_sent sent = relay_send(w->connection,
		    &item->envelope, message, w->message, &w->gathered);

		if (sent != RELAY_GO_ON)
			relay_disconnect(&w->connection, false);
		else
			pace(w->connection, 1000 * (clock_mono().ms - start));
		if (sent != RELAY_STALE) {
			item->finished = true;
			return;
		}
		fresh = true;
	}
	finish_all(w, item, &why);
}

/* A report to a web server (RFC 8460): its recipient is a URL. */
static void
post(struct worker *w, struct item *item, struct span message)
{
	struct text reason = TEXT_INIT(900), answer = TEXT_INIT(900);
	struct relay_nowhere why = { .outcome = RELAY_FAILED,
	    .reason = SPAN("5.6.0 a report has one recipient") };

	if (item->envelope.count == 1) {
		why.outcome = relay_post(item->envelope.recipients[0].address,
		    message, &reason, &answer);
		why.reason = text_span(&reason);
		why.answer = text_span(&answer);
	}
	finish(w, item, &why);
	relay_report_state(&w->gathered, why.outcome == RELAY_SENT ?
	    DESTINATION_FINE : DESTINATION_UNSURE, why.reason);
	text_free(&reason);
	text_free(&answer);
}

static void
send_item(struct worker *w, struct item *item)
{
	static const struct relay_nowhere no_body = {
		.outcome = RELAY_DEFERRED,
		.reason = { "4.3.0 the message cannot be read just now", 41 } };
	struct blob blob = BLOB_OF(SPAN_EMPTY);
	struct span message;

	arena_reset(w->message);
	if (get_body(item, w->message, &blob, &message) != 1)
		finish(w, item, pool.stopping ? &untried : &no_body);
	else if (relay_post_is(item->envelope.domain))
		post(w, item, message);
	else
		send_over(w, item, message);
	if (item->body.n == 0)
		blob_release(&blob);
}

/* ---- a lease ------------------------------------------------------------- */

static uint32_t
how_many(const struct worker *w)
{
	int64_t pace_ = w->connection == NULL ? 0 : w->connection->pace;

	if (pace_ == 0)
		return LEASE_FIRST;
	return (uint32_t)MAX(MIN(LEASE_TIME / pace_, LEASE_MAX), 1);
}

/* What cannot be read is left alone: its lease ends with us. */
static void
take_rows(struct worker *w, struct span rows)
{
	struct cursor c = { rows, false };
	struct lease_row row;

	w->items = arena_alloc(w->lease, LEASE_MAX * sizeof(*w->items));
	w->count = 0;
	while (w->items != NULL && w->count < LEASE_MAX &&
	    lease_row_get(&c, &row) == 1) {
		struct item *i = &w->items[w->count];

		*i = (struct item){ .body = row.body };
		if (envelope_decode(row.envelope, w->lease, &i->envelope) == 1)
			w->count++;
		else
			log_event(LOG_LEVEL_ERROR, "relay.envelope",
			    log_text("destination", w->destination));
	}
}

static void
lease_free(struct worker *w)
{
	blob_release(&w->rows);
	w->rows = BLOB_OF(SPAN_EMPTY);
	relay_rules_drop(&w->rules);
	w->count = 0;
}

/* 1; -1 as wait_settled(). */
static int
work_off(struct worker *w)
{
	for (size_t i = 0; i < w->count; i++) {
		if (w->items[i].finished)
			continue;
		if (pool.stopping)
			finish(w, &w->items[i], &untried);
		else
			send_item(w, &w->items[i]);
		report(w);
	}
	if (!wait_settled(w))
		return -1;
	lease_free(w);
	return 1;
}

/* 1 there was something to do, 0 there is nothing or not now, -1 leave. */
static int
lease(struct worker *w)
{
	struct queue_lease_request ask = { .count = how_many(w),
	    .room = LEASE_ROOM, .prefer = w->connection == NULL ?
	    SPAN_EMPTY : w->connection->destination };
	struct queue_lease_reply reply = { .result = RESULT_TEMPORARY };
	int done;

	arena_reset(w->lease);
	pool.asking++;
	done = call_queue_lease(relay_store(), w->lease, &ask, &reply);
	pool.asking--;
	if (done != 1 || reply.result != RESULT_OK)
		return 0;
	w->hurry = false;
	w->destination = reply.destination;
	w->rows = reply.rows;
	w->rules = relay_rules_take();
	take_rows(w, reply.rows.bytes);
	if (w->count == 0) {
		lease_free(w);
		return 0;
	}
	hire();
	return work_off(w);
}

/* ---- workers ------------------------------------------------------------- */

static void
all_gone(void *arg)
{
	(void)arg;
	if (pool.count > 0 || pool.done == NULL)
		return;
	timer_clear(&pool.grace);
	pool.done(pool.done_arg);
	pool.done = NULL;
}

static void
worker_free(struct worker *w)
{
	lease_free(w);
	*w->at = w->next;
	if (w->next != NULL)
		w->next->at = w->at;
	pool.count--;
	relay_report_free(&w->gathered);
	relay_report_free(&w->told);
	arena_free(&w->lease);
	arena_free(&w->message);
	free(w);
	if (pool.stopping)
		loop_defer(all_gone, NULL);
}

static void
work(void *arg)
{
	struct worker *w = arg;
	int more;

	w->fiber = fiber_self();
	do {
		pool.more = false;
		do
			more = lease(w);
		while (more == 1 && !pool.stopping);
	} while (more == 0 && pool.more && !pool.stopping);
	let_go(w);
	if (w->settled)
		worker_free(w);
	else
		w->left = true;
}

static void
hire(void)
{
	struct worker *w;

	if (!pool.started || pool.stopping || !pool.attached ||
	    pool.asking > 0 ||
	    pool.count >= relay_settings()->relay_max_connections_total)
		return;
	w = xcalloc(1, sizeof(*w));
	w->lease = arena_new(LEASE_MEMORY);
	w->message = arena_new(MESSAGE_MEMORY);
	w->rows = BLOB_OF(SPAN_EMPTY);
	w->settled = true;
	relay_report_init(&w->gathered);
	relay_report_init(&w->told);
	w->next = pool.all;
	w->at = &pool.all;
	if (w->next != NULL)
		w->next->at = &w->next;
	pool.all = w;
	pool.count++;
	if (fiber_start(work, w) != 1)
		worker_free(w);
}

/* ---- the store, there again ---------------------------------------------- */

static void
list_tokens(struct text *out)
{
	for (const struct worker *w = pool.all; w != NULL; w = w->next)
		for (size_t i = 0; i < w->count; i++)
			if (!w->items[i].settled)
				text_add(out, span_of(
				    w->items[i].envelope.token.b, 16));
}

static void
resume(void *arg)
{
	struct text tokens = TEXT_INIT(16 << 20);
	struct arena *arena = arena_new(16 << 10);
	struct queue_resume_request ask;
	struct queue_resume_reply reply = { .result = RESULT_TEMPORARY };

	(void)arg;
	while (reply.result != RESULT_OK && !pool.stopping) {
		text_clear(&tokens);
		list_tokens(&tokens);
		ask = (struct queue_resume_request){
			.tokens = BLOB_OF(text_span(&tokens)) };
		arena_reset(arena);
		if (call_queue_resume(relay_store(), arena, &ask, &reply) != 1)
			reply.result = RESULT_TEMPORARY;
		if (reply.result != RESULT_OK &&
		    fiber_wait(clock_after(REPORT_PAUSE)) < 0)
			break;
	}
	text_free(&tokens);
	arena_free(&arena);
	pool.attached = reply.result == RESULT_OK;
	hire();
}

void
relay_store_attached(void)
{
	pool.attached = false;
	if (pool.started && !pool.stopping)
		fiber_start(resume, NULL);
}

/* ---- life ---------------------------------------------------------------- */

void
relay_ready(void)
{
	if (pool.asking > 0)
		pool.more = true;
	else
		hire();
}

static void
on_ask(struct timer *t)
{
	hire();
	timer_set(t, clock_after(ASK_TIME));
}

static void
flush(void *arg)
{
	(void)arg;
	relay_policy_flush();
}

static void
on_flush(struct timer *t)
{
	fiber_start(flush, NULL);
	timer_set(t, clock_after(FLUSH_TIME));
}

void
relay_start(void)
{
	pool.started = true;
	if (link_up(relay_store()))
		relay_store_attached();
	pool.ask.fn = on_ask;
	pool.flush.fn = on_flush;
	timer_set(&pool.ask, clock_after(ASK_TIME));
	timer_set(&pool.flush, clock_after(FLUSH_TIME));
}

/* What is not done by then is left to the next life of relay. */
static void
on_grace(struct timer *t)
{
	(void)t;
	for (struct worker *w = pool.all; w != NULL; w = w->next)
		fiber_cancel(w->fiber);
}

static void
stop(void *arg)
{
	(void)arg;
	relay_policy_flush();
	pool.count--;
	loop_defer(all_gone, NULL);
}

void
relay_stop(int64_t grace_ms, void (*done)(void *), void *arg)
{
	pool.stopping = true;
	pool.done = done;
	pool.done_arg = arg;
	timer_clear(&pool.ask);
	timer_clear(&pool.flush);
	relay_idle_end_all();
	pool.grace.fn = on_grace;
	timer_set(&pool.grace, clock_after(grace_ms));
	pool.count++;			/* it is waited for like a worker */
	if (fiber_start(stop, NULL) != 1) {
		pool.count--;
		loop_defer(all_gone, NULL);
	}
}

void
relay_gauges(void)
{
	metric_set("relay.workers", pool.count);
	metric_set("relay.connections", relay_connections());
	metric_set("relay.idle", relay_idle_count());
}

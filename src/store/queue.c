/*
 * queue.c - accepting mail, and what stands for each envelope from then on.
 *
 * A token names one attempt of an edge to hand a message over. The first
 * commit with it reserves it, so that a repeated call meets the first one's
 * entry; when the message is finished already, its trace answers. Either
 * way it is accepted once.
 *
 * Delivery begins as soon as a batch is applied: durability is a prefix, so
 * what is delivered is never more durable than what was accepted.
 *
 * At start all that is on disk is loaded by a thread of its own while the
 * first of it goes out already. Until that is done, who asks for an envelope
 * that is not live looks on disk too; and one that ended in the meantime is
 * remembered, since the loading may see it still.
 *
 * The records are queue_record.c's, the entries' changes queue_entry.c's,
 * and where an envelope goes to, and when, is queue_line.c's.
 */
#include "base/clock.h"
#include "base/log.h"
#include "store/queue_impl.h"
#include "store/trace.h"

#include <stdlib.h>
#include <unistd.h>

struct queue *
queue_new(struct store *store)
{
	struct queue *q = xcalloc(1, sizeof(*q));
	pthread_condattr_t attr;

	q->store = store;
	q->dispatch = dispatch_new();
	q->last = &q->first;
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->work, &attr);
	pthread_cond_init(&q->more, &attr);
	pthread_cond_init(&q->settled, &attr);
	pthread_condattr_destroy(&attr);
	return q;
}

static void
forget_ended(struct queue *q)
{
	size_t at = 0;
	struct token *token;

	while ((token = tokens_next(&q->ended, &at)) != NULL)
		free(token);
	tokens_free(&q->ended);
}

void
queue_free(struct queue **qp)
{
	struct queue *q = *qp;
	struct queue_entry *e;
	size_t at = 0;

	if (q == NULL)
		return;
	queue_stop(q);
	while ((e = tokens_next(&q->live, &at)) != NULL)
		entry_free(e);
	tokens_free(&q->live);
	forget_ended(q);
	dispatch_free(&q->dispatch);
	routes_free(&q->routes);
	schedule_free(&q->schedule);
	pthread_cond_destroy(&q->work);
	pthread_cond_destroy(&q->more);
	pthread_cond_destroy(&q->settled);
	pthread_mutex_destroy(&q->lock);
	free(q);
	*qp = NULL;
}

/* -- who is live ----------------------------------------------------------- */

/* Its entry, if it stands on disk and is not live yet; else NULL. */
static struct queue_entry *
entry_load(struct queue *q, const struct envelope *envelope)
{
	const struct settings *s = store_settings(q->store);
	struct queue_entry *e;
	int64_t due = envelope->next_attempt;

	if (tokens_find(&q->live, &envelope->token) != NULL ||
	    tokens_find(&q->ended, &envelope->token) != NULL)
		return NULL;
	e = entry_new(q, &envelope->token);
	if (envelope->state == ENVELOPE_HELD)
		due = QUEUE_NEVER;
	else if (envelope->domain.n > 0)
		due = MIN(due, queue_deadline(s, envelope));
	entry_waits(q, e, due);
	return e;
}

struct queue_entry *
queue_summon(struct queue *q, const struct token *token)
{
	struct queue_entry *e = entry_find(q, token);
	struct arena *arena;
	struct envelope envelope;
	struct span record;

	if (e != NULL || q->loaded)
		return e;
	pthread_mutex_unlock(&q->lock);
	arena = arena_new(16 << 20);
	if (queue_find(q, token, arena, &record) != 1 ||
	    envelope_decode(record, arena, &envelope) != 1)
		envelope.token = (struct token){ 0 };
	pthread_mutex_lock(&q->lock);
	e = entry_find(q, token);
	if (e == NULL && memcmp(&envelope.token, token, sizeof(*token)) == 0)
		e = entry_load(q, &envelope);
	arena_free(&arena);
	return e;
}

bool
queue_has(struct store *store, const struct token *token)
{
	struct queue *q = store->queue;
	bool there;

	pthread_mutex_lock(&q->lock);
	there = queue_summon(q, token) != NULL;
	pthread_mutex_unlock(&q->lock);
	return there;
}

bool
queue_is_busy(struct queue *q, const struct token *token)
{
	struct queue_entry *e;
	bool busy;

	pthread_mutex_lock(&q->lock);
	e = entry_find(q, token);
	busy = e != NULL && (e->state == ENTRY_BUSY ||
	    e->state == ENTRY_COMMITTING || e->state == ENTRY_LEASED);
	pthread_mutex_unlock(&q->lock);
	return busy;
}

/* -- accepting ------------------------------------------------------------- */

static enum result
commit_failed(void)
{
	switch (errno) {
	case ENOSPC:
		return RESULT_FULL;
	case EFBIG:
		return RESULT_LIMIT;
	default:
		return RESULT_TEMPORARY;
	}
}

/* RESULT_OK: *entry is ours to commit; RESULT_EXISTS: it was accepted. */
static enum result
reserve(struct queue *q, const struct token *token,
    struct queue_entry **entry, ticket_t *ticket)
{
	enum result result = RESULT_OK;
	struct queue_entry *e;

	pthread_mutex_lock(&q->lock);
	while ((e = queue_summon(q, token)) != NULL &&
	    e->state == ENTRY_COMMITTING)
		pthread_cond_wait(&q->settled, &q->lock);
	if (e != NULL) {
		*ticket = e->ticket;
		result = RESULT_EXISTS;
	} else if (q->disk_full) {
		result = RESULT_FULL;
	} else {
		*entry = entry_new(q, token);
		(*entry)->state = ENTRY_COMMITTING;
	}
	pthread_mutex_unlock(&q->lock);
	return result;
}

/* An envelope that has come, or is due: to its place. Not yet tried. */
static void
entry_begin(struct queue *q, struct queue_entry *entry,
    const struct envelope *e, struct span record)
{
	int64_t now = clock_wall_seconds();

	if (e->state == ENVELOPE_HELD) {
		entry_waits(q, entry, QUEUE_NEVER);
	} else if (e->next_attempt > now) {
		entry_waits(q, entry, MIN(e->next_attempt,
		    queue_deadline(store_settings(q->store), e)));
	} else {
		entry_keep_record(q, entry, record);
		if (e->domain.n > 0)
			entry_line(q, entry, e);
		else
			entry_ready(q, entry);
	}
}

static void
begin_all(struct queue *q, const struct submission *s,
    struct queue_entry *first, ticket_t ticket)
{
	struct text record = TEXT_INIT(0);

	for (size_t i = 0; i < s->count; i++) {
		const struct envelope *envelope = s->envelopes[i];
		struct queue_entry *e = i == 0 ? first : entry_new(q,
		    &envelope->token);

		text_clear(&record);
		envelope_encode(envelope, &record);
		e->ticket = ticket;
		entry_begin(q, e, envelope, text_span(&record));
	}
	text_free(&record);
}

static void
release(struct queue *q, struct queue_entry *e, bool accepted,
    const struct submission *s, ticket_t ticket)
{
	pthread_mutex_lock(&q->lock);
	if (accepted) {
		q->counts.accepted++;
		begin_all(q, s, e, ticket);
	} else {
		entry_forget(q, e);
	}
	pthread_cond_broadcast(&q->settled);
	pthread_mutex_unlock(&q->lock);
}

enum result
queue_accept(struct queue *q, const struct submission *s, ticket_t *ticket)
{
	const struct envelope *first = s->envelopes[0];
	struct engine *engine = q->store->engine;
	struct queue_entry *e = NULL;
	struct batch *batch;
	enum result result;
	int rc;

	*ticket = 0;
	result = reserve(q, &first->token, &e, ticket);
	if (result != RESULT_OK)
		return result;
	rc = trace_has(q->store, &first->token, first->arrived);
	if (rc != 0) {
		release(q, e, false, s, 0);
		return rc == 1 ? RESULT_EXISTS : RESULT_TEMPORARY;
	}
	batch = batch_new(queue_partition);
	rc = queue_put(q->store, batch, s);
	if (rc == 1)
		rc = engine_commit(engine, batch, ticket);
	result = rc == 1 ? RESULT_OK : commit_failed();
	release(q, e, rc == 1, s, *ticket);
	batch_free(&batch);
	return result;
}

void
queue_add(struct queue *q, const struct envelope *envelope)
{
	struct submission s = { .envelopes = &(struct envelope *){
	    (struct envelope *)(uintptr_t)envelope }, .count = 1 };

	pthread_mutex_lock(&q->lock);
	begin_all(q, &s, entry_new(q, &envelope->token), 0);
	pthread_mutex_unlock(&q->lock);
}

/* -- start and stop -------------------------------------------------------- */

static bool
load_one(void *arg, const struct envelope *envelope)
{
	struct queue *q = arg;
	int64_t now = clock_wall_seconds();
	struct queue_entry *e;
	bool on;

	pthread_mutex_lock(&q->lock);
	e = entry_load(q, envelope);
	/* It is at hand just now: it need not be read again. */
	if (e != NULL && e->item.due <= now && envelope->domain.n > 0 &&
	    queue_deadline(store_settings(q->store), envelope) > now) {
		schedule_remove(&q->schedule, &e->item);
		entry_line(q, e, envelope);
	}
	on = !q->stopping;
	pthread_mutex_unlock(&q->lock);
	return on;
}

/* It delivers with the others when that is done. */
static void *
loader_thread(void *arg)
{
	struct queue *q = arg;

	if (queue_walk(q->store, NULL, load_one, q) != 1)
		log_event(LOG_LEVEL_ERROR, "queue.unreadable", log_errno());
	pthread_mutex_lock(&q->lock);
	q->loaded = true;
	forget_ended(q);
	pthread_cond_signal(&q->work);
	pthread_cond_broadcast(&q->settled);
	pthread_mutex_unlock(&q->lock);
	return deliver_thread(q);
}

void
queue_start(struct queue *q)
{
	size_t n = (size_t)store_settings(q->store)->queue_delivery_threads;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (n == 0)
		n = (size_t)MAX(2, MIN(cpus, 16));
	n = MAX(2, MIN(n, ARRAY_LEN(q->threads)));
	for (q->thread_count = 0; q->thread_count < n; q->thread_count++)
		must(pthread_create(&q->threads[q->thread_count], NULL,
		    q->thread_count == 0 ? loader_thread : deliver_thread,
		    q) == 0);
}

void
queue_stop(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->stopping = true;
	pthread_cond_broadcast(&q->work);
	pthread_cond_broadcast(&q->more);
	pthread_mutex_unlock(&q->lock);
	for (size_t i = 0; i < q->thread_count; i++)
		pthread_join(q->threads[i], NULL);
	q->thread_count = 0;
}

/* -- for operators --------------------------------------------------------- */

void
queue_set_disk_full(struct queue *q, bool full)
{
	pthread_mutex_lock(&q->lock);
	q->disk_full = full;
	pthread_mutex_unlock(&q->lock);
}

void
queue_count(struct queue *q, const struct queue_counts *more)
{
	pthread_mutex_lock(&q->lock);
	q->counts.accepted += more->accepted;
	q->counts.delivered += more->delivered;
	q->counts.sent += more->sent;
	q->counts.deferred += more->deferred;
	q->counts.held += more->held;
	q->counts.bounced += more->bounced;
	q->counts.removed += more->removed;
	q->counts.dropped += more->dropped;
	pthread_mutex_unlock(&q->lock);
}

struct queue_counts
queue_counts(struct queue *q, size_t *active, size_t *waiting)
{
	struct queue_counts counts;

	pthread_mutex_lock(&q->lock);
	counts = q->counts;
	*active = q->ready + q->busy + q->leased;
	*waiting = q->schedule.n;
	pthread_mutex_unlock(&q->lock);
	return counts;
}

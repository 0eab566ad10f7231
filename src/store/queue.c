/*
 * queue.c - accepting mail, and what is ready to be delivered.
 *
 * A token names one attempt of an edge to hand a message over. The first
 * commit with it reserves it, so that a repeated call meets the first one's
 * entry; when the message is delivered already, its trace answers. Either
 * way it is accepted once.
 *
 * The record of an envelope stays at hand in memory from its acceptance to
 * its delivery while few are ready; beyond that it is read again.
 *
 * Delivery begins as soon as a batch is applied: durability is a prefix, so
 * what is delivered is never more durable than what was accepted.
 */
#include "store/queue.h"
#include "base/clock.h"
#include "ipc/wire.h"
#include "store/trace.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
	AT_HAND_MAX = 4096,
	LINGER_MS = 2,			/* how long a worker waits for more */
	LINGER_READY = 16,		/* so many do not wait for that */
	RETRY_MAX = 1000,		/* envelopes that are tried at once */
};

struct queue *
queue_new(struct store *store)
{
	struct queue *q = xcalloc(1, sizeof(*q));
	pthread_condattr_t attr;

	q->store = store;
	q->live = map_new();
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
entry_free(struct queue_entry *e)
{
	free(e->record);
	free(e);
}

void
queue_free(struct queue **qp)
{
	struct queue *q = *qp;
	struct span key;
	void *value;
	size_t at = 0;

	if (q == NULL)
		return;
	queue_stop(q);
	while (map_next(q->live, &at, &key, &value))
		entry_free(value);
	map_free(&q->live);
	schedule_free(&q->schedule);
	pthread_cond_destroy(&q->work);
	pthread_cond_destroy(&q->more);
	pthread_cond_destroy(&q->settled);
	pthread_mutex_destroy(&q->lock);
	free(q);
	*qp = NULL;
}

/* -- entries, under the lock ----------------------------------------------- */

static struct span
token_key(const struct token *token)
{
	return span_of(token->b, sizeof(token->b));
}

static struct queue_entry *
entry_new(struct queue *q, const struct token *token)
{
	struct queue_entry *e = xcalloc(1, sizeof(*e));

	e->token = *token;
	map_put(q->live, token_key(&e->token), e);
	return e;
}

static void
entry_forget(struct queue *q, struct queue_entry *e)
{
	must(map_remove(q->live, token_key(&e->token)) == e);
	schedule_remove(&q->schedule, &e->item);
	q->at_hand -= e->record != NULL;
	entry_free(e);
}

static void
entry_keep_record(struct queue *q, struct queue_entry *e, struct span record)
{
	if (q->at_hand >= AT_HAND_MAX)
		return;
	e->record = xmalloc(record.n);
	memcpy(e->record, record.p, record.n);
	e->record_n = record.n;
	q->at_hand++;
}

static void
entry_ready(struct queue *q, struct queue_entry *e)
{
	e->state = ENTRY_READY;
	e->next = NULL;
	*q->last = e;
	q->last = &e->next;
	q->ready++;
	/* Who lingers looks by itself: a wake-up costs more than a delivery. */
	if (q->lingering == 0)
		pthread_cond_signal(&q->work);
	else if (q->ready == LINGER_READY)
		pthread_cond_signal(&q->more);
}

/* What is due moves from the schedule to the ready. */
static void
move_due(struct queue *q, int64_t now)
{
	struct schedule_item *item;

	while ((item = schedule_take(&q->schedule, now)) != NULL)
		entry_ready(q, (struct queue_entry *)item);
}

/* -- accepting ------------------------------------------------------------- */

void
queue_holder(struct text *out, const struct token *token)
{
	text_char(out, HOLDER_QUEUE);
	text_add(out, token_key(token));
}

static void
key_envelope(struct text *key, const struct token *token)
{
	text_clear(key);
	text_char(key, QUEUE_ENVELOPE);
	text_add(key, token_key(token));
}

static int
stream_body(struct engine *engine, struct body_id id,
    const struct submission *s)
{
	struct body_writer *writer = body_writer_open(engine, id);

	if (writer == NULL)
		return -1;
	if (body_write(writer, s->head) != 1 ||
	    body_write(writer, s->rest) != 1) {
		int saved = errno;

		body_writer_abort(&writer);
		errno = saved;
		return -1;
	}
	return body_writer_finish(&writer, s->summary);
}

int
queue_put(struct store *store, struct batch *batch,
    const struct submission *s, struct text *record)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct text holder = TEXT_INIT(0);
	struct body_id body;
	int rc = 1;

	memcpy(body.b, s->envelope->body.b, sizeof(body.b));
	if (s->head.n + s->rest.n <= ENGINE_BODY_INLINE)
		batch_body(batch, body, s->head, s->rest, s->summary);
	else
		rc = stream_body(store->engine, body, s);
	envelope_encode(s->envelope, record);
	key_envelope(&key, &s->envelope->token);
	queue_holder(&holder, &s->envelope->token);
	batch_put(batch, text_span(&key), text_span(record));
	batch_link(batch, body, text_span(&holder));
	if (rc == 1 && text_full(record)) {
		errno = EFBIG;
		rc = -1;
	}
	text_free(&key);
	text_free(&holder);
	return rc;
}

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
	struct queue_entry *e;

	pthread_mutex_lock(&q->lock);
	while ((e = map_get(q->live, token_key(token))) != NULL &&
	    e->state == ENTRY_COMMITTING)
		pthread_cond_wait(&q->settled, &q->lock);
	if (e != NULL) {
		*ticket = e->ticket;
		pthread_mutex_unlock(&q->lock);
		return RESULT_EXISTS;
	}
	if (q->disk_full) {
		pthread_mutex_unlock(&q->lock);
		return RESULT_FULL;
	}
	*entry = entry_new(q, token);
	(*entry)->state = ENTRY_COMMITTING;
	pthread_mutex_unlock(&q->lock);
	return RESULT_OK;
}

static void
release(struct queue *q, struct queue_entry *e, bool accepted,
    struct span record, ticket_t ticket)
{
	pthread_mutex_lock(&q->lock);
	if (accepted) {
		q->counts.accepted++;
		e->ticket = ticket;
		entry_keep_record(q, e, record);
		entry_ready(q, e);
	} else {
		entry_forget(q, e);
	}
	pthread_cond_broadcast(&q->settled);
	pthread_mutex_unlock(&q->lock);
}

enum result
queue_accept(struct queue *q, const struct submission *s, ticket_t *ticket)
{
	struct engine *engine = q->store->engine;
	struct text record = TEXT_INIT(ENVELOPE_RECORD_MAX);
	struct queue_entry *e = NULL;
	struct batch *batch;
	enum result result;
	int rc;

	*ticket = 0;
	result = reserve(q, &s->envelope->token, &e, ticket);
	if (result != RESULT_OK)
		return result;
	rc = trace_has(q->store, &s->envelope->token, s->envelope->arrived);
	if (rc != 0) {
		release(q, e, false, SPAN_EMPTY, 0);
		return rc == 1 ? RESULT_EXISTS : RESULT_TEMPORARY;
	}
	batch = batch_new(queue_partition);
	rc = queue_put(q->store, batch, s, &record);
	if (rc == 1)
		rc = engine_commit(engine, batch, ticket);
	result = rc == 1 ? RESULT_OK : commit_failed();
	release(q, e, rc == 1, text_span(&record), *ticket);
	batch_free(&batch);
	text_free(&record);
	return result;
}

void
queue_add(struct queue *q, const struct token *token, struct span record)
{
	struct queue_entry *e;

	pthread_mutex_lock(&q->lock);
	e = entry_new(q, token);
	entry_keep_record(q, e, record);
	entry_ready(q, e);
	pthread_mutex_unlock(&q->lock);
}

/* -- taking and giving back ------------------------------------------------ */

/* Until something is due, at most a minute: clocks may be set. */
static void
wait_for_work(struct queue *q)
{
	int64_t due = schedule_next_due(&q->schedule);
	int64_t wait = due == INT64_MAX ? 60 : due - clock_wall_seconds();
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += MAX(1, MIN(wait, 60));
	pthread_cond_timedwait(&q->work, &q->lock, &until);
}

static void
wait_for_more(struct queue *q)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LINGER_MS * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	q->lingering++;
	while (!q->stopping && q->ready < LINGER_READY &&
	    pthread_cond_timedwait(&q->more, &q->lock, &until) == 0)
		continue;
	q->lingering--;
}

size_t
queue_take(struct queue *q, struct queue_entry **out, size_t max,
    bool linger)
{
	size_t n = 0;

	pthread_mutex_lock(&q->lock);
	if (linger && q->first == NULL)
		wait_for_more(q);
	for (;;) {
		move_due(q, clock_wall_seconds());
		if (q->stopping || q->first != NULL || linger)
			break;
		wait_for_work(q);
	}
	while (!q->stopping && n < max && q->first != NULL) {
		struct queue_entry *e = q->first;

		q->first = e->next;
		if (q->first == NULL)
			q->last = &q->first;
		e->state = ENTRY_BUSY;
		e->next = NULL;
		q->ready--;
		q->busy++;
		out[n++] = e;
	}
	if (q->first != NULL)
		pthread_cond_signal(&q->work);
	pthread_mutex_unlock(&q->lock);
	return n;
}

int
queue_load(struct queue *q, struct queue_entry *e, struct arena *arena,
    struct envelope *out)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct span record = span_of(e->record, e->record_n);
	int rc = 1;

	/* A busy entry is its worker's: no lock. */
	if (e->record != NULL) {
		record = arena_dup(arena, record);
		rc = record.p == NULL ? -1 : 1;
	} else {
		key_envelope(&key, &e->token);
		rc = engine_get(q->store->engine, queue_partition,
		    text_span(&key), arena, &record);
		text_free(&key);
	}
	if (rc == 1 && envelope_decode(record, arena, out) != 1) {
		errno = EIO;
		rc = -1;
	}
	return rc;
}

void
queue_end(struct batch *batch, const struct envelope *e)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct text holder = TEXT_INIT(0);
	struct body_id body;

	memcpy(body.b, e->body.b, sizeof(body.b));
	key_envelope(&key, &e->token);
	queue_holder(&holder, &e->token);
	batch_delete(batch, text_span(&key));
	batch_unlink(batch, body, text_span(&holder));
	text_free(&key);
	text_free(&holder);
}

void
queue_update(struct batch *batch, const struct envelope *e)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct text record = TEXT_INIT(0);

	key_envelope(&key, &e->token);
	envelope_encode(e, &record);
	batch_put(batch, text_span(&key), text_span(&record));
	text_free(&key);
	text_free(&record);
}

static void
settled(struct queue *q)
{
	q->busy--;
	pthread_cond_broadcast(&q->settled);
}

void
queue_ended(struct queue *q, struct queue_entry *e)
{
	pthread_mutex_lock(&q->lock);
	entry_forget(q, e);
	settled(q);
	pthread_mutex_unlock(&q->lock);
}

void
queue_wait(struct queue *q, struct queue_entry *e, int64_t due)
{
	pthread_mutex_lock(&q->lock);
	if (e->record != NULL) {
		free(e->record);
		e->record = NULL;
		q->at_hand--;
	}
	e->state = ENTRY_WAITING;
	schedule_add(&q->schedule, &e->item, due);
	settled(q);
	pthread_mutex_unlock(&q->lock);
}

/* A ready one leaves the middle of the line. */
static void
unready(struct queue *q, struct queue_entry *e)
{
	struct queue_entry **at = &q->first;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	if (*at == NULL)
		q->last = at;
	e->next = NULL;
	q->ready--;
}

enum result
queue_seize(struct queue *q, const struct token *token,
    struct queue_entry **entry)
{
	struct queue_entry *e;
	enum result result = RESULT_OK;

	pthread_mutex_lock(&q->lock);
	e = map_get(q->live, token_key(token));
	if (e == NULL)
		result = RESULT_NOT_FOUND;
	else if (e->state == ENTRY_BUSY || e->state == ENTRY_COMMITTING)
		result = RESULT_LOCKED;
	else if (e->state == ENTRY_READY)
		unready(q, e);
	else
		schedule_remove(&q->schedule, &e->item);
	if (result == RESULT_OK) {
		e->state = ENTRY_BUSY;
		q->busy++;
		*entry = e;
	}
	pthread_mutex_unlock(&q->lock);
	return result;
}

void
queue_count(struct queue *q, const struct queue_counts *more)
{
	pthread_mutex_lock(&q->lock);
	q->counts.accepted += more->accepted;
	q->counts.delivered += more->delivered;
	q->counts.deferred += more->deferred;
	q->counts.held += more->held;
	q->counts.bounced += more->bounced;
	q->counts.removed += more->removed;
	pthread_mutex_unlock(&q->lock);
}

/* -- start and stop -------------------------------------------------------- */

static bool
replay_one(void *arg, const struct envelope *envelope)
{
	struct queue *q = arg;
	struct queue_entry *e = entry_new(q, &envelope->token);

	e->state = ENTRY_WAITING;
	schedule_add(&q->schedule, &e->item, envelope->next_attempt);
	return true;
}

int
queue_replay(struct queue *q, struct text *why)
{
	if (queue_walk(q->store, NULL, replay_one, q) == 1)
		return 1;
	text_printf(why, "the queue cannot be read: %s", strerror(errno));
	return -1;
}

void
queue_start(struct queue *q)
{
	size_t n = (size_t)store_settings(q->store)->queue_delivery_threads;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (n == 0)
		n = (size_t)MAX(2, MIN(cpus, 16));
	n = MIN(n, ARRAY_LEN(q->threads));
	for (q->thread_count = 0; q->thread_count < n; q->thread_count++)
		must(pthread_create(&q->threads[q->thread_count], NULL,
		    deliver_thread, q) == 0);
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

/* -- for others ------------------------------------------------------------ */

/* Damaged envelopes are passed over here: check finds them. */
static int
walk_range(struct store *store, const struct text *from,
    const struct text *prefix, bool (*fn)(void *, const struct envelope *),
    void *arg)
{
	struct arena *arena = arena_new(16 << 20);
	struct span key, value;
	struct scan *scan;
	bool on = true;
	int rc;

	scan = scan_open(store->engine, queue_partition, text_span(from),
	    SPAN("f"));
	rc = scan == NULL ? -1 : 1;
	while (rc == 1 && on && (rc = scan_next(scan, &key, &value)) == 1) {
		struct envelope e;

		if (!span_starts(key, text_span(prefix)))
			break;
		arena_reset(arena);
		if (envelope_decode(value, arena, &e) == 1)
			on = fn(arg, &e);
	}
	scan_close(&scan);
	arena_free(&arena);
	return rc == -1 ? -1 : 1;
}

int
queue_walk(struct store *store, const uint8_t token[QUEUE_ID_TOKEN],
    bool (*fn)(void *, const struct envelope *), void *arg)
{
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	int rc;

	text_char(&from, QUEUE_ENVELOPE);
	if (token != NULL)
		text_add(&from, span_of(token, QUEUE_ID_TOKEN));
	rc = walk_range(store, &from, &from, fn, arg);
	text_free(&from);
	return rc;
}

int
queue_walk_after(struct store *store, const uint8_t token[QUEUE_ID_TOKEN],
    bool (*fn)(void *, const struct envelope *), void *arg)
{
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	struct text all = TEXT_INIT(ENGINE_KEY_MAX);
	int rc;

	text_char(&all, QUEUE_ENVELOPE);
	text_add(&from, text_span(&all));
	text_add(&from, span_of(token, QUEUE_ID_TOKEN));
	while (from.n <= 1 + sizeof(struct token))
		text_char(&from, '\xff');
	rc = walk_range(store, &from, &all, fn, arg);
	text_free(&from);
	text_free(&all);
	return rc;
}

bool
queue_has(struct store *store, const struct token *token)
{
	struct queue *q = store->queue;
	bool there;

	pthread_mutex_lock(&q->lock);
	there = map_get(q->live, token_key(token)) != NULL;
	pthread_mutex_unlock(&q->lock);
	return there;
}

void
queue_settle(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	while (q->ready > 0 || q->busy > 0)
		pthread_cond_wait(&q->settled, &q->lock);
	pthread_mutex_unlock(&q->lock);
}

void
queue_retry(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	if (q->schedule.n <= RETRY_MAX)
		move_due(q, INT64_MAX);
	pthread_mutex_unlock(&q->lock);
}

void
queue_flush(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	move_due(q, INT64_MAX);
	pthread_mutex_unlock(&q->lock);
	queue_settle(q);
}

void
queue_set_disk_full(struct queue *q, bool full)
{
	pthread_mutex_lock(&q->lock);
	q->disk_full = full;
	pthread_mutex_unlock(&q->lock);
}

struct queue_counts
queue_counts(struct queue *q, size_t *active, size_t *waiting)
{
	struct queue_counts counts;

	pthread_mutex_lock(&q->lock);
	counts = q->counts;
	*active = q->ready + q->busy;
	*waiting = q->schedule.n;
	pthread_mutex_unlock(&q->lock);
	return counts;
}

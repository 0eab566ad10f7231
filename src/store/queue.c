/*
 * queue.c - accepting mail, and what each envelope waits for.
 *
 * A token names one attempt of an edge to hand a message over. The first
 * commit with it reserves it, so that a repeated call meets the first one's
 * entry; when the message is finished already, its trace answers. Either
 * way it is accepted once.
 *
 * The record of an envelope stays at hand in memory from its acceptance to
 * its delivery while few are ready; beyond that it is read again.
 *
 * Delivery begins as soon as a batch is applied: durability is a prefix, so
 * what is delivered is never more durable than what was accepted.
 *
 * At start all that is on disk is loaded by a thread of its own while the
 * first of it goes out already. Until that is done, who asks for an envelope
 * that is not live looks on disk too; and one that ended in the meantime is
 * remembered, since the loading may see it still.
 */
#include "store/queue.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "ipc/serve.h"
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
	RESUME_MS = 5000,		/* relay has to say what it has */
};

/* A record at hand. */
struct kept {
	size_t n;
	char bytes[];
};

struct queue *
queue_new(struct store *store)
{
	struct queue *q = xcalloc(1, sizeof(*q));
	pthread_condattr_t attr;

	q->store = store;
	q->dispatch = dispatch_new();
	q->lease_from = clock_after(RESUME_MS);
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
	free(e->kept);
	free(e);
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

/* -- entries, under the lock ----------------------------------------------- */

static struct span
token_key(const struct token *token)
{
	return span_of(token->b, sizeof(token->b));
}

static struct queue_entry *
entry_find(struct queue *q, const struct token *token)
{
	return tokens_find(&q->live, token);
}

static struct queue_entry *
entry_new(struct queue *q, const struct token *token)
{
	struct queue_entry *e = xcalloc(1, sizeof(*e));

	e->token = *token;
	tokens_add(&q->live, &e->token);
	return e;
}

static void
let_record_go(struct queue *q, struct queue_entry *e)
{
	q->at_hand -= e->kept != NULL;
	free(e->kept);
	e->kept = NULL;
}

static void
entry_forget(struct queue *q, struct queue_entry *e)
{
	tokens_remove(&q->live, &e->token);
	schedule_remove(&q->schedule, &e->item);
	if (!q->loaded && tokens_find(&q->ended, &e->token) == NULL) {
		struct token *token = xmalloc(sizeof(*token));

		*token = e->token;
		tokens_add(&q->ended, token);
	}
	let_record_go(q, e);
	entry_free(e);
}

static void
entry_keep_record(struct queue *q, struct queue_entry *e, struct span record)
{
	if (q->at_hand >= AT_HAND_MAX)
		return;
	e->kept = xmalloc(sizeof(*e->kept) + record.n);
	memcpy(e->kept->bytes, record.p, record.n);
	e->kept->n = record.n;
	q->at_hand++;
}

static struct queue_entry *
of_schedule(struct schedule_item *item)
{
	return (struct queue_entry *)(void *)((char *)item -
	    offsetof(struct queue_entry, item));
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

static void
entry_waits(struct queue *q, struct queue_entry *e, int64_t due)
{
	let_record_go(q, e);
	e->state = ENTRY_WAITING;
	e->hurry = false;
	schedule_add(&q->schedule, &e->item, due);
	/* Those who have nothing to do sleep until the one before. */
	if (schedule_next_due(&q->schedule) >= due)
		pthread_cond_signal(&q->work);
}

/* What is due moves from the schedule to the ready. */
static void
move_due(struct queue *q, int64_t now)
{
	struct schedule_item *item;

	while ((item = schedule_take(&q->schedule, now)) != NULL) {
		struct queue_entry *e = of_schedule(item);

		if (e->state == ENTRY_LINED)
			dispatch_remove(q->dispatch, &e->line);
		entry_ready(q, e);
	}
}

/* -- where to -------------------------------------------------------------- */

static void
add_destination(const struct queue *q, const struct route *route,
    struct span domain, struct text *out)
{
	(void)q;
	if (route != NULL)
		text_printf(out, "%s/", route->name);
	if (route == NULL || route->via[0] == '\0')
		text_add(out, domain);
}

void
queue_destination(struct queue *q, struct span sender,
    struct span recipient, struct span domain, struct text *out)
{
	pthread_mutex_lock(&q->lock);
	add_destination(q, routes_match(q->routes, sender, recipient),
	    domain, out);
	pthread_mutex_unlock(&q->lock);
}

struct span
queue_reason(struct queue *q, struct span name, struct arena *arena)
{
	struct destination_view view = { 0 };
	struct destination *at;
	struct span reason;

	pthread_mutex_lock(&q->lock);
	at = dispatch_find(q->dispatch, name);
	if (at != NULL)
		dispatch_view(at, &view);
	reason = view.reason.n > 0 ? arena_dup(arena, view.reason)
	    : SPAN_EMPTY;
	pthread_mutex_unlock(&q->lock);
	return reason;
}

void
queue_is_up(struct queue *q, struct span name)
{
	struct destination *at;

	pthread_mutex_lock(&q->lock);
	at = dispatch_find(q->dispatch, name);
	if (at != NULL)
		dispatch_retry(q->dispatch, at);
	pthread_mutex_unlock(&q->lock);
}

static struct dispatch_limits
limits_of(const struct settings *s, const struct route *route)
{
	uint64_t most = route != NULL && route->max_connections > 0
	    ? route->max_connections : s->relay_max_connections;

	return (struct dispatch_limits){
		.window_first = (uint32_t)MIN(s->relay_first_connections,
		    most),
		.window_max = (uint32_t)most,
		.rate = route != NULL ? (uint32_t)route->rate : 0,
		.retry_first = s->relay_down_first,
		.retry_longest = s->relay_down_longest,
	};
}

/* Whose mail it is: an account's; else the sender address's. */
static uint64_t
flow_of(const struct envelope *e)
{
	return e->account != 0 ? e->account
	    : map_hash(e->sender) | UINT64_C(1) << 63;
}

/* The recipients of an envelope lie together: one of them shows where. */
static struct span
some_recipient(const struct envelope *e)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == RECIPIENT_WAITING)
			return e->recipients[i].address;
	return e->count > 0 ? e->recipients[0].address : SPAN_EMPTY;
}

static struct dispatch_limits
place_of(struct queue *q, const struct envelope *e, struct text *name)
{
	const struct route *route = routes_match(q->routes, e->sender,
	    some_recipient(e));

	add_destination(q, route, e->domain, name);
	return limits_of(store_settings(q->store), route);
}

/* relay found nothing when it asked last: now there is something. */
static void
tell_relay(struct queue *q)
{
	struct server *server = store_server(q->store);

	if (!q->relay_idle || server == NULL)
		return;
	q->relay_idle = false;
	server_note_queue_ready(server, q->relay);
}

static void
entry_line(struct queue *q, struct queue_entry *entry,
    const struct envelope *e)
{
	const struct settings *s = store_settings(q->store);
	struct text name = TEXT_INIT(QUEUE_DESTINATION_MAX);
	struct dispatch_limits limits = place_of(q, e, &name);

	entry->state = ENTRY_LINED;
	entry->hurry = false;
	entry->line = (struct dispatch_item){ 0 };
	dispatch_add(q->dispatch, &entry->line, text_span(&name), &limits,
	    flow_of(e), (int)e->priority);
	schedule_add(&q->schedule, &entry->item, MAX(queue_deadline(s, e),
	    clock_wall_seconds() + 1));
	text_free(&name);
	tell_relay(q);
}

struct destination *
queue_claim(struct queue *q, const struct envelope *e)
{
	struct text name = TEXT_INIT(QUEUE_DESTINATION_MAX);
	struct dispatch_limits limits = place_of(q, e, &name);
	struct destination *at = dispatch_claim(q->dispatch,
	    text_span(&name), &limits);

	text_free(&name);
	return at;
}

void
queue_set_routes(struct queue *q, struct routes *routes)
{
	struct dispatch_item *item;

	pthread_mutex_lock(&q->lock);
	routes_free(&q->routes);
	q->routes = routes;
	while ((item = dispatch_empty(q->dispatch)) != NULL) {
		struct queue_entry *e = (struct queue_entry *)(void *)
		    ((char *)item - offsetof(struct queue_entry, line));

		schedule_remove(&q->schedule, &e->item);
		e->hurry = true;
		entry_ready(q, e);
	}
	pthread_mutex_unlock(&q->lock);
}

/* -- when ------------------------------------------------------------------ */

static int64_t
began(const struct envelope *e)
{
	return MAX(e->arrived / 1000000, e->release_at);
}

int64_t
queue_expiry(const struct settings *s, const struct envelope *e)
{
	int64_t end = began(e) + s->queue_lifetime / 1000;

	return e->deliver_by != 0 && (e->flags & ENVELOPE_BY_RETURN) != 0
	    ? MIN(end, e->deliver_by) : end;
}

int64_t
queue_deadline(const struct settings *s, const struct envelope *e)
{
	int64_t first = queue_expiry(s, e);

	if (s->queue_delay_warning > 0 && !e->warned && e->sender.n > 0)
		first = MIN(first, began(e) + s->queue_delay_warning / 1000);
	if (e->deliver_by != 0)
		first = MIN(first, e->deliver_by);
	return first;
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

struct token
queue_part(const struct token *token, size_t part)
{
	struct token other = *token;

	for (size_t i = sizeof(other.b); part > 0 && i > QUEUE_ID_TOKEN; i--) {
		part += other.b[i - 1];
		other.b[i - 1] = (uint8_t)part;
		part >>= 8;
	}
	return other;
}

int
queue_put_envelope(struct batch *batch, const struct envelope *e)
{
	struct text record = TEXT_INIT(ENVELOPE_RECORD_MAX);
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct text holder = TEXT_INIT(0);
	struct body_id body;
	int rc = 1;

	memcpy(body.b, e->body.b, sizeof(body.b));
	envelope_encode(e, &record);
	key_envelope(&key, &e->token);
	queue_holder(&holder, &e->token);
	batch_put(batch, text_span(&key), text_span(&record));
	batch_link(batch, body, text_span(&holder));
	if (text_full(&record)) {
		errno = EFBIG;
		rc = -1;
	}
	text_free(&record);
	text_free(&key);
	text_free(&holder);
	return rc;
}

int
queue_put(struct store *store, struct batch *batch,
    const struct submission *s)
{
	struct body_id body;
	int rc = 1;

	memcpy(body.b, s->envelopes[0]->body.b, sizeof(body.b));
	if (s->head.n + s->rest.n <= ENGINE_BODY_INLINE)
		batch_body(batch, body, s->head, s->rest, s->summary);
	else
		rc = stream_body(store->engine, body, s);
	for (size_t i = 0; rc == 1 && i < s->count; i++)
		rc = queue_put_envelope(batch, s->envelopes[i]);
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

int
queue_find(struct queue *q, const struct token *token, struct arena *arena,
    struct span *record)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	int rc;

	key_envelope(&key, token);
	rc = engine_get(q->store->engine, queue_partition, text_span(&key),
	    arena, record);
	text_free(&key);
	return rc;
}

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
queue_record(struct queue *q, struct queue_entry *e, struct arena *arena,
    struct span *record)
{
	/* A busy or leased entry is its worker's: no lock. */
	if (e->kept == NULL)
		return queue_find(q, &e->token, arena, record);
	*record = arena_dup(arena, span_of(e->kept->bytes, e->kept->n));
	return record->p == NULL ? -1 : 1;
}

int
queue_load(struct queue *q, struct queue_entry *e, struct arena *arena,
    struct envelope *out)
{
	struct span record;
	int rc = queue_record(q, e, arena, &record);

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
	entry_waits(q, e, due);
	settled(q);
	pthread_mutex_unlock(&q->lock);
}

void
queue_line(struct queue *q, struct queue_entry *entry,
    const struct envelope *e)
{
	pthread_mutex_lock(&q->lock);
	let_record_go(q, entry);
	entry_line(q, entry, e);
	settled(q);
	pthread_mutex_unlock(&q->lock);
}

void
queue_unlease(struct queue *q, struct queue_entry *e,
    enum destination_state state, struct span reason)
{
	pthread_mutex_lock(&q->lock);
	if (e->lease) {
		dispatch_done(q->dispatch, e->at, 1, state, reason,
		    clock_mono());
		q->leased--;
		e->lease = false;
		e->next = NULL;
	}
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
	e = queue_summon(q, token);
	if (e == NULL)
		result = RESULT_NOT_FOUND;
	else if (e->state == ENTRY_BUSY || e->state == ENTRY_COMMITTING ||
	    e->state == ENTRY_LEASED)
		result = RESULT_LOCKED;
	if (result == RESULT_OK) {
		if (e->state == ENTRY_READY)
			unready(q, e);
		if (e->state == ENTRY_LINED)
			dispatch_remove(q->dispatch, &e->line);
		schedule_remove(&q->schedule, &e->item);
		e->state = ENTRY_BUSY;
		e->next = NULL;
		q->busy++;
		*entry = e;
	}
	pthread_mutex_unlock(&q->lock);
	return result;
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

void
queue_link_gone(struct queue *q, uint64_t link)
{
	struct queue_entry *e;
	size_t at = 0, lost = 0;

	pthread_mutex_lock(&q->lock);
	while (q->leased > 0 && (e = tokens_next(&q->live, &at)) != NULL) {
		if (e->state != ENTRY_LEASED || e->link != link)
			continue;
		dispatch_lost(q->dispatch, e->at, 1);
		q->leased--;
		lost++;
		e->lease = false;
		e->hurry = true;
		entry_ready(q, e);
	}
	q->counts.leases_lost += lost;
	if (q->relay == link)
		q->relay_idle = false;
	pthread_mutex_unlock(&q->lock);
	if (lost > 0)
		log_event(LOG_LEVEL_WARNING, "queue.leases_lost",
		    log_int("envelopes", (int64_t)lost));
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

static int
walk_after(struct store *store, struct span token,
    bool (*fn)(void *, const struct envelope *), void *arg)
{
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	struct text all = TEXT_INIT(ENGINE_KEY_MAX);
	int rc;

	text_char(&all, QUEUE_ENVELOPE);
	text_add(&from, text_span(&all));
	text_add(&from, token);
	while (from.n <= 1 + sizeof(struct token))
		text_char(&from, '\xff');
	rc = walk_range(store, &from, &all, fn, arg);
	text_free(&from);
	text_free(&all);
	return rc;
}

int
queue_walk_after(struct store *store, const uint8_t token[QUEUE_ID_TOKEN],
    bool (*fn)(void *, const struct envelope *), void *arg)
{
	return walk_after(store, span_of(token, QUEUE_ID_TOKEN), fn, arg);
}

int
queue_walk_behind(struct store *store, const struct token *token,
    bool (*fn)(void *, const struct envelope *), void *arg)
{
	return walk_after(store, token_key(token), fn, arg);
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

void
queue_settle(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	while (!q->loaded || q->ready > 0 || q->busy > 0)
		pthread_cond_wait(&q->settled, &q->lock);
	pthread_mutex_unlock(&q->lock);
}

struct waking {
	struct queue_entry **list;
	size_t n;
};

static void
pick_waiting(void *arg, struct schedule_item *item)
{
	struct waking *w = arg;
	struct queue_entry *e = of_schedule(item);

	if (e->state == ENTRY_WAITING && item->due < QUEUE_NEVER)
		w->list[w->n++] = e;
}

/*
 * What waits is looked at now: tried, if it is for here or `hurry`. What is
 * in line stays there, and what is held as it is.
 */
static void
wake_all(struct queue *q, bool hurry)
{
	struct waking w = { .list = xcalloc(q->schedule.n + 1,
	    sizeof(w.list[0])) };

	schedule_walk(&q->schedule, pick_waiting, &w);
	for (size_t i = 0; i < w.n; i++) {
		schedule_remove(&q->schedule, &w.list[i]->item);
		w.list[i]->hurry = hurry;
		entry_ready(q, w.list[i]);
	}
	free(w.list);
}

void
queue_retry(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	move_due(q, clock_wall_seconds());
	if (q->schedule.n <= RETRY_MAX)
		wake_all(q, false);
	pthread_mutex_unlock(&q->lock);
}

void
queue_hurry(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	while (!q->loaded)
		pthread_cond_wait(&q->settled, &q->lock);
	wake_all(q, true);
	dispatch_retry(q->dispatch, NULL);
	tell_relay(q);
	pthread_mutex_unlock(&q->lock);
}

void
queue_flush(struct queue *q)
{
	queue_hurry(q);
	queue_settle(q);
}

void
queue_destinations(struct queue *q, void (*fn)(void *,
    const struct destination_view *), void *arg)
{
	pthread_mutex_lock(&q->lock);
	dispatch_walk(q->dispatch, fn, arg);
	pthread_mutex_unlock(&q->lock);
}

/* -- for one domain -------------------------------------------------------- */

struct turn {
	struct queue *queue;
	struct span domain;
	uint64_t found;
};

static bool
turn_one(void *arg, const struct envelope *envelope)
{
	struct turn *t = arg;
	struct queue *q = t->queue;
	struct queue_entry *e;

	if (!span_eq(envelope->domain, t->domain))
		return true;
	t->found++;
	pthread_mutex_lock(&q->lock);
	e = queue_summon(q, &envelope->token);
	if (e != NULL && e->state == ENTRY_WAITING &&
	    envelope->state != ENVELOPE_HELD) {
		schedule_remove(&q->schedule, &e->item);
		e->hurry = true;
		entry_ready(q, e);
	} else if (e != NULL && e->state == ENTRY_LINED) {
		dispatch_retry(q->dispatch, dispatch_at(&e->line));
		tell_relay(q);
	}
	pthread_mutex_unlock(&q->lock);
	return true;
}

uint64_t
queue_retry_destination(struct queue *q, struct span domain)
{
	struct turn turn = { q, domain, 0 };

	if (domain.n == 0 ||
	    queue_walk(q->store, NULL, turn_one, &turn) != 1)
		return 0;
	return turn.found;
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
	*active = q->ready + q->busy + q->leased;
	*waiting = q->schedule.n;
	pthread_mutex_unlock(&q->lock);
	return counts;
}

/*
 * queue_entry.c - the entries: waiting, ready, taken by a worker, given back.
 *
 * The record of an envelope stays at hand in memory from its acceptance to
 * its delivery while few are ready; beyond that it is read again.
 */
#include "base/clock.h"
#include "store/queue_impl.h"

#include <stdlib.h>
#include <time.h>

enum {
	AT_HAND_MAX = 4096,
	LINGER_MS = 2,			/* how long a worker waits for more */
	LINGER_READY = 16,		/* so many do not wait for that */
	RETRY_MAX = 1000,		/* envelopes that are tried at once */
};

/* A record at hand. */
struct kept {
	size_t n;
	char bytes[];
};

/* -- under the lock -------------------------------------------------------- */

void
entry_free(struct queue_entry *e)
{
	free(e->kept);
	free(e);
}

struct queue_entry *
entry_find(struct queue *q, const struct token *token)
{
	return tokens_find(&q->live, token);
}

struct queue_entry *
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

void
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

void
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

void
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

void
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

/* -- taking ---------------------------------------------------------------- */

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

/* -- giving back ----------------------------------------------------------- */

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
queue_settle(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	while (!q->loaded || q->ready > 0 || q->busy > 0)
		pthread_cond_wait(&q->settled, &q->lock);
	pthread_mutex_unlock(&q->lock);
}

/* -- now, whenever it was to be -------------------------------------------- */

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
	    sizeof(struct queue_entry *)) };

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
	queue_tell_relay(q);
	pthread_mutex_unlock(&q->lock);
}

void
queue_flush(struct queue *q)
{
	queue_hurry(q);
	queue_settle(q);
}

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
		queue_tell_relay(q);
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

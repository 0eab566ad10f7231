/*
 * queue.h - messages we are responsible for, until they are delivered.
 *
 * Accepting is one batch: the body, its link and the envelope, with how it
 * came. Finishing is another. In between an entry here stands for the
 * envelope: ready, being worked on, or waiting for its time. Everything is
 * replayed from the envelopes at start. Any thread.
 */
#ifndef STORE_QUEUE_H
#define STORE_QUEUE_H

#include <pthread.h>

#include "base/map.h"
#include "queue/envelope.h"
#include "queue/schedule.h"
#include "store/store.h"

enum { QUEUE_GROUP = 64 };		/* envelopes finished in one batch */

static const struct partition queue_partition = { PARTITION_QUEUE, 0 };

enum entry_state { ENTRY_COMMITTING, ENTRY_READY, ENTRY_BUSY, ENTRY_WAITING };

struct queue_entry {
	struct schedule_item item;	/* first: the schedule gives it back */
	struct token token;
	enum entry_state state;
	char *record;			/* the envelope, when it is at hand */
	size_t record_n;
	ticket_t ticket;		/* of its acceptance */
	struct queue_entry *next;	/* of those ready */
};

struct queue_counts {
	uint64_t accepted, delivered, deferred, held, bounced, removed;
};

struct queue {
	struct store *store;
	pthread_mutex_t lock;
	pthread_cond_t work;		/* for those who have nothing to do */
	pthread_cond_t more;		/* for those who linger */
	pthread_cond_t settled;		/* something was committed or ended */
	struct map *live;		/* by token */
	struct schedule schedule;
	struct queue_entry *first, **last;	/* ready, in order */
	size_t ready, busy, at_hand, lingering;
	bool stopping, disk_full;
	struct queue_counts counts;
	pthread_t threads[64];
	size_t thread_count;
};

struct queue *queue_new(struct store *);
void queue_free(struct queue **);
/* All that was there before: each tried again in its time. 1, -1. */
int  queue_replay(struct queue *, struct text *why);
void queue_start(struct queue *);	/* the delivery threads */
void queue_stop(struct queue *);

/* A message on its way into the queue. */
struct submission {
	struct envelope *envelope;	/* token, body and all else set */
	struct span head, rest;		/* the body in two pieces */
	struct span summary;
};
/*
 * Write it. RESULT_OK: applied, and *ticket says when durable; RESULT_EXISTS:
 * this token was accepted before, *ticket is that one's. Everything else
 * changed nothing.
 */
enum result queue_accept(struct queue *, const struct submission *,
    ticket_t *);
/* Put body, link and envelope into a batch of the queue. 1, -1 with errno. */
int  queue_put(struct store *, struct batch *, const struct submission *,
    struct text *record);
void queue_holder(struct text *out, const struct token *);

/* -- for deliver.c ------------------------------------------------------- */
/*
 * Up to `max` that are due, BUSY from now on. Waits until there are some; who
 * has others in hand lingers for a moment only. 0: none came, or stop.
 */
size_t queue_take(struct queue *, struct queue_entry **, size_t max,
    bool linger);
/* Its envelope; spans live in the arena. 1, 0 it is gone, -1. */
int  queue_load(struct queue *, struct queue_entry *, struct arena *,
    struct envelope *);
/* A new envelope stands on disk already: work on it. */
void queue_add(struct queue *, const struct token *, struct span record);
void queue_ended(struct queue *, struct queue_entry *);	/* freed */
void queue_wait(struct queue *, struct queue_entry *, int64_t due);
void queue_count(struct queue *, const struct queue_counts *more);
/* The operator takes it out of the ready or waiting ones, BUSY from now on:
 * RESULT_OK, RESULT_NOT_FOUND, RESULT_LOCKED (it is being delivered). */
enum result queue_seize(struct queue *, const struct token *,
    struct queue_entry **);
/* Put the end of an envelope into a batch: record and link go. */
void queue_end(struct batch *, const struct envelope *);
/* The same record with what has changed. */
void queue_update(struct batch *, const struct envelope *);
void *deliver_thread(void *queue);

/* -- for operators, tests and the keeper --------------------------------- */
/* Every envelope on disk (whose token begins so, NULL: all), in order, while
 * fn says true. 1, -1. */
int  queue_walk(struct store *, const uint8_t token[QUEUE_ID_TOKEN],
    bool (*fn)(void *, const struct envelope *), void *arg);
/* The same from behind the envelopes of that queue id on. */
int  queue_walk_after(struct store *, const uint8_t token[QUEUE_ID_TOKEN],
    bool (*fn)(void *, const struct envelope *), void *arg);
/* Is the envelope still there? */
bool queue_has(struct store *, const struct token *);
/* Somebody new is here: what waits may be for them. Not when there is much. */
void queue_retry(struct queue *);
/* Make what waits due now, and wait until nothing is ready or busy. */
void queue_flush(struct queue *);
/* Wait until nothing is ready or busy. */
void queue_settle(struct queue *);
void queue_set_disk_full(struct queue *, bool);
struct queue_counts queue_counts(struct queue *, size_t *active,
    size_t *waiting);

#endif

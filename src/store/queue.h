/*
 * queue.h - messages we are responsible for, until they are delivered or
 * another system has them.
 *
 * Accepting is one batch: the body, and for each place its recipients are in
 * an envelope that links to it. Finishing is another. In between an entry
 * here stands for the envelope: ready, being worked on, waiting for its time,
 * in line for its destination, or leased by relay. Everything is replayed
 * from the envelopes at start. Any thread.
 */
#ifndef STORE_QUEUE_H
#define STORE_QUEUE_H

#include <pthread.h>

#include "base/routes.h"
#include "queue/dispatch.h"
#include "queue/envelope.h"
#include "queue/schedule.h"
#include "queue/tokens.h"
#include "store/store.h"

enum {
	QUEUE_GROUP = 64,		/* envelopes finished in one batch */
	QUEUE_PARTS = 10000,		/* places a message goes to at once */
	QUEUE_DESTINATION_MAX = 512,
};
#define QUEUE_NEVER (INT64_MAX - 1)	/* held: its time does not come */

static const struct partition queue_partition = { PARTITION_QUEUE, 0 };

enum entry_state {
	ENTRY_COMMITTING, ENTRY_READY, ENTRY_BUSY,
	ENTRY_WAITING,			/* in the schedule */
	ENTRY_LINED,			/* in the dispatcher; its deadline is
					   in the schedule */
	ENTRY_LEASED,
};

/* Millions of them: keep it small. */
struct queue_entry {
	struct token token;		/* first: tokens.h gives it back */
	struct schedule_item item;
	struct kept *kept;		/* its record, when it is at hand */
	union {
		struct queue_entry *next;	/* READY, BUSY */
		struct dispatch_item line;	/* LINED */
		struct {			/* LEASED; BUSY when `lease` */
			struct destination *at;
			uint64_t link;
		};
	};
	ticket_t ticket;		/* of its acceptance */
	uint8_t state;			/* enum entry_state */
	bool lease;			/* `at` counts it as under way */
	bool hurry;			/* now, whatever its record says */
};

struct queue_counts {
	uint64_t accepted, delivered, sent, deferred, held, bounced, removed,
	    dropped, leases, leases_lost;
};

struct queue {
	struct store *store;
	pthread_mutex_t lock;
	pthread_cond_t work;		/* for those who have nothing to do */
	pthread_cond_t more;		/* for those who linger */
	pthread_cond_t settled;		/* something was committed or ended */
	struct tokens live;
	struct schedule schedule;
	struct dispatch *dispatch;
	struct routes *routes;		/* NULL: none */
	struct queue_entry *first, **last;	/* ready, in order */
	size_t ready, busy, leased, at_hand, lingering;
	uint64_t relay;			/* the link that said queue_resume last */
	bool relay_idle;		/* it asked, and there was nothing */
	bool stopping, disk_full;
	bool loaded;			/* all that is on disk is live */
	struct tokens ended;		/* meanwhile: not to be loaded */
	struct queue_counts counts;
	pthread_t threads[64];
	size_t thread_count;
};

struct queue *queue_new(struct store *);
void queue_free(struct queue **);
/* Delivery begins, and with it the loading of all that was there before. */
void queue_start(struct queue *);
void queue_stop(struct queue *);
/* From now on; the queue's own. What is in line finds its place anew. */
void queue_set_routes(struct queue *, struct routes *);

/* A message on its way into the queue: one envelope for each place. */
struct submission {
	struct envelope **envelopes;	/* tokens, body and all else set */
	size_t count;
	struct span head, rest;		/* the body in two pieces */
	struct span summary;
};
/*
 * Write it. RESULT_OK: applied, and *ticket says when durable; RESULT_EXISTS:
 * the first envelope's token was accepted before, *ticket is that one's.
 * Everything else changed nothing.
 */
enum result queue_accept(struct queue *, const struct submission *,
    ticket_t *);
/* Put body, links and envelopes into a batch of the queue. 1, -1 with errno. */
int  queue_put(struct store *, struct batch *, const struct submission *);
/* One more envelope with a body that is there. 1, -1. */
int  queue_put_envelope(struct batch *, const struct envelope *);
void queue_holder(struct text *out, const struct token *);
/* The token of another part of a message: the queue id is the same. */
struct token queue_part(const struct token *, size_t part);

/* -- where to, and when --------------------------------------------------- */
/*
 * The destination of what goes from there to here, as dispatch.h names it.
 * domain: the recipient's, canonical. Addresses in their compare form.
 */
void queue_destination(struct queue *, struct span sender,
    struct span recipient, struct span domain, struct text *out);
/* What is known of a destination that is down, or "". */
struct span queue_reason(struct queue *, struct span destination,
    struct arena *);
/* Forget that it is down. */
void queue_is_up(struct queue *, struct span destination);
/* When something is to be done about an envelope that just waits: its time
 * is over, or its sender is to be told. Seconds since 1970. */
int64_t queue_deadline(const struct settings *, const struct envelope *);
int64_t queue_expiry(const struct settings *, const struct envelope *);

/* -- for deliver.c, lease.c, group.c ------------------------------------- */
/*
 * Up to `max` that are due, BUSY from now on. Waits until there are some; who
 * has others in hand lingers for a moment only. 0: none came, or stop.
 */
size_t queue_take(struct queue *, struct queue_entry **, size_t max,
    bool linger);
/* Its envelope; spans live in the arena. 1, 0 it is gone, -1. */
int  queue_load(struct queue *, struct queue_entry *, struct arena *,
    struct envelope *);
/* The same as a record. */
int  queue_record(struct queue *, struct queue_entry *, struct arena *,
    struct span *record);
/* The record on disk of an envelope that somebody else works on. */
int  queue_find(struct queue *, const struct token *, struct arena *,
    struct span *record);
/* Its destination, which has it under way already. The lock is held. */
struct destination *queue_claim(struct queue *, const struct envelope *);
/* A new envelope stands on disk already: work on it. */
void queue_add(struct queue *, const struct envelope *);
void queue_ended(struct queue *, struct queue_entry *);	/* freed */
void queue_wait(struct queue *, struct queue_entry *, int64_t due);
/* Into the line of its destination; its recipients wait. */
void queue_line(struct queue *, struct queue_entry *,
    const struct envelope *);
/* A lease is over: how the destination did. The entry stays BUSY. */
void queue_unlease(struct queue *, struct queue_entry *,
    enum destination_state, struct span reason);
void queue_count(struct queue *, const struct queue_counts *more);
/* The operator takes it out of the line or from its waiting, BUSY from now
 * on: RESULT_OK, RESULT_NOT_FOUND, RESULT_LOCKED (it is on its way). */
enum result queue_seize(struct queue *, const struct token *,
    struct queue_entry **);
/* Put the end of an envelope into a batch: record and link go. */
void queue_end(struct batch *, const struct envelope *);
/* The same record with what has changed. */
void queue_update(struct batch *, const struct envelope *);
void *deliver_thread(void *queue);
/* The entry of an envelope that may not be loaded yet; the lock is held, and
 * may have been let go meanwhile. NULL: there is none. */
struct queue_entry *queue_summon(struct queue *, const struct token *);
/* relay's link is gone, and with it what it had leased. */
void queue_link_gone(struct queue *, uint64_t link);

/* -- for operators, tests and the keeper --------------------------------- */
/* Every envelope on disk (whose token begins so, NULL: all), in order, while
 * fn says true. 1, -1. */
int  queue_walk(struct store *, const uint8_t token[QUEUE_ID_TOKEN],
    bool (*fn)(void *, const struct envelope *), void *arg);
/* The same from behind the envelopes of that queue id on. */
int  queue_walk_after(struct store *, const uint8_t token[QUEUE_ID_TOKEN],
    bool (*fn)(void *, const struct envelope *), void *arg);
/* The same from behind that one envelope on. */
int  queue_walk_behind(struct store *, const struct token *,
    bool (*fn)(void *, const struct envelope *), void *arg);
/* Is the envelope still there? */
bool queue_has(struct store *, const struct token *);
/*
 * Retry, hold, release, delete or return one envelope, durably, with a step
 * of its trace (by=operator). RESULT_OK; RESULT_NOT_FOUND; RESULT_LOCKED: it
 * is on its way just now; RESULT_CONFLICT: it is not held, or held already.
 */
enum result queue_act(struct queue *, const struct token *,
    enum queue_action);
/* The same for many: applied; durable once the last ticket is synced. */
enum result queue_act_apply(struct queue *, const struct token *,
    enum queue_action, ticket_t *);
/* Is it on its way just now? */
bool queue_is_busy(struct queue *, const struct token *);
/* A domain is there again: what waits for it goes out now. How many. */
uint64_t queue_retry_destination(struct queue *, struct span domain);
/* Every destination that something waits for, or is known to be down. */
void queue_destinations(struct queue *, void (*fn)(void *,
    const struct destination_view *), void *arg);
/* Somebody new is here: what waits may be for them. Not when there is much. */
void queue_retry(struct queue *);
/* Make what waits due now, and wait until nothing is ready or busy. */
void queue_flush(struct queue *);
/* The same without waiting. */
void queue_hurry(struct queue *);
/* Wait until all is loaded and nothing is ready or busy here (relay may be). */
void queue_settle(struct queue *);
void queue_set_disk_full(struct queue *, bool);
struct queue_counts queue_counts(struct queue *, size_t *active,
    size_t *waiting);

#endif

/*
 * group.h - envelopes that were worked on, and what follows from it.
 *
 * Who has tried an envelope (deliver.c, or relay, whose report lease.c takes)
 * sets the states of its recipients and says group_settle(): those that
 * failed or took too long are told to the sender, the rest waits. A group of
 * envelopes ends with two batches: what happened, into the trace; then, into
 * the queue, the envelopes that are finished, changed or new. Nothing waits
 * for the disk: durability is a prefix, so after a crash either all of this
 * stands or the envelope does, and it is tried again.
 */
#ifndef STORE_GROUP_H
#define STORE_GROUP_H

#include "queue/bounce.h"
#include "store/queue.h"

enum outcome {
	OUTCOME_SKIPPED,	/* it could not be read */
	OUTCOME_ENDED,
	OUTCOME_WAIT,		/* until its next_attempt, or deadline */
	OUTCOME_LINE,		/* in line for its destination (again) */
};

struct work {
	struct queue_entry *entry;
	struct envelope envelope;
	enum outcome outcome;
	bool changed;			/* it is written */
	bool tried;			/* this was an attempt */
	bool deferred;			/* with a temporary failure */
	uint64_t *accounts;		/* delivered to in this attempt */
	size_t count;
	size_t sent;			/* recipients another system has */
	struct bounce_fate *fates;	/* of each recipient, in this attempt */
	struct text rows;		/* steps of this attempt */
};

/* An envelope that begins with this group. */
struct newborn {
	struct newborn *next;
	struct envelope envelope;	/* in the group's arena */
};

struct group {
	struct queue *queue;
	struct store *store;
	struct arena *arena;
	struct work works[QUEUE_GROUP];
	size_t count;
	struct batch *batch;		/* of the queue */
	struct newborn *born;
	struct queue_counts counts;
	walltime_t now;
	ticket_t ticket;		/* when it is durable */
	bool crowded;			/* too much for one group's memory */
	bool broken;			/* the batches must not be written */
};

void group_begin(struct group *, struct queue *, struct arena *);
/* The next envelope; its outcome is OUTCOME_SKIPPED when it cannot be read. */
struct work *group_add(struct group *, struct queue_entry *);
/*
 * Its recipients' states are set; those with a fate that the sender asked for
 * (failed ones: FATE or not) are told. Decides the outcome.
 */
void group_settle(struct group *, struct work *);
/* It waits or stands in line; what was changed in it is written. */
void group_leave(struct work *, enum outcome);
/* Something else than an attempt is done to it: its next steps. */
void group_touch(struct work *);
/*
 * A new envelope in the group's batch; what it points to lives in the arena.
 * body: its bytes, or empty when it shares one that is there. False: not
 * now.
 */
bool group_bear(struct group *, const struct envelope *, struct span body);
/* The canonical domain of an address that is not here, or "". */
struct span group_domain(struct group *, struct span address);
/* Both batches, and entries follow. 1; -1: nothing was written, all are tried
 * again. */
int  group_end(struct group *);
/* Forget the group; its entries are the caller's again. */
void group_abort(struct group *);

#endif

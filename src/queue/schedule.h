/*
 * schedule.h - when an envelope is tried again, and which is next.
 *
 * A heap by due time. An item is embedded in the struct of whoever waits; the
 * schedule owns none. Not shared between threads without the owner's lock.
 */
#ifndef QUEUE_SCHEDULE_H
#define QUEUE_SCHEDULE_H

#include "base/base.h"

struct schedule_item {
	int64_t due;			/* seconds since 1970 UTC */
	size_t at;			/* place in the heap, 1..; 0: not in */
};

struct schedule {
	struct schedule_item **items;	/* items[0] is the next one */
	size_t n, room;
};

void schedule_free(struct schedule *);	/* the heap, not the items */
void schedule_add(struct schedule *, struct schedule_item *, int64_t due);
void schedule_remove(struct schedule *, struct schedule_item *); /* if in */
/* Take the next one that is due at `now`; NULL: none is. */
struct schedule_item *schedule_take(struct schedule *, int64_t now);
/* Every item, in no order; fn may not change the schedule. */
void schedule_walk(const struct schedule *, void (*fn)(void *,
    struct schedule_item *), void *arg);
/* INT64_MAX when it is empty. */
int64_t schedule_next_due(const struct schedule *);

/*
 * How long to wait, in seconds, after the attempt number `attempts` (from 1)
 * has failed: first, then twice as long each time, at most longest; less up
 * to a quarter by `random`, so that what failed together is not tried again
 * together. At least 1.
 */
int64_t schedule_wait(uint32_t attempts, int64_t first, int64_t longest,
    uint32_t random);

#endif

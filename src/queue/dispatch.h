/*
 * dispatch.h - what goes out next: destinations, senders, concurrency.
 *
 * An item is an envelope that is due, embedded in the struct of whoever owns
 * it. Items wait at their destination (what shares a connection and a fate),
 * there in the lane of their priority, there in the flow of their sender.
 * Whoever takes gets items of one destination:
 *
 * - fair between senders: those who wait take turns, at a destination and for
 *   the destinations themselves, so that one sender's 100 000 messages are
 *   one message away from another's single one;
 * - no more at once for a destination than its window. It opens slowly while
 *   things go well (slow start, then one by one), halves when the destination
 *   is busy, and closes when it is down: then one item is tried, each time
 *   after a longer wait, and the rest stays where it is;
 * - not faster than the destination's rate;
 * - urgent mail (a priority above 0) before other, where there is a line.
 *
 * So a dead destination costs one attempt now and then however much waits
 * for it. Every step takes the same time however much waits, or its
 * logarithm. Pure but for memory: time comes as an argument. The owner locks.
 */
#ifndef QUEUE_DISPATCH_H
#define QUEUE_DISPATCH_H

#include "base/base.h"
#include "base/clock.h"
#include "base/text.h"
#include "ipc/contract.h"

struct dispatch;
struct destination;

/*
 * Names of destinations: "example.org" (its MX), "ROUTE" + "/" + domain (its
 * MX, by the rules of a route), "ROUTE/" (where the route leads; all its
 * domains together).
 */
struct dispatch_link {
	struct dispatch_link *next, *prev;
};

struct dispatch_item {			/* zeroed: nowhere */
	struct dispatch_link link;	/* the dispatcher's own */
	struct cell *cell;		/* NULL: nowhere */
};

struct dispatch_limits {		/* of a destination */
	uint32_t window_first, window_max;	/* items under way at once */
	uint32_t rate;			/* items a minute; 0 any */
	int64_t retry_first, retry_longest;	/* ms, when it is down */
};

struct dispatch *dispatch_new(void);
void dispatch_free(struct dispatch **);	/* not the items */

/* flow: who sent it (an account, or a hash); priority -9 to 9. */
void dispatch_add(struct dispatch *, struct dispatch_item *,
    struct span destination, const struct dispatch_limits *, uint64_t flow,
    int priority);
/* Out of the line, if it is in it (not when it was taken). */
void dispatch_remove(struct dispatch *, struct dispatch_item *);
/*
 * Up to `max` items of one destination that may go now; they count as under
 * way until dispatch_done(). `prefer` is taken when it is fair. 0: none; then
 * *wake is when there may be some without a call of these, or never.
 */
size_t dispatch_take(struct dispatch *, struct span prefer,
    monotime_t now, struct dispatch_item **out, size_t max,
    struct destination **, monotime_t *wake);
/* n items that were taken are settled; state as relay says it. */
void dispatch_done(struct dispatch *, struct destination *, size_t n,
    enum destination_state, struct span reason, monotime_t now);
/* An item is under way already (its taker says so): as if it was taken. */
struct destination *dispatch_claim(struct dispatch *, struct span destination,
    const struct dispatch_limits *);
/* They were lost with their taker: nothing is known of the destination. */
void dispatch_lost(struct dispatch *, struct destination *, size_t n);
/* Forget that it is down; NULL: that any is. */
void dispatch_retry(struct dispatch *, struct destination *);
struct destination *dispatch_find(struct dispatch *, struct span name);

struct destination_view {
	struct span name, reason;
	size_t waiting, busy;
	uint32_t window;
	monotime_t down_until;		/* { 0 }: it is not */
};
void dispatch_walk(struct dispatch *, void (*fn)(void *,
    const struct destination_view *), void *arg);
void dispatch_view(const struct destination *, struct destination_view *);
/* Where an item waits. */
struct destination *dispatch_at(const struct dispatch_item *);
size_t dispatch_waiting(const struct dispatch *);
/* Take everything out, one item at a time; NULL: that was the last. */
struct dispatch_item *dispatch_empty(struct dispatch *);

#endif

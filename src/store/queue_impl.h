/*
 * queue_impl.h - what the modules of the queue have in common, and nobody
 * else's business. All of it is called with the queue's lock held.
 */
#ifndef STORE_QUEUE_IMPL_H
#define STORE_QUEUE_IMPL_H

#include "store/queue.h"

/* -- queue_entry.c --------------------------------------------------------- */
struct queue_entry *entry_new(struct queue *, const struct token *);
/* NULL: it is not live. */
struct queue_entry *entry_find(struct queue *, const struct token *);
/* It has ended: out of everything, and freed. */
void entry_forget(struct queue *, struct queue_entry *);
/* Its memory alone: for the end of the queue. */
void entry_free(struct queue_entry *);
/* Its record stays at hand, unless there are many. */
void entry_keep_record(struct queue *, struct queue_entry *,
    struct span record);
void entry_ready(struct queue *, struct queue_entry *);
void entry_waits(struct queue *, struct queue_entry *, int64_t due);

/* -- queue_line.c ---------------------------------------------------------- */
/* Into the line of its destination. */
void entry_line(struct queue *, struct queue_entry *, const struct envelope *);
/* relay found nothing when it asked last: now there is something. */
void queue_tell_relay(struct queue *);

#endif

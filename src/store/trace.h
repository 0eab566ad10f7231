/*
 * trace.h - the steps of messages' ways, kept by day.
 *
 * How a message came is part of its envelope's record and so as durable as
 * the message; when an attempt to deliver it ends, that and what became of
 * it move here, into the partition of the day it arrived on. Putting the
 * same attempt again changes nothing. Days older than queue.trace_time go as
 * whole partitions.
 */
#ifndef STORE_TRACE_H
#define STORE_TRACE_H

#include "queue/envelope.h"
#include "store/store.h"

enum { TRACE_STEPS_MAX = 256 << 10 };	/* bytes of one attempt's steps */

struct partition trace_partition(walltime_t arrived);
/* Add a step to the rows of an attempt; beyond the limit it is left out. */
void trace_step(struct text *rows, const struct token *, walltime_t at,
    const char *event, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* The step every message begins with, from its envelope. */
void trace_accepted(struct text *rows, const struct envelope *);
/* The steps of one attempt, into a batch of trace_partition(arrived). */
void trace_put(struct batch *, const struct envelope *, uint32_t attempt,
    struct span rows);

/* Was a message with this token accepted lately, and is it finished? */
int  trace_has(struct store *, const struct token *, walltime_t now);
/* Days whose time is over. 1, -1. */
int  trace_expire(struct store *);

#endif

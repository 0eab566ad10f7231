/*
 * fiber.h - handlers that read from top to bottom.
 *
 * A fiber is a stackful coroutine of one thread's loop. It runs until it
 * waits; every wait has a deadline and may be cancelled. A fiber never moves
 * between threads. Outside a fiber (the command line, tests) the waiting
 * functions block the thread instead, so that one piece of code serves both.
 */
#ifndef IO_FIBER_H
#define IO_FIBER_H

#include "base/base.h"
#include "base/clock.h"

struct fiber;

enum { FIBER_STACK = 128 << 10 };	/* bytes, below a guard page */

/*
 * Run fn(arg) on a fiber, at once, until its first wait; its stack goes back
 * to a small pool when fn returns. 1 started, -1 no memory for a stack.
 */
int fiber_start(void (*fn)(void *), void *arg);
struct fiber *fiber_self(void);		/* NULL outside a fiber */

/*
 * Wait until fiber_wake() (1), the deadline (0), or fiber_cancel() (-1,
 * errno ECANCELED). A wake before the wait is not lost: it ends the next one.
 */
int fiber_wait(monotime_t deadline);
/* It runs at the end of this turn; woken by such a run itself, the next. */
void fiber_wake(struct fiber *);
/*
 * Wait until *done is true, and leave a fiber_wake() alone that comes in
 * between. Whoever sets *done calls fiber_nudge(), which says no more than
 * "look again". Fibers only. 1, 0 the deadline, -1 cancelled.
 */
int fiber_wait_for(const bool *done, monotime_t deadline);
void fiber_nudge(struct fiber *);
/* Every wait of it fails from now on, until it returns. */
void fiber_cancel(struct fiber *);
/* Let the others run. 1, -1 cancelled. */
int fiber_yield(void);
/* The same, if we have run for some milliseconds; cheap, for every loop. */
int fiber_share(void);
/* events as for poll(2). 1 ready, 0 deadline, -1. Blocks outside fibers. */
int fiber_wait_fd(int fd, short events, monotime_t deadline);

size_t fiber_count(void);		/* alive in this thread */
void fiber_trim(void);			/* unmap the pooled stacks */

#endif

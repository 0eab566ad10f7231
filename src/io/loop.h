/*
 * loop.h - one thread's events: descriptors, timers, turns.
 *
 * A process (or a test's thread) has at most one loop a thread. Callbacks run
 * on the loop's own stack and must not wait; what waits runs on a fiber.
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include "base/base.h"
#include "base/clock.h"

/* Embed it; zero-initialised is idle. */
struct timer {
	monotime_t at;
	void (*fn)(struct timer *);
	void *arg;
	size_t slot;		/* the loop's own: 0 when idle */
};

/* Embed it; watches fd while it is set. Clear it before the fd is closed. */
struct watch {
	int fd;
	void (*fn)(struct watch *, uint32_t events);	/* EPOLL* bits */
	void *arg;
	uint32_t events;	/* the loop's own: what it asked for */
};

int  loop_open(void);			/* 1, -1 */
void loop_close(void);	/* every watch and timer is idle by then */
bool loop_here(void);			/* this thread has one */
/* Turn until loop_stop(); 1, or -1 when epoll fails. */
int  loop_run(void);
void loop_stop(void);
/* One turn, waiting at most ms; for tests. */
int  loop_turn(int64_t ms);

void timer_set(struct timer *, monotime_t at);	/* moves it when it is set */
void timer_clear(struct timer *);

/*
 * events: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLET, EPOLLONESHOT (set it again
 * after each event), EPOLLEXCLUSIVE (never changed later). 1, -1.
 */
int  watch_set(struct watch *, uint32_t events);
void watch_clear(struct watch *);
void watch_close(struct watch *);	/* the same, and close fd, set or not */

/* fn(arg) once, at the end of this turn; called there, of the next one. */
void loop_defer(void (*fn)(void *), void *arg);

/* Signals as events (signalfd); the signal is blocked from then on. 1, -1. */
int  loop_signal(int signo, void (*fn)(int signo, void *arg), void *arg);

#endif

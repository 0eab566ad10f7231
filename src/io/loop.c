/*
 * loop.c - one thread's events: descriptors, timers, turns.
 *
 * A turn: wait for descriptors no longer than the next timer allows, call
 * the watches, call the timers that are due, call what was deferred. What is
 * deferred meanwhile belongs to the next turn, which then does not wait: no
 * fiber that yields for ever can keep the descriptors from being looked at.
 *
 * A watch may be cleared by anybody while its event is already fetched but
 * not yet delivered; watch_clear() takes it out of the fetched events.
 */
#include "io/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "io/fiber.h"

enum { EVENTS_PER_TURN = 128 };

struct call {
	void (*fn)(void *);
	void *arg;
};

struct calls {
	struct call *list;
	size_t count, room;
};

struct handler {
	void (*fn)(int signo, void *arg);
	void *arg;
};

struct loop {
	bool stopped;
	int epoll;
	struct epoll_event events[EVENTS_PER_TURN];
	int at, fetched;		/* events[at..fetched) are to come */
	struct timer **heap;		/* heap[1] is the next one due */
	size_t timers, heap_room;
	struct calls deferred;
	struct calls running;		/* last turn's list, to be used again */
	struct watch signals;
	sigset_t signal_set;
	struct handler handlers[NSIG];
};

static _Thread_local struct loop *loop;

int
loop_open(void)
{
	int fd;

	must(loop == NULL);
	fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd == -1)
		return -1;
	loop = xcalloc(1, sizeof(*loop));
	loop->epoll = fd;
	loop->signals.fd = -1;
	sigemptyset(&loop->signal_set);
	return 1;
}

bool
loop_here(void)
{
	return loop != NULL;
}

void
loop_close(void)
{
	must(loop != NULL && loop->timers == 0);
	fiber_trim();
	if (loop->signals.fd != -1)
		close(loop->signals.fd);
	close(loop->epoll);
	free(loop->heap);
	free(loop->deferred.list);
	free(loop->running.list);
	free(loop);
	loop = NULL;
}

/* -- timers: a binary heap ---- */

static void
heap_put(size_t slot, struct timer *t)
{
	loop->heap[slot] = t;
	t->slot = slot;
}

/* t belongs at `slot` or above it. */
static void
heap_rise(size_t slot, struct timer *t)
{
	while (slot > 1 && t->at.ms < loop->heap[slot / 2]->at.ms) {
		heap_put(slot, loop->heap[slot / 2]);
		slot /= 2;
	}
	heap_put(slot, t);
}

/* t belongs at `slot` or below it. */
static void
heap_sink(size_t slot, struct timer *t)
{
	size_t child;

	while ((child = slot * 2) <= loop->timers) {
		if (child < loop->timers && loop->heap[child + 1]->at.ms <
		    loop->heap[child]->at.ms)
			child++;
		if (t->at.ms <= loop->heap[child]->at.ms)
			break;
		heap_put(slot, loop->heap[child]);
		slot = child;
	}
	heap_put(slot, t);
}

static void
heap_place(size_t slot, struct timer *t)
{
	if (slot > 1 && t->at.ms < loop->heap[slot / 2]->at.ms)
		heap_rise(slot, t);
	else
		heap_sink(slot, t);
}

void
timer_set(struct timer *t, monotime_t at)
{
	t->at = at;
	if (t->slot != 0) {
		heap_place(t->slot, t);
		return;
	}
	if (loop->timers + 1 >= loop->heap_room) {
		loop->heap_room = MAX(64, loop->heap_room * 2);
		loop->heap = xrealloc(loop->heap,
		    loop->heap_room * sizeof(struct timer *));
	}
	heap_rise(++loop->timers, t);
}

void
timer_clear(struct timer *t)
{
	struct timer *last;
	size_t slot = t->slot;

	if (slot == 0)
		return;
	t->slot = 0;
	last = loop->heap[loop->timers--];
	if (last != t)
		heap_place(slot, last);
}

/* Those due now; a timer set again by its own call waits for its turn. */
static void
run_timers(void)
{
	monotime_t now = clock_mono();
	struct timer *t;

	for (size_t left = loop->timers; left > 0 && loop->timers > 0; left--) {
		t = loop->heap[1];
		if (t->at.ms > now.ms)
			return;
		timer_clear(t);
		t->fn(t);
	}
}

/* -- watches ---- */

int
watch_set(struct watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = w };
	int op = w->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	must(events != 0);
	if (w->events == events && (events & EPOLLONESHOT) == 0)
		return 1;
	if (epoll_ctl(loop->epoll, op, w->fd, &e) == -1)
		return -1;
	w->events = events;
	return 1;
}

static void
forget_fetched(const struct watch *w)
{
	for (int i = loop->at; i < loop->fetched; i++)
		if (loop->events[i].data.ptr == w)
			loop->events[i].data.ptr = NULL;
}

void
watch_clear(struct watch *w)
{
	if (w->events == 0)
		return;
	w->events = 0;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	forget_fetched(w);
}

/* epoll(7): closing the last descriptor of a file removes it. */
void
watch_close(struct watch *w)
{
	if (w->events != 0)
		forget_fetched(w);
	w->events = 0;
	close(w->fd);
	w->fd = -1;
}

static int
fetch(int ms)
{
	int n = epoll_wait(loop->epoll, loop->events, EVENTS_PER_TURN, ms);

	if (n == -1 && errno != EINTR)
		return -1;
	loop->at = 0;
	loop->fetched = MAX(n, 0);
	return 1;
}

static void
run_watches(void)
{
	struct epoll_event *e;
	struct watch *w;

	while (loop->at < loop->fetched) {
		e = &loop->events[loop->at++];
		if ((w = e->data.ptr) != NULL)
			w->fn(w, e->events);
	}
}

/* -- deferred calls ---- */

void
loop_defer(void (*fn)(void *), void *arg)
{
	struct calls *c = &loop->deferred;

	if (c->count == c->room) {
		c->room = MAX(64, c->room * 2);
		c->list = xrealloc(c->list, c->room * sizeof(*c->list));
	}
	c->list[c->count++] = (struct call){ fn, arg };
}

static void
run_deferred(void)
{
	struct calls now = loop->deferred;

	loop->deferred = loop->running;
	loop->running = (struct calls){ 0 };
	for (size_t i = 0; i < now.count; i++)
		now.list[i].fn(now.list[i].arg);
	now.count = 0;
	loop->running = now;
}

/* -- turns ---- */

static int
patience(int64_t ms)
{
	if (loop->deferred.count > 0)
		return 0;
	if (loop->timers > 0)
		ms = MIN(ms, mono_left(loop->heap[1]->at));
	return ms == INT64_MAX ? -1 : (int)MIN(MAX(ms, 0), INT32_MAX);
}

int
loop_turn(int64_t ms)
{
	if (fetch(patience(ms)) == -1)
		return -1;
	run_watches();
	run_timers();
	run_deferred();
	return 1;
}

int
loop_run(void)
{
	loop->stopped = false;
	while (!loop->stopped)
		if (loop_turn(INT64_MAX) == -1)
			return -1;
	return 1;
}

void
loop_stop(void)
{
	loop->stopped = true;
}

/* -- signals ---- */

static void
signals_came(struct watch *w, uint32_t events)
{
	struct signalfd_siginfo info;
	struct handler *h;

	(void)events;
	while (read(w->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		must(info.ssi_signo < NSIG);
		h = &loop->handlers[info.ssi_signo];
		if (h->fn != NULL)
			h->fn((int)info.ssi_signo, h->arg);
	}
}

int
loop_signal(int signo, void (*fn)(int signo, void *arg), void *arg)
{
	struct watch *w = &loop->signals;
	int fd;

	must(signo > 0 && signo < NSIG);
	loop->handlers[signo] = (struct handler){ fn, arg };
	sigaddset(&loop->signal_set, signo);
	if (pthread_sigmask(SIG_BLOCK, &loop->signal_set, NULL) != 0)
		return -1;
	fd = signalfd(w->fd, &loop->signal_set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd == -1)
		return -1;
	w->fd = fd;
	w->fn = signals_came;
	return watch_set(w, EPOLLIN);
}

/*
 * dns_event.c - see dns_event.h.
 *
 * An event is a descriptor, a time-out, or both. One without UB_EV_PERSIST
 * is off once it has come; one with it stays, its time-out counting anew. The
 * callback is called last, for it may free the event.
 */
#include "role/dns_event.h"
#include "io/loop.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/time.h>

#include <unbound.h>
#include <unbound-event.h>

typedef void callback(int fd, short bits, void *arg);

struct event {
	struct ub_event head;		/* first: libunbound knows this */
	int fd;
	short bits;
	callback *fn;
	void *arg;
	int64_t ms;			/* of its time-out; -1: none */
	struct watch watch;
	struct timer timer;
};

static struct event *
event_of(struct ub_event *head)
{
	return (struct event *)head;
}

static void
stop(struct event *e)
{
	watch_clear(&e->watch);
	timer_clear(&e->timer);
}

static void
arm_timer(struct event *e)
{
	if (e->ms >= 0)
		timer_set(&e->timer, clock_after(e->ms));
}

static void
fire(struct event *e, short bits)
{
	if ((e->bits & UB_EV_PERSIST) != 0)
		arm_timer(e);
	else
		stop(e);
	e->fn(e->fd, bits, e->arg);
}

/* Who waits for a descriptor that broke is told so by its next call. */
static void
on_watch(struct watch *w, uint32_t events)
{
	struct event *e = w->arg;
	bool broken = (events & (uint32_t)(EPOLLERR | EPOLLHUP)) != 0;
	int bits = 0;

	if (broken || (events & (uint32_t)EPOLLIN) != 0)
		bits |= UB_EV_READ;
	if (broken || (events & (uint32_t)EPOLLOUT) != 0)
		bits |= UB_EV_WRITE;
	bits &= e->bits;
	if (bits != 0)
		fire(e, (short)bits);
}

static void
on_timer(struct timer *t)
{
	fire(t->arg, UB_EV_TIMEOUT);
}

/* Up, so that it is never early. */
static int64_t
ms_of(const struct timeval *t)
{
	return (int64_t)t->tv_sec * 1000 + (t->tv_usec + 999) / 1000;
}

/* ---- what libunbound calls --------------------------------------------- */

static void
add_bits(struct ub_event *head, short bits)
{
	struct event *e = event_of(head);

	e->bits = (short)(e->bits | bits);
}

static void
del_bits(struct ub_event *head, short bits)
{
	struct event *e = event_of(head);

	e->bits = (short)(e->bits & ~bits);
}

static void
set_fd(struct ub_event *head, int fd)
{
	event_of(head)->fd = fd;
}

static void
event_free(struct ub_event *head)
{
	stop(event_of(head));
	free(event_of(head));
}

static int
event_add(struct ub_event *head, struct timeval *time)
{
	struct event *e = event_of(head);
	uint32_t events = 0;

	stop(e);
	if ((e->bits & UB_EV_READ) != 0)
		events |= (uint32_t)EPOLLIN;
	if ((e->bits & UB_EV_WRITE) != 0)
		events |= (uint32_t)EPOLLOUT;
	e->watch.fd = e->fd;
	e->ms = time != NULL && (e->bits & UB_EV_TIMEOUT) != 0 ?
	    ms_of(time) : -1;
	if (events != 0 && e->fd >= 0 && watch_set(&e->watch, events) != 1)
		return -1;
	arm_timer(e);
	return 0;
}

static int
event_del(struct ub_event *head)
{
	stop(event_of(head));
	return 0;
}

static int
add_timer(struct ub_event *head, struct ub_event_base *base, callback *fn,
    void *arg, struct timeval *time)
{
	struct event *e = event_of(head);

	(void)base;
	stop(e);
	e->fn = fn;
	e->arg = arg;
	e->ms = ms_of(time);
	arm_timer(e);
	return 0;
}

static int
no_signals(struct ub_event *head, struct timeval *time)
{
	(void)head, (void)time;
	return -1;
}

static int
no_signal(struct ub_event *head)
{
	(void)head;
	return -1;
}

static void
nothing(struct ub_event *head)
{
	(void)head;
}

static void
nothing_blocks(struct ub_event *head, int bit)
{
	(void)head, (void)bit;
}

static struct ub_event_vmt event_calls = {
	.add_bits = add_bits,
	.del_bits = del_bits,
	.set_fd = set_fd,
	.free = event_free,
	.add = event_add,
	.del = event_del,
	.add_timer = add_timer,
	.del_timer = event_del,
	.add_signal = no_signals,
	.del_signal = no_signal,
	.winsock_unregister_wsaevent = nothing,
	.winsock_tcp_wouldblock = nothing_blocks,
};

static struct ub_event *
new_event(struct ub_event_base *base, int fd, short bits, callback *fn,
    void *arg)
{
	struct event *e = xcalloc(1, sizeof(*e));

	(void)base;
	e->head = (struct ub_event){ UB_EVENT_MAGIC, &event_calls };
	e->fd = fd;
	e->bits = bits;
	e->fn = fn;
	e->arg = arg;
	e->ms = -1;
	e->watch = (struct watch){ .fd = fd, .fn = on_watch, .arg = e };
	e->timer = (struct timer){ .fn = on_timer, .arg = e };
	return &e->head;
}

static struct ub_event *
no_signal_event(struct ub_event_base *base, int fd, callback *fn, void *arg)
{
	(void)base, (void)fd, (void)fn, (void)arg;
	return NULL;
}

static struct ub_event *
no_other_event(struct ub_event_base *base, void *other, callback *fn,
    void *arg)
{
	(void)base, (void)other, (void)fn, (void)arg;
	return NULL;
}

/* Our loop turns by itself, and ends when the role does. */
static int
no_dispatch(struct ub_event_base *base)
{
	(void)base;
	return -1;
}

static int
no_exit(struct ub_event_base *base, struct timeval *time)
{
	(void)base, (void)time;
	return 0;
}

static void
keep_base(struct ub_event_base *base)
{
	(void)base;
}

static struct ub_event_base_vmt base_calls = {
	.free = keep_base,
	.dispatch = no_dispatch,
	.loopexit = no_exit,
	.new_event = new_event,
	.new_signal = no_signal_event,
	.winsock_register_wsaevent = no_other_event,
};

struct ub_event_base *
dns_event_base(void)
{
	static struct ub_event_base base = { UB_EVENT_MAGIC, &base_calls };

	must(loop_here());
	return &base;
}

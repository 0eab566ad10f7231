/*
 * listener.c - a port: accepting, and not accepting.
 *
 * The listening socket is shared with other processes; EPOLLEXCLUSIVE wakes
 * one of them for a connection: the first in the kernel's list that waits. So
 * who has accepted goes to the end of it, else the first process would have
 * nearly all sessions while there is little to do. Options that every session
 * wants are set on the listening socket, from which Linux hands them on.
 *
 * Without descriptors or memory there is no way to refuse a connection, and
 * the socket stays readable: so the port rests for a moment. It does so before
 * the last descriptor is gone: the sessions that are there need some, and
 * another process may have more.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "io/loop.h"
#include "io/session_impl.h"

enum {
	ACCEPTS_PER_TURN = 16,
	REST_MS = 500,
	KEPT_SHARE = 16,	/* of the descriptors, for other things */
	/* A peer that vanished is found in 10 minutes (RFC 5482 aside). */
	KEEPALIVE_IDLE = 300,		/* seconds */
	KEEPALIVE_INTERVAL = 60,
	KEEPALIVE_PROBES = 5,
};

struct listener {
	struct listener_options options;
	struct watch watch;
	struct timer rest;
	rlim_t room;		/* descriptors from here on are kept */
	uint16_t port;
	struct listener *next;
};

static _Thread_local struct listener *listeners;

static void
watch_port(struct listener *l)
{
	if (watch_set(&l->watch, EPOLLIN | EPOLLEXCLUSIVE) == -1)
		log_event(LOG_LEVEL_ERROR, "session.listen",
		    log_str("service", l->options.service->name),
		    log_errno());
}

static void
rest_over(struct timer *t)
{
	watch_port(t->arg);
}

static void
rest(struct listener *l)
{
	log_event(LOG_LEVEL_WARNING, "session.accept",
	    log_str("service", l->options.service->name), log_errno());
	watch_clear(&l->watch);
	timer_set(&l->rest, clock_after(REST_MS));
}

static bool
is_exhaustion(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS ||
	    error == ENOMEM;
}

/* The kernel gives the lowest that is free. */
static bool
has_room(const struct listener *l)
{
	int lowest = fcntl(l->watch.fd, F_DUPFD_CLOEXEC, 0);

	if (lowest == -1)
		return false;
	close(lowest);
	errno = EMFILE;		/* if not: why */
	return (rlim_t)lowest < l->room;
}

/* The others first, the next time. */
static void
go_to_the_end(struct listener *l)
{
	if (l->watch.events == 0)
		return;
	watch_clear(&l->watch);
	watch_port(l);
}

static void
accept_some(struct listener *l)
{
	struct watch *w = &l->watch;
	struct sockaddr_storage from = { 0 };
	socklen_t size;
	int fd;

	for (int i = 0; i < ACCEPTS_PER_TURN && w->events != 0; i++) {
		size = sizeof(from);
		fd = accept4(w->fd, (struct sockaddr *)&from, &size,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1) {
			session_admit(&l->options, fd, &from, l->port);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		if (is_exhaustion(errno)) {
			rest(l);
			return;
		}
		/* Anything else was that connection's own misfortune. */
	}
}

static void
port_ready(struct watch *w, uint32_t events)
{
	struct listener *l = w->arg;

	(void)events;
	if (!has_room(l)) {
		rest(l);
		return;
	}
	accept_some(l);
	go_to_the_end(l);
}

static rlim_t
room_of_process(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == -1)
		return RLIM_INFINITY;
	return files.rlim_cur - files.rlim_cur / KEPT_SHARE;
}

/* Failing is no harm: a Unix socket has none of these. */
static void
set_options(int fd)
{
	const struct { int level, name, value; } options[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES },
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		(void)setsockopt(fd, options[i].level, options[i].name,
		    &options[i].value, sizeof(options[i].value));
}

struct listener *
listener_open(const struct listener_options *options)
{
	struct listener *l = xcalloc(1, sizeof(*l));
	struct sockaddr_storage local = { 0 };
	socklen_t size = sizeof(local);

	l->options = *options;
	l->watch = (struct watch){ .fd = options->fd, .fn = port_ready,
	    .arg = l };
	l->rest = (struct timer){ .fn = rest_over, .arg = l };
	l->room = room_of_process();
	set_options(options->fd);
	if (getsockname(options->fd, (struct sockaddr *)&local, &size) == 0)
		l->port = session_port(&local);
	l->next = listeners;
	listeners = l;
	watch_port(l);
	return l;
}

void
listener_close(struct listener **p)
{
	struct listener *l = *p, **at = &listeners;

	if (l == NULL)
		return;
	*p = NULL;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	timer_clear(&l->rest);
	/* Other processes hold the socket too: it would stay in our epoll. */
	watch_clear(&l->watch);
	watch_close(&l->watch);
	free(l);
}

void
listener_pause_all(void)
{
	for (struct listener *l = listeners; l != NULL; l = l->next) {
		timer_clear(&l->rest);
		watch_clear(&l->watch);
	}
}

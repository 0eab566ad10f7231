/*
 * session.c - a connection that costs almost nothing while it is idle.
 *
 * A session is in one of three phases:
 *
 *	RUNNING	on its fiber, in a function of its service
 *	PARKED	no fiber, no buffers; the stream and a timer will rouse it
 *	DUE	roused, its fiber starts at the end of this turn
 *
 * What it was roused for is a set of causes; serve() handles them one at a
 * time, the weightiest first, until there is none left, and parks again.
 *
 * A part of a command that the service left at hand does not keep a session
 * from parking: the service is called again when there is more of it.
 */
#include "io/session.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "io/session_impl.h"
#include "io/session_limit.h"
#include "io/session_proxy.h"
#include "io/stream_layer.h"
#include "io/tls.h"

enum {
	ID_LENGTH = 10,
	RETRY_MS = 100,		/* no memory for a stack */
};

enum phase { RUNNING, PARKED, DUE };

/* In the order in which they are looked at. */
enum cause {
	GONE = 1 << 0,		/* the peer closed, or the stream failed */
	STOP = 1 << 1,
	OPEN = 1 << 2,
	WAKE = 1 << 3,
	EXPIRE = 1 << 4,
	INPUT = 1 << 5,
};

struct session {
	const struct service *service;
	void *state;
	struct stream *stream;
	struct tls_server *tls;
	struct session_place *place;
	struct fiber *fiber;		/* while running */
	struct timer timer;
	monotime_t deadline;		/* of the next park */
	size_t max_sessions, max_per_address;
	int64_t handshake_timeout;
	bool implicit_tls;
	bool proxied;			/* a PROXY header comes first */
	uint64_t refused;		/* input up to here is part of one */
	unsigned causes;
	enum phase phase;
	bool cut;			/* its waits are to fail */
	char id[ID_LENGTH + 1];
	struct session_peer peer;
	struct session *prev, *next;
};

static _Thread_local struct {
	struct session *all;
	size_t parked;
	uint64_t last_id;
	/* session_stop_all() */
	bool stopping;
	struct timer patience;
	void (*done)(void *);
	void *done_arg;
} here;

/* -- what a service may ask ---- */

struct stream *
session_stream(struct session *s)
{
	return s->stream;
}

const struct session_peer *
session_peer(const struct session *s)
{
	return &s->peer;
}

const char *
session_id(const struct session *s)
{
	return s->id;
}

struct tls_server *
session_tls(const struct session *s)
{
	return s->tls;
}

void
session_deadline(struct session *s, monotime_t deadline)
{
	s->deadline = deadline;
}

size_t
session_count(const struct service *service)
{
	return session_place_count(service);
}

size_t
session_count_parked(void)
{
	return here.parked;
}

/* -- rousing ---- */

static void serve(void *arg);

static void
start_fiber(void *arg)
{
	struct session *s = arg;

	if (fiber_start(serve, s) == -1)
		timer_set(&s->timer, clock_after(RETRY_MS));
}

/* Without a cause: look whether there is one. */
static void
rouse(struct session *s, unsigned causes)
{
	s->causes |= causes;
	if (s->phase != PARKED)
		return;
	s->phase = DUE;
	here.parked--;
	timer_clear(&s->timer);
	stream_unpark(s->stream);
	loop_defer(start_fiber, s);
}

/* The bytes are still in the socket: park() will not park, and find them. */
static void
input_came(void *arg)
{
	rouse(arg, 0);
}

static void
timer_rang(struct timer *t)
{
	struct session *s = t->arg;

	if (s->phase == DUE)
		start_fiber(s);
	else
		rouse(s, EXPIRE);
}

void
session_wake(struct session *s)
{
	rouse(s, WAKE);
}

/* -- the end ---- */

static void
stopped(void *arg)
{
	void (*done)(void *) = here.done;

	(void)arg;
	timer_clear(&here.patience);
	here.stopping = false;
	here.done = NULL;
	if (done != NULL)
		done(here.done_arg);
}

static void
unlink_session(struct session *s)
{
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		here.all = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	if (here.all == NULL && here.stopping)
		loop_defer(stopped, NULL);
}

static void
finish(struct session *s)
{
	stream_flush(s->stream);
	if (s->state != NULL)
		s->service->close(s->state);
	stream_linger(s->stream);
	stream_free(&s->stream);
	tls_server_free(&s->tls);
	if (s->place != NULL)
		session_place_give(s->place);
	unlink_session(s);
	free(s);
}

/* -- serving ---- */

static void set_peer(struct session_peer *, const struct sockaddr_storage *);

int
session_set_peer(struct session *s, const struct sockaddr_storage *peer)
{
	set_peer(&s->peer, peer);
	if (s->place != NULL)
		session_place_give(s->place);
	s->place = session_place_take(s->service, peer, s->max_sessions,
	    s->max_per_address);
	return s->place != NULL;
}

/* Whoever says nothing of a client speaks for itself, and is a proxy that
 * looks whether we live. */
static bool
meet_proxy(struct session *s)
{
	struct proxy_header header;

	if (session_proxy_read(stream_fd(s->stream), &header,
	    clock_after(s->handshake_timeout)) != 1) {
		log_event(LOG_LEVEL_WARNING, "session.proxy",
		    log_str("service", s->service->name),
		    log_str("session", s->id),
		    log_str("address", s->peer.address),
		    log_str("error", "no PROXY header"));
		return false;
	}
	return !header.has_client ||
	    session_set_peer(s, &header.client) == 1;
}

static bool
shake_hands(struct session *s)
{
	if (s->tls != NULL && stream_start_tls(s->stream, s->tls,
	    clock_after(s->handshake_timeout)) == 1)
		return true;
	log_event(LOG_LEVEL_INFO, "session.handshake",
	    log_str("service", s->service->name),
	    log_str("session", s->id),
	    log_str("address", s->peer.address),
	    log_text("error", stream_tls_info(s->stream)));
	return false;
}

static enum session_next
begin(struct session *s)
{
	if ((s->proxied && !meet_proxy(s)) ||
	    (s->implicit_tls && !shake_hands(s)))
		return SESSION_CLOSE;
	return s->service->open(s, &s->state);
}

static enum session_next
expire(struct session *s)
{
	s->deadline = MONOTIME_NEVER;
	return s->service->expire != NULL ? s->service->expire(s->state)
	    : SESSION_CLOSE;
}

static enum session_next
stop(struct session *s)
{
	if (s->service->stop != NULL && s->state != NULL)
		s->service->stop(s->state);
	return SESSION_CLOSE;
}

static enum session_next
input(struct session *s)
{
	uint64_t received = stream_received(s->stream);
	size_t held = stream_input(s->stream).n;
	enum session_next next = s->service->input(s->state);

	/* Nothing taken, nothing more read: it is waiting for the rest. */
	if (stream_received(s->stream) == received &&
	    stream_input(s->stream).n == held)
		s->refused = received;
	return next;
}

/* Some input is there that the service has not seen and left. */
static bool
has_news(struct session *s)
{
	return stream_input(s->stream).n > 0 &&
	    stream_received(s->stream) > s->refused;
}

/* Handle the weightiest cause. */
static enum session_next
handle(struct session *s)
{
	unsigned cause = s->causes & -s->causes;

	s->causes &= ~cause;
	switch ((enum cause)cause) {
	case GONE:
		return SESSION_CLOSE;
	case STOP:
		return stop(s);
	case OPEN:
		return begin(s);
	case WAKE:
		return s->service->wake != NULL ? s->service->wake(s->state)
		    : SESSION_PARK;
	case EXPIRE:
		return expire(s);
	case INPUT:
		return input(s);
	}
	must_fail("a session has a cause", __FILE__, __LINE__);
}

/* true: s may be gone at any time. false: there is a cause to handle. */
static bool
park(struct session *s)
{
	if (s->causes != 0)
		return false;
	if (has_news(s)) {
		s->causes = INPUT;
		return false;
	}
	if (!stream_park_with(s->stream, input_came, s)) {
		s->causes |= has_news(s) ? INPUT : GONE;
		return false;
	}
	if (s->causes != 0) {	/* it came while we flushed */
		stream_unpark(s->stream);
		return false;
	}
	s->phase = PARKED;
	s->fiber = NULL;
	here.parked++;
	if (s->deadline.ms != INT64_MAX)
		timer_set(&s->timer, s->deadline);
	return true;
}

static void
serve(void *arg)
{
	struct session *s = arg;

	s->phase = RUNNING;
	s->fiber = fiber_self();
	if (s->cut)
		fiber_cancel(s->fiber);
	while (!park(s)) {
		if (handle(s) == SESSION_CLOSE) {
			finish(s);
			return;
		}
		(void)fiber_share();
	}
}

/* -- the beginning ---- */

uint16_t
session_port(const struct sockaddr_storage *a)
{
	if (a->ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)a)->sin_port);
	if (a->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)a)->sin6_port);
	return 0;
}

static void
set_peer(struct session_peer *p, const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *in6 = (const void *)from;
	struct in_addr in = { htonl(INADDR_LOOPBACK) };

	p->port = session_port(from);
	if (from->ss_family == AF_INET6 &&
	    !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		inet_ntop(AF_INET6, &in6->sin6_addr, p->address,
		    sizeof(p->address));
		p->loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
		return;
	}
	if (from->ss_family == AF_INET6)
		memcpy(&in, in6->sin6_addr.s6_addr + 12, sizeof(in));
	else if (from->ss_family == AF_INET)
		in = ((const struct sockaddr_in *)from)->sin_addr;
	inet_ntop(AF_INET, &in, p->address, sizeof(p->address));
	p->loopback = ntohl(in.s_addr) >> 24 == 127;
}

/* Counted from a random start, so that processes rarely share one. */
static void
set_id(struct session *s)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	uint64_t id;

	if (here.last_id == 0)
		here.last_id = random_u64();
	id = ++here.last_id;
	for (size_t i = ID_LENGTH; i-- > 0; id >>= 5)
		s->id[i] = digits[id & 31];
}

/* TLS from the start has no words for it; then the door just closes. */
static int
turn_away(const struct listener_options *o, int fd)
{
	if (!o->implicit_tls && o->busy_answer != NULL)
		(void)send(fd, o->busy_answer, strlen(o->busy_answer),
		    MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
	return 0;
}

static struct session *
new_session(const struct listener_options *o, int fd)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->service = o->service;
	s->stream = stream_new(&stream_socket_layer, fd);
	s->tls = o->tls != NULL ? tls_server_ref(o->tls(o->arg)) : NULL;
	s->max_sessions = o->max_sessions;
	s->max_per_address = o->max_per_address;
	s->handshake_timeout = o->handshake_timeout;
	s->implicit_tls = o->implicit_tls;
	s->deadline = MONOTIME_NEVER;
	s->timer = (struct timer){ .fn = timer_rang, .arg = s };
	s->causes = OPEN;
	s->phase = DUE;
	set_id(s);
	s->next = here.all;
	if (here.all != NULL)
		here.all->prev = s;
	here.all = s;
	return s;
}

int
session_admit(const struct listener_options *o, int fd,
    const struct sockaddr_storage *from, uint16_t local_port)
{
	struct session_peer peer = { .local_port = local_port };
	struct session_place *place;
	struct session *s;
	bool proxied;

	set_peer(&peer, from);
	proxied = o->proxied != NULL && o->proxied(o->arg, peer.address);
	/* Many come through a proxy: theirs is the limit that counts. */
	place = here.stopping ? NULL : session_place_take(o->service, from,
	    o->max_sessions, proxied ? 0 : o->max_per_address);
	if (place == NULL)
		return turn_away(o, fd);
	s = new_session(o, fd);
	s->place = place;
	s->peer = peer;
	s->proxied = proxied;
	start_fiber(s);
	return 1;
}

int
session_start(const struct listener_options *o, int fd)
{
	struct sockaddr_storage peer = { 0 }, local = { 0 };
	socklen_t peer_size = sizeof(peer), local_size = sizeof(local);
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_size) == -1 ||
	    getsockname(fd, (struct sockaddr *)&local, &local_size) == -1) {
		close(fd);
		return -1;
	}
	return session_admit(o, fd, &peer, session_port(&local));
}

/* -- stopping ---- */

static void
cut_all(struct timer *t)
{
	(void)t;
	for (struct session *s = here.all; s != NULL; s = s->next) {
		s->cut = true;
		if (s->phase == RUNNING)
			fiber_cancel(s->fiber);
	}
}

void
session_stop_all(int64_t ms, void (*done)(void *), void *arg)
{
	must(!here.stopping);
	here.stopping = true;
	here.done = done;
	here.done_arg = arg;
	listener_pause_all();
	for (struct session *s = here.all; s != NULL; s = s->next)
		rouse(s, STOP);
	if (here.all == NULL) {
		loop_defer(stopped, NULL);
		return;
	}
	here.patience = (struct timer){ .fn = cut_all };
	timer_set(&here.patience, clock_after(ms));
}

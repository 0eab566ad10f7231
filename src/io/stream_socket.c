/*
 * stream_socket.c - the lowest layer: a connected socket.
 *
 * The socket is added to epoll once, edge-triggered; from then on `readable`
 * and `writable` say what the last edge and the last call told. A read that
 * brought less than was asked for has emptied the socket, unless the peer has
 * hung up (that edge comes only once, so then reading goes on to the end).
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/fiber.h"
#include "io/stream_layer.h"

enum {
	LINGER_MS = 2000,
	LINGER_BYTES = 256 << 10,
};

/* -- events ---- */

/* What the stream waits for has come, as far as we know. */
static bool
has_come(const struct stream *s)
{
	return s->want == POLLIN ? s->readable : s->writable;
}

static void
socket_event(struct watch *w, uint32_t events)
{
	struct stream *s = w->arg;
	void (*on_input)(void *) = s->on_input;

	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		s->hung_up = true;
	if ((events & EPOLLIN) != 0 || s->hung_up)
		s->readable = true;
	if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
		s->writable = true;
	if (s->waiter != NULL) {
		s->ready = has_come(s);
		if (s->ready)
			fiber_nudge(s->waiter);
	} else if (on_input != NULL && s->readable) {
		s->on_input = NULL;
		on_input(s->on_input_arg);
	}
}

int
stream_watch(struct stream *s, short want)
{
	uint32_t events = EPOLLIN | EPOLLRDHUP | EPOLLET;

	/* Once asked for, EPOLLOUT stays: an edge after a full buffer. */
	events |= want == POLLOUT ? EPOLLOUT : s->watch.events & EPOLLOUT;
	s->watch.fd = s->fd;
	s->watch.fn = socket_event;
	s->watch.arg = s;
	if (watch_set(&s->watch, events) == -1)
		return stream_fail(s, errno);
	return 1;
}

int
stream_wait(struct stream *s, monotime_t deadline)
{
	int done;

	if (fiber_self() == NULL) {
		done = fiber_wait_fd(s->fd, s->want, deadline);
		if (done == 1)
			s->readable = s->writable = true;
		return done;
	}
	must(s->waiter == NULL);
	/* The edge may have come while what we had to say was flushed. */
	s->ready = has_come(s);
	if (stream_watch(s, s->want) == -1)
		return -1;
	s->waiter = fiber_self();
	done = fiber_wait_for(&s->ready, deadline);
	s->waiter = NULL;
	return done;
}

/* -- the layer ---- */

static ssize_t
not_now(struct stream *s, short want)
{
	if (want == POLLIN)
		s->readable = false;
	else
		s->writable = false;
	s->want = want;
	errno = EAGAIN;
	return -1;
}

static ssize_t
socket_read(struct stream *s, void *p, size_t room)
{
	ssize_t n;

	if (!s->readable)
		return not_now(s, POLLIN);
	do {
		n = recv(s->fd, p, room, 0);
	} while (n == -1 && errno == EINTR);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return not_now(s, POLLIN);
	if (n > 0 && (size_t)n < room && !s->hung_up)
		s->readable = false;
	return n;
}

static ssize_t
socket_write(struct stream *s, const void *p, size_t size)
{
	ssize_t n;

	if (!s->writable)
		return not_now(s, POLLOUT);
	do {
		n = send(s->fd, p, size, MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return not_now(s, POLLOUT);
	return n;
}

static bool
socket_holds_input(const struct stream *s)
{
	(void)s;
	return false;
}

static void
socket_nothing(struct stream *s)
{
	(void)s;
}

const struct stream_layer stream_socket_layer = {
	.read = socket_read,
	.write = socket_write,
	.holds_input = socket_holds_input,
	.say_goodbye = socket_nothing,
	.free = socket_nothing,
};

struct stream *
stream_socket(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags != -1 && (flags & O_NONBLOCK) == 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	return stream_new(&stream_socket_layer, fd);
}

/* -- the end ---- */

void
stream_linger(struct stream *s)
{
	monotime_t deadline = clock_after(LINGER_MS);
	size_t left = LINGER_BYTES;
	char rest[4096];
	ssize_t n;

	if (s->fd == -1 || s->error != 0 || s->ended || !s->readable)
		return;
	s->layer->say_goodbye(s);
	if (shutdown(s->fd, SHUT_WR) == -1)
		return;
	while ((n = socket_read(s, rest, sizeof(rest))) != 0) {
		if (n == -1 && errno != EAGAIN)
			return;
		if (n == -1 && stream_wait(s, deadline) != 1)
			return;
		if (n > 0 && (left -= MIN(left, (size_t)n)) == 0)
			return;
	}
}

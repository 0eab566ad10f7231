/*
 * stream.c - bytes in and out with deadlines: the buffers.
 *
 * What is below the buffers is a layer (stream_layer.h): the socket, TLS over
 * it, or memory. Layers never wait; all waiting is here, in stream_fill() and
 * stream_flush(), on the fiber.
 *
 * Buffers are blocks of 16 KiB (the size of a TLS record) from a small pool.
 * A stream has one while bytes are in it or while a handler works between two
 * fills; a stream that waits for input with none at hand holds no block.
 *
 * Reading that fails by the caller's own limits (ETIMEDOUT, ECANCELED,
 * ENOBUFS, EMSGSIZE) does not spoil the stream: the handler may still say
 * why it closes. Everything else is kept in `error`.
 */
#include "io/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/text.h"
#include "io/fiber.h"
#include "io/stream_layer.h"

enum {
	BLOCK = 16 << 10,
	POOL_MAX = 32,		/* blocks kept by a thread */
	READ_ROOM = 4 << 10,	/* a read asks for no less, if it can be had */
	WRITE_TIMEOUT = 300000,	/* ms; RFC 5321 4.5.3.2 */
};

struct block {
	struct block *next;
};

static _Thread_local struct block *pool;
static _Thread_local size_t pooled;

/* -- blocks ---- */

static char *
block_take(void)
{
	struct block *b = pool;

	if (b == NULL)
		return xmalloc(BLOCK);
	pool = b->next;
	pooled--;
	return (char *)b;
}

/* Passwords come this way, so nothing stays in a block that waits. */
static void
buffer_free(struct stream_buffer *b)
{
	struct block *block = (struct block *)(void *)b->data;

	if (block == NULL)
		return;
	secret_wipe(b->data, MAX(b->used, b->n));
	if (b->room == BLOCK && pooled < POOL_MAX) {
		block->next = pool;
		pool = block;
		pooled++;
	} else {
		free(b->data);
	}
	*b = (struct stream_buffer){ 0 };
}

static void
buffer_resize(struct stream_buffer *b, size_t room)
{
	struct stream_buffer old = *b;

	b->data = room == BLOCK ? block_take() : xmalloc(room);
	b->room = room;
	b->n = b->used = old.n - old.from;
	b->from = 0;
	if (b->n > 0)
		memcpy(b->data, old.data + old.from, b->n);
	buffer_free(&old);
}

static size_t
buffer_held(const struct stream_buffer *b)
{
	return b->n - b->from;
}

/* Room for the next read; false when all there may be is in use. */
static bool
input_room(struct stream_buffer *b)
{
	if (b->from == b->n)
		b->from = b->n = 0;
	if (b->room - b->n >= READ_ROOM)
		return true;
	if (b->from > 0) {
		memmove(b->data, b->data + b->from, buffer_held(b));
		b->n -= b->from;
		b->from = 0;
	}
	if (b->room - b->n >= READ_ROOM)
		return true;
	if (b->room < STREAM_INPUT_MAX)
		buffer_resize(b, b->room < BLOCK ? BLOCK
		    : MIN(b->room * 2, STREAM_INPUT_MAX));
	return b->n < b->room;
}

/* -- making and freeing ---- */

void
stream_free(struct stream **p)
{
	struct stream *s = *p;

	if (s == NULL)
		return;
	*p = NULL;
	must(s->waiter == NULL);
	if (s->error == 0)
		s->layer->say_goodbye(s);
	s->layer->free(s);
	buffer_free(&s->in);
	buffer_free(&s->out);
	if (s->fd != -1)
		watch_close(&s->watch);
	free(s);
}

struct stream *
stream_new(const struct stream_layer *layer, int fd)
{
	struct stream *s = xcalloc(1, sizeof(*s));

	s->layer = layer;
	s->fd = s->watch.fd = fd;
	s->readable = s->writable = true;
	s->write_timeout = WRITE_TIMEOUT;
	return s;
}

int
stream_fail(struct stream *s, int error)
{
	if (s->error == 0)
		s->error = error != 0 ? error : EIO;
	errno = s->error;
	return -1;
}

int
stream_error(const struct stream *s)
{
	return s->error;
}

int
stream_fd(const struct stream *s)
{
	return s->fd;
}

/* -- reading ---- */

struct span
stream_input(struct stream *s)
{
	if (buffer_held(&s->in) == 0)
		return SPAN_EMPTY;
	return span_of(s->in.data + s->in.from, buffer_held(&s->in));
}

void
stream_take(struct stream *s, size_t n)
{
	must(n <= buffer_held(&s->in));
	s->in.from += n;
	s->taken += n;
	s->scanned -= MIN(n, s->scanned);
}

void
stream_discard_input(struct stream *s)
{
	stream_take(s, buffer_held(&s->in));
}

uint64_t
stream_received(const struct stream *s)
{
	return s->taken + buffer_held(&s->in);
}

/* One read. 1 bytes came; 0 the end, or nothing now (EAGAIN); -1. */
static int
read_some(struct stream *s)
{
	struct stream_buffer *b = &s->in;
	ssize_t n;

	s->again = false;
	n = s->layer->read(s, b->data + b->n, b->room - b->n);
	if (n > 0) {
		b->n += (size_t)n;
		b->used = MAX(b->used, b->n);
		return 1;
	}
	if (n == 0) {
		s->ended = true;
		return 0;
	}
	return errno == EAGAIN ? 0 : stream_fail(s, errno);
}

static void
input_release(struct stream *s)
{
	if (buffer_held(&s->in) == 0)
		buffer_free(&s->in);
}

/* Nothing is there: say what we have to say, then wait. 1, -1. */
static int
await_input(struct stream *s, monotime_t deadline)
{
	short want = s->want;
	int ready;

	if (stream_flush(s) == -1)
		return -1;
	s->want = want;
	input_release(s);
	ready = stream_wait(s, deadline);
	if (ready == 0)
		errno = ETIMEDOUT;
	return ready == 1 ? 1 : -1;
}

int
stream_fill(struct stream *s, monotime_t deadline)
{
	int came;

	/* A peer as fast as we are would never let us wait. */
	if (fiber_share() == -1)
		return -1;
	for (;;) {
		if (s->error != 0)
			return stream_fail(s, s->error);
		if (s->ended)
			return 0;
		if (!input_room(&s->in)) {
			errno = ENOBUFS;
			return -1;
		}
		came = read_some(s);
		if (came != 0)
			return came;
		if (s->again) {
			if (mono_left(deadline) == 0) {
				errno = ETIMEDOUT;
				return -1;
			}
			if (fiber_share() == -1)
				return -1;
		} else if (!s->ended && await_input(s, deadline) == -1) {
			return -1;
		}
	}
}

/* The kernel keeps what came before the connection broke. */
bool
stream_salvage(struct stream *s)
{
	int error = s->error;

	s->error = 0;
	s->readable = true;
	while (!s->ended && input_room(&s->in) && read_some(s) == 1)
		;
	s->error = error;
	return buffer_held(&s->in) > 0;
}

int
stream_line(struct stream *s, struct span *line, size_t max,
    monotime_t deadline)
{
	struct span in;
	size_t at;
	int came;

	for (;;) {
		in = stream_input(s);
		at = span_find_char(in, '\n', s->scanned);
		s->scanned = MIN(at, in.n);
		if (at < max && at < in.n) {
			*line = span_sub(in, 0, at + 1);
			return 1;
		}
		if (in.n >= max) {
			errno = EMSGSIZE;
			return -1;
		}
		came = stream_fill(s, deadline);
		if (came == -1 && errno == ENOBUFS)
			errno = EMSGSIZE;
		if (came != 1)
			return came;
	}
}

int
stream_skip_line(struct stream *s, uint64_t max, monotime_t deadline)
{
	struct span in;
	size_t at, n;
	int came;

	for (;;) {
		in = stream_input(s);
		at = span_find_char(in, '\n', s->scanned);
		n = at < in.n ? at + 1 : in.n;
		stream_take(s, n);
		if (n > max) {
			errno = EMSGSIZE;
			return -1;
		}
		if (at < in.n)
			return 1;
		max -= n;
		came = stream_fill(s, deadline);
		if (came != 1)
			return came;
	}
}

/* -- writing ---- */

void
stream_set_write_timeout(struct stream *s, int64_t ms)
{
	s->write_timeout = ms;
}

/* A layer could not: wait, unless it failed. 1 try again, -1. */
static int
await_output(struct stream *s, monotime_t *deadline)
{
	int ready;

	if (errno != EAGAIN)
		return stream_fail(s, errno);
	if (deadline->ms == INT64_MAX)
		*deadline = clock_after(s->write_timeout);
	ready = stream_wait(s, *deadline);
	return ready == 1 ? 1 : stream_fail(s, ready == 0 ? ETIMEDOUT : errno);
}

/* Hand what was written to the layer. 1, -1. */
static int
drain(struct stream *s, monotime_t *deadline)
{
	struct stream_buffer *b = &s->out;
	ssize_t n;

	while (s->error == 0 && buffer_held(b) > 0) {
		n = s->layer->write(s, b->data + b->from, buffer_held(b));
		if (n >= 0) {
			b->from += (size_t)n;
			if (fiber_share() == -1)
				return stream_fail(s, errno);
		} else if (await_output(s, deadline) == -1) {
			return -1;
		}
	}
	buffer_free(b);
	return s->error == 0 ? 1 : stream_fail(s, s->error);
}

int
stream_flush(struct stream *s)
{
	monotime_t deadline = MONOTIME_NEVER;

	if (drain(s, &deadline) == -1)
		return -1;
	if (s->layer->flush == NULL)
		return 1;
	while (s->layer->flush(s) == -1)
		if (await_output(s, &deadline) == -1)
			return -1;
	return 1;
}

/* Where the next output goes; *room > 0, or NULL after a failure. */
static char *
output_room(struct stream *s, size_t *room)
{
	struct stream_buffer *b = &s->out;

	monotime_t deadline = MONOTIME_NEVER;

	if (s->error != 0 || (b->n == BLOCK && drain(s, &deadline) == -1))
		return NULL;
	if (b->data == NULL)
		*b = (struct stream_buffer){ .data = block_take(),
		    .room = BLOCK };
	*room = b->room - b->n;
	return b->data + b->n;
}

/* What is longer than a block goes out from where it lies. */
static struct span
write_through(struct stream *s, struct span bytes)
{
	monotime_t deadline = MONOTIME_NEVER;
	ssize_t n;

	if (drain(s, &deadline) == -1)
		return SPAN_EMPTY;
	while (bytes.n >= BLOCK) {
		n = s->layer->write(s, bytes.p, bytes.n);
		if (n >= 0)
			bytes = span_from(bytes, (size_t)n);
		else if (await_output(s, &deadline) == -1)
			return SPAN_EMPTY;
		if (fiber_share() == -1) {
			stream_fail(s, errno);
			return SPAN_EMPTY;
		}
	}
	return bytes;
}

void
stream_write(struct stream *s, struct span bytes)
{
	size_t n;
	char *to;

	if (bytes.n >= 2 * BLOCK && s->error == 0)
		bytes = write_through(s, bytes);
	while (bytes.n > 0 && (to = output_room(s, &n)) != NULL) {
		n = MIN(n, bytes.n);
		memcpy(to, bytes.p, n);
		s->out.n += n;
		bytes = span_from(bytes, n);
	}
}

void
stream_str(struct stream *s, const char *str)
{
	stream_write(s, span_str(str));
}

void
stream_printf(struct stream *s, const char *fmt, ...)
{
	struct text long_one = TEXT_INIT(0);
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	must(n >= 0);
	if ((size_t)n < sizeof(line)) {
		stream_write(s, span_of(line, (size_t)n));
		return;
	}
	va_start(ap, fmt);
	text_vprintf(&long_one, fmt, ap);
	va_end(ap);
	stream_write(s, text_span(&long_one));
	text_free(&long_one);
}

void
stream_write_fd(struct stream *s, int fd, uint64_t from, uint64_t n)
{
	size_t room;
	ssize_t got;
	char *to;

	while (n > 0 && (to = output_room(s, &room)) != NULL) {
		got = pread(fd, to, MIN(room, n), (off_t)from);
		if (got == -1 && errno == EINTR)
			continue;
		if (got <= 0) {
			/* Less than was promised: nothing sensible follows. */
			stream_fail(s, got == 0 ? EIO : errno);
			return;
		}
		s->out.n += (size_t)got;
		from += (uint64_t)got;
		n -= (uint64_t)got;
	}
}

/* -- parking ---- */

/* Is there nothing to read? Leaves nothing of ours behind. */
static bool
settle(struct stream *s)
{
	if (stream_flush(s) == -1 || s->ended)
		return false;
	if (s->readable || s->layer->holds_input(s)) {
		if (!input_room(&s->in) || read_some(s) != 0 || s->ended ||
		    s->again)
			return false;
	}
	if (buffer_held(&s->in) == 0)
		buffer_free(&s->in);
	else if (s->in.room > buffer_held(&s->in))
		buffer_resize(&s->in, buffer_held(&s->in));
	if (s->layer->park != NULL)
		s->layer->park(s);
	return true;
}

/* Not kept by the kernel: it is said each time. Without TCP, without effect. */
void
stream_hurry(struct stream *s)
{
	int on = 1;

	if (s->fd >= 0 && buffer_held(&s->in) == 0)
		(void)setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &on,
		    sizeof(on));
}

bool
stream_park(struct stream *s)
{
	if (buffer_held(&s->in) > 0 || !settle(s))
		return false;
	/* The caller watches the descriptor in its own way. */
	watch_clear(&s->watch);
	s->readable = true;
	return true;
}

bool
stream_park_with(struct stream *s, void (*fn)(void *), void *arg)
{
	/* Watched for the first time, the socket tells us what it has. */
	if (s->watch.events == 0 && s->layer == &stream_socket_layer)
		s->readable = false;
	if (!settle(s) || stream_watch(s, POLLIN) == -1)
		return false;
	s->on_input = fn;
	s->on_input_arg = arg;
	return true;
}

void
stream_unpark(struct stream *s)
{
	s->on_input = NULL;
}

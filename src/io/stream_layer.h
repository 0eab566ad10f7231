/*
 * stream_layer.h - what lies below a stream's buffers.
 *
 * Private to io. A layer moves bytes and never waits: it returns how many,
 * 0 for an orderly end when reading, or -1 with errno; EAGAIN means that
 * the layer has set `want` to what it waits for (POLLIN or POLLOUT).
 *
 * The socket is watched edge-triggered and added to epoll once in its life,
 * so `readable` and `writable` remember what the edges said: a call that
 * would only learn EAGAIN is not made.
 */
#ifndef IO_STREAM_LAYER_H
#define IO_STREAM_LAYER_H

#include "base/base.h"
#include "base/text.h"
#include "io/loop.h"
#include "io/stream.h"

struct fiber;
struct tls;
struct deflate;

struct stream_layer {
	ssize_t (*read)(struct stream *, void *, size_t);
	ssize_t (*write)(struct stream *, const void *, size_t);
	/* Bytes may be inside the layer though the socket has none. */
	bool (*holds_input)(const struct stream *);
	/* NULL: nothing is held back. All written goes out: 1, or -1. */
	int (*flush)(struct stream *);
	/* NULL: nothing to do. Parked from now on: give memory back. */
	void (*park)(struct stream *);
	void (*say_goodbye)(struct stream *);	/* without waiting */
	void (*free)(struct stream *);
};

/* What is held is data[from..n); data[..used) was written to. */
struct stream_buffer {
	char *data;
	size_t from, n, used, room;
};

struct stream {
	const struct stream_layer *layer;
	void *layer_state;	/* of the memory stream */
	struct tls *tls;	/* stream_tls.c; NULL: none */
	struct deflate *deflate;	/* stream_deflate.c; NULL: none */
	int fd;
	int error;		/* the first failure */
	short want;		/* POLLIN, POLLOUT: after EAGAIN */
	bool again;		/* EAGAIN only to let others have a turn */
	bool readable;		/* reading may bring something */
	bool writable;
	bool hung_up;		/* the peer will send no more */
	bool ended;		/* and we have seen it all */
	bool ready;		/* an edge since the waiter began to wait */
	struct watch watch;
	struct fiber *waiter;
	void (*on_input)(void *);	/* while parked */
	void *on_input_arg;
	struct stream_buffer in, out;
	size_t scanned;		/* of the input, without LF in it */
	uint64_t taken;		/* bytes, since the beginning */
	int64_t write_timeout;
	const char *tls_failure;	/* NULL: none */
};

extern const struct stream_layer stream_socket_layer;

struct stream *stream_new(const struct stream_layer *, int fd);
/* Have the socket's events come to us. 1, -1. */
int stream_watch(struct stream *, short want);
/* Wait for s->want. 1, 0 the deadline, -1. */
int stream_wait(struct stream *, monotime_t deadline);
/* The failure is kept; -1. */
int stream_fail(struct stream *, int error);

/*
 * For session.c: as stream_park(), but a part of a command that is at hand
 * stays (in a block of its size). fn(arg) is called once, from the loop, when
 * there is something to read. false: there is already, or the stream failed.
 */
bool stream_park_with(struct stream *, void (*fn)(void *), void *arg);
void stream_unpark(struct stream *);
/* Bytes that ever came: the taken ones and those at hand. */
uint64_t stream_received(const struct stream *);
/*
 * After the last flush: closing a socket with unread input would reset the
 * connection and could destroy our last words on their way. Say that we are
 * done, and read what still comes, for a moment.
 */
void stream_linger(struct stream *);

#endif

/*
 * stream.h - bytes in and out with deadlines; socket, TLS, memory.
 *
 * One buffered stream for every protocol. Reading shows what has come
 * (stream_input), asks for more (stream_fill) and takes (stream_take).
 * Writing gathers and goes out by itself beyond 16 KiB, or by
 * stream_flush(); nothing is written while more input is at hand, which is
 * all that PIPELINING needs of us: sessions flush before they wait.
 *
 * The first failure is kept: afterwards every call fails at once, so that a
 * handler may write its whole answer and look at the end. Limits of the
 * reader's own (a deadline, a cancel, too long a line) are not failures of the
 * stream: the handler can still say goodbye.
 *
 * Buffers exist only while they hold something or a fiber works with them
 * (stream_park). One fiber at a time.
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include "base/base.h"
#include "base/clock.h"

struct stream;
struct tls_server;

enum { STREAM_INPUT_MAX = 64 << 10 };	/* most that stream_input can show */

struct stream *stream_socket(int fd);	/* owns fd, makes it non-blocking */
/* Tests: reads `input` in pieces of `piece` bytes (0: all at once), then
 * end of file; what is written is kept for stream_memory_output(). */
struct stream *stream_memory(struct span input, size_t piece);
struct span stream_memory_output(struct stream *);
void stream_free(struct stream **);	/* closes; TLS says close_notify */

/* -- reading ---- */
/* What is at hand, not yet taken. Never reads. */
struct span stream_input(struct stream *);
void stream_take(struct stream *, size_t n);
/*
 * Read at least one byte more; flushes before it waits. 1; 0 the peer closed
 * in order; -1 with errno: ETIMEDOUT, ECANCELED, ENOBUFS (STREAM_INPUT_MAX at
 * hand already), or the socket's.
 */
int stream_fill(struct stream *, monotime_t deadline);
/*
 * After a failure (a write the peer would not take): what it had said before
 * that, added to stream_input. Never waits. true: something is at hand.
 */
bool stream_salvage(struct stream *);
/*
 * The next line up to and with its LF, still in the buffer: valid until the
 * next fill; take it with stream_take(line.n). 1; 0 closed before a line
 * (what came stays in stream_input); -1, with EMSGSIZE when max bytes hold
 * no LF (the caller answers and calls stream_skip_line).
 */
int stream_line(struct stream *, struct span *line, size_t max,
    monotime_t deadline);
/*
 * Acknowledge at once what has come. A client that sends the end of what it
 * has to say on its own (the CRLF behind a literal) has it held back by its
 * kernel (Nagle's algorithm) until we do, else 40 ms. For when it is due.
 */
void stream_hurry(struct stream *);
/* Throw away up to and with the next LF, at most max bytes. 1, 0, -1. */
int stream_skip_line(struct stream *, uint64_t max, monotime_t deadline);
/* Drop what is at hand and unread (after STARTTLS: RFC 3207 section 4). */
void stream_discard_input(struct stream *);

/* -- writing ---- */
void stream_write(struct stream *, struct span);
void stream_str(struct stream *, const char *);
void stream_printf(struct stream *, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* n bytes of a file from an offset, in pieces; EIO when it is shorter. */
void stream_write_fd(struct stream *, int fd, uint64_t from, uint64_t n);
/* Writes wait at most this long for the peer in one flush (default 5 min). */
void stream_set_write_timeout(struct stream *, int64_t ms);
int  stream_flush(struct stream *);	/* 1, -1 */
int  stream_error(const struct stream *);	/* errno kept, 0 none */

/* -- TLS as a layer ---- */
/*
 * Server handshake over the socket, after flushing, and after dropping what
 * plain text is at hand. 1, -1 (the stream is then of no more use).
 */
int  stream_start_tls(struct stream *, struct tls_server *,
    monotime_t deadline);
/* Client side: shake hands with that peer. 1, -1 (no more use). */
struct tls_client;
struct tls_peer;
int  stream_start_tls_client(struct stream *, struct tls_client *,
    const struct tls_peer *, monotime_t deadline);
/*
 * What was wrong with the peer, in a word of RFC 8460 4.3 for the day's
 * report: "certificate-expired", "validation-failure"; "" nothing.
 */
const char *stream_tls_failure(const struct stream *);
bool stream_is_tls(const struct stream *);
/*
 * "TLSv1.3 TLS_AES_128_GCM_SHA256"; after a handshake that failed, why;
 * empty without TLS.
 */
struct span stream_tls_info(struct stream *);
/*
 * Channel binding bytes for SASL -PLUS: type "tls-exporter" (RFC 9266) or
 * "tls-unique" (TLS 1.2 only). 1, 0 not to be had. out has room for 64.
 */
int  stream_channel_binding(struct stream *, const char *type,
    uint8_t *out, size_t *n);

/*
 * The certificate that a client logs in with, and what proves that it has
 * its key: valid as long as the stream. False: it showed none that holds.
 */
struct stream_proof {
	struct span chain;		/* DER, one behind the other */
	uint32_t scheme;		/* RFC 8446 4.2.3 */
	struct span transcript;		/* the hash that was signed */
	struct span signature;
};
bool stream_client_proof(const struct stream *, struct stream_proof *);

/* -- compression as a layer ---- */
/*
 * Raw deflate (RFC 1951) both ways from now on, after flushing; what is at
 * hand already is taken as compressed. Once, and after TLS.
 */
void stream_start_deflate(struct stream *);
bool stream_is_deflate(const struct stream *);

/* -- parking ---- */
/*
 * Flush, and give every buffer back. true: parked, wait for readability of
 * stream_fd. false: input is at hand (ours, or inside TLS), the peer closed,
 * or the stream failed: handle that first.
 */
bool stream_park(struct stream *);
int  stream_fd(const struct stream *);

#endif

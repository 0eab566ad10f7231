/*
 * session.h - a connection that costs almost nothing while it is idle.
 *
 * A protocol is a struct service. Between two commands its session is
 * parked: no fiber, no buffers, a descriptor in epoll and one timer. When
 * input comes, a deadline passes or session_wake() is called, the session runs on
 * a fiber until it is parked again. One fiber a session at a time.
 */
#ifndef IO_SESSION_H
#define IO_SESSION_H

#include "base/base.h"
#include "base/clock.h"
#include "io/stream.h"

struct session;

enum session_next {
	SESSION_PARK,		/* wait for input, a wake, or the deadline */
	SESSION_CLOSE,
};

/* All run on a fiber and may wait. `state` is what open() made. */
struct service {
	const char *name;	/* "imap": in the log and in limits */
	/* A connection came (after the handshake when TLS is implicit): make
	 * the state, greet, say what is next. *state NULL only with CLOSE. */
	enum session_next (*open)(struct session *, void **state);
	/* Input is at hand: handle every whole command there is. */
	enum session_next (*input)(void *state);
	/* session_wake() was called while parked (or while running). */
	enum session_next (*wake)(void *state);
	/* The deadline given with session_deadline() passed: say goodbye. */
	enum session_next (*expire)(void *state);
	/* We stop: say goodbye (421, BYE). */
	void (*stop)(void *state);
	/* The peer is gone or we closed: free the state. */
	void (*close)(void *state);
};

struct session_peer {
	char address[64];	/* "192.0.2.1" or "2001:db8::1", no port */
	uint16_t port;
	uint16_t local_port;
	bool loopback;
};

struct stream *session_stream(struct session *);
const struct session_peer *session_peer(const struct session *);
const char *session_id(const struct session *);	/* short, unique here, for the log */
struct tls_server *session_tls(const struct session *);	/* may be NULL */
void session_deadline(struct session *, monotime_t);	/* for the next park */
void session_wake(struct session *);		/* from any callback or fiber */

/* A port: accepts, limits, starts sessions. */
struct listener_options {
	const struct service *service;
	int fd;				/* listening, shared with other processes; owned */
	bool implicit_tls;
	size_t max_sessions;		/* in this process, of this service */
	size_t max_per_address;
	const char *busy_answer;	/* sent before closing: "421 ..." */
	/* Asked at every accept, so that a reload reaches new sessions. */
	struct tls_server *(*tls)(void *arg);
	void *arg;
	int64_t handshake_timeout;	/* ms */
};
struct listener *listener_open(const struct listener_options *);
void listener_close(struct listener **);	/* sessions go on */

/* Start a session on a connected descriptor (tests, descriptors handed over). */
int session_start(const struct listener_options *, int fd);

/* Graceful stop: no accepts, stop() for each, until none is left or ms
 * passed; then they are cut. done() is called once. */
void session_stop_all(int64_t ms, void (*done)(void *), void *arg);
size_t session_count(const struct service *);	/* NULL: all */
size_t session_count_parked(void);

#endif

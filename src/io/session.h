/*
 * session.h - a connection that costs almost nothing while it is idle.
 *
 * A protocol is a struct service. Between two commands its session is
 * parked: no fiber, no buffers, a descriptor in epoll and one timer. When
 * input comes, a deadline passes or session_wake() is called, the session
 * runs on a fiber until it is parked again. One fiber a session at a time.
 *
 * A connection that ends is flushed, its service's close() called, and then
 * closed in a way that lets the peer read our last words.
 */
#ifndef IO_SESSION_H
#define IO_SESSION_H

#include "base/base.h"
#include "base/clock.h"
#include "io/stream.h"

struct session;
struct sockaddr_storage;

enum session_next {
	SESSION_PARK,		/* wait for input, a wake, or the deadline */
	SESSION_CLOSE,
};

/*
 * All run on a fiber and may wait. `state` is what open() made. Only open,
 * input and close must be there: without wake a wake is nothing, without
 * expire or stop the session just closes.
 */
struct service {
	const char *name;	/* "imap": in the log and in limits */
	/*
	 * A connection came (after the handshake when TLS is implicit): make
	 * the state, greet, say what is next. *state NULL only with CLOSE.
	 */
	enum session_next (*open)(struct session *, void **state);
	/*
	 * Input is at hand. Whole commands that are left there are offered
	 * again at once; a part of one, when there is more of it, and it may
	 * be left at hand meanwhile.
	 */
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

/* Whoever comes through a local (Unix) socket is 127.0.0.1, port 0. */
struct session_peer {
	char address[64];	/* "192.0.2.1" or "2001:db8::1", no port */
	uint16_t port;
	uint16_t local_port;
	bool loopback;
};

struct stream *session_stream(struct session *);
const struct session_peer *session_peer(const struct session *);
/* Ten letters and digits, for the log; no other session here has them. */
const char *session_id(const struct session *);
/*
 * A proxy says for whom it made the connection: that is the peer from now
 * on, for the limits too. 1; 0 they say no: end the session.
 */
int session_set_peer(struct session *, const struct sockaddr_storage *);
struct tls_server *session_tls(const struct session *);	/* may be NULL */
/* How long it may be parked from now on, until changed; never, at first. */
void session_deadline(struct session *, monotime_t);
void session_wake(struct session *);	/* from any callback or fiber */

/* A port: accepts, limits, starts sessions. */
struct listener_options {
	const struct service *service;
	int fd;			/* listening, perhaps shared; owned */
	bool implicit_tls;
	/* 0: no limit. All addresses of an IPv6 /64 count as one. */
	size_t max_sessions;	/* in this process, of this service */
	size_t max_per_address;
	const char *busy_answer;	/* sent before closing: "421 ..." */
	/* Asked at every accept, so that a reload reaches new sessions. */
	struct tls_server *(*tls)(void *arg);
	/* Whose connections begin with a PROXY header (io/proxy.h), before
	 * TLS. NULL: nobody's. */
	bool (*proxied)(void *arg, const char *address);
	void *arg;
	int64_t handshake_timeout;	/* ms; of a PROXY header too */
};
struct listener *listener_open(const struct listener_options *);
void listener_close(struct listener **);	/* sessions go on */

/*
 * Start a session on a connected descriptor (tests, descriptors handed
 * over), which is ours in any case. 1; 0 the limits say no; -1.
 */
int session_start(const struct listener_options *, int fd);

/*
 * Graceful stop: no accepts, stop() for each as soon as it has done what it
 * is doing; after ms what is left is cut (its waits fail). done() is called
 * once, from the loop, when none is left.
 */
void session_stop_all(int64_t ms, void (*done)(void *), void *arg);
size_t session_count(const struct service *);	/* NULL: all */
size_t session_count_parked(void);

#endif

/*
 * serve_impl.h - a server, as serve.c and the other serve_*.c share it.
 */
#ifndef IPC_SERVE_IMPL_H
#define IPC_SERVE_IMPL_H

#include "io/loop.h"
#include "ipc/codec.h"
#include "ipc/serve.h"
#include "ipc/serve_peer.h"

#include <sys/epoll.h>

enum { GROUPS_MAX = 8, EVENTS_MAX = 16 };

/* Threads that share some links: see serve_turn.c. */
struct group {
	struct server *server;
	int epoll;
	size_t threads;
	struct watch watch;		/* served by a loop instead */
	atomic_uint_fast64_t turn;
	atomic_bool asleep;		/* the standby looks no more */
	int64_t usual_gap;		/* us until the next frame; leaders' */
	pthread_mutex_t lock;		/* of what follows */
	pthread_cond_t standby_wake, follower_wake;
	bool has_standby;
};

struct worker {
	struct group *group;
	pthread_t thread;
	bool leading;
	uint64_t count;			/* of the turn, while leading */
	struct arena *arena;
	char *input;			/* FRAME_MAX bytes */
	size_t input_n;			/* of the frame there */
	struct frame frame;
	bool on_loop;
	bool deferred;			/* serve_after() was said */
	uint64_t ticket;
};

struct server {
	enum role_bit self;
	const struct handlers *handlers;
	void *arg;
	int wake;			/* eventfd, readable when stopping */
	int64_t spin_us;		/* -1: never, on one core */
	atomic_bool stopping;
	struct group groups[GROUPS_MAX];
	size_t group_count;
	pthread_mutex_t lock;		/* of what follows */
	struct peer *peers;
	uint64_t last_link;
	size_t accepted;
	struct worker *workers, *loop_worker;
	size_t worker_count;
	bool on_fibers;
	struct task *busy, *spare;	/* serve_fiber.c's */
	size_t spares;
	bool syncing;			/* the sync thread runs */
	pthread_t sync_thread;
	pthread_mutex_t sync_lock;	/* of what follows */
	pthread_cond_t sync_wake;
	struct deferred *first, **last;
};

/* The worker this thread is, or NULL. */
extern _Thread_local struct worker *serve_worker;

/* -- serve_turn.c */
enum turn { TURN_FREE, TURN_WATCHING, TURN_HANDLING };

void group_open(struct group *, struct server *);
void group_close(struct group *);
void group_wake_all(struct group *);
/* The leader enters a handler; is done with it (and may lead no more). */
void turn_begin(struct worker *);
void turn_end(struct worker *);
/* Let another thread lead, from the state this leader is in. */
void turn_leave(struct worker *, enum turn);
/* Wait until this thread leads, or the server stops. */
void turn_await(struct worker *);
/* epoll_wait() for a leader. */
int  turn_events(struct group *, struct epoll_event *);

/* -- serve_sync.c */
int  sync_start(struct server *);
void sync_stop(struct server *);
/* The worker's answer goes out when it is durable. */
void sync_defer(struct server *, struct worker *, struct peer *, enum verb,
    uint32_t number);

/* -- serve_fiber.c */
/* A call: its handler runs on a fiber, and the answer follows. 1; 0 it is
 * malformed. */
int  fiber_take(struct server *, struct peer *, struct frame_in *);
void fiber_cancel_all(struct server *);
void fiber_free_spares(struct server *);

/* -- serve.c */
/* The request is handled and released; *answer is to be sent. */
void serve_call(const struct server *, const struct caller *, struct arena *,
    enum verb, uint32_t number, union any_message *request,
    struct frame *answer);
void serve_release(struct server *, struct peer *);
/* An answer without its fields: there was no making the whole one. */
void serve_encode_failure(struct frame *, enum verb, uint32_t number,
    enum result);

#endif

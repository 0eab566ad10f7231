/*
 * serve.h - the called side: a dispatcher made from the contract.
 *
 * A handler gets a request that was checked against every limit, and
 * fills the reply (zeroed, descriptors -1, result RESULT_OK). Spans it puts
 * there live in the arena it is given, or longer; descriptors and mappings
 * it puts there are released once the answer is sent; descriptors of FD
 * fields that it gets are its own. A frame that is malformed, not allowed
 * from that role, or beyond its credits ends the link it came on and nothing
 * else.
 */
#ifndef IPC_SERVE_H
#define IPC_SERVE_H

#include "base/arena.h"
#include "base/base.h"
#include "ipc/contract.h"

/* Who called: stable for the life of a link. */
struct caller {
	enum role_bit role;
	uint32_t instance;
	uint64_t link;			/* unique in this process */
};

struct handlers {
#include "ipc/contract_no_fields.h"
#define RECORD(name)
#define END_RECORD(name)
#define CALL(name, from, to, time, again, text)				\
	void (*name)(void *arg, const struct caller *, struct arena *,	\
	    const struct name##_request *, struct name##_reply *);
#define ANSWER(name)
#define END(name)
#define NOTE(name, from, to, text)					\
	void (*name##_note)(void *arg, const struct caller *,		\
	    const struct name##_note *);
#define END_NOTE(name)
#include "ipc/contract.def"
#include "ipc/contract_undef.h"
	/* The link is gone, and no handler works for it any more: release
	 * what was held for it. */
	void (*gone)(void *arg, const struct caller *);
	/* Make durable what serve_after() was told; 1, -1. May be NULL. */
	int  (*sync)(void *arg, uint64_t ticket);
};

struct server;

/* A NULL handler refuses its verb. */
struct server *server_new(enum role_bit self, const struct handlers *, void *arg);
void server_free(struct server **);
/* Serve a connected socket whose peer is `role`. Owned. Any thread. 1, -1. */
int  server_add(struct server *, int fd, enum role_bit role, uint32_t instance);
/* Accept on a listening unix socket; who connects is `role` (the admin socket). */
int  server_listen(struct server *, int fd, enum role_bit role);
/*
 * Blocking handlers on `threads` worker threads: each takes one frame of any
 * link, handles it, answers. Returns at once; server_stop() joins them.
 */
int  server_start_threads(struct server *, size_t threads);

/*
 * For handlers, on a worker thread.
 *
 * serve_after(): what this handler did is applied but not yet durable; the
 * answer goes out when sync(arg, ticket) succeeded, and RESULT_TEMPORARY
 * when not. One thread syncs for all that wait (tickets rise: a later one
 * covers the earlier), and no worker waits. false: not on a worker, or
 * there is no sync: the handler waits by itself.
 *
 * serve_may_block(): the handler is about to wait or to compute for long;
 * another thread takes over the reading at once. Without it that happens by
 * itself after some milliseconds. Verbs of class LONG and sasl_* do it anyway.
 */
bool serve_after(uint64_t ticket);
void serve_may_block(void);
void server_stop(struct server *);
/* Or on this thread's loop: handlers must not wait. */
int  server_on_loop(struct server *);
/*
 * Or each handler on a fiber of this thread's loop: it may wait, and others
 * are handled meanwhile; a link's credits bound how many. server_stop() cancels
 * those that wait; the server may be freed when server_busy() says none.
 */
int  server_on_fibers(struct server *);
size_t server_busy(const struct server *);
/*
 * Tell the peer of a link, from any thread, without waiting. 1; 0 the
 * link is gone; -1 its buffer is full: the peer is told later that notes were lost.
 */
int  server_note_mailbox_changed(struct server *, uint64_t link,
    const struct mailbox_changed_note *);
int  server_note_account_changed(struct server *, uint64_t link,
    const struct account_changed_note *);
int  server_note_queue_ready(struct server *, uint64_t link);
int  server_note_token_waits(struct server *, uint64_t link);
int  server_note_index_work(struct server *, uint64_t link);

#endif

/*
 * call.h - the caller's side of a link.
 *
 * On a fiber a call suspends it until the answer, the deadline or
 * cancellation; outside a fiber it blocks the thread. Many calls
 * may be under way; credits bound them and further callers queue.
 *
 * A link outlives its peer: when the peer dies, calls marked RETRY wait for
 * link_attach() with a fresh socket and are made again; others fail. Every
 * failure to get an answer is -1 (errno ETIMEDOUT, EPIPE, ECANCELED, EPROTO,
 * EMSGSIZE: the request is over a limit; ENOMEM: the arena is full) and leaves
 * RESULT_TEMPORARY in the reply; an answer is 1, and its `result` says what the
 * peer made of it.
 *
 * Descriptors (FD fields) in a note that is taken belong to who takes it.
 */
#ifndef IPC_CALL_H
#define IPC_CALL_H

#include "base/arena.h"
#include "base/base.h"
#include "ipc/contract.h"

struct link;

/* self, peer: who talks to whom; announced and checked in hello. */
struct link *link_new(enum role_bit self, enum role_bit peer);
void link_free(struct link **);
void link_attach(struct link *, int fd);	/* owned; replaces an older one */
bool link_up(const struct link *);
/* Runs after each (re)attachment: watches must be renewed. */
void link_on_attach(struct link *, void (*fn)(void *), void *arg);
/* Notes that come from the peer; `note` is struct NAME_note of that verb. */
void link_on_note(struct link *, enum verb, void (*fn)(void *arg,
    const void *note), void *arg);
/* Take what has come already, without waiting (before telling changes). */
void link_poll(struct link *);
size_t link_pending(const struct link *);

/*
 * int call_NAME(link, arena, &request, &reply): spans of the reply live in
 * the arena, blobs until blob_release(). The caller fills every field of
 * the request (zero-initialise; descriptors -1).
 */
#include "ipc/contract_no_fields.h"
#define RECORD(name)
#define END_RECORD(name)
#define CALL(name, from, to, time, again, text)				\
	int call_##name(struct link *, struct arena *,			\
	    const struct name##_request *, struct name##_reply *) MUST_USE;
#define ANSWER(name)
#define END(name)
/* One packet on a socket; 1, -1 (EAGAIN: its buffer is full). */
#define NOTE(name, from, to, text)					\
	int send_##name(int fd, const struct name##_note *);
#define END_NOTE(name)
#include "ipc/contract.def"
#include "ipc/contract_undef.h"

#endif

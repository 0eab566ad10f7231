/*
 * serve_peer.h - one link as the called side holds it: its socket, what
 * could not be sent yet, and who still works for it.
 */
#ifndef IPC_SERVE_PEER_H
#define IPC_SERVE_PEER_H

#include "ipc/serve.h"
#include "ipc/wire.h"

#include <pthread.h>
#include <stdatomic.h>

struct peer {
	struct peer *next;		/* serve.c's list */
	struct caller caller;
	int fd;
	int epoll;			/* where it is watched */
	bool listens;
	bool accepted;			/* on a listening socket */
	bool greeted;			/* its hello was read */
	atomic_uint refs;
	atomic_uint in_flight;		/* calls whose answer is not sent yet */
	pthread_mutex_t lock;		/* of what follows */
	struct unsent *first, **last;
	bool notes_lost;
	bool armed;			/* EPOLLOUT is asked for */
	bool dead;
};

struct peer *peer_new(int fd, int epoll, const struct caller *);
struct peer *peer_ref(struct peer *);
/* True: that was the last one; the caller then says peer_free(). */
bool peer_unref(struct peer *);
void peer_free(struct peer *);		/* closes the socket */

/*
 * Send, or keep for later what the socket has no room for now: memory is
 * bounded by the credits. Takes the frame's bytes and descriptors then.
 */
void peer_answer(struct peer *, struct frame *);
/* 1; 0 the link is dead; -1 no room: that notes were lost is told later. */
int  peer_note(struct peer *, struct frame *);
void peer_writable(struct peer *);
void peer_kill(struct peer *);		/* the reader then finds it gone */

#endif

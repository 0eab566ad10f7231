/*
 * serve_peer.c - sending to a link without ever waiting for it.
 */
#include "ipc/serve_peer.h"
#include "ipc/codec.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct unsent {
	struct unsent *next;
	struct frame frame;
};

struct peer *
peer_new(int fd, int epoll, const struct caller *caller)
{
	struct peer *p = xcalloc(1, sizeof(*p));

	p->fd = fd;
	p->epoll = epoll;
	p->caller = *caller;
	p->last = &p->first;
	atomic_init(&p->refs, 1);
	atomic_init(&p->in_flight, 0);
	must(pthread_mutex_init(&p->lock, NULL) == 0);
	return p;
}

struct peer *
peer_ref(struct peer *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

bool
peer_unref(struct peer *p)
{
	return atomic_fetch_sub(&p->refs, 1) == 1;
}

static void
unsent_drop(struct peer *p)
{
	struct unsent *u;

	while ((u = p->first) != NULL) {
		p->first = u->next;
		frame_free(&u->frame);
		free(u);
	}
	p->last = &p->first;
}

void
peer_free(struct peer *p)
{
	unsent_drop(p);
	close(p->fd);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* A worker may meet the dead end first; only the reader takes a link away. */
static void
die(struct peer *p)
{
	if (p->dead)
		return;
	p->dead = true;
	unsent_drop(p);
	shutdown(p->fd, SHUT_RDWR);
}

void
peer_kill(struct peer *p)
{
	pthread_mutex_lock(&p->lock);
	die(p);
	pthread_mutex_unlock(&p->lock);
}

static void
arm(struct peer *p, bool on)
{
	struct epoll_event e = { .data.ptr = p,
	    .events = EPOLLIN | (on ? (uint32_t)EPOLLOUT : 0) };

	if (p->armed == on)
		return;
	p->armed = on;
	epoll_ctl(p->epoll, EPOLL_CTL_MOD, p->fd, &e);
}

/* 1 sent, 0 no room, -1 the link is dead. */
static int
try_send(struct peer *p, const struct frame *f)
{
	if (frame_send(p->fd, f, false) == 1)
		return 1;
	if (errno == EAGAIN || errno == ENOBUFS)
		return 0;
	die(p);
	return -1;
}

/*
 * The credit is given back first: who has the answer may call again at once.
 * What cannot be sent keeps its own, so a peer that does not read is soon
 * out of them.
 */
static int
answer(struct peer *p, const struct frame *f)
{
	int status;

	atomic_fetch_sub(&p->in_flight, 1);
	status = try_send(p, f);
	if (status == 0)
		atomic_fetch_add(&p->in_flight, 1);
	return status;
}

void
peer_answer(struct peer *p, struct frame *f)
{
	struct unsent *u;

	pthread_mutex_lock(&p->lock);
	if (!p->dead && (p->first != NULL || answer(p, f) == 0)) {
		u = xmalloc(sizeof(*u));
		u->next = NULL;
		u->frame = *f;
		*f = (struct frame){ .bytes = TEXT_INIT(FRAME_MAX) };
		*p->last = u;
		p->last = &u->next;
		arm(p, true);
	}
	pthread_mutex_unlock(&p->lock);
	frame_clear(f);
}

int
peer_note(struct peer *p, struct frame *f)
{
	int status;

	pthread_mutex_lock(&p->lock);
	if (p->dead)
		status = 0;
	else if (p->notes_lost || p->first != NULL)
		status = -1;
	else
		status = try_send(p, f) == 1 ? 1 : p->dead ? 0 : -1;
	if (status == -1) {
		p->notes_lost = true;
		arm(p, true);
	}
	pthread_mutex_unlock(&p->lock);
	frame_clear(f);
	return status;
}

/* The one note that stands for all that this peer did not get. */
static void
tell_lost(struct peer *p)
{
	struct mailbox_changed_note changed = { .watch = 0 };
	struct queue_ready_note ready = { 0 };
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };

	if (p->caller.role == RELAY)
		codec_encode(&f, VERB_queue_ready, FRAME_NOTE, 0, &ready);
	else
		codec_encode(&f, VERB_mailbox_changed, FRAME_NOTE, 0,
		    &changed);
	if (try_send(p, &f) == 1)
		p->notes_lost = false;
	frame_free(&f);
}

void
peer_writable(struct peer *p)
{
	struct unsent *u;

	pthread_mutex_lock(&p->lock);
	while (!p->dead && (u = p->first) != NULL &&
	    answer(p, &u->frame) == 1) {
		p->first = u->next;
		if (p->first == NULL)
			p->last = &p->first;
		frame_free(&u->frame);
		free(u);
	}
	if (!p->dead && p->first == NULL && p->notes_lost)
		tell_lost(p);
	if (p->dead || (p->first == NULL && !p->notes_lost))
		arm(p, false);
	pthread_mutex_unlock(&p->lock);
}

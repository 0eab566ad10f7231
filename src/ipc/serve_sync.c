/*
 * serve_sync.c - answers that wait until what they promise is on disk.
 *
 * One thread asks for durability, once for everybody who came while it asked
 * the last time; then all of them are answered. No worker waits for the
 * disk, and none is woken when it is done.
 */
#include "ipc/serve_impl.h"

#include <stdlib.h>

struct deferred {
	struct deferred *next;
	struct peer *peer;
	enum verb verb;
	uint32_t number;
	uint64_t ticket;
	struct frame frame;
};

bool
serve_after(uint64_t ticket)
{
	struct worker *w = serve_worker;

	if (w == NULL || !w->group->server->syncing)
		return false;
	w->deferred = true;
	w->ticket = MAX(w->ticket, ticket);
	return true;
}

void
sync_defer(struct server *s, struct worker *w, struct peer *p,
    enum verb verb, uint32_t number)
{
	struct deferred *d = xmalloc(sizeof(*d));

	*d = (struct deferred){ .peer = peer_ref(p), .verb = verb,
	    .number = number, .ticket = w->ticket, .frame = w->frame };
	w->frame = (struct frame){ .bytes = TEXT_INIT(FRAME_MAX) };
	pthread_mutex_lock(&s->sync_lock);
	*s->last = d;
	s->last = &d->next;
	pthread_cond_signal(&s->sync_wake);
	pthread_mutex_unlock(&s->sync_lock);
}

static void
settle(struct server *s, struct deferred *d, bool durable)
{
	if (!durable)
		serve_encode_failure(&d->frame, d->verb, d->number,
		    RESULT_TEMPORARY);
	peer_answer(d->peer, &d->frame);
	frame_free(&d->frame);
	serve_release(s, d->peer);
	free(d);
}

/* One write to the disk for everybody who came while the last one ran. */
static void
sync_all(struct server *s, struct deferred *d)
{
	struct deferred *next;
	uint64_t ticket = 0;
	bool durable;

	for (const struct deferred *at = d; at != NULL; at = at->next)
		ticket = MAX(ticket, at->ticket);
	durable = s->handlers->sync(s->arg, ticket) == 1;
	for (; d != NULL; d = next) {
		next = d->next;
		settle(s, d, durable);
	}
}

static void *
sync_work(void *arg)
{
	struct server *s = arg;
	struct deferred *all;

	pthread_mutex_lock(&s->sync_lock);
	for (;;) {
		all = s->first;
		if (all == NULL && !s->syncing)
			break;
		if (all == NULL) {
			pthread_cond_wait(&s->sync_wake, &s->sync_lock);
			continue;
		}
		s->first = NULL;
		s->last = &s->first;
		pthread_mutex_unlock(&s->sync_lock);
		sync_all(s, all);
		pthread_mutex_lock(&s->sync_lock);
	}
	pthread_mutex_unlock(&s->sync_lock);
	return NULL;
}

int
sync_start(struct server *s)
{
	s->syncing = true;
	if (pthread_create(&s->sync_thread, NULL, sync_work, s) == 0)
		return 1;
	s->syncing = false;
	return -1;
}

/* Those who wait are answered first. */
void
sync_stop(struct server *s)
{
	if (!s->syncing)
		return;
	pthread_mutex_lock(&s->sync_lock);
	s->syncing = false;
	pthread_cond_signal(&s->sync_wake);
	pthread_mutex_unlock(&s->sync_lock);
	pthread_join(s->sync_thread, NULL);
}

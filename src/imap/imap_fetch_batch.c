/*
 * imap_fetch_batch.c - batches, and the fibers that get them.
 *
 * A batch outlives who began it, if that one is cancelled: its fiber frees it
 * then. That fiber knows nothing of the session but its grant.
 */
#include "imap/imap_fetch_batch.h"

#include "imap/imap_message.h"
#include "io/fiber.h"

#include <stdlib.h>

struct imap_batch *
imap_batch_new(const struct imap_mailbox *box)
{
	struct imap_batch *b = xcalloc(1, sizeof(*b));

	b->grant = box->s->grant;
	b->mailbox = box->id;
	b->arena = imap_arena_get();
	b->details_blob = b->bodies_blob = BLOB_OF(SPAN_EMPTY);
	return b;
}

static void
let_go(struct imap_batch *b)
{
	blob_release(&b->details_blob);
	blob_release(&b->bodies_blob);
	b->details = NULL;
	b->bodies = NULL;
}

static void
destroy(struct imap_batch *b)
{
	let_go(b);
	imap_arena_put(&b->arena);
	free(b);
}

void
imap_batch_free(struct imap_batch **bp)
{
	struct imap_batch *b = *bp;

	if (b == NULL)
		return;
	*bp = NULL;
	if (!b->working) {
		destroy(b);
		return;
	}
	b->abandoned = true;
	b->waiter = NULL;
	fiber_cancel(b->worker);
}

bool
imap_batch_empty(struct imap_batch *b, size_t room)
{
	must(!b->working);
	let_go(b);
	arena_reset(b->arena);
	b->count = 0;
	b->room = room;
	b->index = arena_alloc(b->arena, room * sizeof(*b->index));
	b->rows = arena_alloc(b->arena, room * sizeof(*b->rows));
	b->together = arena_alloc(b->arena, room * sizeof(*b->together));
	return b->index != NULL && b->rows != NULL && b->together != NULL;
}

/* ---- getting ----------------------------------------------------------- */

static int
get_details(struct imap_batch *b)
{
	uint32_t *uids = arena_alloc(b->arena, b->count * sizeof(*uids));

	b->details = arena_alloc(b->arena, b->count * sizeof(*b->details));
	if (uids == NULL || b->details == NULL)
		return -1;
	for (size_t i = 0; i < b->count; i++)
		uids[i] = b->rows[i].uid;
	return imap_details_of(&b->grant, b->mailbox, b->arena, uids,
	    b->count, b->wants_summary, b->details, &b->details_blob);
}

/* Of one alone the bytes are got when they are needed. */
static int
get_bodies(struct imap_batch *b)
{
	uint32_t *uids = arena_alloc(b->arena, b->count * sizeof(*uids));
	size_t *places = arena_alloc(b->arena, b->count * sizeof(*places));
	struct span *got = arena_alloc(b->arena, b->count * sizeof(*got));
	size_t n = 0;

	b->bodies = arena_zalloc(b->arena, b->count * sizeof(*b->bodies));
	if (uids == NULL || places == NULL || got == NULL || b->bodies == NULL)
		return -1;
	for (size_t i = 0; i < b->count; i++) {
		if (!b->together[i])
			continue;
		places[n] = i;
		uids[n++] = b->rows[i].uid;
	}
	if (n < 2)
		return 1;
	if (imap_bodies_of(&b->grant, b->mailbox, b->arena, uids, n, got,
	    &b->bodies_blob) != 1)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (got[i].n == b->rows[places[i]].size)
			b->bodies[places[i]] = got[i];
	return 1;
}

static int
get(struct imap_batch *b)
{
	if ((b->wants_details || b->wants_summary) && get_details(b) != 1)
		return -1;
	return b->wants_bodies && !b->abandoned ? get_bodies(b) : 1;
}

void
imap_batch_get(struct imap_batch *b)
{
	b->status = get(b);
	b->done = true;
}

static void
work(void *arg)
{
	struct imap_batch *b = arg;

	b->worker = fiber_self();
	imap_batch_get(b);
	b->working = false;
	if (b->abandoned)
		destroy(b);
	else if (b->waiter != NULL)
		fiber_nudge(b->waiter);
}

void
imap_batch_begin(struct imap_batch *b)
{
	b->done = false;
	b->waiter = NULL;
	b->working = true;
	if (fiber_self() != NULL && fiber_start(work, b) == 1)
		return;
	b->working = false;
	imap_batch_get(b);
}

int
imap_batch_wait(struct imap_batch *b)
{
	int status = 1;

	if (!b->done) {
		b->waiter = fiber_self();
		status = fiber_wait_for(&b->done, MONOTIME_NEVER);
		b->waiter = NULL;
	}
	return status == 1 ? b->status : -1;
}

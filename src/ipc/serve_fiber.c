/*
 * serve_fiber.c - handlers that wait, each on a fiber of the loop.
 *
 * A call outlives the buffer it was read into, so its bytes are copied; what
 * belongs to it dies together, but is kept for the next ones. The handler
 * may outlive the link: the answer then goes nowhere.
 */
#include "base/secret.h"
#include "io/fiber.h"
#include "ipc/serve_impl.h"

#include <stdlib.h>

enum { SPARES_MAX = LINK_CREDITS };
static const size_t ARENA_LIMIT = (size_t)64 << 20;

struct task {
	struct task *next, **back;	/* of the busy; next of the spare */
	struct server *server;
	struct peer *peer;
	struct fiber *fiber;
	enum verb verb;
	uint32_t number;
	struct arena *arena;
	struct span bytes;		/* of the call, in the arena */
	struct frame answer;
	union any_message request;
};

static struct task *
task_new(struct server *s)
{
	struct task *t = s->spare;

	if (t != NULL) {
		s->spare = t->next;
		s->spares--;
	} else {
		t = xcalloc(1, sizeof(*t));
		t->arena = arena_new(ARENA_LIMIT);
		t->answer.bytes = TEXT_INIT(FRAME_MAX);
	}
	t->server = s;
	t->fiber = NULL;
	t->next = s->busy;
	t->back = &s->busy;
	if (t->next != NULL)
		t->next->back = &t->next;
	s->busy = t;
	return t;
}

static void
task_free(struct task *t)
{
	frame_free(&t->answer);
	arena_free(&t->arena);
	free(t);
}

static void
task_end(struct task *t)
{
	struct server *s = t->server;

	*t->back = t->next;
	if (t->next != NULL)
		t->next->back = t->back;
	if (s->spares == SPARES_MAX) {
		task_free(t);
		return;
	}
	arena_reset(t->arena);
	t->next = s->spare;
	s->spare = t;
	s->spares++;
}

static void
answer(struct task *t)
{
	struct peer *p = t->peer;

	peer_answer(p, &t->answer);
	if (codec_is_secret(t->verb))
		secret_wipe((char *)(uintptr_t)t->bytes.p, t->bytes.n);
	serve_release(t->server, p);
	task_end(t);
}

static void
handle(void *arg)
{
	struct task *t = arg;

	t->fiber = fiber_self();
	serve_call(t->server, &t->peer->caller, t->arena, t->verb, t->number,
	    &t->request, &t->answer);
	answer(t);
}

/* No memory for a stack: the caller may try again. */
static void
give_up(struct task *t)
{
	codec_release(t->verb, FRAME_CALL, &t->request, true);
	serve_encode_failure(&t->answer, t->verb, t->number,
	    RESULT_TEMPORARY);
	answer(t);
}

int
fiber_take(struct server *s, struct peer *p, struct frame_in *f)
{
	struct task *t = task_new(s);

	f->fields.rest = t->bytes = arena_dup(t->arena, f->fields.rest);
	must(t->bytes.p != NULL);
	if (codec_decode(f, &t->request) == 0) {
		task_end(t);
		return 0;
	}
	t->verb = (enum verb)f->verb;
	t->number = f->number;
	t->peer = peer_ref(p);
	atomic_fetch_add(&p->in_flight, 1);
	if (fiber_start(handle, t) != 1)
		give_up(t);
	return 1;
}

void
fiber_cancel_all(struct server *s)
{
	for (struct task *t = s->busy; t != NULL; t = t->next)
		if (t->fiber != NULL)
			fiber_cancel(t->fiber);
}

size_t
server_busy(const struct server *s)
{
	size_t n = 0;

	for (const struct task *t = s->busy; t != NULL; t = t->next)
		n++;
	return n;
}

void
fiber_free_spares(struct server *s)
{
	struct task *t;

	while ((t = s->spare) != NULL) {
		s->spare = t->next;
		task_free(t);
	}
	s->spares = 0;
}

/*
 * act.c - what the operator does to one envelope of the queue.
 */
#include "base/clock.h"
#include "base/log.h"
#include "store/group.h"
#include "store/trace.h"

#include <stdlib.h>

enum { ACT_MEMORY = 32 << 20 };

/* Where it goes from here, now. */
static void
go_on(struct group *g, struct work *w)
{
	struct envelope *e = &w->envelope;

	e->next_attempt = g->now / 1000000;
	group_leave(w, e->domain.n > 0 ? OUTCOME_LINE : OUTCOME_WAIT);
}

static enum result
act_retry(struct group *g, struct work *w)
{
	const struct envelope *e = &w->envelope;
	struct text name = TEXT_INIT(QUEUE_DESTINATION_MAX);

	if (e->state == ENVELOPE_HELD)
		return RESULT_CONFLICT;
	if (e->domain.n > 0 && e->count > 0) {
		queue_destination(g->queue, e->sender,
		    e->recipients[0].address, e->domain, &name);
		queue_is_up(g->queue, text_span(&name));
		text_free(&name);
	}
	go_on(g, w);
	return RESULT_OK;
}

static void
step(struct group *g, struct work *w, const char *event)
{
	group_touch(w);
	trace_step(&w->rows, &w->envelope.token, g->now, event,
	    "by=operator");
}

static enum result
act_hold(struct group *g, struct work *w)
{
	if (w->envelope.state == ENVELOPE_HELD)
		return RESULT_CONFLICT;
	step(g, w, "held");
	w->envelope.state = ENVELOPE_HELD;
	w->envelope.reason = SPAN("held by the operator");
	g->counts.held++;
	group_leave(w, OUTCOME_WAIT);
	return RESULT_OK;
}

static enum result
act_release(struct group *g, struct work *w)
{
	if (w->envelope.state != ENVELOPE_HELD)
		return RESULT_CONFLICT;
	step(g, w, "released");
	w->envelope.state = ENVELOPE_ACTIVE;
	w->envelope.reason = SPAN_EMPTY;
	w->envelope.release_at = g->now / 1000000;
	go_on(g, w);
	return RESULT_OK;
}

static enum result
act_delete(struct group *g, struct work *w)
{
	step(g, w, "deleted");
	g->counts.removed++;
	group_leave(w, OUTCOME_ENDED);
	return RESULT_OK;
}

static enum result
act_return(struct group *g, struct work *w)
{
	struct envelope *e = &w->envelope;

	step(g, w, "given_up");
	e->state = ENVELOPE_ACTIVE;
	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == RECIPIENT_WAITING) {
			e->recipients[i].state = RECIPIENT_FAILED;
			e->recipients[i].reason = SPAN("5.7.0 returned by "
			    "the operator of this system");
		}
	group_settle(g, w);
	return RESULT_OK;
}

static enum result (*const actions[QUEUE_ACTIONS])(struct group *,
    struct work *) = {
	[QUEUE_RETRY] = act_retry,
	[QUEUE_HOLD] = act_hold,
	[QUEUE_RELEASE] = act_release,
	[QUEUE_DELETE] = act_delete,
	[QUEUE_RETURN] = act_return,
};

/* A group of one. */
static enum result
act_on(struct group *g, struct work *w, enum queue_action action,
    ticket_t *ticket)
{
	enum result result;

	if (w->outcome == OUTCOME_SKIPPED) {
		group_end(g);
		return RESULT_DAMAGED;
	}
	result = actions[action](g, w);
	/* As it was: back to where it waits. */
	if (result != RESULT_OK)
		group_leave(w, w->envelope.domain.n > 0 &&
		    w->envelope.state != ENVELOPE_HELD &&
		    w->envelope.next_attempt <= g->now / 1000000
		    ? OUTCOME_LINE : OUTCOME_WAIT);
	if (group_end(g) != 1)
		return RESULT_TEMPORARY;
	*ticket = g->ticket;
	return result;
}

enum result
queue_act_apply(struct queue *q, const struct token *token,
    enum queue_action action, ticket_t *ticket)
{
	struct queue_entry *entry = NULL;
	struct arena *arena;
	struct group *g;
	enum result result;

	if ((unsigned)action >= QUEUE_ACTIONS)
		return RESULT_INVALID;
	result = queue_seize(q, token, &entry);
	if (result != RESULT_OK)
		return result;
	g = xcalloc(1, sizeof(*g));
	arena = arena_new(ACT_MEMORY);
	group_begin(g, q, arena);
	result = act_on(g, group_add(g, entry), action, ticket);
	free(g);
	arena_free(&arena);
	return result;
}

enum result
queue_act(struct queue *q, const struct token *token,
    enum queue_action action)
{
	ticket_t ticket = 0;
	enum result result = queue_act_apply(q, token, action, &ticket);

	if (result == RESULT_OK && engine_sync(q->store->engine, ticket) != 1)
		result = RESULT_TEMPORARY;
	return result;
}

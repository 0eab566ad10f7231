/*
 * queue_line.c - where an envelope goes to, and when: its route, the line of
 * its destination, and the end of a lease (lease.c begins them).
 *
 * An entry in line stands in the schedule too, with the time at which its
 * sender is to be told or its time is over.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "ipc/serve.h"
#include "store/queue_impl.h"

/* -- where to -------------------------------------------------------------- */

static void
add_destination(const struct queue *q, const struct route *route,
    struct span domain, struct text *out)
{
	(void)q;
	if (route != NULL)
		text_printf(out, "%s/", route->name);
	if (route == NULL || route->via[0] == '\0')
		text_add(out, domain);
}

static struct dispatch_limits
limits_of(const struct settings *s, const struct route *route)
{
	uint64_t most = route != NULL && route->max_connections > 0
	    ? route->max_connections : s->relay_max_connections;

	return (struct dispatch_limits){
		.window_first = (uint32_t)MIN(s->relay_first_connections,
		    most),
		.window_max = (uint32_t)most,
		.rate = route != NULL ? (uint32_t)route->rate : 0,
		.retry_first = s->relay_down_first,
		.retry_longest = s->relay_down_longest,
	};
}

/* Whose mail it is: an account's; else the sender address's. */
static uint64_t
flow_of(const struct envelope *e)
{
	return e->account != 0 ? e->account
	    : map_hash(e->sender) | UINT64_C(1) << 63;
}

/* The recipients of an envelope lie together: one of them shows where. */
static struct span
some_recipient(const struct envelope *e)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == RECIPIENT_WAITING)
			return e->recipients[i].address;
	return e->count > 0 ? e->recipients[0].address : SPAN_EMPTY;
}

static struct dispatch_limits
place_of(struct queue *q, const struct envelope *e, struct text *name)
{
	const struct route *route = routes_match(q->routes, e->sender,
	    some_recipient(e));

	add_destination(q, route, e->domain, name);
	return limits_of(store_settings(q->store), route);
}

void
queue_destination(struct queue *q, struct span sender,
    struct span recipient, struct span domain, struct text *out)
{
	pthread_mutex_lock(&q->lock);
	add_destination(q, routes_match(q->routes, sender, recipient),
	    domain, out);
	pthread_mutex_unlock(&q->lock);
}

/* -- when ------------------------------------------------------------------ */

static int64_t
began(const struct envelope *e)
{
	return MAX(e->arrived / 1000000, e->release_at);
}

int64_t
queue_expiry(const struct settings *s, const struct envelope *e)
{
	int64_t end = began(e) + s->queue_lifetime / 1000;

	return e->deliver_by != 0 && (e->flags & ENVELOPE_BY_RETURN) != 0
	    ? MIN(end, e->deliver_by) : end;
}

int64_t
queue_deadline(const struct settings *s, const struct envelope *e)
{
	int64_t first = queue_expiry(s, e);

	if (s->queue_delay_warning > 0 && !e->warned && e->sender.n > 0)
		first = MIN(first, began(e) + s->queue_delay_warning / 1000);
	if (e->deliver_by != 0)
		first = MIN(first, e->deliver_by);
	return first;
}

/* -- in line --------------------------------------------------------------- */

/* relay found nothing when it asked last: now there is something. */
void
queue_tell_relay(struct queue *q)
{
	struct server *server = store_server(q->store);

	if (!q->relay_idle || server == NULL)
		return;
	q->relay_idle = false;
	server_note_queue_ready(server, q->relay);
}

void
entry_line(struct queue *q, struct queue_entry *entry,
    const struct envelope *e)
{
	const struct settings *s = store_settings(q->store);
	struct text name = TEXT_INIT(QUEUE_DESTINATION_MAX);
	struct dispatch_limits limits = place_of(q, e, &name);

	entry->state = ENTRY_LINED;
	entry->hurry = false;
	entry->line = (struct dispatch_item){ 0 };
	dispatch_add(q->dispatch, &entry->line, text_span(&name), &limits,
	    flow_of(e), (int)e->priority);
	schedule_add(&q->schedule, &entry->item, MAX(queue_deadline(s, e),
	    clock_wall_seconds() + 1));
	text_free(&name);
	queue_tell_relay(q);
}

struct destination *
queue_claim(struct queue *q, const struct envelope *e)
{
	struct text name = TEXT_INIT(QUEUE_DESTINATION_MAX);
	struct dispatch_limits limits = place_of(q, e, &name);
	struct destination *at = dispatch_claim(q->dispatch,
	    text_span(&name), &limits);

	text_free(&name);
	return at;
}

void
queue_set_routes(struct queue *q, struct routes *routes)
{
	struct dispatch_item *item;

	pthread_mutex_lock(&q->lock);
	routes_free(&q->routes);
	q->routes = routes;
	while ((item = dispatch_empty(q->dispatch)) != NULL) {
		struct queue_entry *e = (struct queue_entry *)(void *)
		    ((char *)item - offsetof(struct queue_entry, line));

		schedule_remove(&q->schedule, &e->item);
		e->hurry = true;
		entry_ready(q, e);
	}
	pthread_mutex_unlock(&q->lock);
}

/* -- leases that end ------------------------------------------------------- */

void
queue_unlease(struct queue *q, struct queue_entry *e,
    enum destination_state state, struct span reason)
{
	pthread_mutex_lock(&q->lock);
	if (e->lease) {
		dispatch_done(q->dispatch, e->at, 1, state, reason,
		    clock_mono());
		q->leased--;
		e->lease = false;
		e->next = NULL;
	}
	pthread_mutex_unlock(&q->lock);
}

void
queue_link_gone(struct queue *q, uint64_t link)
{
	struct queue_entry *e;
	size_t at = 0, lost = 0;

	pthread_mutex_lock(&q->lock);
	while (q->leased > 0 && (e = tokens_next(&q->live, &at)) != NULL) {
		if (e->state != ENTRY_LEASED || e->link != link)
			continue;
		dispatch_lost(q->dispatch, e->at, 1);
		q->leased--;
		lost++;
		e->lease = false;
		e->hurry = true;
		entry_ready(q, e);
	}
	q->counts.leases_lost += lost;
	if (q->relay == link)
		q->relay_idle = false;
	pthread_mutex_unlock(&q->lock);
	if (lost > 0)
		log_event(LOG_LEVEL_WARNING, "queue.leases_lost",
		    log_int("envelopes", (int64_t)lost));
}

/* -- what is known of a destination ---------------------------------------- */

struct span
queue_reason(struct queue *q, struct span name, struct arena *arena)
{
	struct destination_view view = { 0 };
	struct destination *at;
	struct span reason;

	pthread_mutex_lock(&q->lock);
	at = dispatch_find(q->dispatch, name);
	if (at != NULL)
		dispatch_view(at, &view);
	reason = view.reason.n > 0 ? arena_dup(arena, view.reason)
	    : SPAN_EMPTY;
	pthread_mutex_unlock(&q->lock);
	return reason;
}

void
queue_is_up(struct queue *q, struct span name)
{
	struct destination *at;

	pthread_mutex_lock(&q->lock);
	at = dispatch_find(q->dispatch, name);
	if (at != NULL)
		dispatch_retry(q->dispatch, at);
	pthread_mutex_unlock(&q->lock);
}

void
queue_destinations(struct queue *q, void (*fn)(void *,
    const struct destination_view *), void *arg)
{
	pthread_mutex_lock(&q->lock);
	dispatch_walk(q->dispatch, fn, arg);
	pthread_mutex_unlock(&q->lock);
}

/*
 * dispatch.c - destinations, senders, and whose turn it is.
 *
 * A *cell* holds what one sender (flow) has waiting for one destination in
 * one lane. Every cell stands in two rings:
 *
 * - among the `turns` of its destination, for who takes several at once or
 *   has a connection there already;
 * - and either in its flow, which then has its turn among all flows; or in
 *   the `line` of its destination, when it was its turn and there was no
 *   room. A free place there calls the first of the line back into its flow,
 *   before what the flow has elsewhere (`express`): so nobody's mass of mail
 *   keeps a place that others wait for.
 *
 * A flow that got more than its turn (others' connections were there) owes:
 * its next turns are passed over, when others wait. Nothing here walks over
 * all cells of a destination, or all flows: what one step moves aside,
 * another step has to bring back first.
 */
#include "queue/dispatch.h"
#include "base/map.h"
#include "queue/schedule.h"

#include <stdlib.h>

enum lane { LANE_URGENT, LANE_NORMAL, LANE_BULK, LANES };
enum place { PLACE_READY, PLACE_EXPRESS, PLACE_LINE };

enum {
	DEBT_MAX = 16,			/* turns taken in advance */
	LOOK_MAX = 4,			/* cells looked at for one of those */
	LOWEST_EVERY = 8,		/* every such one is of the last lane */
	BUSY_MAX = 3,			/* in a row at the least window: down */
	RATE_UNIT = 60000,		/* of credit: an item; ms in a minute */
	FORGET_MS = 10 * 60 * 1000,	/* a destination nobody needs */
	FORGET_AT_ONCE = 8,
	REASON_MAX = 256,
	IDLE_MAX = 100000,		/* destinations kept with nothing */
};

struct destination {
	struct schedule_item timer;	/* first. ms: may be tried; forgotten */
	struct dispatch_limits limits;
	struct dispatch_link turns;	/* of all its cells */
	struct dispatch_link line[LANES];
	size_t cells[LANES];
	size_t lined, called;		/* cells in the line; called back */
	size_t waiting, busy;		/* items */
	uint32_t window, threshold;	/* slow start ends there */
	uint32_t grown;			/* towards the next step */
	size_t still;			/* items under way when it halved */
	uint32_t busies, failures;	/* in a row */
	uint32_t calls;
	bool down;
	monotime_t down_until;
	int64_t credit;			/* of the rate, in RATE_UNITs */
	monotime_t credit_at;
	char reason[REASON_MAX];
	size_t name_n;
	char name[];
};

struct flow {
	struct dispatch_link link;	/* in the ring, if it has cells */
	struct dispatch_link ready, express;
	uint64_t id;
	size_t cells;
	uint32_t debt;
	bool in_ring;
};

struct cell {
	struct dispatch_link turn, place;
	struct dispatch_link items;
	struct flow *flow;
	struct destination *at;
	enum lane lane;
	enum place where;
	bool favoured;			/* called although others are urgent */
};

struct dispatch {
	struct map *destinations, *flows, *cells;
	struct dispatch_link ring;	/* flows, the next one first */
	size_t ring_n, waiting, idle;
	struct schedule timers;
	monotime_t now;			/* as it was last told */
};

/* ---- rings --------------------------------------------------------------- */

#define OF(link_, type, member)						\
	((struct type *)(void *)((char *)(link_) -			\
	    offsetof(struct type, member)))

static void
ring_init(struct dispatch_link *ring)
{
	ring->next = ring->prev = ring;
}

static bool
ring_empty(const struct dispatch_link *ring)
{
	return ring->next == ring;
}

static void
ring_insert(struct dispatch_link *before, struct dispatch_link *link)
{
	link->next = before;
	link->prev = before->prev;
	before->prev->next = link;
	before->prev = link;
}

static void
ring_remove(struct dispatch_link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->next = link->prev = link;
}

static void
ring_move_last(struct dispatch_link *ring, struct dispatch_link *link)
{
	ring_remove(link);
	ring_insert(ring, link);
}

/* ---- destinations -------------------------------------------------------- */

static struct span
name_of(const struct destination *at)
{
	return span_of(at->name, at->name_n);
}

static void
set_timer(struct dispatch *d, struct destination *at, int64_t due)
{
	schedule_remove(&d->timers, &at->timer);
	if (due != INT64_MAX)
		schedule_add(&d->timers, &at->timer, due);
}

static bool
is_idle(const struct destination *at)
{
	return at->waiting == 0 && at->busy == 0;
}

/* Nothing is there any more: what is known of it stays for a while. */
static void
gone_idle(struct dispatch *d, struct destination *at)
{
	int64_t keep = at->failures > 0
	    ? MAX(FORGET_MS, 2 * at->limits.retry_longest) : FORGET_MS;

	d->idle++;
	set_timer(d, at, d->now.ms + (d->idle > IDLE_MAX ? 0 : keep));
}

static void
in_use(struct dispatch *d, struct destination *at)
{
	if (!is_idle(at))
		return;
	d->idle--;
	set_timer(d, at, INT64_MAX);
}

static void
forget(struct dispatch *d, struct destination *at)
{
	must(is_idle(at) && ring_empty(&at->turns));
	schedule_remove(&d->timers, &at->timer);
	must(map_remove(d->destinations, name_of(at)) == at);
	d->idle--;
	free(at);
}

struct destination *
dispatch_find(struct dispatch *d, struct span name)
{
	return map_get(d->destinations, name);
}

static struct destination *
destination_for(struct dispatch *d, struct span name,
    const struct dispatch_limits *limits)
{
	struct destination *at = dispatch_find(d, name);

	if (at == NULL) {
		at = xcalloc(1, sizeof(*at) + name.n);
		memcpy(at->name, name.p, name.n);
		at->name_n = name.n;
		ring_init(&at->turns);
		for (size_t i = 0; i < LANES; i++)
			ring_init(&at->line[i]);
		at->window = MAX(limits->window_first, 1);
		at->threshold = UINT32_MAX;
		at->credit = RATE_UNIT;
		map_put(d->destinations, name_of(at), at);
		d->idle++;
	}
	at->limits = *limits;
	at->limits.window_max = MAX(limits->window_max, 1);
	at->window = MIN(at->window, at->limits.window_max);
	in_use(d, at);
	return at;
}

/* A second's worth may have been saved up. */
static void
earn(struct destination *at, monotime_t now)
{
	int64_t most = MAX(RATE_UNIT, (int64_t)at->limits.rate * 1000);
	int64_t ms = MIN(now.ms - at->credit_at.ms, 60000);

	if (ms <= 0)
		return;
	at->credit = MIN(most, at->credit + ms * at->limits.rate);
	at->credit_at = now;
}

/* How many more may go there now. */
static size_t
slots(const struct dispatch *d, struct destination *at)
{
	size_t n;

	if (at->down)
		return at->busy == 0 && !mono_before(d->now, at->down_until);
	n = at->window > at->busy ? at->window - at->busy : 0;
	if (at->limits.rate == 0 || n == 0)
		return n;
	earn(at, d->now);
	return MIN(n, (size_t)MAX(at->credit / RATE_UNIT, 0));
}

/* When time alone opens it. */
static int64_t
opens_at(const struct dispatch *d, const struct destination *at)
{
	int64_t lacks = RATE_UNIT - at->credit;

	if (at->down)
		return at->busy > 0 ? INT64_MAX : at->down_until.ms;
	if (at->limits.rate == 0 || at->window <= at->busy)
		return INT64_MAX;
	return d->now.ms + MAX(1, (lacks + at->limits.rate - 1) /
	    at->limits.rate);
}

/* ---- cells --------------------------------------------------------------- */

static enum lane
lane_of(int priority)
{
	return priority > 0 ? LANE_URGENT : priority < 0 ? LANE_BULK :
	    LANE_NORMAL;
}

struct cell_key { struct flow *flow; struct destination *at; uint64_t lane; };

static struct flow *
flow_for(struct dispatch *d, uint64_t id)
{
	struct flow *f = map_get(d->flows, span_of(&id, sizeof(id)));

	if (f != NULL)
		return f;
	f = xcalloc(1, sizeof(*f));
	f->id = id;
	ring_init(&f->link);
	ring_init(&f->ready);
	ring_init(&f->express);
	map_put(d->flows, span_of(&f->id, sizeof(f->id)), f);
	return f;
}

static void
into_ring(struct dispatch *d, struct flow *f)
{
	if (f->in_ring)
		return;
	f->in_ring = true;
	d->ring_n++;
	ring_insert(&d->ring, &f->link);
}

static void
out_of_ring(struct dispatch *d, struct flow *f)
{
	if (!f->in_ring)
		return;
	f->in_ring = false;
	d->ring_n--;
	ring_remove(&f->link);
}

/* Out of where it stands, between its flow and its destination. */
static void
leave_place(struct cell *c)
{
	ring_remove(&c->place);
	c->at->lined -= c->where == PLACE_LINE;
	c->at->called -= c->where == PLACE_EXPRESS;
}

static void
stand(struct dispatch *d, struct cell *c, enum place where)
{
	struct flow *f = c->flow;

	c->where = where;
	if (where == PLACE_LINE) {
		ring_insert(&c->at->line[c->lane], &c->place);
		c->at->lined++;
		return;
	}
	ring_insert(where == PLACE_EXPRESS ? &f->express : &f->ready,
	    &c->place);
	c->at->called += where == PLACE_EXPRESS;
	into_ring(d, f);
}

/* There was no room: into the line, in front if it was called from there. */
static void
line_up(struct dispatch *d, struct cell *c)
{
	bool first = c->where == PLACE_EXPRESS;

	leave_place(c);
	stand(d, c, PLACE_LINE);
	if (first) {
		ring_remove(&c->place);
		ring_insert(c->at->line[c->lane].next, &c->place);
	}
	set_timer(d, c->at, opens_at(d, c->at));
}

/* The urgent before others; now and then the last, so that it comes too. */
static struct cell *
first_in_line(struct destination *at)
{
	bool lowest = ++at->calls % LOWEST_EVERY == 0;

	for (size_t i = 0; i < LANES; i++) {
		struct dispatch_link *line =
		    &at->line[lowest ? LANES - 1 - i : i];
		struct cell *c = OF(line->next, cell, place);

		if (ring_empty(line))
			continue;
		c->favoured = lowest;
		return c;
	}
	return NULL;
}

/* Something more urgent waits for the same destination. */
static bool
yields(const struct cell *c)
{
	size_t before = 0;

	for (enum lane i = 0; i < c->lane; i++)
		before += c->at->cells[i];
	return before > 0 && !c->favoured;
}

/* Call as many from the line as there is room for. */
static void
call(struct dispatch *d, struct destination *at)
{
	size_t room = at->lined > 0 ? slots(d, at) : 0;

	while (at->lined > 0 && at->called < room) {
		struct cell *c = first_in_line(at);

		leave_place(c);
		stand(d, c, PLACE_EXPRESS);
	}
	if (!is_idle(at))
		set_timer(d, at, at->lined > 0 && room == 0
		    ? opens_at(d, at) : INT64_MAX);
}

static struct cell *
cell_for(struct dispatch *d, struct flow *f, struct destination *at,
    enum lane lane)
{
	struct cell_key key = { f, at, lane };
	struct cell *c = map_get(d->cells, span_of(&key, sizeof(key)));

	if (c != NULL)
		return c;
	c = xcalloc(1, sizeof(*c));
	c->flow = f;
	c->at = at;
	c->lane = lane;
	ring_init(&c->items);
	f->cells++;
	at->cells[lane]++;
	map_put(d->cells, span_of(&key, sizeof(key)), c);
	ring_insert(&at->turns, &c->turn);
	stand(d, c, at->lined > 0 ? PLACE_LINE :
	    lane == LANE_URGENT ? PLACE_EXPRESS : PLACE_READY);
	return c;
}

static void
cell_free(struct dispatch *d, struct cell *c)
{
	struct cell_key key = { c->flow, c->at, c->lane };
	struct flow *f = c->flow;

	leave_place(c);
	ring_remove(&c->turn);
	c->at->cells[c->lane]--;
	must(map_remove(d->cells, span_of(&key, sizeof(key))) == c);
	free(c);
	if (--f->cells > 0)
		return;
	out_of_ring(d, f);
	must(map_remove(d->flows, span_of(&f->id, sizeof(f->id))) == f);
	free(f);
}

/* ---- items --------------------------------------------------------------- */

void
dispatch_add(struct dispatch *d, struct dispatch_item *item,
    struct span destination, const struct dispatch_limits *limits,
    uint64_t flow, int priority)
{
	struct destination *at = destination_for(d, destination, limits);
	struct cell *c = cell_for(d, flow_for(d, flow), at,
	    lane_of(priority));

	must(item->cell == NULL);
	item->cell = c;
	ring_insert(&c->items, &item->link);
	at->waiting++;
	d->waiting++;
}

/* True: it was the last of its cell, which is gone. */
static bool
item_out(struct dispatch *d, struct dispatch_item *item)
{
	struct cell *c = item->cell;

	ring_remove(&item->link);
	item->cell = NULL;
	c->at->waiting--;
	d->waiting--;
	if (!ring_empty(&c->items))
		return false;
	cell_free(d, c);
	return true;
}

void
dispatch_remove(struct dispatch *d, struct dispatch_item *item)
{
	struct destination *at;

	if (item->cell == NULL)
		return;
	at = item->cell->at;
	item_out(d, item);
	/* It may have been called, with others in the line behind it. */
	call(d, at);
	if (is_idle(at))
		gone_idle(d, at);
}

struct destination *
dispatch_at(const struct dispatch_item *item)
{
	return item->cell == NULL ? NULL : item->cell->at;
}

/* ---- taking -------------------------------------------------------------- */

static bool
may_owe(const struct dispatch *d, const struct flow *f)
{
	return f->debt < DEBT_MAX || d->ring_n <= 1;
}

/* A turn at the destination for a flow that can be trusted with it. */
static struct cell *
turn_at(struct dispatch *d, struct destination *at)
{
	for (int i = 0; i < LOOK_MAX && !ring_empty(&at->turns); i++) {
		struct cell *c = OF(at->turns.next, cell, turn);

		if (may_owe(d, c->flow))
			return c;
		ring_move_last(&at->turns, &c->turn);
	}
	return NULL;
}

/* Whose turn it is, with something that may go. */
static struct cell *
turn_of_all(struct dispatch *d)
{
	while (!ring_empty(&d->ring)) {
		struct flow *f = OF(d->ring.next, flow, link);
		struct dispatch_link *first = !ring_empty(&f->express)
		    ? f->express.next : f->ready.next;
		struct cell *c;

		if (ring_empty(&f->express) && ring_empty(&f->ready)) {
			out_of_ring(d, f);
			continue;
		}
		if (f->debt > 0 && d->ring_n > 1) {
			f->debt--;
			ring_move_last(&d->ring, &f->link);
			continue;
		}
		c = OF(first, cell, place);
		if (slots(d, c->at) > 0) {
			ring_move_last(&d->ring, &f->link);
			if (!yields(c))
				return c;
		}
		line_up(d, c);
		call(d, c->at);
	}
	return NULL;
}

static struct dispatch_item *
take_one(struct dispatch *d, struct cell *c)
{
	struct dispatch_item *item = OF(c->items.next, dispatch_item, link);
	struct destination *at = c->at;

	at->busy++;
	at->credit -= at->limits.rate > 0 ? RATE_UNIT : 0;
	if (item_out(d, item))
		return item;
	ring_move_last(&at->turns, &c->turn);
	c->favoured = false;
	leave_place(c);
	/* Behind the others, if there are any who wait for this place. */
	stand(d, c, at->lined > 0 || c->where == PLACE_LINE ? PLACE_LINE :
	    PLACE_READY);
	return item;
}

/* What time brings: destinations that may be tried, or be forgotten. */
static void
timers(struct dispatch *d)
{
	struct schedule_item *item;
	int forgotten = 0;

	while (forgotten < FORGET_AT_ONCE &&
	    (item = schedule_take(&d->timers, d->now.ms)) != NULL) {
		struct destination *at = (struct destination *)item;

		if (is_idle(at)) {
			forget(d, at);
			forgotten++;
		} else {
			call(d, at);
		}
	}
}

static struct cell *
preferred(struct dispatch *d, struct span name)
{
	struct destination *at = name.n > 0 ? dispatch_find(d, name) : NULL;
	struct cell *c = at != NULL && slots(d, at) > 0
	    ? turn_at(d, at) : NULL;

	if (c != NULL)
		c->flow->debt += d->ring_n > 1;
	return c;
}

size_t
dispatch_take(struct dispatch *d, struct span prefer, monotime_t now,
    struct dispatch_item **out, size_t max, struct destination **where,
    monotime_t *wake)
{
	struct destination *at;
	struct cell *c;
	size_t n = 0;

	d->now = now;
	timers(d);
	c = preferred(d, prefer);
	if (c == NULL)
		c = turn_of_all(d);
	*wake = (monotime_t){ schedule_next_due(&d->timers) };
	if (c == NULL || max == 0)
		return 0;
	*where = at = c->at;
	out[n++] = take_one(d, c);
	while (n < max && slots(d, at) > 0 && (c = turn_at(d, at)) != NULL) {
		c->flow->debt += d->ring_n > 1;
		out[n++] = take_one(d, c);
	}
	call(d, at);
	return n;
}

/* ---- how it went --------------------------------------------------------- */

/* Slow start: one more for each that went well; then for each windowful. */
static void
open_more(struct destination *at, size_t n)
{
	uint32_t most = at->limits.window_max;

	while (n-- > 0 && at->window < most) {
		if (at->window < at->threshold) {
			at->window++;
		} else if (++at->grown >= at->window) {
			at->grown = 0;
			at->window++;
		}
	}
}

static int64_t
back_off(const struct destination *at)
{
	return schedule_wait(at->failures, at->limits.retry_first,
	    at->limits.retry_longest, (uint32_t)map_hash(name_of(at)));
}

static void
went_down(struct destination *at, struct span reason, monotime_t now)
{
	/* What was under way when it went down tells nothing new. */
	if (at->down && mono_before(now, at->down_until))
		return;
	at->down = true;
	at->failures++;
	at->busies = 0;
	at->down_until = (monotime_t){ now.ms + back_off(at) };
	at->threshold = MAX(at->window / 2, 1);
	at->window = 1;
	reason = span_sub(reason, 0, REASON_MAX - 1);
	memset(at->reason, 0, sizeof(at->reason));
	if (reason.n > 0)
		memcpy(at->reason, reason.p, reason.n);
}

static void
is_up(struct destination *at)
{
	if (at->down)
		at->window = MIN(MAX(at->limits.window_first, 1),
		    at->limits.window_max);
	at->down = false;
	at->failures = 0;
}

static void
was_busy(struct destination *at, struct span reason, monotime_t now)
{
	if (at->still > 0)
		return;
	if (at->window <= 1 && ++at->busies >= BUSY_MAX) {
		went_down(at, reason, now);
		return;
	}
	at->still = at->busy;
	at->window = MAX(at->window / 2, 1);
	at->threshold = at->window;
	at->grown = 0;
}

/* n of those under way are no more. */
static void
settle(struct dispatch *d, struct destination *at, size_t n)
{
	at->busy -= n;
	at->still -= MIN(at->still, n);
	call(d, at);
	if (is_idle(at))
		gone_idle(d, at);
}

void
dispatch_done(struct dispatch *d, struct destination *at, size_t n,
    enum destination_state state, struct span reason, monotime_t now)
{
	must(n > 0 && n <= at->busy);
	d->now = now;
	switch (state) {
	case DESTINATION_FINE:
		is_up(at);
		at->busies = 0;
		open_more(at, n);
		break;
	case DESTINATION_BUSY:
		if (at->down)
			at->window = 1;
		at->down = false;
		was_busy(at, reason, now);
		break;
	case DESTINATION_DOWN:
		went_down(at, reason, now);
		break;
	case DESTINATION_UNSURE:
	case DESTINATION_STATES:
		is_up(at);
		break;
	}
	settle(d, at, n);
}

void
dispatch_lost(struct dispatch *d, struct destination *at, size_t n)
{
	must(n > 0 && n <= at->busy);
	settle(d, at, n);
}

struct destination *
dispatch_claim(struct dispatch *d, struct span name,
    const struct dispatch_limits *limits)
{
	struct destination *at = destination_for(d, name, limits);

	at->busy++;
	return at;
}

static void
retry(struct dispatch *d, struct destination *at)
{
	if (!at->down)
		return;
	at->down_until = (monotime_t){ 0 };
	if (at->lined > 0)
		call(d, at);
}

void
dispatch_retry(struct dispatch *d, struct destination *at)
{
	struct span key;
	void *value;
	size_t i = 0;

	if (at != NULL) {
		retry(d, at);
		return;
	}
	while (map_next(d->destinations, &i, &key, &value))
		retry(d, value);
}

/* ---- looking ------------------------------------------------------------- */

void
dispatch_view(const struct destination *at, struct destination_view *view)
{
	*view = (struct destination_view){ .name = name_of(at),
	    .reason = at->down ? span_str(at->reason) : SPAN_EMPTY,
	    .waiting = at->waiting, .busy = at->busy, .window = at->window,
	    .down_until = at->down ? at->down_until : (monotime_t){ 0 } };
}

void
dispatch_walk(struct dispatch *d, void (*fn)(void *,
    const struct destination_view *), void *arg)
{
	struct destination_view view;
	struct span key;
	void *value;
	size_t i = 0;

	while (map_next(d->destinations, &i, &key, &value)) {
		dispatch_view(value, &view);
		fn(arg, &view);
	}
}

size_t
dispatch_waiting(const struct dispatch *d)
{
	return d->waiting;
}

struct dispatch_item *
dispatch_empty(struct dispatch *d)
{
	struct dispatch_item *item;
	struct span key;
	void *value;
	size_t i = 0;

	if (!map_next(d->cells, &i, &key, &value))
		return NULL;
	item = OF(((struct cell *)value)->items.next, dispatch_item, link);
	dispatch_remove(d, item);
	return item;
}

struct dispatch *
dispatch_new(void)
{
	struct dispatch *d = xcalloc(1, sizeof(*d));

	d->destinations = map_new();
	d->flows = map_new();
	d->cells = map_new();
	ring_init(&d->ring);
	return d;
}

static void
free_values(struct map **map)
{
	struct span key;
	void *value;
	size_t i = 0;

	while (map_next(*map, &i, &key, &value))
		free(value);
	map_free(map);
}

void
dispatch_free(struct dispatch **dp)
{
	struct dispatch *d = *dp;

	if (d == NULL)
		return;
	free_values(&d->cells);
	free_values(&d->flows);
	free_values(&d->destinations);
	schedule_free(&d->timers);
	free(d);
	*dp = NULL;
}

/*
 * relay_idle.c - a list by age, a map by destination, and one timer.
 *
 * A destination rarely has more than a few connections here, and
 * relay.max_connections_total bounds them all: those of one destination are
 * a chain behind the newest.
 */
#include "relay/relay_idle.h"
#include "base/log.h"
#include "base/map.h"
#include "io/fiber.h"
#include "io/loop.h"

#include <stdlib.h>

static struct {
	struct map *map;		/* destination -> its chain */
	struct relay_connection *oldest, *newest;
	size_t count;
	struct timer timer;
} idle;

/* ---- the lists ----------------------------------------------------------- */

static void
chain_remove(struct relay_connection *c)
{
	struct relay_connection *first = map_get(idle.map, c->destination);
	struct relay_connection *p = first;

	if (first == c) {
		map_remove(idle.map, c->destination);
		if (c->sibling != NULL)
			map_put(idle.map, c->destination, c->sibling);
		return;
	}
	while (p->sibling != c)
		p = p->sibling;
	p->sibling = c->sibling;
}

static void
take_out(struct relay_connection *c)
{
	chain_remove(c);
	*(c->older != NULL ? &c->older->newer : &idle.oldest) = c->newer;
	*(c->newer != NULL ? &c->newer->older : &idle.newest) = c->older;
	c->older = c->newer = c->sibling = NULL;
	idle.count--;
}

static void
put_in(struct relay_connection *c)
{
	c->sibling = map_put(idle.map, c->destination, c);
	c->older = idle.newest;
	c->newer = NULL;
	*(idle.newest != NULL ? &idle.newest->newer : &idle.oldest) = c;
	idle.newest = c;
	idle.count++;
}

/* ---- their end ----------------------------------------------------------- */

static void
say_goodbye(void *arg)
{
	struct relay_connection *c = arg;

	relay_disconnect(&c, smtp_client_idle_ok(c->client));
}

static void
end_on_a_fiber(struct relay_connection *c)
{
	take_out(c);
	if (fiber_start(say_goodbye, c) != 1)
		relay_disconnect(&c, false);
}

static void
on_time(struct timer *t)
{
	while (idle.oldest != NULL && mono_left(idle.oldest->until) == 0)
		end_on_a_fiber(idle.oldest);
	if (idle.oldest != NULL)
		timer_set(t, idle.oldest->until);
}

/* ---- in and out ---------------------------------------------------------- */

void
relay_idle_put(struct relay_connection **cp, int64_t keep_ms, size_t most)
{
	struct relay_connection *c = *cp;

	*cp = NULL;
	if (keep_ms <= 0 || !stream_park(smtp_client_stream(c->client))) {
		relay_disconnect(&c, keep_ms <= 0);
		return;
	}
	if (idle.map == NULL)
		idle.map = map_new();
	c->until = clock_after(keep_ms);
	put_in(c);
	while (idle.count > most)
		end_on_a_fiber(idle.oldest);
	if (idle.oldest == NULL)
		return;
	idle.timer.fn = on_time;
	timer_set(&idle.timer, idle.oldest->until);
}

struct relay_connection *
relay_idle_take(struct span destination, uint32_t class)
{
	struct relay_connection *c = idle.map == NULL ? NULL :
	    map_get(idle.map, destination);

	while (c != NULL) {
		struct relay_connection *next = c->sibling;

		if (c->class == class) {
			take_out(c);
			if (smtp_client_idle_ok(c->client)) {
				log_event(LOG_LEVEL_DEBUG, "relay.reused",
				    log_text("remote", c->remote));
				return c;
			}
			relay_disconnect(&c, false);
		}
		c = next;
	}
	return NULL;
}

bool
relay_idle_end_one(void)
{
	struct relay_connection *c = idle.oldest;

	if (c == NULL)
		return false;
	take_out(c);
	say_goodbye(c);
	return true;
}

void
relay_idle_end_all(void)
{
	timer_clear(&idle.timer);
	while (idle.oldest != NULL)
		end_on_a_fiber(idle.oldest);
}

size_t
relay_idle_count(void)
{
	return idle.count;
}

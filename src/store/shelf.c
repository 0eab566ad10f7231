/*
 * shelf.c - a map, and a list of what nobody has taken, oldest first.
 */
#include "store/shelf.h"
#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>

enum { TRIES = 8 };		/* of those that may not go yet */

struct shelf {
	const struct shelf_kind *kind;
	void *arg;
	size_t limit, bytes;
	pthread_mutex_t lock;
	struct map *things;
	struct shelved list;	/* newer: the oldest; older: the newest */
};

struct shelf *
shelf_new(const struct shelf_kind *kind, void *arg, size_t limit)
{
	struct shelf *s = xcalloc(1, sizeof(*s));

	s->kind = kind;
	s->arg = arg;
	s->limit = limit;
	s->things = map_new();
	s->list.newer = s->list.older = &s->list;
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void
shelf_free(struct shelf **sp)
{
	struct shelf *s = *sp;
	struct span key;
	size_t at = 0;
	void *value;

	if (s == NULL)
		return;
	while (map_next(s->things, &at, &key, &value)) {
		must(((struct shelved *)value)->pins == 0);
		s->kind->end(value);
	}
	map_free(&s->things);
	pthread_mutex_destroy(&s->lock);
	free(s);
	*sp = NULL;
}

static struct span
key_of(const uint64_t *key)
{
	return span_of(key, sizeof(*key));
}

static void
list_remove(struct shelved *thing)
{
	thing->newer->older = thing->older;
	thing->older->newer = thing->newer;
	thing->newer = thing->older = NULL;
}

static void
list_append(struct shelf *s, struct shelved *thing)
{
	thing->newer = &s->list;
	thing->older = s->list.older;
	thing->older->newer = thing;
	s->list.older = thing;
}

struct shelved *
shelf_take(struct shelf *s, uint64_t key)
{
	struct shelved *thing;

	pthread_mutex_lock(&s->lock);
	thing = map_get(s->things, key_of(&key));
	if (thing == NULL) {
		thing = s->kind->make(s->arg, key);
		thing->key = key;
		map_put(s->things, key_of(&key), thing);
	} else if (thing->pins == 0) {
		list_remove(thing);
	}
	thing->pins++;
	pthread_mutex_unlock(&s->lock);
	return thing;
}

static void
forget(struct shelf *s, struct shelved *thing)
{
	map_remove(s->things, key_of(&thing->key));
	s->bytes -= thing->bytes;
}

/* What is too much leaves the shelf; chained by `newer`. */
static struct shelved *
make_room(struct shelf *s)
{
	struct shelved *gone = NULL, *thing = s->list.newer, *next;

	for (int tries = 0; s->bytes > s->limit && thing != &s->list;
	    thing = next) {
		next = thing->newer;
		if (s->kind->may_go != NULL && !s->kind->may_go(thing)) {
			if (++tries == TRIES)
				break;
			continue;
		}
		list_remove(thing);
		forget(s, thing);
		thing->newer = gone;
		gone = thing;
	}
	return gone;
}

void
shelf_put(struct shelf *s, struct shelved *thing, size_t bytes, bool keep)
{
	struct shelved *gone = NULL, *next;

	pthread_mutex_lock(&s->lock);
	must(thing->pins > 0);
	s->bytes += bytes - thing->bytes;
	thing->bytes = bytes;
	if (--thing->pins == 0 && !keep) {
		forget(s, thing);
		thing->newer = NULL;
		gone = thing;
	} else {
		if (thing->pins == 0)
			list_append(s, thing);
		if (s->bytes > s->limit)
			gone = make_room(s);
	}
	pthread_mutex_unlock(&s->lock);
	for (; gone != NULL; gone = next) {
		next = gone->newer;
		s->kind->end(gone);
	}
}

void
shelf_set_limit(struct shelf *s, size_t limit)
{
	pthread_mutex_lock(&s->lock);
	s->limit = limit;
	pthread_mutex_unlock(&s->lock);
}

size_t
shelf_bytes(struct shelf *s)
{
	size_t bytes;

	pthread_mutex_lock(&s->lock);
	bytes = s->bytes;
	pthread_mutex_unlock(&s->lock);
	return bytes;
}

size_t
shelf_count(struct shelf *s)
{
	size_t count;

	pthread_mutex_lock(&s->lock);
	count = map_count(s->things);
	pthread_mutex_unlock(&s->lock);
	return count;
}

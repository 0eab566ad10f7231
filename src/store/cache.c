/*
 * cache.c - least recently used goes first.
 *
 * One lock: what is done under it is a hash, a few pointers and a copy.
 */
#include "store/cache.h"
#include "base/map.h"
#include "base/secret.h"

#include <pthread.h>
#include <stdlib.h>

struct entry {
	struct entry *newer, *older;
	struct span key, value;		/* both in bytes */
	char bytes[];
};

struct cache {
	pthread_mutex_t lock;
	struct map *map;
	size_t max;
	uint64_t generation;
	struct entry ends;	/* older: newest; newer: oldest */
};

struct cache *
cache_new(size_t entries)
{
	struct cache *c = xcalloc(1, sizeof(*c));

	must(entries > 0);
	pthread_mutex_init(&c->lock, NULL);
	c->map = map_new();
	c->ends.newer = c->ends.older = &c->ends;
	c->max = entries;
	return c;
}

static void
unchain(struct entry *e)
{
	e->newer->older = e->older;
	e->older->newer = e->newer;
}

static void
chain_newest(struct cache *c, struct entry *e)
{
	e->newer = &c->ends;
	e->older = c->ends.older;
	e->older->newer = e;
	c->ends.older = e;
}

static void
drop(struct cache *c, struct entry *e)
{
	must(map_remove(c->map, e->key) == e);
	unchain(e);
	secret_wipe(e->bytes, e->key.n + e->value.n);
	free(e);
}

static void
drop_all(struct cache *c)
{
	struct entry *newer;

	for (struct entry *e = c->ends.newer; e != &c->ends; e = newer) {
		newer = e->newer;
		drop(c, e);
	}
}

void
cache_free(struct cache **cp)
{
	struct cache *c = *cp;

	if (c == NULL)
		return;
	drop_all(c);
	map_free(&c->map);
	pthread_mutex_destroy(&c->lock);
	free(c);
	*cp = NULL;
}

/* Locked. The entry, now the newest; NULL: not there. */
static struct entry *
find(struct cache *c, struct span key)
{
	struct entry *e = map_get(c->map, key);

	if (e != NULL) {
		unchain(e);
		chain_newest(c, e);
	}
	return e;
}

int
cache_get(struct cache *c, struct span key, struct arena *arena,
    struct span *value)
{
	struct entry *e;
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	e = find(c, key);
	if (e != NULL) {
		*value = arena_dup(arena, e->value);
		rc = value->p == NULL ? -1 : 1;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

int
cache_read(struct cache *c, struct span key, void *value, size_t n)
{
	struct entry *e;
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	e = find(c, key);
	if (e != NULL && e->value.n == n) {
		memcpy(value, e->value.p, n);
		rc = 1;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static void
put_locked(struct cache *c, struct span key, struct span value)
{
	struct entry *e = map_get(c->map, key);

	if (e != NULL)
		drop(c, e);
	else if (map_count(c->map) >= c->max)
		drop(c, c->ends.newer);
	e = xmalloc(sizeof(*e) + key.n + value.n);
	e->key = span_of(e->bytes, key.n);
	e->value = span_of(e->bytes + key.n, value.n);
	if (key.n > 0)
		memcpy(e->bytes, key.p, key.n);
	if (value.n > 0)
		memcpy(e->bytes + key.n, value.p, value.n);
	chain_newest(c, e);
	map_put(c->map, e->key, e);
}

void
cache_put(struct cache *c, struct span key, struct span value)
{
	pthread_mutex_lock(&c->lock);
	put_locked(c, key, value);
	pthread_mutex_unlock(&c->lock);
}

void
cache_put_read(struct cache *c, uint64_t generation, struct span key,
    struct span value)
{
	pthread_mutex_lock(&c->lock);
	if (c->generation == generation)
		put_locked(c, key, value);
	pthread_mutex_unlock(&c->lock);
}

void
cache_remove(struct cache *c, struct span key)
{
	struct entry *e;

	pthread_mutex_lock(&c->lock);
	c->generation++;
	e = map_get(c->map, key);
	if (e != NULL)
		drop(c, e);
	pthread_mutex_unlock(&c->lock);
}

void
cache_clear(struct cache *c)
{
	pthread_mutex_lock(&c->lock);
	c->generation++;
	drop_all(c);
	pthread_mutex_unlock(&c->lock);
}

uint64_t
cache_generation(struct cache *c)
{
	uint64_t generation;

	pthread_mutex_lock(&c->lock);
	generation = c->generation;
	pthread_mutex_unlock(&c->lock);
	return generation;
}

size_t
cache_count(struct cache *c)
{
	size_t count;

	pthread_mutex_lock(&c->lock);
	count = map_count(c->map);
	pthread_mutex_unlock(&c->lock);
	return count;
}

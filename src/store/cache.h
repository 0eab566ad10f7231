/*
 * cache.h - a bounded memory of what was looked up lately.
 *
 * From bytes to bytes, both copied. When it is full the entry that was not
 * used for longest makes room. Any thread.
 */
#ifndef STORE_CACHE_H
#define STORE_CACHE_H

#include "base/arena.h"
#include "base/base.h"

struct cache;

struct cache *cache_new(size_t entries);
void cache_free(struct cache **);	/* what it held is wiped */

/* 1 and a copy in the arena, 0 not there, -1 the arena is full. */
int cache_get(struct cache *, struct span key, struct arena *,
    struct span *value);
/* The same into a buffer of exactly the value's size; else 0. */
int cache_read(struct cache *, struct span key, void *value, size_t n);
void cache_put(struct cache *, struct span key, struct span value);
void cache_remove(struct cache *, struct span key);
void cache_clear(struct cache *);
size_t cache_count(struct cache *);

/*
 * A value read from the engine may be old by the time it is put here. So:
 * take the generation, read, put it with that generation. cache_clear and
 * cache_remove raise it, and a put with an older one does nothing.
 */
uint64_t cache_generation(struct cache *);
void cache_put_read(struct cache *, uint64_t generation, struct span key,
    struct span value);

#endif

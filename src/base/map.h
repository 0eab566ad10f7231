/*
 * map.h - a hash table from bytes to a pointer.
 *
 * Keys are copied. The hash is keyed per process, so that a peer cannot
 * choose colliding keys. The map does not own its values. Not shared between
 * threads without the caller's lock.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/base.h"

struct map;

struct map *map_new(void);
void map_free(struct map **);
void *map_get(const struct map *, struct span key);	/* NULL: not there */
/* value must not be NULL. Returns what stood there before, or NULL. */
void *map_put(struct map *, struct span key, void *value);
void *map_remove(struct map *, struct span key);	/* the value, or NULL */
size_t map_count(const struct map *);
/*
 * Walk in no order: start with *at == 0; false at the end. The map must not
 * change on the way, but for map_remove of the entry just seen.
 */
bool map_next(const struct map *, size_t *at, struct span *key, void **value);

/* The keyed hash itself, and the same (SipHash-2-4) under a given key. */
uint64_t map_hash(struct span);
uint64_t map_siphash(const uint64_t key[2], struct span);

#endif

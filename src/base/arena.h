/*
 * arena.h - what dies together is allocated together.
 *
 * An arena hands out memory that is freed all at once: one per session, one
 * per command. It has a limit, so that no peer decides how much we hold; an
 * allocation beyond it returns NULL and the arena remembers (arena_full()).
 * Not shared between threads.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/base.h"

struct arena;

/* `limit` in bytes, the sum of all live allocations. Free with arena_free. */
struct arena *arena_new(size_t limit);
void arena_free(struct arena **);	/* NULL inside is fine; sets NULL */
/* Forget every allocation, keep the first block for the next command. */
void arena_reset(struct arena *);
/* Keep nothing: give every block back (before a session is parked). */
void arena_trim(struct arena *);

/* Aligned for any type. NULL beyond the limit. Not zeroed / zeroed. */
void *arena_alloc(struct arena *, size_t n);
void *arena_zalloc(struct arena *, size_t n);
/*
 * Grow the array at p from old to new bytes; in place when it is the last
 * allocation. NULL beyond the limit (p stays valid).
 */
void *arena_grow(struct arena *, void *p, size_t old_n, size_t new_n);
/* Copies; a NUL is added behind the bytes, not counted. p NULL when full. */
struct span arena_dup(struct arena *, struct span);
struct span arena_printf(struct arena *, const char *fmt, ...)
    PRINTF_LIKE(2, 3);
/* A C string; NULL when full. A NUL inside the span ends it early. */
char *arena_cstr(struct arena *, struct span);

bool   arena_full(const struct arena *);	/* an allocation was refused */
size_t arena_used(const struct arena *);	/* bytes handed out */

#endif

/*
 * arena.c - blocks filled from the front, freed together.
 *
 * Blocks grow by doubling, so that a small session costs a small block and a
 * large one few of them. What does not fit a block gets one of its own size.
 * Under AddressSanitizer every byte not handed out is poisoned, and a red
 * zone stands behind every allocation.
 */
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#ifndef __clang__	/* gcc 12 takes poisoning for reading */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#define poison(p, n)   __asan_poison_memory_region(p, n)
#define unpoison(p, n) __asan_unpoison_memory_region(p, n)
#define RED_ZONE ((size_t)16)
#else
#define poison(p, n)   ((void)(p), (void)(n))
#define unpoison(p, n) ((void)(p), (void)(n))
#define RED_ZONE ((size_t)0)
#endif

#define ALIGN		(_Alignof(max_align_t))
#define BLOCK_FIRST	((size_t)1024)
#define BLOCK_LARGEST	((size_t)64 * 1024)

struct block {
	struct block *older;
	size_t room;		/* bytes behind the head */
	size_t n;		/* of them handed out */
	_Alignas(max_align_t) char bytes[];
};

struct arena {
	struct block *newest;
	size_t limit;
	size_t used;
	bool full;
};

static size_t
rounded(size_t n)
{
	return (n + ALIGN - 1) & ~(ALIGN - 1);
}

struct arena *
arena_new(size_t limit)
{
	struct arena *a = xcalloc(1, sizeof(*a));

	a->limit = limit;
	return a;
}

static void
block_free(struct block *b)
{
	unpoison(b->bytes, b->room);
	free(b);
}

void
arena_free(struct arena **ap)
{
	if (*ap == NULL)
		return;
	arena_trim(*ap);
	free(*ap);
	*ap = NULL;
}

/* The oldest block stays, unless one great allocation made it large. */
void
arena_reset(struct arena *a)
{
	struct block *b = a->newest;

	while (b != NULL && (b->older != NULL || b->room > BLOCK_LARGEST)) {
		struct block *older = b->older;

		block_free(b);
		b = older;
	}
	a->newest = b;
	a->used = 0;
	a->full = false;
	if (b != NULL) {
		b->n = 0;
		poison(b->bytes, b->room);
	}
}

void
arena_trim(struct arena *a)
{
	arena_reset(a);
	if (a->newest != NULL)
		block_free(a->newest);
	a->newest = NULL;
}

/* A block with room for n: twice the last one's, or n alone if n is large. */
static struct block *
block_new(const struct arena *a, size_t n)
{
	size_t room = BLOCK_FIRST - sizeof(struct block);
	struct block *b;

	if (a->newest != NULL)
		room = MIN(a->newest->room * 2, BLOCK_LARGEST);
	room = rounded(MAX(room, n));
	b = malloc(sizeof(*b) + room);
	if (b == NULL)
		return NULL;
	b->older = a->newest;
	b->room = room;
	b->n = 0;
	poison(b->bytes, room);
	return b;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	size_t need;
	struct block *b = a->newest;
	char *p;

	if (n > a->limit || rounded(n) > a->limit - MIN(a->used, a->limit)) {
		a->full = true;
		return NULL;
	}
	need = rounded(n) + RED_ZONE;
	if (b == NULL || b->room - b->n < need) {
		b = block_new(a, need);
		if (b == NULL) {
			a->full = true;
			return NULL;
		}
		a->newest = b;
	}
	p = b->bytes + b->n;
	b->n += need;
	a->used += rounded(n);
	unpoison(p, n);
	return p;
}

void *
arena_zalloc(struct arena *a, size_t n)
{
	void *p = arena_alloc(a, n);

	return p == NULL ? NULL : memset(p, 0, n);
}

/* Is p, of old_n bytes, the last allocation, with room for more behind it? */
static bool
grows_in_place(const struct arena *a, const void *p, size_t old_n, size_t more)
{
	const struct block *b = a->newest;

	return b != NULL && (const char *)p >= b->bytes &&
	    (const char *)p + rounded(old_n) + RED_ZONE == b->bytes + b->n &&
	    b->room - b->n >= more;
}

void *
arena_grow(struct arena *a, void *p, size_t old_n, size_t new_n)
{
	size_t more;
	void *q;

	must(new_n >= old_n);
	if (p == NULL)
		return arena_alloc(a, new_n);
	if (new_n > a->limit) {
		a->full = true;
		return NULL;
	}
	more = rounded(new_n) - rounded(old_n);
	if (grows_in_place(a, p, old_n, more)) {
		if (more > a->limit - MIN(a->used, a->limit)) {
			a->full = true;
			return NULL;
		}
		a->newest->n += more;
		a->used += more;
		unpoison(p, new_n);
		return p;
	}
	q = arena_alloc(a, new_n);
	if (q != NULL && old_n > 0)
		memcpy(q, p, old_n);
	return q;
}

struct span
arena_dup(struct arena *a, struct span s)
{
	char *p = s.n == SIZE_MAX ? NULL : arena_alloc(a, s.n + 1);

	if (p == NULL)
		return SPAN_EMPTY;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return span_of(p, s.n);
}

struct span
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list args, again;
	char *p;
	int n;

	va_start(args, fmt);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, fmt, args);
	must(n >= 0);
	p = arena_alloc(a, (size_t)n + 1);
	if (p != NULL)
		vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(args);
	return p == NULL ? SPAN_EMPTY : span_of(p, (size_t)n);
}

char *
arena_cstr(struct arena *a, struct span s)
{
	size_t n = s.n == 0 ? 0 : strnlen(s.p, s.n);
	char *p = arena_alloc(a, n + 1);

	if (p == NULL)
		return NULL;
	if (n > 0)
		memcpy(p, s.p, n);
	p[n] = '\0';
	return p;
}

bool
arena_full(const struct arena *a)
{
	return a->full;
}

size_t
arena_used(const struct arena *a)
{
	return a->used;
}

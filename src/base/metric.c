/*
 * metric.c - a small table of names and numbers, without locks.
 *
 * Whoever first counts a name claims a slot for it; a slot is never given
 * back. When the table is full, further names are not counted.
 */
#include "base/metric.h"

#include <stdatomic.h>

enum { SLOTS = METRIC_NAMES, NAME_ROOM = 52 };
enum { FREE, CLAIMED, READY };

struct slot {
	_Atomic uint64_t value;
	_Atomic uint16_t state;
	uint16_t kind;
	char name[NAME_ROOM];
};
_Static_assert(sizeof(struct slot) * SLOTS == METRIC_MEMORY, "as promised");

static struct slot own[SLOTS];
static _Atomic(struct slot *) table = own;

/* Whoever counted there before may have been killed in the midst of it. */
void
metric_open(void *memory)
{
	struct slot *slots = memory;

	for (size_t i = 0; i < SLOTS; i++)
		if (atomic_load(&slots[i].state) != READY)
			atomic_store(&slots[i].state, FREE);
	atomic_store(&table, slots);
}

static size_t
hash(const char *name)
{
	uint32_t h = 2166136261u;	/* FNV-1a: the names are our own */

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h;
}

/* Another thread is writing the name: a matter of nanoseconds. */
static unsigned
settled_state(struct slot *s)
{
	unsigned state;

	while ((state = atomic_load_explicit(&s->state,
	    memory_order_acquire)) == CLAIMED)
		;
	return state;
}

static bool
claim(struct slot *s, enum metric_kind kind, const char *name)
{
	uint16_t state = FREE;

	if (!atomic_compare_exchange_strong(&s->state, &state, CLAIMED))
		return false;
	s->kind = (uint16_t)kind;
	memcpy(s->name, name, strlen(name) + 1);
	atomic_store_explicit(&s->state, READY, memory_order_release);
	return true;
}

static struct slot *
slot_of(enum metric_kind kind, const char *name)
{
	struct slot *slots = atomic_load_explicit(&table,
	    memory_order_acquire);
	size_t at = hash(name);

	if (strlen(name) >= NAME_ROOM)
		return NULL;
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *s = &slots[(at + i) % SLOTS];

		if (settled_state(s) == FREE && claim(s, kind, name))
			return s;
		settled_state(s);
		if (s->kind == kind && strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

void
metric_event(const char *name)
{
	struct slot *s = slot_of(METRIC_EVENT, name);

	if (s != NULL)
		atomic_fetch_add_explicit(&s->value, 1, memory_order_relaxed);
}

void
metric_set(const char *name, uint64_t value)
{
	struct slot *s = slot_of(METRIC_GAUGE, name);

	if (s != NULL)
		atomic_store_explicit(&s->value, value, memory_order_relaxed);
}

static bool
copy_name(char *to, const char *from)
{
	size_t n = strnlen(from, NAME_ROOM);

	memcpy(to, from, n);
	to[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (!ascii_is_alnum(to[i]) && to[i] != '.' && to[i] != '_')
			return false;
	return n > 0 && n < NAME_ROOM;
}

bool
metric_next(const void *memory, size_t *at, enum metric_kind *kind,
    char *name, uint64_t *value)
{
	const struct slot *slots = memory;

	while (*at < SLOTS) {
		const struct slot *s = &slots[(*at)++];

		if (atomic_load_explicit(&s->state, memory_order_acquire) !=
		    READY || !copy_name(name, s->name))
			continue;
		*kind = s->kind == METRIC_EVENT ? METRIC_EVENT : METRIC_GAUGE;
		*value = atomic_load_explicit(&s->value, memory_order_relaxed);
		return true;
	}
	return false;
}

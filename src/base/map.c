/*
 * map.c - open addressing with linear probing under SipHash-2-4.
 *
 * A removed entry leaves a mark where a later one may have been pushed past
 * it; marks go when the table is next rebuilt. So removal moves nothing and
 * a walk may remove what it stands on.
 */
#include "base/map.h"
#include "base/secret.h"

#include <pthread.h>
#include <stdlib.h>

#define SLOTS_FIRST ((size_t)16)

struct slot {
	uint64_t hash;
	char *key;		/* NULL: free, or REMOVED */
	size_t n;
	void *value;		/* NULL: free or removed */
};

static char removed_mark;
#define REMOVED (&removed_mark)

struct map {
	struct slot *slots;
	size_t room;		/* a power of two */
	size_t count;
	size_t filled;		/* entries and marks */
};

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static uint64_t process_key[2];

static void
make_key(void)
{
	random_bytes(process_key, sizeof(process_key));
}

static uint64_t
rotl(uint64_t v, int bits)
{
	return v << bits | v >> (64 - bits);
}

static void
sip_rounds(uint64_t v[4], int rounds)
{
	while (rounds-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] = rotl(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] = rotl(v[2], 32);
	}
}

static uint64_t
load64(const char *p, size_t n)
{
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (uint64_t)(unsigned char)p[i] << (8 * i);
	return word;
}

uint64_t
map_siphash(const uint64_t key[2], struct span s)
{
	uint64_t v[4] = {
		key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
		key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573,
	};
	size_t whole = s.n & ~(size_t)7;
	uint64_t word;

	for (size_t i = 0; i < whole; i += 8) {
		word = load64(s.p + i, 8);
		v[3] ^= word;
		sip_rounds(v, 2);
		v[0] ^= word;
	}
	word = (uint64_t)s.n << 56;
	if (s.n > whole)
		word |= load64(s.p + whole, s.n - whole);
	v[3] ^= word;
	sip_rounds(v, 2);
	v[0] ^= word;
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t
map_hash(struct span s)
{
	pthread_once(&key_once, make_key);
	return map_siphash(process_key, s);
}

struct map *
map_new(void)
{
	struct map *m = xcalloc(1, sizeof(*m));

	m->room = SLOTS_FIRST;
	m->slots = xcalloc(m->room, sizeof(*m->slots));
	return m;
}

void
map_free(struct map **mp)
{
	struct map *m = *mp;

	if (m == NULL)
		return;
	for (size_t i = 0; i < m->room; i++)
		if (m->slots[i].value != NULL)
			free(m->slots[i].key);
	free(m->slots);
	free(m);
	*mp = NULL;
}

/* The slot of this key, or NULL. */
static struct slot *
slot_find(const struct map *m, uint64_t hash, struct span key)
{
	for (size_t i = hash & (m->room - 1);; i = (i + 1) & (m->room - 1)) {
		struct slot *s = &m->slots[i];

		if (s->key == NULL)
			return NULL;
		if (s->value != NULL && s->hash == hash &&
		    span_eq(span_of(s->key, s->n), key))
			return s;
	}
}

/* The first slot on the way that holds nothing. */
static struct slot *
slot_vacant(const struct map *m, uint64_t hash)
{
	size_t i = hash & (m->room - 1);

	while (m->slots[i].value != NULL)
		i = (i + 1) & (m->room - 1);
	return &m->slots[i];
}

/* Drop the marks, and make the table fit what it holds: at most half full. */
static void
rebuild(struct map *m)
{
	struct map old = *m;

	m->room = SLOTS_FIRST;
	while (m->room < (old.count + 1) * 2)
		m->room *= 2;
	m->slots = xcalloc(m->room, sizeof(*m->slots));
	m->filled = old.count;
	for (size_t i = 0; i < old.room; i++)
		if (old.slots[i].value != NULL)
			*slot_vacant(m, old.slots[i].hash) = old.slots[i];
	free(old.slots);
}

void *
map_get(const struct map *m, struct span key)
{
	struct slot *s = slot_find(m, map_hash(key), key);

	return s == NULL ? NULL : s->value;
}

void *
map_put(struct map *m, struct span key, void *value)
{
	uint64_t hash = map_hash(key);
	struct slot *s = slot_find(m, hash, key);
	void *before;

	must(value != NULL);
	if (s != NULL) {
		before = s->value;
		s->value = value;
		return before;
	}
	if ((m->filled + 1) * 4 > m->room * 3)
		rebuild(m);
	s = slot_vacant(m, hash);
	if (s->key == NULL)
		m->filled++;
	s->hash = hash;
	s->n = key.n;
	s->key = xmalloc(key.n);
	if (key.n > 0)
		memcpy(s->key, key.p, key.n);
	s->value = value;
	m->count++;
	return NULL;
}

/* Before a free slot no mark is needed, nor are the marks just before it. */
static void
slot_clear(struct map *m, struct slot *s)
{
	size_t mask = m->room - 1, i = (size_t)(s - m->slots);

	s->value = NULL;
	s->key = REMOVED;
	if (m->slots[(i + 1) & mask].key != NULL)
		return;
	for (; m->slots[i].key == REMOVED; i = (i - 1) & mask) {
		m->slots[i].key = NULL;
		m->filled--;
	}
}

void *
map_remove(struct map *m, struct span key)
{
	struct slot *s = slot_find(m, map_hash(key), key);
	void *value;

	if (s == NULL)
		return NULL;
	value = s->value;
	free(s->key);
	slot_clear(m, s);
	m->count--;
	return value;
}

size_t
map_count(const struct map *m)
{
	return m->count;
}

bool
map_next(const struct map *m, size_t *at, struct span *key, void **value)
{
	for (; *at < m->room; (*at)++) {
		const struct slot *s = &m->slots[*at];

		if (s->value == NULL)
			continue;
		*key = span_of(s->key, s->n);
		*value = s->value;
		(*at)++;
		return true;
	}
	return false;
}

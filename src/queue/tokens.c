/*
 * tokens.c - open addressing with linear probing; a removal closes the gap.
 */
#include "queue/tokens.h"
#include "base/map.h"

#include <stdlib.h>

enum { ROOM_FIRST = 64 };

void
tokens_free(struct tokens *t)
{
	free(t->slots);
	*t = (struct tokens){ 0 };
}

static size_t
home_of(const struct tokens *t, const struct token *token)
{
	return map_hash(span_of(token->b, sizeof(token->b))) & (t->room - 1);
}

static bool
same(const struct token *a, const struct token *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* Where it is, or the free slot where it would be. */
static size_t
slot_of(const struct tokens *t, const struct token *token)
{
	size_t i = home_of(t, token);

	while (t->slots[i] != NULL && !same(t->slots[i], token))
		i = (i + 1) & (t->room - 1);
	return i;
}

void *
tokens_find(const struct tokens *t, const struct token *token)
{
	return t->n == 0 ? NULL : t->slots[slot_of(t, token)];
}

static void
resize(struct tokens *t, size_t room)
{
	struct tokens old = *t;

	t->room = room;
	t->slots = xcalloc(room, sizeof(struct token *));
	for (size_t i = 0; i < old.room; i++)
		if (old.slots[i] != NULL)
			t->slots[slot_of(t, old.slots[i])] = old.slots[i];
	free(old.slots);
}

/* Between a quarter and three quarters full. */
void
tokens_add(struct tokens *t, struct token *token)
{
	size_t at;

	if (t->room == 0 || t->n >= t->room / 4 * 3)
		resize(t, MAX((size_t)ROOM_FIRST, t->room * 2));
	at = slot_of(t, token);
	must(t->slots[at] == NULL);
	t->slots[at] = token;
	t->n++;
}

void
tokens_remove(struct tokens *t, struct token *token)
{
	size_t mask = t->room - 1, gap = slot_of(t, token);

	must(t->slots[gap] == token);
	for (size_t i = (gap + 1) & mask; t->slots[i] != NULL;
	    i = (i + 1) & mask) {
		size_t home = home_of(t, t->slots[i]);

		/* May it move back to the gap without passing its home? */
		if (((i - home) & mask) >= ((i - gap) & mask)) {
			t->slots[gap] = t->slots[i];
			gap = i;
		}
	}
	t->slots[gap] = NULL;
	t->n--;
	if (t->room > ROOM_FIRST && t->n < t->room / 8)
		resize(t, t->room / 2);
}

void *
tokens_next(const struct tokens *t, size_t *at)
{
	while (*at < t->room) {
		struct token *token = t->slots[(*at)++];

		if (token != NULL)
			return token;
	}
	return NULL;
}

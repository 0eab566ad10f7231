/*
 * schedule.c - a binary heap of due times, and the back-off.
 */
#include "queue/schedule.h"

#include <stdlib.h>

void
schedule_free(struct schedule *s)
{
	free(s->items);
	*s = (struct schedule){ 0 };
}

static void
place(struct schedule *s, size_t i, struct schedule_item *item)
{
	s->items[i] = item;
	item->at = i + 1;
}

static void
sift_up(struct schedule *s, size_t i, struct schedule_item *item)
{
	while (i > 0) {
		size_t up = (i - 1) / 2;

		if (s->items[up]->due <= item->due)
			break;
		place(s, i, s->items[up]);
		i = up;
	}
	place(s, i, item);
}

static void
sift_down(struct schedule *s, size_t i, struct schedule_item *item)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= s->n)
			break;
		if (child + 1 < s->n &&
		    s->items[child + 1]->due < s->items[child]->due)
			child++;
		if (item->due <= s->items[child]->due)
			break;
		place(s, i, s->items[child]);
		i = child;
	}
	place(s, i, item);
}

void
schedule_add(struct schedule *s, struct schedule_item *item, int64_t due)
{
	must(item->at == 0);
	if (s->n == s->room) {
		s->room = MAX(64, s->room * 2);
		s->items = xrealloc(s->items,
		    s->room * sizeof(struct schedule_item *));
	}
	item->due = due;
	sift_up(s, s->n++, item);
}

void
schedule_remove(struct schedule *s, struct schedule_item *item)
{
	struct schedule_item *last;
	size_t hole;

	if (item->at == 0)
		return;
	hole = item->at - 1;
	must(hole < s->n && s->items[hole] == item);
	item->at = 0;
	last = s->items[--s->n];
	if (last == item)
		return;
	if (hole > 0 && last->due < s->items[(hole - 1) / 2]->due)
		sift_up(s, hole, last);
	else
		sift_down(s, hole, last);
}

struct schedule_item *
schedule_take(struct schedule *s, int64_t now)
{
	struct schedule_item *item;

	if (s->n == 0 || s->items[0]->due > now)
		return NULL;
	item = s->items[0];
	schedule_remove(s, item);
	return item;
}

void
schedule_walk(const struct schedule *s, void (*fn)(void *,
    struct schedule_item *), void *arg)
{
	for (size_t i = 0; i < s->n; i++)
		fn(arg, s->items[i]);
}

int64_t
schedule_next_due(const struct schedule *s)
{
	return s->n == 0 ? INT64_MAX : s->items[0]->due;
}

int64_t
schedule_wait(uint32_t attempts, int64_t first, int64_t longest,
    uint32_t random)
{
	int64_t wait = MAX(first, 1);

	longest = MAX(longest, wait);
	for (uint32_t i = 1; i < attempts && wait < longest; i++)
		wait = wait > longest / 2 ? longest : wait * 2;
	wait -= (int64_t)(random % (uint32_t)MIN(wait / 4 + 1, 1 << 20));
	return MAX(wait, 1);
}

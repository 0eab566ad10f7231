/*
 * text.c - a growing run of bytes with a limit.
 */
#include "base/text.h"
#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>

#define ROOM_FIRST	((size_t)64)
/* No secret is this long: above it realloc may move pages, not bytes. */
#define WIPE_BELOW	((size_t)64 * 1024)

void
text_free(struct text *t)
{
	free(t->p);
	*t = TEXT_INIT(t->limit);
}

void
text_wipe(struct text *t)
{
	if (t->p != NULL)
		secret_wipe(t->p, t->room);
	text_free(t);
}

void
text_clear(struct text *t)
{
	t->n = 0;
	t->full = false;
}

/* A secret that outgrows its place must not stay behind there. */
static void
text_move(struct text *t, size_t room)
{
	char *p;

	if (t->room >= WIPE_BELOW) {
		t->p = xrealloc(t->p, room);
		t->room = room;
		return;
	}
	p = xmalloc(room);
	if (t->p != NULL) {
		memcpy(p, t->p, t->n);
		secret_wipe(t->p, t->n);
		free(t->p);
	}
	t->p = p;
	t->room = room;
}

char *
text_room(struct text *t, size_t n)
{
	size_t need, room;

	if (n > SIZE_MAX / 4 - t->n ||
	    (t->limit != 0 && n > t->limit - MIN(t->n, t->limit))) {
		t->full = true;
		return NULL;
	}
	need = t->n + n;
	if (need > t->room || t->p == NULL) {
		room = MAX(MAX(need, t->room * 2), ROOM_FIRST);
		if (t->limit != 0)
			room = MAX(MIN(room, t->limit), need);
		text_move(t, MAX(room, 1));
	}
	return t->p + t->n;
}

void
text_grew(struct text *t, size_t n)
{
	must(n <= t->room - t->n);
	t->n += n;
}

void
text_add(struct text *t, struct span s)
{
	char *p;

	if (s.n == 0)
		return;
	p = text_room(t, s.n);
	if (p == NULL)
		return;
	memcpy(p, s.p, s.n);
	t->n += s.n;
}

void
text_str(struct text *t, const char *s)
{
	text_add(t, span_str(s));
}

void
text_char(struct text *t, char c)
{
	text_add(t, span_of(&c, 1));
}

void
text_printf(struct text *t, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	text_vprintf(t, fmt, args);
	va_end(args);
}

/* vsnprintf wants a byte more for its NUL than the text will count. */
void
text_vprintf(struct text *t, const char *fmt, va_list args)
{
	char small[256], *large;
	va_list again;
	int n;

	va_copy(again, args);
	n = vsnprintf(small, sizeof(small), fmt, args);
	must(n >= 0);
	if ((size_t)n < sizeof(small)) {
		text_add(t, span_of(small, (size_t)n));
	} else if (text_room(t, (size_t)n) != NULL) {
		large = xmalloc((size_t)n + 1);
		vsnprintf(large, (size_t)n + 1, fmt, again);
		text_add(t, span_of(large, (size_t)n));
		secret_wipe(large, (size_t)n);
		free(large);
	}
	va_end(again);
	secret_wipe(small, MIN((size_t)n + 1, sizeof(small)));
}

void
text_u64(struct text *t, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	text_add(t, span_of(digits + at, sizeof(digits) - at));
}

struct span
text_span(const struct text *t)
{
	return span_of(t->p, t->n);
}

bool
text_full(const struct text *t)
{
	return t->full;
}

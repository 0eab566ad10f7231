/*
 * stream_memory.c - a stream for tests: input given, output kept.
 *
 * It never waits, so it needs neither a loop nor a fiber.
 */
#include <stdlib.h>

#include "base/text.h"
#include "io/stream_layer.h"

struct memory {
	struct span input;
	size_t piece;
	struct text output;
};

static ssize_t
memory_read(struct stream *s, void *p, size_t room)
{
	struct memory *m = s->layer_state;
	size_t n = MIN(room, m->input.n);

	if (m->piece != 0)
		n = MIN(n, m->piece);
	if (n > 0)
		memcpy(p, m->input.p, n);
	m->input = span_from(m->input, n);
	return (ssize_t)n;
}

static ssize_t
memory_write(struct stream *s, const void *p, size_t n)
{
	struct memory *m = s->layer_state;

	text_add(&m->output, span_of(p, n));
	return (ssize_t)n;
}

static bool
memory_holds_input(const struct stream *s)
{
	(void)s;
	return true;
}

static void
memory_goodbye(struct stream *s)
{
	(void)s;
}

static void
memory_free(struct stream *s)
{
	struct memory *m = s->layer_state;

	text_free(&m->output);
	free(m);
}

static const struct stream_layer memory_layer = {
	.read = memory_read,
	.write = memory_write,
	.holds_input = memory_holds_input,
	.say_goodbye = memory_goodbye,
	.free = memory_free,
};

struct stream *
stream_memory(struct span input, size_t piece)
{
	struct stream *s = stream_new(&memory_layer, -1);
	struct memory *m = xcalloc(1, sizeof(*m));

	m->input = input;
	m->piece = piece;
	m->output = TEXT_INIT(0);
	s->layer_state = m;
	return s;
}

struct span
stream_memory_output(struct stream *s)
{
	struct memory *m = s->layer_state;

	must(s->layer_state != NULL);
	stream_flush(s);
	return text_span(&m->output);
}

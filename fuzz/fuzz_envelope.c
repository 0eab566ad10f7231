/*
 * fuzz_envelope.c - records of the queue as a damaged disk would give them.
 * What decodes encodes to as many bytes again.
 */
#include <stdlib.h>

#include "queue/bounce.h"
#include "queue/envelope.h"

/* Whatever an envelope says, its notification can be made. */
static void
check_bounce(struct arena *arena, const struct envelope *e)
{
	struct text out = TEXT_INIT(1 << 20), id = TEXT_INIT(0);
	struct bounce_fate *fates = arena_zalloc(arena, (e->count + 1) *
	    sizeof(*fates));
	struct bounce b = { .kind = BOUNCE_FAILED, .fates = fates,
	    .hostname = SPAN("mail.example.test"), .envelope = e,
	    .original = e->trace, .whole = (e->flags & 1) != 0 };
	uint32_t prefix = 0;

	if (fates == NULL)
		return;
	for (size_t i = 0; i < e->count; i++)
		fates[i] = (struct bounce_fate){
		    .action = (enum bounce_action)(i % BOUNCE_ACTIONS),
		    .remote = e->recipients[i].reason,
		    .answer = e->envid };
	bounce_build(&b, &out, &prefix, &id);
	if (prefix > out.n)
		abort();
	text_free(&out);
	text_free(&id);
}

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(4 << 20);
	struct span record = span_of(data, size);
	struct text again = TEXT_INIT(0);
	char name[QUEUE_ID_CHARS + 1];
	uint8_t back[QUEUE_ID_TOKEN];
	struct envelope e;

	if (envelope_decode(record, arena, &e) == 1) {
		envelope_encode(&e, &again);
		/* `warned` is any byte but zero when read, one when made. */
		if (again.n != record.n)
			abort();
		queue_id_of(&e.token, name);
		if (queue_id_parse(span_str(name), back) != 1 ||
		    memcmp(back, e.token.b, sizeof(back)) != 0)
			abort();
		check_bounce(arena, &e);
	}
	queue_id_parse(record, back);
	text_free(&again);
	arena_free(&arena);
	return 0;
}

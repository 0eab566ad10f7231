/*
 * queue_record.c - envelopes on disk: the record of each, the link that holds
 * its body, and going through them all in order.
 *
 * No entry is touched here, and no lock is taken.
 */
#include "store/queue.h"

static struct span
token_key(const struct token *token)
{
	return span_of(token->b, sizeof(token->b));
}

void
queue_holder(struct text *out, const struct token *token)
{
	text_char(out, HOLDER_QUEUE);
	text_add(out, token_key(token));
}

static void
key_envelope(struct text *key, const struct token *token)
{
	text_clear(key);
	text_char(key, QUEUE_ENVELOPE);
	text_add(key, token_key(token));
}

struct token
queue_part(const struct token *token, size_t part)
{
	struct token other = *token;

	for (size_t i = sizeof(other.b); part > 0 && i > QUEUE_ID_TOKEN; i--) {
		part += other.b[i - 1];
		other.b[i - 1] = (uint8_t)part;
		part >>= 8;
	}
	return other;
}

/* -- writing --------------------------------------------------------------- */

static int
stream_body(struct engine *engine, struct body_id id,
    const struct submission *s)
{
	struct body_writer *writer = body_writer_open(engine, id);

	if (writer == NULL)
		return -1;
	if (body_write(writer, s->head) != 1 ||
	    body_write(writer, s->rest) != 1) {
		int saved = errno;

		body_writer_abort(&writer);
		errno = saved;
		return -1;
	}
	return body_writer_finish(&writer, s->summary);
}

int
queue_put_envelope(struct batch *batch, const struct envelope *e)
{
	struct text record = TEXT_INIT(ENVELOPE_RECORD_MAX);
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct text holder = TEXT_INIT(0);
	struct body_id body;
	int rc = 1;

	memcpy(body.b, e->body.b, sizeof(body.b));
	envelope_encode(e, &record);
	key_envelope(&key, &e->token);
	queue_holder(&holder, &e->token);
	batch_put(batch, text_span(&key), text_span(&record));
	batch_link(batch, body, text_span(&holder));
	if (text_full(&record)) {
		errno = EFBIG;
		rc = -1;
	}
	text_free(&record);
	text_free(&key);
	text_free(&holder);
	return rc;
}

int
queue_put(struct store *store, struct batch *batch,
    const struct submission *s)
{
	struct body_id body;
	int rc = 1;

	memcpy(body.b, s->envelopes[0]->body.b, sizeof(body.b));
	if (s->head.n + s->rest.n <= ENGINE_BODY_INLINE)
		batch_body(batch, body, s->head, s->rest, s->summary);
	else
		rc = stream_body(store->engine, body, s);
	for (size_t i = 0; rc == 1 && i < s->count; i++)
		rc = queue_put_envelope(batch, s->envelopes[i]);
	return rc;
}

void
queue_end(struct batch *batch, const struct envelope *e)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct text holder = TEXT_INIT(0);
	struct body_id body;

	memcpy(body.b, e->body.b, sizeof(body.b));
	key_envelope(&key, &e->token);
	queue_holder(&holder, &e->token);
	batch_delete(batch, text_span(&key));
	batch_unlink(batch, body, text_span(&holder));
	text_free(&key);
	text_free(&holder);
}

void
queue_update(struct batch *batch, const struct envelope *e)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct text record = TEXT_INIT(0);

	key_envelope(&key, &e->token);
	envelope_encode(e, &record);
	batch_put(batch, text_span(&key), text_span(&record));
	text_free(&key);
	text_free(&record);
}

/* -- reading --------------------------------------------------------------- */

int
queue_find(struct queue *q, const struct token *token, struct arena *arena,
    struct span *record)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	int rc;

	key_envelope(&key, token);
	rc = engine_get(q->store->engine, queue_partition, text_span(&key),
	    arena, record);
	text_free(&key);
	return rc;
}

/* Damaged envelopes are passed over here: check finds them. */
static int
walk_range(struct store *store, const struct text *from,
    const struct text *prefix, bool (*fn)(void *, const struct envelope *),
    void *arg)
{
	struct arena *arena = arena_new(16 << 20);
	struct span key, value;
	struct scan *scan;
	bool on = true;
	int rc;

	scan = scan_open(store->engine, queue_partition, text_span(from),
	    SPAN("f"));
	rc = scan == NULL ? -1 : 1;
	while (rc == 1 && on && (rc = scan_next(scan, &key, &value)) == 1) {
		struct envelope e;

		if (!span_starts(key, text_span(prefix)))
			break;
		arena_reset(arena);
		if (envelope_decode(value, arena, &e) == 1)
			on = fn(arg, &e);
	}
	scan_close(&scan);
	arena_free(&arena);
	return rc == -1 ? -1 : 1;
}

int
queue_walk(struct store *store, const uint8_t token[QUEUE_ID_TOKEN],
    bool (*fn)(void *, const struct envelope *), void *arg)
{
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	int rc;

	text_char(&from, QUEUE_ENVELOPE);
	if (token != NULL)
		text_add(&from, span_of(token, QUEUE_ID_TOKEN));
	rc = walk_range(store, &from, &from, fn, arg);
	text_free(&from);
	return rc;
}

static int
walk_after(struct store *store, struct span token,
    bool (*fn)(void *, const struct envelope *), void *arg)
{
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	struct text all = TEXT_INIT(ENGINE_KEY_MAX);
	int rc;

	text_char(&all, QUEUE_ENVELOPE);
	text_add(&from, text_span(&all));
	text_add(&from, token);
	while (from.n <= 1 + sizeof(struct token))
		text_char(&from, '\xff');
	rc = walk_range(store, &from, &all, fn, arg);
	text_free(&from);
	text_free(&all);
	return rc;
}

int
queue_walk_after(struct store *store, const uint8_t token[QUEUE_ID_TOKEN],
    bool (*fn)(void *, const struct envelope *), void *arg)
{
	return walk_after(store, span_of(token, QUEUE_ID_TOKEN), fn, arg);
}

int
queue_walk_behind(struct store *store, const struct token *token,
    bool (*fn)(void *, const struct envelope *), void *arg)
{
	return walk_after(store, token_key(token), fn, arg);
}

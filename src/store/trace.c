/*
 * trace.c - writing, finding and forgetting steps.
 *
 * Keys, in the partition of a day:
 *	q token attempt		version, trace_row records
 *	m hash token		nothing: messages by their Message-ID
 * Finding asks day after day, newest last, and the queue for what has not
 * been tried yet: both indexes are of one day, so nothing grows.
 */
#include "base/clock.h"
#include "base/map.h"
#include "ipc/wire.h"
#include "store/queue.h"
#include "store/trace.h"
#include "store/verbs.h"

enum {
	TRACE_VERSION = 1,
	TRACE_TEXT_MAX = 4096,
	TRACE_FOUND_MAX = 1000,		/* messages of one Message-ID */
	ROWS_MAX = 16 << 20,
	TOKEN = 16,
};
#define DAY_MICROSECONDS INT64_C(86400000000)

struct partition
trace_partition(walltime_t at)
{
	return (struct partition){ PARTITION_TRACE,
	    (uint64_t)(MAX(at, 0) / DAY_MICROSECONDS) };
}

/* -- writing --------------------------------------------------------------- */

static void
add_row(struct text *rows, const struct token *token, walltime_t at,
    const char *event, struct span text)
{
	char id[QUEUE_ID_CHARS + 1];
	size_t before = rows->n;

	queue_id_of(token, id);
	trace_row_put(rows, &(struct trace_row){ at, span_str(id),
	    span_str(event), span_sub(text, 0, TRACE_TEXT_MAX) });
	if (text_full(rows) || rows->n > TRACE_STEPS_MAX) {
		rows->n = before;
		rows->full = false;
	}
}

void
trace_step(struct text *rows, const struct token *token, walltime_t at,
    const char *event, const char *fmt, ...)
{
	struct text text = TEXT_INIT(TRACE_TEXT_MAX);
	va_list args;

	va_start(args, fmt);
	text_vprintf(&text, fmt, args);
	va_end(args);
	add_row(rows, token, at, event, text_span(&text));
	text_free(&text);
}

void
trace_accepted(struct text *rows, const struct envelope *e)
{
	struct text text = TEXT_INIT(0);

	text_printf(&text, "from=<%.*s> size=%" PRIu64 " recipients=%zu",
	    SPAN_ARG(e->sender), e->size, e->count);
	if (e->domain.n > 0)
		text_printf(&text, " for=%.*s", SPAN_ARG(e->domain));
	if (e->message_id.n > 0)
		text_printf(&text, " message_id=%.*s",
		    SPAN_ARG(e->message_id));
	if (e->trace.n > 0)
		text_printf(&text, " %.*s", SPAN_ARG(e->trace));
	add_row(rows, &e->token, e->arrived, "accepted", text_span(&text));
	text_free(&text);
}

static void
add_u32_be(struct text *out, uint32_t n)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		text_char(out, (char)(uint8_t)(n >> shift));
}

static void
key_steps(struct text *key, const struct token *token, uint32_t attempt)
{
	text_clear(key);
	text_char(key, TRACE_STEPS);
	text_add(key, span_of(token->b, TOKEN));
	add_u32_be(key, attempt);
}

/* The angles are not part of the name: people leave them out. */
static struct span
bare_message_id(struct span id)
{
	id = span_trim(id);
	if (id.n >= 2 && id.p[0] == '<' && id.p[id.n - 1] == '>')
		id = span_sub(id, 1, id.n - 2);
	return id;
}

static void
key_message_id(struct text *key, struct span id, const struct token *token)
{
	/* On disk: the key of the hash never changes. */
	static const uint64_t siphash_key[2] = {
		UINT64_C(0x706f737472696465), UINT64_C(0x6d6573736167652d)
	};
	uint64_t hash = map_siphash(siphash_key, bare_message_id(id));

	text_clear(key);
	text_char(key, TRACE_MESSAGE_ID);
	add_u32_be(key, (uint32_t)(hash >> 32));
	add_u32_be(key, (uint32_t)hash);
	if (token != NULL)
		text_add(key, span_of(token->b, TOKEN));
}

void
trace_put(struct batch *batch, const struct envelope *e, uint32_t attempt,
    struct span rows)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct text record = TEXT_INIT(ENGINE_VALUE_MAX);

	key_steps(&key, &e->token, attempt);
	put_u8(&record, TRACE_VERSION);
	text_add(&record, rows);
	batch_put(batch, text_span(&key), text_span(&record));
	if (attempt == 1 && e->message_id.n > 0) {
		key_message_id(&key, e->message_id, &e->token);
		batch_put(batch, text_span(&key), SPAN_EMPTY);
	}
	text_free(&key);
	text_free(&record);
}

int
trace_has(struct store *store, const struct token *token, walltime_t now)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct arena *arena = arena_new(ENGINE_VALUE_MAX + 4096);
	struct span record;
	int rc;

	key_steps(&key, token, 1);
	rc = engine_get(store->engine, trace_partition(now), text_span(&key),
	    arena, &record);
	/* It may have come before midnight, and been asked for again after. */
	if (rc == 0 && now % DAY_MICROSECONDS < DAY_MICROSECONDS / 24)
		rc = engine_get(store->engine,
		    trace_partition(now - DAY_MICROSECONDS), text_span(&key),
		    arena, &record);
	text_free(&key);
	arena_free(&arena);
	return rc;
}

/* -- forgetting ------------------------------------------------------------ */

int
trace_expire(struct store *store)
{
	int64_t keep = store_settings(store)->queue_trace_time / 1000;
	int64_t oldest = (clock_wall_seconds() - keep) / 86400 - 1;
	uint64_t day;
	int rc;

	while ((rc = engine_next_partition(store->engine, PARTITION_TRACE, 0,
	    &day)) == 1 && (int64_t)day < oldest) {
		rc = engine_drop_partition(store->engine,
		    (struct partition){ PARTITION_TRACE, day }, NULL);
		if (rc == -1)
			break;
	}
	return rc == -1 ? -1 : 1;
}

/* -- finding --------------------------------------------------------------- */

struct search {
	struct store *store;
	struct text *rows;
	size_t found;
};

/* Every attempt of the messages whose token begins so, on one day. */
static int
find_steps(struct search *s, struct partition day, struct span token)
{
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	struct span key, value;
	struct scan *scan;
	int rc;

	text_char(&from, TRACE_STEPS);
	text_add(&from, token);
	scan = scan_open(s->store->engine, day, text_span(&from), SPAN("r"));
	rc = scan == NULL ? -1 : 1;
	while (rc == 1 && (rc = scan_next(scan, &key, &value)) == 1) {
		if (!span_starts(key, text_span(&from)))
			break;
		if (value.n > 0 && value.p[0] == TRACE_VERSION)
			text_add(s->rows, span_from(value, 1));
		s->found++;
	}
	scan_close(&scan);
	text_free(&from);
	return rc == -1 ? -1 : 0;
}

/* The messages with that Message-ID, on one day. */
static int
find_message_id(struct search *s, struct partition day, struct span id)
{
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	struct span key, value;
	struct scan *scan;
	int rc;

	key_message_id(&from, id, NULL);
	scan = scan_open(s->store->engine, day, text_span(&from), SPAN("n"));
	rc = scan == NULL ? -1 : 1;
	while (rc == 1 && s->found < TRACE_FOUND_MAX &&
	    (rc = scan_next(scan, &key, &value)) == 1) {
		if (!span_starts(key, text_span(&from)))
			break;
		if (find_steps(s, day, span_from(key, from.n)) == -1)
			rc = -1;
	}
	scan_close(&scan);
	text_free(&from);
	return rc == -1 ? -1 : 0;
}

static int
find_days(struct search *s, struct span id, const uint8_t *token)
{
	struct partition day = { PARTITION_TRACE, 0 };
	int rc;

	while ((rc = engine_next_partition(s->store->engine, PARTITION_TRACE,
	    day.id, &day.id)) == 1) {
		rc = token != NULL
		    ? find_steps(s, day, span_of(token, QUEUE_ID_TOKEN))
		    : find_message_id(s, day, id);
		if (rc == -1)
			break;
	}
	return rc;
}

struct waiting {
	struct search *search;
	struct span message_id;
	const uint8_t *token;
};

/* What was never tried is in the queue alone. */
static bool
find_waiting(void *arg, const struct envelope *e)
{
	struct waiting *w = arg;

	if (w->token != NULL
	    ? memcmp(e->token.b, w->token, QUEUE_ID_TOKEN) != 0
	    : !span_eq(bare_message_id(e->message_id), w->message_id))
		return true;
	if (e->attempts == 0) {
		trace_accepted(w->search->rows, e);
		w->search->found++;
	}
	return true;
}

void
verb_trace_find(void *arg, const struct caller *caller, struct arena *arena,
    const struct trace_find_request *req, struct trace_find_reply *reply)
{
	struct text rows = TEXT_INIT(ROWS_MAX);
	struct search s = { arg, &rows, 0 };
	struct waiting w = { &s, bare_message_id(req->id), NULL };
	uint8_t token[QUEUE_ID_TOKEN];

	(void)caller;
	if (queue_id_parse(req->id, token) == 1)
		w.token = token;
	if (queue_walk(s.store, w.token, find_waiting, &w) == -1 ||
	    find_days(&s, w.message_id, w.token) == -1)
		reply->result = RESULT_TEMPORARY;
	else if (s.found == 0)
		reply->result = RESULT_NOT_FOUND;
	reply->rows = BLOB_OF(arena_dup(arena, text_span(&rows)));
	if (reply->rows.bytes.p == NULL && rows.n > 0)
		reply->result = RESULT_LIMIT;
	text_free(&rows);
}

/*
 * suppress.c - addresses outside that do not exist.
 *
 * A record is found by the address's compare form. What is asked for at each
 * RCPT of our senders is one read of a key that mostly is not there.
 */
#include "store/suppress.h"
#include "base/clock.h"
#include "ipc/wire.h"
#include "store/directory_impl.h"
#include "store/verbs.h"

enum {
	SUPPRESSED_VERSION = 1,
	REASON_LIMIT = 1000,
	ROWS_ROOM = 512 << 10,
	EXPIRE_ONCE = 10000,		/* records of one batch */
};

static const struct partition senders = { PARTITION_SENDERS, 0 };

struct suppressed {
	struct span address;		/* as it was written */
	struct span reason;
	int64_t since, until;		/* INT64_MAX: until it is lifted */
};

static void
suppressed_encode(struct text *out, const struct suppressed *s)
{
	put_u8(out, SUPPRESSED_VERSION);
	put_bytes(out, s->address);
	put_bytes(out, span_sub(s->reason, 0, REASON_LIMIT));
	put_i64(out, s->since);
	put_i64(out, s->until);
}

static int
suppressed_decode(struct span record, struct suppressed *s)
{
	struct cursor c = { record, false };

	if (get_u8(&c) != SUPPRESSED_VERSION)
		return 0;
	s->address = get_bytes(&c, ADDRESS_LIMIT);
	s->reason = get_bytes(&c, REASON_LIMIT);
	s->since = get_i64(&c);
	s->until = get_i64(&c);
	return !c.bad;
}

/* domain NUL local part, as in the directory. 1, 0 not an address, -1. */
static int
key_suppressed(struct text *key, struct span address, struct arena *arena,
    struct name *name)
{
	int rc = name_parse(address, false, arena, name);

	if (rc != 1 || name->domain.n == 0)
		return rc == 1 ? 0 : rc;
	key_name(key, name->domain, name->local);
	key->p[0] = SENDERS_SUPPRESSED;
	return 1;
}

/* -- who does not exist -------------------------------------------------- */

/* RFC 3463: what says that nobody is there, and nothing else. */
static bool
says_nobody(struct span reason)
{
	static const char *const codes[] = {
		"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1",
	};
	struct span code;

	span_cut(reason, ' ', &code);
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (span_is(code, codes[i]))
			return true;
	return false;
}

static enum result
put_suppressed(struct store *store, struct span address, struct span reason,
    int64_t until, bool wait)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX), record = TEXT_INIT(0);
	struct arena *arena = arena_new(64 << 10);
	struct batch *batch = batch_new(senders);
	struct domain_record domain;
	struct name name;
	ticket_t ticket = 0;
	enum result result = RESULT_INVALID;
	int rc = key_suppressed(&key, address, arena, &name);

	if (rc == 1)
		result = read_domain(store->directory, name.domain, arena,
		    &domain) == 0 ? RESULT_OK : RESULT_CONFLICT;
	if (result == RESULT_OK) {
		suppressed_encode(&record, &(struct suppressed){ name.text,
		    reason, clock_wall_seconds(), until });
		batch_put(batch, text_span(&key), text_span(&record));
		rc = engine_commit(store->engine, batch, &ticket);
		if (rc == 1 && wait)
			rc = engine_sync(store->engine, ticket);
		result = rc == 1 ? RESULT_OK : RESULT_TEMPORARY;
	}
	batch_free(&batch);
	arena_free(&arena);
	text_free(&record);
	text_free(&key);
	return result;
}

void
suppress_note(struct store *store, struct span address, struct span reason)
{
	int64_t keep = store_settings(store)->limit_suppress_time / 1000;

	if (keep > 0 && says_nobody(reason))
		put_suppressed(store, address, reason,
		    clock_wall_seconds() + keep, false);
}

int
suppress_find(struct store *store, struct span address, struct arena *arena,
    struct span *why)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct suppressed found;
	struct span record, text, code;
	struct name name;
	int rc = key_suppressed(&key, address, arena, &name);

	if (rc == 1)
		rc = engine_get(store->engine, senders, text_span(&key),
		    arena, &record);
	text_free(&key);
	if (rc != 1 || suppressed_decode(record, &found) != 1 ||
	    found.until <= clock_wall_seconds())
		return rc == -1 ? -1 : 0;
	text = span_trim(span_cut(found.reason, ' ', &code));
	*why = arena_printf(arena, "5.1.1 this address was refused before%s"
	    "%.*s", text.n > 0 ? ": " : "", SPAN_ARG(text));
	return why->p == NULL ? -1 : 1;
}

/* -- the keeper ---------------------------------------------------------- */

static struct scan *
scan_suppressed(struct store *store, struct span from)
{
	_Static_assert(SENDERS_SUPPRESSED == 's', "the range below");
	return scan_open(store->engine, senders, from.n > 0 ? from :
	    SPAN("s"), SPAN("t"));
}

/* What is over, up to a number. How many, -1. */
static int
expire_some(struct store *store)
{
	struct batch *batch = batch_new(senders);
	struct scan *scan = scan_suppressed(store, SPAN_EMPTY);
	int64_t now = clock_wall_seconds();
	struct span key, value;
	int count = 0, rc = scan == NULL ? -1 : 1;

	while (rc == 1 && count < EXPIRE_ONCE &&
	    (rc = scan_next(scan, &key, &value)) == 1) {
		struct suppressed s;

		if (suppressed_decode(value, &s) == 1 && s.until > now)
			continue;
		batch_delete(batch, key);
		count++;
	}
	scan_close(&scan);
	if (rc != -1 && count > 0 &&
	    engine_commit(store->engine, batch, NULL) != 1)
		rc = -1;
	batch_free(&batch);
	return rc == -1 ? -1 : count;
}

int
suppress_expire(struct store *store)
{
	int count;

	do
		count = expire_some(store);
	while (count == EXPIRE_ONCE);
	return count == -1 ? -1 : 1;
}

/* -- the operator's verbs ------------------------------------------------ */

static enum result
lift(struct store *store, struct span address, struct arena *arena)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct batch *batch = batch_new(senders);
	struct span record;
	struct name name;
	ticket_t ticket = 0;
	enum result result = RESULT_INVALID;
	int rc = key_suppressed(&key, address, arena, &name);

	if (rc == 1) {
		rc = engine_get(store->engine, senders, text_span(&key),
		    arena, &record);
		result = RESULT_NOT_FOUND;
	}
	if (rc == 1) {
		batch_delete(batch, text_span(&key));
		rc = engine_commit(store->engine, batch, &ticket) == 1 &&
		    engine_sync(store->engine, ticket) == 1 ? 1 : -1;
		result = RESULT_OK;
	}
	batch_free(&batch);
	text_free(&key);
	return rc == -1 ? RESULT_TEMPORARY : result;
}

void
verb_suppressed_set(void *arg, const struct caller *caller,
    struct arena *arena, const struct suppressed_set_request *req,
    struct suppressed_set_reply *reply)
{
	struct store *store = arg;

	(void)caller;
	reply->result = req->on ? put_suppressed(store, req->address,
	    req->reason, INT64_MAX, true) : lift(store, req->address, arena);
}

static bool
add_row(struct text *rows, const struct suppressed *s)
{
	if (rows->n > ROWS_ROOM)
		return false;
	suppressed_row_put(rows, &(struct suppressed_row){
	    .address = s->address, .reason = s->reason, .since = s->since,
	    .until = s->until == INT64_MAX ? 0 : s->until });
	return true;
}

void
verb_suppressed_list(void *arg, const struct caller *caller,
    struct arena *arena, const struct suppressed_list_request *req,
    struct suppressed_list_reply *reply)
{
	struct store *store = arg;
	struct text rows = TEXT_INIT(0), from = TEXT_INIT(ENGINE_KEY_MAX);
	int64_t now = clock_wall_seconds();
	struct scan *scan = NULL;
	struct span key, value;
	struct name name;
	int rc = 1;

	(void)caller;
	if (req->after.n > 0) {
		rc = key_suppressed(&from, req->after, arena, &name);
		text_char(&from, '\0');
	}
	if (rc == 1)
		scan = scan_suppressed(store, text_span(&from));
	while (scan != NULL && (rc = scan_next(scan, &key, &value)) == 1) {
		struct suppressed s;

		if (suppressed_decode(value, &s) != 1 || s.until <= now)
			continue;
		if (!add_row(&rows, &s)) {
			reply->more = 1;
			break;
		}
	}
	if (scan == NULL || rc == -1)
		reply->result = rc == 0 ? RESULT_INVALID : RESULT_TEMPORARY;
	reply->rows = BLOB_OF(arena_dup(arena, text_span(&rows)));
	scan_close(&scan);
	text_free(&rows);
	text_free(&from);
}

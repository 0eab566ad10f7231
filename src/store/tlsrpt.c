/*
 * tlsrpt.c - counts for TLS reports (RFC 8460), day by day, as relay brings
 * them.
 *
 * Keys, in the partition of a day:
 *	d domain	version, rua, tlsrpt_row records without rua
 *	t token		nothing: these counts were added
 */
#include "queue/tlsrpt.h"
#include "base/clock.h"
#include "store/tls_kept.h"
#include "store/verbs.h"

enum {
	TLSRPT_VERSION = 1,
	DAY = 86400,
	ROWS_OF_DOMAIN = 500, BYTES_OF_DOMAIN = 500 << 10,
};

void
tlsrpt_key(struct text *key, struct span domain)
{
	text_clear(key);
	text_char(key, TLSRPT_DOMAIN);
	for (size_t i = 0; i < domain.n; i++)
		text_char(key, ascii_lower(domain.p[i]));
}

/* -- adding -------------------------------------------------------------- */

int
tlsrpt_read(struct span record, struct span *rua, struct span *rows)
{
	struct cursor c = { record, false };

	if (get_u8(&c) != TLSRPT_VERSION)
		return 0;
	*rua = get_bytes(&c, TLSRPT_RUA_MAX);
	*rows = c.rest;
	return !c.bad;
}

/* Into the tally, as rows that do not say who asks for them. */
static void
add_rows(struct tlsrpt *t, struct span rows, struct span domain)
{
	struct cursor c = { rows, false };
	struct tlsrpt_row r;

	while (tlsrpt_row_get(&c, &r) == 1) {
		if (!span_eq(r.domain, domain))
			continue;
		r.rua = SPAN_EMPTY;
		tlsrpt_count(t, &r);
	}
}

/* What is there already and the rows of `domain`, into the batch. 1, -1. */
static int
merge_domain(struct store *store, struct batch *batch, uint32_t day,
    struct span domain, struct span asked_by, struct span rows)
{
	struct tlsrpt *t = tlsrpt_new(ROWS_OF_DOMAIN, BYTES_OF_DOMAIN);
	struct arena *arena = arena_new(2 * ENGINE_VALUE_MAX);
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct text record = TEXT_INIT(ENGINE_VALUE_MAX);
	struct span kept, rua, old;
	int rc;

	tlsrpt_key(&key, domain);
	rc = engine_get(store->engine, tlsrpt_day(day), text_span(&key),
	    arena, &kept);
	if (rc == 1 && tlsrpt_read(kept, &rua, &old) == 1)
		add_rows(t, old, domain);
	add_rows(t, rows, domain);
	put_u8(&record, TLSRPT_VERSION);
	put_bytes(&record, asked_by);
	tlsrpt_encode(t, &record);
	if (rc != -1)
		batch_put(batch, text_span(&key), text_span(&record));
	tlsrpt_free(&t);
	arena_free(&arena);
	text_free(&key);
	text_free(&record);
	return rc == -1 ? -1 : 1;
}

static int
was_added(struct store *store, struct batch *batch, uint32_t day,
    const struct token *token)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct arena *arena = arena_new(4096);
	struct span value;
	int rc;

	text_char(&key, TLSRPT_TOKEN);
	text_add(&key, span_of(token->b, sizeof(token->b)));
	rc = engine_get(store->engine, tlsrpt_day(day), text_span(&key),
	    arena, &value);
	batch_put(batch, text_span(&key), SPAN_EMPTY);
	arena_free(&arena);
	text_free(&key);
	return rc;
}

/* Each domain once: rows are sorted. 1, -1. */
static int
merge_all(struct store *store, struct batch *batch, uint32_t day,
    struct span rows)
{
	struct cursor c = { rows, false };
	struct span before = rows, domain = SPAN_EMPTY;
	struct tlsrpt_row r;
	int rc = 1;

	while (rc == 1 && tlsrpt_row_get(&c, &r) == 1) {
		if (!span_eq(r.domain, domain))
			rc = merge_domain(store, batch, day, r.domain, r.rua,
			    before);
		domain = r.domain;
		before = c.rest;
	}
	return rc;
}

/* The rows of one day, which are those in front. 1, -1. */
static int
add_day(struct store *store, const struct token *token, uint32_t day,
    struct span rows)
{
	int64_t age = clock_wall_seconds() / DAY - (int64_t)day;
	struct batch *batch;
	int rc;

	if (age < -1 || age >= TLSRPT_DAYS)
		return 1;		/* whoever says so has a wrong clock */
	do {
		uint64_t version;

		batch = batch_new(tlsrpt_day(day));
		rc = engine_version(store->engine, tlsrpt_day(day),
		    &version);
		if (rc != -1)
			batch_expect(batch, version);
		if (rc != -1)
			rc = was_added(store, batch, day, token);
		if (rc == 1) {
			batch_free(&batch);
			return 1;
		}
		if (rc == 0)
			rc = merge_all(store, batch, day, rows);
		if (rc == 1)
			rc = engine_commit(store->engine, batch, NULL);
		batch_free(&batch);
	} while (rc == 0);		/* somebody else added something */
	return rc;
}

void
verb_tlsrpt_add(void *arg, const struct caller *caller, struct arena *arena,
    const struct tlsrpt_add_request *req, struct tlsrpt_add_reply *reply)
{
	struct cursor c = { req->rows.bytes, false };
	struct span rest = req->rows.bytes, before = rest;
	struct tlsrpt_row r;
	uint32_t day = 0;
	bool any = false;
	int rc;

	(void)caller;
	(void)arena;
	reply->result = RESULT_OK;
	while ((rc = tlsrpt_row_get(&c, &r)) == 1) {
		if (any && r.day != day) {
			if (add_day(arg, &req->token, day, span_sub(rest, 0,
			    rest.n - before.n)) == -1)
				reply->result = RESULT_TEMPORARY;
			rest = before;
		}
		any = true;
		day = r.day;
		before = c.rest;
	}
	if (rc == -1)
		reply->result = RESULT_INVALID;
	else if (any && add_day(arg, &req->token, day, rest) == -1)
		reply->result = RESULT_TEMPORARY;
}

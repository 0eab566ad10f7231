/*
 * sts.c - MTA-STS policies of other systems, kept for relay: it holds
 * nothing itself, and a policy must outlive it (RFC 8461 5.1).
 *
 * What relay gives is given back and not looked into.
 */
#include "base/clock.h"
#include "ipc/wire.h"
#include "store/tls_kept.h"
#include "store/verbs.h"

enum {
	STS_VERSION = 1,
	ID_LIMIT = 64, POLICY_LIMIT = 65536,
	EXPIRE_ONCE = 1000,		/* policies of one batch */
};

static const struct partition sts_partition = { PARTITION_STS, 0 };

struct kept {
	struct span id, policy;
	int64_t fetched, expires;	/* seconds since 1970 UTC */
};

static void
key_policy(struct text *key, struct span domain)
{
	text_char(key, STS_POLICY);
	for (size_t i = 0; i < domain.n; i++)
		text_char(key, ascii_lower(domain.p[i]));
}

static void
kept_encode(struct text *out, const struct kept *k)
{
	put_u8(out, STS_VERSION);
	put_bytes(out, k->id);
	put_bytes(out, k->policy);
	put_i64(out, k->fetched);
	put_i64(out, k->expires);
}

static int
kept_decode(struct span record, struct kept *k)
{
	struct cursor c = { record, false };

	if (get_u8(&c) != STS_VERSION)
		return 0;
	k->id = get_bytes(&c, ID_LIMIT);
	k->policy = get_bytes(&c, POLICY_LIMIT);
	k->fetched = get_i64(&c);
	k->expires = get_i64(&c);
	return !c.bad;
}

void
verb_sts_find(void *arg, const struct caller *caller, struct arena *arena,
    const struct sts_find_request *req, struct sts_find_reply *reply)
{
	struct store *store = arg;
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct span record;
	struct kept k;
	int rc;

	(void)caller;
	key_policy(&key, req->domain);
	rc = engine_get(store->engine, sts_partition, text_span(&key), arena,
	    &record);
	text_free(&key);
	reply->result = rc == -1 ? RESULT_TEMPORARY : RESULT_NOT_FOUND;
	/* One that cannot be read is fetched again. */
	if (rc != 1 || kept_decode(record, &k) != 1 ||
	    k.expires <= clock_wall_seconds())
		return;
	*reply = (struct sts_find_reply){ .result = RESULT_OK, .id = k.id,
	    .policy = k.policy, .fetched = k.fetched, .expires = k.expires };
}

/* Nobody waits for the disk: what a crash takes away is fetched again. */
void
verb_sts_save(void *arg, const struct caller *caller, struct arena *arena,
    const struct sts_save_request *req, struct sts_save_reply *reply)
{
	struct store *store = arg;
	struct kept k = { req->id, req->policy, req->fetched, req->expires };
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct text record = TEXT_INIT(ENGINE_VALUE_MAX);
	struct batch *batch = batch_new(sts_partition);

	(void)caller;
	(void)arena;
	key_policy(&key, req->domain);
	kept_encode(&record, &k);
	batch_put(batch, text_span(&key), text_span(&record));
	reply->result = req->domain.n == 0 ? RESULT_INVALID :
	    engine_commit(store->engine, batch, NULL) == 1 ? RESULT_OK :
	    errno == ENOSPC ? RESULT_FULL : RESULT_TEMPORARY;
	batch_free(&batch);
	text_free(&key);
	text_free(&record);
}

/* -- forgetting ---------------------------------------------------------- */

/* Those found go into the batch; how many, or -1. */
static int
find_expired(struct store *store, struct batch *batch)
{
	struct scan *scan = scan_open(store->engine, sts_partition,
	    SPAN_EMPTY, SPAN_EMPTY);
	struct span key, value;
	struct kept k;
	int found = 0, rc;

	if (scan == NULL)
		return -1;
	while ((rc = scan_next(scan, &key, &value)) == 1 &&
	    found < EXPIRE_ONCE) {
		if (kept_decode(value, &k) == 1 &&
		    k.expires > clock_wall_seconds())
			continue;
		batch_delete(batch, key);
		found++;
	}
	scan_close(&scan);
	return rc == -1 ? -1 : found;
}

int
sts_expire(struct store *store)
{
	int found;

	do {
		struct batch *batch = batch_new(sts_partition);

		found = find_expired(store, batch);
		if (found > 0 && engine_commit(store->engine, batch, NULL)
		    != 1)
			found = -1;
		batch_free(&batch);
	} while (found == EXPIRE_ONCE);
	return found == -1 ? -1 : 1;
}

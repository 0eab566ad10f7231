/*
 * oauth.c - access tokens: verified here, or asked about.
 */
#include "store/oauth.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/secret.h"
#include "ipc/serve.h"
#include "ipc/wire.h"
#include "store/auth.h"
#include "store/jwt.h"
#include "store/verbs.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	QUESTIONS_MAX = 1024,
	QUESTIONS_AT_ONCE = 16,
	ANSWERS_MAX = 16384,
	ANSWER_LEAST = 5000,		/* ms: who asked must hear it */
	NAME_MAX_ = 512,
	WORK_MAX = 256 << 10,
};

struct question {
	uint64_t id;
	uint64_t link;			/* of the relay that asks; 0: none yet */
	monotime_t deadline;
	bool failed;			/* nobody answered */
	uint8_t hash[32];
	struct text token;
};

/* What was said, under the hash of the token. */
struct said {
	int64_t until;			/* monotonic, ms */
	int64_t expires;		/* seconds since 1970 */
	bool good;
	char name[NAME_MAX_];
};

struct oauth {
	struct store *store;
	pthread_mutex_t lock;
	struct jwk_set *keys;		/* NULL: none */
	struct map *questions;		/* by hash */
	struct cache *answers;
	uint64_t next_id;
	uint64_t relay;			/* the link that asked last */
};

struct oauth *
oauth_new(struct store *store)
{
	struct oauth *o = xcalloc(1, sizeof(*o));

	o->store = store;
	pthread_mutex_init(&o->lock, NULL);
	o->questions = map_new();
	o->answers = cache_new(ANSWERS_MAX);
	o->next_id = random_u64() | 1;
	return o;
}

static void
question_free(struct question *q)
{
	text_wipe(&q->token);
	free(q);
}

void
oauth_free(struct oauth **op)
{
	struct oauth *o = *op;
	struct span key;
	void *value;
	size_t at = 0;

	if (o == NULL)
		return;
	while (map_next(o->questions, &at, &key, &value))
		question_free(value);
	map_free(&o->questions);
	cache_free(&o->answers);
	jwk_set_free(&o->keys);
	pthread_mutex_destroy(&o->lock);
	free(o);
	*op = NULL;
}

int
oauth_set_keys(struct oauth *o, struct span json, struct text *why)
{
	struct jwk_set *fresh = NULL, *old;
	int rc = 1;

	if (json.n > 0 && (fresh = jwk_set_read(json, why)) == NULL)
		rc = 0;
	pthread_mutex_lock(&o->lock);
	old = o->keys;
	o->keys = fresh;
	pthread_mutex_unlock(&o->lock);
	jwk_set_free(&old);
	return rc;
}

static struct claims_wanted
wanted_claims(const struct settings *s, bool introspected)
{
	return (struct claims_wanted){
		.issuer = s->oauth_issuer, .audience = s->oauth_audience,
		.name = s->oauth_claim, .scope = s->oauth_scope,
		.now = clock_wall_seconds(),
		.leeway = s->oauth_leeway / 1000,
		.introspected = introspected,
	};
}

/* -- by signature --------------------------------------------------------- */

/* RESULT_INVALID: it is not for our keys. */
static enum result
check_signed(struct oauth *o, struct span token, struct arena *arena,
    struct span *name, const char **why)
{
	struct claims_wanted wanted = wanted_claims(store_settings(o->store),
	    false);
	struct claims claims;
	struct jwt jwt;
	bool holds = false, have;
	int rc;

	pthread_mutex_lock(&o->lock);
	have = jwk_set_count(o->keys) > 0;
	pthread_mutex_unlock(&o->lock);
	if (!have)
		return RESULT_INVALID;
	rc = jwt_read(token, arena, &jwt);
	if (rc == 1) {
		pthread_mutex_lock(&o->lock);
		holds = jwt_holds(&jwt, o->keys);
		pthread_mutex_unlock(&o->lock);
	}
	if (rc == -1)
		return RESULT_TEMPORARY;
	if (rc == 0 || !holds) {
		*why = rc == 0 ? "not a signed token" : "the signature";
		return RESULT_INVALID;
	}
	rc = claims_read(jwt.payload, &wanted, arena, &claims, why);
	*name = claims.name;
	return rc == 1 ? RESULT_OK : rc == 0 ? RESULT_DENIED
	    : RESULT_TEMPORARY;
}

/* -- by the token server -------------------------------------------------- */

static struct span
hash_key(const uint8_t hash[32])
{
	return span_of(hash, 32);
}

static void
drop_question(struct oauth *o, struct question *q)
{
	map_remove(o->questions, hash_key(q->hash));
	question_free(q);
}

/* Locked. Those that nobody answered in time. */
static void
drop_late(struct oauth *o)
{
	struct span key;
	void *value;
	size_t at = 0;

	while (map_next(o->questions, &at, &key, &value)) {
		struct question *q = value;

		if (clock_mono().ms >= q->deadline.ms)
			drop_question(o, q);
	}
}

/* Locked. False: there are too many. */
static bool
ask(struct oauth *o, const uint8_t hash[32], struct span token)
{
	struct question *q;

	if (map_count(o->questions) >= QUESTIONS_MAX)
		drop_late(o);
	if (map_count(o->questions) >= QUESTIONS_MAX)
		return false;
	q = xcalloc(1, sizeof(*q));
	q->id = o->next_id++;
	q->deadline = clock_after(store_settings(o->store)->oauth_timeout);
	q->token = TEXT_INIT(JWT_MAX);
	text_add(&q->token, token);
	memcpy(q->hash, hash, sizeof(q->hash));
	map_put(o->questions, hash_key(q->hash), q);
	return true;
}

/* Locked. What became of a question; RESULT_CONTINUE: it is under way. */
static enum result
look_after(struct oauth *o, struct question *q)
{
	if (!q->failed && clock_mono().ms < q->deadline.ms)
		return RESULT_CONTINUE;
	if (clock_mono().ms >= q->deadline.ms)
		drop_question(o, q);
	return RESULT_TEMPORARY;
}

static enum result
what_was_said(struct oauth *o, const struct said *said, struct arena *arena,
    struct span *name, const char **why)
{
	int64_t leeway = store_settings(o->store)->oauth_leeway / 1000;

	if (!said->good || (said->expires != INT64_MAX &&
	    clock_wall_seconds() >= said->expires + leeway)) {
		*why = "the token server";
		return RESULT_DENIED;
	}
	*name = arena_dup(arena, span_str(said->name));
	return name->p != NULL ? RESULT_OK : RESULT_TEMPORARY;
}

static enum result
check_asked(struct oauth *o, struct span token, struct arena *arena,
    struct span *name, const char **why)
{
	struct server *server = store_server(o->store);
	struct question *q;
	struct said said;
	uint8_t hash[32];
	enum result result;
	bool asked = false;

	must(EVP_Digest(token.p, token.n, hash, NULL, EVP_sha256(),
	    NULL) == 1);
	if (cache_read(o->answers, hash_key(hash), &said, sizeof(said)) == 1 &&
	    clock_mono().ms < said.until)
		return what_was_said(o, &said, arena, name, why);
	pthread_mutex_lock(&o->lock);
	q = map_get(o->questions, hash_key(hash));
	if (q != NULL)
		result = look_after(o, q);
	else
		result = (asked = ask(o, hash, token)) ? RESULT_CONTINUE
		    : RESULT_TEMPORARY;
	pthread_mutex_unlock(&o->lock);
	if (asked && server != NULL)
		server_note_token_waits(server, o->relay);
	return result;
}

enum result
oauth_check(struct oauth *o, struct span token, struct arena *arena,
    struct span *name, const char **why)
{
	enum result result;

	*why = "tokens are not taken here";
	result = check_signed(o, token, arena, name, why);
	if (result != RESULT_INVALID)
		return result;
	if (*store_settings(o->store)->oauth_introspection != '\0')
		return check_asked(o, token, arena, name, why);
	return RESULT_DENIED;
}

/* -- relay ---------------------------------------------------------------- */

void
verb_token_lease(void *arg, const struct caller *caller, struct arena *arena,
    const struct token_lease_request *req, struct token_lease_reply *reply)
{
	struct oauth *o = ((struct store *)arg)->auth->oauth;
	struct text rows = TEXT_INIT(0);
	size_t at = 0, count = 0;
	struct span key;
	void *value;

	(void)req;
	pthread_mutex_lock(&o->lock);
	o->relay = caller->link;
	while (count < QUESTIONS_AT_ONCE &&
	    map_next(o->questions, &at, &key, &value)) {
		struct question *q = value;

		if (q->link != 0 || q->failed)
			continue;
		q->link = caller->link;
		token_question_put(&rows, &(struct token_question){
		    .id = q->id, .token = text_span(&q->token) });
		count++;
	}
	pthread_mutex_unlock(&o->lock);
	reply->questions = BLOB_OF(arena_dup(arena, text_span(&rows)));
	text_wipe(&rows);
}

static struct question *
question_find(struct oauth *o, uint64_t id, uint64_t link)
{
	struct span key;
	void *value;
	size_t at = 0;

	while (map_next(o->questions, &at, &key, &value)) {
		struct question *q = value;

		if (q->id == id && q->link == link)
			return q;
	}
	return NULL;
}

/* RFC 7662 2.2. Anything but 200 and JSON tells nothing of the token. */
static bool
read_answer(struct oauth *o, struct span json, struct arena *arena,
    struct said *said)
{
	const struct settings *s = store_settings(o->store);
	struct claims_wanted wanted = wanted_claims(s, true);
	struct claims claims;
	const char *why = NULL;
	int rc = claims_read(json, &wanted, arena, &claims, &why);

	if (rc == -1 || (rc == 0 && strcmp(why, "not JSON") == 0) ||
	    claims.name.n >= sizeof(said->name))
		return false;
	memset(said, 0, sizeof(*said));
	said->good = rc == 1;
	said->expires = claims.expires;
	said->until = clock_mono().ms +
	    MAX(s->oauth_cache_time, ANSWER_LEAST);
	snprintf(said->name, sizeof(said->name), "%.*s",
	    SPAN_ARG(claims.name));
	return true;
}

void
verb_token_report(void *arg, const struct caller *caller,
    struct arena *arena, const struct token_report_request *req,
    struct token_report_reply *reply)
{
	struct oauth *o = ((struct store *)arg)->auth->oauth;
	struct question *q;
	struct said said;
	bool good = req->status == 200 &&
	    read_answer(o, req->answer.bytes, arena, &said);

	pthread_mutex_lock(&o->lock);
	q = question_find(o, req->id, caller->link);
	if (q == NULL) {
		reply->result = RESULT_NOT_FOUND;
	} else if (good) {
		cache_put(o->answers, hash_key(q->hash),
		    span_of(&said, sizeof(said)));
		drop_question(o, q);
	} else {
		q->failed = true;
		q->deadline = clock_after(ANSWER_LEAST);
	}
	pthread_mutex_unlock(&o->lock);
}

void
oauth_link_gone(struct oauth *o, uint64_t link)
{
	struct span key;
	void *value;
	size_t at = 0;

	pthread_mutex_lock(&o->lock);
	while (map_next(o->questions, &at, &key, &value)) {
		struct question *q = value;

		if (q->link == link)
			q->link = 0;
	}
	pthread_mutex_unlock(&o->lock);
}

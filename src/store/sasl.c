/*
 * sasl.c - SASL dialogues (RFC 4422): the table of mechanisms, and of the
 * dialogues under way.
 *
 * A mechanism is a function that takes a response and gives a challenge
 * (sasl_impl.h); what it asks for comes from auth.c. A dialogue belongs to
 * the link it began on and to nobody else; it is taken out of the table
 * while a step runs, so two steps never meet. There are at most
 * DIALOGUES_MAX, and each ends after DIALOGUE_MS or with its link.
 *
 * The protocols above carry no data with success, so SCRAM's last words to
 * the client go as a challenge, answered with an empty response (RFC 4422
 * section 5, 3.6).
 */
#include "base/clock.h"
#include "base/secret.h"
#include "store/app_password.h"
#include "store/client_certificate.h"
#include "store/login_rules.h"
#include "store/oauth.h"
#include "store/sasl_impl.h"
#include "store/verbs.h"

#include <stdlib.h>

static const struct mechanism mechanisms[] = {
	{ "PLAIN", sasl_plain, SCRAM_SHA1, false, "" },
	{ "LOGIN", sasl_login, SCRAM_SHA1, false, "Username:" },
	{ "SCRAM-SHA-1", sasl_scram, SCRAM_SHA1, false, "" },
	{ "SCRAM-SHA-1-PLUS", sasl_scram, SCRAM_SHA1, true, "" },
	{ "SCRAM-SHA-256", sasl_scram, SCRAM_SHA256, false, "" },
	{ "SCRAM-SHA-256-PLUS", sasl_scram, SCRAM_SHA256, true, "" },
	{ "SCRAM-SHA-512", sasl_scram, SCRAM_SHA512, false, "" },
	{ "SCRAM-SHA-512-PLUS", sasl_scram, SCRAM_SHA512, true, "" },
	{ "OAUTHBEARER", sasl_oauthbearer, SCRAM_SHA1, false, "" },
	{ "XOAUTH2", sasl_xoauth2, SCRAM_SHA1, false, "" },
	{ "EXTERNAL", sasl_external, SCRAM_SHA1, false, "" },
};

enum { STEPS_MAX = 6, DIALOGUE_MEMORY = 512 << 10 };

/* -- for the mechanisms ---------------------------------------------------- */

enum result
dialogue_begin_login(struct dialogue *d, struct span name)
{
	struct span copy = arena_dup(d->arena, name);

	must(!d->begun);
	d->begun = true;
	if (name.n > 0 && copy.p == NULL)
		return d->login.result = RESULT_TEMPORARY;
	return login_begin(d->auth, &d->login, d->service, copy, d->peer,
	    d->arena);
}

bool
dialogue_acts_as(struct dialogue *d, struct span authzid)
{
	struct account other;

	if (authzid.n == 0)
		return true;
	return directory_login(d->auth->store->directory, authzid, d->arena,
	    &other) == 1 && d->login.exists &&
	    other.id == d->login.account.id;
}

enum result
dialogue_denied(struct dialogue *d, struct span password)
{
	login_failed(d->auth, &d->login, password);
	return RESULT_DENIED;
}

/* -- the table of dialogues ------------------------------------------------ */

static struct span
id_key(const uint64_t *id)
{
	return span_of(id, sizeof(*id));
}

static void
dialogue_free(struct dialogue **dp)
{
	struct dialogue *d = *dp;

	if (d == NULL)
		return;
	sasl_scram_wipe(d);
	arena_free(&d->arena);
	free(d);
	*dp = NULL;
}

/* Locked. Those whose time is over, or of one link. */
static void
drop_dialogues(struct auth *a, bool (*drop)(const struct dialogue *,
    uint64_t), uint64_t arg)
{
	struct span key;
	size_t at = 0;
	void *value;

	while (map_next(a->dialogues, &at, &key, &value)) {
		struct dialogue *d = value;

		if (drop(d, arg)) {
			map_remove(a->dialogues, key);
			dialogue_free(&d);
		}
	}
}

static bool
is_late(const struct dialogue *d, uint64_t now_ms)
{
	return d->deadline.ms <= (int64_t)now_ms;
}

static bool
is_of_link(const struct dialogue *d, uint64_t link)
{
	return d->link == link;
}

static bool
is_any(const struct dialogue *d, uint64_t arg)
{
	(void)d;
	(void)arg;
	return true;
}

void
auth_expire(struct auth *a)
{
	pthread_mutex_lock(&a->lock);
	drop_dialogues(a, is_late, (uint64_t)clock_mono().ms);
	pthread_mutex_unlock(&a->lock);
}

void
auth_link_gone(struct auth *a, uint64_t link)
{
	pthread_mutex_lock(&a->lock);
	drop_dialogues(a, is_of_link, link);
	pthread_mutex_unlock(&a->lock);
}

/* Keep it for the next step. False: there are too many. */
static bool
dialogue_keep(struct auth *a, struct dialogue *d)
{
	bool room;

	pthread_mutex_lock(&a->lock);
	if (map_count(a->dialogues) >= DIALOGUES_MAX)
		drop_dialogues(a, is_late, (uint64_t)clock_mono().ms);
	room = map_count(a->dialogues) < DIALOGUES_MAX;
	if (room)
		map_put(a->dialogues, id_key(&d->id), d);
	pthread_mutex_unlock(&a->lock);
	return room;
}

static struct dialogue *
dialogue_take(struct auth *a, uint64_t link, uint64_t id)
{
	struct dialogue *d;

	pthread_mutex_lock(&a->lock);
	d = map_get(a->dialogues, id_key(&id));
	if (d != NULL && d->link == link)
		map_remove(a->dialogues, id_key(&id));
	else
		d = NULL;
	pthread_mutex_unlock(&a->lock);
	return d;
}

/* -- steps ----------------------------------------------------------------- */

static const struct mechanism *
mechanism_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (span_is(name, mechanisms[i].name))
			return &mechanisms[i];
	return NULL;
}

/* What the two verbs answer with. */
struct answer {
	enum result *result;
	uint64_t *dialogue;
	struct span *challenge;
	struct grant *grant;
	struct span *login;
	uint32_t *delay_ms;
	uint32_t *wait;
	struct span *why;
};

/* Proved: the grant, unless the account is elsewhere (RFC 2221). */
static void
answer_success(struct dialogue *d, struct arena *arena, struct answer *a)
{
	struct holder holder = {
		.account = d->login.account.id,
		.epoch = d->login.account.epoch,
		.app = d->login.app,
		.service = d->service,
	};
	struct login_rules rules;

	*a->challenge = SPAN_EMPTY;
	if (login_rules_of(d->auth->store, holder.account, d->arena,
	    &rules) != 1) {
		*a->result = RESULT_TEMPORARY;
		return;
	}
	secret_wipe(rules.secret, sizeof(rules.secret));
	if (rules.moved_to.n > 0) {
		*a->why = arena_dup(arena, rules.moved_to);
		*a->result = RESULT_NOT_LOCAL;
		return;
	}
	grant_make(d->auth->store, &holder, a->grant);
	*a->login = arena_dup(arena, d->login.account.address);
	*a->result = RESULT_OK;
}

static void
answer_failure(struct dialogue *d, enum result result, struct arena *arena,
    struct answer *a)
{
	*a->challenge = SPAN_EMPTY;
	*a->result = result;
	*a->delay_ms = d->login.delay_ms;
	*a->why = arena_dup(arena, d->login.why);
}

static enum result
dialogue_step(struct dialogue *d, struct span response, struct arena *arena,
    struct answer *a)
{
	struct span challenge = SPAN_EMPTY;
	enum result result;

	if (!d->waiting && d->steps++ >= STEPS_MAX)
		return RESULT_INVALID;
	d->waiting = false;
	result = d->mechanism->step(d, response, &challenge);
	*a->challenge = arena_dup(arena, challenge);
	if (challenge.n > 0 && a->challenge->p == NULL)
		return RESULT_TEMPORARY;
	if (result == RESULT_OK && challenge.n > 0) {
		d->finished = true;
		return RESULT_CONTINUE;
	}
	return result;
}

/* A step was taken: what is to be answered; the dialogue is kept or gone. */
static void
dialogue_settle(struct dialogue *d, enum result result, struct arena *arena,
    struct answer *a)
{
	if (result == RESULT_OK)
		answer_success(d, arena, a);
	else if (result != RESULT_CONTINUE)
		answer_failure(d, result, arena, a);
	if (result != RESULT_CONTINUE) {
		dialogue_free(&d);
		return;
	}
	*a->result = RESULT_CONTINUE;
	*a->wait = d->waiting;
	*a->dialogue = d->id;
	if (!dialogue_keep(d->auth, d)) {
		*a->result = RESULT_TEMPORARY;
		dialogue_free(&d);
	}
}

static struct dialogue *
dialogue_new(struct auth *a, const struct caller *caller,
    const struct mechanism *mechanism, const struct sasl_start_request *req)
{
	struct dialogue *d = xcalloc(1, sizeof(*d));

	d->auth = a;
	d->mechanism = mechanism;
	d->link = caller->link;
	d->service = (enum protocol)req->service;
	d->deadline = clock_after(DIALOGUE_MS);
	d->arena = arena_new(DIALOGUE_MEMORY);
	d->peer = arena_dup(d->arena, req->peer);
	d->exporter = arena_dup(d->arena, req->exporter);
	d->unique = arena_dup(d->arena, req->unique);
	d->evidence = arena_dup(d->arena, req->evidence);
	pthread_mutex_lock(&a->lock);
	d->id = a->next_dialogue++;
	pthread_mutex_unlock(&a->lock);
	return d;
}

#define ANSWER_OF(reply)						\
	{ &(reply)->result, &(reply)->dialogue, &(reply)->challenge,	\
	    &(reply)->grant, &(reply)->login, &(reply)->delay_ms,	\
	    &(reply)->wait, &(reply)->why }

void
verb_sasl_start(void *arg, const struct caller *caller, struct arena *arena,
    const struct sasl_start_request *req, struct sasl_start_reply *reply)
{
	struct auth *auth = ((struct store *)arg)->auth;
	const struct mechanism *mechanism = mechanism_find(req->mechanism);
	struct answer answer = ANSWER_OF(reply);
	enum result result = RESULT_CONTINUE;
	struct dialogue *d;

	if (mechanism == NULL || req->service >= PROTOCOLS ||
	    (mechanism->binds && req->exporter.n + req->unique.n == 0)) {
		reply->result = RESULT_INVALID;
		return;
	}
	d = dialogue_new(auth, caller, mechanism, req);
	if (req->has_initial)
		result = dialogue_step(d, req->initial, arena, &answer);
	else
		reply->challenge = span_str(mechanism->prompt);
	dialogue_settle(d, result, arena, &answer);
}

void
verb_sasl_step(void *arg, const struct caller *caller, struct arena *arena,
    const struct sasl_step_request *req, struct sasl_step_reply *reply)
{
	struct auth *auth = ((struct store *)arg)->auth;
	struct dialogue *d = dialogue_take(auth, caller->link, req->dialogue);
	struct answer answer = ANSWER_OF(reply);

	if (d == NULL) {
		reply->result = RESULT_INVALID;
	} else if (is_late(d, (uint64_t)clock_mono().ms)) {
		reply->result = RESULT_TEMPORARY;
		dialogue_free(&d);
	} else if (d->finished) {
		dialogue_settle(d, req->response.n == 0 ? RESULT_OK
		    : RESULT_INVALID, arena, &answer);
	} else {
		dialogue_settle(d, dialogue_step(d, req->response, arena,
		    &answer), arena, &answer);
	}
}

void
verb_sasl_abort(void *arg, const struct caller *caller, struct arena *arena,
    const struct sasl_abort_request *req, struct sasl_abort_reply *reply)
{
	struct dialogue *d = dialogue_take(((struct store *)arg)->auth,
	    caller->link, req->dialogue);

	(void)arena;
	(void)reply;
	dialogue_free(&d);
}

/* -- the whole ------------------------------------------------------------- */

struct auth *
auth_new(struct store *store, struct text *why)
{
	struct auth *a = xcalloc(1, sizeof(*a));

	(void)why;
	a->store = store;
	a->lockout = lockout_new();
	a->verified = cache_new(16384);
	a->known = cache_new(16384);
	a->oauth = oauth_new(store);
	a->certificates = certificates_new();
	random_bytes(a->cache_key, sizeof(a->cache_key));
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->hash_free, NULL);
	a->dialogues = map_new();
	/* Ids of the store before this one mean nothing here. */
	a->next_dialogue = random_u64() | 1;
	return a;
}

void
auth_free(struct auth **ap)
{
	struct auth *a = *ap;

	if (a == NULL)
		return;
	drop_dialogues(a, is_any, 0);
	map_free(&a->dialogues);
	oauth_free(&a->oauth);
	certificates_free(&a->certificates);
	lockout_free(&a->lockout);
	cache_free(&a->verified);
	cache_free(&a->known);
	secret_wipe(a->cache_key, sizeof(a->cache_key));
	pthread_cond_destroy(&a->hash_free);
	pthread_mutex_destroy(&a->lock);
	free(a);
	*ap = NULL;
}

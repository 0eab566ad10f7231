/*
 * sasl.c - SASL dialogues (RFC 4422): PLAIN, LOGIN, SCRAM (RFC 5802,
 * RFC 7677) with and without channel binding (RFC 5929, RFC 9266).
 *
 * libgsasl speaks the mechanisms; what it asks for comes from auth.c. A
 * dialogue belongs to the link it began on and to nobody else; it is taken
 * out of the table while a step runs, so two steps never meet. There are at
 * most DIALOGUES_MAX, and each ends after DIALOGUE_MS or with its link.
 *
 * The protocols above carry no data with success, so SCRAM's last words to
 * the client go as a challenge, answered with an empty response (RFC 4422
 * section 5, 3.6).
 */
#include "base/clock.h"
#include "base/secret.h"
#include "mail/encode.h"
#include "store/auth.h"
#include "store/verbs.h"

#include <gsasl.h>
#include <stdlib.h>

enum mechanism_kind { MECHANISM_PLAIN, MECHANISM_LOGIN, MECHANISM_SCRAM };

static const struct mechanism {
	const char *name;
	enum mechanism_kind kind;
	enum scram_hash hash;
	bool binds;
} mechanisms[] = {
	{ "PLAIN", MECHANISM_PLAIN, SCRAM_SHA1, false },
	{ "LOGIN", MECHANISM_LOGIN, SCRAM_SHA1, false },
	{ "SCRAM-SHA-1", MECHANISM_SCRAM, SCRAM_SHA1, false },
	{ "SCRAM-SHA-1-PLUS", MECHANISM_SCRAM, SCRAM_SHA1, true },
	{ "SCRAM-SHA-256", MECHANISM_SCRAM, SCRAM_SHA256, false },
	{ "SCRAM-SHA-256-PLUS", MECHANISM_SCRAM, SCRAM_SHA256, true },
};

struct dialogue {
	uint64_t id;
	uint64_t link;
	monotime_t deadline;
	const struct mechanism *mechanism;
	enum protocol service;
	Gsasl_session *session;
	struct auth *auth;
	struct arena *arena;		/* holds what follows */
	struct span peer, exporter, unique;
	struct login login;
	struct scram_keys keys;
	bool begun;			/* login_begin() was made */
	bool finished;			/* proved; the last word is out */
	unsigned steps;
};

enum { STEPS_MAX = 6, DIALOGUE_MEMORY = 256 << 10, RESPONSE_MAX = 16384 };

/* -- what libgsasl asks ---------------------------------------------------- */

static void
dialogue_begin_login(struct dialogue *d, const char *name)
{
	struct span copy = arena_dup(d->arena, span_str(name));

	if (d->begun)
		return;
	d->begun = true;
	if (copy.p == NULL)
		d->login.result = RESULT_TEMPORARY;
	else
		login_begin(d->auth, &d->login, copy, d->peer, d->arena);
	if (d->mechanism->kind != MECHANISM_SCRAM)
		return;
	if (!d->login.exists || password_scram(d->login.account.credentials,
	    d->mechanism->hash, &d->keys) != 1) {
		d->login.exists = false;
		password_scram_pretend(store_settings(d->auth->store),
		    d->mechanism->hash, d->auth->store->secret,
		    d->login.attempt.login, &d->keys);
	}
}

/* An authorization identity must be the account itself, or absent. */
static bool
authzid_fits(struct dialogue *d, const char *authzid)
{
	struct account other;

	if (authzid == NULL || authzid[0] == '\0')
		return true;
	return directory_login(d->auth->store->directory, span_str(authzid),
	    d->arena, &other) == 1 && d->login.exists &&
	    other.id == d->login.account.id;
}

static int
validate_simple(struct dialogue *d, Gsasl_session *session)
{
	const char *name = gsasl_property_fast(session, GSASL_AUTHID);
	const char *authzid = gsasl_property_fast(session, GSASL_AUTHZID);
	const char *password = gsasl_property_fast(session, GSASL_PASSWORD);

	if (name == NULL || password == NULL)
		return GSASL_AUTHENTICATION_ERROR;
	dialogue_begin_login(d, name);
	if (d->login.result != RESULT_OK)
		return GSASL_AUTHENTICATION_ERROR;
	if (login_try_password(d->auth, &d->login, span_str(password)) !=
	    RESULT_OK)
		return GSASL_AUTHENTICATION_ERROR;
	if (!authzid_fits(d, authzid)) {
		d->login.result = RESULT_DENIED;
		return GSASL_AUTHENTICATION_ERROR;
	}
	return GSASL_OK;
}

static int
set_base64(Gsasl_session *session, Gsasl_property property, struct span raw)
{
	struct text out = TEXT_INIT(0);
	int rc;

	base64_add(&out, raw);
	rc = gsasl_property_set_raw(session, property, out.p, out.n);
	text_wipe(&out);
	return rc;
}

static int
give_scram(struct dialogue *d, Gsasl_session *session, Gsasl_property what)
{
	const char *name = gsasl_property_fast(session, GSASL_AUTHID);
	size_t n = scram_size(d->mechanism->hash);
	char number[16];

	if (name == NULL)
		return GSASL_NO_CALLBACK;
	dialogue_begin_login(d, name);
	if (d->login.result != RESULT_OK)
		return GSASL_AUTHENTICATION_ERROR;
	switch (what) {
	case GSASL_SCRAM_ITER:
		snprintf(number, sizeof(number), "%" PRIu32,
		    d->keys.iterations);
		return gsasl_property_set(session, what, number);
	case GSASL_SCRAM_SALT:
		return set_base64(session, what,
		    span_of(d->keys.salt, sizeof(d->keys.salt)));
	case GSASL_SCRAM_STOREDKEY:
		return set_base64(session, what,
		    span_of(d->keys.stored, n));
	default:
		return set_base64(session, what,
		    span_of(d->keys.server, n));
	}
}

static int
give_binding(struct dialogue *d, Gsasl_session *session, Gsasl_property what)
{
	struct span binding = what == GSASL_CB_TLS_EXPORTER
	    ? d->exporter : d->unique;

	return binding.n == 0 ? GSASL_NO_CALLBACK :
	    set_base64(session, what, binding);
}

static int
on_property(Gsasl *context, Gsasl_session *session, Gsasl_property what)
{
	struct dialogue *d = gsasl_session_hook_get(session);

	(void)context;
	switch (what) {
	case GSASL_VALIDATE_SIMPLE:
		return validate_simple(d, session);
	case GSASL_SCRAM_ITER:
	case GSASL_SCRAM_SALT:
	case GSASL_SCRAM_STOREDKEY:
	case GSASL_SCRAM_SERVERKEY:
		return give_scram(d, session, what);
	case GSASL_CB_TLS_EXPORTER:
	case GSASL_CB_TLS_UNIQUE:
		return give_binding(d, session, what);
	default:
		return GSASL_NO_CALLBACK;
	}
}

/* -- the table of dialogues ------------------------------------------------ */

static struct span
id_key(const uint64_t *id)
{
	return span_of(id, sizeof(*id));
}

/* libgsasl gives its copy of the password back to the heap as it is. */
static void
wipe_password(Gsasl_session *session)
{
	const char *password = gsasl_property_fast(session, GSASL_PASSWORD);

	if (password != NULL)
		secret_wipe((char *)(uintptr_t)password, strlen(password));
}

static void
dialogue_free(struct dialogue **dp)
{
	struct dialogue *d = *dp;

	if (d == NULL)
		return;
	if (d->session != NULL) {
		wipe_password(d->session);
		gsasl_finish(d->session);
	}
	secret_wipe(&d->keys, sizeof(d->keys));
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
};

static void
answer_success(struct dialogue *d, struct arena *arena, struct answer *a)
{
	struct holder holder = {
		.account = d->login.account.id,
		.epoch = d->login.account.epoch,
		.service = d->service,
	};

	grant_make(d->auth->store, &holder, a->grant);
	*a->login = arena_dup(arena, d->login.account.address);
	*a->challenge = SPAN_EMPTY;
	*a->result = RESULT_OK;
}

static void
answer_failure(struct dialogue *d, int rc, struct answer *a)
{
	*a->challenge = SPAN_EMPTY;
	if (d->begun && d->login.result == RESULT_OK)
		login_failed(d->auth, &d->login, SPAN_EMPTY);
	*a->delay_ms = d->login.delay_ms;
	if (d->begun)
		*a->result = d->login.result;
	else if (rc == GSASL_MALLOC_ERROR)
		*a->result = RESULT_TEMPORARY;
	else
		*a->result = RESULT_INVALID;
}

/* Prompts that old clients look for; libgsasl has others. */
static struct span
login_prompt(const struct dialogue *d, struct span challenge)
{
	if (d->mechanism->kind != MECHANISM_LOGIN)
		return challenge;
	return d->steps == 1 ? SPAN("Username:") : SPAN("Password:");
}

static int
dialogue_step(struct dialogue *d, struct span response, struct arena *arena,
    struct span *challenge)
{
	char *out = NULL;
	size_t n = 0;
	int rc;

	if (d->steps++ >= STEPS_MAX)
		return GSASL_MECHANISM_CALLED_TOO_MANY_TIMES;
	rc = gsasl_step(d->session, response.n > 0 ? response.p : "",
	    response.n, &out, &n);
	*challenge = arena_dup(arena, span_of(out, n));
	gsasl_free(out);
	if (rc == GSASL_NEEDS_MORE)
		*challenge = login_prompt(d, *challenge);
	return rc;
}

/* SCRAM is proved; may this account act for the identity it asked for? */
static int
scram_finish(struct dialogue *d, int rc)
{
	if (rc != GSASL_OK || d->mechanism->kind != MECHANISM_SCRAM)
		return rc;
	if (!d->begun || d->login.result != RESULT_OK || !d->login.exists ||
	    !authzid_fits(d, gsasl_property_fast(d->session, GSASL_AUTHZID)))
		return GSASL_AUTHENTICATION_ERROR;
	login_succeeded(d->auth, &d->login);
	return GSASL_OK;
}

/* One step, and what is to be answered; the dialogue is kept or gone. */
static void
dialogue_run(struct dialogue *d, struct span response, struct arena *arena,
    struct answer *a)
{
	int rc = scram_finish(d, dialogue_step(d, response, arena,
	    a->challenge));

	if (rc == GSASL_NEEDS_MORE &&
	    (!d->begun || d->login.result == RESULT_OK)) {
		*a->result = RESULT_CONTINUE;
	} else if (rc == GSASL_OK && d->login.result == RESULT_OK) {
		if (a->challenge->n == 0) {
			answer_success(d, arena, a);
			dialogue_free(&d);
			return;
		}
		d->finished = true;
		*a->result = RESULT_CONTINUE;
	} else {
		answer_failure(d, rc, a);
		dialogue_free(&d);
		return;
	}
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
	pthread_mutex_lock(&a->lock);
	d->id = a->next_dialogue++;
	pthread_mutex_unlock(&a->lock);
	return d;
}

void
verb_sasl_start(void *arg, const struct caller *caller, struct arena *arena,
    const struct sasl_start_request *req, struct sasl_start_reply *reply)
{
	struct auth *auth = ((struct store *)arg)->auth;
	const struct mechanism *mechanism = mechanism_find(req->mechanism);
	struct answer answer = { &reply->result, &reply->dialogue,
	    &reply->challenge, &reply->grant, &reply->login,
	    &reply->delay_ms };
	struct dialogue *d;

	if (mechanism == NULL || req->service >= PROTOCOLS ||
	    (mechanism->binds && req->exporter.n + req->unique.n == 0)) {
		reply->result = RESULT_INVALID;
		return;
	}
	d = dialogue_new(auth, caller, mechanism, req);
	if (gsasl_server_start(auth->gsasl, mechanism->name, &d->session) !=
	    GSASL_OK) {
		d->session = NULL;
		dialogue_free(&d);
		reply->result = RESULT_TEMPORARY;
		return;
	}
	gsasl_session_hook_set(d->session, d);
	/* LOGIN asks first: an initial response answers its first question. */
	if (mechanism->kind == MECHANISM_LOGIN && req->has_initial)
		dialogue_step(d, SPAN_EMPTY, arena, &reply->challenge);
	dialogue_run(d, req->has_initial ? req->initial : SPAN_EMPTY, arena,
	    &answer);
}

void
verb_sasl_step(void *arg, const struct caller *caller, struct arena *arena,
    const struct sasl_step_request *req, struct sasl_step_reply *reply)
{
	struct auth *auth = ((struct store *)arg)->auth;
	struct dialogue *d = dialogue_take(auth, caller->link, req->dialogue);
	struct answer answer = { &reply->result, &reply->dialogue,
	    &reply->challenge, &reply->grant, &reply->login,
	    &reply->delay_ms };

	if (d == NULL) {
		reply->result = RESULT_INVALID;
	} else if (is_late(d, (uint64_t)clock_mono().ms)) {
		reply->result = RESULT_TEMPORARY;
		dialogue_free(&d);
	} else if (d->finished) {
		if (req->response.n == 0)
			answer_success(d, arena, &answer);
		else
			reply->result = RESULT_INVALID;
		dialogue_free(&d);
	} else {
		dialogue_run(d, req->response, arena, &answer);
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
	Gsasl *gsasl = NULL;
	int rc = gsasl_init(&gsasl);

	if (rc != GSASL_OK) {
		text_printf(why, "libgsasl: %s", gsasl_strerror(rc));
		free(a);
		return NULL;
	}
	gsasl_callback_set(gsasl, on_property);
	a->gsasl = gsasl;
	a->store = store;
	a->lockout = lockout_new();
	a->verified = cache_new(16384);
	a->known = cache_new(16384);
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
	gsasl_done(a->gsasl);
	lockout_free(&a->lockout);
	cache_free(&a->verified);
	cache_free(&a->known);
	secret_wipe(a->cache_key, sizeof(a->cache_key));
	pthread_cond_destroy(&a->hash_free);
	pthread_mutex_destroy(&a->lock);
	free(a);
	*ap = NULL;
}

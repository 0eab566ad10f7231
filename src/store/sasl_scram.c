/*
 * sasl_scram.c - SCRAM (RFC 5802, RFC 7677) with and without channel binding
 * (RFC 5929, RFC 9266), for SHA-1, SHA-256 and SHA-512.
 *
 * Any of an account's passwords may prove it: they share salt and rounds. A
 * name that does not exist, and an account whose record is older than the
 * hash, get keys that no password fits, the same each time.
 */
#include "base/secret.h"
#include "ipc/wire.h"
#include "mail/encode.h"
#include "store/app_password.h"
#include "store/sasl_impl.h"
#include "store/scram.h"

enum { NONCE_BYTES = 18 };

struct scram_state {
	struct scram_first first;
	struct span server_first, nonce;
	struct scram_keys keys;
	struct app_password *apps;
	size_t app_count;
	bool real;			/* the keys are an account's */
};

void
sasl_scram_wipe(struct dialogue *d)
{
	struct scram_state *s = d->state;

	if (d->mechanism->step != sasl_scram || s == NULL)
		return;
	secret_wipe(&s->keys, sizeof(s->keys));
	for (size_t i = 0; i < s->app_count; i++)
		secret_wipe(s->apps[i].scram, sizeof(s->apps[i].scram));
}

static struct span
binding_data(const struct dialogue *d, const struct scram_first *f)
{
	if (span_is(f->binding, "tls-exporter"))
		return d->exporter;
	if (span_is(f->binding, "tls-unique"))
		return d->unique;
	return SPAN_EMPTY;
}

/*
 * RFC 5802 6: -PLUS binds; "y" without it says that -PLUS was not seen, so
 * somebody in between took it out of what was offered.
 */
static bool
flag_fits(const struct dialogue *d, const struct scram_first *f)
{
	if (d->mechanism->binds)
		return f->flag == 'p' && binding_data(d, f).n > 0;
	return f->flag == 'n' ||
	    (f->flag == 'y' && d->exporter.n + d->unique.n == 0);
}

/* The keys behind the name, or pretended ones. */
static enum result
find_keys(struct dialogue *d, struct scram_state *s)
{
	struct store *store = d->auth->store;
	enum scram_hash hash = d->mechanism->hash;
	int rc = 1;

	if (d->login.exists)
		rc = app_passwords_of(store, d->login.account.id, d->arena,
		    &s->apps, &s->app_count);
	s->real = rc == 1 && d->login.exists && password_scram(
	    d->login.account.credentials, hash, &s->keys) == 1 &&
	    s->keys.iterations != 0;
	if (!s->real)
		password_scram_pretend(store_settings(store), hash,
		    store->secret, d->login.attempt.login, &s->keys);
	return rc == 1 ? RESULT_OK : RESULT_TEMPORARY;
}

static enum result
say_first(struct dialogue *d, struct scram_state *s, struct span *challenge)
{
	struct text t = TEXT_INIT(0);
	uint8_t nonce[NONCE_BYTES];

	random_bytes(nonce, sizeof(nonce));
	text_str(&t, "r=");
	text_add(&t, s->first.nonce);
	base64_add(&t, span_of(nonce, sizeof(nonce)));
	s->nonce = arena_dup(d->arena, span_from(text_span(&t), 2));
	text_str(&t, ",s=");
	base64_add(&t, span_of(s->keys.salt, sizeof(s->keys.salt)));
	text_printf(&t, ",i=%" PRIu32, s->keys.iterations);
	*challenge = s->server_first = arena_dup(d->arena, text_span(&t));
	text_free(&t);
	return s->nonce.p != NULL && s->server_first.p != NULL
	    ? RESULT_CONTINUE : RESULT_TEMPORARY;
}

static enum result
first(struct dialogue *d, struct span response, struct span *challenge)
{
	struct scram_state *s = arena_alloc(d->arena, sizeof(*s));
	struct span copy = arena_dup(d->arena, response);
	enum result result;
	int rc;

	if (s == NULL || copy.p == NULL)
		return response.n == 0 ? RESULT_INVALID : RESULT_TEMPORARY;
	*s = (struct scram_state){ 0 };
	d->state = s;
	rc = scram_read_first(copy, d->arena, &s->first);
	if (rc == 1 && !flag_fits(d, &s->first))
		rc = 0;
	if (rc != 1)
		return rc == 0 ? RESULT_INVALID : RESULT_TEMPORARY;
	result = dialogue_begin_login(d, s->first.user);
	if (result == RESULT_OK)
		result = find_keys(d, s);
	return result == RESULT_OK ? say_first(d, s, challenge) : result;
}

/* c= is the header of the first message and what the channel is bound by. */
static bool
binding_fits(const struct dialogue *d, const struct scram_state *s,
    struct span binding)
{
	struct span data = d->mechanism->binds ? binding_data(d, &s->first)
	    : SPAN_EMPTY;

	return span_starts(binding, s->first.header) &&
	    secret_equal(span_from(binding, s->first.header.n), data);
}

/*
 * Whose proof is it? False: nobody's. *app NULL: the account's own password.
 * All are tried, so that the time says nothing.
 */
static bool
find_prover(const struct dialogue *d, const struct scram_state *s,
    struct span auth_message, const uint8_t *proof,
    const struct app_password **app, const struct scram_keys **keys)
{
	enum scram_hash hash = d->mechanism->hash;
	bool own = scram_proves(hash, &s->keys, auth_message, proof);
	bool found = own;

	*app = NULL;
	*keys = &s->keys;
	for (size_t i = 0; i < s->app_count; i++) {
		const struct scram_keys *k = &s->apps[i].scram[hash];

		if (k->iterations == 0 || memcmp(k->salt, s->keys.salt,
		    sizeof(k->salt)) != 0)
			continue;
		if (scram_proves(hash, k, auth_message, proof) && !own) {
			*app = &s->apps[i];
			*keys = k;
			found = true;
		}
	}
	return found && s->real;
}

static enum result
prove(struct dialogue *d, const struct scram_state *s,
    const struct scram_final *f, struct span auth_message,
    struct span *challenge)
{
	struct text t = TEXT_INIT(0);
	const struct app_password *app;
	const struct scram_keys *keys;

	if (!find_prover(d, s, auth_message, f->proof, &app, &keys))
		return dialogue_denied(d, SPAN_EMPTY);
	if (login_try_scope(d->auth, &d->login, app) != RESULT_OK)
		return d->login.result;
	if (!dialogue_acts_as(d, s->first.authzid))
		return dialogue_denied(d, SPAN_EMPTY);
	login_succeeded(d->auth, &d->login);
	scram_add_verifier(d->mechanism->hash, keys, auth_message, &t);
	*challenge = arena_dup(d->arena, text_span(&t));
	text_free(&t);
	return challenge->p != NULL ? RESULT_OK : RESULT_TEMPORARY;
}

static enum result
final(struct dialogue *d, struct span response, struct span *challenge)
{
	const struct scram_state *s = d->state;
	struct text auth_message = TEXT_INIT(0);
	struct scram_final f;
	enum result result;
	int rc = scram_read_final(response, d->mechanism->hash, d->arena, &f);

	if (rc != 1)
		return rc == 0 ? RESULT_INVALID : RESULT_TEMPORARY;
	if (!span_eq(f.nonce, s->nonce))
		return RESULT_INVALID;
	if (!binding_fits(d, s, f.binding))
		return dialogue_denied(d, SPAN_EMPTY);
	text_add(&auth_message, s->first.bare);
	text_char(&auth_message, ',');
	text_add(&auth_message, s->server_first);
	text_char(&auth_message, ',');
	text_add(&auth_message, f.without_proof);
	result = prove(d, s, &f, text_span(&auth_message), challenge);
	text_free(&auth_message);
	return result;
}

enum result
sasl_scram(struct dialogue *d, struct span response, struct span *challenge)
{
	return d->state == NULL ? first(d, response, challenge)
	    : final(d, response, challenge);
}

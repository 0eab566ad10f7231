/*
 * sasl_oauth.c - OAUTHBEARER (RFC 7628) and XOAUTH2: an access token instead
 * of a password.
 *
 * A token that is not good is answered with a challenge that says why in
 * JSON; whatever the client says then, it is over. Who guesses tokens cannot
 * lock an account: failures count for the address they come from.
 */
#include "base/settings.h"
#include "store/oauth.h"
#include "store/sasl_impl.h"

#include <jansson.h>
#include <stdlib.h>

struct oauth_state {
	struct oauth_string said;
	bool refused;			/* the challenge that says so is out */
};

/* RFC 7628 3.2.2; XOAUTH2's clients look for a number. */
static enum result
refuse(struct dialogue *d, struct oauth_state *o, struct span *challenge)
{
	const struct settings *s = store_settings(d->auth->store);
	bool bearer = d->mechanism->step == sasl_oauthbearer;
	json_t *root = json_pack("{s:s, s:s}", "status",
	    bearer ? "invalid_token" : "400", "schemes", "bearer");
	char *text;

	if (*s->oauth_scope != '\0')
		json_object_set_new(root, "scope",
		    json_string(s->oauth_scope));
	if (*s->oauth_configuration != '\0' && bearer)
		json_object_set_new(root, "openid-configuration",
		    json_string(s->oauth_configuration));
	text = json_dumps(root, JSON_COMPACT);
	must(text != NULL);
	*challenge = arena_dup(d->arena, span_str(text));
	free(text);
	json_decref(root);
	o->refused = true;
	return RESULT_CONTINUE;
}

static enum result
check(struct dialogue *d, struct oauth_state *o, struct span *challenge)
{
	const char *why;
	struct span name = SPAN_EMPTY;
	enum result result = oauth_check(d->auth->oauth, o->said.token,
	    d->arena, &name, &why);

	if (result == RESULT_CONTINUE)
		d->waiting = true;
	if (result != RESULT_OK && result != RESULT_DENIED)
		return result;
	if (result == RESULT_OK && !d->begun) {
		result = dialogue_begin_login(d, name);
		d->login.attempt.by_token = true;
		if (result != RESULT_OK)
			return result;
		if (d->login.exists && dialogue_acts_as(d, o->said.user)) {
			login_succeeded(d->auth, &d->login);
			return RESULT_OK;
		}
	}
	d->login.attempt.by_token = true;
	d->login.attempt.peer = d->peer;
	login_failed(d->auth, &d->login, SPAN_EMPTY);
	return refuse(d, o, challenge);
}

static enum result
step(struct dialogue *d, struct span response, struct span *challenge,
    bool bearer)
{
	struct oauth_state *o = d->state;
	struct span copy;
	int rc;

	if (o != NULL)
		return o->refused ? RESULT_DENIED : check(d, o, challenge);
	o = d->state = arena_alloc(d->arena, sizeof(*o));
	copy = arena_dup(d->arena, response);
	if (o == NULL || (response.n > 0 && copy.p == NULL))
		return RESULT_TEMPORARY;
	*o = (struct oauth_state){ .refused = false };
	rc = bearer ? oauth_read_bearer(copy, d->arena, &o->said)
	    : oauth_read_xoauth2(copy, &o->said);
	if (rc != 1 || o->said.dummy)
		return rc == -1 ? RESULT_TEMPORARY : RESULT_INVALID;
	return check(d, o, challenge);
}

enum result
sasl_oauthbearer(struct dialogue *d, struct span response,
    struct span *challenge)
{
	return step(d, response, challenge, true);
}

enum result
sasl_xoauth2(struct dialogue *d, struct span response,
    struct span *challenge)
{
	return step(d, response, challenge, false);
}

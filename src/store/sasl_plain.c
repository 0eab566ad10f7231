/*
 * sasl_plain.c - PLAIN (RFC 4616) and LOGIN: the password itself.
 */
#include "store/sasl_impl.h"

static enum result
try(struct dialogue *d, struct span name, struct span password)
{
	enum result result = dialogue_begin_login(d, name);

	return result != RESULT_OK ? result :
	    login_try_password(d->auth, &d->login, password);
}

/* authzid NUL name NUL password */
enum result
sasl_plain(struct dialogue *d, struct span response, struct span *challenge)
{
	struct span authzid, name, password;
	enum result result;

	(void)challenge;
	password = span_cut(span_cut(response, '\0', &authzid), '\0', &name);
	if (authzid.n + name.n + 2 > response.n || name.n == 0 ||
	    password.n == 0 || span_find_char(password, '\0', 0) != SIZE_MAX)
		return RESULT_INVALID;
	result = try(d, name, password);
	if (result == RESULT_OK && !dialogue_acts_as(d, authzid))
		return RESULT_DENIED;
	return result;
}

/* The name, then the password; the prompts are those old clients look for. */
enum result
sasl_login(struct dialogue *d, struct span response, struct span *challenge)
{
	struct span *name = d->state;

	if (response.n == 0 || span_find_char(response, '\0', 0) != SIZE_MAX)
		return RESULT_INVALID;
	if (name != NULL)
		return try(d, *name, response);
	name = arena_alloc(d->arena, sizeof(*name));
	if (name == NULL)
		return RESULT_TEMPORARY;
	*name = arena_dup(d->arena, response);
	d->state = name;
	*challenge = SPAN("Password:");
	return RESULT_CONTINUE;
}

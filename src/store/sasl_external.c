/*
 * sasl_external.c - EXTERNAL (RFC 4422 appendix A): who showed a client
 * certificate in the handshake.
 *
 * The response is the identity to act as, or empty: then the first name of
 * the certificate that is an account's.
 */
#include "base/settings.h"
#include "store/client_certificate.h"
#include "store/sasl_impl.h"

/* The name among them that leads to an account, and to the one asked for. */
static struct span
pick_name(struct dialogue *d, const struct certificate_names *names,
    struct span wanted)
{
	struct directory *directory = d->auth->store->directory;
	struct account account, asked;

	if (wanted.n > 0 &&
	    directory_login(directory, wanted, d->arena, &asked) != 1)
		return SPAN_EMPTY;
	for (size_t i = 0; i < names->count; i++)
		if (directory_login(directory, names->names[i], d->arena,
		    &account) == 1 &&
		    (wanted.n == 0 || account.id == asked.id))
			return names->names[i];
	return SPAN_EMPTY;
}

enum result
sasl_external(struct dialogue *d, struct span response,
    struct span *challenge)
{
	const struct settings *s = store_settings(d->auth->store);
	struct certificate_names names;
	struct span name = SPAN_EMPTY;
	enum result result;

	(void)challenge;
	if (d->evidence.n == 0 ||
	    span_find_char(response, '\0', 0) != SIZE_MAX)
		return RESULT_INVALID;
	if (certificates_check(d->auth->certificates, d->evidence,
	    strcmp(s->tls_client_identity, "cn") == 0, d->arena,
	    &names) == 1)
		name = pick_name(d, &names, response);
	result = dialogue_begin_login(d, name);
	d->login.attempt.by_token = true;
	if (result != RESULT_OK)
		return result;
	if (name.n == 0 || !d->login.exists)
		return dialogue_denied(d, SPAN_EMPTY);
	login_succeeded(d->auth, &d->login);
	return RESULT_OK;
}

/*
 * outside.h - what the supervisor reads for those who send mail: the
 * authorities that certificates are checked against, and the routes with
 * their passwords; and for those who log in without one: the authorities of
 * clients' certificates, the keys of access tokens, and with what the server
 * of such tokens is asked.
 */
#ifndef ROLE_OUTSIDE_H
#define ROLE_OUTSIDE_H

#include "base/settings.h"
#include "base/text.h"

struct outside {
	struct text authorities;	/* PEM; empty: none are known */
	struct text routes;		/* base/routes.h, with passwords */
	struct text routes_public;	/* the same without */
	struct text client_authorities;	/* PEM; empty: no certificate logs in */
	struct text token_keys;		/* JWK set; empty: none */
	struct text token_secret;
};

/*
 * Read anew: paths are below `directory` where they are relative; config is
 * the settings file. 1; 0 and *why: *out is untouched. Authorities that
 * cannot be read are none, and a warning in the log.
 */
int  outside_load(int directory, const struct settings *, const char *config,
    struct outside *out, struct text *why);
void outside_free(struct outside *);

#endif

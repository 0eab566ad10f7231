/*
 * outside.h - what the supervisor reads for those who send mail: the
 * authorities that certificates are checked against, and the routes with
 * their passwords.
 */
#ifndef ROLE_OUTSIDE_H
#define ROLE_OUTSIDE_H

#include "base/settings.h"
#include "base/text.h"

struct outside {
	struct text authorities;	/* PEM; empty: none are known */
	struct text routes;		/* base/routes.h, with passwords */
	struct text routes_public;	/* the same without */
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

/*
 * oauth.h - whom an access token stands for: by its signature (oauth.keys),
 * or by what the token server says of it (oauth.introspection).
 *
 * The store asks nobody: questions wait here, relay takes them, asks and
 * reports. What was said is kept for a short time under a hash of the token.
 * Any thread.
 */
#ifndef STORE_OAUTH_H
#define STORE_OAUTH_H

#include "store/store.h"

struct oauth;

struct oauth *oauth_new(struct store *);
void oauth_free(struct oauth **);
/* The keys that sign tokens: a JWK set, "" none. 1; 0 and *why: none then. */
int  oauth_set_keys(struct oauth *, struct span json, struct text *why);

/*
 * RESULT_OK: *name, in the arena; RESULT_CONTINUE: the token server was
 * asked, come again; RESULT_DENIED: it is not good, and *why; RESULT_INVALID:
 * tokens are not taken at all; RESULT_TEMPORARY.
 */
enum result oauth_check(struct oauth *, struct span token, struct arena *,
    struct span *name, const char **why);
/* A relay is gone: what it was to ask is asked again. */
void oauth_link_gone(struct oauth *, uint64_t link);

/* The strings of OAUTHBEARER (RFC 7628 3.1) and XOAUTH2. Pure. */
struct oauth_string {
	struct span user;		/* "" none */
	struct span token;
	bool dummy;			/* the answer to an error: one ^A */
};
/* 1, 0 malformed, -1 the arena is full. */
int oauth_read_bearer(struct span, struct arena *, struct oauth_string *);
int oauth_read_xoauth2(struct span, struct oauth_string *);

#endif

/*
 * jwt.h - signed tokens (RFC 7519 in the compact form of RFC 7515) and the
 * keys they are signed with (RFC 7517).
 *
 * RS256, PS256, ES256 and EdDSA with Ed25519; what a token says of its own
 * algorithm counts only where the key fits it, so that "none" and HMAC with
 * a public key are nothing. Pure but for OpenSSL.
 */
#ifndef STORE_JWT_H
#define STORE_JWT_H

#include "base/arena.h"
#include "base/text.h"

enum { JWT_MAX = 16384, JWK_MAX = 100 };	/* bytes; keys */

enum jwt_algorithm { JWT_RS256, JWT_PS256, JWT_ES256, JWT_EDDSA,
    JWT_ALGORITHMS };

struct jwt {
	enum jwt_algorithm algorithm;
	struct span key_id;		/* "" it says none */
	struct span payload;		/* JSON, not believed before jwt_holds */
	struct span input;		/* what is signed */
	struct span signature;
};
/* 1, 0 not such a token, -1 the arena is full. */
int jwt_read(struct span token, struct arena *, struct jwt *);

/* Keys that can be used; those of other kinds are passed over. */
struct jwk_set;
struct jwk_set *jwk_set_read(struct span json, struct text *why);
void jwk_set_free(struct jwk_set **);
size_t jwk_set_count(const struct jwk_set *);
/* Did one of these keys sign it? */
bool jwt_holds(const struct jwt *, const struct jwk_set *);

/* What a token, or the answer about one (RFC 7662), must say. */
struct claims_wanted {
	const char *issuer, *audience;	/* "" any */
	const char *name;		/* the claim with the account */
	const char *scope;		/* one it must have; "" any */
	int64_t now, leeway;		/* seconds */
	bool introspected;		/* "active": true; exp may be missing */
};
struct claims {
	struct span name;		/* in the arena */
	int64_t expires;		/* seconds since 1970; INT64_MAX: never */
};
/* 1; 0 and *why in a few words; -1 the arena is full. */
int claims_read(struct span json, const struct claims_wanted *,
    struct arena *, struct claims *, const char **why);

#endif

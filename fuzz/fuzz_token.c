/*
 * fuzz_token.c - access tokens and the strings that bring them; what token
 * servers answer; sets of keys.
 *
 * The first byte chooses; what is read is read again from what it points at.
 */
#include "base/arena.h"
#include "store/jwt.h"
#include "store/oauth.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
fuzz_token(struct span input, struct arena *arena)
{
	struct jwk_set *none = NULL;
	struct jwt jwt;

	if (jwt_read(input, arena, &jwt) != 1)
		return;
	must(jwt.input.p == input.p && jwt.input.n < input.n);
	must(!jwt_holds(&jwt, none));
}

static void
fuzz_claims(struct span input, struct arena *arena)
{
	struct claims_wanted wanted = { .issuer = "", .audience = "a",
	    .name = "email", .scope = "s", .now = 1000000, .leeway = 60 };
	const char *why = NULL;
	struct claims claims;
	int rc;

	for (int i = 0; i < 2; i++) {
		wanted.introspected = i == 1;
		rc = claims_read(input, &wanted, arena, &claims, &why);
		must(rc == 1 ? claims.name.n > 0 : why != NULL || rc == -1);
	}
}

static void
fuzz_keys(struct span input)
{
	struct text why = TEXT_INIT(1000);
	struct jwk_set *set = jwk_set_read(input, &why);

	must(set != NULL || why.n > 0);
	must(jwk_set_count(set) <= JWK_MAX);
	jwk_set_free(&set);
	text_free(&why);
}

static void
fuzz_strings(struct span input, struct arena *arena)
{
	struct oauth_string s;

	if (oauth_read_bearer(input, arena, &s) == 1)
		must(s.dummy || s.token.n > 0);
	if (oauth_read_xoauth2(input, &s) == 1)
		must(s.dummy || (s.token.n > 0 && s.user.n > 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena;
	struct span input;

	if (n == 0)
		return 0;
	arena = arena_new(1 << 20);
	input = span_of(data + 1, n - 1);
	switch (data[0] % 4) {
	case 0:
		fuzz_token(input, arena);
		break;
	case 1:
		fuzz_claims(input, arena);
		break;
	case 2:
		fuzz_keys(input);
		break;
	default:
		fuzz_strings(input, arena);
		break;
	}
	arena_free(&arena);
	return 0;
}

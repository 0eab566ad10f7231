/*
 * jwt.c - signed tokens.
 */
#include "store/jwt.h"
#include "mail/encode.h"

#include <jansson.h>
#include <strings.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

enum { RSA_BITS_LEAST = 2048, P256_BYTES = 32, ED25519_BYTES = 32 };

enum key_kind { KEY_RSA, KEY_P256, KEY_ED25519 };

static const struct {
	const char *name;
	enum key_kind kind;
} algorithms[JWT_ALGORITHMS] = {
	[JWT_RS256] = { "RS256", KEY_RSA },
	[JWT_PS256] = { "PS256", KEY_RSA },
	[JWT_ES256] = { "ES256", KEY_P256 },
	[JWT_EDDSA] = { "EdDSA", KEY_ED25519 },
};

struct jwk {
	enum key_kind kind;
	char *id;			/* "" none */
	char *algorithm;		/* "" any of its kind */
	EVP_PKEY *key;
};

struct jwk_set {
	struct jwk *keys;
	size_t count;
};

/* -- base64url (RFC 4648 5), without padding ------------------------------ */

static int
decode_url(struct span in, size_t max, struct text *out)
{
	struct text plain = TEXT_INIT(0);
	int rc;

	if (in.n > max * 4 / 3 + 4 || in.n % 4 == 1)
		return 0;
	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] == '+' || in.p[i] == '/' || in.p[i] == '=') {
			text_free(&plain);
			return 0;
		}
		text_char(&plain, in.p[i] == '-' ? '+' :
		    in.p[i] == '_' ? '/' : in.p[i]);
	}
	while (plain.n % 4 != 0)
		text_char(&plain, '=');
	rc = base64_decode(text_span(&plain), out);
	text_free(&plain);
	return rc;
}

static int
decode_into(struct span in, struct arena *arena, struct span *out)
{
	struct text t = TEXT_INIT(JWT_MAX);
	int rc = decode_url(in, JWT_MAX, &t);

	if (rc == 1) {
		*out = arena_dup(arena, text_span(&t));
		rc = t.n > 0 && out->p == NULL ? -1 : 1;
	}
	text_free(&t);
	return rc;
}

/* -- JSON ----------------------------------------------------------------- */

static json_t *
load_object(struct span json)
{
	json_t *root = json_loadb(json.p != NULL ? json.p : "", json.n,
	    JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(root))
		return root;
	json_decref(root);
	return NULL;
}

static const char *
string_at(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s != NULL ? s : "";
}

/* -- the token ------------------------------------------------------------ */

/* RFC 9068 4, RFC 8725 3.11: what was made for something else is not ours. */
static bool
type_fits(const char *type)
{
	return *type == '\0' || strcasecmp(type, "JWT") == 0 ||
	    strcasecmp(type, "at+jwt") == 0 ||
	    strcasecmp(type, "application/at+jwt") == 0;
}

static int
read_header(struct span header, struct arena *arena, struct jwt *jwt)
{
	json_t *root = load_object(header);
	const char *name = string_at(root, "alg");
	struct span id = span_str(string_at(root, "kid"));
	int rc = 0;

	for (size_t i = 0; root != NULL && i < JWT_ALGORITHMS; i++)
		if (strcmp(name, algorithms[i].name) == 0) {
			jwt->algorithm = (enum jwt_algorithm)i;
			rc = 1;
		}
	/* Extensions that must be understood are none of ours. */
	if (rc == 1 && (json_object_get(root, "crit") != NULL ||
	    !type_fits(string_at(root, "typ"))))
		rc = 0;
	if (rc == 1 && id.n > 0) {
		jwt->key_id = arena_dup(arena, id);
		rc = jwt->key_id.p != NULL ? 1 : -1;
	}
	json_decref(root);
	return rc;
}

int
jwt_read(struct span token, struct arena *arena, struct jwt *jwt)
{
	struct span parts[3], header, rest = token;
	int rc;

	*jwt = (struct jwt){ 0 };
	if (token.n > JWT_MAX)
		return 0;
	for (size_t i = 0; i < 3; i++)
		rest = span_cut(rest, '.', &parts[i]);
	if (parts[0].n == 0 || parts[1].n == 0 || parts[2].n == 0 ||
	    parts[0].n + parts[1].n + parts[2].n + 2 != token.n)
		return 0;
	jwt->input = span_sub(token, 0, parts[0].n + 1 + parts[1].n);
	rc = decode_into(parts[0], arena, &header);
	if (rc == 1)
		rc = decode_into(parts[1], arena, &jwt->payload);
	if (rc == 1)
		rc = decode_into(parts[2], arena, &jwt->signature);
	return rc == 1 ? read_header(header, arena, jwt) : rc;
}

/* -- keys ----------------------------------------------------------------- */

static EVP_PKEY *
make_key(const char *type, OSSL_PARAM_BLD *build)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (params == NULL || c == NULL || EVP_PKEY_fromdata_init(c) != 1 ||
	    EVP_PKEY_fromdata(c, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(c);
	OSSL_PARAM_free(params);
	return key;
}

static EVP_PKEY *
rsa_key(struct span n, struct span e)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *modulus = BN_bin2bn((const uint8_t *)n.p, (int)n.n, NULL);
	BIGNUM *exponent = BN_bin2bn((const uint8_t *)e.p, (int)e.n, NULL);
	EVP_PKEY *key = NULL;

	if (build != NULL && modulus != NULL && exponent != NULL &&
	    BN_num_bits(modulus) >= RSA_BITS_LEAST &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N,
	    modulus) == 1 && OSSL_PARAM_BLD_push_BN(build,
	    OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
		key = make_key("RSA", build);
	OSSL_PARAM_BLD_free(build);
	BN_free(modulus);
	BN_free(exponent);
	return key;
}

static EVP_PKEY *
p256_key(struct span x, struct span y)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	uint8_t point[1 + 2 * P256_BYTES] = { 4 };
	EVP_PKEY *key = NULL;

	if (x.n != P256_BYTES || y.n != P256_BYTES || build == NULL) {
		OSSL_PARAM_BLD_free(build);
		return NULL;
	}
	memcpy(point + 1, x.p, x.n);
	memcpy(point + 1 + P256_BYTES, y.p, y.n);
	if (OSSL_PARAM_BLD_push_utf8_string(build,
	    OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY,
	    point, sizeof(point)) == 1)
		key = make_key("EC", build);
	OSSL_PARAM_BLD_free(build);
	return key;
}

static EVP_PKEY *
ed25519_key(struct span x)
{
	return x.n != ED25519_BYTES ? NULL : EVP_PKEY_new_raw_public_key(
	    EVP_PKEY_ED25519, NULL, (const uint8_t *)x.p, x.n);
}

/* A number or point of a key; empty when it is not there or not right. */
static struct span
bytes_at(const json_t *object, const char *name, struct text *room)
{
	text_clear(room);
	if (decode_url(span_str(string_at(object, name)), 2048, room) != 1)
		text_clear(room);
	return text_span(room);
}

static EVP_PKEY *
read_key(const json_t *object, enum key_kind *kind)
{
	const char *type = string_at(object, "kty");
	const char *curve = string_at(object, "crv");
	struct text a = TEXT_INIT(4096), b = TEXT_INIT(4096);
	EVP_PKEY *key = NULL;

	if (strcmp(type, "RSA") == 0) {
		*kind = KEY_RSA;
		key = rsa_key(bytes_at(object, "n", &a),
		    bytes_at(object, "e", &b));
	} else if (strcmp(type, "EC") == 0 && strcmp(curve, "P-256") == 0) {
		*kind = KEY_P256;
		key = p256_key(bytes_at(object, "x", &a),
		    bytes_at(object, "y", &b));
	} else if (strcmp(type, "OKP") == 0 &&
	    strcmp(curve, "Ed25519") == 0) {
		*kind = KEY_ED25519;
		key = ed25519_key(bytes_at(object, "x", &a));
	}
	ERR_clear_error();
	text_free(&a);
	text_free(&b);
	return key;
}

static void
add_key(struct jwk_set *set, const json_t *object)
{
	struct jwk *k = &set->keys[set->count];
	const char *use = string_at(object, "use");

	if (*use != '\0' && strcmp(use, "sig") != 0)
		return;
	k->key = read_key(object, &k->kind);
	if (k->key == NULL)
		return;
	k->id = xstrdup(string_at(object, "kid"));
	k->algorithm = xstrdup(string_at(object, "alg"));
	set->count++;
}

struct jwk_set *
jwk_set_read(struct span json, struct text *why)
{
	json_t *root = load_object(json), *keys, *one;
	struct jwk_set *set = NULL;
	size_t i;

	keys = json_object_get(root, "keys");
	if (!json_is_array(keys)) {
		text_str(why, "not a set of keys (RFC 7517)");
	} else if (json_array_size(keys) > JWK_MAX) {
		text_printf(why, "more than %d keys", JWK_MAX);
	} else {
		set = xcalloc(1, sizeof(*set));
		set->keys = xcalloc(json_array_size(keys) + 1,
		    sizeof(*set->keys));
		json_array_foreach(keys, i, one)
			add_key(set, one);
	}
	json_decref(root);
	return set;
}

void
jwk_set_free(struct jwk_set **sp)
{
	struct jwk_set *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->count; i++) {
		EVP_PKEY_free(s->keys[i].key);
		free(s->keys[i].id);
		free(s->keys[i].algorithm);
	}
	free(s->keys);
	free(s);
}

size_t
jwk_set_count(const struct jwk_set *s)
{
	return s == NULL ? 0 : s->count;
}

/* -- signatures ----------------------------------------------------------- */

/* RFC 7518 3.4: r and s side by side; OpenSSL wants them in DER. */
static int
der_of(struct span raw, uint8_t **der)
{
	ECDSA_SIG *sig;
	BIGNUM *r, *s;
	int n = -1;

	if (raw.n != 2 * P256_BYTES)
		return -1;
	r = BN_bin2bn((const uint8_t *)raw.p, P256_BYTES, NULL);
	s = BN_bin2bn((const uint8_t *)raw.p + P256_BYTES, P256_BYTES, NULL);
	sig = ECDSA_SIG_new();
	must(r != NULL && s != NULL && sig != NULL);
	must(ECDSA_SIG_set0(sig, r, s) == 1);
	n = i2d_ECDSA_SIG(sig, der);
	ECDSA_SIG_free(sig);
	return n;
}

static bool
verify(const struct jwt *jwt, EVP_PKEY *key)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how = NULL;
	struct span signature = jwt->signature;
	uint8_t *der = NULL;
	bool good;
	int n;

	must(c != NULL);
	if (jwt->algorithm == JWT_ES256) {
		n = der_of(signature, &der);
		signature = n > 0 ? span_of(der, (size_t)n) : SPAN_EMPTY;
	}
	good = signature.n > 0 && EVP_DigestVerifyInit(c, &how,
	    jwt->algorithm == JWT_EDDSA ? NULL : EVP_sha256(), NULL,
	    key) == 1;
	if (good && jwt->algorithm == JWT_PS256)
		good = EVP_PKEY_CTX_set_rsa_padding(how,
		    RSA_PKCS1_PSS_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(how,
		    RSA_PSS_SALTLEN_DIGEST) == 1;
	good = good && EVP_DigestVerify(c, (const uint8_t *)signature.p,
	    signature.n, (const uint8_t *)jwt->input.p, jwt->input.n) == 1;
	OPENSSL_free(der);
	EVP_MD_CTX_free(c);
	ERR_clear_error();
	return good;
}

bool
jwt_holds(const struct jwt *jwt, const struct jwk_set *set)
{
	for (size_t i = 0; i < jwk_set_count(set); i++) {
		const struct jwk *k = &set->keys[i];

		if (k->kind != algorithms[jwt->algorithm].kind ||
		    (k->algorithm[0] != '\0' && strcmp(k->algorithm,
		    algorithms[jwt->algorithm].name) != 0) ||
		    (jwt->key_id.n > 0 && k->id[0] != '\0' &&
		    !span_is(jwt->key_id, k->id)))
			continue;
		if (verify(jwt, k->key))
			return true;
	}
	return false;
}

/* -- claims --------------------------------------------------------------- */

/* A string, or one in a list of them (RFC 7519 4.1.3). */
static bool
names(const json_t *claim, const char *wanted)
{
	const json_t *one;
	size_t i;

	if (json_is_string(claim))
		return strcmp(json_string_value(claim), wanted) == 0;
	json_array_foreach(claim, i, one)
		if (json_is_string(one) &&
		    strcmp(json_string_value(one), wanted) == 0)
			return true;
	return false;
}

/* Words parted by blanks (RFC 8693 4.2), or a list. */
static bool
has_scope(const json_t *claim, const char *wanted)
{
	struct span rest, word;

	if (!json_is_string(claim))
		return names(claim, wanted);
	rest = span_str(json_string_value(claim));
	while ((word = span_word(&rest)).n > 0)
		if (span_is(word, wanted))
			return true;
	return false;
}

static const char *
what_is_wrong(const json_t *root, const struct claims_wanted *w,
    int64_t *expires)
{
	const json_t *exp = json_object_get(root, "exp");
	const json_t *nbf = json_object_get(root, "nbf");
	const json_t *scope = json_object_get(root, "scope");

	if (w->introspected &&
	    !json_is_true(json_object_get(root, "active")))
		return "not active";
	if (w->issuer[0] != '\0' &&
	    strcmp(string_at(root, "iss"), w->issuer) != 0)
		return "another issuer";
	if (w->audience[0] != '\0' &&
	    !names(json_object_get(root, "aud"), w->audience))
		return "another audience";
	if (!json_is_number(exp) && !(w->introspected && exp == NULL))
		return "no expiry";
	*expires = exp == NULL ? INT64_MAX : (int64_t)MIN(MAX(
	    json_number_value(exp), 0.0), 1e15);
	if (exp != NULL && w->now >= *expires + w->leeway)
		return "expired";
	if (nbf != NULL && (!json_is_number(nbf) ||
	    json_number_value(nbf) > (double)(w->now + w->leeway)))
		return "not valid yet";
	if (w->scope[0] != '\0' && !has_scope(scope != NULL ? scope :
	    json_object_get(root, "scp"), w->scope))
		return "another scope";
	if (strcmp(w->name, "email") == 0 &&
	    json_is_false(json_object_get(root, "email_verified")))
		return "the address was not verified";
	return NULL;
}

int
claims_read(struct span json, const struct claims_wanted *w,
    struct arena *arena, struct claims *out, const char **why)
{
	json_t *root = load_object(json);
	const char *name = string_at(root, w->name);
	int rc = 0;

	*out = (struct claims){ .expires = INT64_MAX };
	*why = root == NULL ? "not JSON" :
	    what_is_wrong(root, w, &out->expires);
	if (*why == NULL && *name == '\0')
		*why = "it names nobody";
	if (*why == NULL) {
		out->name = arena_dup(arena, span_str(name));
		rc = out->name.p != NULL ? 1 : -1;
	}
	json_decref(root);
	return rc;
}

/*
 * password.c - Argon2id and SCRAM keys.
 */
#include "store/password.h"
#include "base/secret.h"
#include "ipc/wire.h"

#include <argon2.h>
#include <gsasl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

enum {
	CREDENTIALS_VERSION = 2,
	SHA512_SINCE = 2,		/* records before it have none */
	ARGON2_SALT = 16,
	ARGON2_HASH = 32,
	ARGON2_ENCODED_MAX = 256,
};

static const EVP_MD *
digest_of(enum scram_hash hash)
{
	return hash == SCRAM_SHA1 ? EVP_sha1() :
	    hash == SCRAM_SHA256 ? EVP_sha256() : EVP_sha512();
}

size_t
scram_size(enum scram_hash hash)
{
	return hash == SCRAM_SHA1 ? 20 : hash == SCRAM_SHA256 ? 32 : 64;
}

void
scram_hmac(enum scram_hash hash, struct span key, struct span message,
    uint8_t *out)
{
	must(HMAC(digest_of(hash), key.p, (int)key.n,
	    (const unsigned char *)message.p, message.n, out, NULL) != NULL);
}

void
scram_hash(enum scram_hash hash, struct span s, uint8_t *out)
{
	must(EVP_Digest(s.p, s.n, out, NULL, digest_of(hash), NULL) == 1);
}

void
hmac_sha256(struct span key, struct span message, uint8_t out[32])
{
	unsigned int n = 0;

	must(HMAC(EVP_sha256(), key.p, (int)key.n,
	    (const unsigned char *)message.p, message.n, out, &n) != NULL);
	must(n == 32);
}

int
password_prepare(struct span password, struct text *out)
{
	char plain[PASSWORD_MAX + 1], *prepared = NULL;
	int rc = 0;

	if (password.n == 0 || password.n > PASSWORD_MAX ||
	    span_find_char(password, '\0', 0) != SIZE_MAX)
		return 0;
	memcpy(plain, password.p, password.n);
	plain[password.n] = '\0';
	if (gsasl_saslprep(plain, GSASL_ALLOW_UNASSIGNED, &prepared,
	    NULL) == GSASL_OK && prepared[0] != '\0') {
		text_add(out, span_str(prepared));
		rc = !text_full(out);
	}
	if (prepared != NULL) {
		secret_wipe(prepared, strlen(prepared));
		gsasl_free(prepared);
	}
	secret_wipe(plain, sizeof(plain));
	return rc;
}

/* -- making ---------------------------------------------------------------- */

static int
put_argon2(const struct settings *s, struct span password, struct text *out)
{
	uint8_t salt[ARGON2_SALT];
	char encoded[ARGON2_ENCODED_MAX];

	random_bytes(salt, sizeof(salt));
	if (argon2id_hash_encoded((uint32_t)s->auth_argon2_passes,
	    (uint32_t)(s->auth_argon2_memory >> 10),
	    (uint32_t)s->auth_argon2_lanes, password.p, password.n, salt,
	    sizeof(salt), ARGON2_HASH, encoded, sizeof(encoded)) != ARGON2_OK)
		return -1;
	put_bytes(out, span_str(encoded));
	secret_wipe(encoded, sizeof(encoded));
	return 1;
}

/* RFC 5802 3: from the prepared password to what the server keeps. */
static int
scram_derive(enum scram_hash hash, struct span password,
    struct scram_keys *keys)
{
	uint8_t salted[SCRAM_KEY_MAX], client[SCRAM_KEY_MAX];
	size_t n = scram_size(hash);
	int rc = PKCS5_PBKDF2_HMAC(password.p, (int)password.n, keys->salt,
	    sizeof(keys->salt), (int)keys->iterations, digest_of(hash),
	    (int)n, salted);

	if (rc == 1) {
		scram_hmac(hash, span_of(salted, n), SPAN("Client Key"),
		    client);
		scram_hash(hash, span_of(client, n), keys->stored);
		scram_hmac(hash, span_of(salted, n), SPAN("Server Key"),
		    keys->server);
	}
	secret_wipe(salted, sizeof(salted));
	secret_wipe(client, sizeof(client));
	return rc == 1 ? 1 : -1;
}

/* like: iterations 0, or salt and rounds to use again. */
static int
put_scram(const struct settings *s, enum scram_hash hash,
    const struct scram_keys *like, struct span password, struct text *out)
{
	struct scram_keys keys = *like;

	if (keys.iterations == 0) {
		keys.iterations = (uint32_t)s->auth_scram_iterations;
		random_bytes(keys.salt, sizeof(keys.salt));
	}
	if (scram_derive(hash, password, &keys) != 1)
		return -1;
	put_u32(out, keys.iterations);
	put_raw(out, keys.salt, sizeof(keys.salt));
	put_raw(out, keys.stored, scram_size(hash));
	put_raw(out, keys.server, scram_size(hash));
	secret_wipe(&keys, sizeof(keys));
	return 1;
}

/* The parts of a record; 1, 0 damaged. */
static int
credentials_open(struct span credentials, struct span *argon2,
    struct scram_keys keys[SCRAM_HASHES])
{
	struct cursor c = { credentials, false };
	uint8_t version = get_u8(&c);

	memset(keys, 0, SCRAM_HASHES * sizeof(*keys));
	if (version < 1 || version > CREDENTIALS_VERSION)
		return 0;
	*argon2 = get_bytes(&c, ARGON2_ENCODED_MAX - 1);
	for (int hash = 0; hash < SCRAM_HASHES; hash++) {
		size_t n = scram_size((enum scram_hash)hash);

		if (hash == SCRAM_SHA512 && version < SHA512_SINCE)
			break;
		keys[hash].iterations = get_u32(&c);
		get_raw(&c, keys[hash].salt, sizeof(keys[hash].salt));
		get_raw(&c, keys[hash].stored, n);
		get_raw(&c, keys[hash].server, n);
	}
	return !c.bad && c.rest.n == 0;
}

int
password_make(const struct settings *s, struct span password,
    struct span like, struct text *credentials)
{
	struct text prepared = TEXT_INIT(4 * PASSWORD_MAX);
	struct scram_keys old[SCRAM_HASHES] = { 0 };
	struct span argon2;
	int rc = password_prepare(password, &prepared);

	if (rc == 1 && like.n > 0 && credentials_open(like, &argon2, old) != 1)
		rc = -1;
	if (rc == 1) {
		put_u8(credentials, CREDENTIALS_VERSION);
		rc = put_argon2(s, text_span(&prepared), credentials);
	}
	for (int hash = 0; rc == 1 && hash < SCRAM_HASHES; hash++)
		rc = put_scram(s, (enum scram_hash)hash, &old[hash],
		    text_span(&prepared), credentials);
	secret_wipe(old, sizeof(old));
	text_wipe(&prepared);
	return rc;
}

int
password_scram_like(struct span credentials, struct span password,
    struct scram_keys keys[SCRAM_HASHES])
{
	struct text prepared = TEXT_INIT(4 * PASSWORD_MAX);
	struct span argon2;
	int rc = credentials_open(credentials, &argon2, keys);

	if (rc == 1)
		rc = password_prepare(password, &prepared);
	for (int hash = 0; rc == 1 && hash < SCRAM_HASHES; hash++)
		if (keys[hash].iterations != 0)
			rc = scram_derive((enum scram_hash)hash,
			    text_span(&prepared), &keys[hash]);
	text_wipe(&prepared);
	return rc;
}

/* -- trying ---------------------------------------------------------------- */

int
password_verify(struct span credentials, struct span password)
{
	struct scram_keys keys[SCRAM_HASHES] = { 0 };
	struct text prepared = TEXT_INIT(4 * PASSWORD_MAX);
	char encoded[ARGON2_ENCODED_MAX];
	struct span argon2;
	int rc = -1;

	if (credentials_open(credentials, &argon2, keys) == 1) {
		memcpy(encoded, argon2.p, argon2.n);
		encoded[argon2.n] = '\0';
		/* What cannot be prepared costs the same as what is wrong. */
		if (password_prepare(password, &prepared) != 1)
			text_clear(&prepared);
		switch (argon2id_verify(encoded, prepared.p, prepared.n)) {
		case ARGON2_OK:
			rc = prepared.n > 0;
			break;
		case ARGON2_VERIFY_MISMATCH:
			rc = 0;
			break;
		default:
			break;
		}
	}
	secret_wipe(encoded, sizeof(encoded));
	secret_wipe(keys, sizeof(keys));
	text_wipe(&prepared);
	return rc;
}

void
password_pretend(const struct settings *s, struct span password)
{
	static const uint8_t salt[ARGON2_SALT];
	struct text prepared = TEXT_INIT(4 * PASSWORD_MAX);
	uint8_t hash[ARGON2_HASH];

	if (password_prepare(password, &prepared) != 1)
		text_clear(&prepared);
	argon2id_hash_raw((uint32_t)s->auth_argon2_passes,
	    (uint32_t)(s->auth_argon2_memory >> 10),
	    (uint32_t)s->auth_argon2_lanes, prepared.p, prepared.n, salt,
	    sizeof(salt), hash, sizeof(hash));
	secret_wipe(hash, sizeof(hash));
	text_wipe(&prepared);
}

int
password_scram(struct span credentials, enum scram_hash hash,
    struct scram_keys *out)
{
	struct scram_keys keys[SCRAM_HASHES] = { 0 };
	struct span argon2;
	int rc = credentials_open(credentials, &argon2, keys);

	*out = keys[hash];
	secret_wipe(keys, sizeof(keys));
	return rc;
}

void
password_scram_pretend(const struct settings *s, enum scram_hash hash,
    const uint8_t secret[32], struct span name, struct scram_keys *keys)
{
	struct text message = TEXT_INIT(0);
	uint8_t mac[32];

	*keys = (struct scram_keys){
		.iterations = (uint32_t)s->auth_scram_iterations
	};
	text_printf(&message, "scram salt %d ", (int)hash);
	text_add(&message, name);
	hmac_sha256(span_of(secret, 32), text_span(&message), mac);
	memcpy(keys->salt, mac, sizeof(keys->salt));
	/* Random: the proof that fits them does not exist. */
	random_bytes(keys->stored, sizeof(keys->stored));
	random_bytes(keys->server, sizeof(keys->server));
	text_free(&message);
}

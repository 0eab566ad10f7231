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
	CREDENTIALS_VERSION = 1,
	ARGON2_SALT = 16,
	ARGON2_HASH = 32,
	ARGON2_ENCODED_MAX = 256,
};

size_t
scram_size(enum scram_hash hash)
{
	return hash == SCRAM_SHA1 ? 20 : 32;
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

static Gsasl_hash
gsasl_hash_of(enum scram_hash hash)
{
	return hash == SCRAM_SHA1 ? GSASL_HASH_SHA1 : GSASL_HASH_SHA256;
}

static int
scram_derive(enum scram_hash hash, const char *password,
    struct scram_keys *keys)
{
	char salted[SCRAM_KEY_MAX], client[SCRAM_KEY_MAX];
	int rc = gsasl_scram_secrets_from_password(gsasl_hash_of(hash),
	    password, keys->iterations, (const char *)keys->salt,
	    sizeof(keys->salt), salted, client, (char *)keys->server,
	    (char *)keys->stored);

	secret_wipe(salted, sizeof(salted));
	secret_wipe(client, sizeof(client));
	return rc == GSASL_OK ? 1 : -1;
}

static int
put_scram(const struct settings *s, enum scram_hash hash,
    const char *password, struct text *out)
{
	struct scram_keys keys = {
		.iterations = (uint32_t)s->auth_scram_iterations
	};

	random_bytes(keys.salt, sizeof(keys.salt));
	if (scram_derive(hash, password, &keys) != 1)
		return -1;
	put_u32(out, keys.iterations);
	put_raw(out, keys.salt, sizeof(keys.salt));
	put_raw(out, keys.stored, scram_size(hash));
	put_raw(out, keys.server, scram_size(hash));
	secret_wipe(&keys, sizeof(keys));
	return 1;
}

int
password_make(const struct settings *s, struct span password,
    struct text *credentials)
{
	struct text prepared = TEXT_INIT(4 * PASSWORD_MAX);
	int rc = password_prepare(password, &prepared);

	if (rc == 1) {
		text_char(&prepared, '\0');
		prepared.n--;
		put_u8(credentials, CREDENTIALS_VERSION);
		rc = put_argon2(s, text_span(&prepared), credentials);
	}
	for (int hash = 0; rc == 1 && hash < SCRAM_HASHES; hash++)
		rc = put_scram(s, (enum scram_hash)hash, prepared.p,
		    credentials);
	text_wipe(&prepared);
	return rc;
}

/* -- trying ---------------------------------------------------------------- */

/* The parts of a record; 1, 0 damaged. */
static int
credentials_open(struct span credentials, struct span *argon2,
    struct scram_keys keys[SCRAM_HASHES])
{
	struct cursor c = { credentials, false };

	if (get_u8(&c) != CREDENTIALS_VERSION)
		return 0;
	*argon2 = get_bytes(&c, ARGON2_ENCODED_MAX - 1);
	for (int hash = 0; hash < SCRAM_HASHES; hash++) {
		size_t n = scram_size((enum scram_hash)hash);

		keys[hash].iterations = get_u32(&c);
		get_raw(&c, keys[hash].salt, sizeof(keys[hash].salt));
		get_raw(&c, keys[hash].stored, n);
		get_raw(&c, keys[hash].server, n);
	}
	return !c.bad && c.rest.n == 0;
}

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

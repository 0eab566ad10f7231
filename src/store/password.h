/*
 * password.h - what is kept of a password, and how one is tried.
 *
 * Kept are an Argon2id hash (RFC 9106) for mechanisms that bring the
 * password, and SCRAM's salt, StoredKey and ServerKey for SHA-1, SHA-256 and
 * SHA-512 (RFC 5802, RFC 7677; the terms of RFC 5803): nothing that gives it
 * back. All of them are made at one time; records of an older version lack
 * SHA-512 until the password is seen again. A password is prepared with SASLprep
 * (RFC 4013) when it is set and when it is tried.
 *
 * Pure but for time, memory and randomness. The callers bound how many run
 * at once (auth.h).
 */
#ifndef STORE_PASSWORD_H
#define STORE_PASSWORD_H

#include "base/base.h"
#include "base/settings.h"
#include "base/text.h"

enum { PASSWORD_MAX = 1024, SCRAM_SALT = 16, SCRAM_KEY_MAX = 64 };

enum scram_hash { SCRAM_SHA1, SCRAM_SHA256, SCRAM_SHA512, SCRAM_HASHES };

struct scram_keys {
	uint32_t iterations;
	uint8_t salt[SCRAM_SALT];
	uint8_t stored[SCRAM_KEY_MAX];	/* scram_size() bytes count */
	uint8_t server[SCRAM_KEY_MAX];
};
size_t scram_size(enum scram_hash);
/* HMAC and the hash itself, for SCRAM; out has room for scram_size(). */
void scram_hmac(enum scram_hash, struct span key, struct span message,
    uint8_t *out);
void scram_hash(enum scram_hash, struct span, uint8_t *out);

/* SASLprep; 1, 0 not a password. The text holds a secret: text_wipe(). */
int password_prepare(struct span password, struct text *out);

/*
 * The record of a password. 1, 0 not acceptable, -1 out of memory. With
 * SCRAM's salts and rounds of the record `like`, where it is not empty.
 */
int password_make(const struct settings *, struct span password,
    struct span like, struct text *credentials);
/* 1 it is that one, 0 not, -1 the record is damaged or out of memory. */
int password_verify(struct span credentials, struct span password);
/* As long as password_verify takes: for names that are not there. */
void password_pretend(const struct settings *, struct span password);

/* Keys of another password under the salts of a record. 1, 0 damaged. */
int password_scram_like(struct span credentials, struct span password,
    struct scram_keys keys[SCRAM_HASHES]);
/* 1, 0 damaged; iterations 0: the record is older than that hash. */
int password_scram(struct span credentials, enum scram_hash,
    struct scram_keys *);
/* Keys that no password fits, the same each time for one name. */
void password_scram_pretend(const struct settings *, enum scram_hash,
    const uint8_t secret[32], struct span name, struct scram_keys *);

/* HMAC-SHA-256, for all of the store. */
void hmac_sha256(struct span key, struct span message, uint8_t out[32]);

#endif

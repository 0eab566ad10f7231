/*
 * app_password.h - passwords that an account has for single programs: made
 * here, told once, good for some protocols, revoked one by one.
 *
 * They have 100 random bits, so that a keyed hash is all that need be kept
 * of one, and finding it costs a hash; SCRAM's keys are kept beside it, made
 * with the salt of the account's password, since SCRAM tells the salt before
 * it knows which of them will be used. When each was used last is counted in
 * memory and written once a minute. Any thread.
 */
#ifndef STORE_APP_PASSWORD_H
#define STORE_APP_PASSWORD_H

#include "store/directory_impl.h"
#include "store/password.h"

struct app_passwords;

struct app_password {
	uint64_t id;
	int64_t created;
	uint32_t protocols;		/* APP_* */
	struct span name;
	uint8_t verifier[32];
	struct scram_keys scram[SCRAM_HASHES];	/* iterations 0: none */
};

struct app_passwords *app_passwords_new(struct store *);
void app_passwords_free(struct app_passwords **);

/* All of an account: 1, -1. */
int app_passwords_of(struct store *, uint64_t account, struct arena *,
    struct app_password **list, size_t *count);
/* The one that this is; NULL none. */
const struct app_password *app_password_find(struct store *,
    const struct app_password *list, size_t count, struct span password);
/* APP_* of what is spoken; 0: it takes no app passwords. */
uint32_t app_protocol(enum protocol);
/* 1 it was not revoked, 0. From memory where possible. */
int app_password_holds(struct store *, uint64_t account, uint64_t id);

/* Somebody logged in with it. */
void app_password_used(struct store *, uint64_t account, uint64_t id,
    enum protocol, struct span peer);
/* What was noted, to disk. 1, -1. A chore of the keeper. */
int app_password_save(struct store *);
/* All of an account that is going away: into the batch. 1, -1. */
int app_passwords_drop(struct directory_change *, uint64_t account);

#endif

/*
 * auth.h - who somebody is: passwords tried, dialogues held.
 *
 * auth.c knows accounts, hashes, the cache of verified logins and lockouts;
 * sasl.c speaks SASL (RFC 4422) over it.
 */
#ifndef STORE_AUTH_H
#define STORE_AUTH_H

#include <pthread.h>

#include "base/map.h"
#include "store/cache.h"
#include "store/directory.h"
#include "store/lockout.h"
#include "store/password.h"
#include "store/store.h"

enum {
	DIALOGUES_MAX = 8192,		/* of all links */
	DIALOGUE_MS = 300 * 1000,	/* how long one may take */
};

struct auth {
	struct store *store;
	struct lockout *lockout;
	struct cache *verified;		/* account: of a good login */
	struct cache *known;		/* account network: when written */
	uint8_t cache_key[32];		/* of this process alone */
	struct oauth *oauth;		/* oauth.h */
	struct certificates *certificates;	/* client_certificate.h */

	pthread_mutex_t lock;
	pthread_cond_t hash_free;
	size_t hashes, hashes_waiting;
	struct map *dialogues;		/* by id; sasl.c */
	uint64_t next_dialogue;
	uint64_t logins, failures, lockouts;	/* since the start */
};

struct auth *auth_new(struct store *, struct text *why);
void auth_free(struct auth **);
/* Dialogues that took too long. */
void auth_expire(struct auth *);
void auth_link_gone(struct auth *, uint64_t link);
void auth_count(struct auth *, uint64_t *logins, uint64_t *failures,
    uint64_t *lockouts, size_t *dialogues);

/* Somebody trying to log in. */
struct login {
	struct arena *arena;
	struct span name;		/* as they gave it */
	struct span peer;
	struct attempt attempt;
	struct account account;
	bool exists;
	enum protocol service;
	uint64_t app;			/* the app password's id; 0: their own */
	struct span why;		/* more to say to the person, or where
					   the account has moved */
	enum result result;		/* so far */
	uint32_t delay_ms;
};
/*
 * Look the name up: RESULT_OK go on (also when it does not exist),
 * RESULT_LOCKED, RESULT_TEMPORARY.
 */
enum result login_begin(struct auth *, struct login *, enum protocol,
    struct span name, struct span peer, struct arena *);
/* RESULT_OK, RESULT_DENIED, RESULT_TEMPORARY; counts what is wrong. */
enum result login_try_password(struct auth *, struct login *, struct span);
/* A failure seen elsewhere (SCRAM), and a success. */
void login_failed(struct auth *, struct login *, struct span password);
void login_succeeded(struct auth *, struct login *);
/*
 * It was their password (app NULL), or this app password: is that enough
 * here? RESULT_OK; RESULT_DENIED and login->why; RESULT_TEMPORARY.
 */
struct app_password;
enum result login_try_scope(struct auth *, struct login *,
    const struct app_password *app);

/*
 * What is hashed at one time is bounded, and so are those who wait for it:
 * some of the store's workers are always left to others. False: not now.
 */
bool hash_begin(struct auth *);
void hash_end(struct auth *);
/* password_make() in its turn. */
enum result auth_make_password(struct auth *, struct span password,
    struct span like, struct text *credentials);
/* A new password of an account, whose app passwords go on. */
enum result auth_set_password(struct auth *, struct span address,
    struct span password);

#endif

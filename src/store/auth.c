/*
 * auth.c - passwords tried against accounts.
 *
 * A name that does not exist is treated like one whose password is wrong, in
 * what is answered, in what is counted, and in the time it takes.
 *
 * A verified password is remembered for auth.cache_time as an HMAC under a
 * key that never leaves this process, so that a client that logs in every
 * minute does not cost a hash each time. A new password (the epoch) makes
 * what is remembered worthless.
 */
#include "store/auth.h"
#include "base/clock.h"
#include "base/secret.h"
#include "ipc/serve.h"
#include "store/app_password.h"
#include "store/login_rules.h"

enum {
	KNOWN_RENEW = 86400,		/* seconds between two notes */
	LEFT_TO_OTHERS = 4,		/* workers, see hash_begin() */
};

/* -- turns at the hash ----------------------------------------------------- */

/* Workers that may hash or wait for it. */
static size_t
hashers_max(const struct settings *s)
{
	size_t threads = store_worker_threads(s);

	return MAX(threads / 2, threads - MIN(threads, LEFT_TO_OTHERS));
}

bool
hash_begin(struct auth *a)
{
	const struct settings *s = store_settings(a->store);
	bool turn = false;

	serve_may_block();
	pthread_mutex_lock(&a->lock);
	if (a->hashes + a->hashes_waiting < MAX(hashers_max(s), 1)) {
		a->hashes_waiting++;
		while (a->hashes >= s->auth_max_hashes)
			pthread_cond_wait(&a->hash_free, &a->lock);
		a->hashes_waiting--;
		a->hashes++;
		turn = true;
	}
	pthread_mutex_unlock(&a->lock);
	return turn;
}

void
hash_end(struct auth *a)
{
	pthread_mutex_lock(&a->lock);
	must(a->hashes > 0);
	a->hashes--;
	pthread_cond_signal(&a->hash_free);
	pthread_mutex_unlock(&a->lock);
}

enum result
auth_make_password(struct auth *a, struct span password, struct span like,
    struct text *credentials)
{
	int rc;

	if (!hash_begin(a))
		return RESULT_TEMPORARY;
	rc = password_make(store_settings(a->store), password, like,
	    credentials);
	hash_end(a);
	return rc == 1 ? RESULT_OK : rc == 0 ? RESULT_INVALID
	    : RESULT_TEMPORARY;
}

enum result
auth_set_password(struct auth *a, struct span address, struct span password)
{
	struct directory *d = a->store->directory;
	struct arena *arena = arena_new(1 << 20);
	struct text credentials = TEXT_INIT(0);
	struct app_password *apps;
	struct account account;
	struct span like = SPAN_EMPTY;
	enum result result;
	size_t count;
	int rc = directory_login(d, address, arena, &account);

	/* SCRAM has one salt for all the passwords of an account. */
	if (rc == 1 && (rc = app_passwords_of(a->store, account.id, arena,
	    &apps, &count)) == 1 && count > 0)
		like = account.credentials;
	result = rc == -1 ? RESULT_TEMPORARY :
	    auth_make_password(a, password, like, &credentials);
	if (result == RESULT_OK)
		result = directory_account_password(d, address,
		    text_span(&credentials));
	text_wipe(&credentials);
	arena_free(&arena);
	return result;
}

/* -- logins remembered ----------------------------------------------------- */

struct verified {
	uint32_t epoch;
	int64_t until;			/* monotonic, ms */
	uint8_t mac[32];
};

static void
verified_mac(struct auth *a, const struct account *account,
    struct span password, uint8_t mac[32])
{
	struct text message = TEXT_INIT(0);

	text_printf(&message, "%" PRIu64 " %" PRIu32 " ", account->id,
	    account->epoch);
	text_add(&message, password);
	hmac_sha256(span_of(a->cache_key, sizeof(a->cache_key)),
	    text_span(&message), mac);
	text_wipe(&message);
}

static bool
verified_before(struct auth *a, const struct account *account,
    struct span password)
{
	struct verified v;
	uint8_t mac[32];
	bool same = false;

	if (cache_read(a->verified, span_of(&account->id,
	    sizeof(account->id)), &v, sizeof(v)) == 1 &&
	    v.epoch == account->epoch && clock_mono().ms < v.until) {
		verified_mac(a, account, password, mac);
		same = secret_equal(span_of(mac, sizeof(mac)),
		    span_of(v.mac, sizeof(v.mac)));
	}
	return same;
}

static void
verified_now(struct auth *a, const struct account *account,
    struct span password)
{
	int64_t keep = store_settings(a->store)->auth_cache_time;
	struct verified v;

	if (keep == 0)
		return;
	memset(&v, 0, sizeof(v));
	v.epoch = account->epoch;
	v.until = clock_mono().ms + keep;
	verified_mac(a, account, password, v.mac);
	cache_put(a->verified, span_of(&account->id, sizeof(account->id)),
	    span_of(&v, sizeof(v)));
}

/* -- where the owner was before -------------------------------------------- */

struct known_key {
	uint64_t account;
	uint8_t network[NETWORK_MAX];
	uint8_t zero[7];
};

static bool
is_known(struct auth *a, uint64_t account, struct span peer)
{
	int64_t keep = store_settings(a->store)->auth_known_device_time / 1000;
	struct known list[DIRECTORY_KNOWN_MAX];
	uint8_t network[NETWORK_MAX];
	size_t count;

	if (!lockout_network(peer, network) || directory_known(
	    a->store->directory, account, list, &count) != 1)
		return false;
	for (size_t i = 0; i < count; i++)
		if (memcmp(list[i].network, network, NETWORK_MAX) == 0)
			return clock_wall_seconds() - list[i].seen < keep;
	return false;
}

static void
know(struct auth *a, uint64_t account, struct span peer)
{
	int64_t keep = store_settings(a->store)->auth_known_device_time / 1000;
	struct known_key key;
	struct known one = { .seen = clock_wall_seconds() };
	int64_t noted;

	memset(&key, 0, sizeof(key));
	key.account = account;
	if (keep == 0 || !lockout_network(peer, key.network))
		return;
	if (cache_read(a->known, span_of(&key, sizeof(key)), &noted,
	    sizeof(noted)) == 1 && one.seen - noted < KNOWN_RENEW)
		return;
	memcpy(one.network, key.network, NETWORK_MAX);
	if (directory_know(a->store->directory, account, &one, keep) == 1)
		cache_put(a->known, span_of(&key, sizeof(key)),
		    span_of(&one.seen, sizeof(one.seen)));
}

/* -- a login --------------------------------------------------------------- */

static void
count(struct auth *a, uint64_t *counter)
{
	pthread_mutex_lock(&a->lock);
	(*counter)++;
	pthread_mutex_unlock(&a->lock);
}

enum result
login_begin(struct auth *a, struct login *l, enum protocol service,
    struct span name, struct span peer, struct arena *arena)
{
	struct directory *directory = a->store->directory;
	int rc;

	*l = (struct login){ .arena = arena, .name = name, .peer = peer,
	    .service = service };
	rc = directory_login(directory, name, arena, &l->account);
	if (rc == -1)
		return l->result = RESULT_TEMPORARY;
	l->exists = rc == 1;
	l->attempt.peer = peer;
	l->attempt.login = directory_login_key(directory, name, arena);
	if (l->attempt.login.n == 0)
		l->attempt.login = name;
	l->attempt.known = l->exists && is_known(a, l->account.id, peer);
	if (!lockout_locked(a->lockout, store_settings(a->store),
	    &l->attempt))
		return l->result = RESULT_OK;
	l->delay_ms = (uint32_t)store_settings(a->store)->auth_failure_delay;
	count(a, &a->lockouts);
	return l->result = RESULT_LOCKED;
}

void
login_failed(struct auth *a, struct login *l, struct span password)
{
	l->result = RESULT_DENIED;
	l->delay_ms = lockout_failed(a->lockout, store_settings(a->store),
	    &l->attempt, password);
	count(a, &a->failures);
}

void
login_succeeded(struct auth *a, struct login *l)
{
	must(l->exists);
	l->result = RESULT_OK;
	lockout_succeeded(a->lockout, &l->attempt);
	know(a, l->account.id, l->peer);
	if (l->app != 0)
		app_password_used(a->store, l->account.id, l->app,
		    l->service, l->peer);
	count(a, &a->logins);
}

static enum result
denied_because(struct login *l, const char *why)
{
	l->why = span_str(why);
	return l->result = RESULT_DENIED;
}

enum result
login_try_scope(struct auth *a, struct login *l,
    const struct app_password *app)
{
	uint32_t protocol = app_protocol(l->service);
	struct login_rules rules;

	if (app != NULL) {
		if ((app->protocols & protocol) == 0)
			return denied_because(l, "This app password is not "
			    "for this protocol");
		l->app = app->id;
		return RESULT_OK;
	}
	if (login_rules_of(a->store, l->account.id, l->arena, &rules) != 1)
		return l->result = RESULT_TEMPORARY;
	secret_wipe(rules.secret, sizeof(rules.secret));
	if (rules.second_factor && protocol != 0)
		return denied_because(l, "The account has a second factor: "
		    "use an app password");
	return RESULT_OK;
}

/* 1 it is one of the account's app passwords (see the result), 0, -1. */
static int
try_app_password(struct auth *a, struct login *l, struct span password)
{
	const struct app_password *app;
	struct app_password *list;
	size_t count;

	if (app_passwords_of(a->store, l->account.id, l->arena, &list,
	    &count) != 1)
		return -1;
	app = app_password_find(a->store, list, count, password);
	if (app == NULL)
		return 0;
	if (login_try_scope(a, l, app) == RESULT_OK)
		login_succeeded(a, l);
	return 1;
}

/*
 * A record of before there was SHA-512 gets its keys, now that the password
 * is known. If it cannot be, it will be another time.
 */
static void
renew_record(struct auth *a, struct login *l, struct span password)
{
	struct text credentials = TEXT_INIT(0);
	struct scram_keys keys;

	if (password_scram(l->account.credentials, SCRAM_SHA512,
	    &keys) == 1 && keys.iterations == 0 &&
	    auth_make_password(a, password, l->account.credentials,
	    &credentials) == RESULT_OK)
		(void)directory_account_renew(a->store->directory,
		    &l->account, text_span(&credentials));
	secret_wipe(&keys, sizeof(keys));
	text_wipe(&credentials);
}

enum result
login_try_password(struct auth *a, struct login *l, struct span password)
{
	int rc = l->exists ? try_app_password(a, l, password) : 0;

	if (rc != 0)
		return rc == 1 ? l->result : (l->result = RESULT_TEMPORARY);
	if (l->exists && verified_before(a, &l->account, password)) {
		if (login_try_scope(a, l, NULL) == RESULT_OK)
			login_succeeded(a, l);
		return l->result;
	}
	if (!hash_begin(a))
		return l->result = RESULT_TEMPORARY;
	if (l->exists)
		rc = password_verify(l->account.credentials, password);
	else
		password_pretend(store_settings(a->store), password);
	hash_end(a);
	if (rc == -1)
		return l->result = RESULT_TEMPORARY;
	if (rc == 1) {
		verified_now(a, &l->account, password);
		renew_record(a, l, password);
		if (login_try_scope(a, l, NULL) == RESULT_OK)
			login_succeeded(a, l);
	} else {
		login_failed(a, l, password);
	}
	return l->result;
}

void
auth_count(struct auth *a, uint64_t *logins, uint64_t *failures,
    uint64_t *lockouts, size_t *dialogues)
{
	pthread_mutex_lock(&a->lock);
	*logins = a->logins;
	*failures = a->failures;
	*lockouts = a->lockouts;
	*dialogues = map_count(a->dialogues);
	pthread_mutex_unlock(&a->lock);
}

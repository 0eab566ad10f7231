/*
 * maildrop.c - one POP3 session an account at a time (RFC 1939 section 4).
 *
 * In memory alone: a lock ends with its session, its link, or this process,
 * and deletions by UID stay right even without it. The time of the last
 * login is kept for as long as LOGIN-DELAY (RFC 2449 6.5) asks.
 */
#include "store/mailboxes.h"
#include "store/verbs.h"

#include <stdlib.h>

struct maildrop {
	bool locked;
	struct token token;		/* of the session */
	uint64_t link;
	monotime_t next_login;		/* not before */
};

struct maildrops {
	pthread_mutex_t lock;
	struct map *accounts;		/* struct maildrop */
	size_t prune_at;
};

enum { PRUNE_FIRST = 1024 };

struct maildrops *
maildrops_new(void)
{
	struct maildrops *d = xcalloc(1, sizeof(*d));

	pthread_mutex_init(&d->lock, NULL);
	d->accounts = map_new();
	d->prune_at = PRUNE_FIRST;
	return d;
}

void
maildrops_free(struct maildrops **dp)
{
	struct maildrops *d = *dp;
	struct span key;
	size_t at = 0;
	void *value;

	if (d == NULL)
		return;
	while (map_next(d->accounts, &at, &key, &value))
		free(value);
	map_free(&d->accounts);
	pthread_mutex_destroy(&d->lock);
	free(d);
	*dp = NULL;
}

/* Those neither locked nor waiting say nothing. */
static void
prune(struct maildrops *d)
{
	monotime_t now = clock_mono();
	struct span key;
	size_t at = 0;
	void *value;

	if (map_count(d->accounts) < d->prune_at)
		return;
	while (map_next(d->accounts, &at, &key, &value)) {
		struct maildrop *drop = value;

		if (!drop->locked && !mono_before(now, drop->next_login)) {
			map_remove(d->accounts, key);
			free(drop);
		}
	}
	d->prune_at = MAX((size_t)PRUNE_FIRST, 2 * map_count(d->accounts));
}

static struct maildrop *
drop_of(struct maildrops *d, uint64_t account)
{
	struct span key = span_of(&account, sizeof(account));
	struct maildrop *drop = map_get(d->accounts, key);

	if (drop == NULL) {
		prune(d);
		drop = xcalloc(1, sizeof(*drop));
		drop->next_login = clock_mono();
		map_put(d->accounts, key, drop);
	}
	return drop;
}

static bool
same(const struct token *a, const struct token *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static enum result
lock(struct maildrops *d, uint64_t account, uint64_t link,
    const struct token *token, int64_t delay, uint32_t *wait)
{
	struct maildrop *drop;
	enum result result = RESULT_OK;

	pthread_mutex_lock(&d->lock);
	drop = drop_of(d, account);
	if (drop->locked && !same(&drop->token, token)) {
		result = RESULT_LOCKED;
	} else if (!drop->locked && delay > 0 &&
	    mono_left(drop->next_login) > 0) {
		*wait = (uint32_t)((mono_left(drop->next_login) + 999) / 1000);
		result = RESULT_LIMIT;
	} else {
		drop->locked = true;
		drop->token = *token;
		drop->link = link;
		drop->next_login = clock_after(delay);
	}
	pthread_mutex_unlock(&d->lock);
	return result;
}

static void
unlock(struct maildrops *d, uint64_t account, const struct token *token)
{
	struct maildrop *drop;

	pthread_mutex_lock(&d->lock);
	drop = drop_of(d, account);
	if (drop->locked && same(&drop->token, token))
		drop->locked = false;
	pthread_mutex_unlock(&d->lock);
}

void
maildrops_remove_link(struct maildrops *d, uint64_t link)
{
	struct span key;
	size_t at = 0;
	void *value;

	pthread_mutex_lock(&d->lock);
	while (map_next(d->accounts, &at, &key, &value)) {
		struct maildrop *drop = value;

		if (drop->locked && drop->link == link)
			drop->locked = false;
	}
	pthread_mutex_unlock(&d->lock);
}

/* ---- the verbs ------------------------------------------------------- */

static enum result
find_inbox(struct mailboxes *m, uint64_t account, uint64_t *inbox)
{
	struct names *names;
	enum result result = names_enter(m, account, &names);

	if (result != RESULT_OK)
		return result;
	*inbox = names->inbox;
	names_leave(&names);
	return *inbox != 0 ? RESULT_OK : RESULT_NOT_FOUND;
}

void
verb_maildrop_lock(void *arg, const struct caller *caller,
    struct arena *arena, const struct maildrop_lock_request *req,
    struct maildrop_lock_reply *reply)
{
	struct store *store = arg;
	uint64_t account;

	(void)arena;
	reply->result = grant_account(store, &req->grant, &account);
	if (reply->result == RESULT_OK)
		reply->result = find_inbox(store->mailboxes, account,
		    &reply->inbox);
	if (reply->result == RESULT_OK)
		reply->result = lock(store->mailboxes->maildrops, account,
		    caller->link, &req->token,
		    store_settings(store)->pop3_login_delay,
		    &reply->wait_seconds);
}

void
verb_maildrop_unlock(void *arg, const struct caller *caller,
    struct arena *arena, const struct maildrop_unlock_request *req,
    struct maildrop_unlock_reply *reply)
{
	struct store *store = arg;
	uint64_t account;

	(void)caller;
	(void)arena;
	reply->result = grant_account(store, &req->grant, &account);
	if (reply->result == RESULT_OK)
		unlock(store->mailboxes->maildrops, account, &req->token);
}

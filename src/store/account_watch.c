/*
 * account_watch.c - which sessions follow an account: its names,
 * subscriptions and annotations, and what others let it see.
 *
 * A watch is told of changes in its own account, and of those in every
 * account that shows it something (accounts_shared_with()); that list is read
 * when the watch is made, and again when somebody's rights change. As with
 * mailboxes, what is told is a hint, sent before the change may be durable.
 */
#include "store/mailboxes.h"
#include "store/shares.h"
#include "store/verbs.h"

#include <stdlib.h>

enum { FOLLOWED_MAX = 4000000 };	/* watches of all accounts */

struct follower {
	uint64_t link, watch;
	uint64_t user;			/* whose session it is */
};

struct followed {
	struct follower *at;
	size_t n, room;
};

struct followers {
	pthread_mutex_t lock;
	struct map *accounts;		/* struct followed, by id */
	size_t count;
};

struct followers *
followers_new(void)
{
	struct followers *f = xcalloc(1, sizeof(*f));

	pthread_mutex_init(&f->lock, NULL);
	f->accounts = map_new();
	return f;
}

static void
followed_free(struct followed *list)
{
	free(list->at);
	free(list);
}

void
followers_free(struct followers **fp)
{
	struct followers *f = *fp;
	struct span key;
	size_t at = 0;
	void *value;

	if (f == NULL)
		return;
	while (map_next(f->accounts, &at, &key, &value))
		followed_free(value);
	map_free(&f->accounts);
	pthread_mutex_destroy(&f->lock);
	free(f);
	*fp = NULL;
}

static struct span
key_of(const uint64_t *account)
{
	return span_of(account, sizeof(*account));
}

static bool
has(const struct followed *list, uint64_t link, uint64_t watch)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->at[i].link == link && list->at[i].watch == watch)
			return true;
	return false;
}

static enum result
add(struct followers *f, uint64_t account, const struct follower *one)
{
	struct followed *list = map_get(f->accounts, key_of(&account));

	if (list != NULL && has(list, one->link, one->watch))
		return RESULT_OK;
	if (f->count == FOLLOWED_MAX)
		return RESULT_LIMIT;
	if (list == NULL) {
		list = xcalloc(1, sizeof(*list));
		map_put(f->accounts, key_of(&account), list);
	}
	if (list->n == list->room) {
		list->room = list->room == 0 ? 1 : list->room * 2;
		list->at = xrealloc(list->at, list->room * sizeof(*list->at));
	}
	list->at[list->n++] = *one;
	f->count++;
	return RESULT_OK;
}

/* Remove those of the link, or only this one. Is the list empty now? */
static bool
drop(struct followers *f, struct followed *list, uint64_t link,
    const uint64_t *watch)
{
	for (size_t i = 0; i < list->n;) {
		struct follower *one = &list->at[i];

		if (one->link == link && (watch == NULL ||
		    one->watch == *watch)) {
			*one = list->at[--list->n];
			f->count--;
		} else {
			i++;
		}
	}
	return list->n == 0;
}

static void
remove_all(struct followers *f, uint64_t link, const uint64_t *watch)
{
	struct span key;
	size_t at = 0;
	void *value;

	pthread_mutex_lock(&f->lock);
	while (map_next(f->accounts, &at, &key, &value)) {
		if (drop(f, value, link, watch)) {
			map_remove(f->accounts, key);
			followed_free(value);
		}
	}
	pthread_mutex_unlock(&f->lock);
}

void
followers_remove_link(struct followers *f, uint64_t link)
{
	remove_all(f, link, NULL);
}

/* A copy of those to be told, so that nothing is sent under the lock. */
static struct follower *
copy_of(struct followers *f, uint64_t account, size_t *n)
{
	struct follower *copy = NULL;
	struct followed *list;

	*n = 0;
	pthread_mutex_lock(&f->lock);
	list = map_get(f->accounts, key_of(&account));
	if (list != NULL) {
		*n = list->n;
		copy = xmalloc(list->n * sizeof(*copy));
		memcpy(copy, list->at, list->n * sizeof(*copy));
	}
	pthread_mutex_unlock(&f->lock);
	return copy;
}

/* May they see the mailbox of which an annotation changed? */
static bool
may_see(struct mailboxes *m, uint64_t user, uint64_t owner, uint64_t mailbox)
{
	const struct listed *listed;
	struct names *names;
	bool sees = false;

	if (names_enter(m, owner, &names) != RESULT_OK)
		return false;
	listed = names_find_id(names, mailbox);
	if (listed != NULL)
		sees = (access_rights(m, user, names, listed) &
		    RIGHT_LOOKUP) != 0;
	names_leave(&names);
	return sees;
}

/* What is private is for the account's own sessions alone. */
static bool
is_for(struct mailboxes *m, const struct follower *f, uint64_t account,
    const struct account_news *news)
{
	if (f->link == news->quiet_link && f->watch == news->quiet_watch)
		return false;
	if (f->user == account || account == ACCOUNT_OF_ALL ||
	    news->what == ACCOUNT_NAMES_CHANGED)
		return true;
	return !news->private && may_see(m, f->user, account, news->mailbox);
}

/* The lock on names is free when it is about an annotation. */
static void
tell(struct mailboxes *m, uint64_t account, const struct account_news *news)
{
	struct server *server = store_server(m->store);
	struct follower *list;
	size_t n;

	if (server == NULL)
		return;
	list = copy_of(m->followers, account, &n);
	for (size_t i = 0; i < n; i++)
		if (is_for(m, &list[i], account, news))
			server_note_account_changed(server, list[i].link,
			    &(struct account_changed_note){
			    .watch = list[i].watch, .what = news->what,
			    .mailbox = news->mailbox, .entry = news->entry });
	free(list);
}

void
account_changed(struct mailboxes *m, uint64_t account,
    const struct account_news *news)
{
	tell(m, account, news);
}

void
account_names_changed(struct mailboxes *m, uint64_t account)
{
	tell(m, account, &(struct account_news){
	    .what = ACCOUNT_NAMES_CHANGED });
}

/* ---- the verbs ------------------------------------------------------- */

/* Those who show it something; a list that is long is cut. */
static enum result
follow_owners(struct store *store, const struct follower *one)
{
	struct followers *f = store->mailboxes->followers;
	enum result result = RESULT_OK;
	struct share *shares;
	uint64_t last = one->user;
	size_t n;

	if (shares_of(store, one->user, &shares, &n) != 1)
		return RESULT_TEMPORARY;
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < n && result == RESULT_OK; i++) {
		if (shares[i].owner == last)
			continue;
		last = shares[i].owner;
		result = add(f, last, one);
	}
	pthread_mutex_unlock(&f->lock);
	free(shares);
	return result;
}

void
verb_account_watch(void *arg, const struct caller *caller,
    struct arena *arena, const struct account_watch_request *req,
    struct account_watch_reply *reply)
{
	struct store *store = arg;
	struct followers *f = store->mailboxes->followers;
	struct follower one = { caller->link, req->watch, 0 };

	(void)arena;
	reply->result = grant_account(store, &req->grant, &one.user);
	if (reply->result != RESULT_OK)
		return;
	if (!req->on) {
		remove_all(f, caller->link, &req->watch);
		return;
	}
	pthread_mutex_lock(&f->lock);
	reply->result = add(f, one.user, &one);
	if (reply->result == RESULT_OK)
		reply->result = add(f, ACCOUNT_OF_ALL, &one);
	pthread_mutex_unlock(&f->lock);
	if (reply->result == RESULT_OK)
		reply->result = follow_owners(store, &one);
}

void
verb_mailbox_watch(void *arg, const struct caller *caller,
    struct arena *arena, const struct mailbox_watch_request *req,
    struct mailbox_watch_reply *reply)
{
	struct store *store = arg;
	struct mailbox *mb = NULL;

	(void)arena;
	reply->result = mailbox_open_for(store, &req->grant, req->mailbox,
	    RIGHT_READ, &mb);
	if (reply->result != RESULT_OK)
		return;
	reply->messages = (uint32_t)mb->table.n;
	reply->unseen = mb->table.unseen;
	reply->uidnext = mb->table.uidnext;
	reply->uidvalidity = mb->table.uidvalidity;
	reply->highestmodseq = mb->table.modseq;
	reply->result = watches_add(store->mailboxes->watches, req->mailbox,
	    caller->link, req->watch, mb->table.modseq);
	mailbox_answer(&mb, 0, &reply->result);
}

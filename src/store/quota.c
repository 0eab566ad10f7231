/*
 * quota.c - what accounts and domains hold.
 *
 * An account's sums are read without any lock of mailboxes or names: first
 * the account is marked as being read, then each mailbox's sums are looked up
 * on disk. Who changes a mailbox meanwhile says the new sums whole, and these
 * win: so no change is lost or counted twice, whatever the order.
 */
#include "store/quota_impl.h"
#include "base/log.h"
#include "ipc/serve.h"
#include "ipc/wire.h"
#include "store/directory_impl.h"
#include "store/mailboxes.h"

#include <stdio.h>
#include <stdlib.h>

enum { USAGE_BYTES = 512, SUMS_BYTES = 96 };

/* ---- sums by id -------------------------------------------------------- */

static struct span
key_of(const uint64_t *id)
{
	return span_of(id, sizeof(*id));
}

static void
sums_free(struct map **map)
{
	struct span key;
	size_t at = 0;
	void *value;

	while (*map != NULL && map_next(*map, &at, &key, &value))
		free(value);
	map_free(map);
}

/* What stands for this id from now on; `all` follows. */
static void
sums_set(struct map *map, uint64_t id, const struct quota_sums *new,
    struct quota_sums *all)
{
	struct quota_sums *old = map_get(map, key_of(&id));

	if (old == NULL) {
		old = xcalloc(1, sizeof(*old));
		map_put(map, key_of(&id), old);
	}
	all->messages += new->messages - old->messages;
	all->bytes += new->bytes - old->bytes;
	*old = *new;
}

static void
sums_drop(struct map *map, uint64_t id, struct quota_sums *all)
{
	struct quota_sums *old = map_remove(map, key_of(&id));

	if (old == NULL)
		return;
	all->messages -= old->messages;
	all->bytes -= old->bytes;
	free(old);
}

/* ---- the shelf's three ------------------------------------------------- */

static struct shelved *
usage_new(void *arg, uint64_t account)
{
	struct usage *u = xcalloc(1, sizeof(*u));

	(void)account;
	u->owner = arg;
	u->mailboxes = map_new();
	pthread_mutex_init(&u->lock, NULL);
	return &u->shelved;
}

static void
usage_end(struct shelved *thing)
{
	struct usage *u = (struct usage *)thing;

	sums_free(&u->mailboxes);
	pthread_mutex_destroy(&u->lock);
	free(u->domain);
	free(u);
}

static const struct shelf_kind usage_kind = {
	.make = usage_new, .end = usage_end,
};

static struct usage *
take(struct quotas *q, uint64_t account)
{
	return (struct usage *)shelf_take(q->usages, account);
}

/* Not locked any more. */
static void
put(struct usage *u, size_t mailboxes, bool keep)
{
	shelf_put(u->owner->usages, &u->shelved,
	    USAGE_BYTES + mailboxes * SUMS_BYTES, keep);
}

/* ---- domains ----------------------------------------------------------- */

static struct domain_usage *
domain_of(struct quotas *q, const char *domain)
{
	return map_get(q->domains, span_str(domain));
}

/* Under the usage's lock: its domain learns. */
static void
tell_domain(struct usage *u)
{
	struct quotas *q = u->owner;
	struct domain_usage *d;

	if (u->domain == NULL || u->domain[0] == '\0')
		return;
	pthread_mutex_lock(&q->lock);
	d = domain_of(q, u->domain);
	if (d != NULL && d->counted)
		sums_set(d->accounts, u->shelved.key, &u->sum, &d->sum);
	pthread_mutex_unlock(&q->lock);
}

/* ---- reading an account ------------------------------------------------ */

/* As the mailbox's own record says. 1, 0 it has none yet, -1. */
static int
read_record(struct store *store, uint64_t mailbox, struct quota_sums *sums)
{
	struct key key = key_letter(MAILBOX_SUMS);
	struct arena *arena = arena_new(4096);
	struct span record;
	int status = engine_get(store->engine, (struct partition){
	    PARTITION_MAILBOX, mailbox }, key_span(&key), arena, &record);

	if (status == 1 && !sums_decode(record, &sums->messages,
	    &sums->bytes))
		status = 0;
	arena_free(&arena);
	return status;
}

static int
read_mailbox(struct store *store, uint64_t mailbox, struct quota_sums *sums)
{
	int status = read_record(store, mailbox, sums);

	if (status != 0)
		return status;
	/* An older store: its messages are counted, once. */
	return mailbox_count(store->mailboxes, mailbox, &sums->messages,
	    &sums->bytes);
}

/* Unless somebody who knows better has said them. */
static int
add_mailbox(struct usage *u, uint64_t mailbox)
{
	struct quota_sums sums = { 0 };

	if (read_mailbox(u->owner->store, mailbox, &sums) < 0)
		return -1;
	pthread_mutex_lock(&u->lock);
	if (map_get(u->mailboxes, key_of(&mailbox)) == NULL)
		sums_set(u->mailboxes, mailbox, &sums, &u->sum);
	pthread_mutex_unlock(&u->lock);
	return 1;
}

static int
add_mailboxes(struct usage *u)
{
	struct key from = key_letter(ACCOUNT_MAILBOX);
	struct key to = key_letter_after(ACCOUNT_MAILBOX);
	struct scan *scan = scan_open(u->owner->store->engine,
	    (struct partition){ PARTITION_ACCOUNT, u->shelved.key },
	    key_span(&from), key_span(&to));
	struct span key, value;
	uint64_t mailbox;
	int status = scan == NULL ? -1 : 1;

	while (status == 1 && (status = scan_next(scan, &key, &value)) == 1)
		if (key_read_u64(key, &mailbox))
			status = add_mailbox(u, mailbox);
	scan_close(&scan);
	return status < 0 ? -1 : 1;
}

/* Whose it is. An account that is nobody's any more has no domain. */
static void
learn_domain(struct usage *u)
{
	struct store *store = u->owner->store;
	struct arena *arena = arena_new(64 << 10);
	struct account account;
	struct span rest, head;

	if (store->directory != NULL && directory_account(store->directory,
	    u->shelved.key, arena, &account) == 1) {
		rest = account.address;
		while (span_find_char(rest, '@', 0) != SIZE_MAX)
			rest = span_cut(rest, '@', &head);
		free(u->domain);
		u->domain = xmalloc(rest.n + 1);
		memcpy(u->domain, rest.p, rest.n);
		u->domain[rest.n] = '\0';
	}
	arena_free(&arena);
}

static bool
learn_limits(struct usage *u)
{
	struct store *store = u->owner->store;
	uint64_t now = __atomic_load_n(&u->owner->generation,
	    __ATOMIC_ACQUIRE);

	if (u->generation == now)
		return true;
	if (u->domain == NULL)
		learn_domain(u);
	if (quota_read_account(store, u->shelved.key, &u->limits) < 0)
		return false;
	quota_account_effect(store_settings(store), &u->limits);
	/* One that is being made has no name yet: asked again. */
	u->generation = u->domain != NULL ? now : 0;
	return true;
}

/* The lock is held, but not while the disk is read. */
static int
load(struct usage *u)
{
	int status;

	if (u->loaded)
		return 1;
	u->loading++;
	pthread_mutex_unlock(&u->lock);
	status = add_mailboxes(u);
	pthread_mutex_lock(&u->lock);
	u->loading--;
	if (status == 1 && !u->loaded) {
		u->loaded = true;
		tell_domain(u);
		quota_notice_begin(u);
	}
	return status;
}

/* What was said of accounts while they were not in memory. */
static void
catch_up(struct quotas *q)
{
	struct span key;
	void *value;
	uint64_t account;
	struct usage *u;

	for (;;) {
		size_t at = 0;

		pthread_mutex_lock(&q->lock);
		if (!map_next(q->missed, &at, &key, &value)) {
			pthread_mutex_unlock(&q->lock);
			return;
		}
		memcpy(&account, key.p, sizeof(account));
		map_remove(q->missed, key_of(&account));
		pthread_mutex_unlock(&q->lock);
		u = usage_open(q->store, account);
		if (u != NULL)
			tell_domain(u);
		usage_close(&u);
	}
}

struct usage *
usage_open(struct store *store, uint64_t account)
{
	struct usage *u = take(store->quotas, account);

	pthread_mutex_lock(&u->lock);
	if (learn_limits(u) && load(u) == 1)
		return u;
	pthread_mutex_unlock(&u->lock);
	put(u, 0, false);
	return NULL;
}

void
usage_close(struct usage **up)
{
	struct usage *u = *up;
	size_t mailboxes;

	if (u == NULL)
		return;
	mailboxes = map_count(u->mailboxes);
	pthread_mutex_unlock(&u->lock);
	put(u, mailboxes, true);
	*up = NULL;
}

/* ---- what is told to it ------------------------------------------------ */

void
quota_mailbox_changed(const struct mailbox *mb)
{
	static char missed;
	struct quotas *q = mb->owner->store->quotas;
	struct quota_sums sums = { mb->table.n, mb->table.bytes };
	uint64_t account = mb->table.account;
	struct usage *u;
	bool known;

	if (q == NULL || mb->removed)
		return;
	u = take(q, account);
	pthread_mutex_lock(&u->lock);
	known = u->loaded || u->loading > 0;
	if (known) {
		sums_set(u->mailboxes, mailbox_id(mb), &sums, &u->sum);
		if (u->loaded) {
			tell_domain(u);
			quota_notice(u);
		}
		usage_close(&u);
		return;
	}
	known = u->generation != 0;
	pthread_mutex_unlock(&u->lock);
	put(u, 0, known);
	pthread_mutex_lock(&q->lock);
	if (q->counted > 0)
		map_put(q->missed, key_of(&account), &missed);
	pthread_mutex_unlock(&q->lock);
}

bool
quota_mailbox_is_right(const struct mailbox *mb)
{
	struct quota_sums sums;

	return read_record(mb->owner->store, mailbox_id(mb), &sums) != 1 ||
	    (sums.messages == mb->table.n && sums.bytes == mb->table.bytes);
}

/* While the account is read, a mailbox that is gone must be known as empty. */
void
quota_mailbox_gone(struct store *store, uint64_t account, uint64_t mailbox)
{
	static const struct quota_sums none;
	struct usage *u;

	if (store->quotas == NULL)
		return;
	u = take(store->quotas, account);
	pthread_mutex_lock(&u->lock);
	if (u->loading > 0)
		sums_set(u->mailboxes, mailbox, &none, &u->sum);
	else
		sums_drop(u->mailboxes, mailbox, &u->sum);
	if (u->loaded) {
		tell_domain(u);
		quota_notice(u);
	}
	usage_close(&u);
}

void
quota_account_gone(struct store *store, uint64_t account)
{
	struct quotas *q = store->quotas;
	struct domain_usage *d;
	struct usage *u;

	if (q == NULL)
		return;
	u = take(q, account);
	pthread_mutex_lock(&u->lock);
	pthread_mutex_lock(&q->lock);
	d = u->domain != NULL ? domain_of(q, u->domain) : NULL;
	if (d != NULL && d->counted)
		sums_drop(d->accounts, account, &d->sum);
	map_remove(q->missed, key_of(&account));
	pthread_mutex_unlock(&q->lock);
	free(u->domain);
	u->domain = NULL;
	pthread_mutex_unlock(&u->lock);
	put(u, 0, false);
}

void
quota_forget(struct store *store)
{
	if (store->quotas != NULL)
		__atomic_add_fetch(&store->quotas->generation, 1,
		    __ATOMIC_ACQ_REL);
}

/* ---- counting a domain ------------------------------------------------- */

/* Each account of it is read, and so tells it. 1, -1. */
static int
count_domain(struct quotas *q, const char *domain)
{
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	struct text to = TEXT_INIT(ENGINE_KEY_MAX);
	struct name_record record;
	struct scan *scan;
	struct span key, value;
	struct usage *u;
	int status;

	serve_may_block();
	key_name(&from, span_str(domain), SPAN_EMPTY);
	key_after(&to, text_span(&from));
	scan = scan_open(q->store->engine, directory_partition,
	    text_span(&from), text_span(&to));
	status = scan == NULL ? -1 : 1;
	while (status == 1 && (status = scan_next(scan, &key, &value)) == 1) {
		if (name_decode(value, &record) != 1 ||
		    record.kind != NAME_ACCOUNT)
			continue;
		u = usage_open(q->store, record.account);
		if (u == NULL)
			status = -1;
		else
			tell_domain(u);
		usage_close(&u);
	}
	scan_close(&scan);
	text_free(&from);
	text_free(&to);
	return status < 0 ? -1 : 1;
}

/* From now on its accounts tell it. Is it complete already? */
static bool
begin_counting(struct quotas *q, const char *domain)
{
	struct domain_usage *d = domain_of(q, domain);

	if (d == NULL) {
		d = xcalloc(1, sizeof(*d));
		map_put(q->domains, span_str(domain), d);
	}
	if (!d->counted) {
		d->accounts = map_new();
		d->counted = true;
		q->counted++;
	}
	return d->complete;
}

int
domain_sums(struct quotas *q, const char *domain, struct quota_sums *sums)
{
	bool complete;

	pthread_mutex_lock(&q->lock);
	complete = begin_counting(q, domain);
	pthread_mutex_unlock(&q->lock);
	if (!complete && count_domain(q, domain) != 1)
		return -1;
	catch_up(q);
	pthread_mutex_lock(&q->lock);
	domain_of(q, domain)->complete = true;
	*sums = domain_of(q, domain)->sum;
	pthread_mutex_unlock(&q->lock);
	return 1;
}

/* ---- is there room? ---------------------------------------------------- */

/* What is there need not fit: what comes must. */
static bool
fits(const struct quota_sums *used, const struct quota_limits *limits,
    const struct quota_sums *more, uint64_t grace)
{
	if (more->messages > 0 && limits->messages != UINT64_MAX &&
	    used->messages + more->messages > limits->messages)
		return false;
	if (more->messages == 0 || limits->bytes == UINT64_MAX)
		return true;
	/* At the limit nothing more comes, of whatever size, grace or not. */
	if (used->bytes >= limits->bytes)
		return false;
	return used->bytes + more->bytes <= limits->bytes + grace;
}

static bool
is_limited(const struct quota_limits *limits)
{
	return limits->bytes != UINT64_MAX || limits->messages != UINT64_MAX;
}

/* Limits in effect and the domain's name, without adding anything up. */
static int
limits_of(struct store *store, uint64_t account, struct quota_limits *own,
    struct quota_limits *domain, char name[256])
{
	struct quotas *q = store->quotas;
	struct usage *u = take(q, account);
	size_t mailboxes;
	bool known;

	pthread_mutex_lock(&u->lock);
	known = learn_limits(u);
	*own = u->limits;
	snprintf(name, 256, "%s", u->domain != NULL ? u->domain : "");
	mailboxes = map_count(u->mailboxes);
	pthread_mutex_unlock(&u->lock);
	put(u, mailboxes, true);
	return known && quota_domain_limits(q, name, domain) == 1 ? 1 : -1;
}

static enum result
room(struct store *store, uint64_t account, const struct quota_sums *more,
    uint64_t grace)
{
	struct quota_limits own, domain;
	struct quota_sums sums;
	struct usage *u;
	char name[256];
	bool enough = true;

	if (limits_of(store, account, &own, &domain, name) != 1)
		return RESULT_TEMPORARY;
	if (is_limited(&own)) {
		if ((u = usage_open(store, account)) == NULL)
			return RESULT_TEMPORARY;
		enough = fits(&u->sum, &own, more, grace);
		usage_close(&u);
	}
	if (enough && is_limited(&domain)) {
		if (domain_sums(store->quotas, name, &sums) != 1)
			return RESULT_TEMPORARY;
		enough = fits(&sums, &domain, more, grace);
	}
	if (enough)
		return RESULT_OK;
	log_event(LOG_LEVEL_INFO, "quota.full",
	    log_int("account", (int64_t)account),
	    log_int("bytes", (int64_t)more->bytes));
	return RESULT_OVERQUOTA;
}

enum result
quota_room(struct store *store, uint64_t account, uint64_t bytes,
    uint64_t messages, bool incoming)
{
	struct quota_sums more = { messages, bytes };

	if (store->quotas == NULL)
		return RESULT_OK;
	return room(store, account, &more, incoming
	    ? store_settings(store)->quota_grace : 0);
}

bool
quota_is_far(struct store *store, uint64_t account, uint64_t bytes)
{
	struct quota_limits own, domain;
	struct quota_sums sums;
	struct usage *u;
	char name[256];
	bool far;

	if (store->quotas == NULL)
		return true;
	if (limits_of(store, account, &own, &domain, name) != 1 ||
	    is_limited(&domain))
		return false;
	if (!is_limited(&own))
		return true;
	if ((u = usage_open(store, account)) == NULL)
		return false;
	sums = u->sum;
	usage_close(&u);
	far = own.bytes == UINT64_MAX ||
	    sums.bytes + bytes < own.bytes / 4 * 3;
	return far && (own.messages == UINT64_MAX ||
	    sums.messages < own.messages / 4 * 3);
}

static enum result
room_for(struct store *store, uint64_t account, uint64_t count,
    size_t limit_at)
{
	struct quota_limits own, domain;
	char name[256];
	uint64_t limit;

	if (store->quotas == NULL)
		return RESULT_OK;
	if (limits_of(store, account, &own, &domain, name) != 1)
		return RESULT_TEMPORARY;
	memcpy(&limit, (const char *)&own + limit_at, sizeof(limit));
	return count <= limit ? RESULT_OK : RESULT_OVERQUOTA;
}

enum result
quota_room_mailboxes(struct store *store, uint64_t account, uint64_t count)
{
	return room_for(store, account, count,
	    offsetof(struct quota_limits, mailboxes));
}

enum result
quota_room_annotations(struct store *store, uint64_t account, uint64_t bytes)
{
	return room_for(store, account, bytes,
	    offsetof(struct quota_limits, annotations));
}

bool
quota_refuses(const struct settings *s)
{
	return s->quota_full[0] == 'r';
}

const char *
quota_text(const struct settings *s)
{
	return quota_refuses(s) ? "5.2.2 the mailbox is full"
	    : "4.2.2 the mailbox is full";
}

enum result
quota_usage(struct store *store, uint64_t account, struct quota_sums *sums)
{
	struct usage *u = usage_open(store, account);

	if (u == NULL)
		return RESULT_TEMPORARY;
	*sums = u->sum;
	usage_close(&u);
	return RESULT_OK;
}

/* ---- all of it --------------------------------------------------------- */

struct quotas *
quotas_new(struct store *store)
{
	struct quotas *q = xcalloc(1, sizeof(*q));

	q->store = store;
	q->usages = shelf_new(&usage_kind, q,
	    store_settings(store)->store_mailbox_cache / 4);
	q->generation = 1;
	q->domains = map_new();
	q->missed = map_new();
	pthread_mutex_init(&q->lock, NULL);
	return q;
}

void
quotas_free(struct quotas **qp)
{
	struct quotas *q = *qp;
	struct span key;
	size_t at = 0;
	void *value;

	if (q == NULL)
		return;
	shelf_free(&q->usages);
	while (map_next(q->domains, &at, &key, &value)) {
		sums_free(&((struct domain_usage *)value)->accounts);
		free(value);
	}
	map_free(&q->domains);
	map_free(&q->missed);
	free(q->warnings);
	pthread_mutex_destroy(&q->lock);
	free(q);
	*qp = NULL;
}

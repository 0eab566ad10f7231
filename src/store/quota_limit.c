/*
 * quota_limit.c - limits on accounts and domains: set, kept and told.
 *
 * A limit that was set is a record beside the directory's; where there is
 * none, or where it says so, the settings' counts.
 */
#include "store/quota_impl.h"
#include "ipc/wire.h"
#include "store/directory_impl.h"
#include "store/mailboxes.h"
#include "store/verbs.h"

#include <stdio.h>
#include <stdlib.h>

enum { LIMITS_VERSION = 1 };

/* ---- records ----------------------------------------------------------- */

void
quota_key_account(struct text *key, uint64_t account)
{
	key_id(key, DIRECTORY_QUOTA, account);
}

/* A letter parts them from accounts: ids begin with a zero byte. */
void
quota_key_domain(struct text *key, struct span domain)
{
	text_clear(key);
	text_char(key, DIRECTORY_QUOTA);
	text_char(key, '@');
	text_add(key, domain);
}

static void
limits_encode(struct text *out, const struct quota_limits *l)
{
	put_u8(out, LIMITS_VERSION);
	put_u64(out, l->bytes);
	put_u64(out, l->messages);
	put_u64(out, l->mailboxes);
	put_u64(out, l->annotations);
}

static int
limits_decode(struct span record, struct quota_limits *l)
{
	struct cursor c = { record, false };

	if (get_u8(&c) != LIMITS_VERSION)
		return 0;
	l->bytes = get_u64(&c);
	l->messages = get_u64(&c);
	l->mailboxes = get_u64(&c);
	l->annotations = get_u64(&c);
	return !c.bad;
}

static int
read_limits(struct store *store, struct text *key, struct quota_limits *l)
{
	struct arena *arena = arena_new(4096);
	struct span record;
	int status = engine_get(store->engine, directory_partition,
	    text_span(key), arena, &record);

	*l = (struct quota_limits){ QUOTA_DEFAULT, QUOTA_DEFAULT,
	    QUOTA_DEFAULT, QUOTA_DEFAULT };
	if (status == 1 && !limits_decode(record, l))
		status = -1;
	arena_free(&arena);
	text_free(key);
	return status;
}

int
quota_read_account(struct store *store, uint64_t account,
    struct quota_limits *l)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);

	quota_key_account(&key, account);
	return read_limits(store, &key, l);
}

int
quota_read_domain(struct store *store, struct span domain,
    struct quota_limits *l)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);

	quota_key_domain(&key, domain);
	return read_limits(store, &key, l);
}

/* ---- what they mean ----------------------------------------------------- */

/* In the settings 0 is no limit. */
static uint64_t
effect(uint64_t own, uint64_t set)
{
	if (own == QUOTA_DEFAULT)
		return set == 0 ? UINT64_MAX : set;
	return own == QUOTA_NONE ? UINT64_MAX : own;
}

void
quota_account_effect(const struct settings *s, struct quota_limits *l)
{
	l->bytes = effect(l->bytes, s->quota_storage);
	l->messages = effect(l->messages, s->quota_messages);
	l->mailboxes = effect(l->mailboxes, s->quota_mailboxes);
	l->annotations = effect(l->annotations, s->quota_annotations);
}

void
quota_domain_effect(const struct settings *s, struct quota_limits *l)
{
	l->bytes = effect(l->bytes, s->quota_domain_storage);
	l->messages = effect(l->messages, s->quota_domain_messages);
	l->mailboxes = l->annotations = UINT64_MAX;
}

/* From memory, when it is known there. */
static bool
known_limits(struct quotas *q, const char *domain, uint64_t generation,
    struct quota_limits *l)
{
	struct domain_usage *d;
	bool known;

	pthread_mutex_lock(&q->lock);
	d = map_get(q->domains, span_str(domain));
	known = d != NULL && d->generation == generation;
	if (known)
		*l = d->limits;
	pthread_mutex_unlock(&q->lock);
	return known;
}

static void
keep_limits(struct quotas *q, const char *domain, uint64_t generation,
    const struct quota_limits *l)
{
	struct domain_usage *d;

	pthread_mutex_lock(&q->lock);
	d = map_get(q->domains, span_str(domain));
	if (d == NULL) {
		d = xcalloc(1, sizeof(*d));
		map_put(q->domains, span_str(domain), d);
	}
	d->limits = *l;
	d->generation = generation;
	pthread_mutex_unlock(&q->lock);
}

int
quota_domain_limits(struct quotas *q, const char *domain,
    struct quota_limits *l)
{
	uint64_t generation = __atomic_load_n(&q->generation,
	    __ATOMIC_ACQUIRE);

	if (domain[0] == '\0') {
		*l = (struct quota_limits){ UINT64_MAX, UINT64_MAX,
		    UINT64_MAX, UINT64_MAX };
		return 1;
	}
	if (known_limits(q, domain, generation, l))
		return 1;
	if (quota_read_domain(q->store, span_str(domain), l) < 0)
		return -1;
	quota_domain_effect(store_settings(q->store), l);
	keep_limits(q, domain, generation, l);
	return 1;
}

/* ---- roots: who they are ------------------------------------------------- */

/* What a root's name stands for: an account, or else a domain. */
struct root {
	uint64_t account;		/* 0: the domain */
	char domain[256];
	struct span name;		/* in its one form */
};

static enum result
find_domain(struct store *store, struct span name, struct arena *arena,
    struct root *root)
{
	struct domain_record record;
	struct span domain;
	int status;

	if (address_domain(name, arena, &domain) != 1 || domain.n > 255)
		return RESULT_NOT_FOUND;
	status = read_domain(store->directory, domain, arena, &record);
	if (status != 1)
		return status == 0 ? RESULT_NOT_FOUND : RESULT_TEMPORARY;
	snprintf(root->domain, sizeof(root->domain), "%.*s",
	    SPAN_ARG(domain));
	root->name = domain;
	return RESULT_OK;
}

static enum result
find_root(struct store *store, struct span name, struct arena *arena,
    struct root *root)
{
	struct account account;
	int status;

	*root = (struct root){ 0 };
	if (store->directory == NULL || name.n == 0)
		return RESULT_NOT_FOUND;
	if (span_find_char(name, '@', 0) == SIZE_MAX)
		return find_domain(store, name, arena, root);
	status = directory_login(store->directory, name, arena, &account);
	if (status != 1)
		return status == 0 ? RESULT_NOT_FOUND : RESULT_TEMPORARY;
	root->account = account.id;
	root->name = account.address;
	return RESULT_OK;
}

static enum result
own_root(struct store *store, uint64_t account, struct arena *arena,
    struct root *root)
{
	struct account who;
	struct span rest, head;
	int status = directory_account(store->directory, account, arena,
	    &who);

	*root = (struct root){ .account = account };
	if (status != 1)
		return status == 0 ? RESULT_NOT_FOUND : RESULT_TEMPORARY;
	root->name = rest = who.address;
	while (span_find_char(rest, '@', 0) != SIZE_MAX)
		rest = span_cut(rest, '@', &head);
	snprintf(root->domain, sizeof(root->domain), "%.*s", SPAN_ARG(rest));
	return RESULT_OK;
}

/* ---- telling -------------------------------------------------------------- */

static void
put_limits(struct quota_row *row, const struct quota_limits *l)
{
	row->max_bytes = l->bytes;
	row->max_messages = l->messages;
	row->max_mailboxes = l->mailboxes;
	row->max_annotations = l->annotations;
}

static enum result
put_account_row(struct store *store, const struct root *root, struct text *out)
{
	struct quota_row row = { .root = root->name };
	struct usage *u = usage_open(store, root->account);
	struct names *names;
	enum result result;

	if (u == NULL)
		return RESULT_TEMPORARY;
	row.bytes = u->sum.bytes;
	row.messages = u->sum.messages;
	put_limits(&row, &u->limits);
	usage_close(&u);
	result = names_enter(store->mailboxes, root->account, &names);
	if (result != RESULT_OK)
		return result;
	row.mailboxes = names->n;
	row.annotations = names->annotation_bytes;
	names_leave(&names);
	quota_row_put(out, &row);
	return RESULT_OK;
}

/* With `always`, also one on which there is no limit. */
static enum result
put_domain_row(struct store *store, const char *domain, bool always,
    struct text *out)
{
	struct quota_row row = { .root = span_str(domain) };
	struct quota_limits limits;
	struct quota_sums sums;

	if (quota_domain_limits(store->quotas, domain, &limits) != 1)
		return RESULT_TEMPORARY;
	if (!always && limits.bytes == UINT64_MAX &&
	    limits.messages == UINT64_MAX)
		return RESULT_OK;
	if (domain_sums(store->quotas, domain, &sums) != 1)
		return RESULT_TEMPORARY;
	row.bytes = sums.bytes;
	row.messages = sums.messages;
	put_limits(&row, &limits);
	quota_row_put(out, &row);
	return RESULT_OK;
}

/* What counts against the account: itself, and its domain. */
static enum result
put_roots(struct store *store, uint64_t account, struct arena *arena,
    struct text *out)
{
	struct root root;
	enum result result = own_root(store, account, arena, &root);

	if (result == RESULT_OK)
		result = put_account_row(store, &root, out);
	if (result == RESULT_OK)
		result = put_domain_row(store, root.domain, false, out);
	return result;
}

/* ---- who may ---------------------------------------------------------------- */

struct asker {
	uint64_t account;		/* 0: the operator */
	bool admin;			/* may see and set everything */
};

static bool
is_named(struct store *store, uint64_t account, struct arena *arena)
{
	struct span rest = span_str(store_settings(store)->quota_admins);
	struct account admin;
	struct span word;

	while ((word = span_word(&rest)).n > 0)
		if (directory_login(store->directory, word, arena,
		    &admin) == 1 && admin.id == account)
			return true;
	return false;
}

static enum result
find_asker(struct store *store, const struct caller *caller,
    const struct grant *grant, struct arena *arena, struct asker *asker)
{
	static const struct grant none;
	enum result result;

	*asker = (struct asker){ 0, true };
	if (store->quotas == NULL || store->directory == NULL)
		return RESULT_INVALID;
	if (caller->role == CLI && memcmp(grant, &none, sizeof(none)) == 0)
		return RESULT_OK;
	result = grant_account(store, grant, &asker->account);
	if (result == RESULT_OK)
		asker->admin = is_named(store, asker->account, arena);
	return result;
}

/* Their own root, or that of their domain when it is limited. */
static enum result
may_see(struct store *store, const struct asker *asker,
    const struct root *root, struct arena *arena)
{
	struct quota_limits limits;
	struct root own;

	if (asker->admin || root->account == asker->account)
		return RESULT_OK;
	if (root->account != 0 ||
	    own_root(store, asker->account, arena, &own) != RESULT_OK ||
	    strcmp(own.domain, root->domain) != 0 ||
	    quota_domain_limits(store->quotas, root->domain, &limits) != 1)
		return RESULT_NOT_FOUND;
	return limits.bytes != UINT64_MAX || limits.messages != UINT64_MAX
	    ? RESULT_OK : RESULT_NOT_FOUND;
}

/* ---- the verbs ---------------------------------------------------------------- */

static enum result
tell_mailbox(struct store *store, const struct quota_get_request *req,
    struct arena *arena, struct text *out)
{
	struct mailbox *mb;
	uint64_t owner;
	enum result result = mailbox_open_for(store, &req->grant,
	    req->mailbox, RIGHT_READ, &mb);

	if (result != RESULT_OK)
		return result;
	owner = mb->table.account;
	mailbox_leave(&mb);
	return put_roots(store, owner, arena, out);
}

static enum result
tell_root(struct store *store, const struct quota_get_request *req,
    const struct asker *asker, struct arena *arena, struct text *out)
{
	struct root root;
	enum result result = find_root(store, req->root, arena, &root);

	if (result == RESULT_OK)
		result = may_see(store, asker, &root, arena);
	if (result != RESULT_OK)
		return result;
	return root.account != 0 ? put_account_row(store, &root, out)
	    : put_domain_row(store, root.domain, true, out);
}

void
verb_quota_get(void *arg, const struct caller *caller, struct arena *arena,
    const struct quota_get_request *req, struct quota_get_reply *reply)
{
	struct store *store = arg;
	struct text out = TEXT_INIT(0);
	struct asker asker;
	struct span rows;

	reply->result = find_asker(store, caller, &req->grant, arena, &asker);
	if (reply->result != RESULT_OK)
		return;
	if (req->mailbox != 0)
		reply->result = tell_mailbox(store, req, arena, &out);
	else if (req->root.n > 0)
		reply->result = tell_root(store, req, &asker, arena, &out);
	else
		reply->result = put_roots(store, asker.account, arena, &out);
	rows = arena_dup(arena, text_span(&out));
	reply->rows = BLOB_OF(rows);
	if (rows.p == NULL)
		reply->result = RESULT_TEMPORARY;
	text_free(&out);
}

static void
change(uint64_t *limit, uint64_t wanted)
{
	if (wanted != QUOTA_SAME)
		*limit = wanted;
}

static enum result
set_limits(struct store *store, const struct root *root,
    const struct quota_set_request *req)
{
	struct directory_change c;
	struct quota_limits l;
	int status;

	change_begin(&c, store->directory);
	status = root->account != 0
	    ? quota_read_account(store, root->account, &l)
	    : quota_read_domain(store, root->name, &l);
	if (status < 0)
		return change_end(&c, RESULT_TEMPORARY);
	change(&l.bytes, req->bytes);
	change(&l.messages, req->messages);
	change(&l.mailboxes, req->mailboxes);
	change(&l.annotations, req->annotations);
	if (root->account != 0)
		quota_key_account(&c.key, root->account);
	else
		quota_key_domain(&c.key, root->name);
	text_clear(&c.record);
	limits_encode(&c.record, &l);
	batch_put(c.batch, text_span(&c.key), text_span(&c.record));
	return change_end(&c, RESULT_OK);
}

void
verb_quota_set(void *arg, const struct caller *caller, struct arena *arena,
    const struct quota_set_request *req, struct quota_set_reply *reply)
{
	struct store *store = arg;
	struct asker asker;
	struct root root;

	reply->result = find_asker(store, caller, &req->grant, arena, &asker);
	if (reply->result == RESULT_OK && !asker.admin)
		reply->result = RESULT_FORBIDDEN;
	if (reply->result == RESULT_OK)
		reply->result = find_root(store, req->root, arena, &root);
	if (reply->result == RESULT_OK)
		reply->result = set_limits(store, &root, req);
	if (reply->result == RESULT_OK)
		quota_forget(store);
}

/* The soft limit that would be reached with so much more. */
static uint32_t
level_with(struct store *store, uint64_t account,
    const struct quota_room_request *req)
{
	const struct settings *s = store_settings(store);
	struct usage *u;
	unsigned bytes, messages;

	if (quota_is_far(store, account, req->bytes) ||
	    (u = usage_open(store, account)) == NULL)
		return 0;
	bytes = quota_level(s, u->sum.bytes + req->bytes, u->limits.bytes);
	messages = quota_level(s, u->sum.messages + req->messages,
	    u->limits.messages);
	usage_close(&u);
	return MAX(bytes, messages);
}

void
verb_quota_room(void *arg, const struct caller *caller, struct arena *arena,
    const struct quota_room_request *req, struct quota_room_reply *reply)
{
	struct store *store = arg;
	struct mailbox *mb;
	uint64_t owner;

	(void)caller;
	(void)arena;
	reply->result = mailbox_open_for(store, &req->grant, req->mailbox,
	    RIGHT_INSERT, &mb);
	if (reply->result != RESULT_OK)
		return;
	owner = mb->table.account;
	mailbox_leave(&mb);
	reply->result = quota_room(store, owner, req->bytes, req->messages,
	    false);
	if (reply->result == RESULT_OK && store->quotas != NULL)
		reply->percent = level_with(store, owner, req);
}

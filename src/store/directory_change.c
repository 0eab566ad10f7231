/*
 * directory_change.c - domains, accounts and aliases come and go.
 *
 * One change at a time, under one lock; each is one batch that is durable
 * before it is answered. What touches mail too is ordered so that a crash
 * leaves nothing half: an account's mailboxes are made before its name, and
 * its name goes before its mailboxes do, with a record that says so.
 */
#include "store/app_password.h"
#include "store/directory_impl.h"
#include "store/mailboxes.h"
#include "ipc/wire.h"
#include "store/quota_impl.h"

void
change_begin(struct directory_change *c, struct directory *d)
{
	uint64_t version = 0;

	*c = (struct directory_change){ .directory = d };
	c->arena = arena_new(4 << 20);
	c->key = TEXT_INIT(ENGINE_KEY_MAX);
	c->record = TEXT_INIT(ENGINE_VALUE_MAX);
	pthread_mutex_lock(&d->change);
	c->batch = batch_new(directory_partition);
	if (engine_version(d->store->engine, directory_partition,
	    &version) == 1)
		batch_expect(c->batch, version);
}

static enum result
engine_failed(void)
{
	return errno == ENOSPC ? RESULT_FULL :
	    errno == EIO ? RESULT_DAMAGED : RESULT_TEMPORARY;
}

enum result
change_end(struct directory_change *c, enum result result)
{
	struct engine *engine = c->directory->store->engine;
	ticket_t ticket = 0;
	int rc;

	if (result == RESULT_OK &&
	    (text_full(&c->key) || text_full(&c->record)))
		result = RESULT_LIMIT;
	if (result == RESULT_OK) {
		rc = engine_commit(engine, c->batch, &ticket);
		if (rc == 1)
			rc = engine_sync(engine, ticket);
		if (rc != 1)
			result = rc == 0 ? RESULT_TEMPORARY : engine_failed();
		directory_forget(c->directory);
	}
	pthread_mutex_unlock(&c->directory->change);
	batch_free(&c->batch);
	text_free(&c->key);
	text_wipe(&c->record);
	arena_free(&c->arena);
	return result;
}

static void
put_domain(struct directory_change *c, struct span domain,
    const struct domain_record *record)
{
	text_clear(&c->record);
	domain_encode(&c->record, record);
	key_domain(&c->key, domain);
	batch_put(c->batch, text_span(&c->key), text_span(&c->record));
}

void
put_name(struct directory_change *c, const struct name *name,
    const struct name_record *record)
{
	text_clear(&c->record);
	name_encode(&c->record, record);
	key_name(&c->key, name->domain, name->local);
	batch_put(c->batch, text_span(&c->key), text_span(&c->record));
}

void
put_account(struct directory_change *c, const struct account *account)
{
	text_clear(&c->record);
	account_encode(&c->record, account);
	key_id(&c->key, DIRECTORY_ACCOUNT, account->id);
	batch_put(c->batch, text_span(&c->key), text_span(&c->record));
}

enum result
wanted(int rc)
{
	return rc == 1 ? RESULT_OK :
	    rc == 0 ? RESULT_NOT_FOUND : engine_failed();
}

/* -- domains ------------------------------------------------------------- */

enum result
directory_domain_add(struct directory *d, struct span text)
{
	struct domain_record record = { clock_wall_seconds(), 0 }, old;
	struct span domain, first;
	struct directory_change c;
	enum result result;

	change_begin(&c, d);
	if (address_domain(text, c.arena, &domain) != 1 ||
	    address_is_literal(domain))
		return change_end(&c, RESULT_INVALID);
	result = wanted(read_domain(d, domain, c.arena, &old));
	if (result != RESULT_NOT_FOUND)
		return change_end(&c, result == RESULT_OK ? RESULT_EXISTS
		    : result);
	put_domain(&c, domain, &record);
	if (engine_get(d->store->engine, directory_partition,
	    span_of(&(char){ DIRECTORY_DEFAULT }, 1), c.arena, &first) == 0)
		batch_put(c.batch, span_of(&(char){ DIRECTORY_DEFAULT }, 1),
		    domain);
	return change_end(&c, RESULT_OK);
}

/* 1 a name stands in the domain, 0 none, -1. */
static int
domain_in_use(struct directory_change *c, struct span domain)
{
	struct text to = TEXT_INIT(ENGINE_KEY_MAX);
	struct span key, value;
	struct scan *scan;
	int rc;

	key_name(&c->key, domain, SPAN_EMPTY);
	key_after(&to, text_span(&c->key));
	scan = scan_open(c->directory->store->engine, directory_partition,
	    text_span(&c->key), text_span(&to));
	rc = scan == NULL ? -1 : scan_next(scan, &key, &value);
	scan_close(&scan);
	text_free(&to);
	return rc;
}

/* Another domain for logins without one: the first in order, if any. */
static void
replace_default(struct directory_change *c, struct span gone)
{
	struct span key, value;
	struct scan *scan = scan_open(c->directory->store->engine,
	    directory_partition, SPAN("d"), SPAN("e"));

	batch_delete(c->batch, span_of(&(char){ DIRECTORY_DEFAULT }, 1));
	while (scan != NULL && scan_next(scan, &key, &value) == 1)
		if (!span_eq(span_from(key, 1), gone)) {
			batch_put(c->batch,
			    span_of(&(char){ DIRECTORY_DEFAULT }, 1),
			    span_from(key, 1));
			break;
		}
	scan_close(&scan);
}

enum result
directory_domain_remove(struct directory *d, struct span text)
{
	struct domain_record record;
	struct span domain, first;
	struct directory_change c;
	enum result result;
	int rc;

	change_begin(&c, d);
	if (address_domain(text, c.arena, &domain) != 1)
		return change_end(&c, RESULT_INVALID);
	result = wanted(read_domain(d, domain, c.arena, &record));
	if (result != RESULT_OK)
		return change_end(&c, result);
	rc = domain_in_use(&c, domain);
	if (rc != 0)
		return change_end(&c, rc == 1 ? RESULT_CONFLICT
		    : engine_failed());
	key_domain(&c.key, domain);
	batch_delete(c.batch, text_span(&c.key));
	quota_key_domain(&c.key, domain);
	batch_delete(c.batch, text_span(&c.key));
	if (engine_get(d->store->engine, directory_partition,
	    span_of(&(char){ DIRECTORY_DEFAULT }, 1), c.arena, &first) == 1 &&
	    span_eq(first, domain))
		replace_default(&c, domain);
	return change_end(&c, RESULT_OK);
}

/* -- accounts ------------------------------------------------------------ */

enum result
free_name(struct directory_change *c, struct span address, bool all,
    struct name *name, struct domain_record *domain)
{
	struct name_record old;
	enum result result;

	if (name_parse(address, all, c->arena, name) != 1)
		return RESULT_INVALID;
	if (name->domain.n == 0 || name->local.n > ADDRESS_LOCAL_MAX)
		return RESULT_INVALID;
	result = wanted(read_domain(c->directory, name->domain, c->arena,
	    domain));
	if (result != RESULT_OK)
		return result == RESULT_NOT_FOUND ? RESULT_NOT_LOCAL : result;
	result = wanted(read_name(c->directory, name->domain, name->local,
	    c->arena, &old));
	if (result != RESULT_NOT_FOUND)
		return result == RESULT_OK ? RESULT_EXISTS : result;
	return RESULT_OK;
}

static enum result
account_insert(struct directory *d, struct span address,
    struct span credentials, uint32_t flags, uint64_t id)
{
	struct domain_record domain;
	struct account account;
	struct directory_change c;
	struct name name;
	enum result result;

	change_begin(&c, d);
	result = free_name(&c, address, false, &name, &domain);
	if (result != RESULT_OK)
		return change_end(&c, result);
	account = (struct account){ id, 1, clock_wall_seconds(), name.text,
	    credentials, UINT64_MAX, UINT64_MAX };
	put_account(&c, &account);
	put_name(&c, &name, &(struct name_record){ .kind = NAME_ACCOUNT,
	    .created = account.created, .text = name.text, .account = id,
	    .flags = flags });
	if (domain.first_account == 0 && (flags & NAME_SHARED) == 0) {
		domain.first_account = id;
		put_domain(&c, name.domain, &domain);
	}
	return change_end(&c, RESULT_OK);
}

/* Would account_insert() take it? Asked first, since mailboxes cost. */
static enum result
account_possible(struct directory *d, struct span address)
{
	struct domain_record domain;
	struct directory_change c;
	struct name name;
	enum result result;

	change_begin(&c, d);
	result = free_name(&c, address, false, &name, &domain);
	/* The empty change: change_end() commits only what is fine. */
	return change_end(&c, result == RESULT_OK ? RESULT_CONTINUE : result);
}

static enum result
account_add(struct directory *d, struct span address,
    struct span credentials, uint32_t flags, uint64_t *id)
{
	enum result result = account_possible(d, address);

	if (result != RESULT_CONTINUE)
		return result;
	if (store_next_id(d->store, id) != 1)
		return engine_failed();
	result = mailboxes_make_defaults(d->store->mailboxes, *id);
	if (result == RESULT_OK)
		result = account_insert(d, address, credentials, flags, *id);
	if (result != RESULT_OK)
		mailboxes_remove_account(d->store->mailboxes, *id);
	return result;
}

enum result
directory_account_add(struct directory *d, struct span address,
    struct span credentials, uint64_t *id)
{
	return account_add(d, address, credentials, 0, id);
}

enum result
directory_shared_add(struct directory *d, struct span address,
    struct span credentials, uint64_t *id)
{
	const struct acl_who anyone = { .kind = ACL_ANYONE };
	enum result result = account_add(d, address, credentials,
	    NAME_SHARED, id);

	return result == RESULT_OK ? acl_change_inbox(d->store->mailboxes,
	    *id, &anyone, RIGHT_POST) : result;
}

enum result
named_account(struct directory_change *c, struct span address,
    struct name *name, struct account *account)
{
	struct name_record record;
	enum result result;

	if (name_parse(address, false, c->arena, name) != 1 ||
	    name->domain.n == 0)
		return RESULT_INVALID;
	result = wanted(read_name(c->directory, name->domain, name->local,
	    c->arena, &record));
	if (result != RESULT_OK)
		return result;
	if (record.kind != NAME_ACCOUNT)
		return RESULT_NOT_FOUND;
	return wanted(directory_account(c->directory, record.account,
	    c->arena, account));
}

/* postmaster's last resort: the oldest account left in the domain. */
static enum result
replace_first_account(struct directory_change *c, struct span domain,
    uint64_t gone)
{
	struct domain_record record;
	struct name_record name;
	struct text to = TEXT_INIT(ENGINE_KEY_MAX);
	struct span key, value;
	struct scan *scan;
	uint64_t first = 0;
	int rc = read_domain(c->directory, domain, c->arena, &record);

	if (rc != 1 || record.first_account != gone)
		return rc == -1 ? engine_failed() : RESULT_OK;
	key_name(&c->key, domain, SPAN_EMPTY);
	key_after(&to, text_span(&c->key));
	scan = scan_open(c->directory->store->engine, directory_partition,
	    text_span(&c->key), text_span(&to));
	rc = -1;
	while (scan != NULL && (rc = scan_next(scan, &key, &value)) == 1)
		if (name_decode(value, &name) == 1 &&
		    name.kind == NAME_ACCOUNT && name.account != gone &&
		    (name.flags & NAME_SHARED) == 0 &&
		    (first == 0 || name.account < first))
			first = name.account;
	scan_close(&scan);
	text_free(&to);
	if (rc == -1)
		return engine_failed();
	record.first_account = first;
	put_domain(c, domain, &record);
	return RESULT_OK;
}

static enum result
account_unname(struct directory *d, struct span address, uint64_t *id)
{
	struct account account;
	struct directory_change c;
	struct name name;
	enum result result;

	change_begin(&c, d);
	result = named_account(&c, address, &name, &account);
	if (result == RESULT_OK)
		result = replace_first_account(&c, name.domain, account.id);
	if (result == RESULT_OK && (masks_drop(&c, account.id) != 1 ||
	    app_passwords_drop(&c, account.id) != 1))
		result = engine_failed();
	if (result != RESULT_OK)
		return change_end(&c, result);
	*id = account.id;
	key_name(&c.key, name.domain, name.local);
	batch_delete(c.batch, text_span(&c.key));
	key_id(&c.key, DIRECTORY_ACCOUNT, account.id);
	batch_delete(c.batch, text_span(&c.key));
	key_id(&c.key, DIRECTORY_KNOWN, account.id);
	batch_delete(c.batch, text_span(&c.key));
	key_id(&c.key, DIRECTORY_LOGIN, account.id);
	batch_delete(c.batch, text_span(&c.key));
	quota_key_account(&c.key, account.id);
	batch_delete(c.batch, text_span(&c.key));
	key_id(&c.key, DIRECTORY_REMOVED, account.id);
	batch_put(c.batch, text_span(&c.key), name.text);
	return change_end(&c, RESULT_OK);
}

/* The mail of an account whose name is gone, then the note about it. */
static enum result
account_clear(struct directory *d, uint64_t id)
{
	enum result result = mailboxes_remove_account(d->store->mailboxes,
	    id);
	struct directory_change c;

	if (result != RESULT_OK && result != RESULT_NOT_FOUND)
		return result;
	quota_account_gone(d->store, id);
	change_begin(&c, d);
	key_id(&c.key, DIRECTORY_REMOVED, id);
	batch_delete(c.batch, text_span(&c.key));
	return change_end(&c, RESULT_OK);
}

enum result
directory_account_remove(struct directory *d, struct span address)
{
	uint64_t id = 0;
	enum result result = account_unname(d, address, &id);

	return result == RESULT_OK ? account_clear(d, id) : result;
}

int
directory_replay(struct directory *d)
{
	for (;;) {
		struct scan *scan = scan_open(d->store->engine,
		    directory_partition, SPAN("x"), SPAN("y"));
		struct span key, value;
		uint64_t id = 0;
		int rc = scan == NULL ? -1 : scan_next(scan, &key, &value);

		for (size_t i = 1; rc == 1 && i < key.n; i++)
			id = id << 8 | (uint8_t)key.p[i];
		scan_close(&scan);
		if (rc != 1)
			return rc == 0 ? 1 : -1;
		if (account_clear(d, id) != RESULT_OK)
			return -1;
	}
}

enum result
directory_account_password(struct directory *d, struct span address,
    struct span credentials)
{
	struct account account;
	struct directory_change c;
	struct name name;
	enum result result;

	change_begin(&c, d);
	result = named_account(&c, address, &name, &account);
	if (result != RESULT_OK)
		return change_end(&c, result);
	account.epoch++;
	account.credentials = credentials;
	put_account(&c, &account);
	return change_end(&c, RESULT_OK);
}

enum result
directory_account_renew(struct directory *d, const struct account *old,
    struct span credentials)
{
	struct account account;
	struct directory_change c;
	struct name name;
	enum result result;

	change_begin(&c, d);
	result = named_account(&c, old->address, &name, &account);
	if (result == RESULT_OK && (account.id != old->id ||
	    account.epoch != old->epoch))
		result = RESULT_CONFLICT;
	if (result != RESULT_OK)
		return change_end(&c, result);
	account.credentials = credentials;
	put_account(&c, &account);
	return change_end(&c, RESULT_OK);
}

/* -- aliases ------------------------------------------------------------- */

enum result
clean_targets(struct directory_change *c, struct span targets, struct text *out,
    struct span *bad)
{
	size_t count = 0;

	while (targets.n > 0) {
		struct name name;
		struct span line;

		targets = span_cut(targets, '\n', &line);
		line = span_trim(span_chomp(line));
		if (line.n == 0)
			continue;
		*bad = line;
		if (name_parse(line, false, c->arena, &name) != 1 ||
		    name.domain.n == 0)
			return RESULT_INVALID;
		if (++count > ALIAS_NAMES_MAX)
			return RESULT_LIMIT;
		if (out->n > 0)
			text_char(out, '\n');
		text_add(out, name.text);
	}
	if (text_full(out))
		return RESULT_LIMIT;
	return count > 0 ? RESULT_OK : RESULT_INVALID;
}

enum result
checked_targets(struct directory_change *c, const struct name *name,
    struct span targets, struct text *out, struct span *bad)
{
	size_t places;
	enum result result = clean_targets(c, targets, out, bad);

	return result != RESULT_OK ? result : expand_targets(c->directory,
	    name, text_span(out), &places, bad);
}

static enum result
alias_insert(struct directory_change *c, struct span address,
    struct span targets, struct text *clean, struct span *bad)
{
	struct domain_record domain;
	struct name name;
	enum result result;

	result = free_name(c, address, true, &name, &domain);
	if (result == RESULT_OK)
		result = checked_targets(c, &name, targets, clean, bad);
	if (result != RESULT_OK)
		return result;
	put_name(c, &name, &(struct name_record){ .kind = NAME_ALIAS,
	    .created = clock_wall_seconds(), .text = name.text,
	    .targets = text_span(clean) });
	return RESULT_OK;
}

enum result
directory_alias_add(struct directory *d, struct span address,
    struct span targets, struct arena *arena, struct span *bad_target)
{
	struct text clean = TEXT_INIT(TARGETS_LIMIT);
	struct span bad = SPAN_EMPTY;
	struct directory_change c;
	enum result result;

	change_begin(&c, d);
	result = alias_insert(&c, address, targets, &clean, &bad);
	*bad_target = result == RESULT_OK || result == RESULT_EXISTS
	    ? SPAN_EMPTY : arena_dup(arena, bad);
	result = change_end(&c, result);
	text_free(&clean);
	return result;
}

enum result
directory_alias_remove(struct directory *d, struct span address)
{
	struct name_record record;
	struct directory_change c;
	struct name name;
	enum result result;

	change_begin(&c, d);
	if (name_parse(address, true, c.arena, &name) != 1 ||
	    name.domain.n == 0)
		return change_end(&c, RESULT_INVALID);
	result = wanted(read_name(d, name.domain, name.local, c.arena,
	    &record));
	if (result == RESULT_OK && record.kind != NAME_ALIAS)
		result = RESULT_NOT_FOUND;
	if (result != RESULT_OK)
		return change_end(&c, result);
	key_name(&c.key, name.domain, name.local);
	batch_delete(c.batch, text_span(&c.key));
	return change_end(&c, RESULT_OK);
}

/* -- where an account logged in from ------------------------------------- */

int
directory_known(struct directory *d, uint64_t account,
    struct known out[DIRECTORY_KNOWN_MAX], size_t *count)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct arena *arena = arena_new(4096);
	struct span record;
	struct cursor c;
	int rc;

	*count = 0;
	key_id(&key, DIRECTORY_KNOWN, account);
	rc = engine_get(d->store->engine, directory_partition,
	    text_span(&key), arena, &record);
	if (rc == 1) {
		c = (struct cursor){ record, false };
		if (get_u8(&c) != DIRECTORY_RECORD)
			c.bad = true;
		while (!c.bad && c.rest.n > 0 && *count < DIRECTORY_KNOWN_MAX) {
			get_raw(&c, out[*count].network, NETWORK_MAX);
			out[*count].seen = get_i64(&c);
			*count += !c.bad;
		}
	}
	text_free(&key);
	arena_free(&arena);
	return rc;
}

/* Add or renew one; the oldest and the forgotten make room. */
static size_t
merge_known(struct known *list, size_t count, const struct known *one,
    int64_t oldest)
{
	size_t kept = 0, last = 0;

	for (size_t i = 0; i < count; i++)
		if (list[i].seen >= oldest && memcmp(list[i].network,
		    one->network, NETWORK_MAX) != 0)
			list[kept++] = list[i];
	if (kept < DIRECTORY_KNOWN_MAX) {
		list[kept++] = *one;
		return kept;
	}
	for (size_t i = 1; i < kept; i++)
		if (list[i].seen < list[last].seen)
			last = i;
	list[last] = *one;
	return kept;
}

int
directory_know(struct directory *d, uint64_t account,
    const struct known *one, int64_t keep_seconds)
{
	struct known list[DIRECTORY_KNOWN_MAX];
	struct batch *batch = batch_new(directory_partition);
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct text record = TEXT_INIT(0);
	size_t count;
	ticket_t ticket;
	int rc;

	/* Not waited for: a note lost with the power costs nothing. */
	pthread_mutex_lock(&d->change);
	rc = directory_known(d, account, list, &count);
	if (rc != -1) {
		count = merge_known(list, count, one,
		    one->seen - keep_seconds);
		put_u8(&record, DIRECTORY_RECORD);
		for (size_t i = 0; i < count; i++) {
			put_raw(&record, list[i].network, NETWORK_MAX);
			put_i64(&record, list[i].seen);
		}
		key_id(&key, DIRECTORY_KNOWN, account);
		batch_put(batch, text_span(&key), text_span(&record));
		rc = engine_commit(d->store->engine, batch, &ticket);
	}
	pthread_mutex_unlock(&d->change);
	batch_free(&batch);
	text_free(&key);
	text_free(&record);
	return rc;
}

/*
 * directory.c - whose address is it?
 *
 * An address is looked up in this order, and the first that is there counts:
 *	the name itself, an account or an alias (aliases are followed);
 *	user@domain for user+tag@domain (setting queue.subaddress_separator);
 *	for postmaster@ and abuse@: the setting `postmaster`, or postmaster
 *	  at the default domain;
 *	the domain's catch-all, the alias "@domain";
 *	for postmaster@ and abuse@: the first account of the domain, then of
 *	  the default domain, so that RFC 5321 4.5.1 is kept by any system
 *	  with one account.
 * Local parts are compared case-folded, domains as lower-case A-labels.
 *
 * Aliases of aliases are followed ALIAS_DEPTH_MAX deep and through
 * ALIAS_NAMES_MAX names; each account is found once; a loop is passed over
 * here, and was refused when it was made.
 */
#include "store/directory_impl.h"

#include <stdlib.h>

enum {
	RESOLVED_CACHED = 16384,
	REMEMBERED_MAX = 100,		/* accounts of one answer there */
	EPOCHS_CACHED = 65536,
};

struct directory *
directory_new(struct store *store)
{
	struct directory *d = xcalloc(1, sizeof(*d));

	d->store = store;
	d->resolved = cache_new(RESOLVED_CACHED);
	d->epochs = cache_new(EPOCHS_CACHED);
	pthread_mutex_init(&d->change, NULL);
	return d;
}

void
directory_free(struct directory **dp)
{
	struct directory *d = *dp;

	if (d == NULL)
		return;
	cache_free(&d->resolved);
	cache_free(&d->epochs);
	pthread_mutex_destroy(&d->change);
	free(d);
	*dp = NULL;
}

void
directory_forget(struct directory *d)
{
	cache_clear(d->resolved);
	cache_clear(d->epochs);
}

/* -- reading records ------------------------------------------------------- */

static int
read_record(struct directory *d, const struct text *key, struct arena *arena,
    struct span *record)
{
	if (text_full(key))
		return 0;
	return engine_get(d->store->engine, directory_partition,
	    text_span(key), arena, record);
}

static int
damaged(void)
{
	errno = EIO;
	return -1;
}

int
read_domain(struct directory *d, struct span domain, struct arena *arena,
    struct domain_record *out)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct span record;
	int rc;

	key_domain(&key, domain);
	rc = read_record(d, &key, arena, &record);
	text_free(&key);
	if (rc == 1 && domain_decode(record, out) != 1)
		return damaged();
	return rc;
}

int
read_name(struct directory *d, struct span domain, struct span local,
    struct arena *arena, struct name_record *out)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct span record;
	int rc;

	key_name(&key, domain, local);
	rc = read_record(d, &key, arena, &record);
	text_free(&key);
	if (rc == 1 && name_decode(record, out) != 1)
		return damaged();
	return rc;
}

int
directory_account(struct directory *d, uint64_t id, struct arena *arena,
    struct account *out)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct span record;
	int rc;

	key_id(&key, DIRECTORY_ACCOUNT, id);
	rc = read_record(d, &key, arena, &record);
	text_free(&key);
	if (rc == 1 && account_decode(record, out) != 1)
		return damaged();
	out->id = id;
	return rc;
}

int
directory_account_epoch(struct directory *d, uint64_t id, uint32_t *epoch)
{
	struct span key = span_of(&id, sizeof(id));
	uint64_t generation;
	struct arena *arena;
	struct account account;
	int rc;

	if (cache_read(d->epochs, key, epoch, sizeof(*epoch)) == 1)
		return 1;
	generation = cache_generation(d->epochs);
	arena = arena_new(64 << 10);
	rc = directory_account(d, id, arena, &account);
	if (rc == 1) {
		*epoch = account.epoch;
		cache_put_read(d->epochs, generation, key,
		    span_of(epoch, sizeof(*epoch)));
	}
	arena_free(&arena);
	return rc == 1;
}

int
directory_next_account(struct directory *d, uint64_t after, uint64_t *id)
{
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	struct text to = TEXT_INIT(ENGINE_KEY_MAX);
	struct scan *scan = NULL;
	struct span key, value;
	int rc = 0;

	if (after == UINT64_MAX)
		return 0;
	key_id(&from, DIRECTORY_ACCOUNT, after + 1);
	key_after(&to, span_sub(text_span(&from), 0, 1));
	scan = scan_open(d->store->engine, directory_partition,
	    text_span(&from), text_span(&to));
	rc = scan == NULL ? -1 : scan_next(scan, &key, &value);
	if (rc == 1 && key.n == 9) {
		*id = 0;
		for (size_t i = 1; i < key.n; i++)
			*id = *id << 8 | (uint8_t)key.p[i];
	}
	scan_close(&scan);
	text_free(&from);
	text_free(&to);
	return rc;
}

struct span
default_domain(struct directory *d, struct arena *arena)
{
	const struct settings *s = store_settings(d->store);
	struct span domain;

	if (s->default_domain[0] != '\0')
		return address_domain(span_str(s->default_domain), arena,
		    &domain) == 1 ? domain : SPAN_EMPTY;
	if (engine_get(d->store->engine, directory_partition,
	    span_of(&(char){ DIRECTORY_DEFAULT }, 1), arena, &domain) != 1)
		return SPAN_EMPTY;
	return domain;
}

/* -- expansion ------------------------------------------------------------- */

struct walk {
	struct directory *directory;
	struct arena *arena;
	const struct name *pretend;	/* see expand_targets() */
	struct span *seen;		/* keys of aliases followed */
	size_t seen_count;
	uint64_t *accounts;
	size_t count;
	bool asked_postmaster;		/* the setting was followed once */
};

static enum result expand_address(struct walk *, struct span address,
    int depth);

static enum result
failed(const struct arena *arena)
{
	return arena_full(arena) ? RESULT_LIMIT : RESULT_TEMPORARY;
}

static enum result
add_account(struct walk *x, uint64_t account)
{
	for (size_t i = 0; i < x->count; i++)
		if (x->accounts[i] == account)
			return RESULT_OK;
	if (x->count >= ALIAS_NAMES_MAX)
		return RESULT_LIMIT;
	x->accounts[x->count++] = account;
	return RESULT_OK;
}

/* RESULT_OK: go on; RESULT_EXISTS: it was followed before. */
static enum result
note_alias(struct walk *x, struct span domain, struct span local)
{
	struct span key = arena_printf(x->arena, "%.*s@%.*s",
	    SPAN_ARG(local), SPAN_ARG(domain));

	if (key.p == NULL)
		return RESULT_LIMIT;
	for (size_t i = 0; i < x->seen_count; i++)
		if (span_eq(x->seen[i], key))
			return RESULT_EXISTS;
	if (x->seen_count >= ALIAS_NAMES_MAX)
		return RESULT_LIMIT;
	x->seen[x->seen_count++] = key;
	return RESULT_OK;
}

/* A target that is gone does not stop the others. */
static enum result
expand_lines(struct walk *x, struct span targets, int depth)
{
	while (targets.n > 0) {
		struct span line;
		enum result result;

		targets = span_cut(targets, '\n', &line);
		if (line.n == 0)
			continue;
		result = expand_address(x, line, depth + 1);
		if (result == RESULT_CONFLICT || result == RESULT_TEMPORARY ||
		    result == RESULT_LIMIT)
			return result;
	}
	return RESULT_OK;
}

/* The name itself: RESULT_NOT_FOUND when it is not there. */
static enum result
expand_name(struct walk *x, struct span domain, struct span local,
    int depth)
{
	struct name_record record;
	enum result result;
	int rc;

	if (x->pretend != NULL && span_eq(domain, x->pretend->domain) &&
	    span_eq(local, x->pretend->local))
		return RESULT_CONFLICT;
	rc = read_name(x->directory, domain, local, x->arena, &record);
	if (rc != 1)
		return rc == 0 ? RESULT_NOT_FOUND : failed(x->arena);
	if (record.kind == NAME_ACCOUNT)
		return add_account(x, record.account);
	if (depth >= ALIAS_DEPTH_MAX)
		return RESULT_LIMIT;
	result = note_alias(x, domain, local);
	if (result != RESULT_OK)
		return result == RESULT_EXISTS ? RESULT_OK : result;
	return expand_lines(x, record.targets, depth);
}

static enum result
expand_subaddress(struct walk *x, const struct name *name, int depth)
{
	const struct settings *s = store_settings(x->directory->store);
	struct span user, tag;

	if (s->queue_subaddress_separator[0] == '\0' ||
	    !address_subaddress(name->local, s->queue_subaddress_separator[0],
	    &user, &tag))
		return RESULT_NOT_FOUND;
	return expand_name(x, name->domain, user, depth);
}

static bool
is_role_name(struct span local)
{
	return span_is(local, "postmaster") || span_is(local, "abuse");
}

/* Where the operator wants what is written to postmaster@ anywhere. */
static enum result
expand_postmaster(struct walk *x, const struct name *name, int depth)
{
	const struct settings *s = store_settings(x->directory->store);
	struct span domain;

	if (x->asked_postmaster)
		return RESULT_NOT_FOUND;
	x->asked_postmaster = true;
	if (s->postmaster[0] != '\0')
		return expand_address(x, span_str(s->postmaster), depth + 1);
	domain = default_domain(x->directory, x->arena);
	if (domain.n == 0 || span_eq(domain, name->domain))
		return RESULT_NOT_FOUND;
	return expand_name(x, domain, SPAN("postmaster"), depth + 1);
}

static enum result
expand_first_account(struct walk *x, struct span domain)
{
	struct domain_record record;
	int rc = read_domain(x->directory, domain, x->arena, &record);

	if (rc == -1)
		return failed(x->arena);
	if (rc == 1 && record.first_account != 0)
		return add_account(x, record.first_account);
	return RESULT_NOT_FOUND;
}

static enum result
expand_parsed(struct walk *x, const struct name *name, int depth)
{
	bool role = is_role_name(name->local);
	enum result result = expand_name(x, name->domain, name->local, depth);

	if (result == RESULT_NOT_FOUND && name->local.n > 0)
		result = expand_subaddress(x, name, depth);
	if (result == RESULT_NOT_FOUND && role)
		result = expand_postmaster(x, name, depth);
	if (result == RESULT_NOT_FOUND || result == RESULT_NOT_LOCAL)
		result = expand_name(x, name->domain, SPAN_EMPTY, depth);
	if (result == RESULT_NOT_FOUND && role)
		result = expand_first_account(x, name->domain);
	if (result == RESULT_NOT_FOUND && role)
		result = expand_first_account(x,
		    default_domain(x->directory, x->arena));
	return result;
}

static enum result
expand_address(struct walk *x, struct span address, int depth)
{
	struct domain_record domain;
	struct name name;
	int rc = name_parse(address, false, x->arena, &name);

	if (rc != 1)
		return rc == 0 ? RESULT_INVALID : RESULT_LIMIT;
	if (name.domain.n == 0) {
		if (!span_is(name.local, "postmaster"))
			return RESULT_INVALID;
		name.domain = default_domain(x->directory, x->arena);
	}
	rc = read_domain(x->directory, name.domain, x->arena, &domain);
	if (rc != 1)
		return rc == 0 ? RESULT_NOT_LOCAL : failed(x->arena);
	return expand_parsed(x, &name, depth);
}

static bool
walk_init(struct walk *x, struct directory *d, struct arena *arena)
{
	*x = (struct walk){ .directory = d, .arena = arena };
	x->seen = arena_alloc(arena, ALIAS_NAMES_MAX * sizeof(x->seen[0]));
	x->accounts = arena_alloc(arena,
	    ALIAS_NAMES_MAX * sizeof(x->accounts[0]));
	return x->accounts != NULL;
}

enum result
expand_targets(struct directory *d, const struct name *pretend,
    struct span targets, struct arena *arena, size_t *accounts,
    struct span *bad_target)
{
	struct walk x;

	if (!walk_init(&x, d, arena))
		return RESULT_LIMIT;
	x.pretend = pretend;
	while (targets.n > 0) {
		enum result result;
		struct span line;

		targets = span_cut(targets, '\n', &line);
		if (line.n == 0)
			continue;
		*bad_target = line;
		result = expand_address(&x, line, 1);
		if (result != RESULT_OK)
			return result;
	}
	*accounts = x.count;
	return x.count > 0 ? RESULT_OK : RESULT_NOT_FOUND;
}

/* -- resolution ------------------------------------------------------------ */

/*
 * What is cached of an answer: its result, then the accounts. A long list is
 * looked up each time: strangers choose what is asked for, with any tag.
 */
static void
remember(struct directory *d, uint64_t generation, struct span address,
    enum result result, const uint64_t *accounts, size_t count)
{
	struct text value = TEXT_INIT(0);

	if (count > REMEMBERED_MAX)
		return;
	text_char(&value, (char)result);
	text_add(&value, span_of(accounts, count * sizeof(*accounts)));
	cache_put_read(d->resolved, generation, address, text_span(&value));
	text_free(&value);
}

static enum result
recall(struct span value, struct arena *arena, uint64_t **accounts,
    size_t *count)
{
	*count = (value.n - 1) / sizeof(**accounts);
	*accounts = arena_alloc(arena, MAX(*count, 1) * sizeof(**accounts));
	if (*accounts == NULL)
		return RESULT_LIMIT;
	memcpy(*accounts, value.p + 1, *count * sizeof(**accounts));
	return (enum result)value.p[0];
}

static enum result
resolve_uncached(struct directory *d, struct span address,
    struct arena *arena, uint64_t **accounts, size_t *count)
{
	struct arena *work = arena_new(8 << 20);
	struct walk x;
	enum result result = RESULT_LIMIT;

	if (walk_init(&x, d, work))
		result = expand_address(&x, address, 0);
	if (result == RESULT_OK && x.count == 0)
		result = RESULT_NOT_FOUND;
	if (result == RESULT_CONFLICT || result == RESULT_LIMIT)
		result = RESULT_TEMPORARY;
	if (result == RESULT_OK) {
		*accounts = arena_alloc(arena, x.count * sizeof(**accounts));
		if (*accounts == NULL) {
			result = RESULT_TEMPORARY;
		} else {
			memcpy(*accounts, x.accounts,
			    x.count * sizeof(**accounts));
			*count = x.count;
		}
	}
	arena_free(&work);
	return result;
}

enum result
directory_resolve(struct directory *d, struct span address,
    struct arena *arena, uint64_t **accounts, size_t *count)
{
	struct span value;
	uint64_t generation;
	enum result result;

	*accounts = NULL;
	*count = 0;
	if (cache_get(d->resolved, address, arena, &value) == 1)
		return recall(value, arena, accounts, count);
	generation = cache_generation(d->resolved);
	result = resolve_uncached(d, address, arena, accounts, count);
	if (result != RESULT_TEMPORARY)
		remember(d, generation, address, result, *accounts, *count);
	return result;
}

enum result
directory_expand(struct directory *d, struct span address,
    struct span sender, struct arena *arena, struct expansion *out)
{
	*out = (struct expansion){ .new_sender = sender };
	return directory_resolve(d, address, arena, &out->accounts,
	    &out->account_count);
}

enum result
directory_may_write(struct directory *d, struct span address,
    struct span sender, uint64_t account, struct arena *arena)
{
	(void)d, (void)address, (void)sender, (void)account, (void)arena;
	return RESULT_OK;
}

enum result
directory_owns(struct directory *d, uint64_t account, struct span address,
    struct arena *arena)
{
	uint64_t *accounts;
	size_t count;
	enum result result = directory_resolve(d, address, arena, &accounts,
	    &count);

	if (result != RESULT_OK)
		return result;
	for (size_t i = 0; i < count; i++)
		if (accounts[i] == account)
			return RESULT_OK;
	return RESULT_DENIED;
}

/* -- logging in ------------------------------------------------------------ */

static int
login_name(struct directory *d, struct span login, struct arena *arena,
    struct name *name)
{
	int rc = name_parse(login, false, arena, name);

	if (rc == 1 && name->domain.n == 0)
		name->domain = default_domain(d, arena);
	return rc;
}

struct span
directory_login_key(struct directory *d, struct span login,
    struct arena *arena)
{
	struct name name;

	if (login_name(d, login, arena, &name) != 1)
		return SPAN_EMPTY;
	return arena_printf(arena, "%.*s@%.*s", SPAN_ARG(name.local),
	    SPAN_ARG(name.domain));
}

int
directory_login(struct directory *d, struct span login, struct arena *arena,
    struct account *out)
{
	struct name_record record;
	struct name name;
	int rc = login_name(d, login, arena, &name);

	if (rc != 1)
		return rc;
	rc = read_name(d, name.domain, name.local, arena, &record);
	if (rc != 1)
		return rc;
	if (record.kind != NAME_ACCOUNT)
		return 0;
	return directory_account(d, record.account, arena, out);
}

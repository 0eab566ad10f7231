/*
 * directory.c - the directory's records, and who logs in.
 *
 * Local parts are compared case-folded, domains as lower-case A-labels.
 */
#include "store/directory_impl.h"
#include "store/mailboxes.h"

#include <stdlib.h>

enum { RESOLVED_CACHED = 16384, EPOCHS_CACHED = 65536 };

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
	access_forget(d->store->mailboxes);
}

/* -- reading records ----------------------------------------------------- */

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
directory_mask_owner(struct directory *d, struct span address,
    struct arena *arena, struct account *out)
{
	struct name_record record;
	struct name name;
	int rc = name_parse(address, false, arena, &name);

	if (rc == 1)
		rc = read_name(d, name.domain, name.local, arena, &record);
	if (rc != 1 || record.kind != NAME_MASK)
		return rc == -1 ? -1 : 0;
	return directory_account(d, record.account, arena, out);
}

int
directory_is_shared(struct directory *d, const struct account *account)
{
	struct arena *arena = arena_new(256 << 10);
	struct name_record record;
	struct name name;
	int rc = name_parse(account->address, false, arena, &name);

	if (rc == 1)
		rc = read_name(d, name.domain, name.local, arena, &record);
	if (rc == 1)
		rc = record.kind == NAME_ACCOUNT &&
		    (record.flags & NAME_SHARED) != 0;
	arena_free(&arena);
	return rc;
}

int
directory_group_key(struct directory *d, struct span address,
    struct arena *arena, struct span *key)
{
	struct name_record record;
	struct name name;
	int rc = name_parse(address, false, arena, &name);

	if (rc == 1)
		rc = read_name(d, name.domain, name.local, arena, &record);
	if (rc != 1 || record.kind != NAME_GROUP)
		return rc == -1 ? -1 : 0;
	*key = name_group_key(&name, arena);
	return key->p == NULL ? -1 : 1;
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

/* -- logging in ---------------------------------------------------------- */

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

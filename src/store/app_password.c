/*
 * app_password.c - app passwords: made, listed, revoked, tried.
 *
 *	directory	p account id: what is kept of it
 *	senders		p account id: when, how and from where it was used
 */
#include "store/app_password.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/secret.h"
#include "ipc/wire.h"
#include "mail/encode.h"
#include "store/verbs.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	APP_VERSION = 1,
	APP_GROUPS = 4, APP_LETTERS = 5,	/* 5 bits each */
	APP_LENGTH = APP_GROUPS * (APP_LETTERS + 1) - 1,
	NAME_LIMIT = 100,
	PEER_LIMIT = 64,
};

static const struct partition senders = { PARTITION_SENDERS, 0 };

/* The last use, not on disk yet. */
struct use {
	uint64_t account, id;
	int64_t at;
	uint32_t protocol;
	char peer[PEER_LIMIT + 1];
};

struct app_passwords {
	pthread_mutex_t lock;
	struct map *uses;		/* by id */
};

struct app_passwords *
app_passwords_new(struct store *store)
{
	struct app_passwords *a = xcalloc(1, sizeof(*a));

	(void)store;
	pthread_mutex_init(&a->lock, NULL);
	a->uses = map_new();
	return a;
}

static void
forget_uses(struct app_passwords *a)
{
	struct span key;
	void *value;
	size_t at = 0;

	while (map_next(a->uses, &at, &key, &value)) {
		free(value);
		map_remove(a->uses, key);
	}
}

void
app_passwords_free(struct app_passwords **ap)
{
	struct app_passwords *a = *ap;

	if (a == NULL)
		return;
	forget_uses(a);
	map_free(&a->uses);
	pthread_mutex_destroy(&a->lock);
	free(a);
	*ap = NULL;
}

/* -- keys and records ---------------------------------------------------- */

static void
key_app(struct text *key, uint64_t account, uint64_t id)
{
	_Static_assert((int)DIRECTORY_APP == (int)SENDERS_APP, "one key");
	key_id(key, DIRECTORY_APP, account);
	for (int shift = 56; shift >= 0; shift -= 8)
		text_char(key, (char)(uint8_t)(id >> shift));
}

static uint64_t
id_in(struct span key)
{
	uint64_t id = 0;

	for (size_t i = 1 + sizeof(uint64_t); i < key.n; i++)
		id = id << 8 | (uint8_t)key.p[i];
	return id;
}

static void
app_encode(struct text *out, const struct app_password *a)
{
	put_u8(out, APP_VERSION);
	put_i64(out, a->created);
	put_u32(out, a->protocols);
	put_bytes(out, a->name);
	put_raw(out, a->verifier, sizeof(a->verifier));
	put_u8(out, SCRAM_HASHES);
	for (int hash = 0; hash < SCRAM_HASHES; hash++) {
		const struct scram_keys *k = &a->scram[hash];
		size_t n = scram_size((enum scram_hash)hash);

		put_u32(out, k->iterations);
		put_raw(out, k->salt, sizeof(k->salt));
		put_raw(out, k->stored, n);
		put_raw(out, k->server, n);
	}
}

static int
app_decode(struct span key, struct span record, struct app_password *a)
{
	struct cursor c = { record, false };
	uint8_t version = get_u8(&c), hashes;

	*a = (struct app_password){ .id = id_in(key) };
	a->created = get_i64(&c);
	a->protocols = get_u32(&c);
	a->name = get_bytes(&c, NAME_LIMIT);
	get_raw(&c, a->verifier, sizeof(a->verifier));
	hashes = get_u8(&c);
	for (int hash = 0; hash < MIN(hashes, SCRAM_HASHES); hash++) {
		struct scram_keys *k = &a->scram[hash];
		size_t n = scram_size((enum scram_hash)hash);

		k->iterations = get_u32(&c);
		get_raw(&c, k->salt, sizeof(k->salt));
		get_raw(&c, k->stored, n);
		get_raw(&c, k->server, n);
	}
	return !c.bad && version == APP_VERSION;
}

static void
use_encode(struct text *out, const struct use *use)
{
	put_u8(out, APP_VERSION);
	put_i64(out, use->at);
	put_u32(out, use->protocol);
	put_bytes(out, span_str(use->peer));
}

static void
use_decode(struct span record, struct use *use)
{
	struct cursor c = { record, false };
	uint8_t version = get_u8(&c);
	int64_t at = get_i64(&c);
	uint32_t protocol = get_u32(&c);
	struct span peer = get_bytes(&c, PEER_LIMIT);

	if (c.bad || version != APP_VERSION)
		return;
	use->at = at;
	use->protocol = protocol;
	snprintf(use->peer, sizeof(use->peer), "%.*s", SPAN_ARG(peer));
}

/* -- reading ------------------------------------------------------------- */

static struct scan *
scan_apps(struct engine *engine, struct partition where, uint64_t account)
{
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	struct text to = TEXT_INIT(ENGINE_KEY_MAX);
	struct scan *scan;

	key_id(&from, DIRECTORY_APP, account);
	key_after(&to, text_span(&from));
	scan = scan_open(engine, where, text_span(&from), text_span(&to));
	text_free(&from);
	text_free(&to);
	return scan;
}

int
app_passwords_of(struct store *store, uint64_t account, struct arena *arena,
    struct app_password **list, size_t *count)
{
	uint64_t max = store_settings(store)->limit_app_passwords_per_account;
	struct scan *scan = scan_apps(store->engine, directory_partition,
	    account);
	struct span key, value;
	int rc = scan == NULL ? -1 : 1;

	*list = NULL;
	*count = 0;
	while (rc == 1 && (rc = scan_next(scan, &key, &value)) == 1) {
		if (*list == NULL)
			*list = arena_alloc(arena, max * sizeof(**list));
		value = arena_dup(arena, value);
		if (*list == NULL || value.p == NULL || *count == max ||
		    app_decode(key, value, &(*list)[*count]) != 1)
			rc = -1;
		else
			(*count)++;
	}
	scan_close(&scan);
	return rc == -1 ? -1 : 1;
}

static void
make_verifier(struct store *store, struct span password, uint8_t out[32])
{
	struct text message = TEXT_INIT(0);

	text_str(&message, "app password ");
	text_add(&message, password);
	hmac_sha256(span_of(store->secret, sizeof(store->secret)),
	    text_span(&message), out);
	text_wipe(&message);
}

const struct app_password *
app_password_find(struct store *store, const struct app_password *list,
    size_t count, struct span password)
{
	const struct app_password *found = NULL;
	uint8_t verifier[32];

	if (count == 0 || password.n != APP_LENGTH)
		return NULL;
	make_verifier(store, password, verifier);
	for (size_t i = 0; i < count; i++)
		if (secret_equal(span_of(verifier, sizeof(verifier)),
		    span_of(list[i].verifier, sizeof(verifier))))
			found = &list[i];
	return found;
}

uint32_t
app_protocol(enum protocol p)
{
	switch (p) {
	case PROTOCOL_IMAP:
	case PROTOCOL_IMAPS:
		return APP_IMAP;
	case PROTOCOL_POP3:
	case PROTOCOL_POP3S:
		return APP_POP3;
	case PROTOCOL_SMTP:
	case PROTOCOL_SUBMISSION:
	case PROTOCOL_SUBMISSIONS:
		return APP_SMTP;
	default:
		return 0;
	}
}

int
app_password_holds(struct store *store, uint64_t account, uint64_t id)
{
	struct directory *d = store->directory;
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct arena *arena;
	uint64_t generation;
	struct span value;
	uint32_t yes = 1;
	int rc;

	key_app(&key, account, id);
	rc = cache_read(d->epochs, text_span(&key), &yes, sizeof(yes));
	if (rc != 1) {
		generation = cache_generation(d->epochs);
		arena = arena_new(8192);
		rc = engine_get(store->engine, directory_partition,
		    text_span(&key), arena, &value);
		if (rc == 1)
			cache_put_read(d->epochs, generation,
			    text_span(&key), span_of(&yes, sizeof(yes)));
		arena_free(&arena);
	}
	text_free(&key);
	return rc == 1;
}

/* -- making -------------------------------------------------------------- */

/* "k3vqa-9xm2p-...": letters and digits that are not taken for others. */
static void
random_password(char out[APP_LENGTH + 1])
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	uint8_t random[APP_GROUPS * APP_LETTERS];
	size_t n = 0;

	_Static_assert(sizeof(letters) == 33, "5 bits");
	random_bytes(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++) {
		if (i > 0 && i % APP_LETTERS == 0)
			out[n++] = '-';
		out[n++] = letters[random[i] & 31];
	}
	out[n] = '\0';
	secret_wipe(random, sizeof(random));
}

static enum result
add_app(struct directory_change *c, struct span address, struct span password,
    struct app_password *a)
{
	struct store *store = c->directory->store;
	struct app_password *list;
	struct account account;
	struct name name;
	size_t count;
	enum result result = named_account(c, address, &name, &account);

	if (result != RESULT_OK)
		return result;
	if (app_passwords_of(store, account.id, c->arena, &list, &count) != 1)
		return RESULT_TEMPORARY;
	if (count >= store_settings(store)->limit_app_passwords_per_account)
		return RESULT_LIMIT;
	if (password_scram_like(account.credentials, password,
	    a->scram) != 1)
		return RESULT_DAMAGED;
	make_verifier(store, password, a->verifier);
	text_clear(&c->record);
	app_encode(&c->record, a);
	key_app(&c->key, account.id, a->id);
	batch_put(c->batch, text_span(&c->key), text_span(&c->record));
	return RESULT_OK;
}

void
verb_app_password_add(void *arg, const struct caller *caller,
    struct arena *arena, const struct app_password_add_request *req,
    struct app_password_add_reply *reply)
{
	struct store *store = arg;
	struct app_password a = { .created = clock_wall_seconds(),
	    .protocols = req->protocols, .name = req->name };
	char password[APP_LENGTH + 1];
	struct directory_change c;

	(void)caller;
	if (a.protocols == 0 || (a.protocols & ~(uint32_t)APP_ALL) != 0 ||
	    !utf8_valid(a.name)) {
		reply->result = RESULT_INVALID;
		return;
	}
	if (store_next_id(store, &a.id) != 1) {
		reply->result = RESULT_TEMPORARY;
		return;
	}
	random_password(password);
	change_begin(&c, store->directory);
	reply->result = change_end(&c, add_app(&c, req->address,
	    span_str(password), &a));
	if (reply->result == RESULT_OK) {
		reply->id = a.id;
		reply->password = arena_dup(arena, span_str(password));
	}
	secret_wipe(password, sizeof(password));
	secret_wipe(&a, sizeof(a));
}

/* -- revoking ------------------------------------------------------------ */

static enum result
revoke_app(struct directory_change *c, struct span address, uint64_t id)
{
	struct account account;
	struct name name;
	struct span value;
	enum result result = named_account(c, address, &name, &account);

	if (result != RESULT_OK)
		return result;
	key_app(&c->key, account.id, id);
	result = wanted(engine_get(c->directory->store->engine,
	    directory_partition, text_span(&c->key), c->arena, &value));
	if (result == RESULT_OK)
		batch_delete(c->batch, text_span(&c->key));
	return result;
}

void
verb_app_password_revoke(void *arg, const struct caller *caller,
    struct arena *arena, const struct app_password_revoke_request *req,
    struct app_password_revoke_reply *reply)
{
	struct store *store = arg;
	struct directory_change c;

	(void)caller, (void)arena;
	change_begin(&c, store->directory);
	reply->result = change_end(&c, revoke_app(&c, req->address, req->id));
}

int
app_passwords_drop(struct directory_change *c, uint64_t account)
{
	struct engine *engine = c->directory->store->engine;
	struct scan *scan = scan_apps(engine, directory_partition, account);
	struct batch *uses = batch_new(senders);
	struct span key, value;
	size_t count = 0;
	int rc = scan == NULL ? -1 : 1;

	while (rc == 1 && (rc = scan_next(scan, &key, &value)) == 1) {
		batch_delete(c->batch, key);
		batch_delete(uses, key);
		count++;
	}
	scan_close(&scan);
	if (rc == 0 && count > 0 && engine_commit(engine, uses, NULL) != 1)
		rc = -1;
	batch_free(&uses);
	return rc == 0 ? 1 : -1;
}

/* -- use ----------------------------------------------------------------- */

void
app_password_used(struct store *store, uint64_t account, uint64_t id,
    enum protocol protocol, struct span peer)
{
	struct app_passwords *a = store->app_passwords;
	struct use *use;

	pthread_mutex_lock(&a->lock);
	use = map_get(a->uses, span_of(&id, sizeof(id)));
	if (use == NULL) {
		use = xcalloc(1, sizeof(*use));
		map_put(a->uses, span_of(&id, sizeof(id)), use);
	}
	use->account = account;
	use->id = id;
	use->at = clock_wall_seconds();
	use->protocol = (uint32_t)protocol;
	snprintf(use->peer, sizeof(use->peer), "%.*s",
	    SPAN_ARG(span_sub(peer, 0, PEER_LIMIT)));
	pthread_mutex_unlock(&a->lock);
}

int
app_password_save(struct store *store)
{
	struct app_passwords *a = store->app_passwords;
	struct text key = TEXT_INIT(ENGINE_KEY_MAX), record = TEXT_INIT(0);
	struct batch *batch = batch_new(senders);
	struct span id;
	void *value;
	size_t at = 0, count = 0;
	int rc = 1;

	pthread_mutex_lock(&a->lock);
	while (map_next(a->uses, &at, &id, &value)) {
		const struct use *use = value;

		key_app(&key, use->account, use->id);
		text_clear(&record);
		use_encode(&record, use);
		batch_put(batch, text_span(&key), text_span(&record));
		count++;
	}
	if (count > 0)
		rc = engine_commit(store->engine, batch, NULL);
	if (rc == 1)
		forget_uses(a);
	pthread_mutex_unlock(&a->lock);
	batch_free(&batch);
	text_free(&key);
	text_free(&record);
	return rc == 1 ? 1 : -1;
}

/* -- listing ------------------------------------------------------------- */

static int
read_use(struct store *store, uint64_t account, uint64_t id,
    struct arena *arena, struct use *use)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct span record;
	int rc;

	key_app(&key, account, id);
	rc = engine_get(store->engine, senders, text_span(&key), arena,
	    &record);
	if (rc == 1)
		use_decode(record, use);
	text_free(&key);
	return rc;
}

static enum result
add_rows(struct store *store, uint64_t account, struct arena *arena,
    struct text *rows)
{
	struct app_password *list;
	size_t count;

	if (app_passwords_of(store, account, arena, &list, &count) != 1)
		return RESULT_TEMPORARY;
	for (size_t i = 0; i < count; i++) {
		struct use use = { 0 };
		struct app_password_row row = { .id = list[i].id,
		    .name = list[i].name, .protocols = list[i].protocols,
		    .created = list[i].created };

		if (read_use(store, account, list[i].id, arena, &use) == -1)
			return RESULT_TEMPORARY;
		row.last_used = use.at;
		row.last_peer = span_str(use.peer);
		if (use.at != 0 && use.protocol < PROTOCOLS)
			row.last_protocol = span_str(protocol_name(
			    (enum protocol)use.protocol));
		app_password_row_put(rows, &row);
	}
	return RESULT_OK;
}

void
verb_app_password_list(void *arg, const struct caller *caller,
    struct arena *arena, const struct app_password_list_request *req,
    struct app_password_list_reply *reply)
{
	struct store *store = arg;
	struct text rows = TEXT_INIT(0);
	struct directory_change c;
	struct account account;
	struct name name;

	(void)caller;
	change_begin(&c, store->directory);
	reply->result = named_account(&c, req->address, &name, &account);
	/* Nothing is changed: the batch is not wanted. */
	change_end(&c, reply->result == RESULT_OK ? RESULT_CONTINUE
	    : reply->result);
	if (reply->result != RESULT_OK)
		return;
	/* What was used since shall be in the list. */
	app_password_save(store);
	reply->result = add_rows(store, account.id, arena, &rows);
	reply->rows = BLOB_OF(arena_dup(arena, text_span(&rows)));
	text_free(&rows);
}

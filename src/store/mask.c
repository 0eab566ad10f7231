/*
 * mask.c - masked addresses: made, listed, killed; and how often they were
 * used.
 *
 * The local part is four groups of consonants and vowels in turn, 64 random
 * bits: it can be read out on a telephone and is not guessed. A killed
 * address keeps its name, so that nobody else gets it; all of an account's
 * go with the account.
 *
 *	directory	name: whose, and whether it is active
 *	directory	m account address: since when, and the note
 *	senders		m account address: how often, and when last
 */
#include "store/mask.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/secret.h"
#include "ipc/wire.h"
#include "store/directory_impl.h"
#include "store/verbs.h"

#include <stdlib.h>

enum {
	MASK_VERSION = 1,
	MASK_GROUPS = 4,		/* of five letters, 16 bits each */
	NOTE_LIMIT = 1000,
	ROWS_ROOM = 512 << 10,
	TRIES = 10,
};

static const struct partition senders = { PARTITION_SENDERS, 0 };

/* Uses that are not on disk yet. */
struct use {
	uint64_t account;
	uint64_t messages;
	int64_t last;
};

struct masks {
	struct store *store;
	pthread_mutex_t lock;
	struct map *uses;		/* by domain NUL local part */
};

struct masks *
masks_new(struct store *store)
{
	struct masks *m = xcalloc(1, sizeof(*m));

	m->store = store;
	m->uses = map_new();
	pthread_mutex_init(&m->lock, NULL);
	return m;
}

static void
forget_uses(struct masks *m)
{
	struct span key;
	void *value;
	size_t at = 0;

	while (map_next(m->uses, &at, &key, &value)) {
		free(value);
		map_remove(m->uses, key);
	}
}

void
masks_free(struct masks **mp)
{
	struct masks *m = *mp;

	if (m == NULL)
		return;
	forget_uses(m);
	map_free(&m->uses);
	pthread_mutex_destroy(&m->lock);
	free(m);
	*mp = NULL;
}

/* -- keys and records ---------------------------------------------------- */

/* Both partitions have the same key. place: domain NUL local part. */
static void
key_mask(struct text *key, uint64_t account, struct span place)
{
	key_id(key, DIRECTORY_MASK, account);
	text_add(key, place);
}

static void
place_of(const struct name *name, struct text *place)
{
	text_clear(place);
	text_add(place, name->domain);
	text_char(place, '\0');
	text_add(place, name->local);
}

static void
note_encode(struct text *out, int64_t created, struct span note)
{
	put_u8(out, MASK_VERSION);
	put_i64(out, created);
	put_bytes(out, note);
}

static int
note_decode(struct span record, int64_t *created, struct span *note)
{
	struct cursor c = { record, false };

	if (get_u8(&c) != MASK_VERSION)
		return 0;
	*created = get_i64(&c);
	*note = get_bytes(&c, NOTE_LIMIT);
	return !c.bad;
}

static void
use_encode(struct text *out, const struct use *use)
{
	put_u8(out, MASK_VERSION);
	put_u64(out, use->messages);
	put_i64(out, use->last);
}

static void
use_decode(struct span record, struct use *use)
{
	struct cursor c = { record, false };
	uint8_t version = get_u8(&c);
	uint64_t messages = get_u64(&c);
	int64_t last = get_i64(&c);

	if (c.bad || version != MASK_VERSION)
		return;
	use->messages += messages;
	use->last = MAX(use->last, last);
}

/* -- use ----------------------------------------------------------------- */

void
mask_used(struct store *store, struct span address)
{
	struct masks *m = store->masks;
	struct arena *arena = arena_new(256 << 10);
	struct text place = TEXT_INIT(ENGINE_KEY_MAX);
	struct name_record record;
	struct name name;
	struct use *use;

	if (name_parse(address, false, arena, &name) == 1 &&
	    read_name(store->directory, name.domain, name.local, arena,
	    &record) == 1 && record.kind == NAME_MASK) {
		place_of(&name, &place);
		pthread_mutex_lock(&m->lock);
		use = map_get(m->uses, text_span(&place));
		if (use == NULL) {
			use = xcalloc(1, sizeof(*use));
			map_put(m->uses, text_span(&place), use);
		}
		use->account = record.account;
		use->messages++;
		use->last = clock_wall_seconds();
		pthread_mutex_unlock(&m->lock);
	}
	text_free(&place);
	arena_free(&arena);
}

static int
read_use(struct store *store, struct span key, struct use *use)
{
	struct arena *arena = arena_new(4096);
	struct span record;
	int rc = engine_get(store->engine, senders, key, arena, &record);

	if (rc == 1)
		use_decode(record, use);
	arena_free(&arena);
	return rc;
}

/* The lock is held meanwhile: what is written is what was read, and more. */
static int
save_uses(struct masks *m)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX), record = TEXT_INIT(0);
	struct batch *batch = batch_new(senders);
	struct span place;
	void *value;
	size_t at = 0;
	int rc = 1;

	while (rc != -1 && map_next(m->uses, &at, &place, &value)) {
		struct use use = *(struct use *)value;

		key_mask(&key, use.account, place);
		rc = read_use(m->store, text_span(&key), &use);
		text_clear(&record);
		use_encode(&record, &use);
		batch_put(batch, text_span(&key), text_span(&record));
	}
	if (rc != -1)
		rc = engine_commit(m->store->engine, batch, NULL);
	batch_free(&batch);
	text_free(&key);
	text_free(&record);
	return rc;
}

int
mask_save(struct store *store)
{
	struct masks *m = store->masks;
	int rc = 1;

	pthread_mutex_lock(&m->lock);
	if (map_count(m->uses) > 0) {
		rc = save_uses(m);
		if (rc == 1)
			forget_uses(m);
	}
	pthread_mutex_unlock(&m->lock);
	return rc == 1 ? 1 : -1;
}

/* -- the masks of an account --------------------------------------------- */

static struct scan *
scan_masks(struct engine *engine, struct partition where, uint64_t account,
    struct span after)
{
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	struct text to = TEXT_INIT(ENGINE_KEY_MAX);
	struct scan *scan;

	_Static_assert((int)DIRECTORY_MASK == (int)SENDERS_MASK, "one key");
	key_id(&from, DIRECTORY_MASK, account);
	key_after(&to, text_span(&from));
	if (after.n > 0) {
		text_add(&from, after);
		text_char(&from, '\0');
	}
	scan = scan_open(engine, where, text_span(&from), text_span(&to));
	text_free(&from);
	text_free(&to);
	return scan;
}

/* What stands behind letter and account in a key. */
static struct span
place_in(struct span key)
{
	return span_from(key, 1 + sizeof(uint64_t));
}

static int64_t
count_masks(struct engine *engine, uint64_t account)
{
	struct scan *scan = scan_masks(engine, directory_partition, account,
	    SPAN_EMPTY);
	struct span key, value;
	int64_t count = 0;
	int rc = scan == NULL ? -1 : 1;

	while (rc == 1 && (rc = scan_next(scan, &key, &value)) == 1)
		count++;
	scan_close(&scan);
	return rc == -1 ? -1 : count;
}

/* Their names, notes and numbers: the last are another partition's. */
int
masks_drop(struct directory_change *c, uint64_t account)
{
	struct engine *engine = c->directory->store->engine;
	struct batch *uses = batch_new(senders);
	struct scan *scan = scan_masks(engine, directory_partition, account,
	    SPAN_EMPTY);
	struct span key, value;
	size_t count = 0;
	int rc = scan == NULL ? -1 : 1;

	while (rc == 1 && (rc = scan_next(scan, &key, &value)) == 1) {
		batch_delete(c->batch, key);
		batch_delete(uses, key);
		text_clear(&c->key);
		text_char(&c->key, DIRECTORY_NAME);
		text_add(&c->key, place_in(key));
		batch_delete(c->batch, text_span(&c->key));
		count++;
	}
	scan_close(&scan);
	if (rc == 0 && count > 0 && engine_commit(engine, uses, NULL) != 1)
		rc = -1;
	batch_free(&uses);
	return rc == 0 ? 1 : -1;
}

/* -- making -------------------------------------------------------------- */

/* "lusab-babad-gutih-tugad": consonants carry 4 bits, vowels 2. */
static struct span
random_local(struct arena *arena)
{
	static const char consonants[] = "bdfghjklmnprstvz";
	static const char vowels[] = "aiou";
	struct text out = TEXT_INIT(0);
	struct span local;

	for (size_t group = 0; group < MASK_GROUPS; group++) {
		uint16_t bits;

		random_bytes(&bits, sizeof(bits));
		if (group > 0)
			text_char(&out, '-');
		text_char(&out, consonants[bits >> 12]);
		text_char(&out, vowels[bits >> 10 & 3]);
		text_char(&out, consonants[bits >> 6 & 15]);
		text_char(&out, vowels[bits >> 4 & 3]);
		text_char(&out, consonants[bits & 15]);
	}
	local = arena_dup(arena, text_span(&out));
	text_free(&out);
	return local;
}

static enum result
pick_name(struct directory_change *c, const struct account *owner,
    struct name *name)
{
	struct domain_record domain;
	struct name own;

	if (name_parse(owner->address, false, c->arena, &own) != 1)
		return RESULT_DAMAGED;
	for (int i = 0; i < TRIES; i++) {
		struct span local = random_local(c->arena);
		enum result result = free_name(c, arena_printf(c->arena,
		    "%.*s@%.*s", SPAN_ARG(local), SPAN_ARG(own.domain)),
		    false, name, &domain);

		if (result != RESULT_EXISTS)
			return result;
	}
	return RESULT_TEMPORARY;
}

static void
put_note(struct directory_change *c, uint64_t account, const struct name *name,
    int64_t created, struct span note)
{
	struct text place = TEXT_INIT(ENGINE_KEY_MAX);

	place_of(name, &place);
	key_mask(&c->key, account, text_span(&place));
	text_clear(&c->record);
	note_encode(&c->record, created, note);
	batch_put(c->batch, text_span(&c->key), text_span(&c->record));
	text_free(&place);
}

static enum result
add_mask(struct directory_change *c, uint64_t id, struct span note,
    struct name *name)
{
	struct store *store = c->directory->store;
	int64_t now = clock_wall_seconds(), count;
	struct account account;
	enum result result = wanted(directory_account(c->directory, id,
	    c->arena, &account));

	if (result == RESULT_OK)
		result = pick_name(c, &account, name);
	if (result != RESULT_OK)
		return result;
	count = count_masks(store->engine, id);
	if (count == -1 || (uint64_t)count >=
	    store_settings(store)->limit_masks_per_account)
		return count == -1 ? RESULT_TEMPORARY : RESULT_LIMIT;
	put_name(c, name, &(struct name_record){ .kind = NAME_MASK,
	    .created = now, .text = name->text, .account = id,
	    .flags = NAME_MASK_ACTIVE });
	put_note(c, id, name, now, note);
	return RESULT_OK;
}

void
verb_mask_add(void *arg, const struct caller *caller, struct arena *arena,
    const struct mask_add_request *req, struct mask_add_reply *reply)
{
	struct store *store = arg;
	struct holder holder;
	struct directory_change c;
	struct name name = { 0 };

	(void)caller;
	if (grant_check(store, &req->grant, &holder) != 1) {
		reply->result = RESULT_DENIED;
		return;
	}
	change_begin(&c, store->directory);
	reply->result = add_mask(&c, holder.account, req->note, &name);
	reply->address = arena_dup(arena, name.text);
	reply->result = change_end(&c, reply->result);
}

/* -- killing and reviving ------------------------------------------------ */

static enum result
set_mask(struct directory_change *c, uint64_t account, struct span address,
    bool active)
{
	struct name_record record;
	struct name name;
	enum result result;

	if (name_parse(address, false, c->arena, &name) != 1 ||
	    name.domain.n == 0)
		return RESULT_INVALID;
	result = wanted(read_name(c->directory, name.domain, name.local,
	    c->arena, &record));
	if (result != RESULT_OK)
		return result;
	if (record.kind != NAME_MASK || record.account != account)
		return RESULT_NOT_FOUND;
	record.flags = active ? NAME_MASK_ACTIVE : 0;
	put_name(c, &name, &record);
	return RESULT_OK;
}

void
verb_mask_set(void *arg, const struct caller *caller, struct arena *arena,
    const struct mask_set_request *req, struct mask_set_reply *reply)
{
	struct store *store = arg;
	struct holder holder;
	struct directory_change c;

	(void)caller, (void)arena;
	if (grant_check(store, &req->grant, &holder) != 1) {
		reply->result = RESULT_DENIED;
		return;
	}
	change_begin(&c, store->directory);
	reply->result = change_end(&c, set_mask(&c, holder.account,
	    req->address, req->active != 0));
}

/* -- listing ------------------------------------------------------------- */

/* 1 added, 0 no room, -1. */
static int
add_row(struct store *store, struct span key, struct span value,
    struct text *rows)
{
	struct arena *arena = arena_new(256 << 10);
	struct use use = { 0 };
	struct mask_row row = { 0 };
	struct name_record record;
	struct span domain, local = span_cut(place_in(key), '\0', &domain);
	int rc = rows->n > ROWS_ROOM ? 0 : 1;

	if (rc == 1 && note_decode(value, &row.created, &row.note) == 1) {
		rc = read_name(store->directory, domain, local, arena,
		    &record) == 1 ? read_use(store, key, &use) : -1;
		row.address = record.text;
		row.active = record.flags & NAME_MASK_ACTIVE;
		row.messages = use.messages;
		row.last_used = use.last;
		if (rc != -1)
			mask_row_put(rows, &row);
		rc = rc == -1 ? -1 : 1;
	}
	arena_free(&arena);
	return rc;
}

static enum result
list_masks(struct store *store, uint64_t account, struct span after,
    struct text *rows, bool *more)
{
	struct scan *scan = scan_masks(store->engine, directory_partition,
	    account, after);
	struct span key, value;
	int rc = scan == NULL ? -1 : 1;

	while (rc == 1 && (rc = scan_next(scan, &key, &value)) == 1) {
		rc = add_row(store, key, value, rows);
		*more = rc == 0;
	}
	scan_close(&scan);
	return rc == -1 ? RESULT_TEMPORARY : RESULT_OK;
}

void
verb_mask_list(void *arg, const struct caller *caller, struct arena *arena,
    const struct mask_list_request *req, struct mask_list_reply *reply)
{
	struct store *store = arg;
	struct text rows = TEXT_INIT(0), after = TEXT_INIT(ENGINE_KEY_MAX);
	struct holder holder;
	struct name name;
	bool more = false;

	(void)caller;
	if (grant_check(store, &req->grant, &holder) != 1) {
		reply->result = RESULT_DENIED;
		return;
	}
	if (req->after.n > 0 &&
	    name_parse(req->after, false, arena, &name) == 1)
		place_of(&name, &after);
	/* What was counted since shall be in the list. */
	mask_save(store);
	reply->result = list_masks(store, holder.account, text_span(&after),
	    &rows, &more);
	reply->more = more;
	reply->rows = BLOB_OF(arena_dup(arena, text_span(&rows)));
	text_free(&rows);
	text_free(&after);
}

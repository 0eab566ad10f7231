/*
 * mailbox.c - open mailboxes: read once, held as arrays, changed through the
 * tail.
 *
 * A mailbox in use is in memory as a struct table; a shelf bounds how many
 * are. Every change is one record in the tail of its partition, committed
 * under the guard of the version that the table was read at, and then applied
 * to the table by the same function that reads a tail.
 *
 * What is new or gone is in memory before it is durable, and whoever looks
 * finds it there; so every answer that shows it waits for the ticket of the
 * last such change (`structural`). Locks are let go before that wait: any
 * number of deliveries to one mailbox share one write to the disk.
 */
#include "store/mailboxes.h"
#include "base/log.h"
#include "base/secret.h"
#include "store/index.h"
#include "store/quota.h"

#include <stdlib.h>

enum {
	MAILBOX_BYTES = 1024,		/* a guess: what else it costs */
	ACCESS_CACHED = 65536,
};

/* ---- the shelf's three ----------------------------------------------- */

static struct shelved *
mailbox_new(void *arg, uint64_t id)
{
	struct mailbox *mb = xcalloc(1, sizeof(*mb));

	(void)id;
	mb->owner = arg;
	pthread_mutex_init(&mb->lock, NULL);
	return &mb->shelved;
}

static void
unload(struct mailbox *mb)
{
	table_free(&mb->table);
	digest_unload(mb);
	map_free(&mb->delivered);
	mb->finished_count = 0;
	mb->tail_bytes = 0;
	mb->loaded = false;
}

static void
mailbox_end(struct shelved *thing)
{
	struct mailbox *mb = (struct mailbox *)thing;

	unload(mb);
	free(mb->finished);
	pthread_mutex_destroy(&mb->lock);
	free(mb);
}

/* Read again it would be shown without its ticket. */
static bool
mailbox_may_go(struct shelved *thing)
{
	struct mailbox *mb = (struct mailbox *)thing;

	return mb->structural == 0 ||
	    engine_is_durable(mb->owner->store->engine, mb->structural);
}

static const struct shelf_kind mailbox_kind = {
	.make = mailbox_new, .may_go = mailbox_may_go, .end = mailbox_end,
};

/* ---- reading --------------------------------------------------------- */

uint64_t
mailbox_id(const struct mailbox *mb)
{
	return mb->shelved.key;
}

static struct partition
partition_of(const struct mailbox *mb)
{
	return (struct partition){ PARTITION_MAILBOX, mailbox_id(mb) };
}

static int
read_chunk(struct mailbox *mb, struct span key, struct span value)
{
	struct row *rows = table_room(&mb->table, CHUNK_UIDS);
	uint32_t first;
	size_t n;

	return key_read_chunk(key, &first) &&
	    chunk_decode(value, first, rows, &n) &&
	    table_added(&mb->table, n);
}

static int
read_head(struct mailbox *mb, struct span value)
{
	struct mailbox_head head;

	if (!head_decode(value, &head))
		return 0;
	table_set_head(&mb->table, &head);
	return table_ready(&mb->table);
}

static int
read_stones(struct mailbox *mb, struct span value)
{
	struct tombstone stones[TOMBSTONE_PAGE];
	size_t n;

	if (!tombstones_decode(value, stones, &n))
		return 0;
	table_add_stones(&mb->table, stones, n);
	return 1;
}

static int
read_done(struct mailbox *mb, struct span value)
{
	struct done done[DONE_MAX];
	size_t n;
	int status = done_decode(value, done, &n);

	if (status == 1 && mb->table.done_count == 0) {
		table_set_done(&mb->table, done, n);
		return 1;
	}
	for (size_t i = 0; i < n; i++)
		uids_free(&done[i].sources);
	return 0;
}

static int
read_recent(struct mailbox *mb, struct span value)
{
	uint64_t uid;

	if (!number_decode(value, &uid) || uid > UINT32_MAX)
		return 0;
	mb->table.recent = (uint32_t)uid;
	return 1;
}

static int
read_change(struct mailbox *mb, struct span key, struct span value,
    struct change *change)
{
	uint64_t modseq;

	if (!key_read_u64(key, &modseq) ||
	    !change_decode(value, modseq, change))
		return 0;
	table_apply(&mb->table, change);
	mb->tail_bytes += key.n + value.n;
	return 1;
}

/*
 * An envelope lives no longer than the queue's lifetime: what is older was
 * finished by a process that died before it could say so.
 */
static int
read_delivered(struct mailbox *mb, struct span key, struct span value)
{
	int64_t life = store_settings(mb->owner->store)->queue_lifetime / 1000;
	struct token token;
	uint64_t at;

	if (!key_read_token(key, &token) || !number_decode(value, &at))
		return 0;
	if ((int64_t)at + life + 86400 < clock_wall_seconds())
		mailbox_delivery_over(mb, &token);
	else
		mailbox_delivery_note(mb, &token);
	return 1;
}

static int
read_record(struct mailbox *mb, struct span key, struct span value,
    struct change *change)
{
	switch (key.p[0]) {
	case MAILBOX_CHUNK:
		return read_chunk(mb, key, value);
	case MAILBOX_DELIVERED:
		return read_delivered(mb, key, value);
	case MAILBOX_EXPUNGED:
		return read_stones(mb, value);
	case MAILBOX_HEAD:
		return read_head(mb, value);
	case MAILBOX_DONE:
		return read_done(mb, value);
	case MAILBOX_RECENT:
		return read_recent(mb, value);
	case MAILBOX_SEEN:
		return mailbox_read_seen(mb, key, value);
	case MAILBOX_TAIL:
		return read_change(mb, key, value, change);
	case MAILBOX_SUMS:
		return 1;		/* quota.c */
	default:
		return 0;
	}
}

static void
tell_damage(const struct mailbox *mb, struct span key, struct damage *damage)
{
	char hex[2 * sizeof(((struct key *)NULL)->b) + 1];

	hex_of(hex, key.p, MIN(key.n, sizeof(((struct key *)NULL)->b)));
	if (damage == NULL) {
		log_event(LOG_LEVEL_ERROR, "mailbox.damaged",
		    log_int("mailbox", (int64_t)mailbox_id(mb)),
		    log_str("record", hex));
		return;
	}
	text_printf(damage->report, "mailbox %" PRIu64 ": record %s cannot "
	    "be read\n", mailbox_id(mb), hex);
	put_bytes(&damage->keys, key);
	damage->found++;
}

static enum result
read_all(struct mailbox *mb, struct scan *scan, struct damage *damage)
{
	struct change change = { 0 };
	struct span key, value;
	enum result result = RESULT_OK;
	int status;

	while ((status = scan_next(scan, &key, &value)) == 1) {
		if (read_record(mb, key, value, &change))
			continue;
		tell_damage(mb, key, damage);
		if (damage == NULL) {
			result = RESULT_DAMAGED;
			break;
		}
	}
	change_free(&change);
	return status < 0 ? RESULT_TEMPORARY : result;
}

enum result
mailbox_read(struct mailbox *mb, struct damage *damage)
{
	struct engine *engine = mb->owner->store->engine;
	struct scan *scan;
	enum result result;

	unload(mb);
	if (engine_version(engine, partition_of(mb), &mb->version) < 0)
		return RESULT_TEMPORARY;
	scan = scan_open(engine, partition_of(mb), SPAN_EMPTY, SPAN_EMPTY);
	if (scan == NULL)
		return RESULT_TEMPORARY;
	result = read_all(mb, scan, damage);
	scan_close(&scan);
	if (result == RESULT_OK && mb->table.uidvalidity == 0)
		result = mb->version == 0 ? RESULT_NOT_FOUND : RESULT_DAMAGED;
	mb->loaded = result == RESULT_OK;
	return result;
}

int
mailbox_count(struct mailboxes *m, uint64_t id, uint64_t *messages,
    uint64_t *bytes)
{
	struct mailbox *mb = xcalloc(1, sizeof(*mb));
	enum result result;

	mb->owner = m;
	mb->shelved.key = id;
	result = mailbox_read(mb, NULL);
	*messages = mb->table.n;
	*bytes = mb->table.bytes;
	unload(mb);
	free(mb->finished);
	free(mb);
	return result == RESULT_OK || result == RESULT_NOT_FOUND ? 1 : -1;
}

/* ---- entering and leaving -------------------------------------------- */

enum result
mailbox_enter_any(struct mailboxes *m, uint64_t id, struct mailbox **out)
{
	struct mailbox *mb = (struct mailbox *)shelf_take(m->open, id);
	enum result result = RESULT_OK;
	bool was_loaded;

	pthread_mutex_lock(&mb->lock);
	was_loaded = mb->loaded;
	if (!was_loaded)
		result = mailbox_read(mb, NULL);
	if (!was_loaded && result == RESULT_OK)
		digest_load(mb);
	*out = mb;
	if (result != RESULT_OK)
		mailbox_leave(out);
	return result;
}

void
mailbox_leave(struct mailbox **mbp)
{
	struct mailbox *mb = *mbp;
	struct mailboxes *m;
	size_t bytes;
	bool keep;

	if (mb == NULL)
		return;
	m = mb->owner;
	mb->quiet_link = mb->quiet_watch = mb->user = 0;
	mb->rights = 0;
	mb->own_seen = false;
	keep = mb->loaded;
	bytes = MAILBOX_BYTES + table_bytes(&mb->table) + (mb->delivered ==
	    NULL ? 0 : map_count(mb->delivered) * 96);
	pthread_mutex_unlock(&mb->lock);
	shelf_put(m->open, &mb->shelved, bytes, keep);
	*mbp = NULL;
}

/* The list of names is what says that a mailbox is there, and whose. */
static enum result
check_listed(struct mailboxes *m, uint64_t account, uint64_t id)
{
	struct names *names;
	enum result result = names_enter(m, account, &names);

	if (result != RESULT_OK)
		return result;
	if (names_find_id(names, id) == NULL)
		result = RESULT_NOT_FOUND;
	names_leave(&names);
	return result;
}

static enum result
enter_listed(struct mailboxes *m, uint64_t id, struct mailbox **out)
{
	enum result result = mailbox_enter_any(m, id, out);

	if (result == RESULT_OK && (*out)->removed) {
		mailbox_leave(out);
		result = RESULT_NOT_FOUND;
	}
	return result;
}

enum result
mailbox_enter(struct mailboxes *m, uint64_t account, uint64_t id,
    struct mailbox **out)
{
	enum result result = check_listed(m, account, id);

	*out = NULL;
	return result == RESULT_OK ? enter_listed(m, id, out) : result;
}

/* In the order of locking. */
static enum result
enter_two_listed(struct mailboxes *m, uint64_t a, uint64_t b,
    struct mailbox *two[2])
{
	size_t first = a <= b ? 0 : 1;
	uint64_t id[2] = { a, b };
	enum result result = enter_listed(m, id[first], &two[first]);

	if (result != RESULT_OK || a == b)
		return result;
	result = enter_listed(m, id[1 - first], &two[1 - first]);
	if (result != RESULT_OK)
		mailbox_leave(&two[first]);
	return result;
}

enum result
mailbox_enter_two(struct mailboxes *m, uint64_t account, uint64_t a,
    uint64_t b, struct mailbox *two[2])
{
	enum result result = check_listed(m, account, a);

	two[0] = two[1] = NULL;
	if (result == RESULT_OK)
		result = check_listed(m, account, b);
	return result == RESULT_OK ? enter_two_listed(m, a, b, two) : result;
}

/* ---- for verbs ------------------------------------------------------- */

enum result
grant_account(struct store *store, const struct grant *grant,
    uint64_t *account)
{
	struct holder who;

	if (grant_check(store, grant, &who) != 1)
		return RESULT_DENIED;
	*account = who.account;
	return RESULT_OK;
}

static enum result
may_enter(struct mailboxes *m, uint64_t account,
    const struct wanted_mailbox *wanted, struct access *access)
{
	enum result result = access_of(m, account, wanted->id, access);

	return result == RESULT_OK ? access_check(access->rights,
	    wanted->needs) : result;
}

enum result
mailbox_open_for(struct store *store, const struct grant *grant, uint64_t id,
    uint32_t needs, struct mailbox **mb)
{
	const struct wanted_mailbox wanted = { id, needs };
	struct access access;
	uint64_t account;
	enum result result = grant_account(store, grant, &account);

	*mb = NULL;
	if (result == RESULT_OK)
		result = may_enter(store->mailboxes, account, &wanted,
		    &access);
	if (result == RESULT_OK)
		result = enter_listed(store->mailboxes, id, mb);
	if (result == RESULT_OK)
		mailbox_note_user(*mb, account, access.rights);
	return result;
}

enum result
mailbox_open_two_for(struct store *store, const struct grant *grant,
    const struct wanted_mailbox wanted[2], struct mailbox *two[2])
{
	struct mailboxes *m = store->mailboxes;
	struct access access[2];
	uint64_t account;
	enum result result = grant_account(store, grant, &account);

	two[0] = two[1] = NULL;
	for (size_t i = 0; i < 2 && result == RESULT_OK; i++)
		result = may_enter(m, account, &wanted[i], &access[i]);
	if (result == RESULT_OK)
		result = enter_two_listed(m, wanted[0].id, wanted[1].id, two);
	for (size_t i = 0; i < 2 && result == RESULT_OK; i++)
		if (two[i] != NULL)
			mailbox_note_user(two[i], account,
			    access[i].rights);
	return result;
}

void
mailbox_answer_two(struct mailbox *two[2], ticket_t ticket,
    enum result *result)
{
	struct mailboxes *m = NULL;

	for (size_t i = 0; i < 2; i++) {
		if (two[i] == NULL)
			continue;
		m = two[i]->owner;
		ticket = MAX(ticket, two[i]->structural);
		/* An answer that is an error tells nobody anything. */
		if (*result != RESULT_OK && two[i]->quiet_watch != 0) {
			watch_by_answer(two[i], &(struct caller){ 0 }, 0);
			watches_tell(two[i], two[i]->table.modseq);
		}
		mailbox_leave(&two[i]);
	}
	if (m != NULL && *result == RESULT_OK)
		*result = mailboxes_durable(m, ticket);
}

void
mailbox_answer(struct mailbox **mb, ticket_t ticket, enum result *result)
{
	struct mailbox *two[2] = { *mb, NULL };

	mailbox_answer_two(two, ticket, result);
	*mb = NULL;
}

/* ---- changing -------------------------------------------------------- */

enum result
result_of_errno(void)
{
	switch (errno) {
	case ENOSPC:
		return RESULT_FULL;
	case EFBIG:
		return RESULT_LIMIT;
	default:
		return RESULT_TEMPORARY;
	}
}

enum result
mailboxes_durable(struct mailboxes *m, ticket_t ticket)
{
	struct engine *engine = m->store->engine;

	if (ticket == 0 || engine_is_durable(engine, ticket) ||
	    serve_after(ticket))
		return RESULT_OK;
	return engine_sync(engine, ticket) == 1 ? RESULT_OK
	    : RESULT_TEMPORARY;
}

struct batch *
mailbox_batch(struct mailbox *mb)
{
	return batch_new(partition_of(mb));
}

int
mailbox_commit(struct mailbox *mb, struct batch *b, ticket_t *ticket)
{
	int status;

	batch_expect(b, mb->version);
	status = engine_commit(mb->owner->store->engine, b, ticket);
	if (status == 1) {
		mb->version++;
		return 1;
	}
	if (status == 0) {
		/* Somebody else changed it: read it again. */
		mb->loaded = false;
		errno = EAGAIN;
	}
	return -1;
}

static void
put_change(struct batch *b, const struct change *change, struct text *t)
{
	struct key key = key_u64(MAILBOX_TAIL, change->modseq);

	text_clear(t);
	change_encode(t, change);
	batch_put(b, key_span(&key), text_span(t));
}

/* Rows that this change takes away, and their bytes. */
static void
count_expunged(const struct table *t, const struct change *c,
    uint64_t *messages, uint64_t *bytes)
{
	for (size_t r = 0; r < c->uids.n; r++) {
		size_t i = table_seek(t, c->uids.at[r].first);

		for (; i < t->n && t->rows[i].uid <= c->uids.at[r].last;
		    i++) {
			*messages -= 1;
			*bytes -= t->rows[i].size;
		}
	}
}

/* What there will be after these changes: so quota.c need not look. */
static void
put_sums(struct batch *b, const struct table *t, const struct change *changes,
    size_t count)
{
	uint64_t messages = t->n, bytes = t->bytes;
	struct key key = key_letter(MAILBOX_SUMS);
	struct text record = TEXT_INIT(0);
	bool structural = false;

	for (size_t i = 0; i < count; i++) {
		structural |= changes[i].kind != CHANGE_FLAGS;
		if (changes[i].kind == CHANGE_EXPUNGE)
			count_expunged(t, &changes[i], &messages, &bytes);
		if (changes[i].kind != CHANGE_ADD)
			continue;
		messages += changes[i].row_count;
		for (size_t r = 0; r < changes[i].row_count; r++)
			bytes += changes[i].rows[r].size;
	}
	if (!structural)
		return;
	sums_encode(&record, messages, bytes);
	batch_put(b, key_span(&key), text_span(&record));
	text_free(&record);
}

int
mailbox_put_sums(struct mailbox *mb)
{
	struct batch *b = mailbox_batch(mb);
	int status;

	put_sums(b, &mb->table, &(struct change){ .kind = CHANGE_ADD }, 1);
	status = mailbox_commit(mb, b, NULL);
	batch_free(&b);
	if (status == 1)
		quota_mailbox_changed(mb);
	return status;
}

enum result
mailbox_make(struct mailbox *mb, struct batch *b, struct change *changes,
    size_t count, ticket_t *ticket)
{
	struct text t = TEXT_INIT(0);
	size_t bytes = 0;
	ticket_t done = 0;

	for (size_t i = 0; i < count; i++) {
		struct change *c = &changes[i];

		c->modseq = mb->table.modseq + 1 + i;
		for (size_t r = 0; r < c->row_count; r++)
			c->rows[r].modseq = c->modseq;
		put_change(b, c, &t);
		bytes += t.n + 9;
	}
	text_free(&t);
	put_sums(b, &mb->table, changes, count);
	mailbox_delivery_sweep(mb, b);
	if (mailbox_commit(mb, b, &done) != 1)
		return result_of_errno();
	mailbox_delivery_swept(mb);
	for (size_t i = 0; i < count; i++) {
		table_apply(&mb->table, &changes[i]);
		if (changes[i].kind == CHANGE_ADD)
			digest_added(mb);
		if (changes[i].kind == CHANGE_EXPUNGE)
			digest_gone(mb, &changes[i].uids);
		if (changes[i].kind != CHANGE_FLAGS &&
		    changes[i].kind != CHANGE_SEEN)
			mb->structural = done;
	}
	mb->tail_bytes += bytes;
	if (ticket != NULL)
		*ticket = done;
	if (mb->structural == done)
		quota_mailbox_changed(mb);
	if (mb->structural == done)
		index_note(mb->owner->store, mailbox_id(mb));
	mailbox_fold_when_due(mb);
	watches_tell(mb, mb->table.modseq);
	return RESULT_OK;
}

enum result
mailbox_format(struct mailboxes *m, uint64_t id, uint64_t account,
    uint32_t uidvalidity)
{
	struct mailbox_head head = {
		.account = account, .uidvalidity = uidvalidity, .uidnext = 1,
		.modseq = 1,
	};
	struct key key = key_letter(MAILBOX_HEAD);
	struct batch *b = batch_new((struct partition){
	    PARTITION_MAILBOX, id });
	struct text t = TEXT_INIT(0);
	int status;

	head_encode(&t, &head);
	batch_put(b, key_span(&key), text_span(&t));
	put_sums(b, &(struct table){ 0 }, &(struct change){
	    .kind = CHANGE_ADD }, 1);
	status = engine_commit(m->store->engine, b, NULL);
	batch_free(&b);
	text_free(&t);
	return status == 1 ? RESULT_OK : result_of_errno();
}

/* ---- all of them ----------------------------------------------------- */

struct mailboxes *
mailboxes_new(struct store *store)
{
	struct mailboxes *m = xcalloc(1, sizeof(*m));

	m->store = store;
	m->open = shelf_new(&mailbox_kind, m,
	    store_settings(store)->store_mailbox_cache);
	m->names = shelf_new(&names_kind, m,
	    store_settings(store)->store_mailbox_cache / 4);
	m->access = cache_new(ACCESS_CACHED);
	m->watches = watches_new();
	m->maildrops = maildrops_new();
	m->followers = followers_new();
	pthread_mutex_init(&m->work_lock, NULL);
	pthread_mutex_init(&m->walk_lock, NULL);
	pthread_mutex_init(&m->shares_lock, NULL);
	return m;
}

void
mailboxes_free(struct mailboxes **mp)
{
	struct mailboxes *m = *mp;

	if (m == NULL)
		return;
	shelf_free(&m->open);
	shelf_free(&m->names);
	cache_free(&m->access);
	watches_free(&m->watches);
	maildrops_free(&m->maildrops);
	followers_free(&m->followers);
	free(m->work);
	pthread_mutex_destroy(&m->work_lock);
	pthread_mutex_destroy(&m->walk_lock);
	pthread_mutex_destroy(&m->shares_lock);
	free(m);
	*mp = NULL;
}

void
mailboxes_link_gone(struct mailboxes *m, uint64_t link)
{
	watches_remove_link(m->watches, link);
	maildrops_remove_link(m->maildrops, link);
	followers_remove_link(m->followers, link);
}

/*
 * engine_rocksdb_commit.c - the one way into the store.
 *
 * Threads that want to write queue up. The first of them leads: it takes all
 * who wait, checks their guards one after the other, puts what they bring
 * into one write of RocksDB, and wakes them; then the next in the queue
 * leads. So a batch costs one system call at most, its share of one when
 * many write, and versions are in the order of the log without a lock for
 * each partition. A ticket is the number RocksDB gave to the last change of
 * the group: the log counts them, so a crash cannot take one back unseen.
 *
 * What a write needs to read (a range to delete) is read by the leader, at
 * the head of its group: nothing is then between the log and what it sees.
 */
#include "store/engine_rocksdb.h"

#include <stdlib.h>

enum {
	GROUP_BYTES = 1 << 20,		/* a group is closed above it */
	SPACE_CHECKS = 16,		/* while the reserve would be written */
	SMALL = 1 << 10,		/* a change that adds little */
	SINGLE_DELETES = 512,		/* a range of more gets a tombstone */
};

void
committer_init(struct rocks *r)
{
	struct committer *c = &r->committer;

	must(pthread_mutex_init(&c->lock, NULL) == 0);
	c->last = &c->first;
	c->group = rocksdb_writebatch_create();
	c->versions = xcalloc(VERSION_CACHE, sizeof(*c->versions));
	c->unchecked = UINT64_MAX;
}

void
committer_free(struct rocks *r)
{
	struct committer *c = &r->committer;

	must(c->first == NULL && !c->led);
	rocksdb_writebatch_destroy(c->group);
	free(c->versions);
	pthread_mutex_destroy(&c->lock);
}

void
group_put(struct rocks *r, enum family f, struct span key, struct span value)
{
	rocksdb_writebatch_put_cf(r->committer.group, r->families[f], key.p,
	    key.n, value.n > 0 ? value.p : "", value.n);
}

void
group_delete(struct rocks *r, enum family f, struct span key)
{
	rocksdb_writebatch_delete_cf(r->committer.group, r->families[f],
	    key.p, key.n);
}

/* -- versions: on disk, and the leader's cache of them ---------------- */
static struct span
version_key(char out[VERSION_KEY], struct partition where)
{
	out[0] = FACT_VERSION;
	out[1] = (char)where.kind;
	put_be64(out + 2, where.id);
	return span_of(out, VERSION_KEY);
}

int
rocks_version(struct engine *e, struct partition where, uint64_t *version)
{
	char key[VERSION_KEY];
	rocksdb_pinnableslice_t *slice;
	struct span value;
	int found = rocks_read(rocks_of(e), FACTS, version_key(key, where),
	    &slice, &value);

	*version = 0;
	if (found != 1)
		return found == 0 ? 1 : -1;
	if (value.n == 8)
		*version = get_be64(value.p);
	else
		errno = EIO;
	rocksdb_pinnableslice_destroy(slice);
	return *version != 0 ? 1 : -1;
}

/* The slot of a partition, filled; NULL when it could not be read. */
static struct cached_version *
cached_version(struct rocks *r, struct partition where)
{
	uint64_t hash = (where.id + where.kind) * 0x9e3779b97f4a7c15u;
	struct cached_version *v =
	    &r->committer.versions[hash >> 50 & (VERSION_CACHE - 1)];

	if (v->known && v->where.id == where.id && v->where.kind == where.kind)
		return v;
	v->where = where;
	v->known = rocks_version(&r->engine, where, &v->version) == 1;
	return v->known ? v : NULL;
}

/* What the cache says may not have been written. */
static void
forget_versions(struct committer *c)
{
	memset(c->versions, 0, VERSION_CACHE * sizeof(*c->versions));
}

/* -- adding a batch to the group -------------------------------------- */
static bool
in_range(struct span key, struct span from, struct span to)
{
	return span_compare(key, from) >= 0 &&
	    (to.n == 0 || span_compare(key, to) < 0);
}

/* What this batch itself put into the range before. */
static void
add_delete_own(struct rocks *r, const struct batch *b, const struct op *range)
{
	struct whole_key k;

	for (const struct op *op = b->ops; op < range; op++)
		if (op->kind == OP_PUT &&
		    in_range(op->key, range->key, range->value))
			group_delete(r, RECORDS,
			    whole_key(&k, b->where, op->key));
}

/*
 * Keys are deleted one by one, since tombstones of ranges slow down every
 * reader near them; but not if there are very many.
 */
static int
add_delete_range(struct rocks *r, struct span from, struct span to)
{
	rocksdb_iterator_t *i = rocks_iterator(r, RECORDS);
	char *error = NULL;
	int count = 0;

	rocksdb_iter_seek(i, from.p, from.n);
	for (; rocksdb_iter_valid(i); rocksdb_iter_next(i)) {
		struct span key;

		key.p = rocksdb_iter_key(i, &key.n);
		if (span_compare(key, to) >= 0)
			break;
		if (++count > SINGLE_DELETES) {
			rocksdb_writebatch_delete_range_cf(r->committer.group,
			    r->families[RECORDS], from.p, from.n, to.p, to.n);
			break;
		}
		group_delete(r, RECORDS, key);
	}
	rocksdb_iter_get_error(i, &error);
	rocksdb_iter_destroy(i);
	return error == NULL ? 1 : rocks_error(error);
}

static int
add_op(struct rocks *r, const struct batch *b, const struct op *op)
{
	struct whole_key k, to;
	struct link_key link;

	switch (op->kind) {
	case OP_PUT:
		group_put(r, RECORDS, whole_key(&k, b->where, op->key),
		    op->value);
		break;
	case OP_DELETE:
		group_delete(r, RECORDS, whole_key(&k, b->where, op->key));
		break;
	case OP_DELETE_RANGE:
		add_delete_own(r, b, op);
		return add_delete_range(r, whole_key(&k, b->where, op->key),
		    whole_end(&to, b->where, op->value));
	case OP_BODY:
		group_body(r, op);
		break;
	case OP_LINK:
		group_put(r, LINKS, link_key(&link, &op->body, op->key),
		    SPAN_EMPTY);
		break;
	case OP_UNLINK:
		group_delete(r, LINKS, link_key(&link, &op->body, op->key));
		group_unlinked(r, &op->body);
		break;
	}
	return 1;
}

static int
add_batch(struct rocks *r, struct request *q)
{
	const struct batch *b = q->arg;
	struct cached_version *v = cached_version(r, b->where);
	char key[VERSION_KEY], value[8];

	if (v == NULL)
		return -1;
	if (b->guarded && b->expect != v->version)
		return 0;
	for (size_t i = 0; i < b->count; i++)
		if (add_op(r, b, &b->ops[i]) != 1)
			return -1;
	q->version = ++v->version;
	put_be64(value, q->version);
	group_put(r, FACTS, version_key(key, b->where),
	    span_of(value, sizeof(value)));
	return 1;
}

static int
add_drop(struct rocks *r, struct request *q)
{
	const struct partition *where = q->arg;
	struct cached_version *v = cached_version(r, *where);
	struct whole_key from_key, to_key;
	char key[VERSION_KEY];
	struct span from = whole_key(&from_key, *where, SPAN_EMPTY);
	struct span to = whole_end(&to_key, *where, SPAN_EMPTY);

	if (v == NULL || add_delete_range(r, from, to) != 1)
		return -1;
	v->version = 0;
	group_delete(r, FACTS, version_key(key, *where));
	return 1;
}

/* -- the leader ------------------------------------------------------- */
/*
 * RocksDB's own way out of a full disk is slow and loud: so we stop short of
 * it, while there is room to flush what is in memory. Small changes may use
 * half of that room: whoever deletes to make space must be able to.
 */
static int
check_space(struct rocks *r)
{
	struct committer *c = &r->committer;
	enum space before = c->space;
	uint64_t left;

	if (c->unchecked < r->reserve / SPACE_CHECKS && c->space == PLENTY)
		return 0;
	c->unchecked = 0;
	if (rocks_space(r, &left) != 0)
		return -1;
	c->space = left >= r->reserve ? PLENTY
	    : left >= r->reserve / 2 ? LITTLE : NONE;
	if (c->space > before)
		rocks_flush(r, false);	/* what the log holds is given back */
	return 0;
}

static int
may_write(struct rocks *r)
{
	if (!atomic_load(&r->syncer.failed))
		return check_space(r);
	errno = EIO;
	return -1;
}

static int
write_group(struct rocks *r)
{
	struct committer *c = &r->committer;
	char *error = NULL;
	size_t size;

	(void)rocksdb_writebatch_data(c->group, &size);
	if (rocks_fault(r, "commit.write") != 0)
		return -1;
	rocksdb_write(r->db, r->writing, c->group, &error);
	if (error != NULL)
		return rocks_error(error);
	c->unchecked += size;
	atomic_fetch_add(&r->bytes, size);
	atomic_store(&r->committed, rocksdb_get_latest_sequence_number(r->db));
	(void)rocks_fault(r, "commit.written");
	return 0;
}

/*
 * One request's part of the group. If it cannot be added whole, what it
 * began is taken back.
 */
static void
add_request(struct rocks *r, struct request *q)
{
	struct committer *c = &r->committer;
	char *error = NULL;

	if (c->space == NONE || (c->space == LITTLE && q->bytes > SMALL)) {
		q->result = -1;
		q->error = ENOSPC;
		return;
	}
	rocksdb_writebatch_set_save_point(c->group);
	q->result = q->add(r, q);
	if (q->result == 1) {
		rocksdb_writebatch_pop_save_point(c->group, &error);
	} else {
		q->error = errno;
		rocksdb_writebatch_rollback_to_save_point(c->group, &error);
	}
	must(error == NULL);
}

/* How many of them are in the group. */
static uint64_t
add_requests(struct rocks *r, struct request *first)
{
	uint64_t added = 0;

	rocksdb_writebatch_clear(r->committer.group);
	for (struct request *q = first; q != NULL; q = q->next) {
		add_request(r, q);
		added += q->result == 1;
	}
	return added;
}

static int
write_all(struct rocks *r, struct request *first)
{
	uint64_t added;

	if (may_write(r) != 0)
		return -1;
	added = add_requests(r, first);
	if (added == 0)
		return 0;
	if (write_group(r) != 0)
		return -1;
	for (struct request *q = first; q != NULL; q = q->next)
		q->ticket = atomic_load(&r->committed);
	atomic_fetch_add(&r->commits, added);
	syncer_notice(r);
	return 0;
}

static void
write_requests(struct rocks *r, struct request *first)
{
	if (write_all(r, first) == 0)
		return;
	for (struct request *q = first; q != NULL; q = q->next)
		if (q->result == 1) {
			q->result = -1;
			q->error = errno;
		}
	forget_versions(&r->committer);
}

/* Cut the next group off the queue. */
static struct request *
next_group(struct committer *c)
{
	struct request *first = c->first, *q = first;
	size_t bytes = q->bytes;

	while (q->next != NULL && !q->next->sees_all &&
	    bytes + q->next->bytes <= GROUP_BYTES) {
		q = q->next;
		bytes += q->bytes;
	}
	c->first = q->next;
	if (c->first == NULL)
		c->last = &c->first;
	q->next = NULL;
	return first;
}

/* Called and left with the lock held; the leader's own is the first. */
static void
lead(struct rocks *r)
{
	struct committer *c = &r->committer;
	struct request *first = next_group(c);

	must(pthread_mutex_unlock(&c->lock) == 0);
	write_requests(r, first);
	must(pthread_mutex_lock(&c->lock) == 0);
	for (struct request *q = first, *next; q != NULL; q = next) {
		next = q->next;
		q->finished = true;
		pthread_cond_signal(&q->woken);
	}
	c->led = c->first != NULL;
	if (c->led) {
		c->first->leads = true;
		pthread_cond_signal(&c->first->woken);
	}
}

int
rocks_submit(struct rocks *r, struct request *q)
{
	struct committer *c = &r->committer;

	q->result = 1;
	must(pthread_cond_init(&q->woken, NULL) == 0);
	must(pthread_mutex_lock(&c->lock) == 0);
	*c->last = q;
	c->last = &q->next;
	if (!c->led)
		c->led = q->leads = true;
	while (!q->finished && !q->leads)
		pthread_cond_wait(&q->woken, &c->lock);
	if (!q->finished)
		lead(r);
	must(pthread_mutex_unlock(&c->lock) == 0);
	pthread_cond_destroy(&q->woken);
	errno = q->error;
	return q->result;
}

/* -- the contract's side ---------------------------------------------- */
/* 1 when every body that is to be linked exists. links_lock is held. */
static int
links_only_bodies(struct rocks *r, const struct batch *b)
{
	rocksdb_pinnableslice_t *slice;
	struct span value;

	for (size_t i = 0; i < b->count; i++) {
		const struct op *op = &b->ops[i];
		int found;

		if (op->kind != OP_LINK || batch_stores(b, i, &op->body))
			continue;
		found = rocks_read(r, METAS, body_key(&op->body), &slice,
		    &value);
		if (found == 0)
			errno = ENOENT;
		if (found != 1)
			return -1;
		rocksdb_pinnableslice_destroy(slice);
	}
	return 1;
}

static bool
has(const struct batch *b, enum op_kind kind)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->ops[i].kind == kind)
			return true;
	return false;
}

int
rocks_commit(struct engine *e, struct batch *b, ticket_t *ticket,
    uint64_t *version)
{
	struct rocks *r = rocks_of(e);
	struct request q = { .add = add_batch, .arg = b, .bytes = b->bytes,
	    .sees_all = has(b, OP_DELETE_RANGE) };
	bool links = has(b, OP_LINK);
	int done = 1;

	if (links) {
		must(pthread_rwlock_rdlock(&r->links_lock) == 0);
		done = links_only_bodies(r, b);
	}
	if (done == 1)
		done = rocks_submit(r, &q);
	if (links)
		must(pthread_rwlock_unlock(&r->links_lock) == 0);
	if (done == 1) {
		*ticket = q.ticket;
		*version = q.version;
	}
	return done;
}

int
rocks_drop(struct engine *e, struct partition where, ticket_t *ticket)
{
	struct request q = { .add = add_drop, .arg = &where,
	    .sees_all = true };
	int done = rocks_submit(rocks_of(e), &q);

	if (done == 1)
		*ticket = q.ticket;
	return done;
}

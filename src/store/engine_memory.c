/*
 * engine_memory.c - the contract of a storage engine, said in the plainest
 * way that runs: sorted maps under one lock. Unit tests run on it, and the
 * other engines are measured by it. Nothing outlives engine_close(), so
 * every batch counts as durable at once.
 *
 *	records		kind, partition, key -> value
 *	versions	kind, partition -> version
 *	bodies		body id -> bytes
 *	metas		body id -> size, age, summary
 *	links		body id, holder -> nothing
 *	unlinked	body id -> nothing: what engine_collect() looks at
 */
#include "store/engine_impl.h"
#include "store/sorted.h"

#include <pthread.h>
#include <stdlib.h>

struct memory {
	struct engine engine;
	pthread_rwlock_t lock;
	struct sorted *records, *versions, *bodies, *metas, *links, *unlinked;
	ticket_t ticket;
	uint64_t bytes;
};

struct memory_scan {
	struct scan scan;
	struct sorted *view;		/* the keys as they stood */
	struct span next;		/* where to go on, in at */
	char at[WHOLE_KEY_MAX + 1];
};

struct memory_writer {
	struct body_writer writer;
	struct memory *memory;
	struct body_id id;
	struct text bytes;
};

static struct memory *
memory_of(struct engine *e)
{
	return (struct memory *)e;	/* the engine is its first member */
}

static struct memory *
read_lock(struct engine *e)
{
	must(pthread_rwlock_rdlock(&memory_of(e)->lock) == 0);
	return memory_of(e);
}

static struct memory *
write_lock(struct engine *e)
{
	must(pthread_rwlock_wrlock(&memory_of(e)->lock) == 0);
	return memory_of(e);
}

static void
unlock(struct memory *m)
{
	must(pthread_rwlock_unlock(&m->lock) == 0);
}

static void
memory_close(struct engine *e)
{
	struct memory *m = memory_of(e);

	sorted_free(&m->records);
	sorted_free(&m->versions);
	sorted_free(&m->bodies);
	sorted_free(&m->metas);
	sorted_free(&m->links);
	sorted_free(&m->unlinked);
	pthread_rwlock_destroy(&m->lock);
	free(m);
}

/* -- versions --------------------------------------------------------- */
static uint64_t
version_of(const struct memory *m, struct partition where)
{
	struct whole_key k;
	struct span v;

	return sorted_get(m->versions, whole_key(&k, where, SPAN_EMPTY), &v)
	    ? get_be64(v.p) : 0;
}

static uint64_t
raise_version(struct memory *m, struct partition where)
{
	struct whole_key k;
	char v[8];
	uint64_t version = version_of(m, where) + 1;

	put_be64(v, version);
	sorted_put(m->versions, whole_key(&k, where, SPAN_EMPTY),
	    span_of(v, sizeof(v)));
	return version;
}

/* -- bodies ----------------------------------------------------------- */
static bool
meta_of(const struct memory *m, const struct body_id *id,
    struct body_meta *meta)
{
	struct span s;

	if (!sorted_get(m->metas, body_key(id), &s))
		return false;
	must(body_meta_decode(s, meta) == 1);
	return true;
}

static void
set_meta(struct memory *m, const struct body_id *id,
    const struct body_meta *meta)
{
	struct text s = TEXT_INIT(0);

	body_meta_encode(meta, &s);
	sorted_put(m->metas, body_key(id), text_span(&s));
	text_free(&s);
}

static void
store_body(struct memory *m, const struct body_id *id, struct span bytes,
    struct span summary)
{
	struct body_meta meta = { .complete = true, .size = bytes.n,
	    .created = clock_wall(), .summary = summary };

	sorted_put(m->bodies, body_key(id), bytes);
	set_meta(m, id, &meta);
}

static bool
is_held(const struct memory *m, const struct body_id *id)
{
	struct span key;

	return sorted_seek(m->links, body_key(id), &key, NULL) &&
	    span_starts(key, body_key(id));
}

/* -- commit ----------------------------------------------------------- */
static bool
links_only_bodies(const struct memory *m, const struct batch *b)
{
	struct body_meta meta;

	for (size_t i = 0; i < b->count; i++)
		if (b->ops[i].kind == OP_LINK &&
		    !batch_stores(b, i, &b->ops[i].body) &&
		    !meta_of(m, &b->ops[i].body, &meta))
			return false;
	return true;
}

static void
delete_range(struct sorted *map, struct span from, struct span to)
{
	struct span key;

	while (sorted_seek(map, from, &key, NULL) &&
	    span_compare(key, to) < 0)
		sorted_remove(map, key);
}

static void
apply_body(struct memory *m, const struct op *op)
{
	struct text whole = TEXT_INIT(0);

	text_add(&whole, op->head);
	text_add(&whole, op->rest);
	store_body(m, &op->body, text_span(&whole), op->value);
	text_free(&whole);
}

static void
apply(struct memory *m, struct partition where, const struct op *op)
{
	struct whole_key k, to;
	struct link_key link;

	switch (op->kind) {
	case OP_PUT:
		sorted_put(m->records, whole_key(&k, where, op->key),
		    op->value);
		break;
	case OP_DELETE:
		sorted_remove(m->records, whole_key(&k, where, op->key));
		break;
	case OP_DELETE_RANGE:
		delete_range(m->records, whole_key(&k, where, op->key),
		    whole_end(&to, where, op->value));
		break;
	case OP_BODY:
		apply_body(m, op);
		break;
	case OP_LINK:
		sorted_put(m->links, link_key(&link, &op->body, op->key),
		    SPAN_EMPTY);
		break;
	case OP_UNLINK:
		sorted_remove(m->links, link_key(&link, &op->body, op->key));
		sorted_put(m->unlinked, body_key(&op->body), SPAN_EMPTY);
		break;
	}
}

static int
memory_commit(struct engine *e, struct batch *b, ticket_t *ticket,
    uint64_t *version)
{
	struct memory *m = write_lock(e);
	int done = 1;

	if (b->guarded && version_of(m, b->where) != b->expect) {
		done = 0;
	} else if (!links_only_bodies(m, b)) {
		errno = ENOENT;
		done = -1;
	} else {
		for (size_t i = 0; i < b->count; i++)
			apply(m, b->where, &b->ops[i]);
		*version = raise_version(m, b->where);
		*ticket = ++m->ticket;
		m->bytes += b->bytes;
	}
	unlock(m);
	return done;
}

static int
memory_sync(struct engine *e, ticket_t ticket)
{
	(void)e, (void)ticket;
	return 1;
}

static bool
memory_is_durable(struct engine *e, ticket_t ticket)
{
	(void)e, (void)ticket;
	return true;
}

static int
memory_drop(struct engine *e, struct partition where, ticket_t *ticket)
{
	struct memory *m = write_lock(e);
	struct whole_key k, to;

	delete_range(m->records, whole_key(&k, where, SPAN_EMPTY),
	    whole_end(&to, where, SPAN_EMPTY));
	sorted_remove(m->versions, whole_key(&k, where, SPAN_EMPTY));
	*ticket = ++m->ticket;
	unlock(m);
	return 1;
}

/* -- reading ---------------------------------------------------------- */
static int
into_arena(struct arena *arena, struct span s, struct span *out)
{
	*out = arena_dup(arena, s);
	if (out->p != NULL)
		return 1;
	errno = EFBIG;
	return -1;
}

static int
memory_get(struct engine *e, struct partition where, struct span key,
    struct arena *arena, struct span *value)
{
	struct memory *m = read_lock(e);
	struct whole_key k;
	struct span s;
	int found = 0;

	if (sorted_get(m->records, whole_key(&k, where, key), &s))
		found = into_arena(arena, s, value);
	unlock(m);
	return found;
}

static int
memory_version(struct engine *e, struct partition where, uint64_t *version)
{
	struct memory *m = read_lock(e);

	*version = version_of(m, where);
	unlock(m);
	return 1;
}

/* The least key above `key`. */
static struct span
key_above(char out[WHOLE_KEY_MAX + 1], struct span key)
{
	memcpy(out, key.p, key.n);
	out[key.n] = '\0';
	return span_of(out, key.n + 1);
}

static struct scan *
memory_scan_open(struct engine *e, struct partition where, struct span from,
    struct span to)
{
	struct memory *m = read_lock(e);
	struct memory_scan *s = xcalloc(1, sizeof(*s));
	struct whole_key from_key, to_key;
	struct span at = whole_key(&from_key, where, from);
	struct span end = whole_end(&to_key, where, to), key, value;

	s->scan.ops = e->ops;
	s->view = sorted_new();
	while (sorted_seek(m->records, at, &key, &value) &&
	    span_compare(key, end) < 0) {
		sorted_put(s->view, key, value);
		at = key_above(s->at, key);
	}
	s->next = SPAN_EMPTY;
	unlock(m);
	return &s->scan;
}

static int
memory_scan_next(struct scan *scan, struct span *key, struct span *value)
{
	struct memory_scan *s = (struct memory_scan *)scan;
	struct span whole;

	if (!sorted_seek(s->view, s->next, &whole, value))
		return 0;
	s->next = key_above(s->at, whole);
	*key = span_from(whole, PREFIX_SIZE);
	return 1;
}

static void
memory_scan_close(struct scan *scan)
{
	struct memory_scan *s = (struct memory_scan *)scan;

	sorted_free(&s->view);
	free(s);
}

static int
memory_next_partition(struct engine *e, uint8_t kind, uint64_t after,
    uint64_t *id)
{
	struct memory *m = read_lock(e);
	struct partition first = { .kind = kind, .id = after + 1 };
	struct whole_key k;
	struct span key;
	int found = 0;

	if (sorted_seek(m->records, whole_key(&k, first, SPAN_EMPTY), &key,
	    NULL) && (uint8_t)key.p[0] == kind) {
		*id = get_be64(key.p + 1);
		found = 1;
	}
	unlock(m);
	return found;
}

/* -- bodies, from outside --------------------------------------------- */
static struct body_writer *
memory_writer_open(struct engine *e, struct body_id id)
{
	struct memory_writer *w = xcalloc(1, sizeof(*w));

	w->writer.ops = e->ops;
	w->memory = memory_of(e);
	w->id = id;
	w->bytes = TEXT_INIT(0);
	return &w->writer;
}

static int
memory_write(struct body_writer *writer, struct span chunk)
{
	text_add(&((struct memory_writer *)writer)->bytes, chunk);
	return 1;
}

static void
memory_writer_abort(struct body_writer *writer)
{
	struct memory_writer *w = (struct memory_writer *)writer;

	text_free(&w->bytes);
	free(w);
}

static int
memory_writer_finish(struct body_writer *writer, struct span summary)
{
	struct memory_writer *w = (struct memory_writer *)writer;
	struct memory *m = write_lock(&w->memory->engine);

	store_body(m, &w->id, text_span(&w->bytes), summary);
	m->ticket++;
	m->bytes += w->bytes.n;
	unlock(m);
	memory_writer_abort(writer);
	return 1;
}

static int
memory_body_size(struct engine *e, struct body_id id, uint64_t *size)
{
	struct memory *m = read_lock(e);
	struct body_meta meta;
	int found = meta_of(m, &id, &meta);

	if (found == 1)
		*size = meta.size;
	unlock(m);
	return found;
}

static int
memory_body_read(struct engine *e, struct body_id id, uint64_t from,
    uint64_t n, struct text *out)
{
	struct memory *m = read_lock(e);
	struct span bytes;
	int found = sorted_get(m->bodies, body_key(&id), &bytes);

	if (found == 1)
		text_add(out, span_sub(bytes, from, n));
	unlock(m);
	if (!text_full(out))
		return found;
	errno = EFBIG;
	return -1;
}

static int
memory_body_summary(struct engine *e, struct body_id id, struct arena *arena,
    struct span *summary)
{
	struct memory *m = read_lock(e);
	struct body_meta meta;
	int found = meta_of(m, &id, &meta);

	if (found == 1)
		found = into_arena(arena, meta.summary, summary);
	unlock(m);
	return found;
}

static int
memory_body_set_summary(struct engine *e, struct body_id id,
    struct span summary)
{
	struct memory *m = write_lock(e);
	struct body_meta meta;
	int found = meta_of(m, &id, &meta);

	if (found == 1) {
		meta.summary = summary;
		set_meta(m, &id, &meta);
		m->ticket++;
	}
	unlock(m);
	return found;
}

static int
memory_body_linked(struct engine *e, struct body_id id, struct span holder)
{
	struct memory *m = read_lock(e);
	struct link_key k;
	int found = sorted_get(m->links, link_key(&k, &id, holder), NULL);

	unlock(m);
	return found;
}

static int
memory_next_link(struct engine *e, struct span after, struct arena *arena,
    struct span *key)
{
	struct memory *m = read_lock(e);
	char from[LINK_KEY_MAX + 1];
	struct span found;
	int status = 0;

	memcpy(from, after.p, after.n);
	from[after.n] = '\0';
	if (sorted_seek(m->links, span_of(from, after.n + 1), &found, NULL)) {
		*key = arena_dup(arena, found);
		status = key->p != NULL ? 1 : -1;
		errno = EFBIG;
	}
	unlock(m);
	return status;
}

/* Remove a body if nothing holds it; `key` may be an entry's own. */
static int64_t
collect_one(struct memory *m, struct span key)
{
	struct body_id id;

	memcpy(id.b, key.p, sizeof(id.b));
	if (is_held(m, &id))
		return 0;
	sorted_remove(m->bodies, body_key(&id));
	return sorted_remove(m->metas, body_key(&id)) ? 1 : 0;
}

static int64_t
collect_old(struct memory *m, walltime_t before)
{
	char room[WHOLE_KEY_MAX + 1];
	struct span at = SPAN_EMPTY, key, value;
	struct body_meta meta;
	int64_t gone = 0;

	while (sorted_seek(m->metas, at, &key, &value)) {
		at = key_above(room, key);
		must(body_meta_decode(value, &meta) == 1);
		if (meta.created < before)
			gone += collect_one(m, key);
	}
	return gone;
}

static int64_t
memory_collect(struct engine *e, bool whole, int64_t age_ms)
{
	struct memory *m = write_lock(e);
	struct span key;
	int64_t gone = 0;

	while (sorted_seek(m->unlinked, SPAN_EMPTY, &key, NULL)) {
		gone += collect_one(m, key);
		sorted_remove(m->unlinked, key);
	}
	if (whole)
		gone += collect_old(m, clock_wall() - age_ms * 1000);
	unlock(m);
	return gone;
}

/* -- keeping ---------------------------------------------------------- */
static int
memory_checkpoint(struct engine *e, const char *path, struct text *why)
{
	(void)e, (void)path;
	text_str(why, "a store in memory has nothing to copy");
	errno = ENOTSUP;
	return -1;
}

static int
memory_verify(struct engine *e,
    void (*progress)(void *, uint64_t done, uint64_t total), void *arg,
    struct text *why)
{
	(void)e, (void)why;
	if (progress != NULL)
		progress(arg, 1, 1);
	return 1;
}

static void
memory_stats(struct engine *e, struct engine_stats *out)
{
	struct memory *m = read_lock(e);

	out->commits = m->ticket;
	out->bytes_written = m->bytes;
	out->bodies = sorted_count(m->metas);
	unlock(m);
}

static const struct engine_ops memory_ops = {
	.close = memory_close,
	.commit = memory_commit,
	.sync = memory_sync,
	.is_durable = memory_is_durable,
	.get = memory_get,
	.version = memory_version,
	.scan_open = memory_scan_open,
	.scan_next = memory_scan_next,
	.scan_close = memory_scan_close,
	.next_partition = memory_next_partition,
	.drop = memory_drop,
	.writer_open = memory_writer_open,
	.write = memory_write,
	.writer_finish = memory_writer_finish,
	.writer_abort = memory_writer_abort,
	.body_size = memory_body_size,
	.body_read = memory_body_read,
	.body_summary = memory_body_summary,
	.body_set_summary = memory_body_set_summary,
	.body_linked = memory_body_linked,
	.next_link = memory_next_link,
	.collect = memory_collect,
	.checkpoint = memory_checkpoint,
	.verify = memory_verify,
	.stats = memory_stats,
};

struct engine *
engine_memory_open(void)
{
	struct memory *m = xcalloc(1, sizeof(*m));

	m->engine.ops = &memory_ops;
	must(pthread_rwlock_init(&m->lock, NULL) == 0);
	m->records = sorted_new();
	m->versions = sorted_new();
	m->bodies = sorted_new();
	m->metas = sorted_new();
	m->links = sorted_new();
	m->unlinked = sorted_new();
	return &m->engine;
}

/*
 * engine_rocksdb_body.c - bodies, their links, and collecting them.
 *
 *	METAS	body id -> size, age, summary		(engine_impl.h)
 *	BODIES	body id, chunk number -> bytes		a small body is chunk 0
 *	LINKS	body id, holder -> nothing
 *	FACTS	'u', count, body id -> nothing		unlinked: to look at
 *
 * A body is there when its record says complete. A writer first leaves an
 * incomplete one, so that the chunks of a writer that died can be found.
 */
#include "store/engine_rocksdb.h"

#include <stdlib.h>

enum { COLLECT_STEP = 64 };	/* bodies deleted in one write */

struct rocks_writer {
	struct body_writer writer;
	struct rocks *rocks;
	struct body_id id;
	struct text chunk;		/* not yet written */
	uint32_t chunks;		/* written */
	walltime_t created;
};

static struct span
chunk_key(char out[CHUNK_KEY], const struct body_id *id, uint32_t number)
{
	memcpy(out, id->b, sizeof(id->b));
	for (int i = 0; i < 4; i++)
		out[sizeof(id->b) + i] = (char)(number >> (24 - 8 * i));
	return span_of(out, CHUNK_KEY);
}

static uint32_t
chunk_count(uint64_t size)
{
	return (uint32_t)((size + CHUNK - 1) / CHUNK);
}

/* -- adding to a group; in the leader --------------------------------- */
static void
group_meta(struct rocks *r, const struct body_id *id,
    const struct body_meta *meta)
{
	struct text record = TEXT_INIT(0);

	body_meta_encode(meta, &record);
	group_put(r, METAS, body_key(id), text_span(&record));
	text_free(&record);
}

void
group_body(struct rocks *r, const struct op *op)
{
	struct body_meta meta = { .complete = true,
	    .size = op->head.n + op->rest.n, .created = clock_wall(),
	    .summary = op->value };
	char room[CHUNK_KEY];
	struct span key = chunk_key(room, &op->body, 0);
	const char *parts[] = { op->head.n > 0 ? op->head.p : "",
	    op->rest.n > 0 ? op->rest.p : "" };
	const size_t sizes[] = { op->head.n, op->rest.n };

	group_meta(r, &op->body, &meta);
	if (meta.size > 0)
		rocksdb_writebatch_putv_cf(r->committer.group,
		    r->families[BODIES], 1, &key.p, &key.n, 2, parts, sizes);
}

static struct span
unlinked_key(char out[UNLINKED_KEY], ticket_t after, const struct body_id *id)
{
	out[0] = FACT_UNLINKED;
	put_be64(out + 1, after);
	memcpy(out + 9, id->b, sizeof(id->b));
	return span_of(out, UNLINKED_KEY);
}

/* In the order of time, so that what was looked at lies behind. */
void
group_unlinked(struct rocks *r, const struct body_id *id)
{
	char key[UNLINKED_KEY];

	group_put(r, FACTS, unlinked_key(key, atomic_load(&r->committed), id),
	    SPAN_EMPTY);
}

/* -- writing in chunks ------------------------------------------------ */
struct chunk_write {
	struct rocks_writer *writer;
	struct span summary;
	bool last;
};

static int
add_chunk(struct rocks *r, struct request *q)
{
	const struct chunk_write *c = q->arg;
	struct rocks_writer *w = c->writer;
	struct body_meta meta = { .complete = c->last, .created = w->created,
	    .size = (uint64_t)w->chunks * CHUNK + w->chunk.n,
	    .summary = c->summary };
	char key[CHUNK_KEY];

	if (w->chunk.n > 0)
		group_put(r, BODIES, chunk_key(key, &w->id, w->chunks),
		    text_span(&w->chunk));
	group_meta(r, &w->id, &meta);
	return 1;
}

static int
write_chunk(struct rocks_writer *w, struct span summary, bool last)
{
	struct chunk_write c = { w, summary, last };
	struct request q = { .add = add_chunk, .arg = &c,
	    .bytes = w->chunk.n + summary.n };
	int done = rocks_fault(w->rocks, "body.chunk");

	if (done == 0)
		done = rocks_submit(w->rocks, &q);
	w->chunks++;
	text_clear(&w->chunk);
	return done;
}

struct body_writer *
rocks_writer_open(struct engine *e, struct body_id id)
{
	struct rocks_writer *w = xcalloc(1, sizeof(*w));

	w->writer.ops = e->ops;
	w->rocks = rocks_of(e);
	w->id = id;
	w->chunk = TEXT_INIT(CHUNK);
	w->created = clock_wall();
	return &w->writer;
}

int
rocks_write(struct body_writer *writer, struct span data)
{
	struct rocks_writer *w = (struct rocks_writer *)writer;

	while (data.n > 0) {
		struct span part = span_sub(data, 0, CHUNK - w->chunk.n);

		text_add(&w->chunk, part);
		data = span_from(data, part.n);
		if (w->chunk.n == CHUNK &&
		    write_chunk(w, SPAN_EMPTY, false) != 1)
			return -1;
	}
	return 1;
}

static void
writer_free(struct rocks_writer *w)
{
	text_free(&w->chunk);
	free(w);
}

int
rocks_writer_finish(struct body_writer *writer, struct span summary)
{
	struct rocks_writer *w = (struct rocks_writer *)writer;
	int done = write_chunk(w, summary, true);

	writer_free(w);
	return done;
}

static int
add_abandon(struct rocks *r, struct request *q)
{
	const struct rocks_writer *w = q->arg;
	char key[CHUNK_KEY];

	for (uint32_t i = 0; i < w->chunks; i++)
		group_delete(r, BODIES, chunk_key(key, &w->id, i));
	group_delete(r, METAS, body_key(&w->id));
	return 1;
}

/* Should this fail, a whole collection finds the rest. */
void
rocks_writer_abort(struct body_writer *writer)
{
	struct rocks_writer *w = (struct rocks_writer *)writer;
	struct request q = { .add = add_abandon, .arg = w };

	if (w->chunks > 0)
		(void)rocks_submit(w->rocks, &q);
	writer_free(w);
}

/* -- reading ---------------------------------------------------------- */
int
rocks_meta(struct rocks *r, const struct body_id *id,
    rocksdb_pinnableslice_t **slice, struct body_meta *meta)
{
	struct span value;
	int found = rocks_read(r, METAS, body_key(id), slice, &value);

	if (found != 1)
		return found;
	if (body_meta_decode(value, meta) != 1) {
		errno = EIO;
		found = -1;
	} else if (!meta->complete) {
		found = 0;
	}
	if (found != 1)
		rocksdb_pinnableslice_destroy(*slice);
	return found;
}

int
rocks_body_size(struct engine *e, struct body_id id, uint64_t *size)
{
	rocksdb_pinnableslice_t *slice;
	struct body_meta meta;
	int found = rocks_meta(rocks_of(e), &id, &slice, &meta);

	if (found != 1)
		return found;
	*size = meta.size;
	rocksdb_pinnableslice_destroy(slice);
	return 1;
}

/* From `skip` on n bytes of one chunk, which must be there. */
static int
read_chunk(struct rocks *r, struct span key, size_t skip, size_t n,
    struct text *out)
{
	rocksdb_pinnableslice_t *slice;
	struct span value = SPAN_EMPTY;
	int found = rocks_read(r, BODIES, key, &slice, &value);
	bool whole = value.n >= skip + n;

	if (found == 1 && whole)
		text_add(out, span_sub(value, skip, n));
	if (found == 1)
		rocksdb_pinnableslice_destroy(slice);
	if (found >= 0 && !whole)
		errno = EIO;
	return found == 1 && whole ? 1 : -1;
}

/*
 * A first chunk that is not full is all there is, and was written with its
 * record: no need to look at that. 1 it was so, 0 look, -1.
 */
static int
read_small(struct rocks *r, const struct body_id *id, uint64_t from,
    uint64_t n, struct text *out)
{
	char key[CHUNK_KEY];
	rocksdb_pinnableslice_t *slice;
	struct span value = SPAN_EMPTY;
	int found = rocks_read(r, BODIES, chunk_key(key, id, 0), &slice,
	    &value);

	if (found != 1)
		return found;
	if (value.n < CHUNK)
		text_add(out, span_sub(value, (size_t)MIN(from, value.n),
		    (size_t)MIN(n, value.n)));
	rocksdb_pinnableslice_destroy(slice);
	return value.n < CHUNK;
}

static int
read_chunks(struct rocks *r, const struct body_id *id, uint64_t from,
    uint64_t n, struct text *out)
{
	uint64_t size = 0;
	char key[CHUNK_KEY];
	int found = rocks_body_size(&r->engine, *id, &size);

	if (found != 1)
		return found;
	from = MIN(from, size);
	n = MIN(n, size - from);
	while (n > 0) {
		size_t skip = (size_t)(from % CHUNK);
		size_t part = (size_t)MIN(n, CHUNK - skip);

		if (read_chunk(r, chunk_key(key, id,
		    (uint32_t)(from / CHUNK)), skip, part, out) != 1)
			return -1;
		from += part;
		n -= part;
	}
	return 1;
}

int
rocks_body_read(struct engine *e, struct body_id id, uint64_t from,
    uint64_t n, struct text *out)
{
	struct rocks *r = rocks_of(e);
	int done = from < CHUNK ? read_small(r, &id, from, n, out) : 0;

	if (done == 0)
		done = read_chunks(r, &id, from, n, out);
	if (done != 1 || !text_full(out))
		return done;
	errno = EFBIG;
	return -1;
}

int
rocks_body_summary(struct engine *e, struct body_id id, struct arena *arena,
    struct span *summary)
{
	rocksdb_pinnableslice_t *slice;
	struct body_meta meta;
	int found = rocks_meta(rocks_of(e), &id, &slice, &meta);

	if (found != 1)
		return found;
	*summary = arena_dup(arena, meta.summary);
	rocksdb_pinnableslice_destroy(slice);
	if (summary->p != NULL)
		return 1;
	errno = EFBIG;
	return -1;
}

struct summary_write {
	const struct body_id *id;
	struct body_meta meta;
};

static int
add_summary(struct rocks *r, struct request *q)
{
	const struct summary_write *s = q->arg;

	group_meta(r, s->id, &s->meta);
	return 1;
}

/* The lock keeps the body from being collected in between. */
int
rocks_body_set_summary(struct engine *e, struct body_id id,
    struct span summary)
{
	struct rocks *r = rocks_of(e);
	struct summary_write s = { .id = &id };
	struct request q = { .add = add_summary, .arg = &s,
	    .bytes = summary.n };
	rocksdb_pinnableslice_t *slice;
	int done;

	must(pthread_rwlock_rdlock(&r->links_lock) == 0);
	done = rocks_meta(r, &id, &slice, &s.meta);
	if (done == 1) {
		rocksdb_pinnableslice_destroy(slice);
		s.meta.summary = summary;
		done = rocks_submit(r, &q);
	}
	must(pthread_rwlock_unlock(&r->links_lock) == 0);
	return done;
}

int
rocks_body_linked(struct engine *e, struct body_id id, struct span holder)
{
	rocksdb_pinnableslice_t *slice;
	struct link_key k;
	struct span value;
	int found = rocks_read(rocks_of(e), LINKS,
	    link_key(&k, &id, holder), &slice, &value);

	if (found == 1)
		rocksdb_pinnableslice_destroy(slice);
	return found;
}

int
rocks_next_link(struct engine *e, struct span after, struct arena *arena,
    struct span *key)
{
	rocksdb_iterator_t *i = rocks_iterator(rocks_of(e), LINKS);
	char from[LINK_KEY_MAX + 1], *error = NULL;
	struct span found;
	int status = 0;

	memcpy(from, after.p, after.n);
	from[after.n] = '\0';
	rocksdb_iter_seek(i, from, after.n + 1);
	if (rocksdb_iter_valid(i)) {
		found.p = rocksdb_iter_key(i, &found.n);
		*key = arena_dup(arena, found);
		status = key->p != NULL ? 1 : -1;
		errno = EFBIG;
	} else {
		rocksdb_iter_get_error(i, &error);
		status = error == NULL ? 0 : rocks_error(error);
	}
	rocksdb_iter_destroy(i);
	return status;
}

/* -- collecting ------------------------------------------------------- */
/* A step: what was looked at, and which of it is to go. */
struct collection {
	struct {
		ticket_t ticket;	/* 0: not from FACT_UNLINKED */
		struct body_id id;
		bool gone, partial;
		uint64_t size;
	} bodies[COLLECT_STEP];
	size_t count;
	int64_t gone;
};

static int
add_collection(struct rocks *r, struct request *q)
{
	const struct collection *c = q->arg;
	char key[UNLINKED_KEY], first[CHUNK_KEY], last[CHUNK_KEY];

	for (size_t i = 0; i < c->count; i++) {
		const struct body_id *id = &c->bodies[i].id;

		if (c->bodies[i].ticket != 0)
			group_delete(r, FACTS, unlinked_key(key,
			    c->bodies[i].ticket, id));
		if (!c->bodies[i].gone)
			continue;
		group_delete(r, METAS, body_key(id));
		if (c->bodies[i].partial) {
			chunk_key(first, id, 0);
			chunk_key(last, id, UINT32_MAX);
			rocksdb_writebatch_delete_range_cf(r->committer.group,
			    r->families[BODIES], first, CHUNK_KEY, last,
			    CHUNK_KEY);
			continue;
		}
		for (uint32_t n = 0; n < chunk_count(c->bodies[i].size); n++)
			group_delete(r, BODIES, chunk_key(first, id, n));
	}
	return 1;
}

/* 1 when something links to it; the iterator is over LINKS. */
static int
is_held(rocksdb_iterator_t *links, const struct body_id *id)
{
	char *error = NULL;
	struct span key;

	rocksdb_iter_seek(links, (const char *)id->b, sizeof(id->b));
	if (rocksdb_iter_valid(links)) {
		key.p = rocksdb_iter_key(links, &key.n);
		return span_starts(key, body_key(id));
	}
	rocksdb_iter_get_error(links, &error);
	return error == NULL ? 0 : rocks_error(error);
}

/* Did this step decide to remove the body already? */
static bool
is_gone(const struct collection *c, size_t n, const struct body_id *id)
{
	for (size_t i = 0; i < n; i++)
		if (c->bodies[i].gone &&
		    memcmp(&c->bodies[i].id, id, sizeof(*id)) == 0)
			return true;
	return false;
}

/* Decide about one body: 1 decided, -1. */
static int
judge(struct rocks *r, struct collection *c, size_t i,
    rocksdb_iterator_t *links)
{
	rocksdb_pinnableslice_t *slice;
	struct body_meta meta;
	struct span value;
	int held = is_held(links, &c->bodies[i].id);
	int found;

	if (held != 0 || is_gone(c, i, &c->bodies[i].id))
		return held < 0 ? -1 : 1;
	found = rocks_read(r, METAS, body_key(&c->bodies[i].id), &slice,
	    &value);
	if (found != 1)
		return found == 0 ? 1 : -1;
	if (body_meta_decode(value, &meta) == 1) {
		c->bodies[i].gone = true;
		c->bodies[i].partial = !meta.complete;
		c->bodies[i].size = meta.size;
		c->gone++;
	} else {
		errno = EIO;
		found = -1;
	}
	rocksdb_pinnableslice_destroy(slice);
	return found;
}

/* No batch may link to a body between the look and the deletion. */
static int
collect_step(struct rocks *r, struct collection *c)
{
	struct request q = { .add = add_collection, .arg = c };
	rocksdb_iterator_t *links;
	int done = 1;

	if (c->count == 0)
		return 1;
	must(pthread_rwlock_wrlock(&r->links_lock) == 0);
	links = rocks_iterator(r, LINKS);
	for (size_t i = 0; i < c->count && done == 1; i++)
		done = judge(r, c, i, links);
	rocksdb_iter_destroy(links);
	if (done == 1 && rocks_fault(r, "collect") == 0)
		done = rocks_submit(r, &q);
	must(pthread_rwlock_unlock(&r->links_lock) == 0);
	return done;
}

/* Fill a step from the walk; false at its end. */
typedef bool (*next_body)(rocksdb_iterator_t *, struct collection *,
    walltime_t before);

static bool
next_unlinked(rocksdb_iterator_t *i, struct collection *c, walltime_t before)
{
	struct span key;

	(void)before;
	if (!rocksdb_iter_valid(i))
		return false;
	key.p = rocksdb_iter_key(i, &key.n);
	if (key.n != UNLINKED_KEY || key.p[0] != FACT_UNLINKED)
		return false;
	c->bodies[c->count].ticket = get_be64(key.p + 1);
	memcpy(&c->bodies[c->count++].id, key.p + 9, sizeof(struct body_id));
	return true;
}

static bool
next_old(rocksdb_iterator_t *i, struct collection *c, walltime_t before)
{
	struct body_meta meta;
	struct span key, value;

	if (!rocksdb_iter_valid(i))
		return false;
	key.p = rocksdb_iter_key(i, &key.n);
	value.p = rocksdb_iter_value(i, &value.n);
	if (key.n == sizeof(struct body_id) &&
	    body_meta_decode(value, &meta) == 1 && meta.created < before)
		memcpy(&c->bodies[c->count++].id, key.p, key.n);
	return true;
}

static int
collect_walk(struct rocks *r, rocksdb_iterator_t *i, next_body next,
    walltime_t before, int64_t *gone)
{
	struct collection *c = xmalloc(sizeof(*c));
	char *error = NULL;
	bool more = true;
	int done = 1;

	while (more && done == 1) {
		memset(c, 0, sizeof(*c));
		while (c->count < COLLECT_STEP &&
		    (more = next(i, c, before)))
			rocksdb_iter_next(i);
		done = collect_step(r, c);
		if (done == 1)
			*gone += c->gone;
	}
	free(c);
	rocksdb_iter_get_error(i, &error);
	return error == NULL ? done : rocks_error(error);
}

/* Entries before `collected` are deleted: not to step over their traces. */
static int
collect_unlinked(struct rocks *r, int64_t *gone)
{
	ticket_t upto = atomic_load(&r->committed);
	rocksdb_iterator_t *i = rocks_iterator(r, FACTS);
	char key[UNLINKED_KEY];
	int done;

	unlinked_key(key, r->collected, &(struct body_id){ { 0 } });
	rocksdb_iter_seek(i, key, sizeof(key));
	done = collect_walk(r, i, next_unlinked, 0, gone);
	rocksdb_iter_destroy(i);
	if (done == 1)
		r->collected = upto;
	return done;
}

static int
collect_old(struct rocks *r, walltime_t before, int64_t *gone)
{
	rocksdb_iterator_t *i = rocks_iterator(r, METAS);
	int done;

	rocksdb_iter_seek_to_first(i);
	done = collect_walk(r, i, next_old, before, gone);
	rocksdb_iter_destroy(i);
	return done;
}

int64_t
rocks_collect(struct engine *e, bool whole, int64_t age_ms)
{
	struct rocks *r = rocks_of(e);
	int64_t gone = 0;
	int done;

	must(pthread_mutex_lock(&r->collecting) == 0);
	done = collect_unlinked(r, &gone);
	if (done == 1 && whole)
		done = collect_old(r, clock_wall() - age_ms * 1000, &gone);
	must(pthread_mutex_unlock(&r->collecting) == 0);
	return done == 1 ? gone : -1;
}

/*
 * index_cache.c - pages of segments, by need.
 */
#include "role/index_cache.h"
#include "base/map.h"
#include "ipc/wire.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
	PAGE = 256 << 10,		/* as the store keeps them */
	CALL_BYTES = 16 << 20,		/* of one call */
	CALL_RANGES = 1024,
};

struct cached {
	uint64_t id;
	char *base;
	uint32_t size;
	uint64_t *loaded;		/* a bit a page */
	uint32_t pages;			/* of them */
	unsigned pins;
	bool checked;			/* its documents are in order */
	struct cached *newer, *older;
};

static struct {
	struct map *by_id;
	struct cached *newest, *oldest;
	uint64_t bytes, limit;
} cache;

/* ---- which there are ------------------------------------------------- */

static void
unlink_cached(struct cached *c)
{
	if (c->newer != NULL)
		c->newer->older = c->older;
	else
		cache.newest = c->older;
	if (c->older != NULL)
		c->older->newer = c->newer;
	else
		cache.oldest = c->newer;
	c->newer = c->older = NULL;
}

static void
link_newest(struct cached *c)
{
	c->older = cache.newest;
	if (cache.newest != NULL)
		cache.newest->newer = c;
	else
		cache.oldest = c;
	cache.newest = c;
}

static void
free_cached(struct cached *c)
{
	map_remove(cache.by_id, span_of(&c->id, sizeof(c->id)));
	unlink_cached(c);
	cache.bytes -= (uint64_t)c->pages * PAGE;
	munmap(c->base, c->size);
	free(c->loaded);
	free(c);
}

static void
shrink(uint64_t limit)
{
	struct cached *c = cache.oldest, *newer;

	for (; c != NULL && cache.bytes > limit; c = newer) {
		newer = c->newer;
		if (c->pins == 0)
			free_cached(c);
	}
}

static struct cached *
new_cached(uint64_t id, uint32_t size)
{
	struct cached *c = xcalloc(1, sizeof(*c));

	c->id = id;
	c->size = size;
	c->base = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c->base == MAP_FAILED) {
		free(c);
		return NULL;
	}
	c->loaded = xcalloc((size_t)size / PAGE / 64 + 1,
	    sizeof(*c->loaded));
	map_put(cache.by_id, span_of(&c->id, sizeof(c->id)), c);
	link_newest(c);
	return c;
}

/* ---- pages ----------------------------------------------------------- */

static bool
is_loaded(const struct cached *c, uint32_t page)
{
	return (c->loaded[page / 64] >> page % 64 & 1) != 0;
}

static void
set_loaded(struct cached *c, uint32_t page)
{
	if (is_loaded(c, page))
		return;
	c->loaded[page / 64] |= UINT64_C(1) << page % 64;
	c->pages++;
	cache.bytes += PAGE;
}

/* Ranges of whole pages that are on their way. */
struct wanted {
	struct text records;
	struct { uint32_t from, to; } pages[CALL_RANGES];
	size_t n;
	uint64_t bytes;
};

static uint64_t
page_end(const struct cached *c, uint32_t page)
{
	return MIN((uint64_t)page * PAGE, (uint64_t)c->size);
}

/* What came, to its place. */
static int
take_bytes(struct cached *c, const struct wanted *w, struct span data)
{
	for (size_t i = 0; i < w->n; i++) {
		uint64_t from = (uint64_t)w->pages[i].from * PAGE;
		uint64_t n = page_end(c, w->pages[i].to) - from;

		if (data.n < n)
			return -1;
		memcpy(c->base + from, data.p, n);
		data = span_from(data, n);
		for (uint32_t p = w->pages[i].from; p < w->pages[i].to; p++)
			set_loaded(c, p);
	}
	return 1;
}

static int
fetch(struct index_reader *r, struct wanted *w)
{
	struct index_read_request q = { .grant = r->grant, .lease = r->lease,
		.mailbox = r->mailbox, .ranges = BLOB_OF(SPAN_EMPTY) };
	struct index_read_reply reply;
	int status, answered;

	if (w->n == 0)
		return 1;
	q.ranges = BLOB_OF(text_span(&w->records));
	answered = call_index_read(r->store, r->arena, &q, &reply);
	r->result = reply.result;
	status = answered == 1 && reply.result == RESULT_OK ? 1 : -1;
	if (status == 1 && take_bytes(r->cached, w, reply.data.bytes) != 1) {
		r->result = RESULT_TEMPORARY;
		status = -1;
	}
	if (answered == 1)
		blob_release(&reply.data);
	w->n = 0;
	w->bytes = 0;
	text_clear(&w->records);
	return status;
}

static int
want(struct index_reader *r, struct wanted *w, uint32_t from, uint32_t to)
{
	struct cached *c = r->cached;
	uint64_t n = page_end(c, to) - (uint64_t)from * PAGE;

	if ((w->n == CALL_RANGES || w->bytes + n > CALL_BYTES) &&
	    fetch(r, w) != 1)
		return -1;
	w->pages[w->n].from = from;
	w->pages[w->n++].to = to;
	w->bytes += n;
	index_range_put(&w->records, &(struct index_range){ .segment = c->id,
	    .from = (uint64_t)from * PAGE, .count = n });
	return 1;
}

/* The missing pages of a range, as runs that one call can carry. */
static int
want_range(struct index_reader *r, struct wanted *w,
    const struct segment_range *range)
{
	uint32_t page = range->from / PAGE, from;
	uint32_t end = (uint32_t)(((uint64_t)range->from + range->n + PAGE - 1)
	    / PAGE);
	int status = 1;

	while (status == 1 && page < end) {
		for (; page < end && is_loaded(r->cached, page); page++)
			;
		for (from = page; page < end && !is_loaded(r->cached, page) &&
		    (page - from) < CALL_BYTES / PAGE; page++)
			;
		if (page > from)
			status = want(r, w, from, page);
	}
	return status;
}

static int
need(void *arg, const struct segment_range *ranges, size_t n)
{
	struct index_reader *r = arg;
	struct wanted *w = xcalloc(1, sizeof(*w));
	int status = 1;

	for (size_t i = 0; status == 1 && i < n; i++)
		if (ranges[i].n > 0)
			status = want_range(r, w, &ranges[i]);
	if (status == 1)
		status = fetch(r, w);
	text_free(&w->records);
	free(w);
	return status;
}

/* ---- taking ---------------------------------------------------------- */

/* Once: what a search trusts. */
static int
check(struct cached *c, struct segment *s)
{
	if (segment_open(s) != 1)
		return -1;
	if (c->checked)
		return 1;
	if (segment_need_documents(s) != 1 || segment_check_documents(s) != 1)
		return -1;
	c->checked = true;
	return 1;
}

int
index_cache_take(const struct index_segment *which, struct index_reader *r,
    struct segment *s)
{
	struct cached *c;

	if (cache.by_id == NULL)
		cache.by_id = map_new();
	c = map_get(cache.by_id, span_of(&which->segment,
	    sizeof(which->segment)));
	r->cached = NULL;
	r->result = RESULT_OK;
	if (which->size < SEGMENT_HEAD || which->size > INT32_MAX)
		return 0;
	if (c == NULL)
		c = new_cached(which->segment, (uint32_t)which->size);
	if (c == NULL) {
		r->result = RESULT_TEMPORARY;
		return -1;
	}
	unlink_cached(c);
	link_newest(c);
	c->pins++;
	r->cached = c;
	*s = (struct segment){ .base = c->base, .size = c->size,
		.need = need, .arg = r };
	if (check(c, s) == 1)
		return 1;
	index_cache_put(r);
	return r->result == RESULT_OK || r->result == RESULT_DAMAGED ? 0 : -1;
}

void
index_cache_put(struct index_reader *r)
{
	if (r->cached == NULL)
		return;
	r->cached->pins--;
	r->cached = NULL;
	shrink(cache.limit);
}

void
index_cache_relieve(struct index_reader *r)
{
	struct cached *c = r->cached;

	shrink(cache.limit);
	if (cache.bytes <= cache.limit || c->pins > 1)
		return;
	madvise(c->base, c->size, MADV_DONTNEED);
	memset(c->loaded, 0, ((size_t)c->size / PAGE / 64 + 1) *
	    sizeof(*c->loaded));
	cache.bytes -= (uint64_t)c->pages * PAGE;
	c->pages = 0;
}

void
index_cache_limit(uint64_t bytes)
{
	cache.limit = bytes;
	shrink(bytes);
}

uint64_t
index_cache_bytes(void)
{
	return cache.bytes;
}

void
index_cache_free(void)
{
	shrink(0);
	map_free(&cache.by_id);
}

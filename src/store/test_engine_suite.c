/*
 * test_engine_suite.c - the contract of engine.h, checked on every engine.
 *
 * Each test runs once for each row of kinds[]. What only an engine on a disk
 * can promise is in test_engine_crash.c.
 */
#include "store/test_engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct fixture {
	const struct kind *kind;
	struct engine *engine;
	char path[256];
};

struct kind {
	const char *name;
	struct engine *(*open)(struct fixture *);
	bool lasts;			/* survives engine_close() */
};

static struct engine *
open_memory(struct fixture *f)
{
	(void)f;
	return engine_memory_open();
}

static struct engine *
open_rocksdb(struct fixture *f)
{
	return test_open(f->path, NULL);
}

static const struct kind kinds[] = {
	{ "memory", open_memory, false },
	{ "rocksdb", open_rocksdb, true },
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->kind = *state;
	test_directory(f->path);
	f->engine = f->kind->open(f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	engine_close(&f->engine);
	test_remove(f->path);
	free(f);
	return 0;
}

static struct engine *
engine_of(void **state)
{
	return ((struct fixture *)*state)->engine;
}

static const struct partition here = { .kind = 4, .id = 7 };

/* -- shorthand -------------------------------------------------------- */
static int
commit(struct engine *e, struct batch *b)
{
	ticket_t ticket = 0;
	int error, done = engine_commit(e, b, &ticket);

	error = errno;
	if (done == 1) {
		assert_true(ticket > 0);
		assert_int_equal(engine_sync(e, ticket), 1);
		assert_true(engine_is_durable(e, ticket));
	}
	batch_free(&b);
	errno = error;
	return done;
}

static void
put(struct engine *e, struct partition where, const char *key,
    const char *value)
{
	struct batch *b = batch_new(where);

	batch_put(b, span_str(key), span_str(value));
	assert_int_equal(commit(e, b), 1);
}

static bool
holds(struct engine *e, struct partition where, struct span key,
    struct span value)
{
	struct arena *a = arena_new(2 << 20);
	struct span got;
	int found = engine_get(e, where, key, a, &got);
	bool same = found == 1 && span_eq(got, value);

	arena_free(&a);
	return same;
}

static int
get_status(struct engine *e, struct partition where, const char *key)
{
	struct arena *a = arena_new(2 << 20);
	struct span got;
	int found = engine_get(e, where, span_str(key), a, &got);

	arena_free(&a);
	return found;
}

/* All keys of a range in one line: "a b c". */
static void
expect_keys(struct engine *e, struct partition where, const char *from,
    const char *to, const char *keys)
{
	struct scan *s = scan_open(e, where, span_str(from), span_str(to));
	struct text got = TEXT_INIT(0);
	struct span key, value;

	while (scan_next(s, &key, &value) == 1) {
		if (got.n > 0)
			text_char(&got, ' ');
		text_add(&got, key);
	}
	scan_close(&s);
	text_char(&got, '\0');
	assert_string_equal(got.p, keys);
	text_free(&got);
}

static uint64_t
version_of(struct engine *e, struct partition where)
{
	uint64_t version = 99;

	assert_int_equal(engine_version(e, where, &version), 1);
	return version;
}

/* -- records ---------------------------------------------------------- */
static void
puts_gets_and_deletes(void **state)
{
	struct engine *e = engine_of(state);
	struct batch *b = batch_new(here);
	struct span binary = span_of("\0\xff\r\n", 4);

	batch_put(b, SPAN("a"), SPAN("1"));
	batch_put(b, SPAN("empty"), SPAN_EMPTY);
	batch_put(b, binary, binary);
	assert_int_equal(commit(e, b), 1);
	assert_true(holds(e, here, SPAN("a"), SPAN("1")));
	assert_true(holds(e, here, SPAN("empty"), SPAN_EMPTY));
	assert_true(holds(e, here, binary, binary));
	assert_int_equal(get_status(e, here, "b"), 0);

	b = batch_new(here);
	batch_delete(b, SPAN("a"));
	batch_delete(b, SPAN("never there"));
	batch_put(b, SPAN("empty"), SPAN("no more"));
	assert_int_equal(commit(e, b), 1);
	assert_int_equal(get_status(e, here, "a"), 0);
	assert_true(holds(e, here, SPAN("empty"), SPAN("no more")));
}

static void
applies_operations_in_order(void **state)
{
	struct engine *e = engine_of(state);
	struct batch *b = batch_new(here);

	put(e, here, "b", "old");
	batch_put(b, SPAN("a"), SPAN("1"));
	batch_put(b, SPAN("c"), SPAN("1"));
	batch_delete_range(b, SPAN("a"), SPAN("c"));
	batch_put(b, SPAN("a"), SPAN("2"));
	batch_delete(b, SPAN("c"));
	batch_put(b, SPAN("c"), SPAN("3"));
	assert_int_equal(commit(e, b), 1);
	expect_keys(e, here, "", "", "a c");
	assert_true(holds(e, here, SPAN("a"), SPAN("2")));
	assert_true(holds(e, here, SPAN("c"), SPAN("3")));
}

static void
scans_ranges(void **state)
{
	struct engine *e = engine_of(state);
	const char *const keys[] = { "b", "a", "ab", "c", "aa" };
	struct partition before = { 4, 6 }, after = { 4, 8 };
	struct partition last = { 4, UINT64_MAX }, next_kind = { 5, 0 };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		put(e, here, keys[i], "");
	put(e, before, "x", "");
	put(e, after, "y", "");
	put(e, last, "z", "");
	put(e, next_kind, "w", "");
	expect_keys(e, here, "", "", "a aa ab b c");
	expect_keys(e, here, "aa", "b", "aa ab");
	expect_keys(e, here, "aaa", "", "ab b c");
	expect_keys(e, here, "b", "b", "");
	expect_keys(e, here, "c", "a", "");
	expect_keys(e, here, "d", "", "");
	expect_keys(e, last, "", "", "z");
	expect_keys(e, next_kind, "", "", "w");
	expect_keys(e, (struct partition){ 9, 1 }, "", "", "");
}

static void
scans_one_moment(void **state)
{
	struct engine *e = engine_of(state);
	struct scan *s;
	struct span key, value;
	struct batch *b = batch_new(here);

	put(e, here, "a", "1");
	put(e, here, "b", "1");
	s = scan_open(e, here, SPAN_EMPTY, SPAN_EMPTY);
	batch_delete_range(b, SPAN_EMPTY, SPAN_EMPTY);
	batch_put(b, SPAN("c"), SPAN("2"));
	assert_int_equal(commit(e, b), 1);
	assert_int_equal(scan_next(s, &key, &value), 1);
	assert_true(span_is(key, "a") && span_is(value, "1"));
	assert_int_equal(scan_next(s, &key, &value), 1);
	assert_true(span_is(key, "b"));
	assert_int_equal(scan_next(s, &key, &value), 0);
	assert_int_equal(scan_next(s, &key, &value), 0);
	scan_close(&s);
	expect_keys(e, here, "", "", "c");
}

static void
deletes_long_ranges(void **state)
{
	struct engine *e = engine_of(state);
	struct batch *b = batch_new(here);
	char key[16];

	for (int i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "k%04d", i);
		batch_put(b, span_str(key), SPAN("v"));
	}
	assert_int_equal(commit(e, b), 1);
	b = batch_new(here);
	batch_delete_range(b, SPAN("k0001"), SPAN("k1998"));
	assert_int_equal(commit(e, b), 1);
	expect_keys(e, here, "", "", "k0000 k1998 k1999");
	put(e, here, "k1000", "again");
	expect_keys(e, here, "", "", "k0000 k1000 k1998 k1999");
}

/* -- versions --------------------------------------------------------- */
static void
guards_with_versions(void **state)
{
	struct engine *e = engine_of(state);
	struct batch *b = batch_new(here);

	assert_int_equal(version_of(e, here), 0);
	batch_expect(b, 1);
	batch_put(b, SPAN("a"), SPAN("no"));
	assert_int_equal(commit(e, b), 0);
	assert_int_equal(get_status(e, here, "a"), 0);
	assert_int_equal(version_of(e, here), 0);

	b = batch_new(here);
	batch_expect(b, 0);
	batch_put(b, SPAN("a"), SPAN("1"));
	assert_int_equal(engine_commit(e, b, NULL), 1);
	assert_int_equal(engine_commit(e, b, NULL), 0);
	batch_free(&b);
	put(e, here, "b", "");
	assert_int_equal(version_of(e, here), 2);
	assert_int_equal(version_of(e, (struct partition){ 4, 8 }), 0);
}

static void
raises_versions_of_empty_batches(void **state)
{
	struct engine *e = engine_of(state);

	assert_int_equal(commit(e, batch_new(here)), 1);
	assert_int_equal(version_of(e, here), 1);
}

static void
drops_partitions(void **state)
{
	struct engine *e = engine_of(state);
	struct partition other = { 4, 8 };
	struct batch *b = batch_new(here);
	ticket_t ticket;

	put(e, here, "a", "");
	put(e, here, "b", "");
	put(e, other, "a", "");
	assert_int_equal(engine_drop_partition(e, here, &ticket), 1);
	assert_int_equal(engine_sync(e, ticket), 1);
	expect_keys(e, here, "", "", "");
	expect_keys(e, other, "", "", "a");
	assert_int_equal(version_of(e, here), 0);
	batch_expect(b, 2);
	assert_int_equal(commit(e, b), 0);
	put(e, here, "c", "");
	expect_keys(e, here, "", "", "c");
	assert_int_equal(version_of(e, here), 1);
}

static void
finds_partitions(void **state)
{
	struct engine *e = engine_of(state);
	const uint64_t ids[] = { 3, 1000, UINT64_MAX };
	uint64_t at = 0;

	put(e, (struct partition){ 5, 4 }, "other kind", "");
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		put(e, (struct partition){ 4, ids[i] }, "k", "");
	assert_int_equal(commit(e, batch_new((struct partition){ 4, 5 })), 1);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		assert_int_equal(engine_next_partition(e, 4, at, &at), 1);
		assert_true(at == ids[i]);
	}
	assert_int_equal(engine_next_partition(e, 4, at, &at), 0);
	assert_int_equal(engine_next_partition(e, 6, 0, &at), 0);
}

/* -- limits ----------------------------------------------------------- */
static void
expect_too_large(struct engine *e, struct batch *b)
{
	batch_put(b, SPAN("beside"), SPAN("it"));
	errno = 0;
	assert_int_equal(commit(e, b), -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(get_status(e, here, "beside"), 0);
	assert_int_equal(version_of(e, here), 0);
}

static void
refuses_what_is_too_large(void **state)
{
	struct engine *e = engine_of(state);
	static char big[ENGINE_VALUE_MAX + 1];
	struct batch *b = batch_new(here);

	batch_put(b, span_of(big, ENGINE_KEY_MAX + 1), SPAN("v"));
	expect_too_large(e, b);
	b = batch_new(here);
	batch_put(b, SPAN("k"), span_of(big, sizeof(big)));
	expect_too_large(e, b);
	b = batch_new(here);
	batch_body(b, test_body_id(1), span_of(big, ENGINE_BODY_INLINE),
	    span_of(big, 1), SPAN_EMPTY);
	expect_too_large(e, b);
	b = batch_new(here);
	for (int i = 0; i <= ENGINE_BATCH_MAX / ENGINE_VALUE_MAX; i++)
		batch_put(b, span_of(&i, sizeof(i)),
		    span_of(big, ENGINE_VALUE_MAX));
	expect_too_large(e, b);
}

static void
takes_what_is_just_not_too_large(void **state)
{
	struct engine *e = engine_of(state);
	static char big[ENGINE_VALUE_MAX];
	struct batch *b = batch_new(here);
	struct arena *small = arena_new(1000);
	struct span key = span_of(big, ENGINE_KEY_MAX), value;
	uint64_t size;

	batch_put(b, key, span_of(big, ENGINE_VALUE_MAX));
	batch_body(b, test_body_id(1), span_of(big, ENGINE_BODY_INLINE),
	    SPAN_EMPTY, SPAN_EMPTY);
	assert_int_equal(commit(e, b), 1);
	assert_true(holds(e, here, key, span_of(big, ENGINE_VALUE_MAX)));
	assert_int_equal(engine_body_size(e, test_body_id(1), &size), 1);
	assert_int_equal(size, ENGINE_BODY_INLINE);
	assert_int_equal(engine_get(e, here, key, small, &value), -1);
	assert_int_equal(errno, EFBIG);
	arena_free(&small);
}

/* -- bodies ----------------------------------------------------------- */
static void
expect_body(struct engine *e, struct body_id id, struct span all,
    uint64_t from, uint64_t n)
{
	struct text got = TEXT_INIT(0);

	assert_int_equal(engine_body_read(e, id, from, n, &got), 1);
	assert_true(span_eq(text_span(&got),
	    span_sub(all, (size_t)MIN(from, all.n), (size_t)MIN(n, all.n))));
	text_free(&got);
}

static void
keeps_small_bodies(void **state)
{
	struct engine *e = engine_of(state);
	struct batch *b = batch_new(here);
	struct arena *a = arena_new(4096);
	struct text small = TEXT_INIT(3);
	struct body_id one = test_body_id(1), none = test_body_id(2);
	struct span all = SPAN("Received: x\r\nSubject: y\r\n"), summary;
	uint64_t size;

	batch_body(b, one, span_sub(all, 0, 13), span_from(all, 13),
	    SPAN("summary"));
	batch_body(b, test_body_id(3), SPAN_EMPTY, SPAN_EMPTY, SPAN_EMPTY);
	assert_int_equal(commit(e, b), 1);
	assert_int_equal(engine_body_size(e, one, &size), 1);
	assert_int_equal(size, all.n);
	expect_body(e, one, all, 0, UINT64_MAX);
	expect_body(e, one, all, 5, 10);
	expect_body(e, one, all, all.n - 1, 10);
	expect_body(e, one, all, all.n + 5, 10);
	assert_int_equal(engine_body_read(e, one, 0, 4, &small), -1);
	assert_int_equal(errno, EFBIG);
	text_free(&small);
	assert_int_equal(engine_body_summary(e, one, a, &summary), 1);
	assert_true(span_is(summary, "summary"));
	assert_int_equal(engine_body_set_summary(e, one, SPAN("new")), 1);
	assert_int_equal(engine_body_summary(e, one, a, &summary), 1);
	assert_true(span_is(summary, "new"));
	expect_body(e, one, all, 0, UINT64_MAX);
	expect_body(e, test_body_id(3), SPAN_EMPTY, 0, UINT64_MAX);

	assert_int_equal(engine_body_size(e, none, &size), 0);
	assert_int_equal(engine_body_read(e, none, 0, 1, &small), 0);
	assert_int_equal(engine_body_summary(e, none, a, &summary), 0);
	assert_int_equal(engine_body_set_summary(e, none, SPAN("s")), 0);
	arena_free(&a);
}

enum { CHUNK = 256 << 10 };	/* where an engine might cut */

static void
stream_body(struct engine *e, struct body_id id, struct span all, size_t part)
{
	struct body_writer *w = body_writer_open(e, id);
	uint64_t size;

	for (size_t at = 0; at < all.n; at += part)
		assert_int_equal(body_write(w, span_sub(all, at, part)), 1);
	assert_int_equal(engine_body_size(e, id, &size), 0);
	assert_int_equal(body_writer_finish(&w, SPAN("large")), 1);
	assert_null(w);
	assert_int_equal(engine_body_size(e, id, &size), 1);
	assert_int_equal(size, all.n);
	expect_body(e, id, all, 0, UINT64_MAX);
	expect_body(e, id, all, CHUNK - 3, 6);
	expect_body(e, id, all, all.n / 2, CHUNK + 2);
}

static void
copy_body(struct engine *e, struct body_id id, struct span all)
{
	int fd = memfd_create("body", MFD_CLOEXEC);
	char *copy;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "head", 4), 4);
	assert_int_equal(engine_body_copy(e, id, fd), 1);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 4 + (off_t)all.n);
	copy = mmap(NULL, 4 + all.n, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(copy != MAP_FAILED);
	assert_true(span_eq(span_of(copy + 4, all.n), all));
	munmap(copy, 4 + all.n);
	close(fd);
}

static void
streams_large_bodies(void **state)
{
	struct engine *e = engine_of(state);
	const size_t sizes[] = { 0, 1, CHUNK - 1, CHUNK, CHUNK + 1,
	    2 * CHUNK, 3 * CHUNK + 5 };
	char *bytes = malloc(4 * CHUNK);

	assert_non_null(bytes);
	for (size_t i = 0; i < 4 * CHUNK; i++)
		bytes[i] = (char)(i * 2654435761u >> 13);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct span all = span_of(bytes, sizes[i]);

		stream_body(e, test_body_id((uint32_t)i), all,
		    i % 2 == 0 ? 10007 : SIZE_MAX / 2);
		copy_body(e, test_body_id((uint32_t)i), all);
	}
	free(bytes);
}

static void
forgets_aborted_bodies(void **state)
{
	struct engine *e = engine_of(state);
	struct body_id id = test_body_id(9);
	struct body_writer *w = body_writer_open(e, id);
	struct text got = TEXT_INIT(0);
	static char bytes[3 * CHUNK];
	uint64_t size;

	assert_int_equal(body_write(w, span_of(bytes, sizeof(bytes))), 1);
	body_writer_abort(&w);
	assert_null(w);
	assert_int_equal(engine_body_size(e, id, &size), 0);
	assert_int_equal(engine_body_read(e, id, 0, 1, &got), 0);
	stream_body(e, id, SPAN("another"), 3);
}

/* -- links ------------------------------------------------------------ */
static int
link_body(struct engine *e, struct body_id id, const char *holder)
{
	struct batch *b = batch_new(here);

	batch_put(b, SPAN("linked"), span_str(holder));
	batch_link(b, id, span_str(holder));
	return commit(e, b);
}

static void
unlink_body(struct engine *e, struct body_id id, const char *holder)
{
	struct batch *b = batch_new(here);

	batch_unlink(b, id, span_str(holder));
	assert_int_equal(commit(e, b), 1);
}

static void
store_body(struct engine *e, struct body_id id, const char *holder)
{
	struct batch *b = batch_new(here);

	batch_body(b, id, SPAN("body"), SPAN_EMPTY, SPAN_EMPTY);
	if (holder != NULL)
		batch_link(b, id, span_str(holder));
	assert_int_equal(commit(e, b), 1);
}

static int
body_status(struct engine *e, struct body_id id)
{
	uint64_t size;

	return engine_body_size(e, id, &size);
}

static void
links_only_what_is_there(void **state)
{
	struct engine *e = engine_of(state);

	assert_int_equal(link_body(e, test_body_id(1), "x"), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(get_status(e, here, "linked"), 0);
	assert_int_equal(version_of(e, here), 0);
	assert_int_equal(engine_body_linked(e, test_body_id(1), SPAN("x")), 0);
}

static void
collects_what_nothing_links_to(void **state)
{
	struct engine *e = engine_of(state);
	struct body_id a = test_body_id(1), b = test_body_id(2);

	store_body(e, a, "queue");
	store_body(e, b, "queue");
	assert_int_equal(link_body(e, a, "mailbox"), 1);
	assert_int_equal(link_body(e, a, "mailbox"), 1);
	assert_int_equal(engine_body_linked(e, a, SPAN("mailbox")), 1);
	assert_int_equal(engine_body_linked(e, a, SPAN("mail")), 0);
	unlink_body(e, a, "queue");
	unlink_body(e, a, "queue");
	assert_int_equal(engine_collect(e, false, 0), 0);
	assert_int_equal(body_status(e, a), 1);
	unlink_body(e, a, "mailbox");
	assert_int_equal(body_status(e, a), 1);
	assert_int_equal(engine_collect(e, false, 0), 1);
	assert_int_equal(body_status(e, a), 0);
	assert_int_equal(body_status(e, b), 1);
	assert_int_equal(engine_collect(e, false, 0), 0);
	assert_int_equal(link_body(e, a, "again"), -1);
}

static void
walks_all_links(void **state)
{
	struct engine *e = engine_of(state);
	struct arena *arena = arena_new(4096);
	struct body_id at = { { 0 } };
	struct span holder = SPAN_EMPTY;
	static const struct {
		int body;
		const char *holder;
	} links[] = { { 1, "a" }, { 1, "ab" }, { 1, "b" }, { 2, "a" } };

	store_body(e, test_body_id(1), "b");
	store_body(e, test_body_id(2), "a");
	assert_int_equal(link_body(e, test_body_id(1), "ab"), 1);
	assert_int_equal(link_body(e, test_body_id(1), "a"), 1);
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		struct body_id body = test_body_id(links[i].body);

		assert_int_equal(engine_next_link(e, arena, &at, &holder), 1);
		assert_memory_equal(&at, &body, sizeof(at));
		assert_true(span_is(holder, links[i].holder));
	}
	assert_int_equal(engine_next_link(e, arena, &at, &holder), 0);
	arena_free(&arena);
}

static void
collects_the_never_linked(void **state)
{
	struct engine *e = engine_of(state);
	const walltime_t hour = (walltime_t)3600 * 1000000;
	struct body_id old = test_body_id(1), held = test_body_id(2);
	struct body_id young = test_body_id(3), dead = test_body_id(4);
	static char bytes[2 * CHUNK];
	struct body_writer *w;

	clock_test_set((monotime_t){ 0 }, 10 * hour);
	store_body(e, old, NULL);
	store_body(e, held, "mailbox");
	w = body_writer_open(e, dead);	/* and never finished */
	assert_int_equal(body_write(w, span_of(bytes, sizeof(bytes))), 1);
	clock_test_set((monotime_t){ 0 }, 12 * hour);
	store_body(e, young, NULL);
	assert_int_equal(engine_collect(e, false, 0), 0);
	assert_true(engine_collect(e, true, 3600 * 1000) >= 1);
	assert_int_equal(body_status(e, old), 0);
	assert_int_equal(body_status(e, held), 1);
	assert_int_equal(body_status(e, young), 1);
	body_writer_abort(&w);
	clock_test_clear();
}

/* More bodies than one step of a collection, and the rest stays. */
static void
collects_many(void **state)
{
	struct engine *e = engine_of(state);

	for (uint32_t i = 0; i < 300; i++)
		store_body(e, test_body_id(i), "queue");
	for (uint32_t i = 0; i < 300; i += 2)
		unlink_body(e, test_body_id(i), "queue");
	assert_int_equal(engine_collect(e, true, 3600 * 1000), 150);
	for (uint32_t i = 0; i < 300; i++)
		assert_int_equal(body_status(e, test_body_id(i)), i % 2);
}

/* -- watching, keeping ------------------------------------------------ */
struct watched {
	struct partition where;
	uint64_t version;
	int count;
};

static void
note_change(void *arg, struct partition where, uint64_t version)
{
	struct watched *w = arg;

	w->where = where;
	w->version = version;
	w->count++;
}

static void
tells_the_watcher(void **state)
{
	struct engine *e = engine_of(state);
	struct watched seen = { .count = 0 };
	struct batch *b = batch_new(here);

	engine_watch(e, note_change, &seen);
	put(e, here, "a", "");
	put(e, here, "b", "");
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.where.id, here.id);
	assert_int_equal(seen.version, 2);
	batch_expect(b, 1);
	assert_int_equal(commit(e, b), 0);
	assert_int_equal(seen.count, 2);
	assert_int_equal(engine_drop_partition(e, here, NULL), 1);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.version, 0);
	engine_watch(e, NULL, NULL);
}

static void
makes_everything_durable_by_itself(void **state)
{
	struct engine *e = engine_of(state);
	struct batch *b = batch_new(here);
	monotime_t end = clock_after(10000);
	ticket_t ticket;

	batch_put(b, SPAN("a"), SPAN("1"));
	assert_int_equal(engine_commit(e, b, &ticket), 1);
	batch_free(&b);
	while (!engine_is_durable(e, ticket)) {
		assert_true(mono_before(clock_mono(), end));
		usleep(1000);
	}
	assert_true(engine_is_durable(e, 0));
	assert_int_equal(engine_sync(e, 0), 1);
}

static void
verifies_and_counts(void **state)
{
	struct engine *e = engine_of(state);
	struct engine_stats stats;
	struct text why = TEXT_INIT(1024);

	store_body(e, test_body_id(1), "queue");
	put(e, here, "a", "1");
	assert_int_equal(engine_verify(e, NULL, NULL, &why), 1);
	engine_stats(e, &stats);
	assert_int_equal(stats.commits, 2);
	assert_int_equal(stats.bodies, 1);
	assert_true(stats.bytes_written > 0);
	text_free(&why);
}

/* -- over a restart --------------------------------------------------- */
static struct engine *
reopen(void *arg, struct engine *e)
{
	struct fixture *f = arg;

	engine_close(&e);
	f->engine = f->kind->open(f);
	return f->engine;
}

static void
lasts(void **state)
{
	struct fixture *f = *state;
	struct engine *e = f->engine;
	struct text why = TEXT_INIT(1024);

	put(e, here, "a", "1");
	store_body(e, test_body_id(1), "queue");
	store_body(e, test_body_id(2), "queue");
	unlink_body(e, test_body_id(2), "queue");
	for (int i = 0; i < 2; i++) {
		e = reopen(f, e);
		assert_true(holds(e, here, SPAN("a"), SPAN("1")));
		assert_int_equal(version_of(e, here), 4);
		assert_int_equal(body_status(e, test_body_id(1)), 1);
		assert_int_equal(engine_body_linked(e, test_body_id(1),
		    SPAN("queue")), 1);
	}
	assert_int_equal(engine_collect(e, false, 0), 1);
	assert_int_equal(body_status(e, test_body_id(2)), 0);
	assert_int_equal(engine_verify(e, NULL, NULL, &why), 1);
	text_free(&why);
}

static void
agrees_with_the_model(void **state)
{
	struct fixture *f = *state;

	test_against_model(&f->engine, f->kind->lasts ? reopen : NULL, f);
}

static void
copies_itself(void **state)
{
	struct fixture *f = *state;
	char path[300];
	struct text why = TEXT_INIT(1024);
	struct engine *copy;

	put(f->engine, here, "a", "1");
	store_body(f->engine, test_body_id(1), "queue");
	snprintf(path, sizeof(path), "%s/copy", f->path);
	assert_int_equal(engine_checkpoint(f->engine, path, &why), 1);
	assert_int_equal(engine_checkpoint(f->engine, path, &why), -1);
	put(f->engine, here, "a", "2");
	copy = test_open(path, NULL);
	assert_true(holds(copy, here, SPAN("a"), SPAN("1")));
	assert_int_equal(version_of(copy, here), 2);
	expect_body(copy, test_body_id(1), SPAN("body"), 0, UINT64_MAX);
	put(copy, here, "b", "its own");
	engine_close(&copy);
	assert_int_equal(get_status(f->engine, here, "b"), 0);
	text_free(&why);
}

/* -- threads ---------------------------------------------------------- */
enum { WORKERS = 6, ROUNDS = 120 };

struct worker {
	struct engine *engine;
	uint32_t number;
	atomic_bool *stop;
	pthread_t thread;
};

/* Two keys that every batch sets to the same value, guarded. */
static void
count_up(struct engine *e)
{
	struct arena *a = arena_new(4096);
	uint64_t n, version;
	struct span value;
	struct batch *b;
	int done = 0;

	while (done == 0) {
		n = 0;
		must(engine_version(e, here, &version) == 1);
		if (engine_get(e, here, SPAN("a"), a, &value) == 1)
			memcpy(&n, value.p, sizeof(n));
		n++;
		b = batch_new(here);
		batch_expect(b, version);
		batch_put(b, SPAN("a"), span_of(&n, sizeof(n)));
		batch_put(b, SPAN("b"), span_of(&n, sizeof(n)));
		done = commit(e, b);
		arena_reset(a);
	}
	must(done == 1);
	arena_free(&a);
}

/* A body goes from the queue to a mailbox, while others collect. */
static void
move_body(struct engine *e, uint32_t number)
{
	struct partition own = { 4, 100 + number % WORKERS };
	struct body_id id = test_body_id(number);
	struct batch *b = batch_new(own);

	batch_body(b, id, SPAN("body"), SPAN_EMPTY, SPAN_EMPTY);
	batch_link(b, id, SPAN("queue"));
	must(commit(e, b) == 1);
	b = batch_new(own);
	batch_link(b, id, SPAN("mailbox"));
	must(engine_commit(e, b, NULL) == 1);
	batch_free(&b);
	b = batch_new(own);
	batch_unlink(b, id, SPAN("queue"));
	must(engine_commit(e, b, NULL) == 1);
	batch_free(&b);
	if (number % 3 != 0)
		return;
	b = batch_new(own);
	batch_unlink(b, id, SPAN("mailbox"));
	must(engine_commit(e, b, NULL) == 1);
	batch_free(&b);
}

static void *
work(void *arg)
{
	struct worker *w = arg;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		count_up(w->engine);
		move_body(w->engine, i * WORKERS + w->number);
	}
	return NULL;
}

/* Every view holds both keys with one value. */
static void *
look(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(w->stop)) {
		struct scan *s = scan_open(w->engine, here, SPAN_EMPTY,
		    SPAN_EMPTY);
		struct span key, value;
		uint64_t n = 0;

		while (scan_next(s, &key, &value) == 1) {
			if (n == 0)
				memcpy(&n, value.p, sizeof(n));
			must(memcmp(&n, value.p, sizeof(n)) == 0);
		}
		scan_close(&s);
	}
	return NULL;
}

static void *
sweep(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(w->stop))
		must(engine_collect(w->engine, true, 3600 * 1000) >= 0);
	return NULL;
}

static void
start(struct worker *w, struct engine *e, uint32_t number, atomic_bool *stop,
    void *(*run)(void *))
{
	*w = (struct worker){ .engine = e, .number = number, .stop = stop };
	assert_int_equal(pthread_create(&w->thread, NULL, run, w), 0);
}

static void
serves_many_threads(void **state)
{
	struct engine *e = engine_of(state);
	struct worker workers[WORKERS], looker, sweeper;
	atomic_bool stop = false;
	uint64_t n = (uint64_t)WORKERS * ROUNDS;

	start(&looker, e, 0, &stop, look);
	start(&sweeper, e, 0, &stop, sweep);
	for (uint32_t i = 0; i < WORKERS; i++)
		start(&workers[i], e, i, &stop, work);
	for (uint32_t i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	atomic_store(&stop, true);
	pthread_join(looker.thread, NULL);
	pthread_join(sweeper.thread, NULL);
	assert_true(holds(e, here, SPAN("a"), span_of(&n, sizeof(n))));
	assert_true(version_of(e, here) == n);
	assert_true(engine_collect(e, false, 0) >= 0);
	for (uint32_t i = 0; i < WORKERS * ROUNDS; i++)
		assert_int_equal(body_status(e, test_body_id(i)), i % 3 != 0);
}

/* -- each test on each engine ----------------------------------------- */
static const struct {
	const char *name;
	CMUnitTestFunction test;
	bool lasting;		/* only where the engine outlives a process */
} tests[] = {
#define TEST(name) { #name, name, false }
#define LASTING(name) { #name, name, true }
	TEST(puts_gets_and_deletes),
	TEST(applies_operations_in_order),
	TEST(scans_ranges),
	TEST(scans_one_moment),
	TEST(deletes_long_ranges),
	TEST(guards_with_versions),
	TEST(raises_versions_of_empty_batches),
	TEST(drops_partitions),
	TEST(finds_partitions),
	TEST(refuses_what_is_too_large),
	TEST(takes_what_is_just_not_too_large),
	TEST(keeps_small_bodies),
	TEST(streams_large_bodies),
	TEST(forgets_aborted_bodies),
	TEST(links_only_what_is_there),
	TEST(collects_what_nothing_links_to),
	TEST(walks_all_links),
	TEST(collects_the_never_linked),
	TEST(collects_many),
	TEST(tells_the_watcher),
	TEST(makes_everything_durable_by_itself),
	TEST(verifies_and_counts),
	LASTING(lasts),
	TEST(agrees_with_the_model),
	LASTING(copies_itself),
	TEST(serves_many_threads),
#undef LASTING
#undef TEST
};

int
main(void)
{
	struct CMUnitTest rows[ARRAY_LEN(kinds) * ARRAY_LEN(tests)] = { 0 };
	static char names[ARRAY_LEN(rows)][64];
	size_t n = 0;

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t t = 0; t < ARRAY_LEN(tests); t++) {
			if (tests[t].lasting && !kinds[k].lasts)
				continue;
			snprintf(names[n], sizeof(names[n]), "%s %s",
			    kinds[k].name, tests[t].name);
			rows[n] = (struct CMUnitTest){ names[n],
			    tests[t].test, setup, teardown,
			    (void *)(uintptr_t)&kinds[k] };
			n++;
		}
	return cmocka_run_group_tests(rows, NULL, NULL);
}

/*
 * engine_rocksdb.c - the embedded engine: opening, reading, keeping.
 *
 * Everything is written through one log (engine_rocksdb_commit), made
 * durable by one thread at a time (engine_rocksdb_sync), and checked by
 * RocksDB's checksums whenever it is read. Bodies lie in blob files: merging
 * the sorted tables does not copy them.
 *
 * The log is read back in point-in-time mode: up to the first record that
 * is not whole. See the mark in engine_rocksdb_sync.c for what that may lose.
 */
#include "store/engine_rocksdb.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
	FORMAT = 1,			/* of the whole store */
	MIN_BUFFER = 8 << 20, MIN_CACHE = 1 << 20,
	BLOB_MIN = 1 << 10,		/* smaller bodies stay in the tables */
	BLOB_FILE = 256 << 20,
	SYNC_EVERY = 1 << 20,		/* write back while writing tables */
	FILTER_BITS = 10,
	OPEN_FILES = 512,
};

static const char *const family_names[FAMILIES] = {
	[FACTS] = "default", [RECORDS] = "records", [BODIES] = "bodies",
	[METAS] = "metas", [LINKS] = "links",
};

/* Which part of the write buffer each has: of 1, 1/share. */
static const size_t shares[FAMILIES] = {
	[FACTS] = 16, [RECORDS] = 8, [BODIES] = 2, [METAS] = 8, [LINKS] = 16,
};

/* What the C interface has no function for. */
static const char database_options[] =
    "wal_recovery_mode=kPointInTimeRecovery;"
    "avoid_flush_during_recovery=true;"
    "stats_persist_period_sec=0;"
    "max_background_jobs=2";

/* -- errors ----------------------------------------------------------- */
int
rocks_error(char *text)
{
	bool full = strstr(text, "No space left") != NULL ||
	    strstr(text, "NoSpace") != NULL;

	rocksdb_free(text);
	errno = full ? ENOSPC : EIO;
	return -1;
}

int
rocks_fault(struct rocks *r, const char *where)
{
	int error = r->fault != NULL ? r->fault(where) : 0;

	if (error == 0)
		return 0;
	errno = error;
	return -1;
}

/* -- options ---------------------------------------------------------- */
static rocksdb_block_based_table_options_t *
table_options(rocksdb_cache_t *cache)
{
	rocksdb_block_based_table_options_t *t =
	    rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_block_cache(t, cache);
	rocksdb_block_based_options_set_filter_policy(t,
	    rocksdb_filterpolicy_create_bloom_full(FILTER_BITS));
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 1);
	rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(
	    t, 1);
	rocksdb_block_based_options_set_format_version(t, 5);
	return t;
}

static void
set_blobs(rocksdb_options_t *o, bool compress)
{
	rocksdb_options_set_enable_blob_files(o, 1);
	rocksdb_options_set_min_blob_size(o, BLOB_MIN);
	rocksdb_options_set_blob_file_size(o, BLOB_FILE);
	/* Not zstd: RocksDB makes it a new context for each body, which cost
	 * a third of the store's time when mail came in. */
	rocksdb_options_set_blob_compression_type(o, compress
	    ? rocksdb_lz4_compression : rocksdb_no_compression);
	rocksdb_options_set_enable_blob_gc(o, 1);
	rocksdb_options_set_blob_gc_age_cutoff(o, 0.5);
	rocksdb_options_set_blob_gc_force_threshold(o, 0.5);
}

static rocksdb_options_t *
family_options(enum family f, const struct engine_options *options,
    rocksdb_block_based_table_options_t *tables)
{
	rocksdb_options_t *o = rocksdb_options_create();
	size_t buffer = MAX(options->write_buffer, (size_t)MIN_BUFFER);

	rocksdb_options_set_block_based_table_factory(o, tables);
	rocksdb_options_set_write_buffer_size(o, buffer / shares[f]);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
	rocksdb_options_set_compression(o, options->compress
	    ? rocksdb_zstd_compression : rocksdb_no_compression);
	if (f == BODIES)
		set_blobs(o, options->compress);
	return o;
}

static rocksdb_options_t *
database_options_new(const struct engine_options *options)
{
	rocksdb_options_t *plain = rocksdb_options_create();
	rocksdb_options_t *o = rocksdb_options_create();
	size_t buffer = MAX(options->write_buffer, (size_t)MIN_BUFFER);
	char *error = NULL;

	rocksdb_get_options_from_string(plain, database_options, o, &error);
	must(error == NULL);
	rocksdb_options_destroy(plain);
	rocksdb_options_set_create_if_missing(o, options->create);
	rocksdb_options_set_create_missing_column_families(o, options->create);
	rocksdb_options_set_max_total_wal_size(o, 2 * buffer);
	rocksdb_options_set_bytes_per_sync(o, SYNC_EVERY);
	rocksdb_options_set_max_open_files(o, OPEN_FILES);
	rocksdb_options_set_info_log_level(o, 2 /* warnings */);
	rocksdb_options_set_max_log_file_size(o, 1 << 20);
	rocksdb_options_set_keep_log_file_num(o, 2);
	rocksdb_options_set_stats_dump_period_sec(o, 0);
	return o;
}

/* -- opening ---------------------------------------------------------- */
static int
open_directory(struct rocks *r, const struct engine_options *options,
    struct text *why)
{
	struct statvfs s;

	if (options->create && mkdir(r->path, 0700) != 0 && errno != EEXIST)
		r->dir = -1;
	else
		r->dir = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->dir < 0 || fstatvfs(r->dir, &s) != 0) {
		text_printf(why, "%s: %s", r->path, strerror(errno));
		return -1;
	}
	r->reserve = MIN(2 * MAX(options->write_buffer, (size_t)MIN_BUFFER),
	    (uint64_t)s.f_blocks * s.f_frsize / 8);
	return 1;
}

/*
 * After the death of a process the log may be in the kernel's memory only.
 * What is read back from it becomes the ground of what follows: so it goes
 * to the disk first.
 */
static int
sync_logs(struct rocks *r, bool *fresh, struct text *why)
{
	DIR *d = fdopendir(openat(r->dir, ".", O_RDONLY | O_CLOEXEC));
	struct dirent *entry;
	int done = d != NULL ? 1 : -1;

	*fresh = true;
	while (done == 1 && (entry = readdir(d)) != NULL) {
		int fd;

		if (strcmp(entry->d_name, "CURRENT") == 0)
			*fresh = false;
		if (!span_ends(span_str(entry->d_name), SPAN(".log")))
			continue;
		fd = openat(r->dir, entry->d_name, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fdatasync(fd) != 0)
			done = -1;
		if (fd >= 0)
			close(fd);
	}
	if (done != 1)
		text_printf(why, "%s: %s", r->path, strerror(errno));
	if (d != NULL)
		closedir(d);
	return done;
}

static int
open_database(struct rocks *r, const struct engine_options *options,
    struct text *why)
{
	rocksdb_cache_t *cache = rocksdb_cache_create_lru(
	    MAX(options->cache_size, (size_t)MIN_CACHE));
	rocksdb_block_based_table_options_t *tables = table_options(cache);
	rocksdb_options_t *o = database_options_new(options);
	rocksdb_options_t *of[FAMILIES];
	char *error = NULL;

	for (int f = 0; f < FAMILIES; f++)
		of[f] = family_options((enum family)f, options, tables);
	r->db = rocksdb_open_column_families(o, r->path, FAMILIES,
	    family_names, (const rocksdb_options_t *const *)of, r->families,
	    &error);
	for (int f = 0; f < FAMILIES; f++)
		rocksdb_options_destroy(of[f]);
	rocksdb_options_destroy(o);
	rocksdb_block_based_options_destroy(tables);
	rocksdb_cache_destroy(cache);
	if (error == NULL)
		return 1;
	text_str(why, error);
	return rocks_error(error);
}

/* 1, 0 when it is not there, -1. */
static int
read_format(struct rocks *r, uint64_t *format)
{
	char fact = FACT_FORMAT;
	rocksdb_pinnableslice_t *slice;
	struct span value = SPAN_EMPTY;
	int found = rocks_read(r, FACTS, span_of(&fact, 1), &slice, &value);

	*format = 0;
	if (found != 1)
		return found;
	if (value.n == 8)
		*format = get_be64(value.p);
	rocksdb_pinnableslice_destroy(slice);
	return 1;
}

static int
write_format(struct rocks *r)
{
	char fact = FACT_FORMAT, value[8], *error = NULL;

	put_be64(value, FORMAT);
	rocksdb_put_cf(r->db, r->writing, r->families[FACTS], &fact, 1, value,
	    sizeof(value), &error);
	return error == NULL ? 1 : rocks_error(error);
}

static int
check_format(struct rocks *r, struct text *why)
{
	uint64_t format;
	int found = read_format(r, &format);

	/* Nothing was ever written: new, or its making was interrupted. */
	if (found == 0 && rocksdb_get_latest_sequence_number(r->db) == 0)
		return write_format(r);
	if (found == 1 && format == FORMAT)
		return 1;
	if (found == 1)
		text_printf(why, "%s: written by a later version (format %"
		    PRIu64 ")", r->path, format);
	else
		text_printf(why, "%s: the store's format cannot be read",
		    r->path);
	errno = EIO;
	return -1;
}

static int
check_promise(struct rocks *r, ticket_t promised, ticket_t *recovered,
    struct text *why)
{
	*recovered = rocksdb_get_latest_sequence_number(r->db);
	if (*recovered >= promised)
		return 1;
	text_printf(why, "%s: the log is damaged: it ends at change %" PRIu64
	    ", but %" PRIu64 " were on disk. To go on without the missing "
	    "ones, remove the file \"synced\" there", r->path, *recovered,
	    promised);
	errno = EIO;
	return -1;
}

static void
close_database(struct rocks *r)
{
	for (int f = 0; f < FAMILIES && r->db != NULL; f++)
		rocksdb_column_family_handle_destroy(r->families[f]);
	if (r->db != NULL)
		rocksdb_close(r->db);
	r->db = NULL;
}

static void
rocks_free(struct rocks *r)
{
	close_database(r);
	rocksdb_readoptions_destroy(r->reading);
	rocksdb_writeoptions_destroy(r->writing);
	pthread_rwlock_destroy(&r->links_lock);
	pthread_mutex_destroy(&r->collecting);
	if (r->dir >= 0)
		close(r->dir);
	free(r->path);
	free(r);
}

/* Writers first: else a stream of commits would keep collecting out. */
static void
init_locks(struct rocks *r)
{
	pthread_rwlockattr_t attr;

	must(pthread_rwlockattr_init(&attr) == 0);
	must(pthread_rwlockattr_setkind_np(&attr,
	    PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) == 0);
	must(pthread_rwlock_init(&r->links_lock, &attr) == 0);
	must(pthread_rwlockattr_destroy(&attr) == 0);
	must(pthread_mutex_init(&r->collecting, NULL) == 0);
}

/* -- closing: with tables written, the next start has no log to read -- */
void
rocks_flush(struct rocks *r, bool wait)
{
	rocksdb_flushoptions_t *o = rocksdb_flushoptions_create();

	rocksdb_flushoptions_set_wait(o, wait);
	for (int f = 0; f < FAMILIES; f++) {
		char *error = NULL;

		rocksdb_flush_cf(r->db, o, r->families[f], &error);
		if (error != NULL)
			rocksdb_free(error);	/* the log still has it */
	}
	rocksdb_flushoptions_destroy(o);
}

static void
rocks_close(struct engine *e)
{
	struct rocks *r = rocks_of(e);

	syncer_stop(r);
	rocks_flush(r, true);
	committer_free(r);
	rocks_free(r);
}

/* -- reading ---------------------------------------------------------- */
int
rocks_read(struct rocks *r, enum family f, struct span key,
    rocksdb_pinnableslice_t **slice, struct span *value)
{
	char *error = NULL;

	*slice = rocksdb_get_pinned_cf(r->db, r->reading, r->families[f],
	    key.p, key.n, &error);
	if (error != NULL)
		return rocks_error(error);
	if (*slice == NULL)
		return 0;
	value->p = rocksdb_pinnableslice_value(*slice, &value->n);
	return 1;
}

rocksdb_iterator_t *
rocks_iterator(struct rocks *r, enum family f)
{
	return rocksdb_create_iterator_cf(r->db, r->reading, r->families[f]);
}

static uint64_t
property(struct rocks *r, enum family f, const char *name)
{
	uint64_t n = 0;

	return rocksdb_property_int_cf(r->db, r->families[f], name, &n) == 0
	    ? n : 0;
}

int
rocks_space(struct rocks *r, uint64_t *left)
{
	uint64_t in_memory = 0, free_now;
	struct statvfs s;

	if (fstatvfs(r->dir, &s) != 0)
		return -1;
	for (int f = 0; f < FAMILIES; f++)
		in_memory += property(r, (enum family)f,
		    "rocksdb.cur-size-all-mem-tables");
	free_now = (uint64_t)s.f_bavail * s.f_frsize;
	*left = free_now - MIN(free_now, in_memory);
	return 0;
}

static int
rocks_get(struct engine *e, struct partition where, struct span key,
    struct arena *arena, struct span *value)
{
	rocksdb_pinnableslice_t *slice;
	struct whole_key k;
	struct span found;
	int done = rocks_read(rocks_of(e), RECORDS, whole_key(&k, where, key),
	    &slice, &found);

	if (done != 1)
		return done;
	*value = arena_dup(arena, found);
	rocksdb_pinnableslice_destroy(slice);
	if (value->p != NULL)
		return 1;
	errno = EFBIG;
	return -1;
}

struct rocks_scan {
	struct scan scan;
	struct whole_key to;
	rocksdb_readoptions_t *reading;
	rocksdb_iterator_t *at;
	bool begun;
};

static struct scan *
rocks_scan_open(struct engine *e, struct partition where, struct span from,
    struct span to)
{
	struct rocks *r = rocks_of(e);
	struct rocks_scan *s = xcalloc(1, sizeof(*s));
	struct whole_key k;
	struct span first = whole_key(&k, where, from);
	struct span end = whole_end(&s->to, where, to);

	s->scan.ops = e->ops;
	s->reading = rocksdb_readoptions_create();
	rocksdb_readoptions_set_iterate_upper_bound(s->reading, end.p, end.n);
	s->at = rocksdb_create_iterator_cf(r->db, s->reading,
	    r->families[RECORDS]);
	rocksdb_iter_seek(s->at, first.p, first.n);
	return &s->scan;
}

static int
rocks_scan_next(struct scan *scan, struct span *key, struct span *value)
{
	struct rocks_scan *s = (struct rocks_scan *)scan;
	char *error = NULL;

	if (s->begun && rocksdb_iter_valid(s->at))
		rocksdb_iter_next(s->at);
	s->begun = true;
	if (!rocksdb_iter_valid(s->at)) {
		rocksdb_iter_get_error(s->at, &error);
		return error == NULL ? 0 : rocks_error(error);
	}
	key->p = rocksdb_iter_key(s->at, &key->n);
	*key = span_from(*key, PREFIX_SIZE);
	value->p = rocksdb_iter_value(s->at, &value->n);
	return 1;
}

static void
rocks_scan_close(struct scan *scan)
{
	struct rocks_scan *s = (struct rocks_scan *)scan;

	rocksdb_iter_destroy(s->at);
	rocksdb_readoptions_destroy(s->reading);
	free(s);
}

static int
rocks_next_partition(struct engine *e, uint8_t kind, uint64_t after,
    uint64_t *id)
{
	struct partition first = { .kind = kind, .id = after + 1 };
	rocksdb_iterator_t *i = rocks_iterator(rocks_of(e), RECORDS);
	struct whole_key k;
	struct span key = whole_key(&k, first, SPAN_EMPTY);
	char *error = NULL;
	int found = 0;

	rocksdb_iter_seek(i, key.p, key.n);
	if (rocksdb_iter_valid(i)) {
		key.p = rocksdb_iter_key(i, &key.n);
		found = (uint8_t)key.p[0] == kind;
		*id = get_be64(key.p + 1);
	}
	rocksdb_iter_get_error(i, &error);
	rocksdb_iter_destroy(i);
	return error == NULL ? found : rocks_error(error);
}

/* -- keeping ---------------------------------------------------------- */
static int
rocks_checkpoint(struct engine *e, const char *path, struct text *why)
{
	char *error = NULL;
	rocksdb_checkpoint_t *c = rocksdb_checkpoint_object_create(
	    rocks_of(e)->db, &error);

	if (error == NULL) {
		rocksdb_checkpoint_create(c, path, 0, &error);
		rocksdb_checkpoint_object_destroy(c);
	}
	if (error == NULL)
		return 1;
	text_str(why, error);
	return rocks_error(error);
}

struct verification {
	void (*progress)(void *, uint64_t done, uint64_t total);
	void *arg;
	uint64_t done, total;
};

/* Reading a value checks the sums of its table block and of its blob. */
static int
verify_family(struct rocks *r, enum family f, struct verification *v,
    struct text *why)
{
	rocksdb_readoptions_t *o = rocksdb_readoptions_create();
	rocksdb_iterator_t *i;
	char *error = NULL;

	rocksdb_readoptions_set_verify_checksums(o, 1);
	rocksdb_readoptions_set_fill_cache(o, 0);
	i = rocksdb_create_iterator_cf(r->db, o, r->families[f]);
	rocksdb_iter_seek_to_first(i);
	for (; rocksdb_iter_valid(i); rocksdb_iter_next(i)) {
		size_t n;

		(void)rocksdb_iter_value(i, &n);
		v->done++;
		if (v->progress != NULL && v->done % 1024 == 0)
			v->progress(v->arg, v->done, MAX(v->done, v->total));
	}
	rocksdb_iter_get_error(i, &error);
	rocksdb_iter_destroy(i);
	rocksdb_readoptions_destroy(o);
	if (error == NULL)
		return 1;
	text_printf(why, "%s: %s", family_names[f], error);
	return rocks_error(error);
}

static int
rocks_verify(struct engine *e,
    void (*progress)(void *, uint64_t done, uint64_t total), void *arg,
    struct text *why)
{
	struct rocks *r = rocks_of(e);
	struct verification v = { .progress = progress, .arg = arg };
	int done = 1;

	for (int f = 0; f < FAMILIES; f++)
		v.total += property(r, (enum family)f,
		    "rocksdb.estimate-num-keys");
	for (int f = 0; f < FAMILIES && done == 1; f++)
		done = verify_family(r, (enum family)f, &v, why);
	if (done == 1 && progress != NULL)
		progress(arg, v.done, v.done);
	return done;
}

static void
rocks_stats(struct engine *e, struct engine_stats *out)
{
	struct rocks *r = rocks_of(e);

	out->commits = atomic_load(&r->commits);
	out->syncs = atomic_load(&r->syncs);
	out->bytes_written = atomic_load(&r->bytes);
	out->bodies = property(r, METAS, "rocksdb.estimate-num-keys");
	for (int f = 0; f < FAMILIES; f++)
		out->disk_bytes += property(r, (enum family)f,
		    "rocksdb.total-sst-files-size") + property(r,
		    (enum family)f, "rocksdb.total-blob-file-size");
}

static const struct engine_ops rocks_ops = {
	.close = rocks_close,
	.commit = rocks_commit,
	.sync = rocks_sync,
	.is_durable = rocks_is_durable,
	.get = rocks_get,
	.version = rocks_version,
	.scan_open = rocks_scan_open,
	.scan_next = rocks_scan_next,
	.scan_close = rocks_scan_close,
	.next_partition = rocks_next_partition,
	.drop = rocks_drop,
	.writer_open = rocks_writer_open,
	.write = rocks_write,
	.writer_finish = rocks_writer_finish,
	.writer_abort = rocks_writer_abort,
	.body_size = rocks_body_size,
	.body_read = rocks_body_read,
	.body_summary = rocks_body_summary,
	.body_set_summary = rocks_body_set_summary,
	.body_linked = rocks_body_linked,
	.next_link = rocks_next_link,
	.collect = rocks_collect,
	.checkpoint = rocks_checkpoint,
	.verify = rocks_verify,
	.stats = rocks_stats,
};

static int
open_all(struct rocks *r, const struct engine_options *options,
    struct text *why)
{
	ticket_t promised, recovered;
	bool fresh;

	if (open_directory(r, options, why) != 1 ||
	    sync_logs(r, &fresh, why) != 1 ||
	    open_database(r, options, why) != 1 ||
	    check_format(r, why) != 1 ||
	    syncer_map(r, fresh, &promised, why) != 1)
		return -1;
	if (check_promise(r, promised, &recovered, why) != 1) {
		syncer_unmap(r);
		return -1;
	}
	committer_init(r);
	syncer_start(r, recovered);
	return 1;
}

struct engine *
engine_rocksdb_open(const char *path, const struct engine_options *options,
    struct text *why)
{
	struct rocks *r = xcalloc(1, sizeof(*r));
	int error;

	r->engine.ops = &rocks_ops;
	r->path = xstrdup(path);
	r->dir = -1;
	r->fault = options->fault;
	r->reading = rocksdb_readoptions_create();
	r->writing = rocksdb_writeoptions_create();
	init_locks(r);
	if (open_all(r, options, why) == 1)
		return &r->engine;
	error = errno;
	rocks_free(r);
	errno = error;
	return NULL;
}

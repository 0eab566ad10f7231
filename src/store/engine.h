/*
 * engine.h - the whole contract of a storage engine.
 *
 * Ordered keys in partitions; one batch changes one partition, guarded by
 * its version, or nothing. Bodies are large, immutable, written once, and
 * live as long as something links to them. Three engines keep this contract
 * (memory, RocksDB, later RADOS) and pass one test suite (engine_suite).
 *
 * Two moments of a commit
 *	engine_commit() returns when the batch is applied: every reader sees
 *	it, and it survives the death of this process. It is *durable*
 *	(survives loss of power) once engine_sync() on its ticket returned 1.
 *	Durability is a prefix: if a batch is durable, so is every batch
 *	committed before it. Many waiters share one write to the disk.
 *
 * Versions
 *	A partition has a version: 0 when nothing was written there since it
 *	was made or dropped, raised by one with every batch, and kept over a
 *	restart. batch_expect() guards a batch with it.
 *
 * Bodies and links
 *	A body is stored with batch_body() (atomically with the batch) or
 *	streamed first with body_writer. Batches link and unlink bodies;
 *	links are a set, so replaying is harmless. A body whose last link is
 *	gone disappears with engine_collect(); one never linked, once it is
 *	older than the age given there.
 *
 * Threads: every function may be called from any thread, except that one
 * batch, scan, reader or writer belongs to one thread at a time.
 *
 * Errors: -1 with errno ENOSPC (disk full: nothing changed, retry later is
 * fine), EIO (the device or the data is damaged), EFBIG (over a limit, or
 * more than the caller's arena or text has room for), ENOENT (a link to a
 * body that is not there). After -1 from engine_commit nothing was applied.
 * After a failed sync the engine refuses every further commit with EIO until
 * reopened: what was acknowledged stays true, nothing further is promised.
 */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

#include "base/arena.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/text.h"

enum {
	ENGINE_KEY_MAX = 1024,		/* bytes of a key */
	ENGINE_VALUE_MAX = 1 << 20,	/* bytes of a value */
	ENGINE_BODY_INLINE = 128 << 10,	/* largest body of batch_body() */
	ENGINE_BATCH_MAX = 32 << 20,	/* bytes copied into one batch */
};

/* A partition: what kind it is, and which. Kinds are the schema's. */
struct partition {
	uint8_t kind;
	uint64_t id;
};

struct body_id { uint8_t b[16]; };	/* chosen by the caller */

struct engine;
struct batch;
struct scan;
struct body_writer;

typedef uint64_t ticket_t;		/* 0: nothing to wait for */

struct engine_options {
	size_t cache_size;		/* bytes of block cache */
	size_t write_buffer;		/* bytes of memory tables in total */
	bool compress;			/* zstd for records, LZ4 for bodies */
	bool create;			/* make it when it is not there */
	/* Tests: called at each step of a commit; an errno makes it fail. */
	int (*fault)(const char *where);
};

/* path is a directory for the embedded engine, ignored by memory. */
struct engine *engine_memory_open(void);
struct engine *engine_rocksdb_open(const char *path,
    const struct engine_options *, struct text *why);	/* NULL: see why */
void engine_close(struct engine **);

/*
 * -- batches: build, commit, free -----------------------------------------
 * Keys, values, holders and summaries are copied into the batch. Operations
 * take effect in the order given. A key is never empty. What is over a limit
 * is remembered, and engine_commit() refuses the whole batch with EFBIG.
 */
struct batch *batch_new(struct partition);
void batch_free(struct batch **);
void batch_put(struct batch *, struct span key, struct span value);
void batch_delete(struct batch *, struct span key);
/* Every key k with from <= k < to (empty `to`: to the partition's end). */
void batch_delete_range(struct batch *, struct span from, struct span to);
void batch_expect(struct batch *, uint64_t version);	/* the guard */
/*
 * The body's bytes and its summary (a cache, may be empty) become readable
 * with this batch. At most ENGINE_BODY_INLINE bytes; larger ones are
 * streamed. The body given in two pieces is stored as their concatenation;
 * its bytes are NOT copied and must stay until engine_commit() returned.
 */
void batch_body(struct batch *, struct body_id, struct span head,
    struct span rest, struct span summary);
/* A body that exists, or is stored by an earlier call on this batch. */
void batch_link(struct batch *, struct body_id, struct span holder);
void batch_unlink(struct batch *, struct body_id, struct span holder);

/*
 * 1 applied, 0 the guard failed (nothing changed), -1 error. The batch may
 * be committed again after 0 or -1. ticket may be NULL, and is set on 1.
 */
int engine_commit(struct engine *, struct batch *, ticket_t *);
/* Wait until durable: 1, or -1. Ticket 0 returns 1 at once. */
int engine_sync(struct engine *, ticket_t);
/* Everything applied so far, made durable within a second by itself. */
bool engine_is_durable(struct engine *, ticket_t);	/* never waits */

/* -- reading ---------------------------------------------------------- */
/* 1 and *value in the arena, 0 not there, -1 error. */
int engine_get(struct engine *, struct partition, struct span key,
    struct arena *, struct span *value);
int engine_version(struct engine *, struct partition, uint64_t *version);
/*
 * Keys from <= k < to (empty `to`: to the end of the partition), in order,
 * of one moment's view. Spans from scan_next are valid until the next call.
 */
struct scan *scan_open(struct engine *, struct partition, struct span from,
    struct span to);
int  scan_next(struct scan *, struct span *key, struct span *value);
void scan_close(struct scan **);	/* scan_next: 1, 0 end, -1 error */
/*
 * The partitions of a kind that hold a key, ascending: the first with an id
 * above `after`. 1, 0 no more, -1 error.
 */
int engine_next_partition(struct engine *, uint8_t kind, uint64_t after,
    uint64_t *id);
/* Drop a whole partition: keys and version. Links are the caller's care. */
int engine_drop_partition(struct engine *, struct partition, ticket_t *);

/*
 * An id that no other body has: the time, then 72 random bits. What comes
 * together lies together, so new bodies are written, and read, in order.
 */
struct body_id body_id_new(void);

/* -- bodies: 1 done, 0 no such body, -1 error ------------------------- */
struct body_writer *body_writer_open(struct engine *, struct body_id);
int  body_write(struct body_writer *, struct span chunk);
/*
 * Readable (not yet linked) when 1; durable with the next ticket synced. The
 * writer is gone either way.
 */
int  body_writer_finish(struct body_writer **, struct span summary);
void body_writer_abort(struct body_writer **);

int engine_body_size(struct engine *, struct body_id, uint64_t *size);
/* Append bytes from..from+n (clamped to the end) to *out. */
int engine_body_read(struct engine *, struct body_id, uint64_t from,
    uint64_t n, struct text *out);
/* Into a file at its current offset, without holding it in memory. */
int engine_body_copy(struct engine *, struct body_id, int fd);
int engine_body_summary(struct engine *, struct body_id, struct arena *,
    struct span *summary);
int engine_body_set_summary(struct engine *, struct body_id, struct span);
int engine_body_linked(struct engine *, struct body_id, struct span holder);
/*
 * All links, ordered by body and holder: *body and *holder (in the arena) are
 * replaced by the first link behind them; begin with zeros and an empty
 * holder. For repairs. 1, 0 no more, -1 error.
 */
int engine_next_link(struct engine *, struct arena *, struct body_id *body,
    struct span *holder);

/*
 * Delete bodies that nothing links to: those unlinked since the last call,
 * and, when `whole`, a walk over all bodies that also removes the
 * never-linked older than age_ms. Returns how many went, -1 error.
 */
int64_t engine_collect(struct engine *, bool whole, int64_t age_ms);

/* -- watching and keeping --------------------------------------------- */
/*
 * fn runs after every batch applied to a partition of this engine, in the
 * committing thread, before engine_commit returns: keep it short. Two
 * threads may bring two versions of a partition out of order. One watcher,
 * set before the first commit.
 */
void engine_watch(struct engine *, void (*fn)(void *, struct partition,
    uint64_t version), void *arg);
/* A consistent copy, made while others write; path must not exist. */
int engine_checkpoint(struct engine *, const char *path, struct text *why);
/* Verify checksums of everything stored; progress may be NULL. */
int engine_verify(struct engine *, void (*progress)(void *, uint64_t done,
    uint64_t total), void *arg, struct text *why);
struct engine_stats {
	uint64_t commits, syncs, bytes_written;	/* since the engine opened */
	uint64_t bodies;		/* held; an estimate for RocksDB */
	uint64_t disk_bytes;
};
void engine_stats(struct engine *, struct engine_stats *);

#endif

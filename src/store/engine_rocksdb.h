/*
 * engine_rocksdb.h - the parts of the embedded engine as they see each
 * other. For engine_rocksdb*.c only.
 *
 *	engine_rocksdb.c	opening, reading, keeping
 *	engine_rocksdb_commit.c	the one way into the store: groups of writes
 *	engine_rocksdb_sync.c	what is durable, and who makes it so
 *	engine_rocksdb_body.c	bodies, their links, and collecting them
 */
#ifndef STORE_ENGINE_ROCKSDB_H
#define STORE_ENGINE_ROCKSDB_H

#include "store/engine_impl.h"

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>

/*
 * Column families. FACTS holds small keys told apart by their first byte:
 * FACT_*. Numbers are positions in an array, names are on disk.
 */
enum family { FACTS, RECORDS, BODIES, METAS, LINKS, FAMILIES };
enum {
	FACT_FORMAT = 'f',	/* what this store's layout is */
	FACT_UNLINKED = 'u',	/* count, body id: engine_collect looks here */
	FACT_VERSION = 'v',	/* kind, id: the partition's version */
};
enum {
	CHUNK = 256 << 10,		/* of a streamed body */
	CHUNK_KEY = sizeof(struct body_id) + 4,	/* id, number big-endian */
	VERSION_KEY = 1 + PREFIX_SIZE,
	UNLINKED_KEY = 1 + 8 + sizeof(struct body_id),
	VERSION_CACHE = 1 << 14,	/* slots */
};

struct rocks;

/* One thread's wish to write, on its stack while it waits. */
struct request {
	/* Add to rocks->group: 1, 0 refused, -1 error; in the leader. */
	int (*add)(struct rocks *, struct request *);
	void *arg;
	size_t bytes;		/* about */
	bool sees_all;		/* add() reads: nothing unwritten before it */
	ticket_t ticket;	/* given by the leader */
	uint64_t version;	/* for add() to tell */
	int result, error;
	bool finished, leads;
	pthread_cond_t woken;
	struct request *next;
};

struct cached_version {
	struct partition where;
	uint64_t version;
	bool known;
};

struct committer {
	pthread_mutex_t lock;
	struct request *first, **last;	/* waiting */
	bool led;			/* some thread is writing */
	/* The rest belongs to the leader. */
	rocksdb_writebatch_t *group;
	struct cached_version *versions;
	uint64_t unchecked;		/* bytes since free space was seen */
	enum space { PLENTY, LITTLE, NONE } space;
};

struct syncer {
	pthread_mutex_t lock;
	pthread_cond_t round[2];	/* those in flight, those after them */
	unsigned next;			/* which of them is after */
	bool flying;
	ticket_t target;		/* of the flight */
	pthread_t thread;		/* for those nobody waits for */
	pthread_cond_t wake;
	atomic_bool idle;
	bool stop;
	_Atomic uint64_t durable;
	atomic_bool failed;
	_Atomic uint64_t *mark;		/* mapped: see engine_rocksdb_sync.c */
};

struct rocks {
	struct engine engine;
	char *path;
	int dir;			/* the directory, to ask for space */
	uint64_t reserve;		/* bytes that stay free on the disk */
	rocksdb_t *db;
	rocksdb_column_family_handle_t *families[FAMILIES];
	rocksdb_readoptions_t *reading;
	rocksdb_writeoptions_t *writing;
	int (*fault)(const char *where);
	struct committer committer;
	struct syncer syncer;
	/* Shared: a batch with links. Alone: deleting what has none. */
	pthread_rwlock_t links_lock;
	pthread_mutex_t collecting;
	ticket_t collected;		/* FACT_UNLINKED before it is done */
	_Atomic uint64_t committed;	/* the last ticket */
	_Atomic uint64_t commits, syncs, bytes;
};

static inline struct rocks *
rocks_of(struct engine *e)
{
	return (struct rocks *)e;	/* its first member */
}

/* -- engine_rocksdb.c ------------------------------------------------- */
/* -1, and errno from the text RocksDB gave, which is freed. */
int rocks_error(char *text);
/* The test's hook: 0, or -1 and errno. */
int rocks_fault(struct rocks *, const char *where);
/* 1 and *slice to be destroyed, 0, -1. */
int rocks_read(struct rocks *, enum family, struct span key,
    rocksdb_pinnableslice_t **slice, struct span *value);
rocksdb_iterator_t *rocks_iterator(struct rocks *, enum family);

/* Write tables out of memory; the log before them goes. */
void rocks_flush(struct rocks *, bool wait);
/* Bytes free on the disk, less what memory will take of them. */
int rocks_space(struct rocks *, uint64_t *left);

/* -- engine_rocksdb_commit.c ------------------------------------------ */
void committer_init(struct rocks *);
void committer_free(struct rocks *);
/* Write what r->add adds, together with others': r->result. */
int  rocks_submit(struct rocks *, struct request *);
void group_put(struct rocks *, enum family, struct span key, struct span value);
void group_delete(struct rocks *, enum family, struct span key);
int  rocks_commit(struct engine *, struct batch *, ticket_t *, uint64_t *);
int  rocks_drop(struct engine *, struct partition, ticket_t *);
int  rocks_version(struct engine *, struct partition, uint64_t *);

/* -- engine_rocksdb_sync.c -------------------------------------------- */
/* Reads and maps the mark; *promised is the ticket known to be durable. */
int  syncer_map(struct rocks *, bool fresh, ticket_t *promised,
    struct text *why);
void syncer_unmap(struct rocks *);
void syncer_start(struct rocks *, ticket_t recovered);
void syncer_stop(struct rocks *);	/* syncs what is left */
void syncer_notice(struct rocks *);	/* something was committed */
int  rocks_sync(struct engine *, ticket_t);
bool rocks_is_durable(struct engine *, ticket_t);

/* -- engine_rocksdb_body.c -------------------------------------------- */
/* Add a body and its record: head and rest are one body's bytes. */
void group_body(struct rocks *, const struct op *);
void group_unlinked(struct rocks *, const struct body_id *);
int  rocks_meta(struct rocks *, const struct body_id *,
    rocksdb_pinnableslice_t **, struct body_meta *);
struct body_writer *rocks_writer_open(struct engine *, struct body_id);
int  rocks_write(struct body_writer *, struct span);
int  rocks_writer_finish(struct body_writer *, struct span);
void rocks_writer_abort(struct body_writer *);
int  rocks_body_size(struct engine *, struct body_id, uint64_t *);
int  rocks_body_read(struct engine *, struct body_id, uint64_t, uint64_t,
    struct text *);
int  rocks_body_summary(struct engine *, struct body_id, struct arena *,
    struct span *);
int  rocks_body_set_summary(struct engine *, struct body_id, struct span);
int  rocks_body_linked(struct engine *, struct body_id, struct span);
int  rocks_next_link(struct engine *, struct span after, struct arena *,
    struct span *key);
int64_t rocks_collect(struct engine *, bool, int64_t);

#endif

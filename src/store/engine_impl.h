/*
 * engine_impl.h - what the engines share: the operations of a batch, the
 * shape of keys, and the table of an engine's functions. For engine*.c only.
 */
#ifndef STORE_ENGINE_IMPL_H
#define STORE_ENGINE_IMPL_H

#include "store/engine.h"

/* -- a batch is its list of operations -------------------------------- */
enum op_kind {
	OP_PUT, OP_DELETE, OP_DELETE_RANGE, OP_BODY, OP_LINK, OP_UNLINK
};

struct op {
	enum op_kind kind;
	struct body_id body;	/* BODY, LINK, UNLINK */
	struct span key;	/* PUT, DELETE; RANGE: from; LINK: holder */
	struct span value;	/* PUT; RANGE: to; BODY: summary */
	struct span head, rest;	/* BODY: the caller's own bytes */
};

struct batch {
	struct partition where;
	bool guarded, too_large;
	uint64_t expect;
	struct op *ops;
	size_t count, room;
	size_t bodies;		/* of the operations, those of OP_BODY */
	size_t bytes;		/* of everything an engine writes for it */
	struct arena *arena;	/* the copies */
};

/* Does one of the first n operations store this body? */
bool batch_stores(const struct batch *, size_t n, const struct body_id *);

/* -- keys: kind, id big-endian, key; so partitions lie side by side --- */
enum {
	PREFIX_SIZE = 9,
	WHOLE_KEY_MAX = PREFIX_SIZE + ENGINE_KEY_MAX,
	LINK_KEY_MAX = sizeof(struct body_id) + ENGINE_KEY_MAX,
};

struct whole_key {
	size_t n;
	char p[WHOLE_KEY_MAX];
};

void put_be64(char out[8], uint64_t);
uint64_t get_be64(const char in[8]);
/* The key inside its partition; key may be empty: the partition's start. */
struct span whole_key(struct whole_key *, struct partition, struct span key);
/* The end of a range: `to`, or where the partition ends when that is empty. */
struct span whole_end(struct whole_key *, struct partition, struct span to);
/* A body's id and the holder of a link to it. */
struct link_key {
	size_t n;
	char p[LINK_KEY_MAX];
};
struct span link_key(struct link_key *, const struct body_id *, struct span);
struct span body_key(const struct body_id *);

/* -- what is kept about a body: one record, the summary at its end ---- */
struct body_meta {
	bool complete;		/* false while a writer is at it */
	uint64_t size;
	walltime_t created;
	struct span summary;
};

void body_meta_encode(const struct body_meta *, struct text *);
int  body_meta_decode(struct span, struct body_meta *);	/* 0: damaged */

/* -- an engine -------------------------------------------------------- */
struct engine_ops;

struct engine {
	const struct engine_ops *ops;
	void (*watch)(void *, struct partition, uint64_t version);
	void *watch_arg;
};
struct scan { const struct engine_ops *ops; };
struct body_writer { const struct engine_ops *ops; };

struct engine_ops {
	void (*close)(struct engine *);
	int (*commit)(struct engine *, struct batch *, ticket_t *,
	    uint64_t *version);
	int (*sync)(struct engine *, ticket_t);
	bool (*is_durable)(struct engine *, ticket_t);
	int (*get)(struct engine *, struct partition, struct span,
	    struct arena *, struct span *);
	int (*version)(struct engine *, struct partition, uint64_t *);
	struct scan *(*scan_open)(struct engine *, struct partition,
	    struct span, struct span);
	int (*scan_next)(struct scan *, struct span *, struct span *);
	void (*scan_close)(struct scan *);
	int (*next_partition)(struct engine *, uint8_t, uint64_t, uint64_t *);
	int (*drop)(struct engine *, struct partition, ticket_t *);
	struct body_writer *(*writer_open)(struct engine *, struct body_id);
	int (*write)(struct body_writer *, struct span);
	int (*writer_finish)(struct body_writer *, struct span);
	void (*writer_abort)(struct body_writer *);
	int (*body_size)(struct engine *, struct body_id, uint64_t *);
	int (*body_read)(struct engine *, struct body_id, uint64_t, uint64_t,
	    struct text *);
	int (*body_summary)(struct engine *, struct body_id, struct arena *,
	    struct span *);
	int (*body_set_summary)(struct engine *, struct body_id, struct span);
	int (*body_linked)(struct engine *, struct body_id, struct span);
	int (*next_link)(struct engine *, struct span after, struct arena *,
	    struct span *key);	/* of links; the key behind */
	int64_t (*collect)(struct engine *, bool, int64_t);
	int (*checkpoint)(struct engine *, const char *, struct text *);
	int (*verify)(struct engine *, void (*)(void *, uint64_t, uint64_t),
	    void *, struct text *);
	void (*stats)(struct engine *, struct engine_stats *);
};

#endif

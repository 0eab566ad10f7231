/*
 * shelf.h - large things kept in memory while in use, and some time after.
 *
 * A thing is known by a number and is on the shelf once. Taken, it stays;
 * put back, it stays until the shelf is over its limit and nothing was
 * unused for longer. Any thread; what is inside a thing has its own lock.
 */
#ifndef STORE_SHELF_H
#define STORE_SHELF_H

#include "base/base.h"

struct shelved {			/* the first member of a thing */
	uint64_t key;
	size_t pins, bytes;
	struct shelved *newer, *older;
};

struct shelf_kind {
	struct shelved *(*make)(void *arg, uint64_t key);	/* empty */
	bool (*may_go)(struct shelved *);	/* NULL: always */
	void (*end)(struct shelved *);		/* free it */
};

struct shelf;

struct shelf *shelf_new(const struct shelf_kind *, void *arg, size_t limit);
void shelf_free(struct shelf **);		/* nothing is taken any more */
struct shelved *shelf_take(struct shelf *, uint64_t key);
/* bytes: what it holds now. !keep: it goes when nobody else has it. */
void shelf_put(struct shelf *, struct shelved *, size_t bytes, bool keep);
void shelf_set_limit(struct shelf *, size_t limit);
size_t shelf_bytes(struct shelf *);
size_t shelf_count(struct shelf *);

#endif

/*
 * index_cache.h - segments as index holds them: as much of each as was looked
 * at, and those that were used lately.
 *
 * A segment has its room in memory from the start; pages come from the store
 * as searches need them. What nobody uses goes, the oldest first, when there
 * is more than the setting index.cache.
 */
#ifndef ROLE_INDEX_CACHE_H
#define ROLE_INDEX_CACHE_H

#include "index/segment.h"
#include "ipc/call.h"

struct cached;

/* Who asks for a segment, and how that went. */
struct index_reader {
	struct link *store;
	struct arena *arena;
	struct grant grant;		/* of who searches; or */
	uint64_t lease;			/* of what is merged */
	uint64_t mailbox;
	struct cached *cached;
	enum result result;		/* of the last call that failed */
};

/*
 * The segment, open; `reader` must stay until index_cache_put(). 1; 0 it is
 * damaged; -1 it cannot be had: reader->result.
 */
int  index_cache_take(const struct index_segment *, struct index_reader *,
    struct segment *);
void index_cache_put(struct index_reader *);
/*
 * Between two searches of a segment that is taken: when there is more than
 * the limit its pages go, and come again by need.
 */
void index_cache_relieve(struct index_reader *);
void index_cache_limit(uint64_t bytes);
uint64_t index_cache_bytes(void);
void index_cache_free(void);

#endif

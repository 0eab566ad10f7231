/*
 * index_record.h - the segments of a mailbox's index as the store knows them,
 * and what is to be done about them. Pure.
 *
 * A segment tells of all messages of a run of UIDs. UIDs only grow, so a
 * run that was read stays complete: what no segment tells of is to be built.
 * What was expunged since is seen by counting: then a segment holds more
 * messages than the mailbox has in its run.
 */
#ifndef STORE_INDEX_RECORD_H
#define STORE_INDEX_RECORD_H

#include "store/mailbox_table.h"

struct index_entry {
	uint64_t segment;
	struct body_id body;
	uint32_t first, last;
	uint32_t messages;
	uint64_t size;
};

/* Of one mailbox, ascending; their runs do not overlap. */
struct index_entries {
	struct index_entry *at;
	size_t n, room;
};
void index_entries_free(struct index_entries *);
/* 1; 0 it overlaps another, and is not taken. */
int  index_entries_add(struct index_entries *, const struct index_entry *);
const struct index_entry *index_entries_find(const struct index_entries *,
    uint64_t segment);
void index_entries_remove(struct index_entries *, uint64_t segment);

/* ---- records --------------------------------------------------------- */

struct key index_key(uint64_t segment);
/* Who links the body of a segment. */
struct key index_holder(uint64_t mailbox, uint64_t segment);
void index_encode(struct text *, const struct index_entry *);
/* 1, 0 damaged, or of a later version. */
int  index_decode(struct span key, struct span value, struct index_entry *);

/* ---- the plan -------------------------------------------------------- */

enum index_step {
	INDEX_STEP_NONE,
	INDEX_STEP_BUILD,		/* first to last */
	INDEX_STEP_MERGE,		/* entries from, count */
	INDEX_STEP_DROP,		/* the same: nothing of them is left */
};

struct index_plan {
	enum index_step step;
	uint32_t first, last;
	size_t from, count;
	bool dirty;			/* later there is something to clean */
};

struct index_limits {
	uint64_t room;			/* bytes of a segment */
	size_t messages;		/* of one piece of work */
	uint32_t before;		/* uids from here on can wait */
	bool clean;			/* it is time to */
};

void index_plan(const struct index_entries *, const struct table *,
    const struct index_limits *, struct index_plan *);
/* How many of the mailbox's messages the segments tell of. */
uint64_t index_covered(const struct index_entries *, const struct table *);

#endif

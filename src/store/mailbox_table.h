/*
 * mailbox_table.h - a mailbox in memory: plain arrays, and how a change
 * changes them. Pure.
 *
 * table_apply() is the only way in, for a change made now and for one read
 * from the tail alike: what a restart finds is what was there before.
 */
#ifndef STORE_MAILBOX_TABLE_H
#define STORE_MAILBOX_TABLE_H

#include "base/arena.h"
#include "base/base.h"
#include "store/mailbox_record.h"
#include "store/seen.h"

enum { TOUCHED_MAX = 1024 };

/* Rows that a change touched: what changed lately, without a walk. */
struct touched {
	uint64_t modseq;
	uint32_t first, last;
};

struct table {
	uint64_t account;
	uint32_t uidvalidity, uidnext;
	uint32_t recent;		/* \Recent begins at this uid */
	uint64_t modseq;		/* the highest */
	uint64_t folded;		/* what chunks and head know */
	uint64_t forgotten;		/* tombstones up to here are gone */

	size_t keyword_count;
	char *keywords[KEYWORDS_MAX];	/* bit FLAG_KEYWORD_0 first */

	struct row *rows;		/* ascending */
	size_t n, room;
	uint32_t unseen, deleted;
	uint64_t bytes, deleted_bytes;

	struct tombstone *stones;	/* ascending modseq */
	size_t stone_count, stone_room;
	size_t stones_saved;		/* of them, in pages on disk */
	bool stones_trimmed;		/* older pages are still there */

	struct seens seens;		/* \\Seen of users who have their own */

	struct done *done;		/* oldest first */
	size_t done_count, done_room;

	struct touched *touched;	/* ascending modseq */
	size_t touched_count, touched_room;
	uint64_t touched_from;		/* complete for every later modseq */
};

void table_free(struct table *);
/* Bytes of memory held. */
size_t table_bytes(const struct table *);

/* What was read. Rows of a chunk: ascending over all chunks. */
void table_set_head(struct table *, const struct mailbox_head *);
void table_get_head(const struct table *, struct mailbox_head *);
struct row *table_room(struct table *, size_t n);	/* behind the last */
int  table_added(struct table *, size_t n);	/* 1, 0 out of order */
void table_add_stones(struct table *, const struct tombstone *, size_t n);
/* Takes the sources over. */
void table_set_done(struct table *, const struct done *, size_t n);
/* Chunks and head were read: count. 1, 0 they do not fit together. */
int  table_ready(struct table *);

void table_apply(struct table *, const struct change *);

/* The row of a uid, or NULL; the index of the first at or behind a uid. */
const struct row *table_find(const struct table *, uint32_t uid);
size_t table_seek(const struct table *, uint32_t uid);
const struct done *table_done(const struct table *, const struct token *);

/*
 * The bit of a keyword (ASCII case does not matter), or 0. table_define gives
 * it one in the change when it has none: 1; 0 the name is no keyword, or
 * every bit is in use.
 */
uint64_t table_keyword(const struct table *, struct span name);
int  table_define(const struct table *, struct change *, struct span name,
    uint64_t *bit);
/* All names, a space between. */
struct span table_keywords(const struct table *, struct arena *);

/* UIDs among which are all rows that changed after `since`. */
void table_changed(const struct table *, uint64_t since, struct uids *);
/* 1 and what vanished after `since`; 0 that is not known any more. */
int  table_vanished(const struct table *, uint64_t since, struct uids *);

/* Forget all but the last `keep` tombstones, by pages; how many went. */
size_t table_trim(struct table *, size_t keep);

#endif

/*
 * digest.h - the summaries of neighbouring messages, together in one record.
 *
 * A summary is kept with its body, which many mailboxes may share: read one
 * by one they lie far apart. A page holds those of DIGEST_UIDS neighbouring
 * uids of a mailbox. It is a copy of a cache: made in the background, found
 * out to be stale by who changed something or misses something, and
 * never needed.
 */
#ifndef STORE_DIGEST_H
#define STORE_DIGEST_H

#include "base/arena.h"
#include "base/base.h"
#include "store/engine.h"

struct mailbox;
struct mailboxes;
struct row;
struct uids;

enum {
	DIGEST_UIDS = 64,		/* of one page */
	DIGEST_SUMMARY_MAX = 12 << 10,	/* larger ones are in no page */
};

/* What a mailbox remembers of its pages; under its lock. */
struct digest {
	uint32_t upto;			/* pages of uids below it were made */
	uint64_t modseq;		/* and know what was gone then */
	uint8_t *stale;			/* a bit for a page to be made again */
	size_t stale_room;		/* bytes */
	size_t stale_count;		/* pages */
	bool wanted;			/* the work is in its queue */
};

/* Its rows have just been read; they are to be forgotten. */
void digest_load(struct mailbox *);
void digest_unload(struct mailbox *);
/* Messages came: is a page full by now? Messages went; a summary is new. */
void digest_added(struct mailbox *);
void digest_gone(struct mailbox *, const struct uids *);
void digest_changed(struct mailbox *, uint32_t uid);
/*
 * Work of mailboxes_maintain(): makes about so many pages; how many it was.
 * What is left is in the queue again.
 */
size_t digest_make(struct mailboxes *, uint64_t mailbox, size_t most);
/* The mailbox goes, and is locked. 1, -1. */
int  digest_forget(struct engine *, uint64_t mailbox);
/* After the start: mailboxes behind `*at`, as many as one turn bears, whose
 * pages were never made. False: there are no more. */
bool digest_walk(struct mailboxes *, uint64_t *at);

/*
 * Reading the summaries of ascending rows. A page is read when several rows
 * of it are wanted; what is in none comes from its body.
 */
struct digest_reader;

struct digest_reader *digest_open(struct engine *, uint64_t mailbox,
    const struct row *, size_t n);
/*
 * Of row i, none left out; good until the next is asked for. Empty: not
 * known. 1, -1.
 */
int  digest_next(struct digest_reader *, size_t i, struct span *summary);
/* Uids that were asked for and should have been in a page. */
const struct uids *digest_missed(const struct digest_reader *);
void digest_close(struct digest_reader **);

#endif

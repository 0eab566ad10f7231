/*
 * imap_uids.h - sets of UIDs as ascending runs: which is the k-th, and how
 * many are below one, by binary search.
 *
 * What sessions do not know yet of a mailbox is kept in these: most often it
 * is nothing or one run, however many messages that is.
 */
#ifndef IMAP_IMAP_UIDS_H
#define IMAP_IMAP_UIDS_H

#include "base/base.h"
#include "base/text.h"

struct imap_run {
	uint32_t first, last;		/* both belong to it */
	uint32_t before;		/* members in runs before it, + base */
};

struct imap_uids {
	struct imap_run *runs;
	uint32_t from, to;		/* runs[from..to) are the set */
	uint32_t room;
	uint32_t base;			/* members that left at the front */
};

void imap_uids_free(struct imap_uids *);	/* empty, no memory */
uint32_t imap_uids_count(const struct imap_uids *);
bool imap_uids_have(const struct imap_uids *, uint32_t uid);
/* Members below a uid. */
uint32_t imap_uids_below(const struct imap_uids *, uint32_t uid);
/* The first run whose last member is at or behind a uid, or `to`. */
uint32_t imap_uids_seek(const struct imap_uids *, uint32_t uid);
uint32_t imap_uids_last(const struct imap_uids *);	/* 0: it is empty */

/* Add behind all members; `first` may touch the last run. */
void imap_uids_append(struct imap_uids *, uint32_t first, uint32_t last);
void imap_uids_merge(struct imap_uids *, const struct imap_uids *more);
void imap_uids_subtract(struct imap_uids *, const struct imap_uids *less);
void imap_uids_remove(struct imap_uids *, uint32_t first, uint32_t last);
/* "3,7:9", behind what is there. */
void imap_uids_add(const struct imap_uids *, struct text *);
/* At most `runs` of them, by taking in what lies between neighbours. */
void imap_uids_coarsen(struct imap_uids *, uint32_t runs);

static inline uint32_t
imap_run_length(const struct imap_run *run)
{
	return run->last - run->first + 1;
}

#endif

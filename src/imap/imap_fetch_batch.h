/*
 * imap_fetch_batch.h - what FETCH gets from the store for many messages at
 * once, the next ones while those before are told.
 *
 * One fiber fills a batch with rows and begins it; a fiber of the batch's own
 * makes the calls. Arrays have a place for each row.
 */
#ifndef IMAP_IMAP_FETCH_BATCH_H
#define IMAP_IMAP_FETCH_BATCH_H

#include "imap/imap_state.h"

struct fiber;

struct imap_batch {
	/* Of who fills it. */
	size_t count, room;
	uint32_t *index;		/* in the view */
	struct message_row *rows;
	bool *together;			/* its bytes are got with others' */
	/* What was got; good until the batch is emptied. */
	struct message_detail *details;	/* NULL; uid 0: it is gone */
	struct span *bodies;		/* NULL; p NULL: to be got alone */
	struct arena *arena;

	/* Its own. */
	struct grant grant;
	uint64_t mailbox;
	bool wants_details, wants_summary, wants_bodies;
	struct blob details_blob, bodies_blob;
	struct fiber *worker, *waiter;
	bool working, done, abandoned;
	int status;
};

/* NULL: no memory. */
struct imap_batch *imap_batch_new(const struct imap_mailbox *);
/* What is under way for it is given up. NULL inside is fine. */
void imap_batch_free(struct imap_batch **);
/* Nothing in it, room for so many rows. False: no memory. */
bool imap_batch_empty(struct imap_batch *, size_t room);
/* Get what is wanted: in the background, or at once. */
void imap_batch_begin(struct imap_batch *);
void imap_batch_get(struct imap_batch *);
/* It is there: 1, -1. */
int  imap_batch_wait(struct imap_batch *);

#endif

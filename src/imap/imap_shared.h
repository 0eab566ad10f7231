/*
 * imap_shared.h - a mailbox that is open in this process, once for all its
 * sessions of one login: one model, one watch at the store.
 *
 * For the files of src/imap alone.
 */
#ifndef IMAP_IMAP_SHARED_H
#define IMAP_IMAP_SHARED_H

#include "imap/imap_model.h"
#include "imap/imap_state.h"

struct imap_shared {
	struct imap_model model;
	uint64_t id;
	struct text key;		/* of the table: login and id */
	uint64_t watch;			/* our name for it; 0: nobody looks */
	uint32_t rights;		/* RIGHT_* of the login */
	uint64_t noted;			/* the store says: changed up to here */
	bool look;			/* ask, whatever was noted */
	bool loading, loaded;
	const char *ended;		/* why it cannot be followed */
	unsigned users;			/* boxes, and those that open one */
	struct imap_mailbox *boxes;
	struct waiter *waiting;		/* for the end of loading */
	struct imap_shared *older, *newer;	/* of those nobody uses */
};

/* Is there something to ask the store for? */
bool imap_shared_behind(const struct imap_shared *);
/* The store came back: all watches are to be renewed. */
void imap_shared_look(void);
/* Those nobody uses any more are let go. */
void imap_shared_forget(void);

#endif

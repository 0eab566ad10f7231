/*
 * keeper.h - what is done now and then, on a thread of its own: dialogues
 * that took too long, free space, bodies nobody links to, mailboxes to fold,
 * days of the trace that are over, numbers counted in memory.
 */
#ifndef STORE_KEEPER_H
#define STORE_KEEPER_H

#include "store/store.h"

enum { KEEPER_ORPHAN_MS = 24 * 3600 * 1000 };

struct keeper *keeper_new(struct store *);	/* its thread runs */
void keeper_free(struct keeper **);		/* and is joined */
/* Everything at once, in the calling thread: for tests. */
void keeper_do_all(struct store *);

void backup_clear(struct store *);		/* backup.c */
uint64_t store_ids(struct store *);		/* a bound on ids given out */

#endif

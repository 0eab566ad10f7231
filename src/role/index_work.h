/*
 * index_work.h - index makes segments, one piece of work after the other.
 */
#ifndef ROLE_INDEX_WORK_H
#define ROLE_INDEX_WORK_H

#include "base/settings.h"
#include "ipc/call.h"

/* On a fiber of its own; settings are read anew for each piece. */
void index_work_start(struct link *store, const struct settings *);
void index_work_wake(void);		/* the store has something to do */
void index_work_stop(void);

#endif

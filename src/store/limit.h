/*
 * limit.h - how much an account may send in a day (settings limit.*, or the
 * account's own).
 *
 * Counted in memory, hour by hour over the last 24, and written once a
 * minute: a crash forgets a minute of counting, nothing else. Any thread.
 */
#ifndef STORE_LIMIT_H
#define STORE_LIMIT_H

#include "store/store.h"

struct limits;

struct limits *limits_new(struct store *);
void limits_free(struct limits **);

/*
 * The account submits a message. True: counted, it may go. False: that is
 * more than it may send; the message is accepted but held, with the reason
 * LIMIT_REASON, and the postmaster is told once a day.
 */
bool limit_take(struct store *, uint64_t account, size_t recipients_outside);
#define LIMIT_REASON "4.7.1 more than the account may send in a day"

/* Of an account's own limits: */
#define LIMIT_DEFAULT	UINT64_MAX		/* as the settings say */
#define LIMIT_NONE	(UINT64_MAX - 1)	/* any number */
#define LIMIT_SAME	(UINT64_MAX - 2)	/* not changed */

struct limit_state {			/* of the last 24 hours */
	uint64_t messages, recipients;
	uint64_t max_messages, max_recipients;	/* LIMIT_NONE: any number */
};
enum result limit_state(struct store *, uint64_t account,
    struct limit_state *);
/* The account's limits were changed, or it is gone. */
void limit_forget(struct store *, uint64_t account);
/* What was counted, to disk. 1, -1. A chore of the keeper. */
int  limit_save(struct store *);
/* What is older than a day, and of accounts that are gone. The same. */
int  limit_expire(struct store *);

#endif

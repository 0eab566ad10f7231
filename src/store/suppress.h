/*
 * suppress.h - addresses outside that do not exist, as their own server said.
 *
 * Our senders are told so at RCPT instead of a bounce later: who goes on
 * writing to dead addresses is taken for a spammer. A record lives for
 * limit.suppress_time; the operator may add and lift. Any thread.
 */
#ifndef STORE_SUPPRESS_H
#define STORE_SUPPRESS_H

#include "store/store.h"

/*
 * An address failed for good. Only what says that nobody is there counts:
 * 5.1.1, 5.1.2, 5.1.3, 5.1.6, 5.1.10 and 5.2.1; policy (5.7.x) does not.
 * Applied, not synced; ours (a local address) never.
 */
void suppress_note(struct store *, struct span address, struct span reason);
/* 1 and why, in the arena ("5.1.1 ..."); 0 no; -1. For senders of ours. */
int  suppress_find(struct store *, struct span address, struct arena *,
    struct span *why);
/* Records whose time is over go. 1, -1. A chore of the keeper. */
int  suppress_expire(struct store *);

#endif

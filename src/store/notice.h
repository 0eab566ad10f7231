/*
 * notice.h - a word to the operator, as mail to postmaster, or to a user.
 */
#ifndef STORE_NOTICE_H
#define STORE_NOTICE_H

#include "store/store.h"

/*
 * Into the queue, from the null sender, to the postmaster of the default
 * domain. body: lines that end in CRLF. Not waited for. 1; -1 it cannot be.
 */
int notice_postmaster(struct store *, struct span subject, struct span body);
/* The same to an account of ours, by its address. */
int notice_account(struct store *, struct span address, struct span subject,
    struct span body);

#endif

/*
 * shares.h - which mailboxes are shared with whom: an index of all access
 * control lists.
 *
 * The lists themselves are in their owners' partitions. Whoever changes one
 * writes an intent in the same batch and tells the index then. What the index
 * says is a hint: whether somebody has a right is for the list to say.
 */
#ifndef STORE_SHARES_H
#define STORE_SHARES_H

#include "store/acl.h"
#include "store/store.h"

struct share {
	uint64_t owner, mailbox;
};

/* The mailbox is shared with whom its owner's list names now. */
enum result shares_apply(struct store *, const struct share *);
/* Does the index say what the list does? 1, 0, -1. */
int shares_agree(struct store *, const struct share *, const struct acl *);
/* Whose a mailbox is that is shared. 1, 0 it is not shared, -1. */
int shares_owner(struct store *, uint64_t mailbox, uint64_t *owner);
/*
 * Every mailbox in whose list is an entry that may be for the account, each
 * once, ascending; for free(). 1, -1.
 */
int shares_of(struct store *, uint64_t account, struct share **, size_t *n);
/* Those whose list names exactly them. */
int shares_with(struct store *, const struct acl_who *, struct share **,
    size_t *n);

#endif

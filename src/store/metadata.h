/*
 * metadata.h - annotations as the list of an account's names sees them.
 */
#ifndef STORE_METADATA_H
#define STORE_METADATA_H

#include "store/mailboxes.h"

/* A record that was read counts in the account's sums. 1, 0 damaged. */
int  metadata_count(struct names *, struct span key, struct span record);
/* The mailbox goes: its annotations go with this batch. */
void metadata_drop(struct names *, struct batch *, uint64_t mailbox);

#endif

/*
 * seen.h - which messages each user of a mailbox has seen, where that is not
 * the owner's \Seen. Pure.
 *
 * A set of UIDs for each user. UIDs of messages that are gone may stay in it:
 * they are never used again, and fill gaps.
 */
#ifndef STORE_SEEN_H
#define STORE_SEEN_H

#include "store/uids.h"

struct seen {
	uint64_t user;
	struct uids uids;
	uint32_t first, last;		/* changed and not saved; 0: nothing */
};

struct seens {
	struct seen *at;		/* ascending user */
	size_t n, room;
};

void seens_free(struct seens *);
size_t seens_bytes(const struct seens *);	/* of memory */
/* Empty for who has seen nothing. */
const struct uids *seens_of(const struct seens *, uint64_t user);
/* The same to be changed; made when it is not there. Good until the next. */
struct seen *seens_make(struct seens *, uint64_t user);
/* STORE_ADD or STORE_REMOVE. */
void seen_change(struct seen *, enum store_mode, const struct uids *);
/* Those between two UIDs, into an empty set. */
void uids_between(const struct uids *, uint32_t first, uint32_t last,
    struct uids *out);

#endif

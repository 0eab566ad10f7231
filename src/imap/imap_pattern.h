/*
 * imap_pattern.h - the names of an account as a tree, and LIST's wildcards.
 *
 * Pure. Names are compared as they stand on the wire, in modified UTF-7 or
 * UTF-8.
 */
#ifndef IMAP_IMAP_PATTERN_H
#define IMAP_IMAP_PATTERN_H

#include "base/arena.h"
#include "base/base.h"
#include "ipc/contract.h"

enum { IMAP_PATTERN_MAX = 2048 };

/* "*" is anything, "%" anything without '/'. INBOX matches in any case. */
bool imap_pattern_matches(struct span pattern, struct span name);

/* A name, or a level above one that is no mailbox itself. */
struct imap_name {
	struct span name;		/* UTF-8 */
	struct span sent;		/* modified UTF-7, or UTF-8 */
	uint64_t mailbox;		/* 0: there is none of that name */
	uint32_t use;			/* USE_* */
	uint32_t rights;		/* RIGHT_* */
	bool subscribed;
	bool mailbox_below;		/* what stands below it, at any depth */
	bool subscribed_below;
	bool use_below;
	size_t parent;			/* SIZE_MAX at the top */
};
struct imap_names {
	struct imap_name *names;	/* parents right before what is below */
	size_t count;
};

/*
 * mailbox_row records as a tree; names point into them. 1, 0 malformed, -1
 * arena full.
 */
int  imap_names_read(struct span rows, struct arena *, struct imap_names *);
/* Names stand on the wire in UTF-8 instead. */
void imap_names_utf8(struct imap_names *);

#endif

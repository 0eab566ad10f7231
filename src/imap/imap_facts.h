/*
 * imap_facts.h - what SORT and THREAD ask of messages, kept by mailbox.
 *
 * A process keeps for the mailboxes sorted last, in columns, the few facts
 * of each message that decide: dates, strings by number, keys of references.
 * They come from the summaries of the messages and never change, so a second
 * SORT asks the store for what is new alone. All of them together stay
 * within the setting imap.sort_memory, whatever is in use apart.
 */
#ifndef IMAP_IMAP_FACTS_H
#define IMAP_IMAP_FACTS_H

#include "imap/imap_collate.h"
#include "imap/imap_intern.h"
#include "imap/imap_state.h"

/* Columns that are wanted, and so are made. */
enum imap_facts_wanted {
	IMAP_FACTS_SENT = 1 << 0,
	IMAP_FACTS_SUBJECT = 1 << 1,
	IMAP_FACTS_ADDRESSES = 1 << 2,
	IMAP_FACTS_LINKS = 1 << 3,
	IMAP_FACTS_ALL = (1 << 4) - 1
};

enum imap_address_column {
	IMAP_FROM, IMAP_TO, IMAP_CC,	/* the mailbox part (RFC 5256 3) */
	IMAP_DISPLAY_FROM, IMAP_DISPLAY_TO,	/* RFC 5957 */
	IMAP_ADDRESS_COLUMNS
};

struct imap_facts {
	size_t count, room;
	uint32_t *uids;				/* ascending */
	int64_t *sent;				/* or INTERNALDATE: 5256 2.2 */
	uint32_t *subjects;			/* number of the base subject */
	uint8_t *replies;			/* by the subject */
	uint32_t *addresses[IMAP_ADDRESS_COLUMNS];
	uint64_t *ids;				/* key of the Message-ID */
	uint64_t *links_at;			/* count + 1 of them */
	uint64_t *links;
	size_t link_room;
	struct imap_intern *strings;		/* keys of the collation */
};

/*
 * The facts of all messages of the mailbox (and perhaps of some that are gone),
 * ours alone until they are given back. 1, -1 the store is away.
 */
int  imap_facts_take(struct imap_task *, const struct imap_mailbox *,
    enum imap_collation, unsigned wanted, struct imap_facts **);
void imap_facts_give(struct imap_facts **);

#endif

/*
 * imap_find.h - the messages of a mailbox that a tree of keys stands for.
 *
 * What SEARCH, SORT, THREAD, ESEARCH and the updates of searches have in
 * common. Memory grows with what is found, 5 bytes a message.
 */
#ifndef IMAP_IMAP_FIND_H
#define IMAP_IMAP_FIND_H

#include "imap/imap_collate.h"
#include "imap/imap_search_parse.h"
#include "imap/imap_state.h"

struct imap_find {
	struct imap_task *t;
	const struct imap_mailbox *box;
	struct imap_search_key *root;	/* prepared */
	enum imap_collation collation;
	bool fuzzy;			/* scores are wanted */
	/* How far to go. */
	bool back;			/* from the last message on */
	uint32_t enough;		/* that many will do; 0: all */
	uint64_t since;			/* only with a higher mod-sequence */
	/* What was found: indexes, ascending; score 1 to 100 of each. */
	uint32_t *indexes;
	uint8_t *scores;		/* NULL: there are none */
	size_t count, room;
};

/*
 * Make the keys of a command ready: filters are expanded, strings become keys
 * of the collation. False: *why.
 */
bool imap_find_prepare(struct imap_task *, struct imap_search_command *,
    enum imap_collation, struct imap_reply *why);
/* 1, -1 the store is away. Again on another mailbox: imap_find_end first. */
int  imap_find(struct imap_find *);
void imap_find_end(struct imap_find *);

/*
 * Keys that the search index can answer, asked of it: hints are put into the
 * tree, in the arena. Where it does not answer there are none.
 */
void imap_find_hints(struct imap_find *, struct arena *);
/* Of a message that matches; what was found by looking counts as 50. */
unsigned imap_find_score(const struct imap_search_key *, uint32_t uid);

/* -- imap_filter.c ---- */

/* Put the keys they stand for into FILTER keys (RFC 5466). False: *why. */
bool imap_filter_expand(struct imap_task *, struct imap_search_command *,
    enum imap_collation, struct imap_reply *why);

#endif

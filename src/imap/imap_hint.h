/*
 * imap_hint.h - what the search index says of one key.
 *
 * Ranges of UIDs. Of the messages in `known` those in `sure` match, those in
 * `maybe` have to be looked at, and no other does; what is not in `known` is
 * not indexed. FUZZY keys have a score for each message of `sure`.
 */
#ifndef IMAP_IMAP_HINT_H
#define IMAP_IMAP_HINT_H

#include "base/arena.h"
#include "imap/imap_search.h"
#include "ipc/contract.h"

/* Ranges that are asked in order, mostly: where the last answer stood. */
struct imap_hint_list {
	const struct imap_range *ranges;
	size_t count, at;
};

struct imap_hint {
	struct imap_hint_list known, sure, maybe;
	const uint32_t *before;		/* messages before ranges of sure */
	struct span scores;		/* a byte for each of them; or empty */
	bool exact;			/* else what is sure is looked at too */
};

/* From uid_range records. 1; 0 not ascending, or no records; -1 arena full. */
int  imap_hint_list(struct span records, struct arena *,
    struct imap_hint_list *);
/* The answer to one query. `exact`: what is sure needs no look. As above. */
int  imap_hint_make(const struct index_answer *, bool exact, struct arena *,
    struct imap_hint *);
bool imap_hint_has(struct imap_hint_list *, uint32_t uid);
/* 1 it matches, 0 it does not, -1 look at the message. */
int  imap_hint_ask(struct imap_hint *, uint32_t uid);
/* 1 to 100 of a message that is sure; 0: nothing is known. */
unsigned imap_hint_score(struct imap_hint *, uint32_t uid);

#endif

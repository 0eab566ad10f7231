/*
 * imap_resync.h - what a client missed: QRESYNC (RFC 7162 3.2).
 *
 * For the files of src/imap alone. The parser is pure.
 */
#ifndef IMAP_IMAP_RESYNC_H
#define IMAP_IMAP_RESYNC_H

#include "imap/imap_state.h"

/* The parameter of SELECT: what the client knows. */
struct imap_resync {
	uint32_t uidvalidity;
	uint64_t modseq;
	bool has_known, has_match;
	struct imap_set known;		/* UIDs */
	struct imap_set numbers, uids;	/* in pairs, some of those it has */
};
/* From the space behind the word QRESYNC on. */
bool imap_parse_resync(struct imap_parser *, struct imap_resync *);

/*
 * "* VANISHED (EARLIER) 41,43:116": which UIDs of the set left after modseq
 * `since`; where the store has forgotten that, those that are not there.
 * `match` (it may be NULL) then tells up to where none is missing. False:
 * *why.
 */
bool imap_say_vanished(struct imap_task *, uint64_t since,
    const struct imap_set *, const struct imap_resync *match,
    struct imap_reply *why);
/* All of it, behind the other answers of SELECT. False: *why. */
bool imap_say_missed(struct imap_task *, const struct imap_resync *,
    struct imap_reply *why);

#endif

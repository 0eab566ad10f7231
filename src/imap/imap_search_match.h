/*
 * imap_search_match.h - does this message match that search key?
 *
 * Pure. Keys are tried on what is at hand first; only when the answer hangs
 * on the bytes of the message are they asked for. Strings are compared by a
 * collation after RFC 2047, transfer encoding and charset are
 * decoded; HTML is searched as it stands. What the index says of a key is
 * taken for the answer where it is one.
 */
#ifndef IMAP_IMAP_SEARCH_MATCH_H
#define IMAP_IMAP_SEARCH_MATCH_H

#include "base/arena.h"
#include "imap/imap_collate.h"
#include "imap/imap_search.h"
#include "mail/charset.h"
#include "mail/mime.h"
#include "mail/summary.h"

/*
 * Make the tree ready, once for a command: strings go from `charset` (empty:
 * US-ASCII, where UTF-8 is let pass) to UTF-8 and become keys of the collation.
 * 1 done, 0 unknown charset (NO [BADCHARSET]), -1 arena full, -2 a string is
 * not of that charset (BAD).
 */
int imap_search_prepare(struct imap_search_key *, struct span charset,
    enum imap_collation, struct arena *);

/* What the answer may hang on, to be fetched beforehand. */
enum imap_search_need {
	IMAP_NEED_DETAILS = 1,	/* SAVED*, EMAILID, THREADID */
	IMAP_NEED_SUMMARY = 2,	/* SENT*: the summary, or the header */
	IMAP_NEED_HEADER = 4,	/* HEADER, TEXT */
	IMAP_NEED_BYTES = 8	/* BODY, TEXT */
};
unsigned imap_search_needs(const struct imap_search_key *);	/* prepared */

/* The mailbox at the moment of the search. */
struct imap_search_view {
	uint32_t last_sequence;	/* what `*` means */
	uint32_t last_uid;
	int64_t now;		/* seconds since 1970 UTC */
};

/* One message as far as it is known. */
struct imap_search_message {
	uint32_t sequence, uid;
	uint64_t flags;		/* FLAG_*, keyword bits, IMAP_FLAG_RECENT */
	uint64_t modseq, size;
	struct date internal_date;
	bool has_details;	/* the next three are known */
	struct date save_date;
	struct span email_id, thread_id;	/* as FETCH shows them; empty:
						   it has none */
	const struct summary *summary;	/* NULL: not at hand */
	struct span header;	/* p NULL: not at hand; `bytes` will do */
	struct span bytes;	/* the whole message; p NULL: not at hand */
};

/* Buffers and converters, kept from one message to the next. */
struct imap_matcher;
struct imap_matcher *imap_matcher_new(const struct mime_limits *,
    enum imap_collation);
void imap_matcher_free(struct imap_matcher **);

/*
 * 1 it matches, 0 it does not, -1 that hangs on what is not at hand: give
 * what imap_search_needs says, and ask again. With details and bytes at hand
 * the answer is never -1. `m` may be NULL when neither bytes nor header are
 * given.
 */
int imap_search_match(struct imap_matcher *m, const struct imap_search_key *,
    const struct imap_search_view *, const struct imap_search_message *);

#endif

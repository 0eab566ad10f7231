/*
 * imap_fetch.h - what a FETCH asks for.
 *
 * Pure: the arguments of the command in, a list of items out.
 */
#ifndef IMAP_IMAP_FETCH_H
#define IMAP_IMAP_FETCH_H

#include "imap/imap_body.h"
#include "imap/imap_parse.h"
#include "imap/imap_search_parse.h"

enum imap_fetch_kind {
	IMAP_FETCH_UID, IMAP_FETCH_FLAGS, IMAP_FETCH_INTERNALDATE,
	IMAP_FETCH_SIZE, IMAP_FETCH_MODSEQ,
	/* of what message_details tells */
	IMAP_FETCH_EMAILID, IMAP_FETCH_THREADID, IMAP_FETCH_SAVEDATE,
	/* of the summary */
	IMAP_FETCH_ENVELOPE, IMAP_FETCH_BODY, IMAP_FETCH_BODYSTRUCTURE,
	IMAP_FETCH_PREVIEW,
	/* of the bytes */
	IMAP_FETCH_SECTION, IMAP_FETCH_BINARY, IMAP_FETCH_BINARY_SIZE,
};

struct imap_fetch_item {
	enum imap_fetch_kind kind;
	struct imap_section section;
	const char *name;	/* "RFC822.TEXT"; NULL: BODY[section] */
	bool lazy;		/* PREVIEW (LAZY): only if it is known */
};

enum { IMAP_FETCH_ITEMS_MAX = 256 };

struct imap_fetch {
	struct imap_set set;
	struct imap_fetch_item *items;	/* in the order asked for */
	size_t count;
	bool sets_seen;
	bool needs_details, needs_summary, needs_bytes;
	bool headers_only;		/* the beginning of the bytes will do */
	bool shows_flags, shows_uid, shows_modseq;
	bool is_conditional;		/* CHANGEDSINCE (RFC 7162 3.1.4.1) */
	uint64_t changed_since;
	bool vanished;			/* and what is gone (3.2.6) */
	struct imap_partial partial;	/* RFC 9394; first 0: everything */
};

/* From the space before the set on to the end. `uid`: UID FETCH. */
bool imap_parse_fetch(struct imap_parser *, bool uid, struct imap_fetch *);

#endif

/*
 * imap_search_parse.h - the arguments of SEARCH as a tree of keys.
 *
 * Pure. RFC 3501 6.4.4 with ESEARCH (4731), WITHIN (5032), CONDSTORE (7162),
 * OBJECTID (8474) and SAVEDATE (8514).
 */
#ifndef IMAP_IMAP_SEARCH_PARSE_H
#define IMAP_IMAP_SEARCH_PARSE_H

#include "imap/imap_parse.h"
#include "imap/imap_search.h"

enum imap_search_return {
	IMAP_RETURN_MIN = 1 << 0, IMAP_RETURN_MAX = 1 << 1,
	IMAP_RETURN_ALL = 1 << 2, IMAP_RETURN_COUNT = 1 << 3,
};

struct imap_search_command {
	unsigned returns;		/* 0: answer SEARCH, not ESEARCH */
	struct span charset;		/* empty: none was named */
	struct imap_search_key *root;
	bool has_modseq;		/* MODSEQ is among the keys */
};

/* From the space before the first argument on to the end. */
bool imap_parse_search(struct imap_parser *, struct imap_search_command *);

#endif

/*
 * imap_metadata_parse.h - the arguments of GETMETADATA and SETMETADATA
 * (RFC 5464), and the return option METADATA of LIST (RFC 9590).
 *
 * Pure. Whether a name can be an entry's the store decides.
 */
#ifndef IMAP_IMAP_METADATA_PARSE_H
#define IMAP_IMAP_METADATA_PARSE_H

#include "imap/imap_parse.h"

enum { IMAP_ENTRIES_MAX = 1000, IMAP_ENTRY_MAX = 900 };

struct imap_metadata_entry {
	struct span name;
	struct span value;		/* p NULL: NIL */
};

struct imap_metadata {
	struct span mailbox;		/* as sent; empty: the server */
	uint64_t max_size;		/* UINT64_MAX: not said */
	uint32_t depth;			/* 0, 1, UINT32_MAX */
	struct imap_metadata_entry *entries;
	size_t count;
};

/* From the space before the first argument on to the end. */
bool imap_parse_getmetadata(struct imap_parser *, struct imap_metadata *);
bool imap_parse_setmetadata(struct imap_parser *, struct imap_metadata *);
/* From the "(" of LIST's "METADATA (...)" to its end. */
bool imap_parse_list_metadata(struct imap_parser *, struct imap_metadata *);
/* The names, one a line; p NULL: the arena is full. */
struct span imap_metadata_names(const struct imap_metadata *,
    struct arena *);

#endif

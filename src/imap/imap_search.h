/*
 * imap_search.h - the search keys of IMAP as a tree.
 *
 * RFC 3501 6.4.4, WITHIN (5032), SEARCHRES (5182), FILTERS (5466), FUZZY
 * (6203), CONDSTORE (7162), OBJECTID (8474), SAVEDATE (8514). The parser
 * builds the tree, imap_search_match walks it.
 */
#ifndef IMAP_IMAP_SEARCH_H
#define IMAP_IMAP_SEARCH_H

#include "base/arena.h"
#include "ipc/contract.h"

enum { IMAP_SEARCH_DEPTH_MAX = 64, IMAP_SEARCH_KEYS_MAX = 4096 };

/* Flags are the contract's FLAG_* and keyword bits, and this one. */
#define IMAP_FLAG_RECENT	(UINT64_C(1) << 5)

/*
 * A sequence set. `*` is IMAP_RANGE_STAR; "5:*" and "*:5" both are stored as
 * { 5, IMAP_RANGE_STAR }; a plain "*" as { STAR, STAR }. first <= last.
 */
#define IMAP_RANGE_STAR UINT32_MAX
struct imap_range { uint32_t first, last; };
struct imap_set {
	const struct imap_range *ranges;	/* in the order as written */
	size_t count;
	bool saved;		/* "$": what SEARCH saved (RFC 5182) */
	bool settled;		/* by imap_set_settle() */
};
/* Put numbers for `*`, in order, joined: then asking is cheap. False: the
 * arena is full. */
bool imap_set_settle(struct imap_set *, uint32_t largest, struct arena *);
/* `largest` is what `*` stands for (0: the mailbox is empty). */
bool imap_set_has(const struct imap_set *, uint32_t number, uint32_t largest);

enum imap_search_kind {
	/* of other keys */
	IMAP_SEARCH_AND,	/* list: all of them; an empty list is ALL */
	IMAP_SEARCH_OR,		/* list: any of them */
	IMAP_SEARCH_NOT,	/* list: one key */
	/* of what the store knows */
	IMAP_SEARCH_ALL,
	IMAP_SEARCH_FLAGS,	/* all of `flags` set: SEEN is FLAG_SEEN,
				   UNSEEN is NOT of it, NEW is AND ... */
	IMAP_SEARCH_KEYWORD,	/* text: the keyword; `flags`: its bit in this
				   mailbox, 0 when no message can have it */
	IMAP_SEARCH_SEQUENCE,	/* set, by message sequence number */
	IMAP_SEARCH_UID,	/* set */
	IMAP_SEARCH_BEFORE,	/* day: of INTERNALDATE */
	IMAP_SEARCH_ON,
	IMAP_SEARCH_SINCE,
	IMAP_SEARCH_SAVED_BEFORE,	/* day: of the save date */
	IMAP_SEARCH_SAVED_ON,
	IMAP_SEARCH_SAVED_SINCE,
	IMAP_SEARCH_SAVEDATE_SUPPORTED,
	IMAP_SEARCH_LARGER,	/* number: octets */
	IMAP_SEARCH_SMALLER,
	IMAP_SEARCH_OLDER,	/* number: seconds before now */
	IMAP_SEARCH_YOUNGER,
	IMAP_SEARCH_MODSEQ,	/* number: at least this (the entry name and
				   type of RFC 7162 3.1.5 choose nothing) */
	IMAP_SEARCH_EMAILID,	/* text */
	IMAP_SEARCH_THREADID,	/* text */
	/* of the Date field: the summary knows it */
	IMAP_SEARCH_SENT_BEFORE,
	IMAP_SEARCH_SENT_ON,
	IMAP_SEARCH_SENT_SINCE,
	/* of the bytes */
	IMAP_SEARCH_HEADER,	/* name, text; SUBJECT FROM TO CC BCC are
				   HEADER with that name */
	IMAP_SEARCH_BODY,	/* text */
	IMAP_SEARCH_TEXT,
	/* of what the user called so: expanded before the search */
	IMAP_SEARCH_FILTER	/* text: its name; list: its keys then */
};

struct imap_hint;		/* imap_hint.h */

struct imap_search_key {
	enum imap_search_kind kind;
	uint64_t flags;
	int32_t day;		/* since 1970-01-01 */
	uint64_t number;
	struct imap_set set;
	struct imap_set settled;	/* the same, once numbers are known */
	struct span name;	/* field name, as written */
	struct span text;	/* as written, in the charset of the command;
				   after imap_search_prepare in UTF-8 */
	/* made by imap_search_prepare: */
	struct span folded;
	unsigned needs;		/* of this key and those within */
	bool fuzzy;		/* RFC 6203 */
	struct imap_hint *hint;	/* NULL: the index says nothing */
	struct imap_search_key *list;	/* first of the keys within */
	struct imap_search_key *next;
};

#endif

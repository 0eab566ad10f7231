/*
 * imap_search_parse.h - the arguments of SEARCH, SORT, THREAD and ESEARCH.
 *
 * Pure. RFC 3501 6.4.4 with ESEARCH (4731), WITHIN (5032), SEARCHRES (5182),
 * SORT and THREAD (5256), ESORT and CONTEXT (5267), FILTERS (5466),
 * SORT=DISPLAY (5957), FUZZY (6203), CONDSTORE (7162), MULTISEARCH (7377),
 * OBJECTID (8474), SAVEDATE (8514) and PARTIAL (9394).
 */
#ifndef IMAP_IMAP_SEARCH_PARSE_H
#define IMAP_IMAP_SEARCH_PARSE_H

#include "imap/imap_parse.h"
#include "imap/imap_search.h"

enum imap_search_return {
	IMAP_RETURN_MIN = 1 << 0, IMAP_RETURN_MAX = 1 << 1,
	IMAP_RETURN_ALL = 1 << 2, IMAP_RETURN_COUNT = 1 << 3,
	IMAP_RETURN_SAVE = 1 << 4, IMAP_RETURN_PARTIAL = 1 << 5,
	IMAP_RETURN_UPDATE = 1 << 6, IMAP_RETURN_CONTEXT = 1 << 7,
	IMAP_RETURN_RELEVANCY = 1 << 8,
};

/* "1:100", or from the end "-1:-100": then `back`. first <= last. */
struct imap_partial {
	uint32_t first, last;
	bool back;
};

enum imap_sort_field {
	IMAP_SORT_ARRIVAL, IMAP_SORT_CC, IMAP_SORT_DATE, IMAP_SORT_FROM,
	IMAP_SORT_SIZE, IMAP_SORT_SUBJECT, IMAP_SORT_TO,
	IMAP_SORT_DISPLAY_FROM, IMAP_SORT_DISPLAY_TO, IMAP_SORT_RELEVANCY,
};
enum { IMAP_SORT_KEYS_MAX = 16 };
struct imap_sort_key {
	enum imap_sort_field field;
	bool reverse;
};

enum imap_thread_kind {
	IMAP_THREAD_ORDERED_SUBJECT, IMAP_THREAD_REFERENCES, IMAP_THREAD_REFS,
};

/* Where ESEARCH looks (RFC 7377, the words of RFC 5465). */
enum imap_source_kind {
	IMAP_SOURCE_SELECTED, IMAP_SOURCE_INBOXES, IMAP_SOURCE_PERSONAL,
	IMAP_SOURCE_SUBSCRIBED, IMAP_SOURCE_SUBTREE, IMAP_SOURCE_SUBTREE_ONE,
	IMAP_SOURCE_MAILBOXES,
};
enum { IMAP_SOURCES_MAX = 256 };
struct imap_source {
	enum imap_source_kind kind;
	struct span name;		/* as it was sent; of the last three */
	struct imap_source *next;
};

struct imap_search_command {
	unsigned returns;		/* 0: answer SEARCH, not ESEARCH */
	struct imap_partial partial;
	struct imap_sort_key sort[IMAP_SORT_KEYS_MAX];
	size_t sort_count;
	enum imap_thread_kind thread;
	struct imap_source *sources;	/* ESEARCH; NULL: no IN */
	struct span charset;		/* empty: none was named */
	struct imap_search_key *root;
	bool has_modseq;		/* MODSEQ is among the keys */
	bool has_numbers;		/* message numbers are (RFC 9586) */
	bool has_fuzzy;			/* FUZZY is */
};

/* From the space before the first argument on to the end. */
bool imap_parse_search(struct imap_parser *, struct imap_search_command *);
bool imap_parse_sort(struct imap_parser *, struct imap_search_command *);
bool imap_parse_thread(struct imap_parser *, struct imap_search_command *);
bool imap_parse_esearch(struct imap_parser *, struct imap_search_command *);
/* [CHARSET SP charset SP] and keys, to the end: also what a filter holds. */
bool imap_parse_program(struct imap_parser *, struct imap_search_command *);
/* The keys alone, one or more, with what they tell put into the command. */
bool imap_parse_keys(struct imap_parser *, struct imap_search_command *);
/* "1:100" or "-1:-100", as FETCH takes it too. */
bool imap_parse_partial(struct imap_parser *, struct imap_partial *);

#endif

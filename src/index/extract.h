/*
 * extract.h - the text of a message, as SEARCH sees it, into the index. Pure.
 *
 * What counts is that nothing is missed that a search of the message itself
 * would find (imap/imap_search_text.c): the same fields, parts, charsets,
 * folding. What is too much is cut, and the document says so.
 */
#ifndef INDEX_EXTRACT_H
#define INDEX_EXTRACT_H

#include "index/builder.h"

/* Of one message are read: */
enum {
	EXTRACT_FIELD_MAX = 1 << 20,	/* of a field, as SEARCH does */
	EXTRACT_HEADER_MAX = 4 << 20,	/* of all fields, folded */
	EXTRACT_BODY_MAX = 8 << 20,	/* of all text parts, folded */
};

struct extractor;
struct extractor *extractor_new(void);
void extractor_free(struct extractor **);

/* A whole document of the builder. */
void extract_message(struct extractor *, struct builder *, uint32_t uid,
    struct span message);
/* One of which nothing is known: it is always to be looked at. */
void extract_nothing(struct builder *, uint32_t uid);

#endif

/*
 * imap_search_text.h - a folded string sought in the text of a message.
 *
 * The part of imap_search_match that reads the bytes. `needle` is the key
 * of the collation, and not empty but for imap_matcher_field, where empty
 * means that the field is there at all.
 */
#ifndef IMAP_IMAP_SEARCH_TEXT_H
#define IMAP_IMAP_SEARCH_TEXT_H

#include "imap/imap_search_match.h"

/* Another message comes: forget the last one. */
void imap_matcher_next(struct imap_matcher *);
/* In the value of a field of that name. */
bool imap_matcher_field(struct imap_matcher *, struct span header,
    struct span name, struct span needle);
/* In any field, its name too. */
bool imap_matcher_header(struct imap_matcher *, struct span header,
    struct span needle);
/* In the text parts, in messages within, in the headers of both. */
bool imap_matcher_body(struct imap_matcher *, struct span message,
    struct span needle);

#endif

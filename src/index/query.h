/*
 * query.h - in which documents of a segment does a string stand?
 *
 * A string within one word is answered by the dictionary: those documents are
 * sure. One of several words is narrowed to the documents that have all of
 * them, which then must be looked at: maybe. Never is a document left out that
 * a search of the message itself would find.
 */
#ifndef INDEX_QUERY_H
#define INDEX_QUERY_H

#include "index/bits.h"
#include "index/segment.h"
#include "ipc/contract.h"

/*
 * `needle` is folded (casemap_add). Both sets are made by the caller, empty,
 * for the segment's documents; nothing is in both. 1, -1 the segment is
 * damaged or cannot be read.
 */
int query_segment(struct segment *, enum index_field, struct span needle,
    struct bits *sure, struct bits *maybe);

#endif

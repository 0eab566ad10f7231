/*
 * builder.h - messages become a segment. Pure.
 *
 * Words are gathered in memory: each once, with a list of the documents it
 * stands in. When builder_bytes() has reached what may be used, the segment is
 * finished with the documents it has.
 */
#ifndef INDEX_BUILDER_H
#define INDEX_BUILDER_H

#include "index/segment.h"

struct builder;

struct builder *builder_new(void);
void builder_free(struct builder **);
void builder_reset(struct builder *);		/* nothing is in it */

/* A document; uids ascend. Then its text, folded, field by field. */
void builder_begin(struct builder *, uint32_t uid);
/*
 * Text of a field: several times, each a text of its own. What SEGMENT_HTML
 * has comes last, and counts only where the body does not have it.
 */
void builder_add(struct builder *, enum segment_field, struct span folded);
void builder_add_flags(struct builder *, uint8_t document_flags);
void builder_end(struct builder *);

uint32_t builder_documents(const struct builder *);
size_t   builder_bytes(const struct builder *);

/* `rest` runs now and then (may be NULL). 1, -1 it would be too large. */
int  builder_finish(struct builder *, void (*rest)(void *), void *arg,
    struct text *out);

#endif

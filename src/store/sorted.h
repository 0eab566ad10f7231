/*
 * sorted.h - a map from bytes to bytes, in the order of its keys.
 *
 * Copies keys and values. Spans it gives out are valid until the entry is
 * changed. The caller locks.
 */
#ifndef STORE_SORTED_H
#define STORE_SORTED_H

#include "base/base.h"

struct sorted;

struct sorted *sorted_new(void);
void sorted_free(struct sorted **);
size_t sorted_count(const struct sorted *);
void sorted_put(struct sorted *, struct span key, struct span value);
bool sorted_remove(struct sorted *, struct span key);	/* was it there? */
bool sorted_get(const struct sorted *, struct span key, struct span *value);
/* The first entry at or after `from`; key and value may be NULL. */
bool sorted_seek(const struct sorted *, struct span from, struct span *key,
    struct span *value);

#endif

/*
 * index_lookup.h - index answers searches.
 */
#ifndef ROLE_INDEX_LOOKUP_H
#define ROLE_INDEX_LOOKUP_H

#include "index/stem.h"
#include "ipc/call.h"
#include "ipc/serve.h"

/* The link to the store; the languages of SEARCH=FUZZY from now on. */
void index_lookup_setup(struct link *store, struct span languages);
/* The handler of index_search; on a fiber. */
void index_lookup(void *, const struct caller *, struct arena *,
    const struct index_search_request *, struct index_search_reply *);
void index_lookup_free(void);

#endif

/*
 * fuzzy.h - the messages that have to do with some words, the best first in
 * score: SEARCH=FUZZY (RFC 6203).
 *
 * A word is found by itself, by words of its stem and by those that begin with
 * it; text without spaces by the words that ICU sees in it. Ranked by BM25,
 * where a subject weighs more than a sender and that more than a body. A
 * message is told when it has half of what the words weigh together: the rarer
 * a word, the heavier.
 */
#ifndef INDEX_FUZZY_H
#define INDEX_FUZZY_H

#include "index/segment.h"
#include "index/stem.h"
#include "ipc/contract.h"

struct fuzzy_hit {
	uint32_t uid;
	uint8_t score;			/* 1 to 100 */
};

/*
 * Over segments whose uids ascend. *hits ascending by uid, for free(). 1, -1 a
 * segment (*damaged) is damaged or cannot be read.
 */
int fuzzy_search(struct segment *const *segments, size_t n,
    enum index_field, struct span folded, struct stemmer *,
    struct fuzzy_hit **hits, size_t *count, size_t *damaged);

#endif

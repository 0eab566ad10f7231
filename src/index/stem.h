/*
 * stem.h - words alike: the stems of a word in several languages.
 */
#ifndef INDEX_STEM_H
#define INDEX_STEM_H

#include "base/text.h"

struct stemmer;
/* Of these languages, as Snowball names them, parted by blanks; those it
 * does not know are passed over. Never NULL. */
struct stemmer *stemmer_new(struct span languages);
void stemmer_free(struct stemmer **);
size_t stemmer_count(const struct stemmer *);
/* The stem in the i-th language of a folded word, folded too. */
void stemmer_add(struct stemmer *, size_t i, struct span folded,
    struct text *out);

#endif

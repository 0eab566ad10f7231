/*
 * stem.c - Snowball's stemmers, which want small letters in their composed
 * form.
 */
#include "index/stem.h"
#include "mail/charset.h"

#include <libstemmer.h>
#include <stdlib.h>

enum { LANGUAGES_MAX = 32, LANGUAGE_NAME = 32, WORD_MAX = 256 };

struct stemmer {
	struct sb_stemmer *of[LANGUAGES_MAX];
	size_t n;
	struct text lower;
};

struct stemmer *
stemmer_new(struct span languages)
{
	struct stemmer *s = xcalloc(1, sizeof(*s));
	char name[LANGUAGE_NAME + 1];
	struct span word;

	while ((word = span_word(&languages)).n > 0 && s->n < LANGUAGES_MAX) {
		if (word.n > LANGUAGE_NAME)
			continue;
		memcpy(name, word.p, word.n);
		name[word.n] = '\0';
		s->of[s->n] = sb_stemmer_new(name, "UTF_8");
		s->n += s->of[s->n] != NULL;
	}
	return s;
}

void
stemmer_free(struct stemmer **sp)
{
	struct stemmer *s = *sp;

	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		sb_stemmer_delete(s->of[i]);
	text_free(&s->lower);
	free(s);
	*sp = NULL;
}

size_t
stemmer_count(const struct stemmer *s)
{
	return s->n;
}

void
stemmer_add(struct stemmer *s, size_t i, struct span folded, struct text *out)
{
	const sb_symbol *stem;

	text_clear(&s->lower);
	casefold_add(&s->lower, span_sub(folded, 0, WORD_MAX));
	stem = sb_stemmer_stem(s->of[i], (const sb_symbol *)s->lower.p,
	    (int)s->lower.n);
	if (stem == NULL)	/* no memory */
		text_add(out, folded);
	else
		casemap_add(out, span_of(stem,
		    (size_t)sb_stemmer_length(s->of[i])));
}

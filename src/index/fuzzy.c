/*
 * fuzzy.c - words to terms alike, terms to documents, documents to scores.
 *
 * Stems are made of the dictionary's terms when they are asked for, not when
 * a message comes: a message needs no language then, and the index no second
 * dictionary. Only terms that begin as the word does are looked at.
 */
#include "index/fuzzy.h"
#include "index/token.h"
#include "mail/encode.h"

#include <math.h>
#include <stdlib.h>
#include <unicode/ubrk.h>
#include <unicode/ustring.h>

enum {
	WORDS_MAX = 32,
	PREFIX_LEAST = 3,		/* characters that words must share */
	CANDIDATES_MAX = 20000,		/* terms of one word looked at */
	RUN_MAX = 1024,			/* bytes of text without spaces */
};

static const float alike_same = 1.0f, alike_stem = 0.8f, alike_begin = 0.5f;
static const float bm25_k1 = 1.2f, bm25_b = 0.75f;

static const float weights[SEGMENT_FIELDS] = {
	[SEGMENT_SUBJECT] = 5, [SEGMENT_FROM] = 3, [SEGMENT_TO] = 2,
	[SEGMENT_CC] = 2, [SEGMENT_BCC] = 2, [SEGMENT_HEADER] = 0.5f,
	[SEGMENT_BODY] = 1, [SEGMENT_HTML] = 1,
};

#define FIELD(name)	(1u << SEGMENT_##name)
static const unsigned looked_at[INDEX_FIELDS] = {
	[INDEX_TEXT] = FIELD(SUBJECT) | FIELD(FROM) | FIELD(TO) | FIELD(CC) |
	    FIELD(BCC) | FIELD(HEADER) | FIELD(BODY) | FIELD(HTML),
	[INDEX_BODY] = FIELD(BODY) | FIELD(HTML),
	[INDEX_SUBJECT] = FIELD(SUBJECT), [INDEX_FROM] = FIELD(FROM),
	[INDEX_TO] = FIELD(TO), [INDEX_CC] = FIELD(CC),
	[INDEX_BCC] = FIELD(BCC), [INDEX_HEADER] = FIELD(HEADER),
};

struct search {
	struct segment *const *segments;
	size_t segment_count;
	enum index_field field;
	struct stemmer *stemmer;
	uint32_t documents;		/* of all segments */
	float mean;			/* words of a document */
	float *count;			/* of the word, in each document */
	float *part;			/* of one pair of a word */
	float *score, *weight;
	float total;			/* weight of all words */
	size_t damaged;
	/* The word: */
	struct span word;
	struct text stems;		/* NUL behind each */
	struct text prefix;		/* "\n" and how its terms begin */
	struct text scratch;
};

/* ---- how much a term is like the word -------------------------------- */

static struct span
stem_at(const struct search *s, size_t *at)
{
	struct span stem;

	span_cut(span_from(text_span(&s->stems), *at), '\0', &stem);
	*at += stem.n + 1;
	return stem;
}

static float
likeness(struct search *s, struct span term)
{
	size_t at = 0;

	if (span_eq(term, s->word))
		return alike_same;
	for (size_t i = 0; i < stemmer_count(s->stemmer); i++) {
		text_clear(&s->scratch);
		stemmer_add(s->stemmer, i, term, &s->scratch);
		if (span_eq(text_span(&s->scratch), stem_at(s, &at)))
			return alike_stem;
	}
	return utf8_count(s->word) >= PREFIX_LEAST &&
	    span_starts(term, s->word) ? alike_begin : 0;
}

/* What all stems and the word begin with, and one character less: a stemmer
 * may write another one there. */
static void
take_word(struct search *s, struct span word)
{
	size_t shared = word.n, at = 0, n, least;
	struct span stem;

	s->word = word;
	text_clear(&s->stems);
	for (size_t i = 0; i < stemmer_count(s->stemmer); i++) {
		stemmer_add(s->stemmer, i, word, &s->stems);
		text_char(&s->stems, '\0');
	}
	for (size_t i = 0; i < stemmer_count(s->stemmer); i++) {
		stem = stem_at(s, &at);
		for (n = 0; n < stem.n && n < shared &&
		    stem.p[n] == word.p[n];)
			n++;
		shared = n < stem.n ? n : MAX(n, (size_t)1) - 1;
	}
	for (least = 0, n = 0; n < PREFIX_LEAST && least < word.n; n++)
		utf8_next(word, &least);
	shared = utf8_clip(word, MAX(shared, least)).n;
	text_clear(&s->prefix);
	text_char(&s->prefix, '\n');
	text_add(&s->prefix, span_sub(word, 0, shared));
}

/* ---- counting -------------------------------------------------------- */

static int
count_term(struct segment_cursor *c, float factor, float *out)
{
	struct postings p;
	int status;

	segment_postings(c, &p);
	while ((status = postings_next(&p)) == 1)
		out[p.document] += factor * (float)p.count;
	return status == 0 ? 1 : -1;
}

/* How much the term counts: for pairs there is nothing but the same. */
static float
factor_of(struct search *s, const struct segment_cursor *c, bool alike)
{
	return weights[c->field] *
	    (alike ? likeness(s, segment_term(c)) : alike_same);
}

static int
count_field(struct search *s, struct segment *g, enum segment_field field,
    struct span pattern, bool alike, float *out)
{
	uint32_t *terms = xcalloc(TERMS_AT_ONCE, sizeof(*terms)), at = 0;
	struct segment_cursor c;
	size_t seen = 0;
	int status = 1, n;

	segment_walk(&c, g, field);
	while (status == 1 && seen < CANDIDATES_MAX &&
	    g->fields[field].count > 0) {
		n = segment_find(g, field, pattern, &at, terms);
		if (n <= 0) {
			status = n;
			break;
		}
		seen += (size_t)n;
		status = segment_need_postings(g, field, terms, (size_t)n);
		for (int i = 0; status == 1 && i < n; i++) {
			float factor;

			status = segment_seek(&c, terms[i]);
			factor = status == 1 ? factor_of(s, &c, alike) : 0;
			if (factor > 0)
				status = count_term(&c, factor, out);
		}
	}
	free(terms);
	return status == 0 ? 1 : status;
}

static int
count_pattern(struct search *s, struct span pattern, bool alike, float *out)
{
	uint32_t base = 0;
	int status = 1;

	for (size_t i = 0; status == 1 && i < s->segment_count; i++) {
		struct segment *g = s->segments[i];

		for (size_t f = 0; status == 1 && f < SEGMENT_FIELDS; f++)
			if ((looked_at[s->field] & 1u << f) != 0)
				status = count_field(s, g,
				    (enum segment_field)f, pattern, alike,
				    out + base);
		if (status != 1)
			s->damaged = i;
		base += g->documents;
	}
	return status;
}

/* A word of text without spaces: all of its pairs. */
static int
count_pairs(struct search *s, struct span word)
{
	struct run t = { .class = TOKEN_PAIRS, .text = word };
	struct span term;
	size_t at = 0;
	bool cut = false, first = true;
	int status = 1;

	while (status == 1 && term_next(&t, &at, &term, &cut)) {
		memset(s->part, 0, s->documents * sizeof(*s->part));
		status = count_pattern(s, term, false, s->part);
		for (uint32_t d = 0; d < s->documents; d++)
			s->count[d] = first ? s->part[d]
			    : MIN(s->count[d], s->part[d]);
		first = false;
	}
	return status;
}

/* ---- scores ---------------------------------------------------------- */

/* Robertson and Sparck Jones; never below nothing. */
static void
add_scores(struct search *s)
{
	uint32_t have = 0, d = 0;
	float rare, words;

	for (uint32_t i = 0; i < s->documents; i++)
		have += s->count[i] > 0;
	if (have == 0)
		return;
	rare = logf(1 + ((float)(s->documents - have) + 0.5f) /
	    ((float)have + 0.5f));
	s->total += rare;
	for (size_t i = 0; i < s->segment_count; i++)
		for (uint32_t n = 0; n < s->segments[i]->documents; n++, d++) {
			float c = s->count[d];

			if (c <= 0)
				continue;
			words = (float)document_words(segment_document(
			    s->segments[i], n).length) / s->mean;
			s->weight[d] += rare;
			s->score[d] += rare * c * (bm25_k1 + 1) / (c +
			    bm25_k1 * (1 - bm25_b + bm25_b * words));
		}
}

static int
add_word(struct search *s, struct span word, bool pairs)
{
	int status;

	memset(s->count, 0, s->documents * sizeof(*s->count));
	if (pairs) {
		status = count_pairs(s, word);
	} else {
		take_word(s, word);
		status = count_pattern(s, text_span(&s->prefix), true,
		    s->count);
	}
	if (status == 1)
		add_scores(s);
	return status;
}

/* ---- words of the query ---------------------------------------------- */

/* Each word that ICU sees in a run without spaces. */
static int
add_run(struct search *s, struct span run, size_t *words)
{
	UErrorCode e = U_ZERO_ERROR;
	UChar units[RUN_MAX];
	UBreakIterator *it;
	struct span word;
	int32_t n = 0, from, to;
	size_t at = 0, end;
	int status = 1;

	run = utf8_clip(run, RUN_MAX);
	u_strFromUTF8(units, RUN_MAX, &n, run.p, (int32_t)run.n, &e);
	it = ubrk_open(UBRK_WORD, "", units, n, &e);
	if (U_FAILURE(e))
		return add_word(s, run, true);
	from = ubrk_first(it);
	while (status == 1 && (to = ubrk_next(it)) != UBRK_DONE &&
	    (*words)++ < WORDS_MAX) {
		for (end = at; from < to && end < run.n;)
			from += utf8_next(run, &end) >= 0x10000 ? 2 : 1;
		word = span_sub(run, at, end - at);
		at = end;
		if (word.n > 0)
			status = add_word(s, word, true);
	}
	ubrk_close(it);
	return status;
}

static int
add_words(struct search *s, struct span folded)
{
	size_t at = 0, words = 0;
	struct run t;
	int status = 1;

	while (status == 1 && words < WORDS_MAX &&
	    token_next(folded, &at, &t)) {
		if (t.class == TOKEN_PAIRS)
			status = add_run(s, t.text, &words);
		else if (words++ < WORDS_MAX)
			status = add_word(s, span_sub(t.text, 0, TERM_MAX),
			    false);
	}
	return status;
}

/* ---- the whole ------------------------------------------------------- */

static int
begin(struct search *s)
{
	uint64_t words = 0;

	for (size_t i = 0; i < s->segment_count; i++) {
		struct segment *g = s->segments[i];

		s->damaged = i;
		if (segment_need_terms(g, looked_at[s->field]) != 1)
			return -1;
		for (uint32_t n = 0; n < g->documents; n++)
			words += document_words(segment_document(g,
			    n).length);
		s->documents += g->documents;
	}
	s->mean = (float)MAX(words, UINT64_C(1)) /
	    (float)MAX(s->documents, 1u);
	s->count = xcalloc(s->documents + 1u, sizeof(*s->count));
	s->part = xcalloc(s->documents + 1u, sizeof(*s->part));
	s->score = xcalloc(s->documents + 1u, sizeof(*s->score));
	s->weight = xcalloc(s->documents + 1u, sizeof(*s->weight));
	return 1;
}

static void
take_hits(const struct search *s, struct fuzzy_hit **hits, size_t *count)
{
	float most = 0;
	uint32_t d = 0;

	*hits = xcalloc(s->documents + 1u, sizeof(**hits));
	for (uint32_t i = 0; i < s->documents; i++)
		most = MAX(most, s->score[i]);
	for (size_t i = 0; i < s->segment_count; i++)
		for (uint32_t n = 0; n < s->segments[i]->documents; n++, d++)
			if (s->score[d] > 0 && s->weight[d] * 2 >= s->total)
				(*hits)[(*count)++] = (struct fuzzy_hit){
				    segment_document(s->segments[i], n).uid,
				    (uint8_t)MAX(1.0f, 100 * s->score[d] /
				    most) };
}

int
fuzzy_search(struct segment *const *segments, size_t n,
    enum index_field field, struct span folded, struct stemmer *stemmer,
    struct fuzzy_hit **hits, size_t *count, size_t *damaged)
{
	struct search s = { .segments = segments, .segment_count = n,
		.field = field, .stemmer = stemmer };
	int status = begin(&s);

	*hits = NULL;
	*count = 0;
	if (status == 1)
		status = add_words(&s, folded);
	if (status == 1)
		take_hits(&s, hits, count);
	*damaged = s.damaged;
	free(s.count);
	free(s.part);
	free(s.score);
	free(s.weight);
	text_free(&s.stems);
	text_free(&s.prefix);
	text_free(&s.scratch);
	return status;
}

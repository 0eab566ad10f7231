/*
 * query.c - a string becomes words, words become documents.
 */
#include "index/query.h"
#include "index/token.h"

enum { TOKENS_MAX = 32 };

#define FIELD(name)	(1u << SEGMENT_##name)

/* Where each is looked for, and what makes it doubtful. */
static const struct {
	unsigned fields;
	uint8_t cut, words_cut;
} wishes[INDEX_FIELDS] = {
	[INDEX_TEXT] = { FIELD(SUBJECT) | FIELD(FROM) | FIELD(TO) |
	    FIELD(CC) | FIELD(BCC) | FIELD(HEADER) | FIELD(NAMES) |
	    FIELD(BODY), DOCUMENT_HEADER_CUT | DOCUMENT_BODY_CUT,
	    DOCUMENT_HEADER_LONG | DOCUMENT_BODY_LONG },
	[INDEX_BODY] = { FIELD(BODY), DOCUMENT_BODY_CUT, DOCUMENT_BODY_LONG },
	[INDEX_SUBJECT] = { FIELD(SUBJECT), DOCUMENT_HEADER_CUT,
	    DOCUMENT_HEADER_LONG },
	[INDEX_FROM] = { FIELD(FROM), DOCUMENT_HEADER_CUT,
	    DOCUMENT_HEADER_LONG },
	[INDEX_TO] = { FIELD(TO), DOCUMENT_HEADER_CUT, DOCUMENT_HEADER_LONG },
	[INDEX_CC] = { FIELD(CC), DOCUMENT_HEADER_CUT, DOCUMENT_HEADER_LONG },
	[INDEX_BCC] = { FIELD(BCC), DOCUMENT_HEADER_CUT,
	    DOCUMENT_HEADER_LONG },
	[INDEX_HEADER] = { FIELD(HEADER), DOCUMENT_HEADER_CUT,
	    DOCUMENT_HEADER_LONG },
};

struct query {
	struct segment *segment;
	enum index_field field;
};

static void
add_flagged(const struct query *q, uint8_t flags, struct bits *out)
{
	for (uint32_t i = 0; i < q->segment->documents; i++)
		if ((segment_document(q->segment, i).flags & flags) != 0)
			bits_add(out, i);
}

/* ---- terms ----------------------------------------------------------- */

static int
add_terms(const struct query *q, enum segment_field field,
    const uint32_t *terms, size_t n, struct bits *out)
{
	struct segment_cursor c;
	struct postings p;
	int status = segment_need_postings(q->segment, field, terms, n);

	segment_walk(&c, q->segment, field);
	for (size_t i = 0; status == 1 && i < n; i++) {
		if (segment_seek(&c, terms[i]) != 1)
			return -1;
		segment_postings(&c, &p);
		while ((status = postings_next(&p)) == 1)
			bits_add(out, p.document);
		if (status == 0)
			status = 1;
		if (out->count == out->limit)
			break;
	}
	return status;
}

static int
add_field(const struct query *q, enum segment_field field,
    struct span pattern, uint32_t *terms, struct bits *out)
{
	uint32_t at = 0;
	int n, status = 1;

	if (q->segment->fields[field].count == 0)
		return 1;
	while (status == 1 && out->count < out->limit) {
		n = segment_find(q->segment, field, pattern, &at, terms);
		if (n <= 0)
			return n == 0 ? 1 : -1;
		status = add_terms(q, field, terms, (size_t)n, out);
	}
	return status;
}

/* The documents of all terms that match, in any field of the wish. */
static int
add_pattern(const struct query *q, struct span pattern, struct bits *out)
{
	uint32_t *terms = xcalloc(TERMS_AT_ONCE, sizeof(*terms));
	unsigned fields = wishes[q->field].fields;
	int status = 1;

	for (size_t f = 0; status == 1 && f < SEGMENT_FIELDS; f++)
		if ((fields & 1u << f) != 0)
			status = add_field(q, (enum segment_field)f, pattern,
			    terms, out);
	free(terms);
	return status;
}

/* ---- tokens ---------------------------------------------------------- */

/*
 * Where the string goes on before or behind it, the word must begin or end
 * there. Words that were cut into pieces are found by what is short enough
 * to lie within one, and else are doubtful.
 */
static int
add_word(const struct query *q, const struct run *t, struct bits *out)
{
	char room[TERM_MAX + 2];
	struct span pattern = { room, 0 };

	if (t->text.n > TERM_OVERLAP)
		add_flagged(q, wishes[q->field].words_cut, out);
	if (t->text.n > TERM_MAX)
		return 1;
	if (!t->first)
		room[pattern.n++] = '\n';
	memcpy(room + pattern.n, t->text.p, t->text.n);
	pattern.n += t->text.n;
	if (!t->last)
		room[pattern.n++] = '\n';
	return add_pattern(q, pattern, out);
}

static int
add_pairs(const struct query *q, const struct run *t, struct bits *out)
{
	struct bits one;
	struct span term;
	size_t at = 0;
	bool cut = false, first = true;
	int status = 1;

	while (status == 1 && term_next(t, &at, &term, &cut)) {
		if (first) {
			status = add_pattern(q, term, out);
		} else {
			one = bits_new(out->limit);
			status = add_pattern(q, term, &one);
			bits_intersect(out, &one);
			bits_free(&one);
		}
		first = false;
	}
	return status;
}

static int
add_token(const struct query *q, const struct run *t, struct bits *out)
{
	return t->class == TOKEN_WORD ? add_word(q, t, out)
	    : add_pairs(q, t, out);
}

/* Does every document with its terms hold the string itself? */
static bool
is_sure(const struct run *t)
{
	struct span term;
	size_t at = 0;
	bool cut = false;

	return t->first && t->last && term_next(t, &at, &term, &cut) &&
	    term.n == t->text.n;
}

/* ---- the whole ------------------------------------------------------- */

/* Each token narrows what those before it left. */
static int
narrow(const struct query *q, struct span needle, struct bits *out)
{
	struct run t;
	struct bits one;
	size_t at = 0;
	int status = 1;

	for (size_t i = 0; status == 1 && i < TOKENS_MAX &&
	    token_next(needle, &at, &t); i++) {
		one = bits_new(out->limit);
		status = add_token(q, &t, &one);
		bits_intersect(out, &one);
		bits_free(&one);
	}
	return status;
}

static void
add_all(struct bits *b)
{
	for (uint32_t i = 0; i < b->limit; i++)
		bits_add(b, i);
}

static void
subtract(struct bits *b, const struct bits *other)
{
	b->count = 0;
	for (size_t i = 0; i <= b->limit / 64; i++) {
		b->words[i] &= ~other->words[i];
		b->count += (uint32_t)__builtin_popcountll(b->words[i]);
	}
}

int
query_segment(struct segment *s, enum index_field field, struct span needle,
    struct bits *sure, struct bits *maybe)
{
	struct query q = { s, field };
	struct run t;
	size_t at = 0;
	int status = segment_need_terms(s, wishes[field].fields);

	if (status != 1)
		return -1;
	/* Which field it is of the others, nobody knows here. */
	if (token_next(needle, &at, &t) && field != INDEX_HEADER &&
	    is_sure(&t)) {
		status = add_pattern(&q, t.text, sure);
		if (t.text.n > TERM_OVERLAP)
			add_flagged(&q, wishes[field].words_cut, maybe);
	} else {
		add_all(maybe);
		status = narrow(&q, needle, maybe);
	}
	add_flagged(&q, wishes[field].cut, maybe);
	subtract(maybe, sure);
	return status;
}

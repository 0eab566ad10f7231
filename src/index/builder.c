/*
 * builder.c - a hash table of terms, each with its postings in a chain of
 * pieces that grow.
 *
 * The hash is keyed: who writes mail must not choose what collides.
 */
#include "index/builder.h"
#include "base/map.h"
#include "base/secret.h"
#include "index/token.h"
#include "index/varint.h"

#include <stdlib.h>

enum {
	PIECE_FIRST = 8, PIECE_MOST = 1024,	/* bytes of postings */
	PIECE_HEAD = 4,			/* where the next piece is */
	SLOTS_FIRST = 1 << 12,
	POOL_MOST = 1 << 30,
};

struct term {
	uint32_t text;			/* in the pool */
	uint8_t n, field;
	uint16_t piece;			/* size of the last piece */
	uint32_t first, at, end;	/* its pieces, in the pool */
	uint32_t last;			/* document that was written last */
	uint32_t count;			/* in the document under way */
};

struct builder {
	uint64_t key[2];
	struct text pool;
	struct term *terms;
	size_t count, room;
	uint32_t *slots;		/* term + 1; 0 free */
	size_t slot_count;
	uint32_t *touched;		/* terms of the document under way */
	size_t touched_count, touched_room;
	struct document *documents;
	size_t document_count, document_room;
	uint64_t words;			/* of the document under way */
	bool in_document;
};

struct builder *
builder_new(void)
{
	struct builder *b = xcalloc(1, sizeof(*b));

	random_bytes(b->key, sizeof(b->key));
	b->slot_count = SLOTS_FIRST;
	b->slots = xcalloc(b->slot_count, sizeof(*b->slots));
	return b;
}

void
builder_free(struct builder **bp)
{
	struct builder *b = *bp;

	if (b == NULL)
		return;
	text_free(&b->pool);
	free(b->terms);
	free(b->slots);
	free(b->touched);
	free(b->documents);
	free(b);
	*bp = NULL;
}

void
builder_reset(struct builder *b)
{
	text_free(&b->pool);
	free(b->terms);
	free(b->slots);
	b->terms = NULL;
	b->count = b->room = 0;
	b->touched_count = b->document_count = 0;
	b->in_document = false;
	b->slot_count = SLOTS_FIRST;
	b->slots = xcalloc(b->slot_count, sizeof(*b->slots));
}

/* ---- terms ----------------------------------------------------------- */

static uint32_t *
slot_of(const struct builder *b, enum segment_field field, struct span term)
{
	uint64_t key[2] = { b->key[0] ^ field, b->key[1] };
	size_t mask = b->slot_count - 1;
	size_t i = (size_t)map_siphash(key, term) & mask;
	const struct term *t;

	for (; b->slots[i] != 0; i = (i + 1) & mask) {
		t = &b->terms[b->slots[i] - 1];
		if (t->field == field && t->n == term.n &&
		    memcmp(b->pool.p + t->text, term.p, term.n) == 0)
			break;
	}
	return &b->slots[i];
}

static struct span
text_of(const struct builder *b, const struct term *t)
{
	return span_of(b->pool.p + t->text, t->n);
}

static void
grow_slots(struct builder *b)
{
	uint32_t *old = b->slots;
	size_t n = b->slot_count;

	b->slot_count *= 2;
	b->slots = xcalloc(b->slot_count, sizeof(*b->slots));
	for (size_t i = 0; i < n; i++) {
		const struct term *t;

		if (old[i] == 0)
			continue;
		t = &b->terms[old[i] - 1];
		*slot_of(b, t->field, text_of(b, t)) = old[i];
	}
	free(old);
}

static uint32_t
new_term(struct builder *b, enum segment_field field, struct span text)
{
	struct term *t;

	if (b->count == b->room) {
		b->room = b->room * 2 + 1024;
		b->terms = xrealloc(b->terms, b->room * sizeof(*b->terms));
	}
	t = &b->terms[b->count++];
	*t = (struct term){ .text = (uint32_t)b->pool.n,
		.n = (uint8_t)text.n, .field = (uint8_t)field };
	text_add(&b->pool, text);
	return (uint32_t)b->count;
}

static void
add_term(struct builder *b, enum segment_field field, struct span text)
{
	uint32_t *slot = slot_of(b, field, text);
	struct term *t;

	b->words++;
	if (*slot == 0) {
		if (b->pool.n > POOL_MOST)
			return;		/* builder_bytes() said so long ago */
		*slot = new_term(b, field, text);
		t = &b->terms[b->count - 1];
		if (b->count * 2 > b->slot_count)
			grow_slots(b);
	} else {
		t = &b->terms[*slot - 1];
	}
	if (t->count++ > 0)
		return;
	if (b->touched_count == b->touched_room) {
		b->touched_room = b->touched_room * 2 + 1024;
		b->touched = xrealloc(b->touched,
		    b->touched_room * sizeof(*b->touched));
	}
	b->touched[b->touched_count++] = (uint32_t)(t - b->terms);
}

/* ---- postings -------------------------------------------------------- */

static void
put_link(struct builder *b, uint32_t at, uint32_t to)
{
	memcpy(b->pool.p + at, &to, sizeof(to));
}

static uint32_t
new_piece(struct builder *b, struct term *t)
{
	uint32_t at = (uint32_t)b->pool.n;

	t->piece = t->first == 0 ? PIECE_FIRST
	    : (uint16_t)MIN(t->piece * 2, PIECE_MOST);
	text_room(&b->pool, PIECE_HEAD + t->piece);
	text_grew(&b->pool, PIECE_HEAD + t->piece);
	put_link(b, at, 0);
	t->at = at + PIECE_HEAD;
	t->end = t->at + t->piece;
	return at;
}

static void
put_posting_bytes(struct builder *b, struct term *t, const char *p, size_t n)
{
	uint32_t last, at;

	for (size_t i = 0; i < n; i++) {
		if (t->first == 0) {
			at = new_piece(b, t);
			t->first = at;
		} else if (t->at == t->end) {
			last = t->end - t->piece - PIECE_HEAD;
			at = new_piece(b, t);
			put_link(b, last, at);
		}
		b->pool.p[t->at++] = p[i];
	}
}

static void
put_posting(struct builder *b, struct term *t, uint32_t document)
{
	char bytes[2 * VARINT_MAX];
	uint32_t gap = t->first == 0 ? document : document - t->last - 1;
	size_t n = varint_write(bytes, (uint64_t)gap << 1 | (t->count > 1));

	if (t->count > 1)
		n += varint_write(bytes + n, t->count);
	put_posting_bytes(b, t, bytes, n);
	t->last = document;
	t->count = 0;
}

/* ---- documents ------------------------------------------------------- */

void
builder_begin(struct builder *b, uint32_t uid)
{
	must(!b->in_document && (b->document_count == 0 ||
	    b->documents[b->document_count - 1].uid < uid));
	if (b->document_count == b->document_room) {
		b->document_room = b->document_room * 2 + 64;
		b->documents = xrealloc(b->documents,
		    b->document_room * sizeof(*b->documents));
	}
	b->documents[b->document_count] = (struct document){ .uid = uid };
	b->words = 0;
	b->in_document = true;
}

void
builder_add_flags(struct builder *b, uint8_t flags)
{
	b->documents[b->document_count].flags |= flags;
}

/* Said as text too? Then the other form of it is not needed. */
static bool
stands_in_body(const struct builder *b, struct span term)
{
	uint32_t slot = *slot_of(b, SEGMENT_BODY, term);

	return slot != 0 && b->terms[slot - 1].count > 0;
}

void
builder_add(struct builder *b, enum segment_field field, struct span folded)
{
	size_t at = 0, term_at;
	struct run token;
	struct span term;
	bool cut = false;

	while (token_next(folded, &at, &token)) {
		term_at = 0;
		while (term_next(&token, &term_at, &term, &cut))
			if (field != SEGMENT_HTML || !stands_in_body(b, term))
				add_term(b, field, term);
	}
	if (cut)
		builder_add_flags(b, field == SEGMENT_BODY
		    ? DOCUMENT_BODY_LONG : DOCUMENT_HEADER_LONG);
}

void
builder_end(struct builder *b)
{
	uint32_t place = (uint32_t)b->document_count;

	must(b->in_document);
	for (size_t i = 0; i < b->touched_count; i++)
		put_posting(b, &b->terms[b->touched[i]], place);
	b->touched_count = 0;
	b->documents[b->document_count++].length = document_length(b->words);
	b->in_document = false;
}

uint32_t
builder_documents(const struct builder *b)
{
	return (uint32_t)b->document_count;
}

size_t
builder_bytes(const struct builder *b)
{
	return b->pool.n + b->count * sizeof(*b->terms) +
	    b->slot_count * sizeof(*b->slots);
}

/* ---- the segment ----------------------------------------------------- */

/* A term to be sorted. */
struct place {
	struct span text;
	const struct term *term;
};

static int
compare_places(const void *a, const void *b)
{
	return span_compare(((const struct place *)a)->text,
	    ((const struct place *)b)->text);
}

static void
write_list(const struct builder *b, const struct term *t,
    struct segment_writer *w, struct text *list)
{
	uint32_t piece = t->first, next, size = PIECE_FIRST, at;
	uint32_t document = 0, v, count;
	struct span rest;

	text_clear(list);
	for (;;) {
		at = piece + PIECE_HEAD;
		if (t->end == at + size) {
			text_add(list, span_of(b->pool.p + at, t->at - at));
			break;
		}
		text_add(list, span_of(b->pool.p + at, size));
		memcpy(&next, b->pool.p + piece, sizeof(next));
		piece = next;
		size = MIN(size * 2, (uint32_t)PIECE_MOST);
	}
	rest = text_span(list);
	while (varint_get(&rest, &v) == 1) {
		count = 1;
		if ((v & 1) != 0)
			must(varint_get(&rest, &count) == 1);
		document += v >> 1;
		segment_write_posting(w, document++, count);
	}
}

/*
 * Sorted by field and first byte in one pass, then each such lot by itself:
 * others can have their turn in between.
 */
static size_t
lot_of(const struct builder *b, const struct term *t)
{
	return (size_t)t->field << 8 | (unsigned char)b->pool.p[t->text];
}

static struct place *
in_lots(const struct builder *b, size_t ends[SEGMENT_FIELDS << 8])
{
	struct place *places = xcalloc(MAX(b->count, (size_t)1),
	    sizeof(*places));
	size_t lots = SEGMENT_FIELDS << 8, i, sum = 0, n;

	memset(ends, 0, lots * sizeof(*ends));
	for (i = 0; i < b->count; i++)
		ends[lot_of(b, &b->terms[i])]++;
	for (i = 0; i < lots; i++) {
		n = ends[i];
		ends[i] = sum;
		sum += n;
	}
	for (i = 0; i < b->count; i++) {
		const struct term *t = &b->terms[i];

		places[ends[lot_of(b, t)]++] = (struct place){ text_of(b, t),
			t };
	}
	return places;
}

static void
write_lots(struct builder *b, struct segment_writer *w,
    void (*rest)(void *), void *arg)
{
	size_t *ends = xcalloc(SEGMENT_FIELDS << 8, sizeof(*ends)), at = 0;
	struct place *places = in_lots(b, ends);
	struct text list = TEXT_INIT(0);

	for (size_t lot = 0; lot < SEGMENT_FIELDS << 8; lot++) {
		if (ends[lot] == at)
			continue;
		qsort(places + at, ends[lot] - at, sizeof(*places),
		    compare_places);
		for (; at < ends[lot]; at++) {
			segment_write_term(w,
			    (enum segment_field)places[at].term->field,
			    places[at].text);
			write_list(b, places[at].term, w, &list);
		}
		if (rest != NULL)
			rest(arg);
	}
	text_free(&list);
	free(places);
	free(ends);
}

int
builder_finish(struct builder *b, void (*rest)(void *), void *arg,
    struct text *out)
{
	struct segment_writer *w = segment_writer_new();
	int status;

	must(!b->in_document);
	for (size_t i = 0; i < b->document_count; i++)
		segment_write_document(w, b->documents[i]);
	write_lots(b, w, rest, arg);
	status = segment_write_end(w, out);
	segment_writer_free(&w);
	return status;
}

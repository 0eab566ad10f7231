/*
 * segment_write.c - a segment is put together: each section by itself, and
 * joined at the end.
 */
#include "index/segment.h"
#include "index/varint.h"
#include "ipc/wire.h"

#include <stdlib.h>

static const char magic[4] = { 'P', 'R', 'X', SEGMENT_VERSION };

struct section {
	struct text terms, blocks, postings;
	uint32_t count;
};

struct segment_writer {
	struct text documents;
	uint32_t document_count;
	uint32_t first, last;
	struct section sections[SEGMENT_FIELDS];
	struct section *at;		/* of the term under way, or NULL */
	struct text list;		/* its postings */
	uint32_t next;			/* lowest document that may come */
};

uint8_t
document_length(uint64_t words)
{
	unsigned shift = 0;

	while (words >> shift > 15)
		shift++;
	return (uint8_t)(MIN(shift, 15u) << 4 |
	    MIN(words >> MIN(shift, 15u), 15u));
}

uint32_t
document_words(uint8_t length)
{
	return (uint32_t)(length & 15) << (length >> 4);
}

struct segment_writer *
segment_writer_new(void)
{
	return xcalloc(1, sizeof(struct segment_writer));
}

void
segment_writer_free(struct segment_writer **wp)
{
	struct segment_writer *w = *wp;

	if (w == NULL)
		return;
	text_free(&w->documents);
	text_free(&w->list);
	for (size_t i = 0; i < SEGMENT_FIELDS; i++) {
		text_free(&w->sections[i].terms);
		text_free(&w->sections[i].blocks);
		text_free(&w->sections[i].postings);
	}
	free(w);
	*wp = NULL;
}

void
segment_write_document(struct segment_writer *w, struct document d)
{
	must(w->document_count == 0 || d.uid > w->last);
	if (w->document_count++ == 0)
		w->first = d.uid;
	w->last = d.uid;
	put_u32(&w->documents, d.uid);
	put_u8(&w->documents, d.flags);
	put_u8(&w->documents, d.length);
}

/* The list under way goes to its section, its length before it. */
static void
end_term(struct segment_writer *w)
{
	if (w->at == NULL)
		return;
	varint_put(&w->at->postings, w->list.n);
	text_add(&w->at->postings, text_span(&w->list));
	text_clear(&w->list);
	w->at = NULL;
}

void
segment_write_term(struct segment_writer *w, enum segment_field field,
    struct span term)
{
	struct section *s = &w->sections[field];

	end_term(w);
	if (s->count == 0)
		text_char(&s->terms, '\n');
	if (s->count++ % BLOCK_TERMS == 0) {
		put_u32(&s->blocks, (uint32_t)s->terms.n);
		put_u32(&s->blocks, (uint32_t)s->postings.n);
	}
	text_add(&s->terms, term);
	text_char(&s->terms, '\n');
	w->at = s;
	w->next = 0;
}

void
segment_write_posting(struct segment_writer *w, uint32_t document,
    uint32_t count)
{
	uint64_t gap = document - w->next;

	must(w->at != NULL && document >= w->next && count > 0);
	varint_put(&w->list, gap << 1 | (count > 1));
	if (count > 1)
		varint_put(&w->list, count);
	w->next = document + 1;
}

/* Where the sections of one kind begin, which lie one behind the other. */
struct kinds { uint64_t terms, blocks, postings, end; };

static struct kinds
place_kinds(const struct segment_writer *w)
{
	struct kinds k = { .terms = SEGMENT_HEAD + w->documents.n };

	k.blocks = k.terms;
	for (size_t i = 0; i < SEGMENT_FIELDS; i++)
		k.blocks += w->sections[i].terms.n;
	k.postings = k.blocks;
	for (size_t i = 0; i < SEGMENT_FIELDS; i++)
		k.postings += w->sections[i].blocks.n;
	k.end = k.postings;
	for (size_t i = 0; i < SEGMENT_FIELDS; i++)
		k.end += w->sections[i].postings.n;
	return k;
}

static void
put_range(struct text *head, uint64_t *at, const struct text *section)
{
	put_u32(head, (uint32_t)*at);
	put_u32(head, (uint32_t)section->n);
	*at += section->n;
}

static void
put_head(const struct segment_writer *w, struct kinds k, struct text *head)
{
	uint64_t documents = SEGMENT_HEAD;

	put_raw(head, magic, sizeof(magic));
	put_u32(head, w->document_count);
	put_range(head, &documents, &w->documents);
	for (size_t i = 0; i < SEGMENT_FIELDS; i++) {
		const struct section *s = &w->sections[i];

		put_range(head, &k.terms, &s->terms);
		put_range(head, &k.blocks, &s->blocks);
		put_range(head, &k.postings, &s->postings);
		put_u32(head, s->count);
		put_u32(head, 0);
	}
}

int
segment_write_end(struct segment_writer *w, struct text *out)
{
	struct kinds k;

	end_term(w);
	k = place_kinds(w);
	if (k.end > INT32_MAX)
		return -1;
	text_room(out, k.end);
	put_head(w, k, out);
	text_add(out, text_span(&w->documents));
	for (size_t i = 0; i < SEGMENT_FIELDS; i++)
		text_add(out, text_span(&w->sections[i].terms));
	for (size_t i = 0; i < SEGMENT_FIELDS; i++)
		text_add(out, text_span(&w->sections[i].blocks));
	for (size_t i = 0; i < SEGMENT_FIELDS; i++)
		text_add(out, text_span(&w->sections[i].postings));
	return 1;
}

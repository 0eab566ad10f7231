/*
 * segment_merge.c - several segments become one, without what is gone.
 *
 * Terms of all come in order, the smallest of those that stand next in each;
 * of equal ones the postings follow each other, since uids do.
 */
#include "index/segment.h"

#include <stdlib.h>

enum { REST_TERMS = 4096, GONE = UINT32_MAX };

struct source {
	struct segment *segment;
	uint32_t *places;		/* in the new segment, or GONE */
	struct segment_cursor cursor;
	bool over;
};

struct merge {
	const struct segment_merge *wish;
	struct segment_writer *writer;
	struct source *sources;
	uint32_t documents, last_uid;
	unsigned steps;
};

static int
take_documents(struct merge *m, struct source *s)
{
	struct document d;

	if (segment_need_documents(s->segment) != 1 ||
	    segment_check_documents(s->segment) != 1)
		return -1;
	s->places = xcalloc(MAX(s->segment->documents, 1u),
	    sizeof(*s->places));
	for (uint32_t i = 0; i < s->segment->documents; i++) {
		d = segment_document(s->segment, i);
		s->places[i] = GONE;
		if (d.uid <= m->last_uid)
			return -1;
		m->last_uid = d.uid;
		if (!m->wish->keep(m->wish->arg, d.uid))
			continue;
		if (m->documents == SEGMENT_DOCUMENTS_MAX)
			return -1;
		segment_write_document(m->writer, d);
		s->places[i] = m->documents++;
	}
	return 1;
}

/* The smallest term that is next anywhere. */
static struct source *
smallest(struct merge *m)
{
	struct source *least = NULL;

	for (size_t i = 0; i < m->wish->count; i++) {
		struct source *s = &m->sources[i];

		if (!s->over && (least == NULL ||
		    span_compare(segment_term(&s->cursor),
		    segment_term(&least->cursor)) < 0))
			least = s;
	}
	return least;
}

static int
step(struct source *s)
{
	int status = segment_step(&s->cursor);

	s->over = status != 1;
	return status == -1 ? -1 : 1;
}

/* The term is written with its first posting that stays. */
static int
copy_list(struct merge *m, const struct source *s, enum segment_field field,
    struct span term, bool *written)
{
	struct postings p;
	int status;

	segment_postings(&s->cursor, &p);
	while ((status = postings_next(&p)) == 1) {
		if (s->places[p.document] == GONE || p.count == 0)
			continue;
		if (!*written)
			segment_write_term(m->writer, field, term);
		*written = true;
		segment_write_posting(m->writer, s->places[p.document],
		    p.count);
	}
	return status == 0 ? 1 : -1;
}

static int
merge_term(struct merge *m, enum segment_field field, struct source *least)
{
	struct span term = segment_term(&least->cursor);
	bool written = false;
	int status = term.n > 0 ? 1 : -1;

	for (size_t i = 0; status == 1 && i < m->wish->count; i++) {
		struct source *s = &m->sources[i];

		if (s->over || !span_eq(segment_term(&s->cursor), term))
			continue;
		status = copy_list(m, s, field, term, &written);
		if (status == 1)
			status = step(s);
		/* What is not in order would never end. */
		if (status == 1 && !s->over &&
		    span_compare(segment_term(&s->cursor), term) <= 0)
			status = -1;
	}
	return status;
}

static int
merge_field(struct merge *m, enum segment_field field)
{
	struct source *least;
	int status = 1;

	for (size_t i = 0; status == 1 && i < m->wish->count; i++) {
		struct source *s = &m->sources[i];

		status = segment_need_field(s->segment, field);
		segment_walk(&s->cursor, s->segment, field);
		if (status == 1)
			status = step(s);
	}
	while (status == 1 && (least = smallest(m)) != NULL) {
		status = merge_term(m, field, least);
		if (++m->steps % REST_TERMS == 0 && m->wish->rest != NULL)
			m->wish->rest(m->wish->arg);
	}
	return status;
}

int
segment_merge(const struct segment_merge *wish, struct text *out,
    uint32_t *documents)
{
	struct merge m = { .wish = wish, .writer = segment_writer_new(),
		.sources = xcalloc(wish->count, sizeof(*m.sources)) };
	int status = 1;

	for (size_t i = 0; status == 1 && i < wish->count; i++) {
		m.sources[i].segment = &wish->from[i];
		status = take_documents(&m, &m.sources[i]);
	}
	for (size_t f = 0; status == 1 && f < SEGMENT_FIELDS; f++)
		status = merge_field(&m, (enum segment_field)f);
	if (status == 1)
		status = segment_write_end(m.writer, out);
	*documents = m.documents;
	for (size_t i = 0; i < wish->count; i++)
		free(m.sources[i].places);
	free(m.sources);
	segment_writer_free(&m.writer);
	return status;
}

/*
 * segment.c - a segment is read: its head, its dictionaries, its postings.
 */
#include "index/segment.h"
#include "index/varint.h"

static const char magic[4] = { 'P', 'R', 'X', SEGMENT_VERSION };

enum {
	JOIN_GAP = 16 << 10,	/* ranges as close as this are read as one */
	RANGES_AT_ONCE = 256,
};

static uint32_t
u32_at(const char *p)
{
	const unsigned char *b = (const unsigned char *)p;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
	    (uint32_t)b[3] << 24;
}

static int
need(struct segment *s, const struct segment_range *ranges, size_t n)
{
	return s->need == NULL ? 1 : s->need(s->arg, ranges, n);
}

/* ---- head and documents ---------------------------------------------- */

static bool
read_range(const struct segment *s, const char *p, struct segment_range *r)
{
	*r = (struct segment_range){ u32_at(p), u32_at(p + 4) };
	return (uint64_t)r->from + r->n <= s->size;
}

static bool
read_dictionary(const struct segment *s, const char *p,
    struct segment_dictionary *d)
{
	d->count = u32_at(p + 24);
	return read_range(s, p, &d->terms) &&
	    read_range(s, p + 8, &d->blocks) &&
	    read_range(s, p + 16, &d->postings) &&
	    d->blocks.n == SEGMENT_BLOCK * (((uint64_t)d->count +
	    BLOCK_TERMS - 1) / BLOCK_TERMS) &&
	    (d->count == 0 || (uint64_t)d->count * 2 + 1 <= d->terms.n);
}

int
segment_open(struct segment *s)
{
	if (s->size < SEGMENT_HEAD ||
	    need(s, &(struct segment_range){ 0, SEGMENT_HEAD }, 1) != 1 ||
	    memcmp(s->base, magic, sizeof(magic)) != 0)
		return -1;
	s->documents = u32_at(s->base + 4);
	if (s->documents > SEGMENT_DOCUMENTS_MAX ||
	    !read_range(s, s->base + 8, &s->document_table) ||
	    s->document_table.n != (uint64_t)s->documents * SEGMENT_DOCUMENT)
		return -1;
	for (size_t i = 0; i < SEGMENT_FIELDS; i++)
		if (!read_dictionary(s, s->base + 16 + 32 * i, &s->fields[i]))
			return -1;
	return 1;
}

int
segment_need_documents(struct segment *s)
{
	return need(s, &s->document_table, 1);
}

int
segment_need_terms(struct segment *s, unsigned fields)
{
	struct segment_range ranges[1 + 2 * SEGMENT_FIELDS];
	size_t n = 0;

	ranges[n++] = s->document_table;
	for (size_t i = 0; i < SEGMENT_FIELDS; i++)
		if ((fields & 1u << i) != 0)
			ranges[n++] = s->fields[i].terms;
	for (size_t i = 0; i < SEGMENT_FIELDS; i++)
		if ((fields & 1u << i) != 0)
			ranges[n++] = s->fields[i].blocks;
	return need(s, ranges, n);
}

struct document
segment_document(const struct segment *s, uint32_t place)
{
	const char *p = s->base + s->document_table.from +
	    (size_t)place * SEGMENT_DOCUMENT;

	must(place < s->documents);
	return (struct document){ u32_at(p), (uint8_t)p[4], (uint8_t)p[5] };
}

int
segment_check_documents(struct segment *s)
{
	uint32_t last = 0, uid;

	for (uint32_t i = 0; i < s->documents; i++) {
		uid = segment_document(s, i).uid;
		if (uid <= last)
			return -1;
		last = uid;
	}
	return 1;
}

/* ---- terms ----------------------------------------------------------- */

static struct span
terms_of(const struct segment *s, enum segment_field field)
{
	const struct segment_dictionary *d = &s->fields[field];

	return span_of(s->base + d->terms.from, d->terms.n);
}

/* Where the term begins in which (or before which) the byte at `at` stands. */
static uint32_t
term_start(struct span terms, size_t at)
{
	const char *p;

	if (terms.p[at] == '\n')
		return (uint32_t)at + 1;
	p = memrchr(terms.p, '\n', at);
	return p == NULL ? 0 : (uint32_t)(p - terms.p) + 1;
}

int
segment_find(struct segment *s, enum segment_field field,
    struct span pattern, uint32_t *at, uint32_t found[TERMS_AT_ONCE])
{
	const struct segment_dictionary *d = &s->fields[field];
	struct span terms = terms_of(s, field);
	const char *hit, *end;
	size_t n = 0;

	if (need(s, &d->terms, 1) != 1)
		return -1;
	while (n < TERMS_AT_ONCE && *at < terms.n) {
		hit = memmem(terms.p + *at, terms.n - *at, pattern.p,
		    pattern.n);
		if (hit == NULL) {
			*at = d->terms.n;
			break;
		}
		found[n] = term_start(terms, (size_t)(hit - terms.p));
		end = memchr(terms.p + found[n], '\n', terms.n - found[n]);
		if (end == NULL) {	/* behind the last: not of ours */
			*at = d->terms.n;
			break;
		}
		n++;
		*at = (uint32_t)(end - terms.p);
	}
	return (int)n;
}

static uint32_t
block_count(const struct segment_dictionary *d)
{
	return d->blocks.n / SEGMENT_BLOCK;
}

static const char *
block_at(const struct segment *s, const struct segment_dictionary *d,
    uint32_t block)
{
	return s->base + d->blocks.from + (size_t)block * SEGMENT_BLOCK;
}

/* The last block that does not begin behind this term. */
static uint32_t
find_block(const struct segment *s, const struct segment_dictionary *d,
    uint32_t term)
{
	uint32_t low = 0, high = block_count(d), middle;

	while (high - low > 1) {
		middle = low + (high - low) / 2;
		if (u32_at(block_at(s, d, middle)) <= term)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* The bytes of the postings of a block, within the segment. */
static struct segment_range
block_postings(const struct segment *s, const struct segment_dictionary *d,
    uint32_t block)
{
	uint32_t from = u32_at(block_at(s, d, block) + 4);
	uint32_t to = block + 1 < block_count(d)
	    ? u32_at(block_at(s, d, block + 1) + 4) : d->postings.n;

	to = MIN(to, d->postings.n);
	from = MIN(from, to);
	return (struct segment_range){ d->postings.from + from, to - from };
}

int
segment_need_postings(struct segment *s, enum segment_field field,
    const uint32_t *terms, size_t n)
{
	const struct segment_dictionary *d = &s->fields[field];
	struct segment_range ranges[RANGES_AT_ONCE], r;
	size_t count = 0;
	uint32_t block, last = UINT32_MAX;

	if (need(s, &d->blocks, 1) != 1)
		return -1;
	if (s->need == NULL || block_count(d) == 0)
		return 1;
	for (size_t i = 0; i < n; i++) {
		block = find_block(s, d, terms[i]);
		if (block == last)
			continue;
		last = block;
		r = block_postings(s, d, block);
		if (count > 0 && r.from >= ranges[count - 1].from &&
		    r.from <= (uint64_t)ranges[count - 1].from +
		    ranges[count - 1].n + JOIN_GAP) {
			ranges[count - 1].n = MAX(ranges[count - 1].n,
			    r.from + r.n - ranges[count - 1].from);
			continue;
		}
		if (count == RANGES_AT_ONCE) {
			if (need(s, ranges, count) != 1)
				return -1;
			count = 0;
		}
		ranges[count++] = r;
	}
	return count == 0 ? 1 : need(s, ranges, count);
}

int
segment_need_field(struct segment *s, enum segment_field field)
{
	const struct segment_dictionary *d = &s->fields[field];

	return need(s, (struct segment_range[]){ d->terms, d->blocks,
	    d->postings }, 3);
}

/* ---- walking --------------------------------------------------------- */

void
segment_walk(struct segment_cursor *c, const struct segment *s,
    enum segment_field field)
{
	*c = (struct segment_cursor){ .segment = s, .field = field,
		.block = UINT32_MAX };
}

static const struct segment_dictionary *
dictionary(const struct segment_cursor *c)
{
	return &c->segment->fields[c->field];
}

/* The term that begins at c->term, and the list that begins at `from`. */
static int
take_term(struct segment_cursor *c, uint32_t from)
{
	const struct segment_dictionary *d = dictionary(c);
	struct span terms = terms_of(c->segment, c->field);
	struct span postings = span_of(c->segment->base + d->postings.from,
	    d->postings.n);
	const char *end = memchr(terms.p + c->term, '\n', terms.n - c->term);
	struct span rest = span_from(postings, from);
	uint32_t n;

	if (end == NULL || varint_get(&rest, &n) != 1 || n > rest.n)
		return -1;
	c->term_end = (uint32_t)(end - terms.p);
	c->list = (uint32_t)(rest.p - postings.p);
	c->list_end = c->list + n;
	return 1;
}

static int
enter_block(struct segment_cursor *c, uint32_t block)
{
	const struct segment_dictionary *d = dictionary(c);
	const char *p = block_at(c->segment, d, block);
	uint32_t term = u32_at(p), list = u32_at(p + 4);

	if (term >= d->terms.n || list >= d->postings.n)
		return -1;
	c->block = block;
	c->term = term;
	return take_term(c, list);
}

int
segment_step(struct segment_cursor *c)
{
	const struct segment_dictionary *d = dictionary(c);

	if (c->block == UINT32_MAX)
		return d->count == 0 ? 0 : enter_block(c, 0);
	if (c->term_end + 1 >= d->terms.n)
		return 0;
	c->term = c->term_end + 1;
	return take_term(c, c->list_end);
}

int
segment_seek(struct segment_cursor *c, uint32_t term)
{
	const struct segment_dictionary *d = dictionary(c);
	uint32_t block;
	int status = 1;

	if (d->count == 0)
		return -1;
	block = find_block(c->segment, d, term);
	if (c->block == UINT32_MAX || block != c->block || term < c->term)
		status = enter_block(c, block);
	while (status == 1 && c->term < term)
		status = segment_step(c);
	return status == 1 && c->term == term ? 1 : -1;
}

struct span
segment_term(const struct segment_cursor *c)
{
	return span_of(c->segment->base + dictionary(c)->terms.from + c->term,
	    c->term_end - c->term);
}

void
segment_postings(const struct segment_cursor *c, struct postings *p)
{
	*p = (struct postings){
		.rest = span_of(c->segment->base +
		    dictionary(c)->postings.from + c->list,
		    c->list_end - c->list),
		.document = UINT32_MAX, .limit = c->segment->documents,
	};
}

int
postings_next(struct postings *p)
{
	uint32_t v;
	int status = varint_get(&p->rest, &v);

	if (status != 1)
		return status;
	p->document += 1 + (v >> 1);	/* from UINT32_MAX on it turns to 0 */
	p->count = 1;
	if (p->document >= p->limit ||
	    ((v & 1) != 0 && varint_get(&p->rest, &p->count) != 1))
		return -1;
	return 1;
}

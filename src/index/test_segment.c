/*
 * test_segment.c - segments that are read may hold anything: every byte of one
 * is changed, and it is cut at every place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "index/fuzzy.h"
#include "index/query.h"
#include "index/varint.h"

static void
write_small(struct text *out)
{
	struct segment_writer *w = segment_writer_new();
	char term[16];

	for (uint32_t i = 0; i < 50; i++)
		segment_write_document(w, (struct document){ .uid = i + 1,
		    .length = document_length(i) });
	for (uint32_t i = 0; i < 100; i++) {
		for (size_t n = 0; n < 7; n++)
			term[n] = (char)('A' + (i >> (6 - n) & 1));
		segment_write_term(w, SEGMENT_BODY, span_of(term, 7));
		for (uint32_t d = i % 7; d < 50; d += 1 + i % 5)
			segment_write_posting(w, d, 1 + (d % 3) * 100);
	}
	assert_int_equal(segment_write_end(w, out), 1);
	segment_writer_free(&w);
}

static bool
keep_some(void *arg, uint32_t uid)
{
	(void)arg;
	return uid % 3 != 0;
}

/* Everything that can be done with it; the answers may be anything. */
static int
read_all(const char *p, size_t n)
{
	struct segment s = { .base = p, .size = (uint32_t)n }, *all[] = { &s };
	struct segment_merge merge = { .from = &s, .count = 1,
		.keep = keep_some };
	struct text out = TEXT_INIT(0);
	struct bits sure, maybe;
	struct fuzzy_hit *hits;
	struct stemmer *stemmer;
	size_t count, damaged;
	uint32_t documents;
	int status;

	if (segment_open(&s) != 1)
		return -1;
	sure = bits_new(s.documents);
	maybe = bits_new(s.documents);
	stemmer = stemmer_new(SPAN_EMPTY);
	status = query_segment(&s, INDEX_TEXT, SPAN("AB"), &sure, &maybe);
	query_segment(&s, INDEX_BODY, SPAN("A-B"), &sure, &maybe);
	if (fuzzy_search(all, 1, INDEX_TEXT, SPAN("ABA"), stemmer, &hits,
	    &count, &damaged) == 1)
		free(hits);
	segment_merge(&merge, &out, &documents);
	text_free(&out);
	stemmer_free(&stemmer);
	bits_free(&sure);
	bits_free(&maybe);
	return status;
}

static void
changed_anywhere(void **state)
{
	struct text t = TEXT_INIT(0);
	static const char marks[] = { 0, 1, '\n', 0x7f, (char)0x80,
		(char)0xff };
	char *copy;

	(void)state;
	write_small(&t);
	assert_int_equal(read_all(t.p, t.n), 1);
	copy = xmalloc(t.n);
	for (size_t i = 0; i < t.n; i++)
		for (size_t m = 0; m < ARRAY_LEN(marks); m++) {
			memcpy(copy, t.p, t.n);
			copy[i] = marks[m];
			read_all(copy, t.n);
		}
	free(copy);
	text_free(&t);
}

static void
cut_anywhere(void **state)
{
	struct text t = TEXT_INIT(0);
	char *copy;

	(void)state;
	write_small(&t);
	for (size_t n = 0; n < t.n; n++) {
		copy = xmalloc(MAX(n, (size_t)1));
		memcpy(copy, t.p, n);
		assert_int_equal(read_all(copy, n), -1);
		free(copy);
	}
	text_free(&t);
}

static void
terms_in_order(void **state)
{
	struct text t = TEXT_INIT(0);
	struct segment s = { .base = NULL };
	struct segment_cursor walk, seek;
	struct postings p;
	uint32_t count = 0, last;

	(void)state;
	write_small(&t);
	s.base = t.p;
	s.size = (uint32_t)t.n;
	assert_int_equal(segment_open(&s), 1);
	assert_int_equal(s.documents, 50);
	segment_walk(&walk, &s, SEGMENT_BODY);
	segment_walk(&seek, &s, SEGMENT_BODY);
	while (segment_step(&walk) == 1) {
		if (count++ % 3 == 0) {
			assert_int_equal(segment_seek(&seek, walk.term), 1);
			assert_true(span_eq(segment_term(&seek),
			    segment_term(&walk)));
			assert_int_equal(seek.list, walk.list);
		}
		segment_postings(&walk, &p);
		last = (count - 1) % 7;
		while (postings_next(&p) == 1) {
			assert_int_equal(p.document, last);
			assert_int_equal(p.count, 1 + (last % 3) * 100);
			last += 1 + (count - 1) % 5;
		}
		assert_true(last >= 50);
	}
	assert_int_equal(count, 100);
	segment_walk(&walk, &s, SEGMENT_FROM);
	assert_int_equal(segment_step(&walk), 0);
	text_free(&t);
}

static void
numbers(void **state)
{
	static const uint64_t some[] = { 0, 1, 127, 128, 16383, 16384,
		UINT32_MAX };
	struct text t = TEXT_INIT(0);
	struct span rest;
	uint32_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(some); i++)
		varint_put(&t, some[i]);
	rest = text_span(&t);
	for (size_t i = 0; i < ARRAY_LEN(some); i++) {
		assert_int_equal(varint_get(&rest, &v), 1);
		assert_int_equal(v, some[i]);
	}
	assert_int_equal(varint_get(&rest, &v), 0);
	rest = SPAN("\xff\xff\xff\xff\x1f");
	assert_int_equal(varint_get(&rest, &v), -1);
	rest = SPAN("\xff\xff");
	assert_int_equal(varint_get(&rest, &v), -1);
	for (uint64_t words = 0; words < 100000; words += 1 + words / 7) {
		uint32_t about = document_words(document_length(words));

		assert_true(about <= words && about * 8 >= words * 7);
	}
	text_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(terms_in_order),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(changed_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

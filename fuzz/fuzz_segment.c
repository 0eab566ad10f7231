/*
 * fuzz_segment.c - segments of the search index that may hold anything are
 * searched, ranked and merged.
 */
#include "index/fuzzy.h"
#include "index/query.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool
keep_even(void *arg, uint32_t uid)
{
	(void)arg;
	return uid % 2 == 0;
}

static void
search(struct segment *s)
{
	static const char *const needles[] = { "A", "AB", "A-B", "\n", "",
		"\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97" };
	struct bits sure, maybe;

	for (size_t i = 0; i < ARRAY_LEN(needles); i++) {
		sure = bits_new(s->documents);
		maybe = bits_new(s->documents);
		(void)!query_segment(s, INDEX_TEXT, span_str(needles[i]),
		    &sure, &maybe);
		bits_free(&sure);
		bits_free(&maybe);
	}
}

static void
rank(struct segment *s)
{
	static struct stemmer *stemmer;
	struct segment *all[] = { s };
	struct fuzzy_hit *hits;
	size_t count, damaged;

	if (stemmer == NULL)
		stemmer = stemmer_new(SPAN("english"));
	if (fuzzy_search(all, 1, INDEX_TEXT, SPAN("AB C"), stemmer, &hits,
	    &count, &damaged) != 1)
		return;
	for (size_t i = 0; i < count; i++)
		must(hits[i].score >= 1 && hits[i].score <= 100);
	free(hits);
}

/* What a merge makes of it is a segment, whatever it was. */
static void
merge(struct segment *s)
{
	struct segment_merge wish = { .from = s, .count = 1,
		.keep = keep_even };
	struct text out = TEXT_INIT(0);
	struct segment merged;
	uint32_t documents;

	if (segment_merge(&wish, &out, &documents) == 1) {
		merged = (struct segment){ .base = out.p,
			.size = (uint32_t)out.n };
		must(segment_open(&merged) == 1);
		must(merged.documents == documents);
		must(segment_check_documents(&merged) == 1);
		search(&merged);
	}
	text_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct segment s = { .base = (const char *)data,
		.size = (uint32_t)n };

	if (segment_open(&s) == 1) {
		search(&s);
		rank(&s);
		merge(&s);
	}
	return 0;
}

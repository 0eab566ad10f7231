/*
 * fuzz_mime.c - messages: the tree holds together, and their summary is one
 * that the reader takes.
 */
#include "base/text.h"
#include "mail/mime.h"
#include "mail/summary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_part(const struct mime_part *p, const struct mime_limits *limits)
{
	const struct mime_part *up = p->parent;
	uint64_t end = p->body_at + p->body_size;

	must(p->body_at == p->header_at + p->header_size);
	must(p->depth <= limits->depth);
	must(p->body_lines <= p->body_size);
	must(p->kind != MIME_MESSAGE || (p->first != NULL &&
	    p->first == p->last && p->first->header_at == p->body_at));
	must(p->kind != MIME_LEAF || p->first == NULL);
	must(p->next == NULL || p->next->header_at >= end);
	if (up != NULL)
		must(p->header_at >= up->body_at &&
		    end <= up->body_at + up->body_size);
}

static void
check_tree(struct span message, const struct mime_limits *limits)
{
	struct arena *a = arena_new(16 << 20);
	struct mime_part *p;
	struct mime m;
	uint32_t parts = 0;

	must(mime_parse(message, limits, a, &m) == 1);
	must(m.root->header_at == 0 &&
	    m.root->body_at + m.root->body_size == message.n);
	for (p = m.root; p != NULL; p = mime_next(p), parts++)
		check_part(p, limits);
	must(parts == m.parts && parts <= limits->parts + 1);
	arena_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span message = span_of(data, n);
	struct arena *a = arena_new(16 << 20);
	struct text record = TEXT_INIT(SUMMARY_MAX);

	check_tree(message, &MIME_LIMITS_DEFAULT);
	check_tree(message, &(struct mime_limits){ 2, 4 });
	must(summary_build(message, &SUMMARY_LIMITS_DEFAULT, a,
	    &record) == 1);
	must(summary_check(text_span(&record), n, a) == 1);
	text_free(&record);
	arena_free(&a);
	return 0;
}

/*
 * fuzz_index.c - the search index against a search of the message itself: what
 * SEARCH finds there the index must not leave out, and what the index is sure
 * of SEARCH must find.
 *
 * The input is a message. What is looked for are pieces of it, as they stand
 * and as the parts of the message are decoded, and some strings that are in
 * nobody's way.
 */
#include "imap/imap_search_text.h"
#include "index/extract.h"
#include "index/html.h"
#include "index/query.h"
#include "mail/encode.h"
#include "mail/preview.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { PIECES = 40 };

struct trial {
	struct imap_matcher *matcher;
	struct span message;
	struct segment segment;
};

static void
compare(struct trial *t, enum index_field field, struct span needle,
    bool found)
{
	struct bits sure = bits_new(1), maybe = bits_new(1);

	must(query_segment(&t->segment, field, needle, &sure, &maybe) == 1);
	must(!found || sure.count + maybe.count == 1);
	must(found || sure.count == 0);
	bits_free(&sure);
	bits_free(&maybe);
}

static void
look_for(struct trial *t, struct span raw)
{
	struct text utf8 = TEXT_INIT(0), folded = TEXT_INIT(0);
	struct span needle;
	bool body, header;

	charset_to_utf8(SPAN_EMPTY, raw, &utf8);
	casemap_add(&folded, text_span(&utf8));
	needle = text_span(&folded);
	if (needle.n > 0) {
		imap_matcher_next(t->matcher);
		body = imap_matcher_body(t->matcher, t->message, needle);
		header = imap_matcher_header(t->matcher, t->message, needle);
		compare(t, INDEX_BODY, needle, body);
		compare(t, INDEX_TEXT, needle, body || header);
		compare(t, INDEX_SUBJECT, needle, imap_matcher_field(
		    t->matcher, t->message, SPAN("Subject"), needle));
		compare(t, INDEX_FROM, needle, imap_matcher_field(t->matcher,
		    t->message, SPAN("From"), needle));
	}
	text_free(&utf8);
	text_free(&folded);
}

static void
look_for_pieces(struct trial *t, struct span s)
{
	size_t step = s.n / PIECES + 1;

	for (size_t at = 0; at < s.n; at += step)
		look_for(t, span_sub(s, at, 1 + at % 13 + (at % 7 == 0) * 40));
}

/* What a part says when it is decoded. */
static void
look_for_text(struct trial *t)
{
	struct mime_limits limits = MIME_LIMITS_DEFAULT;
	struct arena *a = arena_new(32 << 20);
	struct text text = TEXT_INIT(0);
	struct mime m;

	if (mime_parse(t->message, &limits, a, &m) == 1)
		preview_add(&text, &m, 200, a);
	look_for_pieces(t, text_span(&text));
	text_free(&text);
	arena_free(&a);
}

static void
read_html(struct span s)
{
	struct text out = TEXT_INIT(0);

	html_words(s, &out);
	must(out.n <= 3 * s.n + 8);
	text_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct mime_limits limits = MIME_LIMITS_DEFAULT;
	struct trial t = { .matcher = imap_matcher_new(&limits,
	    IMAP_UNICODE_CASEMAP),
		.message = span_of(data, n) };
	struct extractor *x = extractor_new();
	struct builder *b = builder_new();
	struct text segment = TEXT_INIT(0);

	read_html(t.message);
	extract_message(x, b, 7, t.message);
	must(builder_finish(b, NULL, NULL, &segment) == 1);
	t.segment = (struct segment){ .base = segment.p,
		.size = (uint32_t)segment.n };
	must(segment_open(&t.segment) == 1 && t.segment.documents == 1);
	look_for_pieces(&t, t.message);
	look_for_text(&t);
	look_for(&t, SPAN("a"));
	look_for(&t, SPAN("content-type: text"));
	look_for(&t, SPAN("\xe4\xb8\xad"));
	text_free(&segment);
	builder_free(&b);
	extractor_free(&x);
	imap_matcher_free(&t.matcher);
	return 0;
}

/*
 * fuzz_search.c - SEARCH on messages. The first line is what is sought, the
 * second its charset; the rest is the message. And sections: the first line
 * is one as well.
 */
#include "base/text.h"
#include "imap/imap_body.h"
#include "imap/imap_search_match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_search(struct arena *a, struct span needle, struct span charset,
    struct span message)
{
	struct imap_matcher *m = imap_matcher_new(&MIME_LIMITS_DEFAULT,
	    IMAP_UNICODE_CASEMAP);
	struct imap_search_view view = { 1, 1, 0 };
	struct imap_search_message in = {
		.sequence = 1, .uid = 1, .bytes = message
	};
	struct imap_search_key text = {
		.kind = IMAP_SEARCH_TEXT, .text = needle
	}, body = {
		.kind = IMAP_SEARCH_BODY, .text = needle
	}, from = {
		.kind = IMAP_SEARCH_HEADER, .name = SPAN("From"),
		.text = needle
	}, sent = { .kind = IMAP_SEARCH_SENT_ON };

	from.next = &sent;
	body.next = &from;
	text.next = &body;
	if (imap_search_prepare(&text, charset, IMAP_UNICODE_CASEMAP, a) == 1) {
		int in_body = imap_search_match(m, &body, &view, &in);
		int in_text = imap_search_match(m, &text, &view, &in);

		must(in_body >= 0 && in_text >= in_body);
		must(imap_search_match(m, &from, &view, &in) >= 0);
		must(imap_search_match(m, &sent, &view, &in) >= 0);
	}
	imap_matcher_free(&m);
}

static void
check_section(struct arena *a, struct span section, struct span message)
{
	struct text record = TEXT_INIT(0), out = TEXT_INIT(0);
	struct imap_section parsed;
	struct imap_extent e;
	struct summary_part *root;
	struct summary s;

	if (imap_section_parse(section, a, &parsed) == 1) {
		must(summary_build(message, &SUMMARY_LIMITS_DEFAULT, a,
		    &record) == 1);
		must(summary_open(text_span(&record), message.n, &s) == 1);
		must(summary_parts(&s, a, &root) == 1);
		if (imap_section_extent(&parsed, &s, root, &e) == 1) {
			must(e.at + e.size <= message.n);
			imap_add_section_fields(&out, &parsed,
			    span_sub(message, e.at, e.size));
		}
		imap_add_section(&out, &parsed);
	}
	text_free(&record);
	text_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *a = arena_new(64 << 20);
	struct span needle, charset, message;

	message = span_cut(span_of(data, n), '\n', &needle);
	message = span_cut(message, '\n', &charset);
	if (message.p == NULL)
		message = SPAN("");
	check_search(a, needle, charset, message);
	check_section(a, needle, message);
	arena_free(&a);
	return 0;
}

/*
 * fuzz_answer.c - what a server says: replies, and what they offer. Shown in
 * part it is never taken for more than it is.
 */
#include "smtp/smtp_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_answer(const struct smtp_answer *a)
{
	struct text line = TEXT_INIT(0);

	must(a->code >= 200 && a->code <= 599);
	must(a->text.n <= ANSWER_TEXT_MAX);
	for (size_t i = 0; i < a->text.n; i++)
		must((unsigned char)a->text.p[i] >= ' ' ||
		    a->text.p[i] == '\n');
	must(a->enhanced.n == 0 ||
	    (unsigned)(a->enhanced.p[0] - '0') == a->code / 100);
	smtp_answer_text(a, &line);
	must(span_find_char(text_span(&line), '\n', 0) == SIZE_MAX);
	text_free(&line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena = arena_new(1 << 20);
	struct span in = span_of(data, n);
	struct smtp_answer a, again;
	struct smtp_offers offers;
	size_t used, used_again;
	int status;

	while ((status = smtp_answer_parse(in, arena, &a, &used)) == 1) {
		must(used > 0 && used <= in.n);
		check_answer(&a);
		must(smtp_answer_parse(span_sub(in, 0, used - 1), arena,
		    &again, &used_again) == 0);
		smtp_offers_parse(&a, arena, &offers);
		in = span_from(in, used);
		arena_reset(arena);
	}
	must(status == -1 || in.n < (size_t)ANSWER_LINE_MAX *
	    ANSWER_LINES_MAX);
	arena_free(&arena);
	return 0;
}

/*
 * fuzz_deflate.c - a compressed stream: in pieces of the first byte's size,
 * and what comes out of it must not depend on them.
 */
#include "base/text.h"
#include "io/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { OUT_MAX = 1 << 20 };

/* All that comes, up to OUT_MAX; false: it ended badly. */
static bool
inflate_all(struct span input, size_t piece, struct text *out)
{
	struct stream *s = stream_memory(input, piece);
	bool good;

	stream_start_deflate(s);
	while (out->n < OUT_MAX && stream_fill(s, MONOTIME_NEVER) == 1) {
		text_add(out, stream_input(s));
		stream_take(s, stream_input(s).n);
	}
	good = stream_error(s) == 0;
	stream_str(s, "* BYE\r\n");
	(void)stream_flush(s);
	stream_free(&s);
	return good;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct text whole = TEXT_INIT(0), pieces = TEXT_INIT(0);
	struct span input;
	bool good, as_good;

	if (n == 0)
		return 0;
	input = span_of(data + 1, n - 1);
	good = inflate_all(input, 0, &whole);
	as_good = inflate_all(input, 1 + data[0] % 64, &pieces);
	if (whole.n < OUT_MAX && pieces.n < OUT_MAX && good && as_good)
		must(span_eq(text_span(&whole), text_span(&pieces)));
	text_free(&whole);
	text_free(&pieces);
	return 0;
}

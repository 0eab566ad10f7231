/*
 * fuzz_encode.c - encodings and charsets: wherever the input is cut, the
 * same comes out; what was encoded comes back.
 *
 * The first byte is where to cut, the second which charset.
 */
#include "mail/charset.h"
#include "mail/encode.h"
#include "mail/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const charsets[] = {
	"utf-8", "us-ascii", "iso-8859-1", "iso-8859-2", "koi8-r",
	"shift_jis", "iso-2022-jp", "gb18030", "big5", "euc-kr", "utf-7",
	"utf-16", "nobody-knows", "",
};

static void
check_base64(struct span in, size_t cut)
{
	struct text one = TEXT_INIT(0), two = TEXT_INIT(0);
	struct base64_stream s = { 0, 0 };

	base64_stream_add(&s, in, &one);
	s = (struct base64_stream){ 0, 0 };
	base64_stream_add(&s, span_sub(in, 0, cut), &two);
	base64_stream_add(&s, span_from(in, cut), &two);
	must(span_eq(text_span(&one), text_span(&two)));
	text_clear(&two);
	if (base64_decode(in, &two) == 1)
		must(span_eq(text_span(&one), text_span(&two)));
	text_clear(&one);
	text_clear(&two);
	base64_add(&one, in);
	must(base64_decode(text_span(&one), &two) == 1);
	must(span_eq(text_span(&two), in));
	text_free(&one);
	text_free(&two);
}

static void
check_quoted(struct span in, size_t cut)
{
	struct text one = TEXT_INIT(0), two = TEXT_INIT(0);
	struct quoted_stream s = { .held_n = 0 };

	quoted_stream_add(&s, in, &one);
	quoted_stream_end(&s, &one);
	quoted_stream_add(&s, span_sub(in, 0, cut), &two);
	quoted_stream_add(&s, span_from(in, cut), &two);
	quoted_stream_end(&s, &two);
	must(span_eq(text_span(&one), text_span(&two)));
	text_clear(&one);
	text_clear(&two);
	quoted_add(&one, in);
	quoted_stream_add(&s, text_span(&one), &two);
	quoted_stream_end(&s, &two);
	if (span_find_char(in, '\n', 0) == SIZE_MAX)
		must(span_eq(text_span(&two), in));
	text_free(&one);
	text_free(&two);
}

static void
check_charset(struct span in, size_t cut, const char *name)
{
	struct text one = TEXT_INIT(0), two = TEXT_INIT(0);
	struct charset_decoder *d = charset_open(span_str(name));

	charset_to_utf8(span_str(name), in, &one);
	must(utf8_valid(text_span(&one)));
	charset_add(d, span_sub(in, 0, cut), false, &two);
	charset_add(d, span_from(in, cut), true, &two);
	must(span_eq(text_span(&one), text_span(&two)));
	text_clear(&two);
	charset_reset(d, span_str(name));
	charset_add(d, in, true, &two);
	must(span_eq(text_span(&one), text_span(&two)));
	charset_close(&d);
	text_clear(&two);
	casemap_add(&two, text_span(&one));
	must(utf8_valid(text_span(&two)));
	text_clear(&two);
	casefold_add(&two, text_span(&one));
	must(utf8_valid(text_span(&two)));
	text_free(&one);
	text_free(&two);
}

static void
check_utf(struct span in)
{
	struct text one = TEXT_INIT(0), two = TEXT_INIT(0);

	utf8_add_scrubbed(&one, in);
	must(utf8_valid(text_span(&one)));
	must(!utf8_valid(in) || span_eq(text_span(&one), in));
	must(utf7_encode(text_span(&one), &two) == 1);
	must(utf8_is_ascii(text_span(&two)));
	if (utf8_valid(in)) {
		text_clear(&one);
		must(utf7_decode(text_span(&two), &one) == 1);
		must(span_eq(text_span(&one), in));
	}
	text_clear(&one);
	text_clear(&two);
	if (utf7_decode(in, &one) == 1) {
		must(utf7_encode(text_span(&one), &two) == 1);
		must(span_eq(text_span(&two), in));
	}
	text_free(&one);
	text_free(&two);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span in;
	size_t cut;

	if (n < 2)
		return 0;
	in = span_of(data + 2, n - 2);
	cut = data[0] % (in.n + 1);
	check_base64(in, cut);
	check_quoted(in, cut);
	check_charset(in, cut, charsets[data[1] % ARRAY_LEN(charsets)]);
	check_utf(in);
	return 0;
}

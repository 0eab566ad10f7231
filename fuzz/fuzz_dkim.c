/*
 * fuzz_dkim.c - DKIM: messages canonicalised and signed, signatures and key
 * records read; SPF records. One byte first: what it is; one more: where the
 * body is split.
 */
#include "mail/header.h"
#include "verify/dkim.h"
#include "verify/spf.h"
#include "verify/tags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
collect(void *arg, struct span s)
{
	text_add(arg, s);
}

static void
canonical(struct span in, size_t split, enum dkim_canon canon,
    struct text *out)
{
	struct dkim_body b;

	dkim_body_begin(&b, canon, DKIM_WHOLE, collect, out);
	dkim_body_add(&b, span_sub(in, 0, split));
	dkim_body_add(&b, span_from(in, split));
	dkim_body_end(&b);
}

/* The same however it is cut; once canonical, it stays as it is. */
static void
check_body(struct span in, size_t split)
{
	for (int canon = DKIM_SIMPLE; canon <= DKIM_RELAXED; canon++) {
		struct text whole = TEXT_INIT(0), cut = TEXT_INIT(0);
		struct text again = TEXT_INIT(0);

		canonical(in, in.n, (enum dkim_canon)canon, &whole);
		canonical(in, split, (enum dkim_canon)canon, &cut);
		must(span_eq(text_span(&whole), text_span(&cut)));
		must(whole.n <= in.n + 2);
		canonical(text_span(&whole), whole.n / 2,
		    (enum dkim_canon)canon, &again);
		must(span_eq(text_span(&whole), text_span(&again)));
		text_free(&whole);
		text_free(&cut);
		text_free(&again);
	}
}

/* What we write for any header is read again, and hashed alike. */
static void
check_message(struct span message, size_t split, struct arena *a)
{
	struct span header = span_sub(message, 0, header_end(message));
	struct text names = TEXT_INIT(0), field = TEXT_INIT(0);
	struct text one = TEXT_INIT(DKIM_INPUT_MAX), two = TEXT_INIT(
	    DKIM_INPUT_MAX);
	uint8_t hash[DKIM_HASH];
	struct dkim_signature s = { .header = DKIM_RELAXED,
	    .body = DKIM_RELAXED, .domain = SPAN("example.org"),
	    .selector = SPAN("s"), .hash = span_of(hash, sizeof(hash)),
	    .length = DKIM_WHOLE, .time = 1, .expires = -1 }, back;
	struct header_field f;
	size_t at = 0;
	int r;

	check_body(span_from(message, header.n), split);
	dkim_body_hash(span_from(message, header.n), DKIM_RELAXED,
	    DKIM_WHOLE, hash);
	dkim_choose(header, &names);
	s.names = text_span(&names);
	dkim_write(&s, &field);
	r = dkim_input(header, s.names, text_span(&field), DKIM_RELAXED, a,
	    &one);
	s.signature = SPAN("a signature of some bytes that is long enough");
	text_clear(&field);
	dkim_write(&s, &field);
	must(header_next(text_span(&field), &at, &f) && at == field.n);
	must(dkim_parse(f.value, a, &back) == 1);
	must(span_eq(back.names, s.names));
	must(span_eq(back.signature, s.signature));
	must(dkim_input(header, back.names, text_span(&field), DKIM_RELAXED,
	    a, &two) == r);
	must(r == 0 || span_eq(text_span(&one), text_span(&two)));
	text_free(&names);
	text_free(&field);
	text_free(&one);
	text_free(&two);
}

/* Somebody's signature over a header that is there. */
static void
check_signature(struct span field, struct arena *a)
{
	static const char header[] = "From: a@b\r\nTo: c\r\nto: d\r\n\r\n";
	struct text t = TEXT_INIT(DKIM_INPUT_MAX);
	struct dkim_signature s;

	if (dkim_parse(field, a, &s) == 1) {
		must(s.hash.n == DKIM_HASH && s.domain.n > 0);
		must(dkim_selector_ok(s.selector));
		dkim_input(span_str(header), s.names, field, s.header, a, &t);
	}
	text_free(&t);
}

static void
check_records(struct span txt, struct arena *a)
{
	struct text why = TEXT_INIT(1000);
	struct dkim_record r;
	struct spf_term *terms;
	struct tags t;
	size_t n;

	if (tags_parse(txt, &t) == 1)
		must(t.count > 0 && t.count <= TAGS_MAX);
	if (dkim_record_parse(txt, a, &r) == 1)
		must(span_find_char(r.key, ' ', 0) == SIZE_MAX);
	if (spf_parse(txt, a, &terms, &n, &why) == 1) {
		must(n <= SPF_TERMS_MAX && spf_is(txt));
		for (size_t i = 0; i < n; i++)
			must(terms[i].bits4 <= 32 && terms[i].bits6 <= 128);
	} else {
		must(why.n > 0 || arena_full(a));
	}
	text_free(&why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *a;
	struct span in;
	size_t split;

	if (n < 2)
		return 0;
	a = arena_new(64 << 20);
	in = span_of(data + 2, n - 2);
	split = MIN((size_t)data[1], in.n);
	switch (data[0] % 3) {
	case 0:
		check_message(in, split, a);
		break;
	case 1:
		check_signature(in, a);
		break;
	default:
		check_records(in, a);
	}
	arena_free(&a);
	return 0;
}

/*
 * fuzz_convert.c - messages for seven bits: pure ASCII, no line too long,
 * the same parts, of which those with a signature are as they were and every
 * leaf decodes to the same bytes.
 */
#include "mail/convert.h"
#include "mail/encode.h"
#include "mail/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
decode(const struct mime *m, const struct mime_part *p, struct text *out)
{
	struct base64_stream base64 = { 0 };
	struct quoted_stream quoted = { 0 };

	text_clear(out);
	if (p->encoding == MIME_BASE64) {
		base64_stream_add(&base64, mime_body(m, p), out);
	} else if (p->encoding == MIME_QUOTED) {
		quoted_stream_add(&quoted, mime_body(m, p), out);
		quoted_stream_end(&quoted, out);
	} else {
		text_add(out, mime_body(m, p));
	}
}

static void
check_leaf(const struct mime *a, const struct mime_part *p,
    const struct mime *b, const struct mime_part *q)
{
	struct text one = TEXT_INIT(0), two = TEXT_INIT(0);

	decode(a, p, &one);
	decode(b, q, &two);
	must(span_eq(text_span(&one), text_span(&two)));
	text_free(&one);
	text_free(&two);
}

static struct span
whole_of(const struct mime *m, const struct mime_part *p)
{
	return span_sub(m->message, p->header_at,
	    p->header_size + p->body_size);
}

/* Behind p, and behind all that is within it. */
static const struct mime_part *
next_outside(const struct mime_part *p)
{
	while (p != NULL && p->next == NULL)
		p = p->parent;
	return p != NULL ? p->next : NULL;
}

static void
check_same(struct span before, struct span after)
{
	struct arena *arena = arena_new(16 << 20);
	const struct mime_part *p, *q;
	struct mime a, b;

	must(mime_parse(before, &MIME_LIMITS_DEFAULT, arena, &a) == 1);
	must(mime_parse(after, &MIME_LIMITS_DEFAULT, arena, &b) == 1);
	for (p = a.root, q = b.root; p != NULL && q != NULL;
	    q = mime_next(q)) {
		must(p->depth == q->depth);
		if (mime_is(p, "multipart", "signed"))
			must(span_eq(whole_of(&a, p), whole_of(&b, q)));
		if (q->kind == MIME_LEAF)
			check_leaf(&a, p, &b, q);
		/* A message/global may have become a leaf. */
		must(p->kind == q->kind || (q->kind == MIME_LEAF &&
		    mime_is(p, "message", "global")));
		p = p->kind == q->kind ? mime_next(p) : next_outside(p);
	}
	must(p == NULL && q == NULL);
	arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena = arena_new(16 << 20);
	struct text out = TEXT_INIT(0), why = TEXT_INIT(0);
	struct span message = span_of(data, n);
	struct convert_survey s;
	int status;

	convert_survey(message, &s);
	status = convert_to_7bit(message, arena, &out, &why);
	must(status != -1);
	must(status == 1 || why.n > 0);
	if (status == 1) {
		convert_survey(text_span(&out), &s);
		must(!s.header_8bit && !s.body_8bit && !s.binary);
		check_same(message, text_span(&out));
	}
	text_free(&out);
	text_free(&why);
	arena_free(&arena);
	return 0;
}

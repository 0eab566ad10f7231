/*
 * extract.c - header fields and text parts, decoded, folded, handed on.
 *
 * Each field and each part is a text of its own: no search reaches over the
 * end of one. HTML is added as it stands, as SEARCH wants it, and its words
 * as people see them once more by themselves.
 */
#include "index/extract.h"
#include "index/html.h"
#include "mail/charset.h"
#include "mail/header.h"
#include "mail/transfer.h"
#include "mail/words.h"

#include <stdlib.h>

enum {
	PIECE = 32 * 1024,
	TREE_ROOM = 16 << 20,
	KEEP_ROOM = 1 << 20,		/* of buffers, between messages */
};

struct extractor {
	struct arena *arena;
	struct charset_decoder *charset;
	struct text bytes, utf8, folded, html;
	size_t header_left, body_left;
	struct builder *to;
};

struct extractor *
extractor_new(void)
{
	struct extractor *x = xcalloc(1, sizeof(*x));

	x->arena = arena_new(TREE_ROOM);
	x->charset = charset_open(SPAN_EMPTY);
	return x;
}

void
extractor_free(struct extractor **xp)
{
	struct extractor *x = *xp;

	if (x == NULL)
		return;
	arena_free(&x->arena);
	charset_close(&x->charset);
	text_free(&x->bytes);
	text_free(&x->utf8);
	text_free(&x->folded);
	text_free(&x->html);
	free(x);
	*xp = NULL;
}

/* What is in x->folded; when it is too much, its beginning. */
static void
hand_on(struct extractor *x, enum segment_field field, size_t *left,
    uint8_t cut)
{
	struct span s = utf8_clip(text_span(&x->folded), *left);

	if (s.n < x->folded.n)
		builder_add_flags(x->to, cut);
	*left -= s.n;
	builder_add(x->to, field, s);
}

/* ---- headers --------------------------------------------------------- */

static const struct {
	const char *name;
	enum segment_field field;
} known[] = {
	{ "Subject", SEGMENT_SUBJECT }, { "From", SEGMENT_FROM },
	{ "To", SEGMENT_TO }, { "Cc", SEGMENT_CC }, { "Bcc", SEGMENT_BCC },
};

static enum segment_field
field_of(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (span_is_nocase(name, known[i].name))
			return known[i].field;
	return SEGMENT_HEADER;
}

static void
fold_value(struct extractor *x, struct span raw)
{
	text_clear(&x->utf8);
	words_decode(span_sub(raw, 0, EXTRACT_FIELD_MAX), &x->utf8);
	text_clear(&x->folded);
	casemap_add(&x->folded, text_span(&x->utf8));
}

static void
add_header(struct extractor *x, struct span header)
{
	struct header_field f;
	size_t at = 0;

	while (header_next(header, &at, &f)) {
		text_clear(&x->folded);
		casemap_add(&x->folded, f.name);
		hand_on(x, SEGMENT_NAMES, &x->header_left,
		    DOCUMENT_HEADER_CUT);
		fold_value(x, f.value);
		hand_on(x, field_of(f.name), &x->header_left,
		    DOCUMENT_HEADER_CUT);
	}
}

/* Of a part, or of a message within: SEARCH takes them for the body. */
static void
add_part_header(struct extractor *x, struct span header)
{
	struct header_field f;
	size_t at = 0;

	while (header_next(header, &at, &f)) {
		text_clear(&x->folded);
		casemap_add(&x->folded, f.name);
		hand_on(x, SEGMENT_BODY, &x->body_left, DOCUMENT_BODY_CUT);
		fold_value(x, f.value);
		hand_on(x, SEGMENT_BODY, &x->body_left, DOCUMENT_BODY_CUT);
	}
}

/* ---- bodies ---------------------------------------------------------- */

/* The part in UTF-8, as far as there is room for it. */
static void
decode_part(struct extractor *x, const struct mime_part *p, struct span body)
{
	struct transfer transfer = { .encoding = p->encoding };
	struct span bytes;
	bool last;

	charset_reset(x->charset, mime_charset(p, x->arena));
	text_clear(&x->utf8);
	do {
		last = body.n <= PIECE;
		bytes = transfer_decode(&transfer,
		    span_sub(body, 0, PIECE), last, &x->bytes);
		body = span_from(body, PIECE);
		charset_add(x->charset, bytes, last, &x->utf8);
	} while (!last && x->utf8.n <= x->body_left);
	if (!last)
		builder_add_flags(x->to, DOCUMENT_BODY_CUT);
}

static void
add_part(struct extractor *x, const struct mime_part *p, struct span body)
{
	decode_part(x, p, body);
	text_clear(&x->folded);
	casemap_add(&x->folded, text_span(&x->utf8));
	hand_on(x, SEGMENT_BODY, &x->body_left, DOCUMENT_BODY_CUT);
	if (mime_is(p, "text", "html") && x->html.n <= EXTRACT_BODY_MAX) {
		html_words(text_span(&x->utf8), &x->html);
		text_char(&x->html, ' ');
	}
}

static void
add_body(struct extractor *x, struct span message)
{
	struct mime_limits limits = MIME_LIMITS_DEFAULT;
	const struct mime_part *p;
	struct mime tree;

	if (mime_parse(message, &limits, x->arena, &tree) != 1) {
		arena_reset(x->arena);
		mime_parse(message, &(struct mime_limits){ 0, 1 }, x->arena,
		    &tree);
	}
	for (p = tree.root; p != NULL; p = mime_next(p)) {
		if (p->parent != NULL)
			add_part_header(x, mime_header(&tree, p));
		if (p->kind == MIME_LEAF && (mime_is(p, "text", NULL) ||
		    mime_is(p, "message", NULL) ||
		    mime_is(p, "multipart", NULL)))
			add_part(x, p, mime_body(&tree, p));
	}
	arena_reset(x->arena);
}

/* ---- a message ------------------------------------------------------- */

static void
give_back(struct text *t)
{
	if (t->room > KEEP_ROOM)
		text_free(t);
	text_clear(t);
}

void
extract_message(struct extractor *x, struct builder *to, uint32_t uid,
    struct span message)
{
	size_t html_left = EXTRACT_BODY_MAX;

	x->to = to;
	x->header_left = EXTRACT_HEADER_MAX;
	x->body_left = EXTRACT_BODY_MAX;
	builder_begin(to, uid);
	add_header(x, message);
	add_body(x, message);
	if (x->html.n > 0) {
		text_clear(&x->folded);
		casemap_add(&x->folded, text_span(&x->html));
		hand_on(x, SEGMENT_HTML, &html_left, 0);
	}
	builder_end(to);
	give_back(&x->bytes);
	give_back(&x->utf8);
	give_back(&x->folded);
	give_back(&x->html);
}

void
extract_nothing(struct builder *to, uint32_t uid)
{
	builder_begin(to, uid);
	builder_add_flags(to, DOCUMENT_HEADER_CUT | DOCUMENT_BODY_CUT);
	builder_end(to);
}

/*
 * imap_search_text.c - text of messages, decoded piece by piece, and sought.
 *
 * A body goes through transfer decoding, charset, case folding and memmem
 * in pieces, so that memory does not grow with the message. Between two
 * pieces as much is kept as a match could begin in.
 */
#include "imap/imap_search_text.h"
#include "mail/header.h"
#include "mail/transfer.h"
#include "mail/words.h"

#include <stdlib.h>

enum {
	PIECE = 32 * 1024,
	FIELD_MAX = 1 << 20,	/* of a field is searched */
	TREE_ROOM = 16 << 20
};

struct imap_matcher {
	struct mime_limits limits;
	enum imap_collation collation;
	struct arena *arena;
	struct charset_decoder *charset;
	struct text bytes, utf8, folded;
	struct mime tree;
	bool has_tree;
};

struct imap_matcher *
imap_matcher_new(const struct mime_limits *limits,
    enum imap_collation collation)
{
	struct imap_matcher *m = xcalloc(1, sizeof(*m));

	m->limits = *limits;
	m->collation = collation;
	m->arena = arena_new(TREE_ROOM);
	m->charset = charset_open(SPAN_EMPTY);
	return m;
}

void
imap_matcher_free(struct imap_matcher **m)
{
	if (*m == NULL)
		return;
	arena_free(&(*m)->arena);
	charset_close(&(*m)->charset);
	text_free(&(*m)->bytes);
	text_free(&(*m)->utf8);
	text_free(&(*m)->folded);
	free(*m);
	*m = NULL;
}

void
imap_matcher_next(struct imap_matcher *m)
{
	if (m->has_tree)
		arena_reset(m->arena);
	m->has_tree = false;
}

static bool
contains(const struct text *t, struct span needle)
{
	return needle.n == 0 || (t->n >= needle.n &&
	    memmem(t->p, t->n, needle.p, needle.n) != NULL);
}

/* ---- headers ------------------------------------------------------------- */

/* The value of a field, folded, after what stands in m->folded. */
static void
fold_value(struct imap_matcher *m, struct span raw)
{
	text_clear(&m->utf8);
	words_decode(span_sub(raw, 0, FIELD_MAX), &m->utf8);
	imap_collate_add(m->collation, &m->folded, text_span(&m->utf8));
}

bool
imap_matcher_field(struct imap_matcher *m, struct span header,
    struct span name, struct span needle)
{
	struct header_field f;
	size_t at = 0;

	while (header_next(header, &at, &f)) {
		if (!span_eq_nocase(f.name, name))
			continue;
		text_clear(&m->folded);
		fold_value(m, f.value);
		if (contains(&m->folded, needle))
			return true;
	}
	return false;
}

bool
imap_matcher_header(struct imap_matcher *m, struct span header,
    struct span needle)
{
	struct header_field f;
	size_t at = 0;

	while (header_next(header, &at, &f)) {
		text_clear(&m->folded);
		imap_collate_add(m->collation, &m->folded, f.name);
		text_str(&m->folded, f.name.n > 0 ? ": " : "");
		fold_value(m, f.value);
		if (contains(&m->folded, needle))
			return true;
	}
	return false;
}

/* ---- bodies -------------------------------------------------------------- */

/* Keep the end of m->folded in which a match may have begun. */
static void
keep_tail(struct text *t, size_t keep)
{
	if (t->n <= keep)
		return;
	memmove(t->p, t->p + t->n - keep, keep);
	t->n = keep;
}

static bool
search_part(struct imap_matcher *m, const struct mime_part *p,
    struct span body, struct span needle)
{
	struct transfer transfer = { .encoding = p->encoding };
	struct span bytes;
	bool last;

	charset_reset(m->charset, mime_charset(p, m->arena));
	text_clear(&m->folded);
	do {
		last = body.n <= PIECE;
		bytes = transfer_decode(&transfer,
		    span_sub(body, 0, PIECE), last, &m->bytes);
		body = span_from(body, PIECE);
		text_clear(&m->utf8);
		charset_add(m->charset, bytes, last, &m->utf8);
		keep_tail(&m->folded, needle.n - 1);
		imap_collate_add(m->collation, &m->folded, text_span(&m->utf8));
		if (contains(&m->folded, needle))
			return true;
	} while (!last);
	return false;
}

bool
imap_matcher_body(struct imap_matcher *m, struct span message,
    struct span needle)
{
	const struct mime_part *p;

	if (!m->has_tree && mime_parse(message, &m->limits, m->arena,
	    &m->tree) != 1) {
		/* Too large a tree for its room: then as one text. */
		arena_reset(m->arena);
		mime_parse(message, &(struct mime_limits){ 0, 1 }, m->arena,
		    &m->tree);
	}
	m->has_tree = true;
	for (p = m->tree.root; p != NULL; p = mime_next(p)) {
		if (p->parent != NULL && imap_matcher_header(m,
		    mime_header(&m->tree, p), needle))
			return true;
		if (p->kind == MIME_LEAF && (mime_is(p, "text", NULL) ||
		    mime_is(p, "message", NULL) ||
		    mime_is(p, "multipart", NULL)) &&
		    search_part(m, p, mime_body(&m->tree, p), needle))
			return true;
	}
	return false;
}

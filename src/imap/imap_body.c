/*
 * imap_body.c - BODYSTRUCTURE (RFC 3501 7.4.2).
 *
 * Recursive, since the grammar is; summary_parts bounds the depth. A leaf
 * that calls itself multipart or message, because it was too deep or broken
 * to be looked into, is shown as what it is for a client: text, or octets.
 */
#include "imap/imap_body.h"
#include "imap/imap_put.h"

struct writer {
	struct text *out;
	bool extended;
	enum imap_text_mode mode;
};

static void add_part(const struct writer *, const struct summary_part *);

static void
add_nstring(const struct writer *w, struct span s)
{
	put_char(w->out, ' ');
	imap_add_nstring(w->out, s, w->mode);
}

static void
add_param_name(const struct writer *w, const struct words_param *p)
{
	struct text name = TEXT_INIT(0);

	if (!p->extended) {
		imap_add_string(w->out, p->name, w->mode);
		return;
	}
	text_add(&name, p->name);
	text_char(&name, '*');
	imap_add_string(w->out, text_span(&name), w->mode);
	text_free(&name);
}

/* ("charset" "utf-8" "name*" "utf-8''x") */
static void
add_params(const struct writer *w, const struct words_param *p,
    bool default_charset)
{
	const char *before = "(";

	put_char(w->out, ' ');
	for (; p != NULL; p = p->next, before = " ") {
		default_charset &= !span_is_nocase(p->name, "charset");
		put_span(w->out, span_str(before));
		add_param_name(w, p);
		put_char(w->out, ' ');
		imap_add_free_text(w->out, p->value, w->mode);
	}
	if (default_charset)
		text_printf(w->out, "%s\"charset\" \"us-ascii\"", before);
	else if (*before == '(')
		put_lit(w->out, "NIL");
	if (default_charset || *before == ' ')
		put_char(w->out, ')');
}

static void
add_languages(const struct writer *w, const struct words_param *p)
{
	const char *before = "(";

	put_char(w->out, ' ');
	if (p == NULL || p->next == NULL) {
		imap_add_nstring(w->out, p == NULL ? SPAN_EMPTY : p->value,
		    w->mode);
		return;
	}
	for (; p != NULL; p = p->next, before = " ") {
		put_span(w->out, span_str(before));
		imap_add_string(w->out, p->value, w->mode);
	}
	put_char(w->out, ')');
}

/* Disposition, language, location: the same for all bodies. */
static void
add_extension(const struct writer *w, const struct summary_part *p)
{
	if (p->disposition.p == NULL) {
		put_lit(w->out, " NIL");
	} else {
		put_lit(w->out, " (");
		imap_add_string(w->out, p->disposition, w->mode);
		add_params(w, p->disposition_params, false);
		put_char(w->out, ')');
	}
	add_languages(w, p->languages);
	add_nstring(w, p->location);
}

static void
add_multipart(const struct writer *w, const struct summary_part *p)
{
	/* A multipart of nothing; the grammar wants a part. */
	static const struct summary_part nothing = {
		.type = { "text", 4 }, .subtype = { "plain", 5 }
	};
	const struct summary_part *child;

	if (p->first == NULL)
		add_part(w, &nothing);
	for (child = p->first; child != NULL; child = child->next)
		add_part(w, child);
	put_char(w->out, ' ');
	imap_add_string(w->out, p->subtype, w->mode);
	if (!w->extended)
		return;
	add_params(w, p->params, false);
	add_extension(w, p);
}

static bool
type_is(const struct summary_part *p, const char *type)
{
	return span_is_nocase(p->type, type);
}

/* The type and subtype a leaf is shown with; true if it is text. */
static bool
add_leaf_type(const struct writer *w, const struct summary_part *p)
{
	bool message = type_is(p, "message") &&
	    (span_is_nocase(p->subtype, "rfc822") ||
	    span_is_nocase(p->subtype, "global"));

	if (message) {
		put_lit(w->out, "\"application\" \"octet-stream\"");
		return false;
	}
	if (type_is(p, "multipart")) {
		put_lit(w->out, "\"text\" \"plain\"");
		return true;
	}
	imap_add_string(w->out, p->type, w->mode);
	put_char(w->out, ' ');
	imap_add_string(w->out, p->subtype, w->mode);
	return type_is(p, "text");
}

static void
add_number(const struct writer *w, uint64_t n)
{
	put_char(w->out, ' ');
	text_u64(w->out, n);
}

/* body-fields of the grammar. */
static void
add_fields(const struct writer *w, const struct summary_part *p,
    bool default_charset)
{
	add_params(w, p->params, default_charset);
	add_nstring(w, p->id);
	put_char(w->out, ' ');
	if (p->description.p == NULL)
		put_lit(w->out, "NIL");
	else
		imap_add_free_text(w->out, p->description, w->mode);
	add_nstring(w, p->encoding.n > 0 ? p->encoding : SPAN("7bit"));
	add_number(w, p->body_size);
}

static void
add_single(const struct writer *w, const struct summary_part *p)
{
	if (p->kind == MIME_MESSAGE) {
		imap_add_string(w->out, p->type, w->mode);
		put_char(w->out, ' ');
		imap_add_string(w->out, p->subtype, w->mode);
		add_fields(w, p, false);
		put_char(w->out, ' ');
		imap_add_envelope(w->out, p->envelope, w->mode);
		put_char(w->out, ' ');
		add_part(w, p->first);
		add_number(w, p->body_lines);
	} else if (add_leaf_type(w, p)) {
		add_fields(w, p, true);
		add_number(w, p->body_lines);
	} else {
		add_fields(w, p, false);
	}
	if (!w->extended)
		return;
	add_nstring(w, p->md5);
	add_extension(w, p);
}

static void
add_part(const struct writer *w, const struct summary_part *p)
{
	put_char(w->out, '(');
	if (p->kind == MIME_MULTIPART)
		add_multipart(w, p);
	else
		add_single(w, p);
	put_char(w->out, ')');
}

void
imap_add_body(struct text *out, const struct summary_part *root,
    bool extended, enum imap_text_mode mode)
{
	struct writer w = { out, extended, mode };

	add_part(&w, root);
}

void
imap_add_section(struct text *out, const struct imap_section *s)
{
	const char *before = "", *word = imap_section_word(s->kind);
	size_t i;

	text_str(out, "BODY[");
	for (i = 0; i < s->part_count; i++, before = ".") {
		text_str(out, before);
		text_u64(out, s->parts[i]);
	}
	if (word != NULL) {
		text_str(out, before);
		text_str(out, word);
	}
	for (i = 0; i < s->field_count; i++) {
		text_str(out, i == 0 ? " (" : " ");
		imap_add_astring(out, s->fields[i], IMAP_TEXT_ASCII);
	}
	text_str(out, s->field_count > 0 ? ")]" : "]");
	if (s->is_partial) {
		text_char(out, '<');
		text_u64(out, s->origin);
		text_char(out, '>');
	}
}

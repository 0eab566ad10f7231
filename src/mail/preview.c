/*
 * preview.c - the first words of a message.
 *
 * Only the beginning of one part is looked at, so that the cost does not
 * grow with the message. HTML is read as people see it, roughly: no tags, no
 * comments, no style or script, the few entities that matter.
 */
#include "mail/preview.h"
#include "mail/charset.h"
#include "mail/lex.h"
#include "mail/transfer.h"

enum { PLAIN_BYTES = 1024, HTML_BYTES = 16384, ENTITY_MAX = 10 };

/* ---- one line ------------------------------------------------------------ */

struct line {
	struct text *out;
	size_t left;		/* characters */
	bool blank;		/* one is due before the next character */
	bool begun;
};

static bool
is_blank_code(int32_t code)
{
	return code <= ' ' || (code >= 0x7f && code <= 0xa0) ||
	    code == 0xfeff || (code >= 0x2000 && code <= 0x200f) ||
	    code == 0x2028 || code == 0x2029 || code == 0x3000;
}

static void
line_add(struct line *l, int32_t code)
{
	if (is_blank_code(code)) {
		l->blank = l->begun;
		return;
	}
	if (l->blank && l->left > 1) {
		text_char(l->out, ' ');
		l->left--;
	}
	l->blank = false;
	if (l->left == 0)
		return;
	l->left--;
	l->begun = true;
	utf8_add(l->out, code);
}

static void
add_plain(struct line *l, struct span s)
{
	size_t at = 0;
	int32_t code;

	while (at < s.n && l->left > 0) {
		code = utf8_next(s, &at);
		line_add(l, code < 0 ? 0xfffd : code);
	}
}

/* ---- HTML ---------------------------------------------------------------- */

static int32_t
numeric_entity(struct span name)
{
	int32_t code = 0;
	size_t i = 1;
	bool hex = name.n > 2 && ascii_lower(name.p[1]) == 'x';
	char c;

	for (i += hex; i < name.n; i++) {
		c = ascii_lower(name.p[i]);
		if (ascii_is_digit(c))
			code = code * (hex ? 16 : 10) + (c - '0');
		else if (hex && c >= 'a' && c <= 'f')
			code = code * 16 + (c - 'a' + 10);
		else
			return -1;
		if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
			return 0xfffd;
	}
	return code;
}

/* At "&": its character, *at moved behind ";". Else "&" itself. */
static int32_t
take_entity(struct span s, size_t *at)
{
	static const struct { const char *name; int32_t code; } rows[] = {
		{ "amp", '&' }, { "lt", '<' }, { "gt", '>' },
		{ "quot", '"' }, { "apos", '\'' }, { "nbsp", ' ' },
		{ "zwnj", ' ' }, { "shy", ' ' }, { "copy", 0xa9 },
		{ "euro", 0x20ac }, { "hellip", 0x2026 },
		{ "ndash", 0x2013 }, { "mdash", 0x2014 },
		{ "rsquo", 0x2019 }, { "lsquo", 0x2018 },
		{ "ldquo", 0x201c }, { "rdquo", 0x201d },
	};
	size_t end = span_find_char(span_sub(s, 0, *at + ENTITY_MAX), ';',
	    *at);
	struct span name;
	int32_t code = -1;
	size_t i;

	if (end != SIZE_MAX) {
		name = span_sub(s, *at + 1, end - *at - 1);
		if (name.n > 1 && name.p[0] == '#')
			code = numeric_entity(name);
		for (i = 0; i < ARRAY_LEN(rows); i++) {
			if (span_is(name, rows[i].name))
				code = rows[i].code;
		}
	}
	*at = code < 0 ? *at + 1 : end + 1;
	return code < 0 ? '&' : code;
}

/* Behind the element whose content nobody reads. */
static size_t
skip_element(struct span s, size_t at, const char *end)
{
	struct span tag = span_str(end);

	for (; at < s.n; at++) {
		if (s.p[at] == '<' &&
		    span_starts_nocase(span_from(s, at), tag))
			return at;
	}
	return s.n;
}

/* Behind the tag or comment at `at`. */
static size_t
skip_tag(struct span s, size_t at)
{
	static const char *const unread[][2] = {
		{ "<style", "</style" }, { "<script", "</script" },
		{ "<title", "</title" }, { "<head>", "</head" },
	};
	struct span rest = span_from(s, at);
	size_t i, end;

	if (span_starts(rest, SPAN("<!--"))) {
		end = span_find(s, SPAN("-->"), at + 4);
		return end == SIZE_MAX ? s.n : end + 3;
	}
	for (i = 0; i < ARRAY_LEN(unread); i++) {
		if (span_starts_nocase(rest, span_str(unread[i][0]))) {
			at = skip_element(s, at + 1, unread[i][1]);
			break;
		}
	}
	end = span_find_char(s, '>', at);
	return end == SIZE_MAX ? s.n : end + 1;
}

static void
add_html(struct line *l, struct span s)
{
	size_t at = 0;
	int32_t code;

	while (at < s.n && l->left > 0) {
		if (s.p[at] == '<') {
			at = skip_tag(s, at);
			l->blank = l->begun;
		} else if (s.p[at] == '&') {
			line_add(l, take_entity(s, &at));
		} else {
			code = utf8_next(s, &at);
			line_add(l, code < 0 ? 0xfffd : code);
		}
	}
}

/* ---- the part ------------------------------------------------------------ */

static bool
is_attachment(const struct mime_part *p)
{
	struct span d = p->content_disposition;

	return span_starts_nocase(span_from(d, lex_skip(d, 0)),
	    SPAN("attachment"));
}

/* The first text/plain; else the first text/html; else any text. */
static const struct mime_part *
readable_part(const struct mime *m)
{
	const struct mime_part *p, *html = NULL, *other = NULL;

	for (p = m->root; p != NULL; p = mime_next(p)) {
		if (p->kind != MIME_LEAF || p->encoding == MIME_OTHER ||
		    is_attachment(p))
			continue;
		if (mime_is(p, "text", "plain"))
			return p;
		if (html == NULL && mime_is(p, "text", "html"))
			html = p;
		else if (other == NULL && mime_is(p, "text", NULL))
			other = p;
	}
	return html != NULL ? html : other;
}

void
preview_add(struct text *out, const struct mime *m, size_t max,
    struct arena *a)
{
	const struct mime_part *p = readable_part(m);
	struct text bytes = TEXT_INIT(0), utf8 = TEXT_INIT(0);
	struct line l = { .out = out, .left = max };
	struct transfer transfer = { 0 };
	struct span s;
	bool html;

	if (p == NULL)
		return;
	transfer.encoding = p->encoding;
	html = mime_is(p, "text", "html");
	s = transfer_decode(&transfer, span_sub(mime_body(m, p), 0,
	    html ? HTML_BYTES : PLAIN_BYTES), false, &bytes);
	if (!utf8_is_ascii(s) || p->content_type.p != NULL) {
		charset_to_utf8(mime_charset(p, a), s, &utf8);
		s = text_span(&utf8);
	}
	if (html)
		add_html(&l, s);
	else
		add_plain(&l, s);
	text_free(&bytes);
	text_free(&utf8);
}

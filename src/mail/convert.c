/*
 * convert.c - a message for a server that takes seven bits only.
 *
 * The tree of parts is walked in the order of the message, and what stands
 * between the parts is carried along; nothing recurses. A part that needs no
 * change is copied, byte for byte; one that does gets another encoding and a
 * header that says so.
 *
 * A new body does not get a line that could be a boundary: base64 has no
 * dashes, and quoted-printable whose line breaks would put some at the
 * beginning of a line is given up for base64. Whatever else could go wrong
 * is seen in the end: the result is parsed, and each of its parts compared
 * with what it was, byte by byte; where they differ, it is not given out.
 */
#include "mail/convert.h"
#include "mail/header.h"
#include "mail/transfer.h"

enum {
	LINE_MAX_TEXT = 998,		/* RFC 5321 4.5.3.1.6, without CRLF */
	GAP_LINE_MAX = 900,
	SURVEY_MEMORY = 16 << 20,
};

/* -- what is in some bytes ---- */

struct contents {
	bool high;			/* bytes with the eighth bit */
	bool nul, bare, long_line;
};

/* A line and its LF, if it has one. Whole messages pass here. */
static void
look_at_line(struct span line, struct contents *c)
{
	size_t cr;

	if (line.p[line.n - 1] == '\n') {
		line.n--;
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		else
			c->bare = true;
	}
	cr = span_find_char(line, '\r', 0);
	c->bare |= cr != SIZE_MAX;
	c->long_line |= line.n > LINE_MAX_TEXT;
	c->nul |= span_find_char(line, '\0', 0) != SIZE_MAX;
	c->high = c->high || !utf8_is_ascii(line);
}

static void
look(struct span s, struct contents *c)
{
	size_t end;

	*c = (struct contents){ 0 };
	while (s.n > 0) {
		end = span_find_char(s, '\n', 0);
		end = end == SIZE_MAX ? s.n : end + 1;
		look_at_line(span_sub(s, 0, end), c);
		s = span_from(s, end);
	}
}

/* Bytes that quoted-printable writes as =XX, but for blanks. */
static size_t
count_escaped(struct span s)
{
	size_t n = 0;
	unsigned char b;

	for (size_t i = 0; i < s.n; i++) {
		b = (unsigned char)s.p[i];
		n += b >= 0x7f || b == '=' ||
		    (b < ' ' && b != '\t' && b != '\r' && b != '\n');
	}
	return n;
}

static bool
is_binary(const struct contents *c)
{
	return c->nul || c->bare || c->long_line;
}

static bool
is_clean(struct span s)
{
	struct contents c;

	look(s, &c);
	return !c.high && !is_binary(&c);
}

/* -- the survey ---- */

static bool
is_global(const struct mime_part *p)
{
	return mime_is(p, "message", "global");
}

/* Behind p, and behind all that is within it. */
static struct mime_part *
next_outside(const struct mime_part *p)
{
	while (p != NULL && p->next == NULL)
		p = p->parent;
	return p != NULL ? p->next : NULL;
}

/* RFC 6532 3.7: within message/global they are that part's content. */
static bool
has_8bit_header(const struct mime *m, const struct mime_part **where)
{
	const struct mime_part *p = m->root;

	while (p != NULL) {
		if (!utf8_is_ascii(mime_header(m, p))) {
			*where = p;
			return true;
		}
		p = is_global(p) ? next_outside(p) : mime_next(p);
	}
	return false;
}

static void
survey_parts(struct span message, struct convert_survey *out)
{
	struct arena *arena = arena_new(SURVEY_MEMORY);
	const struct mime_part *where;
	struct mime m;

	if (mime_parse(message, &MIME_LIMITS_DEFAULT, arena, &m) == 1)
		out->header_8bit = has_8bit_header(&m, &where);
	arena_free(&arena);
}

void
convert_survey(struct span message, struct convert_survey *out)
{
	size_t end = header_end(message);
	struct contents c;

	*out = (struct convert_survey){ 0 };
	look(message, &c);
	out->binary = is_binary(&c);
	if (!c.high)
		return;
	out->body_8bit = !utf8_is_ascii(span_from(message, end));
	out->header_8bit = !utf8_is_ascii(span_sub(message, 0, end));
	if (out->body_8bit && !out->header_8bit)
		survey_parts(message, out);
}

/* -- headers ---- */

struct conversion {
	struct mime m;
	struct arena *arena;
	struct text *out, *why;
	size_t at;			/* of the message, done so far */
	bool clean;			/* the whole message is */
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Bytes of a line that stand before its value; all, if it has none. */
static size_t
before_value(struct span line)
{
	return is_blank(line.p[0]) ? 0
	    : MIN(span_find_char(line, ':', 0), line.n);
}

/* False: no blank of its value is where one is needed. */
static bool
add_folded(struct text *out, struct span line, size_t before)
{
	size_t cut;

	for (; line.n > LINE_MAX_TEXT; line = span_from(line, cut)) {
		for (cut = LINE_MAX_TEXT; cut > before; cut--)
			if (is_blank(line.p[cut]))
				break;
		if (cut <= before)
			return false;
		text_add(out, span_sub(line, 0, cut));
		text_str(out, "\r\n");
		before = 0;
	}
	text_add(out, line);
	text_str(out, "\r\n");
	return true;
}

/*
 * A line of a header: CRLF, folded where too long, no NUL and no bare CR. A
 * blank in their place could make a field of what was none, or fold it; so
 * only a CR within a value, where it is one to readers too, becomes one.
 */
static bool
add_header_line(struct text *out, struct span line)
{
	size_t from = out->n, before;

	line = span_chomp(line);
	before = before_value(line);
	if (!add_folded(out, line, before))
		return false;
	for (size_t i = from; i + 2 < out->n; i++)
		if (out->p[i] == '\0')
			out->p[i] = '?';
		else if (out->p[i] == '\r' && out->p[i + 1] != '\n')
			out->p[i] = i - from < before ? '?' : ' ';
	return true;
}

static bool
add_field(struct text *out, struct span whole)
{
	size_t end;

	while (whole.n > 0) {
		end = span_find_char(whole, '\n', 0);
		end = end == SIZE_MAX ? whole.n : end + 1;
		if (!add_header_line(out, span_sub(whole, 0, end)))
			return false;
		whole = span_from(whole, end);
	}
	return true;
}

/* What a header gets that it may not have had. NULL: it stays as it is. */
struct additions {
	const char *encoding, *type;
	bool version;
};

static void
add_encoding(struct text *out, const char *encoding)
{
	text_printf(out, "Content-Transfer-Encoding: %s\r\n", encoding);
}

static int
refuse(struct conversion *c, const char *why)
{
	text_str(c->why, why);
	return 0;
}

static int
add_header(struct conversion *c, const struct mime_part *p,
    const struct additions *a)
{
	struct span header = mime_header(&c->m, p);
	struct header_field f;
	bool said = a->encoding == NULL;
	size_t at = 0, end = 0;

	while (header_next(header, &at, &f)) {
		end = at;
		if (a->encoding != NULL &&
		    span_is_nocase(f.name, "Content-Transfer-Encoding")) {
			if (!said)
				add_encoding(c->out, a->encoding);
			said = true;
		} else if (!add_field(c->out, f.whole)) {
			return refuse(c, "a line of a header is too long");
		}
	}
	c->at = p->body_at;
	if (at == end)			/* no empty line: nor is there a body */
		return 1;
	if (a->version)
		text_str(c->out, "MIME-Version: 1.0\r\n");
	if (a->type != NULL)
		text_printf(c->out, "Content-Type: %s\r\n", a->type);
	if (!said)
		add_encoding(c->out, a->encoding);
	text_str(c->out, "\r\n");
	return 1;
}

/* RFC 2045 3: without it, the other fields mean nothing. */
static bool
lacks_version(const struct conversion *c, const struct mime_part *p)
{
	struct header_field f;

	return p->parent == NULL && !c->clean &&
	    header_find(mime_header(&c->m, p), "MIME-Version", &f) != 1;
}

/* The header of what keeps its bytes: they are seven bits each. */
static int
add_plain_header(struct conversion *c, const struct mime_part *p)
{
	struct additions a = { .version = lacks_version(c, p) };

	if (p->encoding == MIME_8BIT || p->encoding == MIME_BINARY)
		a.encoding = "7bit";
	return add_header(c, p, &a);
}

/* -- bodies ---- */

/* The bytes that a transfer encoding stands for; `held` keeps them. */
static struct span
decode(const struct mime_part *p, struct span body, struct text *held)
{
	struct transfer transfer = { .encoding = p->encoding };

	return transfer_decode(&transfer, body, true, held);
}

/* True: quoted-printable is shorter and says the same; it is in out. */
static bool
quote(struct span bytes, struct text *out)
{
	size_t from = out->n;
	struct contents c;

	look(bytes, &c);
	if (c.nul || c.bare || bytes.n + 2 * count_escaped(bytes) +
	    bytes.n / 25 > bytes.n / 57 * 78 + 78)
		return false;
	quoted_add(out, bytes);
	if (span_find(span_from(text_span(out), from), SPAN("=\r\n--"),
	    0) == SIZE_MAX)
		return true;
	out->n = from;
	return false;
}

/* RFC 1428: what was never declared; UTF-8 is known when it is seen. */
static const char *
type_for(const struct mime_part *p, struct span bytes)
{
	if (p->content_type.p != NULL || utf8_is_ascii(bytes))
		return NULL;
	return utf8_valid(bytes) ? "text/plain; charset=utf-8"
	    : "text/plain; charset=unknown-8bit";
}

/* Why a body has no other encoding than its own; NULL: it can have one. */
static const char *
why_never(const struct mime_part *p)
{
	if (p->encoding == MIME_OTHER)
		return "a part has an unknown Content-Transfer-Encoding";
	if (p->encoding == MIME_BASE64 || p->encoding == MIME_QUOTED)
		return NULL;
	if (mime_is(p, "multipart", NULL))
		return "a multipart has no boundary, or is too deep";
	if (mime_is(p, "message", "partial") ||
	    (mime_is(p, "message", "rfc822") && p->kind == MIME_LEAF))
		return "a message within cannot be encoded";
	return NULL;
}

static int
encode_body(struct conversion *c, const struct mime_part *p)
{
	struct additions a = { .version = lacks_version(c, p) };
	struct text held = TEXT_INIT(0), encoded = TEXT_INIT(0);
	struct span bytes = decode(p, mime_body(&c->m, p), &held);
	int status;

	a.type = type_for(p, bytes);
	a.encoding = "quoted-printable";
	if (!quote(bytes, &encoded)) {
		a.encoding = "base64";
		base64_add_lines(&encoded, bytes);
	}
	status = add_header(c, p, &a);
	if (status == 1)
		text_add(c->out, text_span(&encoded));
	text_free(&encoded);
	text_free(&held);
	return status;
}

static int
add_leaf(struct conversion *c, const struct mime_part *p)
{
	struct span body = mime_body(&c->m, p);
	const char *why = why_never(p);
	int status;

	if (is_clean(body)) {
		status = add_plain_header(c, p);
		text_add(c->out, body);
	} else if (why != NULL) {
		status = refuse(c, why);
	} else {
		status = encode_body(c, p);
	}
	c->at = p->body_at + p->body_size;
	return status;
}

/* -- the message ---- */

/*
 * What stands between parts: boundaries, and text that nobody reads (RFC
 * 2046 5.1.1). Of that, what cannot travel becomes what can.
 */
static void
add_gap(struct conversion *c, size_t to)
{
	struct span gap = span_sub(c->m.message, c->at, to - c->at), line;
	size_t end;

	c->at = to;
	if (is_clean(gap)) {
		text_add(c->out, gap);
		return;
	}
	while (gap.n > 0) {
		end = span_find_char(gap, '\n', 0);
		end = end == SIZE_MAX ? gap.n : end + 1;
		line = span_sub(span_chomp(span_sub(gap, 0, end)), 0,
		    GAP_LINE_MAX);
		for (size_t i = 0; i < line.n; i++)
			text_char(c->out, (unsigned char)line.p[i] >= 0x80
			    ? '?' : line.p[i] == '\r' || line.p[i] == '\0'
			    ? ' ' : line.p[i]);
		text_str(c->out, "\r\n");
		gap = span_from(gap, end);
	}
}

static struct span
whole_of(const struct conversion *c, const struct mime_part *p)
{
	return span_sub(c->m.message, p->header_at,
	    p->header_size + p->body_size);
}

/* RFC 1847: every byte counts. */
static bool
is_sealed(const struct mime_part *p)
{
	return mime_is(p, "multipart", "signed") ||
	    mime_is(p, "multipart", "encrypted");
}

/* The part at *p, which moves behind what was done. */
static int
add_part(struct conversion *c, struct mime_part **at)
{
	struct mime_part *p = *at;

	add_gap(c, p->header_at);
	if (is_sealed(p)) {
		if (!is_clean(whole_of(c, p)))
			return refuse(c, span_is_nocase(p->subtype, "signed")
			    ? "a signature would break"
			    : "it is encrypted as it is");
		text_add(c->out, whole_of(c, p));
		c->at = p->body_at + p->body_size;
		*at = next_outside(p);
		return 1;
	}
	if (p->kind == MIME_LEAF || (is_global(p) &&
	    !is_clean(mime_body(&c->m, p)))) {
		*at = next_outside(p);
		return add_leaf(c, p);
	}
	*at = mime_next(p);
	return add_plain_header(c, p);
}

static bool
same_bytes(struct span a, const struct mime_part *p, struct span b,
    const struct mime_part *q)
{
	struct text one = TEXT_INIT(0), two = TEXT_INIT(0);
	bool same = p->encoding == q->encoding && span_eq(a, b);

	if (!same)
		same = span_eq(decode(p, a, &one), decode(q, b, &two));
	text_free(&one);
	text_free(&two);
	return same;
}

/* Nobody can count on it unless the result was looked at. */
static bool
same_parts(const struct mime *a, const struct mime *b)
{
	const struct mime_part *p = a->root, *q = b->root;

	while (p != NULL && q != NULL) {
		if (p->depth != q->depth ||
		    !span_eq_nocase(p->type, q->type) ||
		    !span_eq_nocase(p->subtype, q->subtype) ||
		    (q->kind == MIME_LEAF &&
		    !same_bytes(mime_body(a, p), p, mime_body(b, q), q)))
			return false;
		if (p->kind != q->kind) {
			/* An encoded message/global is a leaf. */
			if (!is_global(p) || q->kind != MIME_LEAF)
				return false;
			p = next_outside(p);
		} else {
			p = mime_next(p);
		}
		q = mime_next(q);
	}
	return p == NULL && q == NULL;
}

static int
check(struct conversion *c, size_t from)
{
	struct mime m;

	if (text_full(c->out) || mime_parse(span_from(text_span(c->out), from),
	    &MIME_LIMITS_DEFAULT, c->arena, &m) != 1)
		return -1;
	return same_parts(&c->m, &m) ? 1
	    : refuse(c, "its parts would not stay what they are");
}

int
convert_to_7bit(struct span message, struct arena *arena, struct text *out,
    struct text *why)
{
	struct conversion c = { .arena = arena, .out = out, .why = why };
	const struct mime_part *where;
	struct mime_part *p;
	size_t from = out->n;
	int status = 1;

	if (mime_parse(message, &MIME_LIMITS_DEFAULT, arena, &c.m) != 1)
		return -1;
	c.clean = is_clean(message);
	if (has_8bit_header(&c.m, &where))
		return refuse(&c, where->parent == NULL
		    ? "its header has 8-bit characters"
		    : "the header of a part has 8-bit characters");
	for (p = c.m.root; p != NULL && status == 1; )
		status = add_part(&c, &p);
	if (status == 1)
		add_gap(&c, message.n);
	return status == 1 ? check(&c, from) : status;
}

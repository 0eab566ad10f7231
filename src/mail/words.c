/*
 * words.c - RFC 2047 encoded words, RFC 2231 parameters.
 */
#include "mail/words.h"
#include "base/secret.h"
#include "mail/charset.h"
#include "mail/encode.h"
#include "mail/lex.h"

enum {
	WORD_MAX = 75,		/* RFC 2047 2 */
	WORD_FRAME = 7,		/* =? ? ? ?= and the encoding */
	SEGMENT_MAX = 9999	/* highest continuation number taken */
};

/* ---- RFC 2047 ------------------------------------------------------------ */

struct word {
	struct span charset;
	char encoding;		/* 'q' or 'b' */
	struct span text;
};

static bool
is_token(char c)
{
	return c > ' ' && c < 0x7f && strchr("()<>@,;:\"/[]?=", c) == NULL;
}

static struct span
take_token(struct span s, size_t *at)
{
	size_t from = *at;

	while (*at < s.n && is_token(s.p[*at]))
		(*at)++;
	return span_sub(s, from, *at - from);
}

/* "=?charset*lang?q?text?=" at *at, which moves behind it. */
static bool
take_word(struct span s, size_t *at, struct word *w)
{
	size_t i = *at + 2;
	size_t end;

	span_cut(take_token(s, &i), '*', &w->charset);
	if (w->charset.n == 0 || i + 3 > s.n || s.p[i] != '?' ||
	    s.p[i + 2] != '?')
		return false;
	w->encoding = ascii_lower(s.p[i + 1]);
	if (w->encoding != 'q' && w->encoding != 'b')
		return false;
	i += 3;
	end = span_find_char(s, '?', i);
	if (end == SIZE_MAX || end + 1 >= s.n || s.p[end + 1] != '=')
		return false;
	w->text = span_sub(s, i, end - i);
	*at = end + 2;
	return true;
}

bool
words_any(struct span s)
{
	return span_find(s, SPAN("=?"), 0) != SIZE_MAX;
}

size_t
words_skip(struct span s, size_t at)
{
	struct word w;

	if (at + 2 <= s.n && s.p[at] == '=' && s.p[at + 1] == '?')
		take_word(s, &at, &w);
	return at;
}

/* Two hexadecimal digits at `at`, or -1. */
static int
hex_pair(struct span s, size_t at)
{
	int high, low;

	if (at + 2 > s.n)
		return -1;
	high = hex_digit(s.p[at]);
	low = hex_digit(s.p[at + 1]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static void
decode_q(struct span in, struct text *out)
{
	size_t i;
	int byte;

	for (i = 0; i < in.n; i++) {
		byte = in.p[i] == '=' ? hex_pair(in, i + 1) : -1;
		if (byte >= 0) {
			text_char(out, (char)byte);
			i += 2;
		} else if (!lex_is_blank(in.p[i]) || in.p[i] == ' ') {
			text_char(out, in.p[i] == '_' ? ' ' : in.p[i]);
		}
	}
}

static void
decode_word(const struct word *w, struct text *bytes)
{
	struct base64_stream b = { 0, 0 };

	if (w->encoding == 'q')
		decode_q(w->text, bytes);
	else
		base64_stream_add(&b, w->text, bytes);
}

/* What stands between words: unfolded, bytes of no charset guessed. */
static void
add_plain(struct span s, struct text *out)
{
	size_t i, from = 0;
	struct span run;

	for (i = 0; i <= s.n; i++) {
		if (i < s.n && s.p[i] != '\r' && s.p[i] != '\n' &&
		    s.p[i] != '\0')
			continue;
		run = span_sub(s, from, i - from);
		if (utf8_is_ascii(run))
			text_add(out, run);
		else
			charset_to_utf8(SPAN_EMPTY, run, out);
		from = i + 1;
	}
}

static void
flush_words(struct span *charset, struct text *bytes, struct text *out)
{
	if (bytes->n > 0)
		charset_to_utf8(*charset, text_span(bytes), out);
	text_clear(bytes);
	*charset = SPAN_EMPTY;
}

void
words_decode(struct span s, struct text *out)
{
	struct text bytes = TEXT_INIT(s.n + 4);
	struct span charset = SPAN_EMPTY, between;
	size_t at = 0, plain = 0, start;
	struct word w;

	while ((at = span_find(s, SPAN("=?"), at)) != SIZE_MAX) {
		start = at;
		if (!take_word(s, &at, &w)) {
			at = start + 2;
			continue;
		}
		between = span_sub(s, plain, start - plain);
		if (charset.n == 0 || lex_blanks(between, 0) < between.n) {
			flush_words(&charset, &bytes, out);
			add_plain(between, out);
		} else if (!span_eq_nocase(charset, w.charset)) {
			flush_words(&charset, &bytes, out);
		}
		charset = w.charset;
		decode_word(&w, &bytes);
		plain = at;
	}
	flush_words(&charset, &bytes, out);
	add_plain(span_from(s, plain), out);
	text_free(&bytes);
}

/* Q without escape in any place, a phrase too (RFC 2047 5 (3)). */
static bool
q_direct(char c)
{
	return ascii_is_alnum(c) || c == '!' || c == '*' || c == '+' ||
	    c == '-' || c == '/';
}

static void
add_q(struct text *out, struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == ' ')
			text_char(out, '_');
		else if (q_direct(s.p[i]))
			text_char(out, s.p[i]);
		else
			text_printf(out, "=%02X", (unsigned char)s.p[i]);
	}
}

static size_t
word_width(struct span s, bool q)
{
	size_t i, n = 0;

	if (!q)
		return (s.n + 2) / 3 * 4;
	for (i = 0; i < s.n; i++)
		n += q_direct(s.p[i]) || s.p[i] == ' ' ? 1 : 3;
	return n;
}

/* How much of s fits, never cut within a character. */
static size_t
word_fit(struct span s, bool utf8, bool q, size_t room)
{
	size_t at = 0, next;

	while (at < s.n) {
		next = at;
		if (utf8)
			utf8_next(s, &next);
		else
			next++;
		if (word_width(span_sub(s, 0, next), q) > room)
			break;
		at = next;
	}
	return at;
}

static void
encode_run(struct span s, struct text *out)
{
	bool utf8 = utf8_valid(s);
	const char *charset = utf8 ? "UTF-8" : "unknown-8bit";
	/* Q can be read by people: let it be a little longer. */
	bool q = word_width(s, true) <= word_width(s, false) + 8;
	size_t room = WORD_MAX - strlen(charset) - WORD_FRAME, n;

	while (s.n > 0) {
		n = word_fit(s, utf8, q, room);
		text_printf(out, "=?%s?%c?", charset, q ? 'Q' : 'B');
		if (q)
			add_q(out, span_sub(s, 0, n));
		else
			base64_add(out, span_sub(s, 0, n));
		text_str(out, "?=");
		s = span_from(s, n);
		if (s.n > 0)
			text_char(out, ' ');
	}
}

/* The end of the run of words of 8 bits at `at`, the blanks within it too. */
static size_t
run_end(struct span s, size_t at)
{
	size_t end = at, next;

	while (at < s.n) {
		next = MIN(span_find_char(s, ' ', at), s.n);
		if (utf8_is_ascii(span_sub(s, at, next - at)) && next > at)
			break;
		if (next > at)
			end = next;
		at = next + 1;
	}
	return end;
}

void
words_encode(struct span s, struct text *out)
{
	size_t at = 0, next;

	if (utf8_is_ascii(s)) {
		text_add(out, s);
		return;
	}
	while (at < s.n) {
		next = MIN(span_find_char(s, ' ', at), s.n);
		if (utf8_is_ascii(span_sub(s, at, next - at))) {
			next = MIN(next + 1, s.n);
			text_add(out, span_sub(s, at, next - at));
		} else {
			next = run_end(s, at);
			encode_run(span_sub(s, at, next - at), out);
		}
		at = next;
	}
}

/* ---- RFC 2231 ------------------------------------------------------------ */

struct segment {
	struct span name;
	uint32_t number;	/* of a continuation; 0 for a whole one too */
	bool numbered, extended, used;
	struct span value;
};

/* "filename*1*": the name, the number, and whether it is extended. */
static void
segment_name(struct span raw, struct segment *g)
{
	struct span number, base;

	g->extended = raw.n > 1 && raw.p[raw.n - 1] == '*';
	if (g->extended)
		raw = span_sub(raw, 0, raw.n - 1);
	number = span_cut(raw, '*', &base);
	g->name = raw;
	g->number = 0;
	g->numbered = number.n > 0 && span_u32(number, &g->number) == 1 &&
	    g->number <= SEGMENT_MAX;
	if (g->numbered)
		g->name = base;
	else
		g->number = 0;
}

/* Up to ";" or a comment; blanks within are broken, but kept. */
static struct span
take_loose(struct span s, size_t *at)
{
	size_t from = *at, end = *at;

	while (*at < s.n && s.p[*at] != ';' && s.p[*at] != '(' &&
	    s.p[*at] != '\r' && s.p[*at] != '\n') {
		if (!lex_is_blank(s.p[(*at)++]))
			end = *at;
	}
	return span_sub(s, from, end - from);
}

/* What stands between here and the next ";" is garbage. */
static size_t
next_semicolon(struct span s, size_t at)
{
	while (at < s.n && s.p[at] != ';') {
		if (s.p[at] == '(')
			at = lex_comment(s, at);
		else if (s.p[at] == '"')
			at = lex_quoted(s, at);
		else
			at++;
	}
	return MIN(at + 1, s.n);
}

/* One name=value; *at moves behind its ";". 1 done, 0 none, -1 arena full */
static int
take_segment(struct span s, size_t *at, struct arena *a, struct segment *g)
{
	size_t i = lex_skip(s, *at), end;
	struct span name = take_token(s, &i);

	memset(g, 0, sizeof(*g));
	i = lex_skip(s, i);
	if (name.n == 0 || i == s.n || s.p[i] != '=') {
		*at = next_semicolon(s, i);
		return 0;
	}
	segment_name(name, g);
	i = lex_skip(s, i + 1);
	if (i < s.n && s.p[i] == '"') {
		end = lex_quoted(s, i);
		g->value = lex_unquote(a, span_sub(s, i, end - i));
		i = end;
	} else {
		g->value = take_loose(s, &i);
	}
	*at = next_semicolon(s, i);
	return g->value.p == NULL && arena_full(a) ? -1 : 1;
}

static struct segment *
find_segment(struct segment *g, size_t n, struct span name, uint32_t number,
    bool extended)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!g[i].used && g[i].number == number &&
		    g[i].extended == extended &&
		    span_eq_nocase(g[i].name, name))
			return &g[i];
	}
	return NULL;
}

/* A piece of an extended value: escaped already, or to be escaped. */
static void
add_piece(struct text *out, const struct segment *g, bool extended)
{
	size_t i;
	char c;

	if (!extended || g->extended) {
		text_add(out, g->value);
		return;
	}
	for (i = 0; i < g->value.n; i++) {
		c = g->value.p[i];
		if (ascii_is_print(c) && c != ' ' &&
		    strchr("*'%()<>@,;:\\\"/[]?=", c) == NULL)
			text_char(out, c);
		else
			text_printf(out, "%%%02X", (unsigned char)c);
	}
}

/*
 * The pieces of one parameter in order of their numbers. Where both forms of
 * the same piece are there, the extended one counts; the other is dropped.
 */
static int
join_segments(struct segment *g, size_t n, struct span name,
    struct arena *a, struct words_param *p)
{
	struct text t = TEXT_INIT(0);
	struct segment *plain, *piece;
	uint32_t number;
	struct span joined;

	for (number = 0; ; number++) {
		piece = find_segment(g, n, name, number, true);
		plain = find_segment(g, n, name, number, false);
		if (piece == NULL)
			piece = plain;
		if (piece == NULL)
			break;
		if (number == 0)
			p->extended = piece->extended;
		add_piece(&t, piece, p->extended);
		piece->used = true;
		if (plain != NULL)
			plain->used = true;
		if (!piece->numbered)
			break;
	}
	joined = arena_dup(a, text_span(&t));
	text_free(&t);
	p->value = joined;
	return joined.p == NULL ? -1 : 1;
}

static int
make_param(struct segment *g, size_t n, size_t at, struct arena *a,
    struct words_param **out)
{
	struct words_param *p = arena_zalloc(a, sizeof(*p));

	*out = p;
	if (p == NULL)
		return -1;
	p->name = g[at].name;
	/* The usual one is whole, and stands where it was read. */
	if (!g[at].numbered && !g[at].extended &&
	    find_segment(g, n, p->name, 0, true) == NULL) {
		p->value = g[at].value;
		g[at].used = true;
		return 1;
	}
	if (join_segments(g, n, p->name, a, p) != 1)
		return -1;
	g[at].used = true;
	return 1;
}

static int
make_params(struct segment *g, size_t n, struct arena *a,
    struct words_param **tail)
{
	size_t i;

	for (i = 0; i < n; i++) {
		/* A later piece waits for the first; without one it is lost. */
		if (g[i].used || (g[i].number > 0 &&
		    find_segment(g, n, g[i].name, 0, true) == NULL &&
		    find_segment(g, n, g[i].name, 0, false) == NULL))
			continue;
		if (make_param(g, n, i, a, tail) != 1)
			return -1;
		tail = &(*tail)->next;
	}
	return 1;
}

/* "text / (comment) plain" becomes "text/plain". */
static int
take_value(struct span s, size_t *at, struct arena *a, struct span *out)
{
	struct span main, sub;
	size_t i = lex_skip(s, *at);

	main = take_token(s, &i);
	*out = main;
	*at = i;
	i = lex_skip(s, i);
	if (main.n == 0 || i == s.n || s.p[i] != '/')
		return 1;
	i = lex_skip(s, i + 1);
	sub = take_token(s, &i);
	if (sub.p == main.p + main.n + 1)
		*out = span_of(main.p, main.n + 1 + sub.n);
	else if (sub.n > 0)
		*out = arena_printf(a, "%.*s/%.*s", SPAN_ARG(main),
		    SPAN_ARG(sub));
	*at = i;
	return out->p == NULL ? -1 : 1;
}

int
words_field(struct span raw, size_t max, struct arena *a,
    struct words_field *out)
{
	struct segment *g = NULL;
	size_t at = 0, n = 0, room = 0;
	int got;

	memset(out, 0, sizeof(*out));
	if (take_value(raw, &at, a, &out->value) != 1)
		return -1;
	at = next_semicolon(raw, at);
	while (at < raw.n && n < max) {
		if (n == room) {
			size_t more = MAX(room * 2, 4);

			g = arena_grow(a, g, room * sizeof(*g),
			    more * sizeof(*g));
			if (g == NULL)
				return -1;
			room = more;
		}
		got = take_segment(raw, &at, a, &g[n]);
		if (got < 0)
			return -1;
		n += (size_t)got;
	}
	if (make_params(g, n, a, &out->params) != 1)
		return -1;
	return out->value.n > 0;
}

const struct words_param *
words_param(const struct words_field *f, const char *name)
{
	const struct words_param *p;

	for (p = f->params; p != NULL; p = p->next) {
		if (span_is_nocase(p->name, name))
			return p;
	}
	return NULL;
}

void
words_param_text(const struct words_param *p, struct text *out)
{
	struct span charset, language, rest;
	struct text bytes = TEXT_INIT(p->value.n + 1);
	size_t i;
	int byte;

	if (!p->extended) {
		words_decode(p->value, out);
		return;
	}
	rest = span_cut(p->value, '\'', &charset);
	rest = span_cut(rest, '\'', &language);
	for (i = 0; i < rest.n; i++) {
		byte = rest.p[i] == '%' ? hex_pair(rest, i + 1) : -1;
		text_char(&bytes, byte >= 0 ? (char)byte : rest.p[i]);
		if (byte >= 0)
			i += 2;
	}
	charset_to_utf8(charset, text_span(&bytes), out);
	text_free(&bytes);
}

/*
 * encode.c - base64 and quoted-printable.
 *
 * The inner loops work on room taken from the text beforehand, a run at a
 * time, since whole attachments pass here.
 */
#include "mail/encode.h"

#include "base/secret.h"

enum { LINE_BYTES = 57, QUOTED_LINE = 76, NOT_BASE64 = 64 };

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define X NOT_BASE64
static const uint8_t sextets[256] = {
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, 62, X, X, X, 63,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, X, X, X, X, X, X,
	X, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, X, X, X, X, X,
	X, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
};
#undef X

static uint8_t
sextet(char c)
{
	return sextets[(unsigned char)c];
}

void
base64_add(struct text *out, struct span in)
{
	const unsigned char *p = (const unsigned char *)in.p;
	size_t n = in.n, left;
	char *to, *start;
	uint32_t v;

	to = start = text_room(out, (n + 2) / 3 * 4);
	if (to == NULL)
		return;
	for (; n > 0; n -= left, p += left) {
		left = MIN(n, 3);
		v = (uint32_t)p[0] << 16;
		v |= left > 1 ? (uint32_t)p[1] << 8 : 0;
		v |= left > 2 ? (uint32_t)p[2] : 0;
		*to++ = alphabet[v >> 18];
		*to++ = alphabet[v >> 12 & 63];
		*to++ = left > 1 ? alphabet[v >> 6 & 63] : '=';
		*to++ = left > 2 ? alphabet[v & 63] : '=';
	}
	text_grew(out, (size_t)(to - start));
}

void
base64_add_lines(struct text *out, struct span in)
{
	size_t at;

	for (at = 0; at < in.n; at += LINE_BYTES) {
		base64_add(out, span_sub(in, at, LINE_BYTES));
		text_str(out, "\r\n");
	}
}

/* The last four characters, of which one or two may be padding. */
static int
decode_last(const char *p, char *to, size_t *n)
{
	uint8_t a = sextet(p[0]), b = sextet(p[1]), c = sextet(p[2]),
	    d = sextet(p[3]);

	if (a == NOT_BASE64 || b == NOT_BASE64)
		return 0;
	to[0] = (char)(a << 2 | b >> 4);
	*n = 1;
	if (c == NOT_BASE64)
		return p[2] == '=' && p[3] == '=' && (b & 15) == 0;
	to[1] = (char)(b << 4 | c >> 2);
	*n = 2;
	if (d == NOT_BASE64)
		return p[3] == '=' && (c & 3) == 0;
	to[2] = (char)(c << 6 | d);
	*n = 3;
	return 1;
}

int
base64_decode(struct span in, struct text *out)
{
	size_t at, n;
	char *to;

	if (in.n % 4 != 0)
		return 0;
	to = text_room(out, in.n / 4 * 3);
	if (to == NULL || in.n == 0)
		return to != NULL;
	for (at = 0; at < in.n; at += 4) {
		if (decode_last(in.p + at, to, &n) != 1)
			return 0;
		if (n != 3 && at + 4 != in.n)
			return 0;
		to += n;
	}
	text_grew(out, (size_t)(to - (out->p + out->n)));
	return 1;
}

/* As many whole groups of four as stand there undisturbed. */
static size_t
decode_groups(struct span in, char **to)
{
	size_t at;
	uint8_t a, b, c, d;

	for (at = 0; at + 4 <= in.n; at += 4) {
		a = sextet(in.p[at]);
		b = sextet(in.p[at + 1]);
		c = sextet(in.p[at + 2]);
		d = sextet(in.p[at + 3]);
		if (((a | b | c | d) & NOT_BASE64) != 0)
			break;
		*(*to)++ = (char)(a << 2 | b >> 4);
		*(*to)++ = (char)(b << 4 | c >> 2);
		*(*to)++ = (char)(c << 6 | d);
	}
	return at;
}

void
base64_stream_add(struct base64_stream *s, struct span in, struct text *out)
{
	char *to, *start;
	size_t at;
	uint8_t v;

	to = start = text_room(out, in.n / 4 * 3 + 4);
	if (to == NULL)
		return;
	for (at = 0; at < in.n; at++) {
		if (s->count == 0)
			at += decode_groups(span_from(in, at), &to);
		if (at == in.n)
			break;
		v = sextet(in.p[at]);
		if (in.p[at] == '=')
			s->count = 0;
		if (v == NOT_BASE64)
			continue;
		s->bits = (s->bits << 6 | v) & 0xfff;
		s->count += 6;
		if (s->count >= 8) {
			s->count -= 8;
			*to++ = (char)(s->bits >> s->count);
		}
	}
	text_grew(out, (size_t)(to - start));
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
quoted_special(char c)
{
	return c == '=' || is_blank(c);
}

static void
quoted_flush(struct quoted_stream *s, struct text *out)
{
	text_add(out, span_of(s->held, s->held_n));
	s->held_n = 0;
}

static void
quoted_hold(struct quoted_stream *s, char c, struct text *out)
{
	if (s->held_n == sizeof(s->held))
		quoted_flush(s, out);
	s->held[s->held_n++] = c;
}

/* Behind "=". True: c is used up; false: it begins anew. */
static bool
quoted_escape(struct quoted_stream *s, char c, struct text *out)
{
	char last = s->held[s->held_n - 1];

	if (s->held_n == 2 && hex_digit(last) >= 0 && hex_digit(c) >= 0) {
		text_char(out, (char)(hex_digit(last) << 4 | hex_digit(c)));
		s->held_n = 0;
		return true;
	}
	if (last == '\r' || (c == '\n' && hex_digit(last) < 0)) {
		s->held_n = 0;		/* a soft line break */
		return c == '\n';
	}
	if (hex_digit(last) < 0 && (c == '\r' || is_blank(c) ||
	    (s->held_n == 1 && hex_digit(c) >= 0))) {
		quoted_hold(s, c, out);
		return true;
	}
	quoted_flush(s, out);
	return false;
}

static void
quoted_char(struct quoted_stream *s, char c, struct text *out)
{
	if (s->held_n > 0 && s->held[0] == '=' && quoted_escape(s, c, out))
		return;
	if (s->held_n > 0 && !is_blank(c)) {
		if (c == '\r' || c == '\n')
			s->held_n = 0;	/* blanks that end a line */
		else
			quoted_flush(s, out);
	}
	if (quoted_special(c))
		quoted_hold(s, c, out);
	else
		text_char(out, c);
}

void
quoted_stream_add(struct quoted_stream *s, struct span in, struct text *out)
{
	size_t at = 0, from;

	while (at < in.n) {
		from = at;
		while (s->held_n == 0 && at < in.n &&
		    !quoted_special(in.p[at]))
			at++;
		if (at > from)
			text_add(out, span_sub(in, from, at - from));
		/* A blank within a line is the common special. */
		if (s->held_n == 0 && at + 1 < in.n && in.p[at] == ' ' &&
		    ascii_is_alnum(in.p[at + 1]))
			text_char(out, in.p[at++]);
		else if (at < in.n)
			quoted_char(s, in.p[at++], out);
	}
}

void
quoted_stream_end(struct quoted_stream *s, struct text *out)
{
	/* Blanks, and a soft break with nothing behind it, are no text. */
	if (s->held_n == 2 && s->held[0] == '=' && hex_digit(s->held[1]) >= 0)
		quoted_flush(s, out);
	s->held_n = 0;
}

static size_t
line_end_at(struct span in, size_t at)
{
	if (in.p[at] == '\n')
		return 1;
	return in.p[at] == '\r' && at + 1 < in.n && in.p[at + 1] == '\n' ?
	    2 : 0;
}

/* Whether the character must be escaped where it stands. */
static bool
quoted_must(struct span in, size_t at)
{
	char c = in.p[at];

	if (is_blank(c))
		return at + 1 == in.n || line_end_at(in, at + 1) > 0;
	return !ascii_is_print(c) || c == '=';
}

/* As it is, or as =XX; returns how many bytes that took. */
static size_t
quoted_byte(char to[3], char c, bool escape)
{
	static const char digits[] = "0123456789ABCDEF";

	to[0] = escape ? '=' : c;
	to[1] = digits[(unsigned char)c >> 4];
	to[2] = digits[c & 15];
	return escape ? 3 : 1;
}

void
quoted_add(struct text *out, struct span in)
{
	char line[QUOTED_LINE + 2];
	size_t at, n = 0, width, skip;

	for (at = 0; at < in.n; at++) {
		skip = line_end_at(in, at);
		if (skip > 0) {
			text_add(out, span_of(line, n));
			text_str(out, "\r\n");
			n = 0;
			at += skip - 1;
			continue;
		}
		width = quoted_must(in, at) ? 3 : 1;
		if (n + width > QUOTED_LINE - 1) {
			text_add(out, span_of(line, n));
			text_str(out, "=\r\n");
			n = 0;
		}
		n += quoted_byte(line + n, in.p[at], width == 3);
	}
	text_add(out, span_of(line, n));
}

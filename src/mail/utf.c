/*
 * utf.c - UTF-8 (RFC 3629) and modified UTF-7 (RFC 3501 5.1.3).
 */
#include "mail/encode.h"

#include <stdlib.h>

#define REPLACEMENT 0xfffd
#define HIGH_BITS UINT64_C(0x8080808080808080)

size_t
utf8_ascii_run(struct span s)
{
	uint64_t eight;
	size_t at;

	for (at = 0; at + 8 <= s.n; at += 8) {
		memcpy(&eight, s.p + at, 8);
		if ((eight & HIGH_BITS) != 0)
			break;
	}
	while (at < s.n && (unsigned char)s.p[at] < 0x80)
		at++;
	return at;
}

bool
utf8_is_ascii(struct span s)
{
	return utf8_ascii_run(s) == s.n;
}

/* Length of a sequence by its first byte, 0 for none. */
static size_t
sequence_length(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c < 0xc2)
		return 0;
	if (c < 0xe0)
		return 2;
	if (c < 0xf0)
		return 3;
	return c < 0xf5 ? 4 : 0;
}

int32_t
utf8_next(struct span s, size_t *at)
{
	static const int32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)s.p + *at;
	size_t i, n = sequence_length(p[0]);
	int32_t code;

	if (n == 1) {
		*at += 1;
		return p[0];
	}
	if (n == 0 || n > s.n - *at)
		goto wrong;
	code = p[0] & (0x7f >> n);
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			goto wrong;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < smallest[n] || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		goto wrong;
	*at += n;
	return code;
wrong:
	*at += 1;
	return -1;
}

bool
utf8_valid(struct span s)
{
	size_t at = 0;

	for (;;) {
		at += utf8_ascii_run(span_from(s, at));
		if (at >= s.n)
			return true;
		if (utf8_next(s, &at) < 0)
			return false;
	}
}

void
utf8_add(struct text *out, int32_t code)
{
	char b[4];
	size_t n = 0;

	if (code < 0x80) {
		b[n++] = (char)code;
	} else if (code < 0x800) {
		b[n++] = (char)(0xc0 | code >> 6);
		b[n++] = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		b[n++] = (char)(0xe0 | code >> 12);
		b[n++] = (char)(0x80 | (code >> 6 & 0x3f));
		b[n++] = (char)(0x80 | (code & 0x3f));
	} else {
		b[n++] = (char)(0xf0 | code >> 18);
		b[n++] = (char)(0x80 | (code >> 12 & 0x3f));
		b[n++] = (char)(0x80 | (code >> 6 & 0x3f));
		b[n++] = (char)(0x80 | (code & 0x3f));
	}
	text_add(out, span_of(b, n));
}

struct span
utf8_clip(struct span s, size_t max)
{
	size_t n = s.n;

	if (n > max) {
		n = max;
		while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
			n--;
	}
	return span_sub(s, 0, n);
}

size_t
utf8_count(struct span s)
{
	size_t at = 0, count = 0;

	for (; at < s.n; count++)
		utf8_next(s, &at);
	return count;
}

void
utf8_add_scrubbed(struct text *out, struct span s)
{
	size_t at = 0, from = 0, here;

	while (at < s.n) {
		at += utf8_ascii_run(span_from(s, at));
		here = at;
		if (at == s.n || utf8_next(s, &at) >= 0)
			continue;
		text_add(out, span_sub(s, from, here - from));
		utf8_add(out, REPLACEMENT);
		from = at;
	}
	text_add(out, span_from(s, from));
}

/* ---- modified UTF-7 ------------------------------------------------------ */

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool
utf7_direct(int32_t code)
{
	return code >= 0x20 && code <= 0x7e;
}

/* One 16-bit unit through the six-bit alphabet. */
static void
utf7_unit(struct text *out, uint32_t *bits, unsigned *count, uint32_t unit)
{
	*bits = *bits << 16 | unit;
	*count += 16;
	while (*count >= 6) {
		*count -= 6;
		text_char(out, alphabet[*bits >> *count & 63]);
	}
}

/* The characters from *at on that are not direct: "&...-". 0: wrong UTF-8 */
static int
utf7_shifted(struct span in, size_t *at, struct text *out)
{
	uint32_t bits = 0;
	unsigned count = 0;
	size_t next = *at;
	int32_t code;

	text_char(out, '&');
	while (next < in.n) {
		code = utf8_next(in, &next);
		if (code < 0)
			return 0;
		if (utf7_direct(code))
			break;
		if (code >= 0x10000) {
			code -= 0x10000;
			utf7_unit(out, &bits, &count,
			    0xd800u | (uint32_t)code >> 10);
			code = 0xdc00 | (code & 0x3ff);
		}
		utf7_unit(out, &bits, &count, (uint32_t)code);
		*at = next;
	}
	if (count > 0)
		text_char(out, alphabet[bits << (6 - count) & 63]);
	text_char(out, '-');
	return 1;
}

int
utf7_encode(struct span in, struct text *out)
{
	size_t at = 0;

	while (at < in.n) {
		if (in.p[at] == '&') {
			text_str(out, "&-");
			at++;
		} else if (utf7_direct((unsigned char)in.p[at])) {
			text_char(out, in.p[at++]);
		} else if (utf7_shifted(in, &at, out) != 1) {
			return 0;
		}
	}
	return 1;
}

/* The UTF-16 between & and -; *at stands behind the & and is moved. */
static int
utf7_unshift(struct span in, size_t *at, struct text *out)
{
	uint32_t bits = 0, unit, high = 0;
	unsigned count = 0;
	const char *c;

	for (; *at < in.n && in.p[*at] != '-'; (*at)++) {
		c = memchr(alphabet, in.p[*at], sizeof(alphabet) - 1);
		if (c == NULL)
			return 0;
		bits = bits << 6 | (uint32_t)(c - alphabet);
		count += 6;
		if (count < 16)
			continue;
		count -= 16;
		unit = bits >> count & 0xffff;
		if (high != 0) {
			if ((unit & 0xfc00) != 0xdc00)
				return 0;
			utf8_add(out, (int32_t)(0x10000 +
			    ((high & 0x3ff) << 10) + (unit & 0x3ff)));
			high = 0;
		} else if ((unit & 0xfc00) == 0xd800) {
			high = unit;
		} else if ((unit & 0xfc00) == 0xdc00) {
			return 0;
		} else {
			utf8_add(out, (int32_t)unit);
		}
	}
	if (high != 0 || *at == in.n)
		return 0;
	(*at)++;
	return 1;
}

static int
utf7_decode_any(struct span in, struct text *out)
{
	size_t at = 0;

	while (at < in.n) {
		if (!utf7_direct((unsigned char)in.p[at]))
			return 0;
		if (in.p[at] != '&') {
			text_char(out, in.p[at++]);
		} else if (at + 1 < in.n && in.p[at + 1] == '-') {
			text_char(out, '&');
			at += 2;
		} else {
			at++;
			if (utf7_unshift(in, &at, out) != 1)
				return 0;
		}
	}
	return 1;
}

/* Right is what comes out of the encoder again, and nothing else. */
int
utf7_decode(struct span in, struct text *out)
{
	struct text again = TEXT_INIT(in.n);
	size_t before = out->n;
	int done;

	done = utf7_decode_any(in, out) == 1 && !text_full(out) &&
	    utf7_encode(span_from(text_span(out), before), &again) == 1 &&
	    span_eq(text_span(&again), in);
	text_free(&again);
	return done;
}

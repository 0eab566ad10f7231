/*
 * token.c - runs of characters of one class, and their terms.
 */
#include "index/token.h"
#include "mail/encode.h"

/* Ascending; what is in none, from U+0080 on, belongs to words. */
static const struct {
	int32_t first, last;
	enum token_class class;
} ranges[] = {
	{ 0x0080, 0x00a9, TOKEN_SEPARATOR },
	{ 0x00ab, 0x00b4, TOKEN_SEPARATOR },
	{ 0x00b6, 0x00b9, TOKEN_SEPARATOR },
	{ 0x00bb, 0x00bf, TOKEN_SEPARATOR },
	{ 0x00d7, 0x00d7, TOKEN_SEPARATOR },
	{ 0x00f7, 0x00f7, TOKEN_SEPARATOR },
	{ 0x060c, 0x060d, TOKEN_SEPARATOR },
	{ 0x061b, 0x061f, TOKEN_SEPARATOR },
	{ 0x0e00, 0x0eff, TOKEN_PAIRS },	/* Thai, Lao */
	{ 0x1000, 0x109f, TOKEN_PAIRS },	/* Myanmar */
	{ 0x1780, 0x17ff, TOKEN_PAIRS },	/* Khmer */
	{ 0x2000, 0x206f, TOKEN_SEPARATOR },	/* punctuation */
	{ 0x2190, 0x25ff, TOKEN_SEPARATOR },	/* arrows, boxes */
	{ 0x2600, 0x27bf, TOKEN_PAIRS },	/* symbols */
	{ 0x27c0, 0x2bff, TOKEN_SEPARATOR },
	{ 0x2e00, 0x2e7f, TOKEN_SEPARATOR },
	{ 0x2e80, 0x2fdf, TOKEN_PAIRS },	/* radicals */
	{ 0x3000, 0x3004, TOKEN_SEPARATOR },
	{ 0x3005, 0x3007, TOKEN_PAIRS },
	{ 0x3008, 0x3020, TOKEN_SEPARATOR },
	{ 0x3021, 0x303f, TOKEN_PAIRS },
	{ 0x3040, 0x312f, TOKEN_PAIRS },	/* kana, bopomofo */
	{ 0x3190, 0x31ff, TOKEN_PAIRS },
	{ 0x3400, 0x4dbf, TOKEN_PAIRS },
	{ 0x4e00, 0x9fff, TOKEN_PAIRS },	/* Han */
	{ 0xa000, 0xa4cf, TOKEN_PAIRS },	/* Yi */
	{ 0xf900, 0xfaff, TOKEN_PAIRS },
	{ 0xfe30, 0xfe4f, TOKEN_SEPARATOR },
	{ 0xfffd, 0xfffd, TOKEN_SEPARATOR },
	{ 0x1f000, 0x1faff, TOKEN_PAIRS },	/* emoji */
	{ 0x20000, 0x3ffff, TOKEN_PAIRS },	/* Han */
};

enum token_class
token_class(int32_t code)
{
	size_t low = 0, high = ARRAY_LEN(ranges), middle;

	if (code < 0x80)
		return ascii_is_alnum((char)code) ? TOKEN_WORD
		    : TOKEN_SEPARATOR;
	while (low < high) {
		middle = (low + high) / 2;
		if (code > ranges[middle].last)
			low = middle + 1;
		else
			high = middle;
	}
	return low < ARRAY_LEN(ranges) && code >= ranges[low].first
	    ? ranges[low].class : TOKEN_WORD;
}

/* The class of the character at *at, which moves behind it. */
static enum token_class
take_class(struct span s, size_t *at)
{
	unsigned char c = (unsigned char)s.p[*at];

	if (c < 0x80) {
		(*at)++;
		return ascii_is_alnum((char)c) ? TOKEN_WORD : TOKEN_SEPARATOR;
	}
	return token_class(utf8_next(s, at));
}

bool
token_next(struct span s, size_t *at, struct run *t)
{
	size_t from = *at, next = *at, end;

	t->class = TOKEN_SEPARATOR;
	while (next < s.n && t->class == TOKEN_SEPARATOR) {
		from = next;
		t->class = take_class(s, &next);
	}
	if (t->class == TOKEN_SEPARATOR)
		return false;
	for (end = next; next < s.n && take_class(s, &next) == t->class;)
		end = next;
	t->text = span_sub(s, from, end - from);
	t->first = from == 0;
	t->last = end == s.n;
	*at = end;
	return true;
}

/* Two neighbouring characters; one that stands alone by itself. */
static bool
next_pair(struct span run, size_t *at, struct span *term)
{
	size_t second = *at, end;

	if (*at >= run.n)
		return false;
	utf8_next(run, &second);
	if (second == run.n && *at > 0)
		return false;
	end = second;
	if (end < run.n)
		utf8_next(run, &end);
	*term = span_sub(run, *at, end - *at);
	*at = second;
	return true;
}

bool
term_next(const struct run *t, size_t *at, struct span *term, bool *cut)
{
	if (t->class == TOKEN_PAIRS)
		return next_pair(t->text, at, term);
	if (*at >= t->text.n)
		return false;
	*term = span_sub(t->text, *at, TERM_MAX);
	if (t->text.n - *at <= TERM_MAX) {
		*at = t->text.n;
	} else {
		*cut = true;
		*at += TERM_OVERLAP;
	}
	return true;
}

/*
 * span.c - runs of bytes. Pure; every function takes any bytes at all.
 */
#include "base/base.h"

struct span
span_of(const void *p, size_t n)
{
	return (struct span){ p, n };
}

struct span
span_str(const char *s)
{
	return s == NULL ? SPAN_EMPTY : (struct span){ s, strlen(s) };
}

struct span
span_sub(struct span s, size_t from, size_t n)
{
	s = span_from(s, from);
	s.n = MIN(s.n, n);
	return s;
}

struct span
span_from(struct span s, size_t from)
{
	from = MIN(from, s.n);
	return from == 0 ? s : (struct span){ s.p + from, s.n - from };
}

bool
span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
span_eq_nocase(struct span a, struct span b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	return true;
}

bool
span_is(struct span s, const char *z)
{
	return span_eq(s, span_str(z));
}

bool
span_is_nocase(struct span s, const char *z)
{
	return span_eq_nocase(s, span_str(z));
}

bool
span_starts(struct span s, struct span prefix)
{
	return s.n >= prefix.n && span_eq(span_sub(s, 0, prefix.n), prefix);
}

bool
span_starts_nocase(struct span s, struct span prefix)
{
	return s.n >= prefix.n &&
	    span_eq_nocase(span_sub(s, 0, prefix.n), prefix);
}

bool
span_ends(struct span s, struct span suffix)
{
	return s.n >= suffix.n && span_eq(span_from(s, s.n - suffix.n), suffix);
}

int
span_compare(struct span a, struct span b)
{
	size_t n = MIN(a.n, b.n);
	int c = n == 0 ? 0 : memcmp(a.p, b.p, n);

	return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

size_t
span_find_char(struct span s, char c, size_t from)
{
	const char *hit;

	if (from >= s.n)
		return SIZE_MAX;
	hit = memchr(s.p + from, c, s.n - from);
	return hit == NULL ? SIZE_MAX : (size_t)(hit - s.p);
}

size_t
span_find(struct span s, struct span needle, size_t from)
{
	const char *hit;

	if (from > s.n)
		return SIZE_MAX;
	if (needle.n == 0)
		return from;
	if (s.n - from < needle.n)
		return SIZE_MAX;
	hit = memmem(s.p + from, s.n - from, needle.p, needle.n);
	return hit == NULL ? SIZE_MAX : (size_t)(hit - s.p);
}

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

struct span
span_trim(struct span s)
{
	while (s.n > 0 && is_wsp(s.p[0]))
		s = span_from(s, 1);
	while (s.n > 0 && is_wsp(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct span
span_chomp(struct span s)
{
	if (s.n > 0 && s.p[s.n - 1] == '\n')
		s.n--;
	if (s.n > 0 && s.p[s.n - 1] == '\r')
		s.n--;
	return s;
}

struct span
span_cut(struct span s, char c, struct span *head)
{
	size_t at = span_find_char(s, c, 0);

	if (at == SIZE_MAX) {
		*head = s;
		return span_from(s, s.n);
	}
	*head = span_sub(s, 0, at);
	return span_from(s, at + 1);
}

struct span
span_word(struct span *rest)
{
	struct span s = *rest, word;
	size_t n = 0;

	while (s.n > 0 && is_wsp(s.p[0]))
		s = span_from(s, 1);
	while (n < s.n && !is_wsp(s.p[n]))
		n++;
	word = span_sub(s, 0, n);
	s = span_from(s, n);
	while (s.n > 0 && is_wsp(s.p[0]))
		s = span_from(s, 1);
	*rest = s;
	return word;
}

int
span_u64(struct span s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';

		if (digit > 9 || v > (UINT64_MAX - digit) / 10)
			return 0;
		v = v * 10 + digit;
	}
	*out = v;
	return 1;
}

int
span_u32(struct span s, uint32_t *out)
{
	uint64_t v;

	if (span_u64(s, &v) != 1 || v > UINT32_MAX)
		return 0;
	*out = (uint32_t)v;
	return 1;
}

char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

char
ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
}

bool
ascii_is_alpha(char c)
{
	return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

bool
ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
ascii_is_alnum(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}

bool
ascii_is_print(char c)
{
	return c >= 0x20 && c <= 0x7e;
}

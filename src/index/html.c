/*
 * html.c - HTML to words: tags out, entities to characters.
 *
 * A letter with an accent is written as the letter and the accent behind it
 * ("&uuml;": u and U+0308), since folding takes both forms for the same.
 */
#include "index/html.h"
#include "mail/encode.h"

enum { ENTITY_MAX = 10, TAG_NAME_MAX = 10 };

/* ---- entities -------------------------------------------------------- */

static const struct { const char *name; int32_t code; } accents[] = {
	{ "grave", 0x300 }, { "acute", 0x301 }, { "circ", 0x302 },
	{ "tilde", 0x303 }, { "macr", 0x304 }, { "breve", 0x306 },
	{ "dot", 0x307 }, { "uml", 0x308 }, { "ring", 0x30a },
	{ "dblac", 0x30b }, { "caron", 0x30c }, { "cedil", 0x327 },
	{ "ogon", 0x328 },
};

static const struct { const char *name; int32_t code; } letters[] = {
	{ "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' },
	{ "apos", '\'' }, { "nbsp", ' ' }, { "szlig", 0xdf },
	{ "AElig", 0xc6 }, { "aelig", 0xe6 }, { "OElig", 0x152 },
	{ "oelig", 0x153 }, { "Oslash", 0xd8 }, { "oslash", 0xf8 },
	{ "ETH", 0xd0 }, { "eth", 0xf0 }, { "THORN", 0xde },
	{ "thorn", 0xfe }, { "inodot", 0x131 }, { "Lstrok", 0x141 },
	{ "lstrok", 0x142 }, { "Dstrok", 0x110 }, { "dstrok", 0x111 },
	{ "ordf", 0xaa }, { "ordm", 0xba }, { "micro", 0xb5 },
	{ "alpha", 0x3b1 }, { "beta", 0x3b2 }, { "gamma", 0x3b3 },
	{ "delta", 0x3b4 }, { "epsilon", 0x3b5 }, { "zeta", 0x3b6 },
	{ "eta", 0x3b7 }, { "theta", 0x3b8 }, { "iota", 0x3b9 },
	{ "kappa", 0x3ba }, { "lambda", 0x3bb }, { "mu", 0x3bc },
	{ "nu", 0x3bd }, { "xi", 0x3be }, { "omicron", 0x3bf },
	{ "pi", 0x3c0 }, { "rho", 0x3c1 }, { "sigmaf", 0x3c2 },
	{ "sigma", 0x3c3 }, { "tau", 0x3c4 }, { "upsilon", 0x3c5 },
	{ "phi", 0x3c6 }, { "chi", 0x3c7 }, { "psi", 0x3c8 },
	{ "omega", 0x3c9 },
	/* Within a word, and no part of it. */
	{ "shy", 0 }, { "zwj", 0 }, { "zwnj", 0 },
};

/* "#228" or "#xe4"; -1: neither. */
static int32_t
numeric(struct span name)
{
	bool hex = name.n > 2 && ascii_lower(name.p[1]) == 'x';
	int32_t code = 0, digit;

	if (name.n < 2 || name.n > ENTITY_MAX)
		return -1;
	for (size_t i = hex ? 2 : 1; i < name.n; i++) {
		char c = ascii_lower(name.p[i]);

		if (ascii_is_digit(c))
			digit = c - '0';
		else if (hex && c >= 'a' && c <= 'f')
			digit = c - 'a' + 10;
		else
			return -1;
		code = code * (hex ? 16 : 10) + digit;
		if (code > 0x10ffff)
			return -1;
	}
	return code < ' ' || (code >= 0xd800 && code < 0xe000) ? ' ' : code;
}

/* What the name of an entity stands for. */
static bool
add_entity(struct span name, struct text *out)
{
	int32_t code = name.n > 0 && name.p[0] == '#' ? numeric(name) : -1;

	for (size_t i = 0; code < 0 && i < ARRAY_LEN(letters); i++)
		if (span_is(name, letters[i].name))
			code = letters[i].code;
	if (code > 0)
		utf8_add(out, code);
	if (code >= 0)
		return true;
	for (size_t i = 0; name.n > 1 && i < ARRAY_LEN(accents); i++)
		if (ascii_is_alpha(name.p[0]) &&
		    span_is(span_from(name, 1), accents[i].name)) {
			text_char(out, name.p[0]);
			utf8_add(out, accents[i].code);
			return true;
		}
	return false;
}

/* At "&": returns where it goes on. */
static size_t
take_entity(struct span s, size_t at, struct text *out)
{
	size_t end = span_find_char(span_sub(s, 0, at + ENTITY_MAX + 2), ';',
	    at);

	if (end != SIZE_MAX &&
	    add_entity(span_sub(s, at + 1, end - at - 1), out))
		return end + 1;
	text_char(out, ' ');
	return at + 1;
}

/* ---- tags ------------------------------------------------------------ */

static bool
is_any(struct span name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (span_is_nocase(name, names[i]))
			return true;
	return false;
}

/* The name of the tag at "<", "/" and all. */
static struct span
tag_name(struct span s, size_t at)
{
	size_t end = ++at;

	if (end < s.n && s.p[end] == '/')
		end++;
	while (end < s.n && end - at < TAG_NAME_MAX &&
	    ascii_is_alnum(s.p[end]))
		end++;
	return span_sub(s, at, end - at);
}

/* Behind ">" of the tag at `at`; quoted values may hold one. */
static size_t
tag_end(struct span s, size_t at)
{
	char quote = 0;

	for (; at < s.n; at++) {
		if (quote != 0)
			quote = s.p[at] == quote ? 0 : quote;
		else if (s.p[at] == '>')
			return at + 1;
		else if ((s.p[at] == '"' || s.p[at] == '\'') &&
		    s.p[at - 1] == '=')
			quote = s.p[at];
	}
	return s.n;
}

/* Behind the content of an element that nobody reads. */
static size_t
skip_content(struct span s, size_t at, struct span name)
{
	for (;;) {
		at = span_find(s, SPAN("</"), at);
		if (at == SIZE_MAX)
			return s.n;
		at += 2;
		if (span_starts_nocase(span_from(s, at), name))
			return tag_end(s, at);
	}
}

/* At "<": returns where it goes on. */
static size_t
take_tag(struct span s, size_t at, struct text *out)
{
	/* What may stand within a word. */
	static const char *const within[] = { "b", "/b", "i", "/i", "u", "/u",
		"em", "/em", "strong", "/strong", "span", "/span", "font",
		"/font", "a", "/a", "s", "/s", "sub", "/sub", "sup", "/sup",
		"small", "/small", "big", "/big", "wbr" };
	static const char *const unread[] = { "style", "script" };
	struct span name = tag_name(s, at);
	size_t end;

	if (span_starts(span_from(s, at), SPAN("<!--"))) {
		end = span_find(s, SPAN("-->"), at + 4);
		return end == SIZE_MAX ? s.n : end + 3;
	}
	if (!is_any(name, within, ARRAY_LEN(within)))
		text_char(out, ' ');
	if (name.n == 0 && at + 1 < s.n && s.p[at + 1] != '!' &&
	    s.p[at + 1] != '?')
		return at + 1;		/* "a < b" */
	end = tag_end(s, at + 1);
	return is_any(name, unread, ARRAY_LEN(unread))
	    ? skip_content(s, end, name) : end;
}

void
html_words(struct span s, struct text *out)
{
	size_t at = 0, from;

	while (at < s.n) {
		if (s.p[at] == '<') {
			at = take_tag(s, at, out);
		} else if (s.p[at] == '&') {
			at = take_entity(s, at, out);
		} else {
			for (from = at; at < s.n && s.p[at] != '<' &&
			    s.p[at] != '&';)
				at++;
			text_add(out, span_sub(s, from, at - from));
		}
	}
}

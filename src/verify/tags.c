/*
 * tags.c - "name=value; name=value" (RFC 6376 3.2).
 */
#include "verify/tags.h"
#include "mail/lex.h"

static struct span
trim(struct span s)
{
	while (s.n > 0 && lex_is_blank(s.p[s.n - 1]))
		s.n--;
	return span_from(s, lex_blanks(s, 0));
}

/* ALPHA *ALNUMPUNC. */
static bool
name_ok(struct span s)
{
	if (s.n == 0 || !ascii_is_alpha(s.p[0]))
		return false;
	for (size_t i = 1; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && s.p[i] != '_')
			return false;
	return true;
}

static int
add(struct tags *t, struct span tag)
{
	struct span name, value, seen;
	size_t equals = span_find_char(tag, '=', 0);

	if (equals == SIZE_MAX || t->count == TAGS_MAX)
		return 0;
	value = trim(span_from(tag, equals + 1));
	name = trim(span_sub(tag, 0, equals));
	if (!name_ok(name))
		return 0;
	for (size_t i = 0; i < t->count; i++) {
		seen = t->list[i].name;
		if (span_eq(seen, name))
			return 0;
	}
	t->list[t->count].name = name;
	t->list[t->count++].value = value;
	return 1;
}

int
tags_parse(struct span s, struct tags *out)
{
	struct span rest = s, tag;

	out->count = 0;
	while (rest.n > 0) {
		rest = span_cut(rest, ';', &tag);
		/* The list may end in a semicolon, with blanks behind it. */
		if (trim(tag).n == 0 && trim(rest).n == 0)
			break;
		if (add(out, tag) != 1)
			return 0;
	}
	return out->count > 0;
}

int
tags_find(const struct tags *t, const char *name, struct span *value)
{
	for (size_t i = 0; i < t->count; i++)
		if (span_is(t->list[i].name, name)) {
			*value = t->list[i].value;
			return 1;
		}
	*value = SPAN_EMPTY;
	return 0;
}

void
tags_squeeze(struct span value, struct text *out)
{
	for (size_t i = 0; i < value.n; i++)
		if (!lex_is_blank(value.p[i]))
			text_char(out, value.p[i]);
}

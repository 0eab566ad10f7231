/*
 * param.c - settings as rows. Pure.
 */
#include "base/param.h"

struct unit {
	const char *name;
	uint64_t value;
};

/* The largest first: the way back finds the shortest text. */
static const struct unit size_units[] = {
	{ "T", UINT64_C(1) << 40 }, { "G", UINT64_C(1) << 30 },
	{ "M", UINT64_C(1) << 20 }, { "K", UINT64_C(1) << 10 },
	{ "", 1 }, { NULL, 0 },
};
static const struct unit time_units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "min", 60000 }, { "s", 1000 },
	{ "ms", 1 }, { NULL, 0 },
};
static const struct unit count_units[] = { { "", 1 }, { NULL, 0 } };

static const struct unit *
units_of(enum param_type type)
{
	return type == PARAM_SIZE ? size_units :
	    type == PARAM_TIME ? time_units : count_units;
}

/* ---- values ------------------------------------------------------------ */

static void *
place(const struct param *p, void *base)
{
	return (char *)base + p->offset;
}

static const void *
value_at(const struct param *p, const void *base)
{
	return (const char *)base + p->offset;
}

/* Digits and one of the units. 1, 0 no such number, -1 no unit given. */
static int
number_read(enum param_type type, struct span s, uint64_t *out)
{
	size_t digits = 0;
	uint64_t v;

	while (digits < s.n && ascii_is_digit(s.p[digits]))
		digits++;
	if (span_u64(span_sub(s, 0, digits), &v) != 1)
		return 0;
	s = span_trim(span_from(s, digits));
	if (s.n == 0 && v == 0) {
		*out = 0;
		return 1;
	}
	for (const struct unit *u = units_of(type); u->name != NULL; u++) {
		if (!span_is_nocase(s, u->name))
			continue;
		if (v > (uint64_t)INT64_MAX / u->value)
			return 0;
		*out = v * u->value;
		return 1;
	}
	return s.n == 0 ? -1 : 0;
}

void
param_write_number(enum param_type type, uint64_t v, struct text *out)
{
	const struct unit *u = units_of(type);

	while (v % u->value != 0 || (v == 0 && u->value != 1))
		u++;
	text_u64(out, v / u->value);
	text_str(out, u->name);
}

static int
bool_read(struct span s, bool *out)
{
	static const char *const words[][2] = {
		{ "no", "yes" }, { "off", "on" }, { "false", "true" },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		for (size_t j = 0; j < 2; j++)
			if (span_is_nocase(s, words[i][j])) {
				*out = j == 1;
				return 1;
			}
	return 0;
}

/* Control characters would break the lines a text is written in. */
static bool
text_is_clean(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

static bool
is_choice(const char *words, struct span s)
{
	struct span rest = span_str(words), word;

	while (rest.n > 0) {
		rest = span_cut(rest, '|', &word);
		if (span_eq(word, s))
			return true;
	}
	return false;
}

static int
out_of_range(const struct param *p, struct text *why)
{
	bool length = p->type == PARAM_TEXT;

	text_printf(why, "%s: %s must be between ", p->name,
	    length ? "the length" : "the value");
	param_write_number(length ? PARAM_COUNT : p->type, p->min, why);
	text_str(why, " and ");
	param_write_number(length ? PARAM_COUNT : p->type, p->max, why);
	return 0;
}

static int
number_set(const struct param *p, void *base, struct span s, struct text *why)
{
	uint64_t v;
	int r = number_read(p->type, s, &v);

	if (r < 0) {
		text_printf(why, "%s: give the unit: ms, s, min, h or d",
		    p->name);
		return 0;
	}
	if (r == 0) {
		text_printf(why, "%s: not a %s", p->name,
		    p->type == PARAM_SIZE ? "size (as 64K, 50M, 2G)" :
		    p->type == PARAM_TIME ? "time (as 500ms, 30s, 5min, 2h)" :
		    "number");
		return 0;
	}
	if (v < p->min || v > p->max)
		return out_of_range(p, why);
	if (p->type == PARAM_TIME)
		*(int64_t *)place(p, base) = (int64_t)v;
	else
		*(uint64_t *)place(p, base) = v;
	return 1;
}

static int
text_set(const struct param *p, void *base, struct span s, struct text *why)
{
	char *to = place(p, base);

	if (p->type == PARAM_CHOICE && !is_choice(p->unit, s)) {
		text_printf(why, "%s: must be one of %s", p->name, p->unit);
		return 0;
	}
	if (!text_is_clean(s)) {
		text_printf(why, "%s: holds a control character", p->name);
		return 0;
	}
	if (s.n < p->min || s.n > p->max)
		return out_of_range(p, why);
	memset(to, 0, (size_t)p->max + 1);
	if (s.n > 0)
		memcpy(to, s.p, s.n);
	return 1;
}

int
param_read(const struct param *p, void *base, struct span s, struct text *why)
{
	switch (p->type) {
	case PARAM_BOOL:
		if (bool_read(s, place(p, base)) == 1)
			return 1;
		text_printf(why, "%s: must be yes or no", p->name);
		return 0;
	case PARAM_COUNT:
	case PARAM_SIZE:
	case PARAM_TIME:
		return number_set(p, base, s, why);
	case PARAM_TEXT:
	case PARAM_CHOICE:
		return text_set(p, base, s, why);
	}
	must(false && "a type without a reader");
	return 0;
}

void
param_write(const struct param *p, const void *base, struct text *out)
{
	const void *v = value_at(p, base);

	switch (p->type) {
	case PARAM_BOOL:
		text_str(out, *(const bool *)v ? "yes" : "no");
		break;
	case PARAM_COUNT:
	case PARAM_SIZE:
		param_write_number(p->type, *(const uint64_t *)v, out);
		break;
	case PARAM_TIME:
		param_write_number(p->type,
		    (uint64_t)*(const int64_t *)v, out);
		break;
	case PARAM_TEXT:
	case PARAM_CHOICE:
		text_str(out, v);
		break;
	}
}

/* ---- the file ---------------------------------------------------------- */

struct parser {
	struct span rest;
	unsigned line;
	char prefix[PARAM_NAME_MAX];	/* "smtp." inside that section */
	size_t prefix_n;
	size_t outer[PARAM_DEPTH_MAX];	/* prefix lengths of open sections */
	size_t depth;
	param_fn *fn;
	void *arg;
	struct text *why;
};

static int
failed(struct parser *p, unsigned line, const char *what)
{
	text_printf(p->why, "line %u: %s", line, what);
	return 0;
}

static char
peek(const struct parser *p)
{
	return p->rest.n > 0 ? p->rest.p[0] : '\0';
}

static void
skip(struct parser *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p->rest.p[i] == '\n')
			p->line++;
	p->rest = span_from(p->rest, n);
}

/* White space, stray semicolons and comments. 1; 0 a comment has no end. */
static int
skip_blank(struct parser *p)
{
	static const struct span spaces = SPAN(" \t\r\n;");
	size_t n;

	while (p->rest.n > 0) {
		if (span_find_char(spaces, peek(p), 0) != SIZE_MAX) {
			skip(p, 1);
		} else if (peek(p) == '#') {
			n = span_find_char(p->rest, '\n', 0);
			skip(p, MIN(n, p->rest.n));
		} else if (span_starts(p->rest, SPAN("/*"))) {
			n = span_find(p->rest, SPAN("*/"), 2);
			if (n == SIZE_MAX)
				return failed(p, p->line,
				    "a comment without its end");
			skip(p, n + 2);
		} else {
			break;
		}
	}
	return 1;
}

static bool
is_name_char(char c)
{
	return ascii_is_alnum(c) || c == '_' || c == '.' || c == '-';
}

static struct span
take_name(struct parser *p)
{
	struct span name;
	size_t n = 0;

	while (n < p->rest.n && is_name_char(p->rest.p[n]))
		n++;
	name = span_sub(p->rest, 0, n);
	skip(p, n);
	return name;
}

static void
skip_spaces(struct parser *p)
{
	while (peek(p) == ' ' || peek(p) == '\t')
		skip(p, 1);
}

/* "text" with \" and \\; into buf. 1, 0. */
static int
take_quoted(struct parser *p, char *buf, struct span *value)
{
	size_t n = 0;

	skip(p, 1);
	while (p->rest.n > 0 && peek(p) != '"' && peek(p) != '\n') {
		if (peek(p) == '\\')
			skip(p, 1);
		if (p->rest.n == 0 || n == PARAM_VALUE_MAX)
			return failed(p, p->line, "a value is too long");
		buf[n++] = peek(p);
		skip(p, 1);
	}
	if (peek(p) != '"')
		return failed(p, p->line, "a quote is not closed");
	skip(p, 1);
	*value = span_of(buf, n);
	return 1;
}

/* Up to ; } # after a space, or the end of the line. */
static int
take_bare(struct parser *p, struct span *value)
{
	size_t n = 0;

	while (n < p->rest.n) {
		char c = p->rest.p[n];

		if (c == ';' || c == '\n' || c == '}' ||
		    (c == '#' && (n == 0 || p->rest.p[n - 1] == ' ' ||
		    p->rest.p[n - 1] == '\t')))
			break;
		n++;
	}
	*value = span_sub(p->rest, 0, n);
	if (n < p->rest.n && p->rest.p[n] == '\n' && n > 0 &&
	    p->rest.p[n - 1] == '\r')
		value->n--;
	*value = span_trim(*value);
	if (value->n > PARAM_VALUE_MAX)
		return failed(p, p->line, "a value is too long");
	if (value->n == 0)
		return failed(p, p->line, "a value is missing");
	skip(p, n);
	return 1;
}

/* Behind a quoted value nothing but its end may stand. */
static int
expect_end(struct parser *p)
{
	skip_spaces(p);
	if (p->rest.n == 0 || peek(p) == ';' || peek(p) == '\n' ||
	    peek(p) == '\r' || peek(p) == '}' || peek(p) == '#')
		return 1;
	return failed(p, p->line, "something stands behind a value");
}

static int
parse_value(struct parser *p, struct span name)
{
	char full[2 * PARAM_NAME_MAX], buf[PARAM_VALUE_MAX];
	unsigned line = p->line;
	struct text why = TEXT_INIT(1024);
	struct span value;
	bool ok;

	if (peek(p) == '"' ? take_quoted(p, buf, &value) != 1 ||
	    expect_end(p) != 1 : take_bare(p, &value) != 1)
		return 0;
	memcpy(full, p->prefix, p->prefix_n);
	memcpy(full + p->prefix_n, name.p, name.n);
	ok = p->fn(p->arg, span_of(full, p->prefix_n + name.n), value, line,
	    &why);
	if (!ok) {
		text_printf(p->why, "line %u: ", line);
		text_add(p->why, text_span(&why));
	}
	text_free(&why);
	return ok;
}

static int
open_section(struct parser *p, struct span name)
{
	if (p->depth == PARAM_DEPTH_MAX ||
	    p->prefix_n + name.n + 1 >= sizeof(p->prefix))
		return failed(p, p->line, "sections are nested too deep");
	p->outer[p->depth++] = p->prefix_n;
	memcpy(p->prefix + p->prefix_n, name.p, name.n);
	p->prefix_n += name.n;
	p->prefix[p->prefix_n++] = '.';
	skip(p, 1);
	return 1;
}

/* name { ... or name = value. */
static int
parse_statement(struct parser *p)
{
	struct span name = take_name(p);
	bool spaced, assigned;

	if (name.n == 0)
		return failed(p, p->line, "a name is expected here");
	if (name.n >= PARAM_NAME_MAX)
		return failed(p, p->line, "a name is too long");
	spaced = peek(p) == ' ' || peek(p) == '\t';
	skip_spaces(p);
	if (peek(p) == '{')
		return open_section(p, name);
	assigned = peek(p) == '=';
	if (assigned)
		skip(p, 1);
	if (!assigned && !spaced)
		return failed(p, p->line, "\"=\" is expected behind a name");
	skip_spaces(p);
	return parse_value(p, name);
}

int
param_parse(struct span file, param_fn *fn, void *arg, struct text *why)
{
	struct parser p = { .rest = file, .line = 1, .fn = fn, .arg = arg,
	    .why = why };

	for (;;) {
		if (skip_blank(&p) != 1)
			return 0;
		if (p.rest.n == 0)
			break;
		if (peek(&p) != '}') {
			if (parse_statement(&p) != 1)
				return 0;
			continue;
		}
		if (p.depth == 0)
			return failed(&p, p.line, "\"}\" closes nothing");
		p.prefix_n = p.outer[--p.depth];
		skip(&p, 1);
	}
	if (p.depth > 0)
		return failed(&p, p.line, "a section is not closed");
	return 1;
}

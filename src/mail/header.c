/*
 * header.c - where fields begin and end.
 *
 * A field ends at a line end that no blank follows. That is all that is
 * asked; whether its name is one is told, not judged.
 */
#include "mail/header.h"
#include "mail/encode.h"
#include "mail/lex.h"

enum { LINE_WIDTH = 78 };

/* Behind the line that begins at `at`. */
static size_t
line_behind(struct span s, size_t at)
{
	const char *p = memchr(s.p + at, '\n', s.n - at);

	return p == NULL ? s.n : (size_t)(p - s.p) + 1;
}

/* The length of an empty line at `at`, or 0. */
static size_t
empty_line(struct span s, size_t at)
{
	if (s.p[at] == '\n')
		return 1;
	return s.p[at] == '\r' && at + 1 < s.n && s.p[at + 1] == '\n' ? 2 : 0;
}

size_t
header_end(struct span s)
{
	size_t at, empty;

	for (at = 0; at < s.n; at = line_behind(s, at)) {
		empty = empty_line(s, at);
		if (empty > 0)
			return at + empty;
	}
	return s.n;
}

static struct span
trim_blanks(struct span s)
{
	while (s.n > 0 && lex_is_blank(s.p[s.n - 1]))
		s.n--;
	return span_from(s, lex_blanks(s, 0));
}

bool
header_name_ok(struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == ':')
			return false;
	}
	return s.n > 0;
}

static void
split_field(struct header_field *f, size_t first_line)
{
	const char *colon = memchr(f->whole.p, ':', first_line);
	size_t n;

	f->name = SPAN_EMPTY;
	f->value = trim_blanks(f->whole);
	if (colon == NULL)
		return;
	n = (size_t)(colon - f->whole.p);
	f->name = span_trim(span_sub(f->whole, 0, n));
	if (f->name.p != f->whole.p || !header_name_ok(f->name)) {
		f->name = SPAN_EMPTY;
		return;
	}
	f->value = trim_blanks(span_from(f->whole, n + 1));
}

bool
header_next(struct span s, size_t *at, struct header_field *f)
{
	size_t from = *at, end, first, empty;

	if (from >= s.n)
		return false;
	empty = empty_line(s, from);
	if (empty > 0) {
		*at += empty;
		return false;
	}
	first = end = line_behind(s, from);
	while (end < s.n && (s.p[end] == ' ' || s.p[end] == '\t'))
		end = line_behind(s, end);
	f->whole = span_sub(s, from, end - from);
	split_field(f, first - from);
	*at = end;
	return true;
}

int
header_find(struct span s, const char *name, struct header_field *f)
{
	size_t at = 0;

	while (header_next(s, &at, f)) {
		if (span_is_nocase(f->name, name))
			return 1;
	}
	return 0;
}

size_t
header_count(struct span s, const char *name)
{
	struct header_field f;
	size_t at = 0, n = 0;

	while (header_next(s, &at, &f))
		n += span_is_nocase(f.name, name);
	return n;
}

void
header_unfold_add(struct text *out, struct span s)
{
	size_t i, from = 0;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] != '\r' && s.p[i] != '\n')
			continue;
		text_add(out, span_sub(s, from, i - from));
		from = i + 1;
	}
	text_add(out, span_from(s, from));
}

struct span
header_unfold(struct arena *a, struct span s)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t i, n = 0;

	if (p == NULL)
		return SPAN_EMPTY;
	for (i = 0; i < s.n; i++) {
		if (s.p[i] != '\r' && s.p[i] != '\n')
			p[n++] = s.p[i];
	}
	p[n] = '\0';
	return span_of(p, n);
}

/* The fields that are counted; FIRST also keeps the value. */
#define COUNT(name, member) \
    { SPAN(name), offsetof(struct header_survey, member), SIZE_MAX }
#define FIRST(name, member, first) \
    { SPAN(name), offsetof(struct header_survey, member), \
    offsetof(struct header_survey, first) }
static const struct {
	struct span name;
	size_t count, first;
} surveyed[] = {
	COUNT("Received", received),
	COUNT("Delivered-To", delivered_to),
	FIRST("Date", date, first_date),
	FIRST("From", from, first_from),
	FIRST("Sender", sender, first_sender),
	COUNT("Reply-To", reply_to),
	COUNT("To", to),
	COUNT("Cc", cc),
	COUNT("Bcc", bcc),
	FIRST("Message-ID", message_id, first_message_id),
	COUNT("In-Reply-To", in_reply_to),
	COUNT("References", references),
	COUNT("Subject", subject),
	FIRST("TLS-Required", tls_required, first_tls_required),
	FIRST("Solicitation", solicitation, first_solicitation),
};

static void
survey_field(struct header_survey *out, const struct header_field *f)
{
	char *base = (char *)out;
	size_t i, n;

	for (i = 0; i < ARRAY_LEN(surveyed); i++) {
		if (!span_eq_nocase(f->name, surveyed[i].name))
			continue;
		memcpy(&n, base + surveyed[i].count, sizeof(n));
		if (n++ == 0 && surveyed[i].first != SIZE_MAX)
			memcpy(base + surveyed[i].first, &f->value,
			    sizeof(f->value));
		memcpy(base + surveyed[i].count, &n, sizeof(n));
		return;
	}
}

void
header_survey(struct span message, struct header_survey *out)
{
	struct header_field f;
	size_t at = 0;

	memset(out, 0, sizeof(*out));
	while (header_next(message, &at, &f)) {
		out->fields++;
		if (f.name.n == 0)
			out->garbage++;
		else
			survey_field(out, &f);
	}
	out->size = at;
	out->has_8bit = !utf8_is_ascii(span_sub(message, 0, at));
}

bool
header_delivered_to(struct span message, struct span address)
{
	struct header_field f;
	size_t at = 0;

	while (header_next(message, &at, &f)) {
		if (span_is_nocase(f.name, "Delivered-To") &&
		    span_eq_nocase(f.value, address))
			return true;
	}
	return false;
}

void
header_values(struct span message, const char *name, size_t longest,
    struct text *out)
{
	struct header_field f;
	size_t at = 0;

	while (header_next(message, &at, &f))
		if (span_is_nocase(f.name, name) && f.value.n <= longest &&
		    span_find_char(f.value, '\n', 0) == SIZE_MAX)
			text_printf(out, "%.*s\n", SPAN_ARG(f.value));
}

static bool
is_one_of(struct span name, const char *const *names)
{
	for (; *names != NULL; names++) {
		if (span_is_nocase(name, *names))
			return true;
	}
	return false;
}

void
header_without(struct span message, const char *const *names,
    struct text *out)
{
	struct header_field f;
	size_t at = 0;

	while (header_next(message, &at, &f)) {
		if (!is_one_of(f.name, names))
			text_add(out, f.whole);
	}
}

static void
add_cleaned(struct text *out, struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		text_char(out, s.p[i] == '\r' || s.p[i] == '\n' ||
		    s.p[i] == '\0' ? ' ' : s.p[i]);
}

/* The word at `at` with the blanks before it. */
static size_t
word_behind(struct span s, size_t at)
{
	at = lex_blanks(s, at);
	while (at < s.n && !lex_is_blank(s.p[at]))
		at++;
	return at;
}

void
header_add(struct text *out, const char *name, struct span value)
{
	size_t at = 0, end, column = strlen(name) + 1;

	value = trim_blanks(value);
	text_str(out, name);
	text_char(out, ':');
	if (value.n > 0) {
		text_char(out, ' ');
		column++;
	}
	while (at < value.n) {
		end = word_behind(value, at);
		if (column + (end - at) > LINE_WIDTH && at > 0) {
			text_str(out, "\r\n");
			column = 0;
		}
		add_cleaned(out, span_sub(value, at, end - at));
		column += end - at;
		at = end;
	}
	text_str(out, "\r\n");
}

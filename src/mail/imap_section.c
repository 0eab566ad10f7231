/*
 * imap_section.c - which bytes BODY[section] means (RFC 3501 6.4.5).
 *
 * Part numbers count the body parts of a message: a message that is no
 * multipart has one, its body. So 2.1 within a message/rfc822 at 2 is the
 * first part of that message, or its whole body.
 */
#include "mail/imap_section.h"
#include "mail/header.h"

/* ---- parsing ------------------------------------------------------------- */

static const struct {
	const char *name;
	enum imap_section_kind kind;
} kinds[] = {
	{ "HEADER", IMAP_SECTION_HEADER },
	{ "HEADER.FIELDS", IMAP_SECTION_FIELDS },
	{ "HEADER.FIELDS.NOT", IMAP_SECTION_FIELDS_NOT },
	{ "TEXT", IMAP_SECTION_TEXT },
	{ "MIME", IMAP_SECTION_MIME },
};

/* "1.2." or "1.2" and the end; *s is left at what follows. */
static int
take_numbers(struct span *s, struct arena *a, struct imap_section *out)
{
	uint32_t *parts = arena_alloc(a,
	    IMAP_SECTION_DEPTH_MAX * sizeof(*parts));
	struct span number, rest;

	if (parts == NULL)
		return -1;
	out->parts = parts;
	while (s->n > 0 && ascii_is_digit(s->p[0])) {
		rest = span_cut(*s, '.', &number);
		if (number.n < s->n && rest.n == 0)
			return 0;	/* "1." */
		if (out->part_count == IMAP_SECTION_DEPTH_MAX ||
		    number.p[0] == '0' ||
		    span_u32(number, &parts[out->part_count]) != 1)
			return 0;
		out->part_count++;
		*s = rest;
	}
	return 1;
}

static size_t
field_end(struct span s)
{
	size_t i = 0;

	if (s.p[0] != '"') {
		while (i < s.n && header_name_ok(span_sub(s, i, 1)) &&
		    strchr("()\"\\{%*]", s.p[i]) == NULL)
			i++;
		return i;
	}
	for (i = 1; i < s.n && s.p[i] != '"'; i++)
		i += s.p[i] == '\\';
	return i < s.n ? i + 1 : 0;
}

/* The name without quotes, in the arena. */
static struct span
field_name(struct arena *a, struct span s)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t i, n = 0;

	if (p == NULL)
		return SPAN_EMPTY;
	if (s.p[0] == '"')
		s = span_sub(s, 1, s.n - 2);
	for (i = 0; i < s.n; i++) {
		i += s.p[i] == '\\';
		p[n++] = s.p[i];
	}
	return span_of(p, n);
}

/* "(From To)" and nothing else. */
static int
take_fields(struct span s, struct arena *a, struct imap_section *out)
{
	struct span *fields = NULL;
	size_t room = 0, more, end;

	if (s.n < 3 || s.p[0] != '(' || s.p[s.n - 1] != ')')
		return 0;
	for (s = span_sub(s, 1, s.n - 2); s.n > 0; s = span_from(s, end)) {
		if (out->field_count > 0 && s.p[0] != ' ')
			return 0;
		if (out->field_count > 0)
			s = span_from(s, 1);
		end = s.n > 0 ? field_end(s) : 0;
		if (end == 0 || out->field_count == IMAP_SECTION_FIELDS_MAX)
			return 0;
		if (out->field_count == room) {
			more = room == 0 ? 16 : room * 2;
			fields = arena_grow(a, fields, room * sizeof(*fields),
			    more * sizeof(*fields));
			room = more;
		}
		if (fields == NULL)
			return -1;
		fields[out->field_count] = field_name(a, span_sub(s, 0, end));
		if (fields[out->field_count].p == NULL)
			return -1;
		out->field_count++;
		out->fields = fields;
	}
	return out->field_count > 0;
}

int
imap_section_parse(struct span s, struct arena *a, struct imap_section *out)
{
	struct span word, fields;
	bool has_fields;
	size_t i;
	int done;

	*out = (struct imap_section){ .kind = IMAP_SECTION_ALL };
	if (s.n > 0 && ascii_is_digit(s.p[0])) {
		done = take_numbers(&s, a, out);
		if (done != 1)
			return done;
	}
	if (s.n == 0)
		return 1;
	fields = span_cut(s, ' ', &word);
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		if (span_is_nocase(word, kinds[i].name))
			break;
	}
	if (i == ARRAY_LEN(kinds))
		return 0;
	out->kind = kinds[i].kind;
	if (out->kind == IMAP_SECTION_MIME && out->part_count == 0)
		return 0;
	has_fields = out->kind == IMAP_SECTION_FIELDS ||
	    out->kind == IMAP_SECTION_FIELDS_NOT;
	return has_fields ? take_fields(fields, a, out) : word.n == s.n;
}

const char *
imap_section_word(enum imap_section_kind kind)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].kind == kind)
			return kinds[i].name;
	}
	return NULL;
}

/* ---- resolving ----------------------------------------------------------- */

bool
imap_section_needs_parts(const struct imap_section *s)
{
	return s->part_count > 0;
}

static const struct summary_part *
child(const struct summary_part *p, uint32_t number)
{
	for (p = p->first; p != NULL && p->number != number; p = p->next)
		;
	return p;
}

/* The part of that number of the message whose top is `top`. */
static const struct summary_part *
part_of_message(const struct summary_part *top, uint32_t number)
{
	if (top->kind == MIME_MULTIPART)
		return child(top, number);
	return number == 1 ? top : NULL;
}

const struct summary_part *
imap_section_part(const struct imap_section *s, const struct summary_part *root)
{
	const struct summary_part *p = part_of_message(root, s->parts[0]);
	size_t i;

	for (i = 1; p != NULL && i < s->part_count; i++) {
		if (p->kind == MIME_MULTIPART)
			p = child(p, s->parts[i]);
		else if (p->kind == MIME_MESSAGE)
			p = part_of_message(p->first, s->parts[i]);
		else
			p = NULL;
	}
	return p;
}

static int
part_extent(const struct imap_section *s, const struct summary_part *p,
    struct imap_extent *out)
{
	const struct summary_part *message;

	if (s->kind == IMAP_SECTION_ALL) {
		*out = (struct imap_extent){ p->body_at, p->body_size };
		return 1;
	}
	if (s->kind == IMAP_SECTION_MIME) {
		*out = (struct imap_extent){ p->header_at, p->header_size };
		return 1;
	}
	if (p->kind != MIME_MESSAGE)
		return 0;
	message = p->first;
	if (s->kind == IMAP_SECTION_TEXT)
		*out = (struct imap_extent){ message->body_at,
		    message->body_size };
	else
		*out = (struct imap_extent){ message->header_at,
		    message->header_size };
	return 1;
}

int
imap_section_extent(const struct imap_section *s, const struct summary *of,
    const struct summary_part *root, struct imap_extent *out)
{
	const struct summary_part *p;

	if (s->part_count > 0) {
		p = imap_section_part(s, root);
		return p == NULL ? 0 : part_extent(s, p, out);
	}
	switch (s->kind) {
	case IMAP_SECTION_ALL:
		*out = (struct imap_extent){ 0, of->size };
		return 1;
	case IMAP_SECTION_TEXT:
		*out = (struct imap_extent){ of->header_size,
		    of->size - of->header_size };
		return 1;
	case IMAP_SECTION_HEADER:
	case IMAP_SECTION_FIELDS:
	case IMAP_SECTION_FIELDS_NOT:
		*out = (struct imap_extent){ 0, of->header_size };
		return 1;
	case IMAP_SECTION_MIME:
		break;
	}
	return 0;
}

static bool
is_chosen(const struct imap_section *s, struct span name)
{
	size_t i;

	for (i = 0; i < s->field_count; i++) {
		if (span_eq_nocase(s->fields[i], name))
			return s->kind == IMAP_SECTION_FIELDS;
	}
	return s->kind == IMAP_SECTION_FIELDS_NOT;
}

void
imap_add_section_fields(struct text *out, const struct imap_section *s,
    struct span header)
{
	struct header_field f;
	size_t at = 0;

	while (header_next(header, &at, &f)) {
		if (!is_chosen(s, f.name))
			continue;
		text_add(out, f.whole);
		if (!span_ends(f.whole, SPAN("\n")))
			text_str(out, "\r\n");
	}
	text_str(out, "\r\n");
}

struct imap_extent
imap_section_partial(const struct imap_section *s, struct imap_extent e)
{
	uint64_t skip;

	if (!s->is_partial)
		return e;
	skip = MIN(s->origin, e.size);
	return (struct imap_extent){ e.at + skip,
	    MIN(s->octets, e.size - skip) };
}

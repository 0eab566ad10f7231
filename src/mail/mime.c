/*
 * mime.c - one pass over a message, line by line.
 *
 * The parser stands in one part, the current one, and keeps a stack of the
 * boundaries that may end it. A line that is one of them closes every part
 * below its multipart. Nothing recurses: the depth costs heap, not stack.
 *
 * Boundaries are compared as RFC 2046 5.1.1 says, with the beginning of the
 * line; where several match, the longest counts, then the innermost.
 */
#include "mail/mime.h"
#include "mail/header.h"
#include "mail/lex.h"
#include "mail/words.h"

enum {
	BOUNDARY_MAX = 250, PARAMS_MAX = 64,
	TYPE_MAX = 16 * 1024,		/* of a Content-Type is looked at */
	SCRATCH = 64 * 1024
};

struct open_boundary {
	struct span text;
	struct mime_part *part;
};

struct parser {
	struct span s;
	size_t at;
	uint64_t lines;		/* line ends before `at` */
	const struct mime_limits *limits;
	struct arena *arena;
	struct arena *scratch;	/* for the fields of one part */
	struct mime *out;
	struct mime_part *current;
	struct open_boundary *stack;
	size_t open, room;
	bool full;		/* as many parts as may be */
};

/* ---- header -------------------------------------------------------------- */

#define SLOT(name, member) { SPAN(name), offsetof(struct mime_part, member) }
static const struct {
	struct span name;
	size_t at;
} slots[] = {
	SLOT("Content-Type", content_type),
	SLOT("Content-Transfer-Encoding", content_encoding),
	SLOT("Content-Disposition", content_disposition),
	SLOT("Content-ID", content_id),
	SLOT("Content-Description", content_description),
	SLOT("Content-MD5", content_md5),
	SLOT("Content-Language", content_language),
	SLOT("Content-Location", content_location),
};

static void
note_field(struct mime_part *part, const struct header_field *f)
{
	struct span held;
	size_t i;

	if (!span_starts_nocase(f->name, SPAN("Content-")))
		return;
	for (i = 0; i < ARRAY_LEN(slots); i++) {
		if (!span_eq_nocase(f->name, slots[i].name))
			continue;
		memcpy(&held, (char *)part + slots[i].at, sizeof(held));
		if (held.p == NULL)
			memcpy((char *)part + slots[i].at, &f->value,
			    sizeof(held));
	}
}

static uint64_t
count_lines(struct span s)
{
	uint64_t n = 0;
	const char *p = s.p, *end = s.p + s.n;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		n++;
		p++;
	}
	return n;
}

static bool
is_token(char c)
{
	return c > ' ' && c < 0x7f && strchr("()<>@,;:\"/[]?=", c) == NULL;
}

static struct span
take_token(struct span s, size_t *at)
{
	size_t from = lex_skip(s, *at);

	for (*at = from; *at < s.n && is_token(s.p[*at]); (*at)++)
		;
	return span_sub(s, from, *at - from);
}

enum mime_encoding
mime_encoding_of(struct span raw)
{
	static const struct {
		const char *name;
		enum mime_encoding e;
	} rows[] = {
		{ "7bit", MIME_7BIT }, { "8bit", MIME_8BIT },
		{ "base64", MIME_BASE64 }, { "quoted-printable", MIME_QUOTED },
		{ "binary", MIME_BINARY }, { "", MIME_7BIT },
	};
	size_t i, at = 0;
	struct span token = take_token(raw, &at);

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		if (span_is_nocase(token, rows[i].name))
			return rows[i].e;
	}
	return MIME_OTHER;
}

/* The type, or what RFC 2045 5.2 and RFC 2046 5.1.5 say where there is none. */
static void
set_type(struct mime_part *part)
{
	struct span raw = part->content_type;
	size_t at = 0;

	part->type = take_token(raw, &at);
	at = lex_skip(raw, at);
	part->subtype = SPAN_EMPTY;
	if (at < raw.n && raw.p[at] == '/') {
		at++;
		part->subtype = take_token(raw, &at);
	}
	if (part->type.n > 0 && part->subtype.n > 0)
		return;
	part->type = SPAN("text");
	part->subtype = SPAN("plain");
	if (raw.p == NULL && part->parent != NULL &&
	    mime_is(part->parent, "multipart", "digest")) {
		part->type = SPAN("message");
		part->subtype = SPAN("rfc822");
	}
}

/* ---- boundaries ---------------------------------------------------------- */

/*
 * Which of the open boundaries the line at p->at is; SIZE_MAX for none. The
 * caller has seen "--".
 */
static size_t
match_boundary(const struct parser *p, bool *closing)
{
	struct span line = span_from(p->s, p->at + 2), text;
	size_t i, best = SIZE_MAX, best_n = 0;

	for (i = p->open; i-- > 0; ) {
		text = p->stack[i].text;
		if (text.n <= best_n || text.n > line.n ||
		    text.p[0] != line.p[0] ||
		    memcmp(text.p, line.p, text.n) != 0)
			continue;
		best = i;
		best_n = text.n;
	}
	*closing = best != SIZE_MAX &&
	    span_starts(span_from(line, best_n), SPAN("--"));
	return best;
}

static bool
at_dashes(const struct parser *p)
{
	return p->open > 0 && p->s.n - p->at > 2 && p->s.p[p->at] == '-' &&
	    p->s.p[p->at + 1] == '-';
}

static void
skip_line(struct parser *p)
{
	const char *end = memchr(p->s.p + p->at, '\n', p->s.n - p->at);

	if (end == NULL) {
		p->at = p->s.n;
		return;
	}
	p->at = (size_t)(end - p->s.p) + 1;
	p->lines++;
}

/*
 * To the next boundary line: which one, p->at on its first byte. SIZE_MAX
 * at the end of the message.
 */
static size_t
find_boundary(struct parser *p, bool *closing)
{
	size_t found;

	if (p->open == 0) {
		p->lines += count_lines(span_from(p->s, p->at));
		p->at = p->s.n;
		return SIZE_MAX;
	}
	while (p->at < p->s.n) {
		if (at_dashes(p)) {
			found = match_boundary(p, closing);
			if (found != SIZE_MAX)
				return found;
		}
		skip_line(p);
	}
	return SIZE_MAX;
}

static int
push_boundary(struct parser *p, struct span text)
{
	size_t more;
	struct open_boundary *grown;

	if (p->open == p->room) {
		more = MAX(p->room * 2, 8);
		grown = arena_grow(p->arena, p->stack,
		    p->room * sizeof(*grown), more * sizeof(*grown));
		if (grown == NULL)
			return -1;
		p->stack = grown;
		p->room = more;
	}
	p->stack[p->open++] = (struct open_boundary){ text, p->current };
	return 1;
}

/* ---- parts --------------------------------------------------------------- */

static struct mime_part *
part_new(struct parser *p, struct mime_part *parent)
{
	struct mime_part *part = arena_zalloc(p->arena, sizeof(*part));

	if (part == NULL)
		return NULL;
	p->out->parts++;
	part->number = 1;
	part->parent = parent;
	if (parent == NULL)
		return part;
	part->depth = parent->depth + 1;
	if (parent->last != NULL) {
		part->number = parent->last->number + 1;
		parent->last->next = part;
	} else {
		parent->first = part;
	}
	parent->last = part;
	return part;
}

/* Fields up to the empty line, or to a boundary that comes too early. */
static void
read_header(struct parser *p)
{
	struct mime_part *part = p->current;
	struct header_field f;
	bool closing;

	part->header_at = p->at;
	while (!at_dashes(p) || match_boundary(p, &closing) == SIZE_MAX) {
		if (!header_next(p->s, &p->at, &f))
			break;
		note_field(part, &f);
	}
	part->header_size = p->at - part->header_at;
	part->header_lines = count_lines(mime_header(p->out, part));
	p->lines += part->header_lines;
	part->body_at = p->at;
	part->body_lines = p->lines;	/* until it is closed */
	part->encoding = mime_encoding_of(part->content_encoding);
	set_type(part);
}

/* The boundary parameter; empty where there is none that can be used. */
static int
boundary_of(struct parser *p, struct span *out)
{
	const struct words_param *param = NULL;
	struct words_field f;
	struct span text = SPAN_EMPTY;

	if (p->scratch == NULL)
		p->scratch = arena_new(SCRATCH);
	arena_reset(p->scratch);
	if (words_field(span_sub(p->current->content_type, 0, TYPE_MAX),
	    PARAMS_MAX, p->scratch, &f) >= 0)
		param = words_param(&f, "boundary");
	if (param != NULL && param->value.n <= BOUNDARY_MAX)
		text = param->value;
	while (text.n > 0 && lex_is_blank(text.p[text.n - 1]))
		text.n--;
	*out = arena_dup(p->arena, text);
	return out->p == NULL ? -1 : 1;
}

static bool
is_identity(enum mime_encoding e)
{
	return e == MIME_7BIT || e == MIME_8BIT || e == MIME_BINARY;
}

static int
open_multipart(struct parser *p)
{
	struct span boundary;

	if (boundary_of(p, &boundary) != 1)
		return -1;
	if (boundary.n == 0)
		return 0;
	p->current->kind = MIME_MULTIPART;
	return push_boundary(p, boundary);
}

/*
 * The header of the current part is read: what is it? 1: a message, whose
 * header comes next; 0: lines come next; -1 arena full.
 */
static int
open_part(struct parser *p)
{
	struct mime_part *part = p->current;
	bool multipart = mime_is(part, "multipart", NULL);

	if (!is_identity(part->encoding) || (!multipart &&
	    !mime_is(part, "message", "rfc822") &&
	    !mime_is(part, "message", "global")))
		return 0;
	if (part->depth >= p->limits->depth || p->full ||
	    p->out->parts >= p->limits->parts) {
		p->out->cut = true;
		return 0;
	}
	if (multipart)
		return open_multipart(p) < 0 ? -1 : 0;
	part->kind = MIME_MESSAGE;
	p->current = part_new(p, part);
	return p->current == NULL ? -1 : 1;
}

/*
 * Close the current part and those around it, up to `stop`. The line end
 * before a boundary is the boundary's, unless it is a header's.
 */
static void
close_parts(struct parser *p, struct mime_part *stop, bool boundary)
{
	uint64_t end = p->at, lines = p->lines;

	if (boundary && end > p->current->body_at) {
		end--;
		lines--;
		if (end > p->current->body_at && p->s.p[end - 1] == '\r')
			end--;
	}
	for (; p->current != stop; p->current = p->current->parent) {
		p->current->body_size = end - p->current->body_at;
		p->current->body_lines = lines - p->current->body_lines;
	}
}

/*
 * On the line of boundary `which`. 1: a part begins, current and to be read;
 * 0: its multipart goes on as text; -1 arena full.
 */
static int
pass_boundary(struct parser *p, size_t which, bool closing)
{
	struct mime_part *multipart = p->stack[which].part;

	close_parts(p, multipart, true);
	p->open = which + 1;
	skip_line(p);
	if (closing || p->full) {
		p->open--;
		return 0;
	}
	if (p->out->parts >= p->limits->parts) {
		/* One more, in which the rest of the multipart is. */
		p->full = p->out->cut = true;
		p->open--;
	}
	p->current = part_new(p, multipart);
	return p->current == NULL ? -1 : 1;
}

static int
parse(struct parser *p)
{
	size_t which;
	bool closing;
	int more;

	do {
		do
			read_header(p);
		while ((more = open_part(p)) == 1);
		while (more == 0) {
			which = find_boundary(p, &closing);
			if (which == SIZE_MAX)
				return 1;
			more = pass_boundary(p, which, closing);
		}
	} while (more == 1);
	return -1;
}

int
mime_parse(struct span message, const struct mime_limits *limits,
    struct arena *a, struct mime *out)
{
	struct parser p = {
		.s = message, .limits = limits, .arena = a, .out = out
	};
	int done = 1;

	*out = (struct mime){ .message = message };
	if (message.p == NULL)
		p.s = out->message = SPAN("");
	out->root = p.current = part_new(&p, NULL);
	if (out->root == NULL || parse(&p) != 1)
		done = -1;
	else
		close_parts(&p, NULL, false);
	arena_free(&p.scratch);
	return done;
}

/* ---- asking -------------------------------------------------------------- */

bool
mime_is(const struct mime_part *part, const char *type, const char *subtype)
{
	return span_is_nocase(part->type, type) &&
	    (subtype == NULL || span_is_nocase(part->subtype, subtype));
}

struct span
mime_header(const struct mime *m, const struct mime_part *part)
{
	return span_sub(m->message, part->header_at, part->header_size);
}

struct span
mime_body(const struct mime *m, const struct mime_part *part)
{
	return span_sub(m->message, part->body_at, part->body_size);
}

struct mime_part *
mime_next(const struct mime_part *part)
{
	if (part->first != NULL)
		return part->first;
	while (part != NULL && part->next == NULL)
		part = part->parent;
	return part == NULL ? NULL : part->next;
}

struct span
mime_charset(const struct mime_part *part, struct arena *a)
{
	const struct words_param *param = NULL;
	struct words_field f;

	if (part->content_type.p != NULL &&
	    words_field(span_sub(part->content_type, 0, TYPE_MAX),
	    PARAMS_MAX, a, &f) >= 0)
		param = words_param(&f, "charset");
	return param != NULL && param->value.n > 0 ? param->value :
	    SPAN("us-ascii");
}

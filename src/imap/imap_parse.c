/*
 * imap_parse.c - the words of an IMAP command.
 *
 * RFC 3501 section 9, letter by letter. What is 8-bit outside of strings, or
 * no UTF-8 in quoted ones (RFC 6855), or NUL but in a literal8, is refused.
 * Nothing is copied but what holds an escape.
 */
#include "imap/imap_parse.h"

#include "ipc/contract.h"
#include "mail/date.h"
#include "mail/encode.h"

enum { IMAP_NAME_MAX = 1000, IMAP_KEYWORD_MAX = 255, IMAP_KEYWORDS_MAX = 4096 };

enum char_class {
	CLASS_ATOM = 1 << 0,		/* ATOM-CHAR */
	CLASS_ASTRING = 1 << 1,		/* ASTRING-CHAR: and "]" */
	CLASS_LIST = 1 << 2,		/* list-char: and wildcards */
	CLASS_TAG = 1 << 3,		/* ASTRING-CHAR but "+" */
};

static unsigned
class_of(char c)
{
	if (c <= 0x20 || c >= 0x7f)	/* 8-bit is negative or above */
		return 0;
	switch (c) {
	case '(': case ')': case '{': case '"': case '\\':
		return 0;
	case '%': case '*':
		return CLASS_LIST;
	case ']':
		return CLASS_ASTRING | CLASS_LIST | CLASS_TAG;
	case '+':
		return CLASS_ATOM | CLASS_ASTRING | CLASS_LIST;
	default:
		return CLASS_ATOM | CLASS_ASTRING | CLASS_LIST | CLASS_TAG;
	}
}

struct imap_parser
imap_parser(struct span command, struct arena *arena)
{
	return (struct imap_parser){ .rest = command, .arena = arena };
}

bool
imap_parse_fail(struct imap_parser *p, const char *hint)
{
	if (p->hint == NULL)
		p->hint = hint;
	return false;
}

int
imap_parse_peek(const struct imap_parser *p)
{
	return p->rest.n > 0 ? (unsigned char)p->rest.p[0] : -1;
}

static struct span
take(struct imap_parser *p, size_t n)
{
	struct span head = span_sub(p->rest, 0, n);

	p->rest = span_from(p->rest, n);
	return head;
}

bool
imap_parse_next(struct imap_parser *p, char c)
{
	if (p->rest.n == 0 || p->rest.p[0] != c)
		return false;
	take(p, 1);
	return true;
}

bool
imap_parse_char(struct imap_parser *p, char c)
{
	if (imap_parse_next(p, c))
		return true;
	switch (c) {
	case '(': return imap_parse_fail(p, "\"(\" expected");
	case ')': return imap_parse_fail(p, "\")\" expected");
	default:  return imap_parse_fail(p, "Unexpected character");
	}
}

bool
imap_parse_space(struct imap_parser *p)
{
	return imap_parse_next(p, ' ') ||
	    imap_parse_fail(p, "Argument missing, or not one space before it");
}

bool
imap_parse_end(struct imap_parser *p)
{
	if (span_is(p->rest, "\r\n") || span_is(p->rest, "\n") ||
	    p->rest.n == 0) {
		p->rest = SPAN_EMPTY;
		return true;
	}
	return imap_parse_fail(p, "Too many arguments");
}

static struct span
take_class(struct imap_parser *p, unsigned class)
{
	size_t n = 0;

	while (n < p->rest.n && (class_of(p->rest.p[n]) & class) != 0)
		n++;
	return take(p, n);
}

bool
imap_parse_tag(struct imap_parser *p, struct span *tag)
{
	*tag = take_class(p, CLASS_TAG);
	return tag->n > 0 || imap_parse_fail(p, "Tag missing");
}

bool
imap_parse_atom(struct imap_parser *p, struct span *atom)
{
	*atom = take_class(p, CLASS_ATOM);
	return atom->n > 0 || imap_parse_fail(p, "Atom expected");
}

/* The bytes between the quotes, from behind the first one, escapes undone. */
static bool
unescape(struct imap_parser *p, size_t n, size_t escapes, struct span *out)
{
	char *copy;
	size_t length = 0;

	if (escapes == 0) {
		*out = take(p, n);
		return imap_parse_next(p, '"');
	}
	if ((copy = arena_alloc(p->arena, n)) == NULL)
		return imap_parse_fail(p, "Command too large");
	for (size_t i = 0; i < n; i++) {
		if (p->rest.p[i] == '\\')
			i++;
		copy[length++] = p->rest.p[i];
	}
	*out = span_of(copy, length);
	take(p, n);
	return imap_parse_next(p, '"');
}

static bool
parse_quoted(struct imap_parser *p, struct span *out)
{
	size_t escapes = 0, n;

	take(p, 1);
	for (n = 0; n < p->rest.n && p->rest.p[n] != '"'; n++) {
		unsigned char c = (unsigned char)p->rest.p[n];

		if (c == '\\') {
			escapes++;
			if (++n == p->rest.n || (p->rest.p[n] != '"' &&
			    p->rest.p[n] != '\\'))
				return imap_parse_fail(p,
				    "Only \\\" and \\\\ in a quoted string");
		} else if (c == '\r' || c == '\n') {
			return imap_parse_fail(p,
			    "Quoted string without its end");
		} else if (c == 0) {
			return imap_parse_fail(p,
			    "NUL byte in a quoted string");
		}
	}
	if (n == p->rest.n)
		return imap_parse_fail(p, "Quoted string without its end");
	if (!utf8_valid(span_sub(p->rest, 0, n)))
		return imap_parse_fail(p, "Quoted string is not UTF-8");
	return unescape(p, n, escapes, out);
}

static bool
parse_literal(struct imap_parser *p, bool binary, struct span *out)
{
	struct imap_literal literal;
	size_t end = span_find_char(p->rest, '\n', 0);

	if (end == SIZE_MAX)
		return imap_parse_fail(p, "Literal expected");
	if (imap_line_literal(span_sub(p->rest, 0, end + 1), &literal) != 1 ||
	    literal.at != 0 || literal.size > p->rest.n - (end + 1))
		return imap_parse_fail(p, "Literal expected");
	if (literal.binary && !binary)
		return imap_parse_fail(p, "No binary literal here");
	take(p, end + 1);
	*out = take(p, (size_t)literal.size);
	if (out->n == 0)
		out->p = "";
	if (!literal.binary && memchr(out->p, 0, out->n) != NULL)
		return imap_parse_fail(p, "NUL byte in a literal");
	return true;
}

bool
imap_parse_string(struct imap_parser *p, struct span *out)
{
	int c = imap_parse_peek(p);

	if (c == '"')
		return parse_quoted(p, out);
	if (c == '{' || c == '~')
		return parse_literal(p, false, out);
	return imap_parse_fail(p, "String expected");
}

bool
imap_parse_string8(struct imap_parser *p, struct span *out)
{
	if (imap_parse_peek(p) == '~')
		return parse_literal(p, true, out);
	return imap_parse_string(p, out);
}

static bool
atom_or_string(struct imap_parser *p, unsigned class, struct span *out)
{
	int c = imap_parse_peek(p);

	if (c == '"' || c == '{')
		return imap_parse_string(p, out);
	*out = take_class(p, class);
	return out->n > 0 || imap_parse_fail(p, "Atom or string expected");
}

bool
imap_parse_astring(struct imap_parser *p, struct span *out)
{
	return atom_or_string(p, CLASS_ASTRING, out);
}

bool
imap_parse_pattern(struct imap_parser *p, struct span *out)
{
	return atom_or_string(p, CLASS_LIST, out);
}

bool
imap_parse_nstring(struct imap_parser *p, struct span *out)
{
	struct span word = take_class(p, CLASS_ATOM);

	if (span_is_nocase(word, "NIL")) {
		*out = SPAN_EMPTY;
		return true;
	}
	if (word.n > 0)
		return imap_parse_fail(p, "String or NIL expected");
	return imap_parse_string(p, out);
}

static bool
parse_number(struct imap_parser *p, uint64_t max, uint64_t *out)
{
	size_t n = 0;
	uint64_t value;

	while (n < p->rest.n && ascii_is_digit(p->rest.p[n]))
		n++;
	if (n == 0)
		return imap_parse_fail(p, "Number expected");
	if (span_u64(take(p, n), &value) != 1 || value > max)
		return imap_parse_fail(p, "Number too large");
	*out = value;
	return true;
}

bool
imap_parse_u32(struct imap_parser *p, uint32_t *out)
{
	uint64_t value;

	if (!parse_number(p, UINT32_MAX, &value))
		return false;
	*out = (uint32_t)value;
	return true;
}

bool
imap_parse_nz_u32(struct imap_parser *p, uint32_t *out)
{
	return imap_parse_u32(p, out) && (*out != 0 ||
	    imap_parse_fail(p, "Number must not be zero"));
}

bool
imap_parse_u63(struct imap_parser *p, uint64_t *out)
{
	return parse_number(p, INT64_MAX, out);
}

/* seq-number: a number that is not zero, or "*". */
static bool
parse_seq_number(struct imap_parser *p, uint32_t *out)
{
	if (imap_parse_next(p, '*')) {
		*out = IMAP_RANGE_STAR;
		return true;
	}
	if (imap_parse_peek(p) == '$')
		return imap_parse_fail(p, "$ stands alone");
	return imap_parse_nz_u32(p, out);
}

static bool
parse_range(struct imap_parser *p, struct imap_range *range)
{
	uint32_t swap;

	if (!parse_seq_number(p, &range->first))
		return false;
	range->last = range->first;
	if (!imap_parse_next(p, ':'))
		return true;
	if (!parse_seq_number(p, &range->last))
		return false;
	if (range->first > range->last) {	/* "*" is the largest */
		swap = range->first;
		range->first = range->last;
		range->last = swap;
	}
	return true;
}

bool
imap_parse_set(struct imap_parser *p, struct imap_set *set)
{
	struct imap_range *ranges = NULL, *grown;
	size_t count = 0, room = 0;

	if (imap_parse_next(p, '$')) {		/* RFC 5182 */
		*set = (struct imap_set){ .saved = true };
		return true;
	}
	do {
		if (count == room) {
			grown = arena_grow(p->arena, ranges,
			    room * sizeof(*ranges),
			    (room == 0 ? 4 : room * 2) * sizeof(*ranges));
			if (grown == NULL)
				return imap_parse_fail(p, "Command too large");
			room = room == 0 ? 4 : room * 2;
			ranges = grown;
		}
		if (!parse_range(p, &ranges[count]))
			return false;
		count++;
	} while (imap_parse_next(p, ','));
	*set = (struct imap_set){ .ranges = ranges, .count = count };
	return true;
}

bool
imap_is_keyword(struct span word)
{
	for (size_t i = 0; i < word.n; i++)
		if ((class_of(word.p[i]) & CLASS_ATOM) == 0)
			return false;
	return word.n > 0 && word.n <= IMAP_KEYWORD_MAX;
}

static const struct {
	const char *name;
	uint64_t flag;
} system_flags[] = {
	{ "Answered", FLAG_ANSWERED }, { "Flagged", FLAG_FLAGGED },
	{ "Deleted", FLAG_DELETED }, { "Seen", FLAG_SEEN },
	{ "Draft", FLAG_DRAFT },
};

static bool
parse_system_flag(struct imap_parser *p, uint64_t *flags)
{
	struct span name;

	if (!imap_parse_atom(p, &name))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(system_flags); i++)
		if (span_is_nocase(name, system_flags[i].name)) {
			*flags |= system_flags[i].flag;
			return true;
		}
	return imap_parse_fail(p, span_is_nocase(name, "Recent")
	    ? "\\Recent cannot be set" : "Unknown system flag");
}

/* Keywords are gathered in one buffer of the arena, SP between. */
static bool
add_keyword(struct imap_parser *p, struct imap_flags *out, struct span word)
{
	struct span old = out->keywords;
	char *room = (char *)old.p;

	if (word.n > IMAP_KEYWORD_MAX ||
	    old.n + word.n + 1 > IMAP_KEYWORDS_MAX)
		return imap_parse_fail(p, "Keyword too long");
	if (room == NULL &&
	    (room = arena_alloc(p->arena, IMAP_KEYWORDS_MAX)) == NULL)
		return imap_parse_fail(p, "Command too large");
	if (old.n > 0)
		room[old.n++] = ' ';
	memcpy(room + old.n, word.p, word.n);
	out->keywords = span_of(room, old.n + word.n);
	out->keyword_count++;
	return true;
}

static bool
parse_flag(struct imap_parser *p, struct imap_flags *out)
{
	struct span word;

	if (imap_parse_next(p, '\\'))
		return parse_system_flag(p, &out->flags);
	return imap_parse_atom(p, &word) && add_keyword(p, out, word);
}

bool
imap_parse_flag_list(struct imap_parser *p, struct imap_flags *out)
{
	*out = (struct imap_flags){ 0 };
	if (!imap_parse_char(p, '('))
		return false;
	if (imap_parse_next(p, ')'))
		return true;
	do {
		if (!parse_flag(p, out))
			return false;
	} while (imap_parse_next(p, ' '));
	return imap_parse_char(p, ')');
}

bool
imap_parse_flags(struct imap_parser *p, struct imap_flags *out)
{
	if (imap_parse_peek(p) == '(')
		return imap_parse_flag_list(p, out);
	*out = (struct imap_flags){ 0 };
	do {
		if (!parse_flag(p, out))
			return false;
	} while (imap_parse_next(p, ' '));
	return true;
}

bool
imap_parse_date_time(struct imap_parser *p, int64_t *out)
{
	struct span text;
	struct date date;

	if (imap_parse_peek(p) != '"' || !parse_quoted(p, &text) ||
	    date_parse_imap(text, &date) != 1)
		return imap_parse_fail(p, "Date and time expected, as "
		    "\"17-Jul-1996 02:44:25 -0700\"");
	*out = date.seconds;
	return true;
}

bool
imap_parse_day(struct imap_parser *p, int32_t *out)
{
	struct span text = SPAN_EMPTY;

	if (!imap_parse_astring(p, &text))
		return false;
	if (date_parse_imap_day(text, out) != 1)
		return imap_parse_fail(p, "Date expected, as 1-Feb-1994");
	return true;
}

/* "{12}", "{12+}" or "~{12}" before the line end. */
int
imap_line_literal(struct span line, struct imap_literal *out)
{
	struct span text = span_chomp(line);
	size_t digits;

	if (text.n == line.n || !span_ends(text, SPAN("}")))
		return 0;
	text.n--;
	out->waits = !span_ends(text, SPAN("+"));
	if (!out->waits)
		text.n--;
	for (digits = 0; digits < text.n &&
	    ascii_is_digit(text.p[text.n - 1 - digits]); digits++)
		;
	if (digits == 0 || digits == text.n ||
	    text.p[text.n - 1 - digits] != '{')
		return 0;
	out->at = text.n - 1 - digits;
	out->binary = out->at > 0 && text.p[out->at - 1] == '~';
	if (out->binary)
		out->at--;
	if (span_u64(span_from(text, text.n - digits), &out->size) != 1 ||
	    out->size > INT64_MAX) {
		out->size = UINT64_MAX;
		return -1;
	}
	return 1;
}

/* C0, DEL, C1, and what separates lines or paragraphs (RFC 6855 section 3). */
static bool
is_control(int32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 ||
	    c == 0x2029;
}

/* Levels are not empty, and nothing in a name is a control character. */
static bool
name_possible(struct span name)
{
	size_t at = 0;

	if (name.n == 0 || name.n > IMAP_NAME_MAX || name.p[0] == '/' ||
	    name.p[name.n - 1] == '/' || span_find(name, SPAN("//"), 0) !=
	    SIZE_MAX)
		return false;
	while (at < name.n)
		if (is_control(utf8_next(name, &at)))
			return false;
	return true;
}

/* From UTF-8 on. */
static int
name_normal(struct text *text, struct arena *arena, struct span *name)
{
	/* CREATE foo/ declares that names below foo follow (6.3.3). */
	if (text->n > 1 && text->p[text->n - 1] == '/')
		text->n--;
	if (text_full(text) || !name_possible(text_span(text)))
		return 0;
	if (text->n >= 5 && span_eq_nocase(span_sub(text_span(text), 0, 5),
	    SPAN("INBOX")) && (text->n == 5 || text->p[5] == '/'))
		memcpy(text->p, "INBOX", 5);
	*name = arena_dup(arena, text_span(text));
	return name->p != NULL ? 1 : -1;
}

int
imap_name_decode(struct span sent, struct arena *arena, struct span *name)
{
	struct text text = TEXT_INIT(IMAP_NAME_MAX + 1);
	int status = 0;

	if (!utf8_is_ascii(sent))
		return imap_name_decode_utf8(sent, arena, name);
	if (utf7_decode(sent, &text) == 1)
		status = name_normal(&text, arena, name);
	text_free(&text);
	return status;
}

int
imap_name_decode_utf8(struct span sent, struct arena *arena,
    struct span *name)
{
	struct text text = TEXT_INIT(IMAP_NAME_MAX + 1);
	int status = 0;

	text_add(&text, sent);
	if (utf8_valid(sent))
		status = name_normal(&text, arena, name);
	text_free(&text);
	return status;
}

struct span
imap_name_encode(struct span name, struct arena *arena)
{
	struct text text = TEXT_INIT(8 * IMAP_NAME_MAX);
	struct span sent = name;

	if (utf7_encode(name, &text) == 1 && !text_full(&text))
		sent = arena_dup(arena, text_span(&text));
	text_free(&text);
	return sent;
}

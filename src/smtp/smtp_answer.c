/*
 * smtp_answer.c - replies (RFC 5321 4.2) and what EHLO's says.
 *
 * Nothing a server says is trusted but its code: text is cut to a length,
 * control characters are blanks, and a reply whose lines disagree is none.
 */
#include "smtp/smtp_answer.h"

enum { CODE = 3 };

/* -- lines ---- */

struct line {
	unsigned code;
	bool last;
	struct span text;
};

/* The line at *at, which moves behind it. 1, 0 more is needed, -1. */
static int
take_line(struct span in, size_t *at, struct span *line)
{
	struct span rest = span_from(in, *at);
	size_t end = span_find_char(span_sub(rest, 0, ANSWER_LINE_MAX), '\n',
	    0);

	if (end == SIZE_MAX)
		return rest.n >= ANSWER_LINE_MAX ? -1 : 0;
	*line = span_chomp(span_sub(rest, 0, end + 1));
	*at += end + 1;
	return 1;
}

/* "250-text", "250 text", "250". */
static bool
read_line(struct span s, struct line *out)
{
	uint32_t code;

	if (s.n < CODE || span_u32(span_sub(s, 0, CODE), &code) != 1 ||
	    code < 200 || code > 599)
		return false;
	if (s.n > CODE && s.p[CODE] != ' ' && s.p[CODE] != '-')
		return false;
	out->code = code;
	out->last = s.n == CODE || s.p[CODE] == ' ';
	out->text = span_from(s, CODE + 1);
	return true;
}

/* -- enhanced codes (RFC 2034, RFC 3463) ---- */

/* ".123" at *at. */
static bool
dot_number(struct span s, size_t *at)
{
	size_t from = *at + 1;

	if (*at >= s.n || s.p[*at] != '.')
		return false;
	for (*at = from; *at < s.n && ascii_is_digit(s.p[*at]); (*at)++)
		;
	return *at > from && *at - from <= 3;
}

/* The enhanced code at the beginning of a line; its class is the code's. */
static struct span
enhanced_of(unsigned code, struct span text)
{
	size_t at = 1;

	if (text.n == 0 || (unsigned)(text.p[0] - '0') != code / 100 ||
	    !dot_number(text, &at) || !dot_number(text, &at) ||
	    (at < text.n && text.p[at] != ' '))
		return SPAN_EMPTY;
	return span_sub(text, 0, at);
}

/* -- a reply ---- */

/* Its lines, of which there is no doubt any more. */
static struct span
gather(struct span whole, struct arena *arena, struct smtp_answer *out)
{
	struct text text = TEXT_INIT(ANSWER_TEXT_MAX);
	struct span line, kept;
	struct line l;
	size_t at = 0;

	for (int n = 0; take_line(whole, &at, &line) == 1 &&
	    read_line(line, &l); n++) {
		if (n > 0)
			text_char(&text, '\n');
		line = enhanced_of(l.code, l.text);
		if (n == 0)
			out->enhanced = arena_dup(arena, line);
		if (line.n > 0 && span_eq(line, out->enhanced))
			l.text = span_from(l.text, line.n + 1);
		/* What is too much is cut, from the last line that fits. */
		text_add(&text, span_sub(l.text, 0,
		    ANSWER_TEXT_MAX - text.n));
	}
	for (size_t i = 0; i < text.n; i++)
		if (((unsigned char)text.p[i] < ' ' && text.p[i] != '\n') ||
		    text.p[i] == 0x7f)
			text.p[i] = ' ';
	kept = arena_dup(arena, text_span(&text));
	text_free(&text);
	return kept.p != NULL ? kept : SPAN_EMPTY;
}

int
smtp_answer_parse(struct span in, struct arena *arena,
    struct smtp_answer *out, size_t *used)
{
	size_t at = 0;
	struct span line;
	struct line l;
	unsigned code = 0;
	int found;

	for (int lines = 0; lines < ANSWER_LINES_MAX; lines++) {
		found = take_line(in, &at, &line);
		if (found != 1)
			return found;
		if (!read_line(line, &l) || (code != 0 && l.code != code))
			return -1;
		code = l.code;
		if (!l.last)
			continue;
		*out = (struct smtp_answer){ .code = code };
		out->text = gather(span_sub(in, 0, at), arena, out);
		*used = at;
		return 1;
	}
	return -1;
}

void
smtp_answer_text(const struct smtp_answer *a, struct text *out)
{
	size_t from;

	text_printf(out, "%03u", a->code);
	if (a->enhanced.n > 0) {
		text_char(out, ' ');
		text_add(out, a->enhanced);
	}
	if (a->text.n > 0)
		text_char(out, ' ');
	from = out->n;
	text_add(out, a->text);
	for (; from < out->n; from++)
		if (out->p[from] == '\n')
			out->p[from] = ' ';
}

/* -- offers ---- */

static void
offer_size(struct span args, struct arena *arena, struct smtp_offers *o)
{
	struct span word = span_word(&args);

	(void)arena;
	if (span_u64(word, &o->size) != 1)
		o->size = 0;
}

/* "AUTH PLAIN LOGIN"; old servers say it a second time, as "AUTH=PLAIN". */
static void
offer_auth(struct span args, struct arena *arena, struct smtp_offers *o)
{
	struct span both = arena_printf(arena, "%.*s%s%.*s",
	    SPAN_ARG(o->mechanisms), o->mechanisms.n > 0 ? " " : "",
	    SPAN_ARG(span_trim(args)));

	if (both.p != NULL)
		o->mechanisms = both;
}

static void
offer_deliver_by(struct span args, struct arena *arena, struct smtp_offers *o)
{
	struct span word = span_word(&args);

	(void)arena;
	if (span_u64(word, &o->deliver_by_min) != 1)
		o->deliver_by_min = 0;
}

/* RFC 9422: "LIMITS MAILMAX=20 RCPTMAX=100"; what we do not know is skipped. */
static void
offer_limits(struct span args, struct arena *arena, struct smtp_offers *o)
{
	const struct {
		const char *name;
		uint32_t *at;
	} rows[] = {
		{ "MAILMAX", &o->mail_max }, { "RCPTMAX", &o->recipients_max },
		{ "RCPTDOMAINMAX", &o->domains_max },
	};
	struct span word, name, value;

	(void)arena;
	while ((word = span_word(&args)).n > 0) {
		value = span_cut(word, '=', &name);
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			if (span_is_nocase(name, rows[i].name) &&
			    span_u32(value, rows[i].at) != 1)
				*rows[i].at = 0;
	}
}

static const struct {
	const char *keyword;
	unsigned bit;
	void (*take)(struct span args, struct arena *, struct smtp_offers *);
} keywords[] = {
	{ "PIPELINING",		OFFERS_PIPELINING,	NULL },
	{ "8BITMIME",		OFFERS_8BITMIME,	NULL },
	{ "SMTPUTF8",		OFFERS_SMTPUTF8,	NULL },
	{ "CHUNKING",		OFFERS_CHUNKING,	NULL },
	{ "BINARYMIME",		OFFERS_BINARYMIME,	NULL },
	{ "STARTTLS",		OFFERS_STARTTLS,	NULL },
	{ "DSN",		OFFERS_DSN,		NULL },
	{ "SIZE",		OFFERS_SIZE,		offer_size },
	{ "AUTH",		OFFERS_AUTH,		offer_auth },
	{ "REQUIRETLS",		OFFERS_REQUIRETLS,	NULL },
	{ "DELIVERBY",		OFFERS_DELIVERBY,	offer_deliver_by },
	{ "MT-PRIORITY",	OFFERS_MT_PRIORITY,	NULL },
	{ "LIMITS",		OFFERS_LIMITS,		offer_limits },
	{ "ENHANCEDSTATUSCODES", OFFERS_ENHANCED,	NULL },
};

static void
take_offer(struct span line, struct arena *arena, struct smtp_offers *o)
{
	struct span args = line, word = span_word(&args), name;

	/* "AUTH=LOGIN": the name ends there. */
	if (span_starts_nocase(word, SPAN("AUTH="))) {
		(void)span_cut(word, '=', &name);
		args = span_from(line, (size_t)(word.p - line.p) + name.n + 1);
		word = name;
	}
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
		if (!span_is_nocase(word, keywords[i].keyword))
			continue;
		o->bits |= keywords[i].bit;
		if (keywords[i].take != NULL)
			keywords[i].take(args, arena, o);
	}
}

void
smtp_offers_parse(const struct smtp_answer *ehlo, struct arena *arena,
    struct smtp_offers *o)
{
	struct span line, rest;

	*o = (struct smtp_offers){ 0 };
	/* The first line is the server's name. */
	rest = span_cut(ehlo->text, '\n', &line);
	while (rest.n > 0) {
		rest = span_cut(rest, '\n', &line);
		take_offer(line, arena, o);
	}
}

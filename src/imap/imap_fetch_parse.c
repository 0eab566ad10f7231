/*
 * imap_fetch_parse.c - what a FETCH asks for.
 */
#include "imap/imap_fetch.h"
#include "imap/imap_search_parse.h"

enum { SECTION_MAX = 64 << 10 };

static const struct {
	const char *name;
	enum imap_fetch_kind kind;
} plain_items[] = {
	{ "UID", IMAP_FETCH_UID },
	{ "FLAGS", IMAP_FETCH_FLAGS },
	{ "INTERNALDATE", IMAP_FETCH_INTERNALDATE },
	{ "RFC822.SIZE", IMAP_FETCH_SIZE },
	{ "MODSEQ", IMAP_FETCH_MODSEQ },
	{ "EMAILID", IMAP_FETCH_EMAILID },
	{ "THREADID", IMAP_FETCH_THREADID },
	{ "SAVEDATE", IMAP_FETCH_SAVEDATE },
	{ "ENVELOPE", IMAP_FETCH_ENVELOPE },
	{ "BODY", IMAP_FETCH_BODY },
	{ "BODYSTRUCTURE", IMAP_FETCH_BODYSTRUCTURE },
};

static const struct {
	const char *name;
	enum imap_section_kind kind;
	bool sets_seen;
} old_items[] = {
	{ "RFC822", IMAP_SECTION_ALL, true },
	{ "RFC822.HEADER", IMAP_SECTION_HEADER, false },
	{ "RFC822.TEXT", IMAP_SECTION_TEXT, true },
};

static const struct {
	const char *name;
	enum imap_fetch_kind items[5];
	size_t count;
} macros[] = {
	{ "ALL", { IMAP_FETCH_FLAGS, IMAP_FETCH_INTERNALDATE, IMAP_FETCH_SIZE,
	    IMAP_FETCH_ENVELOPE }, 4 },
	{ "FAST", { IMAP_FETCH_FLAGS, IMAP_FETCH_INTERNALDATE,
	    IMAP_FETCH_SIZE }, 3 },
	{ "FULL", { IMAP_FETCH_FLAGS, IMAP_FETCH_INTERNALDATE,
	    IMAP_FETCH_SIZE, IMAP_FETCH_ENVELOPE, IMAP_FETCH_BODY }, 5 },
};

/* What an item needs, seen once when it is added. */
static void
note_needs(struct imap_fetch *f, const struct imap_fetch_item *item)
{
	switch (item->kind) {
	case IMAP_FETCH_UID:
		f->shows_uid = true;
		break;
	case IMAP_FETCH_FLAGS:
		f->shows_flags = true;
		break;
	case IMAP_FETCH_MODSEQ:
		f->shows_modseq = true;
		break;
	case IMAP_FETCH_EMAILID:
	case IMAP_FETCH_THREADID:
	case IMAP_FETCH_SAVEDATE:
		f->needs_details = true;
		break;
	case IMAP_FETCH_ENVELOPE:
	case IMAP_FETCH_BODY:
	case IMAP_FETCH_BODYSTRUCTURE:
	case IMAP_FETCH_PREVIEW:
		f->needs_summary = true;
		break;
	case IMAP_FETCH_BINARY:
	case IMAP_FETCH_BINARY_SIZE:
		f->needs_summary = f->needs_bytes = true;
		f->headers_only = false;
		break;
	case IMAP_FETCH_SECTION:
		f->needs_bytes = true;
		if (imap_section_needs_parts(&item->section))
			f->needs_summary = true;
		if (item->section.part_count > 0 ||
		    item->section.kind == IMAP_SECTION_ALL ||
		    item->section.kind == IMAP_SECTION_TEXT)
			f->headers_only = false;
		break;
	case IMAP_FETCH_INTERNALDATE:
	case IMAP_FETCH_SIZE:
		break;
	}
}

static bool
add(struct imap_parser *in, struct imap_fetch *f, struct imap_fetch_item item)
{
	if (f->count == IMAP_FETCH_ITEMS_MAX)
		return imap_parse_fail(in, "Too many items");
	/* A plain item asked for twice is answered once. */
	for (size_t i = 0; item.kind < IMAP_FETCH_SECTION && i < f->count; i++)
		if (f->items[i].kind == item.kind)
			return true;
	if (f->count % 16 == 0) {
		struct imap_fetch_item *grown = arena_grow(in->arena, f->items,
		    f->count * sizeof(item), (f->count + 16) * sizeof(item));

		if (grown == NULL)
			return imap_parse_fail(in, "Command too large");
		f->items = grown;
	}
	f->items[f->count++] = item;
	note_needs(f, &item);
	return true;
}

static bool
add_plain(struct imap_parser *in, struct imap_fetch *f,
    enum imap_fetch_kind kind)
{
	return add(in, f, (struct imap_fetch_item){ .kind = kind });
}

/* "RFC822.SIZE", "BODY.PEEK": up to the bracket. */
static struct span
take_word(struct imap_parser *in)
{
	struct span word = { in->rest.p, 0 };

	while (word.n < in->rest.n && (ascii_is_alnum(word.p[word.n]) ||
	    word.p[word.n] == '.'))
		word.n++;
	in->rest = span_from(in->rest, word.n);
	return word;
}

/* -- BODY[section]<partial> ---- */

/* A field name came as a quoted string or a literal: quote it again. */
static bool
requote(struct imap_parser *in, struct text *out)
{
	struct span string;

	if (!imap_parse_string(in, &string))
		return false;
	text_char(out, '"');
	for (size_t i = 0; i < string.n; i++) {
		if (string.p[i] == '"' || string.p[i] == '\\')
			text_char(out, '\\');
		text_char(out, string.p[i]);
	}
	text_char(out, '"');
	return true;
}

/* What stands up to the "]", with every string in quotes. */
static bool
take_brackets(struct imap_parser *in, struct span *out)
{
	struct text text = TEXT_INIT(SECTION_MAX);
	bool good = true;
	int c;

	while (good && (c = imap_parse_peek(in)) != ']') {
		if (c == '"' || c == '{') {
			good = requote(in, &text);
			continue;
		}
		if (c < ' ' || c >= 0x7f) {
			good = imap_parse_fail(in, "\"]\" expected");
			continue;
		}
		text_char(&text, (char)c);
		imap_parse_next(in, (char)c);
	}
	if (good) {
		imap_parse_next(in, ']');
		*out = arena_dup(in->arena, text_span(&text));
		good = !text_full(&text) && out->p != NULL;
		if (!good)
			imap_parse_fail(in, "Section too long");
	}
	text_free(&text);
	return good;
}

static bool
take_partial(struct imap_parser *in, struct imap_section *section)
{
	if (!imap_parse_next(in, '<'))
		return true;
	section->is_partial = true;
	if (!imap_parse_u63(in, &section->origin) ||
	    !imap_parse_char(in, '.') ||
	    !imap_parse_u63(in, &section->octets) || !imap_parse_char(in, '>'))
		return false;
	return section->octets > 0 ||
	    imap_parse_fail(in, "A partial fetch of nothing");
}

static bool
take_section(struct imap_parser *in, struct imap_fetch *f, bool peek)
{
	struct imap_fetch_item item = { .kind = IMAP_FETCH_SECTION };
	struct span text;

	imap_parse_next(in, '[');
	if (!take_brackets(in, &text))
		return false;
	if (imap_section_parse(text, in->arena, &item.section) != 1)
		return imap_parse_fail(in, "No such section");
	if (!take_partial(in, &item.section))
		return false;
	f->sets_seen |= !peek;
	return add(in, f, item);
}

/* -- BINARY[1.2]<partial>, BINARY.SIZE[1.2] ---- */

static bool
take_binary(struct imap_parser *in, struct imap_fetch *f,
    enum imap_fetch_kind kind, bool peek)
{
	struct imap_fetch_item item = { .kind = kind };
	struct span text;

	imap_parse_next(in, '[');
	if (!take_brackets(in, &text))
		return false;
	if (imap_section_parse(text, in->arena, &item.section) != 1 ||
	    item.section.kind != IMAP_SECTION_ALL)
		return imap_parse_fail(in, "No such section");
	if (kind == IMAP_FETCH_BINARY && !take_partial(in, &item.section))
		return false;
	f->sets_seen |= !peek;
	return add(in, f, item);
}

/* -- items ---- */

/* "PREVIEW (LAZY)", of which the first word is taken (RFC 8970). */
static bool
take_preview(struct imap_parser *in, struct imap_fetch *f)
{
	struct imap_fetch_item item = { .kind = IMAP_FETCH_PREVIEW };
	struct imap_parser ahead = *in;
	struct span word;

	if (imap_parse_next(&ahead, ' ') && imap_parse_next(&ahead, '(')) {
		word = take_word(&ahead);
		item.lazy = span_is_nocase(word, "LAZY");
		if (item.lazy && !imap_parse_char(&ahead, ')'))
			return imap_parse_fail(in, "\")\" expected");
	}
	if (item.lazy)
		*in = ahead;
	return add(in, f, item);
}

static const struct {
	const char *name;
	enum imap_fetch_kind kind;
	bool peek;
} binary_items[] = {
	{ "BINARY", IMAP_FETCH_BINARY, false },
	{ "BINARY.PEEK", IMAP_FETCH_BINARY, true },
	{ "BINARY.SIZE", IMAP_FETCH_BINARY_SIZE, true },
};

static bool
take_item(struct imap_parser *in, struct imap_fetch *f)
{
	struct span word = take_word(in);
	bool bracket = imap_parse_peek(in) == '[';

	if (bracket && span_is_nocase(word, "BODY"))
		return take_section(in, f, false);
	if (bracket && span_is_nocase(word, "BODY.PEEK"))
		return take_section(in, f, true);
	for (size_t i = 0; bracket && i < ARRAY_LEN(binary_items); i++)
		if (span_is_nocase(word, binary_items[i].name))
			return take_binary(in, f, binary_items[i].kind,
			    binary_items[i].peek);
	if (span_is_nocase(word, "PREVIEW"))
		return take_preview(in, f);
	for (size_t i = 0; i < ARRAY_LEN(plain_items); i++)
		if (span_is_nocase(word, plain_items[i].name))
			return add_plain(in, f, plain_items[i].kind);
	for (size_t i = 0; i < ARRAY_LEN(old_items); i++)
		if (span_is_nocase(word, old_items[i].name)) {
			f->sets_seen |= old_items[i].sets_seen;
			return add(in, f, (struct imap_fetch_item){
			    .kind = IMAP_FETCH_SECTION,
			    .section = { .kind = old_items[i].kind },
			    .name = old_items[i].name });
		}
	return imap_parse_fail(in, "Unknown FETCH item");
}

static bool
take_macro(struct imap_parser *in, struct imap_fetch *f, bool *taken)
{
	struct imap_parser ahead = *in;
	struct span word = take_word(&ahead);

	*taken = false;
	for (size_t i = 0; i < ARRAY_LEN(macros); i++) {
		if (!span_is_nocase(word, macros[i].name))
			continue;
		*taken = true;
		*in = ahead;
		for (size_t j = 0; j < macros[i].count; j++)
			if (!add_plain(in, f, macros[i].items[j]))
				return false;
	}
	return true;
}

static bool
take_items(struct imap_parser *in, struct imap_fetch *f)
{
	bool taken;

	if (!imap_parse_next(in, '(')) {
		if (!take_macro(in, f, &taken))
			return false;
		return taken || take_item(in, f);
	}
	do {
		if (!take_item(in, f))
			return false;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')');
}

static bool
take_modifiers(struct imap_parser *in, struct imap_fetch *f)
{
	struct span word;

	if (!imap_parse_next(in, ' '))
		return true;
	if (!imap_parse_char(in, '('))
		return false;
	do {
		if (!imap_parse_atom(in, &word))
			return false;
		if (span_is_nocase(word, "VANISHED")) {
			f->vanished = true;
			continue;
		}
		if (span_is_nocase(word, "PARTIAL")) {
			if (!imap_parse_space(in) ||
			    !imap_parse_partial(in, &f->partial))
				return false;
			continue;
		}
		if (!span_is_nocase(word, "CHANGEDSINCE"))
			return imap_parse_fail(in, "Unknown modifier");
		if (!imap_parse_space(in) ||
		    !imap_parse_u63(in, &f->changed_since))
			return false;
		f->is_conditional = true;
	} while (imap_parse_next(in, ' '));
	if (f->vanished && !f->is_conditional)
		return imap_parse_fail(in, "VANISHED goes with CHANGEDSINCE");
	return imap_parse_char(in, ')');
}

bool
imap_parse_fetch(struct imap_parser *in, bool uid, struct imap_fetch *f)
{
	*f = (struct imap_fetch){ .headers_only = true };
	if (!imap_parse_space(in) || !imap_parse_set(in, &f->set) ||
	    !imap_parse_space(in))
		return false;
	if (!take_items(in, f) || !take_modifiers(in, f) ||
	    !imap_parse_end(in))
		return false;
	if (f->is_conditional && !add_plain(in, f, IMAP_FETCH_MODSEQ))
		return false;
	if (!uid || f->shows_uid)
		return true;
	/* UID FETCH answers with the UID, asked for or not: first. */
	if (!add_plain(in, f, IMAP_FETCH_UID))
		return false;
	memmove(f->items + 1, f->items, (f->count - 1) * sizeof(*f->items));
	f->items[0] = (struct imap_fetch_item){ .kind = IMAP_FETCH_UID };
	return true;
}

/*
 * imap_envelope.c - strings and envelopes as RFC 3501 writes them.
 */
#include "imap/imap_envelope.h"
#include "imap/imap_put.h"
#include "mail/encode.h"
#include "mail/words.h"

#define ONES	((uint64_t)0x0101010101010101u)

/*
 * Eight bytes at once: is none of them a control, a quote, a backslash or
 * beyond ASCII? (A byte below n, or zero, borrows from its highest bit.)
 */
static bool
all_plain(uint64_t w)
{
	uint64_t quote = w ^ ONES * '"', back = w ^ ONES * '\\';

	return ((w | (w - ONES * ' ') | (quote - ONES) | (back - ONES)) &
	    ONES * 0x80) == 0;
}

/* Two halves that overlap, of four bytes to seven. */
static bool
copy_short(char *to, const char *p, size_t n)
{
	uint32_t low, high;

	memcpy(&low, p, sizeof(low));
	memcpy(&high, p + n - sizeof(high), sizeof(high));
	if (!all_plain((uint64_t)high << 32 | low))
		return false;
	memcpy(to, &low, sizeof(low));
	memcpy(to + n - sizeof(high), &high, sizeof(high));
	return true;
}

/* As almost all strings are: nothing in it needs a look of its own. */
static bool
copy_plain(char *to, struct span s)
{
	uint64_t w;

	if (s.n >= 4 && s.n < sizeof(w))
		return copy_short(to, s.p, s.n);
	for (size_t i = 0; i + sizeof(w) <= s.n; i += sizeof(w)) {
		memcpy(&w, s.p + i, sizeof(w));
		if (!all_plain(w))
			return false;
		memcpy(to + i, &w, sizeof(w));
	}
	if (s.n >= sizeof(w))
		return copy_short(to + s.n - 7, s.p + s.n - 7, 7);
	for (size_t i = 0; i < s.n; i++) {
		if (!all_plain((uint64_t)(unsigned char)s.p[i] * ONES))
			return false;
		to[i] = s.p[i];
	}
	return true;
}

/* Byte by byte. False: it may not stand between quotes. */
static bool
copy_quoting(char **to, struct span s, enum imap_text_mode mode)
{
	bool ascii = true;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\r' || c == '\n' || c == '\0')
			return false;
		ascii &= (unsigned char)c < 0x80;
		if (c == '"' || c == '\\')
			*(*to)++ = '\\';
		*(*to)++ = c;
	}
	return ascii || (mode == IMAP_TEXT_UTF8 && utf8_valid(s));
}

/*
 * Between quotes; '"' and '\\' with a backslash before. False, and nothing is
 * written, when it cannot stand there.
 */
static bool
add_quoted(struct text *out, struct span s, enum imap_text_mode mode)
{
	char *to = put_room(out, 2 * s.n + 2), *start = to;

	if (to == NULL)
		return true;		/* full: it stays so */
	*to++ = '"';
	if (copy_plain(to, s))
		to += s.n;
	else if (!copy_quoting(&to, s, mode))
		return false;
	*to++ = '"';
	text_grew(out, (size_t)(to - start));
	return true;
}

void
imap_add_literal(struct text *out, struct span s)
{
	text_char(out, '{');
	text_u64(out, s.n);
	text_str(out, "}\r\n");
	text_add(out, s);
}

/* A literal of text: a NUL may not stand in it (RFC 3501 4.3). */
static void
add_text_literal(struct text *out, struct span s)
{
	size_t i, from;

	text_char(out, '{');
	text_u64(out, s.n);
	text_str(out, "}\r\n");
	from = out->n;
	text_add(out, s);
	for (i = from; i < out->n; i++) {
		if (out->p[i] == '\0')
			out->p[i] = '?';
	}
}

void
imap_add_string(struct text *out, struct span s, enum imap_text_mode mode)
{
	if (!add_quoted(out, s, mode))
		add_text_literal(out, s);
}

void
imap_add_nstring(struct text *out, struct span s, enum imap_text_mode mode)
{
	if (s.p == NULL)
		put_lit(out, "NIL");
	else
		imap_add_string(out, s, mode);
}

void
imap_add_free_text(struct text *out, struct span s, enum imap_text_mode mode)
{
	struct text encoded;

	if (add_quoted(out, s, mode))
		return;
	if (utf8_is_ascii(s) || (mode == IMAP_TEXT_UTF8 && utf8_valid(s))) {
		add_text_literal(out, s);
		return;
	}
	encoded = TEXT_INIT(0);
	words_encode(s, &encoded);
	imap_add_string(out, text_span(&encoded), mode);
	text_free(&encoded);
}

/* ASTRING-CHAR of RFC 3501 section 9. */
static bool
is_astring(struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] <= ' ' || s.p[i] > '~' ||
		    strchr("(){%*\"\\", s.p[i]) != NULL)
			return false;
	}
	return s.n > 0 && !span_is_nocase(s, "NIL");
}

void
imap_add_astring(struct text *out, struct span s, enum imap_text_mode mode)
{
	if (is_astring(s))
		text_add(out, s);
	else
		imap_add_string(out, s, mode);
}

/* ---- ENVELOPE ------------------------------------------------------------ */

static void
add_free_nstring(struct text *out, struct span s, enum imap_text_mode mode)
{
	if (s.p == NULL)
		put_lit(out, "NIL");
	else
		imap_add_free_text(out, s, mode);
}

/* A host of NIL would make a group of it (RFC 3501 7.4.2): "" it is then. */
static void
add_mailbox(struct text *out, const struct address_entry *e,
    enum imap_text_mode mode)
{
	put_char(out, '(');
	add_free_nstring(out, e->name.n > 0 ? e->name : SPAN_EMPTY, mode);
	put_char(out, ' ');
	imap_add_nstring(out, e->route, mode);
	put_char(out, ' ');
	imap_add_string(out, e->local, mode);
	put_char(out, ' ');
	imap_add_string(out, e->domain, mode);
	put_char(out, ')');
}

static void
add_address(struct text *out, const struct address_entry *e,
    enum imap_text_mode mode)
{
	switch (e->kind) {
	case ADDRESS_MAILBOX:
		add_mailbox(out, e, mode);
		break;
	case ADDRESS_GROUP:
		put_lit(out, "(NIL NIL ");
		imap_add_free_text(out, e->name, mode);
		put_lit(out, " NIL)");
		break;
	case ADDRESS_GROUP_END:
		put_lit(out, "(NIL NIL NIL NIL)");
		break;
	}
}

static void
add_list(struct text *out, const struct address_entry *e,
    enum imap_text_mode mode)
{
	put_char(out, ' ');
	if (e == NULL) {
		put_lit(out, "NIL");
		return;
	}
	put_char(out, '(');
	for (; e != NULL; e = e->next)
		add_address(out, e, mode);
	put_char(out, ')');
}

void
imap_add_envelope(struct text *out, const struct summary_envelope *e,
    enum imap_text_mode mode)
{
	put_char(out, '(');
	imap_add_nstring(out, e->date, mode);
	put_char(out, ' ');
	add_free_nstring(out, e->subject, mode);
	add_list(out, e->from, mode);
	/* Where they are missing, the server says From. */
	add_list(out, e->sender != NULL ? e->sender : e->from, mode);
	add_list(out, e->reply_to != NULL ? e->reply_to : e->from, mode);
	add_list(out, e->to, mode);
	add_list(out, e->cc, mode);
	add_list(out, e->bcc, mode);
	put_char(out, ' ');
	imap_add_nstring(out, e->in_reply_to, mode);
	put_char(out, ' ');
	imap_add_nstring(out, e->message_id, mode);
	put_char(out, ')');
}

/*
 * imap_envelope.c - strings and envelopes as RFC 3501 writes them.
 */
#include "imap/imap_envelope.h"
#include "mail/encode.h"
#include "mail/words.h"

/* What may stand between quotes; '"' and '\' with a backslash before. */
static bool
is_quotable(struct span s, enum imap_text_mode mode)
{
	size_t i;
	bool ascii = true;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
			return false;
		ascii &= (unsigned char)s.p[i] < 0x80;
	}
	return ascii || (mode == IMAP_TEXT_UTF8 && utf8_valid(s));
}

static void
add_quoted(struct text *out, struct span s)
{
	char *to = text_room(out, 2 * s.n + 2), *start = to;
	size_t i;

	if (to == NULL)
		return;
	*to++ = '"';
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			*to++ = '\\';
		*to++ = s.p[i];
	}
	*to++ = '"';
	text_grew(out, (size_t)(to - start));
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
	if (is_quotable(s, mode))
		add_quoted(out, s);
	else
		add_text_literal(out, s);
}

void
imap_add_nstring(struct text *out, struct span s, enum imap_text_mode mode)
{
	if (s.p == NULL)
		text_str(out, "NIL");
	else
		imap_add_string(out, s, mode);
}

void
imap_add_free_text(struct text *out, struct span s, enum imap_text_mode mode)
{
	struct text encoded;

	if (utf8_is_ascii(s) || (mode == IMAP_TEXT_UTF8 && utf8_valid(s))) {
		imap_add_string(out, s, mode);
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
		text_str(out, "NIL");
	else
		imap_add_free_text(out, s, mode);
}

/* A host of NIL would make a group of it (RFC 3501 7.4.2): "" it is then. */
static void
add_mailbox(struct text *out, const struct address_entry *e,
    enum imap_text_mode mode)
{
	text_char(out, '(');
	add_free_nstring(out, e->name.n > 0 ? e->name : SPAN_EMPTY, mode);
	text_char(out, ' ');
	imap_add_nstring(out, e->route, mode);
	text_char(out, ' ');
	imap_add_string(out, e->local, mode);
	text_char(out, ' ');
	imap_add_string(out, e->domain, mode);
	text_char(out, ')');
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
		text_str(out, "(NIL NIL ");
		imap_add_free_text(out, e->name, mode);
		text_str(out, " NIL)");
		break;
	case ADDRESS_GROUP_END:
		text_str(out, "(NIL NIL NIL NIL)");
		break;
	}
}

static void
add_list(struct text *out, const struct address_entry *e,
    enum imap_text_mode mode)
{
	text_char(out, ' ');
	if (e == NULL) {
		text_str(out, "NIL");
		return;
	}
	text_char(out, '(');
	for (; e != NULL; e = e->next)
		add_address(out, e, mode);
	text_char(out, ')');
}

void
imap_add_envelope(struct text *out, const struct summary_envelope *e,
    enum imap_text_mode mode)
{
	text_char(out, '(');
	imap_add_nstring(out, e->date, mode);
	text_char(out, ' ');
	add_free_nstring(out, e->subject, mode);
	add_list(out, e->from, mode);
	/* Where they are missing, the server says From. */
	add_list(out, e->sender != NULL ? e->sender : e->from, mode);
	add_list(out, e->reply_to != NULL ? e->reply_to : e->from, mode);
	add_list(out, e->to, mode);
	add_list(out, e->cc, mode);
	add_list(out, e->bcc, mode);
	text_char(out, ' ');
	imap_add_nstring(out, e->in_reply_to, mode);
	text_char(out, ' ');
	imap_add_nstring(out, e->message_id, mode);
	text_char(out, ')');
}

/*
 * smtp_header.c - Received, Return-Path, Date, Message-ID.
 *
 * Every value is either ours or was checked by the parser: the name of EHLO
 * holds letters of host names only, an address none that would end a field.
 */
#include "smtp/smtp_header.h"

#include "mail/header.h"

/* RFC 3848 2, RFC 6531 4.3: E for EHLO, S for TLS, A for a login. */
void
smtp_protocol_name(const struct smtp_origin *o, struct text *out)
{
	if (o->lmtp)
		text_str(out, o->utf8 ? "UTF8LMTP" : "LMTP");
	else
		text_str(out, o->utf8 ? "UTF8SMTP" : o->esmtp ? "ESMTP" :
		    "SMTP");
	if (!o->esmtp)
		return;
	if (o->tls.n > 0)
		text_char(out, 'S');
	if (o->authenticated)
		text_char(out, 'A');
}

static void
add_path(struct text *out, struct span address)
{
	text_char(out, '<');
	text_add(out, address);
	text_char(out, '>');
}

void
smtp_return_path(const struct smtp_origin *o, struct text *out)
{
	text_str(out, "Return-Path: ");
	add_path(out, o->sender);
	text_str(out, "\r\n");
}

static void
add_literal(struct text *out, struct span address)
{
	text_str(out, span_find_char(address, ':', 0) == SIZE_MAX ? "[" :
	    "[IPv6:");
	text_add(out, address);
	text_char(out, ']');
}

/* Who keeps the client's address private comes from here, as it seems. */
static void
add_from(const struct smtp_origin *o, struct text *out)
{
	if (o->address.n == 0) {
		text_add(out, o->hostname);
		return;
	}
	text_add(out, o->helo);
	text_str(out, " (");
	if (o->name.n > 0) {
		text_add(out, o->name);
		text_char(out, ' ');
	}
	add_literal(out, o->address);
	text_char(out, ')');
}

void
smtp_received(const struct smtp_origin *o, struct text *out)
{
	text_str(out, "Received: from ");
	add_from(o, out);
	text_str(out, "\r\n\tby ");
	text_add(out, o->hostname);
	text_str(out, " with ");
	smtp_protocol_name(o, out);
	text_str(out, " id ");
	text_add(out, o->id);
	if (o->tls.n > 0) {
		text_str(out, "\r\n\t(");
		text_add(out, o->tls);
		text_char(out, ')');
	}
	if (o->recipient.n > 0) {
		text_str(out, "\r\n\tfor ");
		add_path(out, o->recipient);
	}
	if (o->priority != 0)
		text_printf(out, "\r\n\tPRIORITY %d", o->priority);
	text_str(out, ";\r\n\t");
	date_add_message(out, (struct date){ .seconds = o->now });
	text_str(out, "\r\n");
}

/* Does it begin with a field, or with the empty line that ends none? */
static bool
begins_with_header(struct span s)
{
	struct header_field f;
	size_t at = 0;

	if (span_starts(s, SPAN("\r\n")))
		return true;
	return header_next(s, &at, &f) && f.name.n > 0;
}

void
smtp_complete(const struct smtp_origin *o, struct span header,
    struct text *out)
{
	struct header_survey survey;
	bool bare = !begins_with_header(header);

	header_survey(bare ? SPAN_EMPTY : header, &survey);
	if (survey.date == 0) {
		text_str(out, "Date: ");
		date_add_message(out, (struct date){ .seconds = o->now });
		text_str(out, "\r\n");
	}
	if (survey.message_id == 0) {
		text_str(out, "Message-ID: <");
		text_add(out, o->id);
		text_char(out, '@');
		text_add(out, o->hostname);
		text_str(out, ">\r\n");
	}
	if (bare)
		text_str(out, "\r\n");
}

/*
 * smtp_client_parameters.c - what MAIL and RCPT carry beside the address:
 * RFC 1870, 2852, 3461, 6152, 6531, 6710, 8689. Each only where it is
 * offered. Pure.
 */
#include "ipc/contract.h"
#include "mail/encode.h"
#include "smtp/smtp_client_impl.h"

/* RFC 3461 4: printable, without "+" and "=". */
static bool
is_xchar(char c)
{
	return c > ' ' && c < 0x7f && c != '+' && c != '=';
}

static void
add_xtext(struct text *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (is_xchar(s.p[i]))
			text_char(out, s.p[i]);
		else
			text_printf(out, "+%02X", (unsigned char)s.p[i]);
	}
}

/*
 * RFC 6533 3: an address with UTF-8 in it, "\x{E9}" for what may not stand
 * as it is; outside of SMTPUTF8 all that is not ASCII.
 */
static void
add_utf8_address(struct text *out, struct span s, bool utf8)
{
	size_t at = 0, from;
	int32_t code;

	while (at < s.n) {
		from = at;
		code = utf8_next(s, &at);
		if (code < 0)
			text_char(out, '?');
		else if (code < 0x80 ? is_xchar((char)code) && code != '\\'
		    : utf8)
			text_add(out, span_sub(s, from, at - from));
		else
			text_printf(out, "\\x{%02X}", (unsigned)code);
	}
}

bool
smtp_client_address_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

/* -- MAIL ---- */

static void
add_deliver_by(const struct smtp_client_message *m, struct text *out)
{
	text_printf(out, " BY=%" PRId64 ";%c%s", m->deliver_by,
	    m->by_return ? 'R' : 'N', m->by_trace ? "T" : "");
}

static void
add_dsn(const struct smtp_client_message *m, struct text *out)
{
	if (m->ret != 0)
		text_str(out, (m->ret & ENVELOPE_RET_FULL) != 0
		    ? " RET=FULL" : " RET=HDRS");
	if (m->envid.n > 0) {
		text_str(out, " ENVID=");
		add_xtext(out, m->envid);
	}
}

void
smtp_client_mail_parameters(const struct smtp_client_message *m,
    const struct smtp_offers *o, struct text *out)
{
	if ((o->bits & OFFERS_SIZE) != 0)
		text_printf(out, " SIZE=%zu", m->head.n + m->rest.n);
	if (m->binary && (o->bits & OFFERS_BINARYMIME) != 0)
		text_str(out, " BODY=BINARYMIME");
	else if (m->has_8bit && (o->bits & OFFERS_8BITMIME) != 0)
		text_str(out, " BODY=8BITMIME");
	if (m->utf8 && (o->bits & OFFERS_SMTPUTF8) != 0)
		text_str(out, " SMTPUTF8");
	if ((o->bits & OFFERS_DSN) != 0)
		add_dsn(m, out);
	if (m->require_tls && (o->bits & OFFERS_REQUIRETLS) != 0)
		text_str(out, " REQUIRETLS");
	if (m->deliver_by != 0 && (o->bits & OFFERS_DELIVERBY) != 0)
		add_deliver_by(m, out);
	if (m->priority != 0 && (o->bits & OFFERS_MT_PRIORITY) != 0)
		text_printf(out, " MT-PRIORITY=%" PRId64, m->priority);
}

/* -- RCPT ---- */

static void
add_notify(uint32_t notify, struct text *out)
{
	static const struct {
		uint32_t bit;
		const char *word;
	} rows[] = {
		{ NOTIFY_SUCCESS, "SUCCESS" }, { NOTIFY_FAILURE, "FAILURE" },
		{ NOTIFY_DELAY, "DELAY" },
	};
	const char *before = " NOTIFY=";

	if ((notify & NOTIFY_NEVER) != 0) {
		text_str(out, " NOTIFY=NEVER");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if ((notify & rows[i].bit) == 0)
			continue;
		text_str(out, before);
		text_str(out, rows[i].word);
		before = ",";
	}
}

/* "type;address"; without a type it is one of ours. */
static void
add_original(const struct smtp_client_message *m, struct span original,
    bool utf8, struct text *out)
{
	struct span type = SPAN("rfc822"), address = original;
	size_t semicolon = span_find_char(original, ';', 0);

	if (semicolon != SIZE_MAX && semicolon > 0) {
		type = span_sub(original, 0, semicolon);
		address = span_from(original, semicolon + 1);
	}
	if (!utf8_is_ascii(address))
		type = SPAN("utf-8");
	text_str(out, " ORCPT=");
	add_xtext(out, type);
	text_char(out, ';');
	if (span_is_nocase(type, "utf-8"))
		add_utf8_address(out, address, utf8 && m->utf8);
	else
		add_xtext(out, address);
}

void
smtp_client_rcpt_parameters(const struct smtp_client_message *m,
    const struct smtp_client_recipient *r, const struct smtp_offers *o,
    struct text *out)
{
	if ((o->bits & OFFERS_DSN) == 0)
		return;
	add_notify(r->notify, out);
	if (r->original.n > 0)
		add_original(m, r->original,
		    (o->bits & OFFERS_SMTPUTF8) != 0, out);
}

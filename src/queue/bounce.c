/*
 * bounce.c - delivery status notifications (RFC 3464, RFC 6522, RFC 6533).
 */
#include "queue/bounce.h"
#include "base/secret.h"
#include "mail/date.h"
#include "mail/encode.h"
#include "mail/header.h"

enum { FIELD_MAX = 800 };		/* RFC 5322 2.1.1: 998 with its name */

bool
bounce_wanted(const struct envelope *e, const struct envelope_recipient *r,
    enum bounce_kind kind)
{
	static const uint32_t bits[] = { NOTIFY_FAILURE, NOTIFY_DELAY,
	    NOTIFY_SUCCESS };

	if (e->sender.n == 0)
		return false;
	if (r->notify == 0)
		return kind != BOUNCE_SUCCESS;
	return (r->notify & NOTIFY_NEVER) == 0 &&
	    (r->notify & bits[kind]) != 0;
}

/* The words that differ, by kind and by action. */
static const struct {
	const char *subject, *words;
} kinds[] = {
	[BOUNCE_FAILED] = { "Your message could not be delivered",
	    "Your message did not reach the addresses below, and will "
	    "not be tried again.\r\n" },
	[BOUNCE_DELAYED] = { "Your message is delayed",
	    "Your message has not reached the addresses below yet.\r\n"
	    "It will be tried again; you need not send it again.\r\n" },
	[BOUNCE_SUCCESS] = { "Your message has arrived",
	    "You asked to be told what became of your message.\r\n" },
};
static const struct {
	const char *name, *standard;	/* the status where none is said */
	const char *words;
} actions[BOUNCE_ACTIONS] = {
	[BOUNCE_IS_FAILED] = { "failed", "5.0.0", "no reason" },
	[BOUNCE_IS_DELAYED] = { "delayed", "4.0.0", "no reason" },
	[BOUNCE_IS_DELIVERED] = { "delivered", "2.0.0", "delivered" },
	[BOUNCE_IS_RELAYED] = { "relayed", "2.0.0", "handed on to a system "
	    "that will not tell you more" },
	[BOUNCE_IS_EXPANDED] = { "expanded", "2.0.0",
	    "handed on to several addresses" },
};

/* RFC 3463: class "." subject "." detail, one to three digits each. */
static size_t
status_length(struct span reason)
{
	size_t at = 0;

	for (int part = 0; part < 3; part++) {
		size_t digits = 0;

		while (at < reason.n && ascii_is_digit(reason.p[at])) {
			digits++;
			at++;
		}
		if (digits == 0 || digits > 3)
			return 0;
		if (part < 2 && (at == reason.n || reason.p[at++] != '.'))
			return 0;
	}
	return at == reason.n || reason.p[at] == ' ' ? at : 0;
}

struct span
bounce_status(struct span reason, enum bounce_action action,
    struct span *rest)
{
	size_t n = status_length(reason);

	*rest = span_trim(span_from(reason, n));
	if (n == 0)
		return span_str(actions[action].standard);
	return span_sub(reason, 0, n);
}

static bool
is_international(const struct bounce *b)
{
	if (!utf8_is_ascii(b->envelope->sender))
		return true;
	for (size_t i = 0; i < b->envelope->count; i++)
		if (!utf8_is_ascii(b->envelope->recipients[i].address))
			return true;
	return false;
}

static void
add_date(struct text *out, walltime_t at)
{
	date_add_message(out, (struct date){ at / 1000000, 0 });
}

static void
add_header(const struct bounce *b, const char *boundary, struct text *out,
    uint32_t *prefix, struct text *message_id)
{
	const struct envelope *e = b->envelope;
	char id[QUEUE_ID_CHARS + 1];
	size_t before = out->n;

	queue_id_of(&b->token, id);
	text_printf(message_id, "<%s@%.*s>", id, SPAN_ARG(b->hostname));

	text_str(out, "Return-Path: <>\r\n");
	*prefix = (uint32_t)(out->n - before);
	text_str(out, "Date: ");
	add_date(out, b->now);
	text_printf(out, "\r\nFrom: Mail Delivery System <MAILER-DAEMON@%.*s>"
	    "\r\n", SPAN_ARG(b->hostname));
	text_printf(out, "To: <%.*s>\r\n", SPAN_ARG(e->sender));
	text_printf(out, "Subject: %s\r\n", kinds[b->kind].subject);
	header_add(out, "Message-ID", text_span(message_id));
	if (e->message_id.n > 0) {
		header_add(out, "In-Reply-To", e->message_id);
		header_add(out, "References", e->message_id);
	}
	text_str(out, "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n");
	text_printf(out, "\tboundary=\"%s\"\r\n\r\n", boundary);
}

/* Text of somebody else's: valid, on one line, and not beyond its length. */
static void
add_clean(struct text *out, struct span s)
{
	struct text clean = TEXT_INIT(0);

	utf8_add_scrubbed(&clean, span_sub(s, 0, FIELD_MAX));
	for (size_t i = 0; i < clean.n; i++)
		if ((unsigned char)clean.p[i] < 0x20 || clean.p[i] == 0x7f)
			clean.p[i] = ' ';
	text_add(out, text_span(&clean));
	text_free(&clean);
}

static void
add_words(const struct bounce *b, struct text *out)
{
	const struct envelope *e = b->envelope;

	text_str(out, "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n");
	text_str(out, kinds[b->kind].words);
	for (size_t i = 0; i < e->count; i++) {
		const struct envelope_recipient *r = &e->recipients[i];
		enum bounce_action action = b->fates[i].action;
		struct span why;

		if (action == BOUNCE_NOTHING)
			continue;
		bounce_status(r->reason, action, &why);
		text_printf(out, "\r\n<%.*s>:\r\n    ",
		    SPAN_ARG(r->address));
		add_clean(out, why.n > 0 ? why :
		    span_str(actions[action].words));
		text_str(out, "\r\n");
	}
}

static void
add_field(struct text *out, const char *name, struct span value)
{
	text_str(out, name);
	add_clean(out, value);
	text_str(out, "\r\n");
}

/* "mx.example.org[192.0.2.1]:25" is mx.example.org. */
static void
add_remote(struct text *out, struct span remote)
{
	size_t end = span_find_char(remote, '[', 0);

	if (end == 0)			/* an address alone */
		end = span_find_char(remote, ']', 0) + 1;
	add_field(out, "Remote-MTA: dns; ", span_sub(remote, 0, end));
}

static void
add_recipient(const struct bounce *b, const struct envelope_recipient *r,
    const struct bounce_fate *fate, struct text *out)
{
	struct span why, status = bounce_status(r->reason, fate->action, &why);

	text_str(out, "\r\n");
	if (r->original.n > 0)
		add_field(out, "Original-Recipient: ", r->original);
	text_printf(out, "Final-Recipient: %s; %.*s\r\n",
	    utf8_is_ascii(r->address) ? "rfc822" : "utf-8",
	    SPAN_ARG(r->address));
	text_printf(out, "Action: %s\r\nStatus: %.*s\r\n",
	    actions[fate->action].name, SPAN_ARG(status));
	if (fate->remote.n > 0)
		add_remote(out, fate->remote);
	if (fate->answer.n > 0)
		add_field(out, "Diagnostic-Code: smtp; ", fate->answer);
	else if (why.n > 0)
		add_field(out, "Diagnostic-Code: X-Postrider; ", why);
	text_str(out, "Last-Attempt-Date: ");
	add_date(out, b->now);
	text_str(out, "\r\n");
	if (fate->action == BOUNCE_IS_DELAYED) {
		text_str(out, "Will-Retry-Until: ");
		add_date(out, b->retry_until * 1000000);
		text_str(out, "\r\n");
	}
}

static void
add_status(const struct bounce *b, bool international, struct text *out)
{
	const struct envelope *e = b->envelope;

	text_str(out, international
	    ? "Content-Type: message/global-delivery-status\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n"
	    : "Content-Type: message/delivery-status\r\n\r\n");
	if (e->envid.n > 0)
		add_field(out, "Original-Envelope-Id: ", e->envid);
	text_printf(out, "Reporting-MTA: dns; %.*s\r\nArrival-Date: ",
	    SPAN_ARG(b->hostname));
	add_date(out, e->arrived);
	text_str(out, "\r\n");
	for (size_t i = 0; i < e->count; i++)
		if (b->fates[i].action != BOUNCE_NOTHING)
			add_recipient(b, &e->recipients[i], &b->fates[i],
			    out);
}

/* The header as it came, whole lines of it, every line end a CRLF. */
static void
add_quoted_header(struct span header, struct text *out)
{
	size_t used = 0;

	while (header.n > 0) {
		struct span line;
		size_t end = span_find_char(header, '\n', 0);

		line = end == SIZE_MAX ? header : span_sub(header, 0, end);
		header = span_from(header, line.n + 1);
		line = span_chomp(line);
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n == 0 || used + line.n + 2 > BOUNCE_HEADER_MAX)
			break;
		used += line.n + 2;
		text_add(out, line);
		text_str(out, "\r\n");
	}
}

/* What came, as it came, or its header alone (RFC 3462, RFC 6533). */
static void
add_original(const struct bounce *b, bool international, struct text *out)
{
	text_str(out, b->whole ? (international
	    ? "Content-Type: message/global\r\n"
	    : "Content-Type: message/rfc822\r\n") : (international
	    ? "Content-Type: message/global-headers\r\n"
	    : "Content-Type: text/rfc822-headers\r\n"));
	text_str(out, utf8_is_ascii(b->original)
	    ? "\r\n" : "Content-Transfer-Encoding: 8bit\r\n\r\n");
	if (b->whole)
		text_add(out, b->original);
	else
		add_quoted_header(b->original, out);
}

void
bounce_build(const struct bounce *b, struct text *out, uint32_t *prefix,
    struct text *message_id)
{
	bool international = is_international(b);
	char boundary[2 * sizeof(b->token.b) + 2] = "=";

	/* The token is random: nothing that is quoted knows it. */
	hex_of(boundary + 1, b->token.b, sizeof(b->token.b));
	add_header(b, boundary, out, prefix, message_id);
	text_printf(out, "--%s\r\n", boundary);
	add_words(b, out);
	text_printf(out, "\r\n--%s\r\n", boundary);
	add_status(b, international, out);
	text_printf(out, "\r\n--%s\r\n", boundary);
	add_original(b, international, out);
	text_printf(out, "\r\n--%s--\r\n", boundary);
}

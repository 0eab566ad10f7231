/*
 * bounce.c - delivery status notifications (RFC 3464, RFC 6522, RFC 6533).
 */
#include "queue/bounce.h"
#include "mail/date.h"
#include "mail/encode.h"
#include "mail/header.h"

bool
bounce_wanted(const struct envelope *e, enum bounce_kind kind)
{
	enum recipient_state wanted = kind == BOUNCE_FAILED
	    ? RECIPIENT_FAILED : RECIPIENT_WAITING;

	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == wanted)
			return true;
	return false;
}

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
bounce_status(struct span reason, enum bounce_kind kind, struct span *rest)
{
	size_t n = status_length(reason);

	*rest = span_trim(span_from(reason, n));
	if (n == 0)
		return kind == BOUNCE_FAILED ? SPAN("5.0.0") : SPAN("4.0.0");
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
	text_str(out, b->kind == BOUNCE_FAILED
	    ? "Subject: Your message could not be delivered\r\n"
	    : "Subject: Your message is delayed\r\n");
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

static void
add_words(const struct bounce *b, enum recipient_state wanted,
    struct text *out)
{
	const struct envelope *e = b->envelope;

	text_str(out, "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n");
	text_str(out, b->kind == BOUNCE_FAILED
	    ? "Your message did not reach the addresses below, and will "
	    "not be tried again.\r\n"
	    : "Your message has not reached the addresses below yet.\r\n"
	    "It will be tried again; you need not send it again.\r\n");
	for (size_t i = 0; i < e->count; i++) {
		const struct envelope_recipient *r = &e->recipients[i];
		struct span why;

		if (r->state != wanted)
			continue;
		bounce_status(r->reason, b->kind, &why);
		text_printf(out, "\r\n<%.*s>:\r\n    ",
		    SPAN_ARG(r->address));
		utf8_add_scrubbed(out, why.n > 0 ? why : SPAN("no reason"));
		text_str(out, "\r\n");
	}
}

static void
add_recipient(const struct bounce *b, const struct envelope_recipient *r,
    struct text *out)
{
	struct span why, status = bounce_status(r->reason, b->kind, &why);

	text_printf(out, "\r\nFinal-Recipient: %s; %.*s\r\n",
	    utf8_is_ascii(r->address) ? "rfc822" : "utf-8",
	    SPAN_ARG(r->address));
	text_printf(out, "Action: %s\r\nStatus: %.*s\r\n",
	    b->kind == BOUNCE_FAILED ? "failed" : "delayed",
	    SPAN_ARG(status));
	if (why.n > 0) {
		text_str(out, "Diagnostic-Code: X-Postrider; ");
		utf8_add_scrubbed(out, why);
		text_str(out, "\r\n");
	}
	if (b->kind == BOUNCE_DELAYED) {
		text_str(out, "Will-Retry-Until: ");
		add_date(out, b->retry_until * 1000000);
		text_str(out, "\r\n");
	}
}

static void
add_status(const struct bounce *b, enum recipient_state wanted,
    bool international, struct text *out)
{
	const struct envelope *e = b->envelope;

	text_str(out, international
	    ? "Content-Type: message/global-delivery-status\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n"
	    : "Content-Type: message/delivery-status\r\n\r\n");
	text_printf(out, "Reporting-MTA: dns; %.*s\r\nArrival-Date: ",
	    SPAN_ARG(b->hostname));
	add_date(out, e->arrived);
	text_str(out, "\r\n");
	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == wanted)
			add_recipient(b, &e->recipients[i], out);
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

void
bounce_build(const struct bounce *b, struct text *out, uint32_t *prefix,
    struct text *message_id)
{
	enum recipient_state wanted = b->kind == BOUNCE_FAILED
	    ? RECIPIENT_FAILED : RECIPIENT_WAITING;
	bool international = is_international(b);
	char boundary[2 * sizeof(b->token.b) + 2] = "=";

	/* The token is random: no header that is quoted knows it. */
	for (size_t i = 0; i < sizeof(b->token.b); i++) {
		boundary[1 + 2 * i] = "0123456789abcdef"[b->token.b[i] >> 4];
		boundary[2 + 2 * i] = "0123456789abcdef"[b->token.b[i] & 15];
	}
	boundary[sizeof(boundary) - 1] = '\0';

	add_header(b, boundary, out, prefix, message_id);
	text_printf(out, "--%s\r\n", boundary);
	add_words(b, wanted, out);
	text_printf(out, "\r\n--%s\r\n", boundary);
	add_status(b, wanted, international, out);
	text_printf(out, "\r\n--%s\r\n", boundary);
	text_str(out, international
	    ? "Content-Type: message/global-headers\r\n"
	    : "Content-Type: text/rfc822-headers\r\n");
	text_str(out, utf8_is_ascii(b->header)
	    ? "\r\n" : "Content-Transfer-Encoding: 8bit\r\n\r\n");
	add_quoted_header(b->header, out);
	text_printf(out, "\r\n--%s--\r\n", boundary);
}

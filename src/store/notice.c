/*
 * notice.c - a word to the operator, as mail to postmaster, or to a user.
 */
#include "store/notice.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "mail/date.h"
#include "mail/header.h"
#include "store/queue.h"

#include <unistd.h>

static struct span
hostname_of(const struct settings *s, char buffer[256])
{
	if (s->hostname[0] != '\0')
		return span_str(s->hostname);
	if (gethostname(buffer, 255) != 0)
		return SPAN("localhost");
	buffer[255] = '\0';
	return span_str(buffer);
}

static uint32_t
write_notice(struct store *store, const struct envelope *e,
    struct span subject, struct span body, struct text *out,
    struct text *message_id)
{
	struct span to = e->recipients[0].address;
	char id[QUEUE_ID_CHARS + 1], buffer[256];
	struct span host = hostname_of(store_settings(store), buffer);
	uint32_t prefix;

	queue_id_of(&e->token, id);
	text_printf(message_id, "<%s@%.*s>", id, SPAN_ARG(host));
	text_str(out, "Return-Path: <>\r\n");
	prefix = (uint32_t)out->n;
	text_str(out, "Date: ");
	date_add_message(out, (struct date){ e->arrived / 1000000, 0 });
	text_printf(out, "\r\nFrom: Postrider <MAILER-DAEMON@%.*s>\r\n"
	    "To: %.*s", SPAN_ARG(host), SPAN_ARG(to));
	if (span_find_char(to, '@', 0) == SIZE_MAX)
		text_printf(out, "@%.*s", SPAN_ARG(host));
	text_str(out, "\r\n");
	header_add(out, "Subject", subject);
	header_add(out, "Message-ID", text_span(message_id));
	text_str(out, "Auto-Submitted: auto-generated\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n");
	text_add(out, body);
	return prefix;
}

int
notice_account(struct store *store, struct span address, struct span subject,
    struct span body)
{
	struct envelope_recipient to = { .address = address };
	struct body_id body_id = body_id_new();
	struct text out = TEXT_INIT(0), message_id = TEXT_INIT(0);
	struct envelope e = {
		.arrived = clock_wall(), .state = ENVELOPE_ACTIVE,
		.next_attempt = clock_wall_seconds(),
		.flags = ENVELOPE_8BITMIME | ENVELOPE_OURS,
		.recipients = &to, .count = 1,
	};
	struct envelope *envelopes[] = { &e };
	struct submission s = { .envelopes = envelopes, .count = 1 };
	enum result result;
	ticket_t ticket;

	random_bytes(e.token.b, sizeof(e.token.b));
	memcpy(e.body.b, body_id.b, sizeof(e.body.b));
	e.prefix = write_notice(store, &e, subject, body, &out, &message_id);
	e.size = out.n;
	e.message_id = text_span(&message_id);
	s.head = text_span(&out);
	result = queue_accept(store->queue, &s, &ticket);
	if (result != RESULT_OK)
		log_event(LOG_LEVEL_ERROR, "notice.lost",
		    log_text("subject", subject));
	text_free(&out);
	text_free(&message_id);
	return result == RESULT_OK ? 1 : -1;
}

int
notice_postmaster(struct store *store, struct span subject, struct span body)
{
	return notice_account(store, SPAN("postmaster"), subject, body);
}

/*
 * smtp_envelope.c - MAIL and RCPT: who sends to whom, and may they.
 *
 * The store knows who lives here and which addresses are whose; the edge
 * asks. mx asks nothing about senders; a logged-in sender has their own
 * addresses only, and sends to anybody. To mx, nobody sends to a domain
 * that is neither served here nor kept for others (backup MX).
 */
#include "base/log.h"
#include "ipc/wire.h"
#include "mail/encode.h"
#include "smtp/smtp_known.h"
#include "smtp/smtp_parameter.h"
#include "smtp/smtp_peer.h"

/* ---- MAIL -------------------------------------------------------------- */

unsigned
smtp_offered(const struct smtp *s)
{
	const struct settings *set = smtp_settings();
	unsigned offered = SMTP_GIVEN_SIZE | SMTP_GIVEN_BODY |
	    SMTP_GIVEN_UTF8 | SMTP_GIVEN_AUTH | SMTP_GIVEN_RET |
	    SMTP_GIVEN_ENVID | SMTP_GIVEN_BY | SMTP_GIVEN_PRIORITY |
	    SMTP_GIVEN_NOTIFY | SMTP_GIVEN_ORCPT;

	if (smtp_is_submission(s) && set->submission_max_future_release > 0)
		offered |= SMTP_GIVEN_HOLD;
	if (stream_is_tls(s->stream))
		offered |= SMTP_GIVEN_REQUIRETLS;
	if (*set->smtp_no_soliciting != '\0')
		offered |= SMTP_GIVEN_SOLICIT;
	return offered;
}

/* RESULT_OK or what to say instead. */
static enum smtp_reply
sender_allowed(struct smtp *s, struct span address)
{
	struct sender_check_request request = { .grant = s->grant,
	    .address = address };
	struct sender_check_reply reply;

	if (!smtp_is_submission(s))
		return REPLY_OK;
	if (call_sender_check(smtp_store(), s->arena, &request, &reply) != 1)
		return REPLY_STORE_AWAY;
	switch (reply.result) {
	case RESULT_OK:
		return REPLY_OK;
	case RESULT_INVALID:
		return REPLY_BAD_SENDER;
	case RESULT_TEMPORARY:
	case RESULT_DAMAGED:
	case RESULT_FULL:
		return REPLY_STORE_AWAY;
	default:
		return REPLY_NOT_THEIR_SENDER;
	}
}

/* RFC 4865 section 4: not in the past, not beyond what was announced. */
static enum smtp_reply
take_hold(struct smtp *s, const struct smtp_command *c, int64_t now)
{
	int64_t longest = smtp_settings()->submission_max_future_release / 1000;
	int64_t at = c->hold_until != 0 ? c->hold_until : now + c->hold_for;

	if ((c->given & SMTP_GIVEN_HOLD) == 0)
		return REPLY_OK;
	if (at < now || at > now + longest)
		return REPLY_BAD_HOLD;
	s->release_at = at;
	return REPLY_OK;
}

/* RFC 2852 section 4. */
static enum smtp_reply
take_by(struct smtp *s, const struct smtp_command *c, int64_t now)
{
	int64_t least = smtp_settings()->smtp_min_deliver_by / 1000;

	if ((c->given & SMTP_GIVEN_BY) == 0)
		return REPLY_OK;
	if ((c->flags & ENVELOPE_BY_RETURN) != 0 && c->by < least)
		return REPLY_TOO_SOON;
	s->deliver_by = now + c->by;
	return s->release_at > s->deliver_by ? REPLY_BAD_HOLD : REPLY_OK;
}

/*
 * RFC 6710 section 5: those we know have the priority they ask for; a
 * stranger's mail may give way to other mail, and never goes before it.
 */
static void
take_priority(struct smtp *s, const struct smtp_command *c)
{
	s->priority = smtp_is_open(s) ? MIN(c->priority, 0) : c->priority;
	s->priority_changed = s->priority != c->priority;
}

static enum smtp_reply
mail_objection(struct smtp *s, const struct smtp_command *c)
{
	const struct settings *set = smtp_settings();
	int64_t now = clock_wall_seconds();
	enum smtp_reply reply;

	if (s->messages >= set->smtp_max_messages)
		return REPLY_TOO_MANY_MESSAGES;
	if ((c->given & ~smtp_offered(s)) != 0)
		return REPLY_BAD_PARAMETER;
	if (c->has_size && c->size > set->smtp_max_size)
		return REPLY_TOO_LARGE;
	if (smtp_solicit_meets(c->solicit, span_str(set->smtp_no_soliciting)))
		return REPLY_SOLICITING;
	reply = take_hold(s, c, now);
	if (reply == REPLY_OK)
		reply = take_by(s, c, now);
	return reply == REPLY_OK ? smtp_peer_sends(s) : reply;
}

enum smtp_reply
smtp_mail(struct smtp *s, const struct smtp_command *c)
{
	struct span address = address_text(s->arena, &c->path);
	enum smtp_reply reply = mail_objection(s, c);

	if (reply == REPLY_OK && address.p == NULL)
		reply = REPLY_NO_MEMORY;
	if (reply == REPLY_OK)
		reply = sender_allowed(s, address);
	if (reply != REPLY_OK) {
		smtp_reset(s);
		return reply;
	}
	s->in_mail = true;
	s->utf8 = c->utf8;
	s->body = c->body;
	s->flags = c->flags;
	s->size = c->has_size ? c->size : 0;
	take_priority(s, c);
	text_add(&s->envid, c->envid);
	text_add(&s->sender, address);
	return REPLY_SENDER_OK;
}

/* ---- RCPT -------------------------------------------------------------- */

static enum smtp_reply
recipient_reply(enum result result)
{
	switch (result) {
	case RESULT_OK:
		return REPLY_RECIPIENT_OK;
	case RESULT_NOT_FOUND:
		return REPLY_NO_SUCH_USER;
	case RESULT_NOT_LOCAL:
		return REPLY_NOT_RELAYED;
	case RESULT_DENIED:
		return REPLY_NOT_TAKEN;
	case RESULT_INVALID:
		return REPLY_BAD_RECIPIENT;
	case RESULT_LIMIT:
	case RESULT_OVERQUOTA:
		return REPLY_MAILBOX_FULL;
	default:
		return REPLY_STORE_AWAY;
	}
}

static uint64_t
recipients_max(const struct smtp *s)
{
	return smtp_is_submission(s) ?
	    smtp_settings()->submission_max_recipients :
	    smtp_settings()->smtp_max_recipients;
}

/* RESULT_TEMPORARY: the store did not answer. *why lives in the arena. */
static enum result
find_recipient(struct smtp *s, struct span address, struct span *why)
{
	struct recipient_check_request request = { .grant = s->grant,
	    .sender = text_span(&s->sender), .address = address,
	    .size = s->size };
	struct recipient_check_reply answer;

	*why = SPAN_EMPTY;
	if (smtp_known(address))
		return RESULT_OK;
	if (call_recipient_check(smtp_store(), s->arena, &request,
	    &answer) != 1)
		return RESULT_TEMPORARY;
	if (answer.result == RESULT_OK && answer.same_for_all != 0)
		smtp_know(address);
	*why = answer.why;
	return answer.result;
}

static void
add_recipient(struct smtp *s, const struct smtp_command *c,
    struct span address)
{
	recipient_put(&s->recipients, &(struct recipient){
	    .address = address, .original = c->original,
	    .notify = c->notify });
	s->recipient_count++;
}

/* "5.1.1 text" or text alone, of our own store: without anything that would
 * end the line. */
static enum smtp_reply
refuse_because(struct smtp *s, struct span why)
{
	struct text line = TEXT_INIT(400);

	if (!span_starts(why, SPAN("5.")))
		text_str(&line, "5.7.1 ");
	why = utf8_clip(why, 300);
	for (size_t i = 0; i < why.n; i++)
		text_char(&line, ascii_is_print(why.p[i]) ? why.p[i] : '?');
	stream_printf(s->stream, "550 %.*s\r\n", SPAN_ARG(text_span(&line)));
	text_free(&line);
	return smtp_peer_erred(s) ? REPLY_SAID : REPLY_TOO_MANY_ERRORS;
}

static void
log_refused(const struct smtp *s, struct span address, enum result result)
{
	log_event(LOG_LEVEL_INFO, "smtp.recipient_refused",
	    log_str("session", session_id(s->session)),
	    log_str("peer", session_peer(s->session)->address),
	    log_text("sender", text_span(&s->sender)),
	    log_text("recipient", address),
	    log_str("result", result_name(result)));
}

enum smtp_reply
smtp_rcpt(struct smtp *s, const struct smtp_command *c)
{
	struct span address = address_text(s->arena, &c->path), why;
	enum smtp_reply reply;
	enum result result;

	if (s->recipient_count >= recipients_max(s))
		return REPLY_TOO_MANY_RECIPIENTS;
	if (address.p == NULL)
		return REPLY_NO_MEMORY;
	reply = smtp_peer_names(s);
	if (reply != REPLY_OK)
		return reply;
	result = find_recipient(s, address, &why);
	if (result == RESULT_OK) {
		add_recipient(s, c, address);
		return REPLY_RECIPIENT_OK;
	}
	log_refused(s, address, result);
	if (result == RESULT_OVERQUOTA && span_starts(why, SPAN("5.")))
		return REPLY_MAILBOX_REFUSES;
	return result == RESULT_DENIED && why.n > 0 ? refuse_because(s, why) :
	    recipient_reply(result);
}

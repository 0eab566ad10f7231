/*
 * smtp_envelope.c - MAIL and RCPT: who sends to whom, and may they.
 *
 * The store knows who lives here and which addresses are whose; the edge
 * asks. mx asks nothing about senders; a logged-in sender has their own
 * addresses only. Nobody sends to a domain that is not served here.
 */
#include "base/log.h"
#include "ipc/wire.h"
#include "smtp/smtp_impl.h"
#include "smtp/smtp_known.h"

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

enum smtp_reply
smtp_mail(struct smtp *s, const struct smtp_command *c)
{
	struct span address = address_text(s->arena, &c->path);
	enum smtp_reply reply;

	if (s->messages >= smtp_settings()->smtp_max_messages)
		return REPLY_TOO_MANY_MESSAGES;
	if (c->has_size && c->size > smtp_settings()->smtp_max_size)
		return REPLY_TOO_LARGE;
	if (address.p == NULL)
		return REPLY_NO_MEMORY;
	reply = sender_allowed(s, address);
	if (reply != REPLY_OK)
		return reply;
	s->in_mail = true;
	s->utf8 = c->utf8;
	s->body = c->body;
	text_add(&s->sender, address);
	return REPLY_SENDER_OK;
}

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
	case RESULT_INVALID:
		return REPLY_BAD_RECIPIENT;
	case RESULT_LIMIT:
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

/* RESULT_TEMPORARY: the store did not answer. */
static enum result
find_recipient(struct smtp *s, struct span address)
{
	struct recipient_check_request request = { .address = address };
	struct recipient_check_reply answer;

	if (smtp_known(address))
		return RESULT_OK;
	if (call_recipient_check(smtp_store(), s->arena, &request,
	    &answer) != 1)
		return RESULT_TEMPORARY;
	if (answer.result == RESULT_OK)
		smtp_know(address);
	return answer.result;
}

enum smtp_reply
smtp_rcpt(struct smtp *s, const struct smtp_command *c)
{
	struct span address = address_text(s->arena, &c->path);
	enum smtp_reply reply;
	enum result result;

	if (s->recipient_count >= recipients_max(s))
		return REPLY_TOO_MANY_RECIPIENTS;
	if (address.p == NULL)
		return REPLY_NO_MEMORY;
	result = find_recipient(s, address);
	reply = recipient_reply(result);
	if (reply == REPLY_RECIPIENT_OK) {
		recipient_put(&s->recipients,
		    &(struct recipient){ .address = address });
		s->recipient_count++;
		return reply;
	}
	log_event(LOG_LEVEL_INFO, "smtp.recipient_refused",
	    log_str("session", session_id(s->session)),
	    log_str("peer", session_peer(s->session)->address),
	    log_text("sender", text_span(&s->sender)),
	    log_text("recipient", address),
	    log_str("result", result_name(result)));
	return reply;
}

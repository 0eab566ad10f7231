/*
 * smtp_ask.c - VRFY, EXPN (RFC 5321 3.5) and ETRN (RFC 1985): questions to
 * the store that carry no mail.
 *
 * Who may ask is a setting; who may not hears 252, which says nothing.
 */
#include "base/log.h"
#include "mail/encode.h"
#include "smtp/smtp_peer.h"

/* ---- VRFY and EXPN ------------------------------------------------------ */

static bool
may_verify(const struct smtp *s)
{
	const char *who = smtp_settings()->smtp_vrfy;

	return strcmp(who, "anyone") == 0 || smtp_is_lmtp(s) ||
	    (strcmp(who, "accounts") == 0 && smtp_is_submission(s));
}

/* "ann", "ann@example.org" or "<ann@example.org>"; p NULL: none of these. */
static struct span
address_asked_for(struct smtp *s, struct span said)
{
	const char *domain = smtp_settings()->default_domain;
	unsigned allow = ADDRESS_ALLOW_BARE | ADDRESS_ALLOW_UTF8;
	struct address address;

	if (said.n > 2 && said.p[0] == '<' && said.p[said.n - 1] == '>')
		said = span_sub(said, 1, said.n - 2);
	if (address_mailbox(said, allow, s->arena, &address) != 1)
		return SPAN_EMPTY;
	if (address.domain.n == 0 && *domain != '\0')
		address.domain = span_str(domain);
	return address_text(s->arena, &address);
}

static enum smtp_reply
say_address(struct smtp *s, struct span address)
{
	stream_printf(s->stream, "250 2.1.5 <%.*s>\r\n", SPAN_ARG(address));
	return REPLY_SAID;
}

/* RFC 6531 3.7.4.2: without SMTPUTF8 such names cannot be told. */
static enum smtp_reply
say_names(struct smtp *s, struct span names, bool utf8)
{
	struct span name;

	if (!utf8 && !utf8_is_ascii(names))
		return REPLY_NOT_VERIFIED;
	while (names.n > 0) {
		names = span_cut(names, '\n', &name);
		stream_printf(s->stream, "250%c2.1.5 <%.*s>\r\n",
		    names.n > 0 ? '-' : ' ', SPAN_ARG(name));
	}
	return REPLY_SAID;
}

static enum smtp_reply
ask(struct smtp *s, const struct smtp_command *c, bool expand)
{
	struct address_expand_request request = { .grant = s->grant,
	    .address = address_asked_for(s, c->argument) };
	struct address_expand_reply reply;

	if (request.address.p == NULL)
		return REPLY_BAD_RECIPIENT;
	if (!c->utf8 && !utf8_is_ascii(request.address))
		return REPLY_NEEDS_UTF8;
	if (call_address_expand(smtp_store(), s->arena, &request,
	    &reply) != 1)
		return REPLY_STORE_AWAY;
	switch (reply.result) {
	case RESULT_CONTINUE:
		if (expand && reply.names.n > 0)
			return say_names(s, reply.names, c->utf8);
		return say_address(s, request.address);
	case RESULT_OK:
		return say_address(s, request.address);
	case RESULT_NOT_FOUND:
		return REPLY_NO_SUCH_USER;
	case RESULT_INVALID:
		return REPLY_BAD_RECIPIENT;
	case RESULT_NOT_LOCAL:
	case RESULT_DENIED:
		return REPLY_NOT_VERIFIED;
	default:
		return REPLY_STORE_AWAY;
	}
}

enum smtp_reply
smtp_vrfy(struct smtp *s, const struct smtp_command *c)
{
	return may_verify(s) ? ask(s, c, false) : REPLY_NOT_VERIFIED;
}

enum smtp_reply
smtp_expn(struct smtp *s, const struct smtp_command *c)
{
	return ask(s, c, true);
}

/* ---- ETRN --------------------------------------------------------------- */

/*
 * RFC 1985 section 5: "@" in front means the domain and what is below it;
 * "#" names a queue, and there is none with a name.
 */
enum smtp_reply
smtp_etrn(struct smtp *s, const struct smtp_command *c)
{
	struct queue_turn_request request;
	struct queue_turn_reply reply;
	bool below = c->argument.p[0] == '@';
	struct text domain = TEXT_INIT(ADDRESS_DOMAIN_MAX + 1);

	if (c->argument.p[0] == '#')
		return REPLY_NOT_THEIR_TURN;
	if (address_domain(span_from(c->argument, below), s->arena,
	    &request.domain) != 1)
		return REPLY_BAD_SYNTAX;
	text_str(&domain, below ? "@" : "");
	text_add(&domain, request.domain);
	request.domain = arena_dup(s->arena, text_span(&domain));
	text_free(&domain);
	if (call_queue_turn(smtp_store(), s->arena, &request, &reply) != 1)
		return REPLY_NO_TURN;
	if (reply.result == RESULT_NOT_LOCAL)
		return REPLY_NOT_THEIR_TURN;
	if (reply.result != RESULT_OK)
		return REPLY_NO_TURN;
	log_event(LOG_LEVEL_INFO, "smtp.turn",
	    log_str("session", session_id(s->session)),
	    log_str("peer", session_peer(s->session)->address),
	    log_text("domain", request.domain),
	    log_int("messages", (int64_t)reply.waiting));
	if (reply.waiting == 0)
		return REPLY_NOTHING_WAITS;
	stream_printf(s->stream, "253 2.0.0 %" PRIu64 " messages wait for "
	    "%.*s and are tried now\r\n", reply.waiting,
	    SPAN_ARG(request.domain));
	return REPLY_SAID;
}

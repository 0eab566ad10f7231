/*
 * smtp_auth.c - AUTH (RFC 4954): SASL as SMTP carries it.
 *
 * Offered for submission alone: mx knows no accounts. What a client says
 * passes through to the store and is wiped behind.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/secret.h"
#include "edge/login.h"
#include "smtp/smtp_impl.h"

static void
send_challenge(void *arg, struct span base64)
{
	struct smtp *s = arg;

	stream_str(s->stream, "334 ");
	stream_write(s->stream, base64);
	stream_str(s->stream, "\r\n");
	stream_flush(s->stream);
}

static int
read_response(void *arg, struct span *line)
{
	struct smtp *s = arg;
	monotime_t deadline =
	    clock_after(smtp_settings()->smtp_command_timeout);
	int status = stream_line(s->stream, line, LOGIN_LINE_MAX, deadline);

	if (status == 1) {
		stream_take(s->stream, line->n);
		*line = span_chomp(*line);
		return 1;
	}
	if (status < 0 && errno == EMSGSIZE &&
	    stream_skip_line(s->stream, UINT32_MAX, deadline) == 1)
		return 0;
	return -1;
}

static enum smtp_reply
succeeded(struct smtp *s, const struct login *login)
{
	s->grant = login->grant;
	s->login = xstrdup(login->address);
	s->failures = 0;
	log_event(LOG_LEVEL_INFO, "smtp.login",
	    log_str("session", session_id(s->session)),
	    log_str("user", s->login),
	    log_str("peer", session_peer(s->session)->address));
	return REPLY_LOGGED_IN;
}

static enum smtp_reply
failed(struct smtp *s, enum login_result result, struct span mechanism)
{
	static const enum smtp_reply replies[] = {
		[LOGIN_DENIED] = REPLY_LOGIN_WRONG,
		[LOGIN_LOCKED] = REPLY_LOGIN_LOCKED,
		[LOGIN_CANCELLED] = REPLY_LOGIN_CANCELLED,
		[LOGIN_MALFORMED] = REPLY_LOGIN_MALFORMED,
		[LOGIN_NO_MECHANISM] = REPLY_NO_MECHANISM,
		[LOGIN_TEMPORARY] = REPLY_LOGIN_AWAY,
		[LOGIN_GONE] = REPLY_GONE,
		[LOGIN_REFUSED] = REPLY_LOGIN_REFUSED,
		[LOGIN_MOVED] = REPLY_LOGIN_MOVED,
	};

	if (result == LOGIN_GONE)
		return REPLY_GONE;
	log_event(LOG_LEVEL_INFO, "smtp.login_failed",
	    log_str("session", session_id(s->session)),
	    log_text("mechanism", mechanism),
	    log_str("peer", session_peer(s->session)->address),
	    log_int("reply", smtp_reply_code(replies[result])));
	if ((result == LOGIN_DENIED || result == LOGIN_LOCKED ||
	    result == LOGIN_REFUSED) &&
	    ++s->failures >= smtp_settings()->auth_max_failures)
		s->closing = true;
	return replies[result];
}

enum smtp_reply
smtp_auth(struct smtp *s, const struct smtp_command *c)
{
	const struct login_line line = { send_challenge, read_response, s };
	enum login_result result;
	enum smtp_reply reply;
	struct login login;

	if (s->login != NULL)
		return REPLY_ALREADY_LOGGED_IN;
	if (!login_allowed(smtp_settings(), s->session))
		return REPLY_LOGIN_NEEDS_TLS;
	result = login_sasl(s->session, smtp_settings(), smtp_store(),
	    s->protocol, c->argument, c->has_initial ? &c->initial : NULL, &line, &login);
	reply = result == LOGIN_OK ? succeeded(s, &login) :
	    failed(s, result, c->argument);
	secret_wipe(&login, sizeof(login));
	return reply;
}

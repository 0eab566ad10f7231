/*
 * pop3_login.c - AUTHORIZATION: who is there, and under TLS or not.
 *
 * Passwords and responses pass through and are wiped behind; the log sees
 * names and addresses only.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "edge/login.h"
#include "pop3/pop3_impl.h"

/* What there is to say besides; false: nothing. */
static bool
say_why(struct pop3 *p, enum login_result result, const struct login *login)
{
	if (result != LOGIN_REFUSED && result != LOGIN_MOVED)
		return false;
	stream_printf(p->stream, "-ERR [AUTH] %s%s\r\n",
	    result == LOGIN_MOVED ? "The account is elsewhere: " : "",
	    login->why);
	return true;
}

/* One log line and one answer for a login that failed. */
static void
login_failed(struct pop3 *p, enum login_result result,
    const struct login *login, struct span user)
{
	static const char *const texts[] = {
		[LOGIN_DENIED] = "[AUTH] Wrong user name or password",
		[LOGIN_LOCKED] =
		    "[AUTH] Too many failures, please try again later",
		[LOGIN_CANCELLED] = "Cancelled",
		[LOGIN_MALFORMED] = "That is not what the mechanism asks for",
		[LOGIN_NO_MECHANISM] = "No such mechanism here",
		[LOGIN_TEMPORARY] = pop3_store_away,
	};

	if (result == LOGIN_GONE) {
		p->closing = true;
		return;
	}
	log_event(LOG_LEVEL_INFO, "pop3.login_failed",
	    log_str("session", session_id(p->session)),
	    log_text("user", user),
	    log_str("peer", session_peer(p->session)->address),
	    log_int("reason", result));
	if (!say_why(p, result, login))
		pop3_err(p, texts[result]);
	if ((result == LOGIN_DENIED || result == LOGIN_LOCKED ||
	    result == LOGIN_REFUSED) &&
	    ++p->failures >= pop3_settings()->auth_max_failures)
		p->closing = true;
}

static bool
may_log_in(struct pop3 *p)
{
	if (login_allowed(pop3_settings(), p->session))
		return true;
	pop3_err(p, "[AUTH] Not without TLS: use STLS first");
	return false;
}

void
pop3_user(struct pop3 *p, const struct pop3_command *c)
{
	if (!may_log_in(p))
		return;
	free(p->user);
	p->user = strndup(c->argument.p, MIN(c->argument.n, 512));
	pop3_ok(p, "Now the password");
}

void
pop3_pass(struct pop3 *p, const struct pop3_command *c)
{
	enum login_result result;
	struct login login = { .address = "" };

	if (!may_log_in(p))
		return;
	if (p->user == NULL) {
		pop3_mistake(p, "USER comes first");
		return;
	}
	result = login_password(p->session, pop3_store(), PROTOCOL_POP3,
	    span_str(p->user), c->argument, &login);
	if (result == LOGIN_OK)
		pop3_maildrop_enter(p, &login);
	else
		login_failed(p, result, &login, span_str(p->user));
	secret_wipe(&login, sizeof(login));
	free(p->user);
	p->user = NULL;
}

static void
sasl_challenge(void *arg, struct span base64)
{
	struct pop3 *p = arg;

	stream_str(p->stream, "+ ");
	stream_write(p->stream, base64);
	stream_str(p->stream, "\r\n");
	stream_flush(p->stream);
}

static int
sasl_response(void *arg, struct span *line)
{
	struct pop3 *p = arg;
	monotime_t deadline = clock_after(pop3_settings()->pop3_login_timeout);
	int status = stream_line(p->stream, line, LOGIN_LINE_MAX, deadline);

	if (status == 1) {
		stream_take(p->stream, line->n);
		*line = span_chomp(*line);
		return 1;
	}
	if (status < 0 && stream_error(p->stream) == 0 && stream_skip_line(
	    p->stream, UINT32_MAX, deadline) == 1)
		return 0;
	return -1;
}

void
pop3_auth(struct pop3 *p, const struct pop3_command *c)
{
	const struct login_line line = { sasl_challenge, sasl_response, p };
	enum login_result result;
	struct login login = { .address = "" };

	if (c->argument.n == 0) {	/* RFC 1734 clients ask for a list */
		struct text list = TEXT_INIT(1024);

		if (login_allowed(pop3_settings(), p->session))
			login_mechanisms(&list, pop3_settings(), p->session,
			    "\r\n");
		stream_str(p->stream, "+OK Mechanisms follow");
		stream_write(p->stream, text_span(&list));
		stream_str(p->stream, "\r\n.\r\n");
		text_free(&list);
		return;
	}
	if (!may_log_in(p))
		return;
	result = login_sasl(p->session, pop3_settings(), pop3_store(),
	    PROTOCOL_POP3, c->argument, c->has_second ? &c->second : NULL, &line, &login);
	if (result == LOGIN_OK)
		pop3_maildrop_enter(p, &login);
	else
		login_failed(p, result, &login, c->argument);
	secret_wipe(&login, sizeof(login));
}

void
pop3_apop(struct pop3 *p, const struct pop3_command *c)
{
	(void)c;
	pop3_mistake(p, "APOP would need passwords kept in the clear; "
	    "use AUTH SCRAM-SHA-256");
}

void
pop3_stls(struct pop3 *p, const struct pop3_command *c)
{
	struct tls_server *tls = session_tls(p->session);

	(void)c;
	if (stream_is_tls(p->stream) || tls == NULL) {
		pop3_mistake(p, "TLS is in use already, or not to be had");
		return;
	}
	pop3_ok(p, "Begin TLS");
	if (stream_flush(p->stream) != 1) {
		p->closing = true;
		return;
	}
	/* Nothing said before TLS counts (RFC 2595 section 4). */
	stream_discard_input(p->stream);
	free(p->user);
	p->user = NULL;
	p->utf8 = false;
	if (stream_start_tls(p->stream, tls,
	    clock_after(pop3_settings()->tls_handshake_timeout)) != 1)
		p->closing = true;
}

void
pop3_utf8(struct pop3 *p, const struct pop3_command *c)
{
	(void)c;
	p->utf8 = true;
	pop3_ok(p, "UTF-8 from here on");
}

static void
capa_login(struct pop3 *p)
{
	struct text sasl = TEXT_INIT(1024);

	if (!stream_is_tls(p->stream) && session_tls(p->session) != NULL &&
	    p->state == POP3_AUTHORIZATION)
		stream_str(p->stream, "STLS\r\n");
	if (login_allowed(pop3_settings(), p->session)) {
		login_mechanisms(&sasl, pop3_settings(), p->session, " ");
		stream_str(p->stream, "USER\r\nSASL");
		stream_write(p->stream, text_span(&sasl));
		stream_str(p->stream, "\r\n");
	}
	text_free(&sasl);
}

void
pop3_capa(struct pop3 *p, const struct pop3_command *c)
{
	const struct settings *s = pop3_settings();

	(void)c;
	pop3_ok(p, "Capabilities follow");
	stream_str(p->stream, "TOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\n"
	    "AUTH-RESP-CODE\r\nUTF8 USER\r\nLANG\r\n");
	capa_login(p);
	stream_printf(p->stream, "EXPIRE %s\r\nLOGIN-DELAY %" PRId64 "\r\n"
	    "IMPLEMENTATION Postrider-" POSTRIDER_VERSION "\r\n.\r\n",
	    s->pop3_expire, s->pop3_login_delay / 1000);
}

void
pop3_lang(struct pop3 *p, const struct pop3_command *c)
{
	if (c->argument.n == 0)
		stream_str(p->stream, "+OK Languages follow\r\n"
		    "en English\r\n.\r\n");
	else if (span_is_nocase(c->argument, "en") ||
	    span_is_nocase(c->argument, "i-default") ||
	    span_is(c->argument, "*"))
		pop3_ok(p, "en English it is");
	else
		pop3_err(p, "This language is not spoken here");
}

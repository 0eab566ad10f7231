/*
 * smtp_server.c - an SMTP session from greeting to QUIT.
 *
 * RFC 5321 whole, as mx (port 25: anybody's mail, for our recipients and for
 * domains we are backup MX of, never any other) and as submission server (RFC
 * 6409: a login before MAIL), with PIPELINING (RFC 2920), ENHANCEDSTATUSCODES
 * (RFC 2034) and what smtp_command.h lists; and LMTP (RFC 2033), for a mail
 * server in front of us. The table below says when each verb may be spoken and
 * where it is offered; the handlers only do it.
 *
 * Replies are gathered and written together once no more input is at hand:
 * that is all PIPELINING asks for.
 *
 * Trusts nothing of the client's. Between two commands a session is struct
 * smtp; a transaction adds its addresses, chunks under way their spool.
 */
#include "smtp/smtp_server.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/secret.h"
#include "edge/login.h"
#include "smtp/smtp_peer.h"

enum {
	COMMAND_MEMORY = 16 << 20,	/* what a summary may need */
	AUTH_LINE_MAX = LOGIN_LINE_MAX + 64,
	SKIP_MAX = 64 << 20,		/* bytes of one endless line */
};

static struct smtp_environment environment;

void
smtp_setup(const struct smtp_environment *e)
{
	environment = *e;
}

const struct settings *
smtp_settings(void)
{
	return environment.settings(environment.arg);
}

struct link *
smtp_store(void)
{
	return environment.store;
}

bool
smtp_resolves(void)
{
	return environment.resolves;
}

const char *
smtp_hostname(void)
{
	return environment.hostname;
}

bool
smtp_is_submission(const struct smtp *s)
{
	return s->protocol == PROTOCOL_SUBMISSION ||
	    s->protocol == PROTOCOL_SUBMISSIONS;
}

bool
smtp_is_lmtp(const struct smtp *s)
{
	return s->protocol == PROTOCOL_LMTP;
}

bool
smtp_is_open(const struct smtp *s)
{
	return s->protocol == PROTOCOL_SMTP;
}

/* ---- the table -------------------------------------------------------------- */

enum {
	HELLO = 1,		/* EHLO was said */
	LOGIN = 2,		/* submission: somebody is logged in */
	OUTSIDE = 4,		/* no transaction is open */
	INSIDE = 8,		/* one is */
	RECIPIENT = 16,		/* it has one */
	NO_CHUNKS = 32,		/* BDAT has not begun */
};

enum { M = 1, S = 2, L = 4 };	/* mx, submission, LMTP: where it is offered */

static const struct {
	unsigned where, needs;
	smtp_handler *handler;
} rows[SMTP_VERBS] = {
	[SMTP_EHLO]     = { M|S,   0, smtp_ehlo },
	[SMTP_HELO]     = { M|S,   0, smtp_ehlo },
	[SMTP_LHLO]     = { L,     0, smtp_ehlo },
	[SMTP_MAIL]     = { M|S|L, HELLO | LOGIN | OUTSIDE, smtp_mail },
	[SMTP_RCPT]     = { M|S|L, HELLO | INSIDE | NO_CHUNKS, smtp_rcpt },
	[SMTP_DATA]     = { M|S|L, HELLO | INSIDE | RECIPIENT | NO_CHUNKS,
	    smtp_data },
	[SMTP_BDAT]     = { M|S|L, HELLO | INSIDE | RECIPIENT, smtp_bdat },
	[SMTP_BURL]     = { S,     HELLO | LOGIN | INSIDE | RECIPIENT,
	    smtp_burl },
	[SMTP_RSET]     = { M|S|L, 0, smtp_rset },
	[SMTP_NOOP]     = { M|S|L, 0, smtp_noop },
	[SMTP_QUIT]     = { M|S|L, 0, smtp_quit },
	[SMTP_VRFY]     = { M|S|L, HELLO | LOGIN, smtp_vrfy },
	[SMTP_EXPN]     = { M|S|L, HELLO | LOGIN, smtp_expn },
	[SMTP_ETRN]     = { M,     HELLO | OUTSIDE, smtp_etrn },
	[SMTP_HELP]     = { M|S|L, 0, smtp_help },
	[SMTP_AUTH]     = { S,     HELLO | OUTSIDE, smtp_auth },
	[SMTP_STARTTLS] = { M|S|L, HELLO | OUTSIDE, smtp_starttls },
	[SMTP_XCLIENT]  = { M|S|L, OUTSIDE, smtp_xclient },
	[SMTP_ALIEN]    = { M|S|L, 0, smtp_alien },
};

static bool
is_told(const struct smtp *s, const char *to)
{
	return strcmp(to, "anyone") == 0 || smtp_is_lmtp(s) ||
	    (strcmp(to, "accounts") == 0 && smtp_is_submission(s));
}

static bool
is_offered(const struct smtp *s, enum smtp_verb verb)
{
	const struct settings *set = smtp_settings();
	unsigned here = smtp_is_open(s) ? M : smtp_is_lmtp(s) ? L : S;

	if (rows[verb].handler == NULL || (rows[verb].where & here) == 0)
		return false;
	switch (verb) {
	case SMTP_EXPN:
		return is_told(s, set->smtp_expn);
	case SMTP_ETRN:
		return set->smtp_etrn && *set->smtp_backup_domains != '\0';
	case SMTP_XCLIENT:
		return s->proxy;
	default:
		return true;
	}
}

static enum smtp_reply
login_objection(const struct smtp *s)
{
	if (!smtp_is_submission(s) || s->login != NULL)
		return REPLY_OK;
	return login_allowed(smtp_settings(), s->session) ?
	    REPLY_LOGIN_FIRST : REPLY_TLS_FIRST;
}

enum smtp_reply
smtp_objection(const struct smtp *s, enum smtp_verb verb)
{
	unsigned needs = rows[verb].needs;

	if (!is_offered(s, verb))
		return REPLY_NOT_OFFERED;
	if ((needs & HELLO) != 0 && !s->greeted)
		return REPLY_HELLO_FIRST;
	if ((needs & LOGIN) != 0 && login_objection(s) != REPLY_OK)
		return login_objection(s);
	if ((needs & OUTSIDE) != 0 && s->in_mail)
		return REPLY_IN_TRANSACTION;
	if ((needs & INSIDE) != 0 && !s->in_mail)
		return REPLY_MAIL_FIRST;
	if ((needs & NO_CHUNKS) != 0 && s->chunks != NULL)
		return REPLY_IN_CHUNKS;
	if ((needs & RECIPIENT) != 0 && s->recipient_count == 0)
		return REPLY_RECIPIENT_FIRST;
	return REPLY_OK;
}

/* ---- replies ------------------------------------------------------------------ */

static void
too_many_errors(struct smtp *s)
{
	log_event(LOG_LEVEL_INFO, "smtp.too_many_errors",
	    log_str("session", session_id(s->session)),
	    log_str("peer", session_peer(s->session)->address));
	stream_write(s->stream, smtp_reply_line(REPLY_TOO_MANY_ERRORS));
	s->closing = true;
}

void
smtp_say(struct smtp *s, enum smtp_reply reply)
{
	if (smtp_reply_closes(reply))
		s->closing = true;
	if (reply >= SMTP_REPLIES)
		return;
	stream_write(s->stream, smtp_reply_line(reply));
	if (smtp_reply_code(reply) >= 500 && !smtp_peer_erred(s))
		too_many_errors(s);
}

/* ---- commands without mail ------------------------------------------------------ */

void
smtp_reset(struct smtp *s)
{
	s->in_mail = s->utf8 = s->priority_changed = false;
	s->body = SMTP_7BIT;
	s->flags = 0;
	s->priority = 0;
	s->deliver_by = s->release_at = 0;
	text_free(&s->envid);
	text_free(&s->sender);
	text_free(&s->recipients);
	s->recipient_count = 0;
	smtp_message_free(&s->chunks);
}

enum smtp_reply
smtp_rset(struct smtp *s, const struct smtp_command *c)
{
	(void)c;
	smtp_reset(s);
	return REPLY_RESET;
}

enum smtp_reply
smtp_noop(struct smtp *s, const struct smtp_command *c)
{
	(void)s, (void)c;
	return REPLY_OK;
}

enum smtp_reply
smtp_quit(struct smtp *s, const struct smtp_command *c)
{
	(void)s, (void)c;
	return REPLY_BYE;
}

/* A browser was made to speak to us: nothing it says is a command. */
enum smtp_reply
smtp_alien(struct smtp *s, const struct smtp_command *c)
{
	(void)s, (void)c;
	return REPLY_ALIEN;
}

void
smtp_forget_client(struct smtp *s)
{
	smtp_reset(s);
	s->greeted = s->esmtp = false;
	free(s->helo);
	s->helo = NULL;
	free(s->login);
	s->login = NULL;
	secret_wipe(&s->grant, sizeof(s->grant));
}

/* RFC 3207 4.2: afterwards nothing is known of the client any more. And what
 * came in the clear behind STARTTLS was somebody else's, perhaps. */
enum smtp_reply
smtp_starttls(struct smtp *s, const struct smtp_command *c)
{
	struct tls_server *tls = session_tls(s->session);

	(void)c;
	if (stream_is_tls(s->stream))
		return REPLY_ALREADY_TLS;
	if (tls == NULL)
		return REPLY_NO_TLS;
	smtp_say(s, REPLY_START_TLS);
	if (stream_flush(s->stream) != 1)
		return REPLY_GONE;
	stream_discard_input(s->stream);
	smtp_forget_client(s);
	if (stream_start_tls(s->stream, tls,
	    clock_after(smtp_settings()->tls_handshake_timeout)) != 1)
		return REPLY_GONE;
	return REPLY_SAID;
}

/* ---- a line --------------------------------------------------------------------- */

static enum smtp_reply
fault_reply(enum smtp_fault fault)
{
	static const enum smtp_reply replies[SMTP_FAULTS] = {
		[SMTP_BAD_BYTES] = REPLY_BAD_BYTES,
		[SMTP_UNKNOWN] = REPLY_UNKNOWN,
		[SMTP_BAD_SYNTAX] = REPLY_BAD_SYNTAX,
		[SMTP_BAD_SENDER] = REPLY_BAD_SENDER,
		[SMTP_BAD_RECIPIENT] = REPLY_BAD_RECIPIENT,
		[SMTP_BAD_PARAMETER] = REPLY_BAD_PARAMETER,
		[SMTP_BAD_VALUE] = REPLY_BAD_VALUE,
		[SMTP_NEEDS_UTF8] = REPLY_NEEDS_UTF8,
		[SMTP_NO_MEMORY] = REPLY_NO_MEMORY,
	};

	return replies[fault];
}

/* A chunk whose length is unknown leaves no place to go on from. BDAT sees
 * to its order itself: its bytes are taken in any case. */
static enum smtp_reply
handle(struct smtp *s, struct span line)
{
	struct smtp_command c;
	enum smtp_fault fault = smtp_parse(line, s->utf8, s->arena, &c);
	enum smtp_reply reply = REPLY_OK;

	if (c.verb == SMTP_BDAT)
		return fault == SMTP_FINE ? smtp_bdat(s, &c) :
		    REPLY_OUT_OF_STEP;
	if (c.verb != SMTP_VERBS)
		reply = smtp_objection(s, c.verb);
	if (reply != REPLY_OK)
		return reply;
	return fault == SMTP_FINE ? rows[c.verb].handler(s, &c) :
	    fault_reply(fault);
}

/* The line is copied out: handlers read on behind it. AUTH may carry a
 * password, so it is wiped. */
static void
take_line(struct smtp *s, struct span line)
{
	struct span copy = arena_dup(s->arena, line);

	stream_take(s->stream, line.n);
	smtp_say(s, handle(s, copy));
	if (span_starts_nocase(copy, SPAN("AUTH")))
		secret_wipe((char *)copy.p, copy.n);
	arena_reset(s->arena);
}

static bool
fits(struct span line)
{
	return line.n <= smtp_settings()->smtp_max_command_line ||
	    span_starts_nocase(line, SPAN("AUTH "));
}

static size_t
line_max(const struct smtp *s)
{
	size_t max = smtp_settings()->smtp_max_command_line;

	return smtp_is_submission(s) ? MAX(max, AUTH_LINE_MAX) : max;
}

static monotime_t
command_deadline(void)
{
	return clock_after(smtp_settings()->smtp_command_timeout);
}

/* The session goes on: 1; it is over: 0. */
static int
next_line(struct smtp *s)
{
	struct span line;
	int status = stream_line(s->stream, &line, line_max(s),
	    command_deadline());

	if (status == 1 && fits(line)) {
		take_line(s, line);
		return !s->closing;
	}
	if (status == 1)
		stream_take(s->stream, line.n);
	else if (status == 0)
		return 0;
	else if (errno == ETIMEDOUT)
		return smtp_say(s, REPLY_IDLE), 0;
	else if (errno != EMSGSIZE || stream_skip_line(s->stream, SKIP_MAX,
	    command_deadline()) != 1)
		return 0;
	smtp_say(s, REPLY_LINE_TOO_LONG);
	return !s->closing;
}

/* ---- the session ------------------------------------------------------------------ */

static enum session_next
smtp_input(void *state)
{
	struct smtp *s = state;
	int status;

	s->arena = arena_new(COMMAND_MEMORY);
	do
		status = next_line(s);
	while (status == 1 && stream_input(s->stream).n > 0);
	stream_flush(s->stream);
	arena_free(&s->arena);
	session_deadline(s->session, command_deadline());
	return status == 1 && stream_error(s->stream) == 0 ? SESSION_PARK :
	    SESSION_CLOSE;
}

void
smtp_greet(struct smtp *s)
{
	stream_printf(s->stream, "220 %s %s %s\r\n", environment.hostname,
	    smtp_is_lmtp(s) ? "LMTP" : "ESMTP", smtp_settings()->smtp_banner);
}

static enum session_next
open_session(struct session *session, void **state, enum protocol protocol)
{
	struct smtp *s = xcalloc(1, sizeof(*s));
	enum smtp_reply reply;

	s->session = session;
	s->stream = session_stream(session);
	s->protocol = protocol;
	*state = s;
	reply = smtp_peer_came(s);
	if (reply == REPLY_OK)
		reply = smtp_peer_wait(s);
	if (reply == REPLY_OK)
		smtp_greet(s);
	else
		smtp_say(s, reply);
	session_deadline(session, command_deadline());
	return stream_flush(s->stream) == 1 && !s->closing ? SESSION_PARK :
	    SESSION_CLOSE;
}

static enum session_next
smtp_open(struct session *session, void **state)
{
	return open_session(session, state, PROTOCOL_SMTP);
}

static enum session_next
lmtp_open(struct session *session, void **state)
{
	return open_session(session, state, PROTOCOL_LMTP);
}

static enum session_next
submission_open(struct session *session, void **state)
{
	return open_session(session, state,
	    stream_is_tls(session_stream(session)) ? PROTOCOL_SUBMISSIONS :
	    PROTOCOL_SUBMISSION);
}

static enum session_next
smtp_wake(void *state)
{
	(void)state;
	return SESSION_PARK;
}

static enum session_next
smtp_expire(void *state)
{
	struct smtp *s = state;

	smtp_say(s, REPLY_IDLE);
	stream_flush(s->stream);
	return SESSION_CLOSE;
}

static void
smtp_stop(void *state)
{
	struct smtp *s = state;

	smtp_say(s, REPLY_GOING_DOWN);
	stream_flush(s->stream);
}

static void
smtp_close(void *state)
{
	struct smtp *s = state;

	smtp_forget_client(s);
	smtp_peer_gone(s);
	free(s->spoken_for);
	free(s);
}

const struct service smtp_service = {
	.name = "smtp",
	.open = smtp_open,
	.input = smtp_input,
	.wake = smtp_wake,
	.expire = smtp_expire,
	.stop = smtp_stop,
	.close = smtp_close,
};

const struct service lmtp_service = {
	.name = "lmtp",
	.open = lmtp_open,
	.input = smtp_input,
	.wake = smtp_wake,
	.expire = smtp_expire,
	.stop = smtp_stop,
	.close = smtp_close,
};

const struct service submission_service = {
	.name = "submission",
	.open = submission_open,
	.input = smtp_input,
	.wake = smtp_wake,
	.expire = smtp_expire,
	.stop = smtp_stop,
	.close = smtp_close,
};

/*
 * smtp_server.c - an SMTP session from greeting to QUIT.
 *
 * RFC 5321 whole, as mx (port 25: anybody's mail for our recipients, never
 * any other) and as submission server (RFC 6409: a login before MAIL), with
 * PIPELINING (RFC 2920), ENHANCEDSTATUSCODES (RFC 2034) and what
 * smtp_command.h lists. The table below says when each verb may be spoken;
 * the handlers only do it.
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
#include "smtp/smtp_impl.h"

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

const char *
smtp_hostname(void)
{
	return environment.hostname;
}

bool
smtp_is_submission(const struct smtp *s)
{
	return s->protocol != PROTOCOL_SMTP;
}

/* ---- the table -------------------------------------------------------------- */

enum {
	HELLO = 1,		/* EHLO was said */
	LOGIN = 2,		/* submission: somebody is logged in */
	OUTSIDE = 4,		/* no transaction is open */
	INSIDE = 8,		/* one is */
	RECIPIENT = 16,		/* it has one */
	NO_CHUNKS = 32,		/* BDAT has not begun */
	SUBMISSION = 64,	/* offered there alone */
};

static const struct {
	unsigned needs;
	smtp_handler *handler;
} rows[SMTP_VERBS] = {
	[SMTP_EHLO]     = { 0, smtp_ehlo },
	[SMTP_HELO]     = { 0, smtp_ehlo },
	[SMTP_MAIL]     = { HELLO | LOGIN | OUTSIDE, smtp_mail },
	[SMTP_RCPT]     = { HELLO | INSIDE | NO_CHUNKS, smtp_rcpt },
	[SMTP_DATA]     = { HELLO | INSIDE | RECIPIENT | NO_CHUNKS, smtp_data },
	[SMTP_BDAT]     = { HELLO | INSIDE | RECIPIENT, smtp_bdat },
	[SMTP_RSET]     = { 0, smtp_rset },
	[SMTP_NOOP]     = { 0, smtp_noop },
	[SMTP_QUIT]     = { 0, smtp_quit },
	[SMTP_VRFY]     = { HELLO | LOGIN, smtp_vrfy },
	[SMTP_EXPN]     = { 0, NULL },
	[SMTP_HELP]     = { 0, smtp_help },
	[SMTP_AUTH]     = { HELLO | OUTSIDE | SUBMISSION, smtp_auth },
	[SMTP_STARTTLS] = { HELLO | OUTSIDE, smtp_starttls },
	[SMTP_ALIEN]    = { 0, smtp_alien },
};

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

	if (rows[verb].handler == NULL ||
	    ((needs & SUBMISSION) != 0 && !smtp_is_submission(s)))
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
	if (smtp_reply_code(reply) >= 500 &&
	    ++s->errors >= smtp_settings()->smtp_max_errors)
		too_many_errors(s);
}

/* ---- commands without mail ------------------------------------------------------ */

void
smtp_reset(struct smtp *s)
{
	s->in_mail = s->utf8 = false;
	s->body = SMTP_7BIT;
	text_free(&s->sender);
	text_free(&s->recipients);
	s->recipient_count = 0;
	smtp_message_free(&s->chunks);
}

static void
say_extensions(struct smtp *s)
{
	const struct settings *set = smtp_settings();
	struct text auth = TEXT_INIT(1024);

	stream_printf(s->stream, "250-%s\r\n250-PIPELINING\r\n"
	    "250-SIZE %" PRIu64 "\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
	    "250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-BINARYMIME\r\n",
	    environment.hostname, set->smtp_max_size);
	if (!stream_is_tls(s->stream) && session_tls(s->session) != NULL)
		stream_str(s->stream, "250-STARTTLS\r\n");
	if (smtp_is_submission(s) && login_allowed(set, s->session)) {
		login_mechanisms(&auth, s->session, " ");
		stream_str(s->stream, "250-AUTH");
		stream_write(s->stream, text_span(&auth));
		stream_str(s->stream, "\r\n");
		text_free(&auth);
	}
	stream_str(s->stream, "250 HELP\r\n");
}

/* RFC 5321 4.1.4: like RSET, whenever it is said. */
enum smtp_reply
smtp_ehlo(struct smtp *s, const struct smtp_command *c)
{
	smtp_reset(s);
	free(s->helo);
	s->helo = strndup(c->argument.p, c->argument.n);
	must(s->helo != NULL);
	s->greeted = true;
	s->esmtp = c->verb == SMTP_EHLO;
	if (s->esmtp)
		say_extensions(s);
	else
		stream_printf(s->stream, "250 %s\r\n", environment.hostname);
	return REPLY_SAID;
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

/* RFC 5321 7.3: who is here is nobody's business. */
enum smtp_reply
smtp_vrfy(struct smtp *s, const struct smtp_command *c)
{
	(void)s, (void)c;
	return REPLY_NOT_VERIFIED;
}

enum smtp_reply
smtp_help(struct smtp *s, const struct smtp_command *c)
{
	const char *name;

	(void)c;
	stream_str(s->stream, "214-2.0.0 Postrider speaks:\r\n214-2.0.0");
	for (int v = 0; v < SMTP_VERBS; v++) {
		name = smtp_verb_name((enum smtp_verb)v);
		if (name != NULL && smtp_objection(s, (enum smtp_verb)v) !=
		    REPLY_NOT_OFFERED)
			stream_printf(s->stream, " %s", name);
	}
	stream_printf(s->stream, "\r\n214 2.0.0 Questions: "
	    "postmaster@%s\r\n", environment.hostname);
	return REPLY_SAID;
}

/* A browser was made to speak to us: nothing it says is a command. */
enum smtp_reply
smtp_alien(struct smtp *s, const struct smtp_command *c)
{
	(void)s, (void)c;
	return REPLY_ALIEN;
}

/* RFC 3207 4.2: afterwards nothing is known of the client any more. */
static void
forget_client(struct smtp *s)
{
	smtp_reset(s);
	s->greeted = s->esmtp = false;
	free(s->helo);
	s->helo = NULL;
	free(s->login);
	s->login = NULL;
	secret_wipe(&s->grant, sizeof(s->grant));
}

/* What came in the clear behind STARTTLS was somebody else's, perhaps. */
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
	forget_client(s);
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

static enum session_next
open_session(struct session *session, void **state, enum protocol protocol)
{
	struct smtp *s = xcalloc(1, sizeof(*s));

	s->session = session;
	s->stream = session_stream(session);
	s->protocol = protocol;
	*state = s;
	stream_printf(s->stream, "220 %s ESMTP %s\r\n", environment.hostname,
	    smtp_settings()->smtp_banner);
	session_deadline(session, command_deadline());
	return stream_flush(s->stream) == 1 ? SESSION_PARK : SESSION_CLOSE;
}

static enum session_next
smtp_open(struct session *session, void **state)
{
	return open_session(session, state, PROTOCOL_SMTP);
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

	forget_client(s);
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

const struct service submission_service = {
	.name = "submission",
	.open = submission_open,
	.input = smtp_input,
	.wake = smtp_wake,
	.expire = smtp_expire,
	.stop = smtp_stop,
	.close = smtp_close,
};

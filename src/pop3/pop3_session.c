/*
 * pop3_session.c - POP3 from greeting to QUIT.
 *
 * RFC 1939 whole, with CAPA, RESP-CODES, PIPELINING, LOGIN-DELAY, EXPIRE and
 * IMPLEMENTATION (RFC 2449), AUTH-RESP-CODE (RFC 3206), SASL (RFC 5034),
 * STLS (RFC 2595), LANG and UTF8 (RFC 6856).
 *
 * A session is the snapshot of INBOX it began with: message numbers never
 * change, whatever IMAP sessions do meanwhile; a message they removed is
 * answered -ERR. Deletions are made at QUIT, in one call, and +OK to it
 * means that they are on disk. Without QUIT nothing is deleted.
 *
 * RFC and clients: outside UTF8 mode the RFC would have us hide 8-bit
 * headers; every client in use takes them as they are, and so they go out.
 *
 * Trusts the store's answers; nothing of the client's. Between two commands a
 * session is struct pop3 and its table of messages, nothing else.
 */
#include "pop3/pop3_session.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/secret.h"
#include "edge/login.h"
#include "pop3/pop3_impl.h"

enum {
	LINE_MAX_BYTES = LOGIN_LINE_MAX + 64,	/* AUTH with its response */
	COMMAND_MEMORY = 1 << 20,	/* for the store's inline answers */
};

static struct pop3_environment environment;

void
pop3_setup(const struct pop3_environment *e)
{
	environment = *e;
}

const struct settings *
pop3_settings(void)
{
	return environment.settings(environment.arg);
}

struct link *
pop3_store(void)
{
	return environment.store;
}

/* -- answers ------------------------------------------------------------- */

void
pop3_ok(struct pop3 *p, const char *text)
{
	stream_str(p->stream, "+OK ");
	stream_str(p->stream, text);
	stream_str(p->stream, "\r\n");
}

void
pop3_err(struct pop3 *p, const char *text)
{
	stream_str(p->stream, "-ERR ");
	stream_str(p->stream, text);
	stream_str(p->stream, "\r\n");
}

/* A mistake of the client's: too many, and it has to go. */
void
pop3_mistake(struct pop3 *p, const char *text)
{
	pop3_err(p, text);
	if (++p->errors < pop3_settings()->pop3_max_errors)
		return;
	log_event(LOG_LEVEL_INFO, "pop3.too_many_errors",
	    log_str("session", session_id(p->session)),
	    log_str("peer", session_peer(p->session)->address));
	p->closing = true;
}

const char pop3_store_away[] =
    "[SYS/TEMP] The mailbox is not available just now";

/* What the store's refusal means to a client. */
void
pop3_refuse(struct pop3 *p, enum result result)
{
	switch (result) {
	case RESULT_NOT_FOUND:
		pop3_err(p, "This message was removed by another session");
		break;
	case RESULT_DENIED:
		pop3_err(p, "[AUTH] This session has ended: please log in again");
		p->closing = true;
		break;
	case RESULT_DAMAGED:
		pop3_err(p, "[SYS/PERM] This message cannot be read");
		break;
	default:
		pop3_err(p, pop3_store_away);
	}
}

/* -- the session --------------------------------------------------------- */

static void (*const handlers[POP3_VERBS])(struct pop3 *,
    const struct pop3_command *) = {
	[POP3_APOP] = pop3_apop, [POP3_AUTH] = pop3_auth, [POP3_CAPA] = pop3_capa,
	[POP3_DELE] = pop3_dele, [POP3_LANG] = pop3_lang, [POP3_LIST] = pop3_list,
	[POP3_NOOP] = pop3_noop, [POP3_PASS] = pop3_pass, [POP3_QUIT] = pop3_quit,
	[POP3_RETR] = pop3_retr, [POP3_RSET] = pop3_rset, [POP3_STAT] = pop3_stat,
	[POP3_STLS] = pop3_stls, [POP3_TOP] = pop3_top, [POP3_UIDL] = pop3_uidl,
	[POP3_USER] = pop3_user, [POP3_UTF8] = pop3_utf8,
};

static void
handle(struct pop3 *p, struct span line)
{
	static const char *const texts[] = {
		[POP3_UNKNOWN] = "There is no such command",
		[POP3_NOT_NOW] = "Not now",
		[POP3_BAD_ARGUMENTS] = "These arguments do not fit the command",
		[POP3_NO_SUCH_MESSAGE] = "There is no such message",
	};
	struct pop3_command command;
	enum pop3_fault fault = pop3_parse(line, p->state, &command);

	if (fault == POP3_FINE)
		handlers[command.verb](p, &command);
	else
		pop3_mistake(p, texts[fault]);
}

/* RFC 1939 section 3: 10 minutes at least once somebody is logged in. */
static monotime_t
deadline(const struct pop3 *p)
{
	return clock_after(p->state == POP3_TRANSACTION ?
	    pop3_settings()->pop3_idle_timeout : pop3_settings()->pop3_login_timeout);
}

/*
 * The line is copied out: handlers read further lines (AUTH) or look at
 * what is pipelined behind. It may hold a password and is wiped.
 */
static void
take_line(struct pop3 *p, struct span line)
{
	char copy[LINE_MAX_BYTES];
	size_t n = line.n;

	memcpy(copy, line.p, n);
	stream_take(p->stream, n);
	arena_reset(p->arena);
	handle(p, span_chomp(span_of(copy, n)));
	secret_wipe(copy, n);
}

/* 1 go on, 0 the peer is gone or must go. */
static int
next_line(struct pop3 *p)
{
	struct span line;
	int status = stream_line(p->stream, &line, LINE_MAX_BYTES,
	    deadline(p));

	if (status == 1) {
		take_line(p, line);
		return !p->closing;
	}
	if (status == 0)
		return 0;
	if (errno == EMSGSIZE && stream_skip_line(p->stream, 16 << 20,
	    deadline(p)) == 1) {
		pop3_mistake(p, "This line is too long");
		return !p->closing;
	}
	pop3_err(p, errno == ETIMEDOUT ? "[SYS/TEMP] Idle for too long" :
	    "This line is too long");
	return 0;
}

static enum session_next
pop3_input(void *state)
{
	struct pop3 *p = state;
	int status;

	p->arena = arena_new(COMMAND_MEMORY);
	do
		status = next_line(p);
	while (status == 1 && stream_input(p->stream).n > 0);
	stream_flush(p->stream);
	pop3_ahead_drop(p);
	arena_free(&p->arena);
	session_deadline(p->session, deadline(p));
	return status == 1 && stream_error(p->stream) == 0 ? SESSION_PARK :
	    SESSION_CLOSE;
}

static enum session_next
pop3_open(struct session *session, void **state)
{
	struct pop3 *p = xcalloc(1, sizeof(*p));

	p->session = session;
	p->stream = session_stream(session);
	p->state = POP3_AUTHORIZATION;
	*state = p;
	stream_printf(p->stream, "+OK %s POP3 ready\r\n",
	    environment.hostname);
	session_deadline(session, deadline(p));
	return stream_flush(p->stream) == 1 ? SESSION_PARK : SESSION_CLOSE;
}

static enum session_next
pop3_wake(void *state)
{
	(void)state;
	return SESSION_PARK;
}

/* RFC 1939 section 3: the server closes without removing anything. */
static enum session_next
pop3_expire(void *state)
{
	struct pop3 *p = state;

	pop3_err(p, "[SYS/TEMP] Idle for too long");
	stream_flush(p->stream);
	return SESSION_CLOSE;
}

static void
pop3_stop(void *state)
{
	struct pop3 *p = state;

	pop3_err(p, "[SYS/TEMP] The server is going down");
	stream_flush(p->stream);
}

static void
pop3_close(void *state)
{
	struct pop3 *p = state;

	p->arena = arena_new(COMMAND_MEMORY);
	pop3_maildrop_close(p);
	arena_free(&p->arena);
	secret_wipe(&p->grant, sizeof(p->grant));
	free(p->user);
	free(p->items);
	free(p);
}

const struct service pop3_service = {
	.name = "pop3",
	.open = pop3_open,
	.input = pop3_input,
	.wake = pop3_wake,
	.expire = pop3_expire,
	.stop = pop3_stop,
	.close = pop3_close,
};

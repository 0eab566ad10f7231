/*
 * imap_auth.c - STARTTLS, LOGIN and AUTHENTICATE, and what is announced.
 *
 * Capabilities are announced when they are whole. After a login the store's
 * grant is the session's only right; passwords are wiped as soon as they were
 * passed on.
 */
#include "imap/imap_command.h"
#include "imap/imap_notify.h"
#include "imap/imap_searches.h"
#include "imap/imap_state.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/map.h"
#include "base/secret.h"
#include "edge/login.h"

/* How many sessions an account has here. */
struct account {
	uint64_t sessions;
};

static struct map *accounts;		/* by login */

/* -- STARTTLS ---- */

/* RFC 3501 6.2.1: what the client knew is void, what it sent ahead dropped. */
struct imap_reply
imap_starttls(struct imap_task *t)
{
	struct imap_session *s = t->s;
	struct tls_server *tls = session_tls(s->io);

	if (stream_is_tls(s->stream))
		return imap_bad("TLS is in use already");
	if (stream_is_deflate(s->stream))
		return imap_bad("Compression is in use already");
	if (tls == NULL)
		return imap_bad("TLS is not available");
	stream_write(s->stream, t->tag);
	stream_str(s->stream, " OK Begin TLS\r\n");
	stream_discard_input(s->stream);
	if (stream_flush(s->stream) != 1 ||
	    stream_start_tls(s->stream, tls,
	    clock_after(imap_settings()->tls_handshake_timeout)) != 1)
		s->bye = "";
	return (struct imap_reply){ .status = IMAP_SAID };
}

/* -- logging in ---- */

void
imap_forget_login(struct imap_session *s)
{
	struct account *account;

	imap_notify_end(s);
	secret_wipe(&s->grant, sizeof(s->grant));
	imap_searches_free(s);
	if (s->login == NULL)
		return;
	account = map_get(accounts, span_str(s->login));
	if (--account->sessions == 0) {
		map_remove(accounts, span_str(s->login));
		free(account);
	}
	free(s->login);
	s->login = NULL;
}

/* False: the account has too many sessions already. */
static bool
count_login(struct imap_session *s, const char *address)
{
	struct account *account;

	if (accounts == NULL)
		accounts = map_new();
	account = map_get(accounts, span_str(address));
	if (account == NULL) {
		account = xcalloc(1, sizeof(*account));
		map_put(accounts, span_str(address), account);
	}
	if (account->sessions >= imap_settings()->imap_max_sessions_per_account)
		return false;
	account->sessions++;
	s->login = xstrdup(address);
	return true;
}

static struct imap_reply
logged_in(struct imap_task *t, const struct login *login)
{
	struct imap_session *s = t->s;
	struct text code = TEXT_INIT(4096);
	struct imap_reply reply = imap_ok("Logged in");

	if (!count_login(s, login->address))
		return imap_no("LIMIT", "Too many sessions of this account");
	s->grant = login->grant;
	s->state = IMAP_AUTHENTICATED;
	log_event(LOG_LEVEL_INFO, "imap.login",
	    log_str("session", session_id(s->io)),
	    log_str("login", s->login),
	    log_str("peer", session_peer(s->io)->address),
	    log_text("tls", stream_tls_info(s->stream)));
	text_str(&code, "CAPABILITY ");
	imap_add_capabilities(s, &code);
	reply.code = arena_cstr(t->arena, text_span(&code));
	text_free(&code);
	return reply;
}

static struct imap_reply
denied(struct imap_task *t, const char *why, const char *code,
    const char *text)
{
	struct imap_session *s = t->s;

	log_event(LOG_LEVEL_WARNING, "imap.login_failed",
	    log_str("session", session_id(s->io)),
	    log_str("peer", session_peer(s->io)->address),
	    log_str("reason", why));
	if (++s->auth_failures >= imap_settings()->auth_max_failures)
		s->bye = "Too many failed logins";
	return imap_no(code, text);
}

/* Clients show an alert to people, who must do something themselves. */
static struct imap_reply
refused(struct imap_task *t, const struct login *login)
{
	const char *why = arena_cstr(t->arena, span_str(login->why));

	if (why == NULL)
		return imap_no_memory();
	stream_printf(t->s->stream, "* NO [ALERT] %s\r\n",
	    imap_words(t->s, why));
	return denied(t, "refused", "AUTHENTICATIONFAILED", why);
}

/* RFC 2221 4.1. */
static struct imap_reply
moved(struct imap_task *t, const struct login *login)
{
	struct span code = arena_printf(t->arena, "REFERRAL %s", login->why);

	return code.p == NULL ? imap_no_memory() :
	    imap_no(arena_cstr(t->arena, code), "The account is elsewhere");
}

static struct imap_reply
finish_login(struct imap_task *t, enum login_result result,
    const struct login *login)
{
	switch (result) {
	case LOGIN_OK:
		return logged_in(t, login);
	case LOGIN_DENIED:
		return denied(t, "denied", "AUTHENTICATIONFAILED",
		    "Wrong name or password");
	case LOGIN_LOCKED:
		return denied(t, "locked", "UNAVAILABLE",
		    "Too many failed logins, try later");
	case LOGIN_CANCELLED:
		return imap_bad("Authentication cancelled");
	case LOGIN_MALFORMED:
		return imap_bad("Not what the mechanism says");
	case LOGIN_NO_MECHANISM:
		return imap_no("CANNOT", "No such mechanism here");
	case LOGIN_TEMPORARY:
		return imap_unavailable();
	case LOGIN_REFUSED:
		return refused(t, login);
	case LOGIN_MOVED:
		return moved(t, login);
	case LOGIN_GONE:
		break;
	}
	t->s->bye = "";
	return (struct imap_reply){ .status = IMAP_SAID };
}

/* RFC 4978. The answer is the last that is not compressed. */
struct imap_reply
imap_compress(struct imap_task *t)
{
	struct imap_session *s = t->s;

	if (!span_is_nocase(t->args[0], "DEFLATE"))
		return imap_bad("No such compression here");
	if (stream_is_deflate(s->stream))
		return (struct imap_reply){ IMAP_BAD, "COMPRESSIONACTIVE",
		    "Compression is in use already" };
	imap_say_reply(t, imap_ok("Begin compressing"));
	if (stream_flush(s->stream) == 1)
		stream_start_deflate(s->stream);
	return (struct imap_reply){ .status = IMAP_SAID };
}

/* RFC 8437: who is there is forgotten; TLS and compression go on. */
struct imap_reply
imap_unauthenticate(struct imap_task *t)
{
	struct imap_session *s = t->s;
	struct text code = TEXT_INIT(4096);
	struct imap_reply reply = imap_ok("Not logged in any more");

	if (s->box != NULL)
		imap_unselect_mailbox(s, t->arena);
	imap_window_clear(s);
	log_event(LOG_LEVEL_INFO, "imap.unauthenticated",
	    log_str("session", session_id(s->io)),
	    log_str("login", s->login));
	imap_forget_login(s);
	s->state = IMAP_GREETED;
	s->enabled = 0;
	s->inbox = 0;
	text_str(&code, "CAPABILITY ");
	imap_add_capabilities(s, &code);
	reply.code = arena_cstr(t->arena, text_span(&code));
	text_free(&code);
	return reply;
}

static enum protocol
service_of(struct imap_session *s)
{
	return stream_is_tls(s->stream) ? PROTOCOL_IMAPS : PROTOCOL_IMAP;
}

struct imap_reply
imap_login(struct imap_task *t)
{
	struct login login = { .address = "" };
	struct imap_reply reply;
	enum login_result result;

	result = login_password(t->s->io, imap_store(), service_of(t->s),
	    t->args[0], t->args[1], &login);
	/* The password may stand in the arena, too, if it held an escape. */
	secret_wipe((char *)t->args[1].p, t->args[1].n);
	secret_wipe(t->line.p, t->line.n);
	reply = finish_login(t, result, &login);
	secret_wipe(&login, sizeof(login));
	return reply;
}

/* -- AUTHENTICATE: "+ " and base64, a line of base64 back ---- */

static void
challenge(void *arg, struct span base64)
{
	struct imap_session *s = arg;

	stream_str(s->stream, "+ ");
	stream_write(s->stream, base64);
	stream_str(s->stream, "\r\n");
	(void)stream_flush(s->stream);
}

/* A taken line stays where it is until the next fill. */
static int
response(void *arg, struct span *line)
{
	struct imap_session *s = arg;

	if (stream_line(s->stream, line, LOGIN_LINE_MAX,
	    imap_input_deadline(s)) != 1)
		return errno == EMSGSIZE && stream_skip_line(s->stream,
		    STREAM_INPUT_MAX, imap_input_deadline(s)) == 1 ? 0 : -1;
	stream_take(s->stream, line->n);
	*line = span_chomp(*line);
	return 1;
}

/* RFC 4959: the initial response may stand on the command line. */
static bool
take_mechanism(struct imap_task *t, struct span *mechanism,
    struct span *initial, bool *has_initial)
{
	struct imap_parser *in = &t->in;

	if (!imap_parse_space(in) || !imap_parse_atom(in, mechanism))
		return false;
	*has_initial = imap_parse_next(in, ' ');
	if (!*has_initial)
		return imap_parse_end(in);
	*initial = span_chomp(in->rest);
	in->rest = SPAN_EMPTY;
	return initial->n > 0 || imap_parse_fail(in, "Response expected");
}

struct imap_reply
imap_authenticate(struct imap_task *t)
{
	struct login_line line = { challenge, response, t->s };
	struct login login = { .address = "" };
	struct span mechanism, initial;
	struct imap_reply reply;
	enum login_result result;
	bool has_initial;

	if (!take_mechanism(t, &mechanism, &initial, &has_initial))
		return imap_bad_syntax(t);
	result = login_sasl(t->s->io, imap_settings(), imap_store(),
	    service_of(t->s), mechanism, has_initial ? &initial : NULL, &line,
	    &login);
	secret_wipe(t->line.p, t->line.n);
	reply = finish_login(t, result, &login);
	secret_wipe(&login, sizeof(login));
	return reply;
}

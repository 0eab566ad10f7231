/*
 * imap_session.c - the IMAP server: a session from greeting to goodbye.
 *
 * Between two commands a session is parked: a struct, its view of the
 * selected mailbox, no fiber and no buffers. A command is read whole (but for
 * the message of an APPEND), looked up, run; the changes of the mailbox
 * are told before its tagged line. Commands that come together are
 * answered together.
 *
 * Trusts: nothing that the client sends; every size has a limit in the
 * settings, every wait a deadline.
 */
#include "imap/imap_session.h"

#include <stdlib.h>

#include "base/log.h"
#include "imap/imap_command.h"
#include "imap/imap_notify.h"
#include "imap/imap_shared.h"
#include "imap/imap_state.h"
#include "io/fiber.h"
#include "io/loop.h"

enum {
	ARENAS_KEPT = 8,
	COMMANDS_A_TURN = 64,		/* then the others have their turn */
	RENEW_AT_ONCE = 256, RENEW_PAUSE = 20,
};

_Static_assert(sizeof(struct imap_session) <= 256,
    "what a parked session costs");

static struct {
	struct imap_environment env;
	struct imap_session *first;
	struct arena *arenas[ARENAS_KEPT];
	size_t arena_count;
	struct timer renew;
} imap;

struct link *
imap_store(void)
{
	return imap.env.store;
}

struct link *
imap_index(void)
{
	return imap.env.index;
}

const char *
imap_hostname(void)
{
	return imap.env.hostname;
}

const struct settings *
imap_settings(void)
{
	return imap.env.settings(imap.env.arg);
}

struct arena *
imap_arena_get(void)
{
	if (imap.arena_count > 0)
		return imap.arenas[--imap.arena_count];
	return arena_new((size_t)imap_settings()->session_command_memory);
}

void
imap_arena_put(struct arena **arena)
{
	if (imap.arena_count == ARENAS_KEPT) {
		arena_free(arena);
		return;
	}
	arena_reset(*arena);
	imap.arenas[imap.arena_count++] = *arena;
	*arena = NULL;
}

monotime_t
imap_input_deadline(const struct imap_session *s)
{
	const struct settings *set = imap_settings();

	return clock_after(s->state == IMAP_GREETED
	    ? set->imap_login_timeout : set->imap_literal_timeout);
}

/* -- running a command ---- */

static struct imap_reply
run(struct imap_task *t)
{
	struct imap_reply why;

	if (t->too_long || !imap_command_begin(t, &why)) {
		if (t->too_long) {
			(void)imap_command_begin(t, &why);
			why = imap_bad("Command line too long");
		}
		t->literal_pending = imap_line_literal(text_span(&t->line),
		    &t->literal) != 0;
		return why;
	}
	if (!imap_read_literals(t, &why))
		return why;
	/* Another session may have heard of new mail already: its numbers are
	 * said before they are used. */
	if (t->command->states == IMAP_SELECTED)
		imap_notify_tell_selected(t, false,
		    (t->command->how & IMAP_BY_UID) != 0);
	return imap_command_run(t);
}

/* What the client gets to know with this answer, then the answer. */
static void
answer(struct imap_task *t, struct imap_reply reply)
{
	struct imap_session *s = t->s;
	unsigned how = t->command != NULL ? t->command->how : 0;

	if (s->state == IMAP_SELECTED && s->bye == NULL &&
	    reply.status != IMAP_SAID) {
		imap_refresh(s, t->arena);
		imap_notify_tell_selected(t, (how & IMAP_KEEPS_NUMBERS) == 0,
		    (how & IMAP_BY_UID) != 0);
	}
	if (reply.status != IMAP_SAID)
		imap_notify_answer(t);
	imap_say_reply(t, reply);
	s->errors = reply.status == IMAP_BAD ? s->errors + 1 : 0;
	if (s->errors > imap_settings()->imap_max_errors && s->bye == NULL)
		s->bye = "Too many bad commands";
}

static void
goodbye(struct imap_session *s, const char *why)
{
	if (why[0] == '\0')
		return;
	stream_str(s->stream, "* BYE ");
	stream_str(s->stream, imap_words(s, why));
	stream_str(s->stream, "\r\n");
}

static enum session_next
run_command(struct imap_session *s)
{
	struct imap_task t = { .s = s, .line = imap_line_new(s) };
	struct imap_reply reply;
	enum session_next next = SESSION_CLOSE;
	bool secret = s->state == IMAP_GREETED;	/* it may hold a password */

	t.arena = imap_arena_get();
	if (imap_read_line(&t) != 1)
		goto out;
	reply = run(&t);
	if (t.literal_pending && imap_discard_literal(&t) != 1)
		reply.status = IMAP_SAID;
	answer(&t, reply);
	if (s->bye == NULL && stream_error(s->stream) == 0)
		next = SESSION_PARK;
out:
	if (secret)
		text_wipe(&t.line);
	else
		text_free(&t.line);
	imap_arena_put(&t.arena);
	return next;
}

/*
 * Is a line at hand, whole or too long to be whole? 1; 0 not yet: the session
 * is parked with what came of it; -1 there will be none.
 */
static int
line_waits(struct imap_session *s)
{
	for (;;) {
		struct span in = stream_input(s->stream);

		if (in.n >= STREAM_INPUT_MAX / 2 ||
		    span_find_char(in, '\n', 0) != SIZE_MAX)
			return 1;
		switch (stream_fill(s->stream, clock_mono())) {
		case 1:
			continue;
		case 0:
			return -1;
		default:
			return errno == ETIMEDOUT ? 0 : -1;
		}
	}
}

static void
set_deadline(struct imap_session *s)
{
	const struct settings *set = imap_settings();

	session_deadline(s->io, clock_after(s->state == IMAP_GREETED
	    ? set->imap_login_timeout : set->imap_idle_timeout));
}

/* Every command that has come; they are answered together. */
static enum session_next
imap_input(void *state)
{
	struct imap_session *s = state;
	enum session_next next = SESSION_PARK;
	unsigned turns = 0;
	int status;

	do {
		if ((status = line_waits(s)) != 1) {
			next = status == 0 ? SESSION_PARK : SESSION_CLOSE;
			break;
		}
		next = s->idling ? imap_idle_input(s) : run_command(s);
		set_deadline(s);
		if (++turns % COMMANDS_A_TURN == 0)
			(void)fiber_yield();
	} while (next == SESSION_PARK && stream_input(s->stream).n > 0);
	if (next == SESSION_CLOSE && s->bye != NULL)
		goodbye(s, s->bye);
	return stream_flush(s->stream) == 1 ? next : SESSION_CLOSE;
}

/* -- the session as a whole ---- */

static enum session_next
imap_open(struct session *io, void **state)
{
	struct imap_session *s = xcalloc(1, sizeof(*s));
	struct text line = TEXT_INIT(4096);

	s->io = io;
	s->stream = session_stream(io);
	s->state = IMAP_GREETED;
	s->after = imap.first;
	if (imap.first != NULL)
		imap.first->before = s;
	imap.first = s;
	*state = s;
	text_str(&line, "* OK [CAPABILITY ");
	imap_add_capabilities(s, &line);
	text_printf(&line, "] %s Postrider ready\r\n", imap.env.hostname);
	stream_write(s->stream, text_span(&line));
	text_free(&line);
	set_deadline(s);
	return stream_flush(s->stream) == 1 ? SESSION_PARK : SESSION_CLOSE;
}

static enum session_next
imap_wake(void *state)
{
	struct imap_session *s = state;

	return s->idling || s->notifies ? imap_idle_wake(s) : SESSION_PARK;
}

static enum session_next
imap_expire(void *state)
{
	struct imap_session *s = state;

	goodbye(s, "Nothing was heard for too long");
	(void)stream_flush(s->stream);
	return SESSION_CLOSE;
}

static void
imap_stop(void *state)
{
	struct imap_session *s = state;

	goodbye(s, "The server stops, connect again");
	(void)stream_flush(s->stream);
}

static void
imap_closed(void *state)
{
	struct imap_session *s = state;
	struct arena *arena;

	if (s->box != NULL) {
		arena = imap_arena_get();
		imap_unselect_mailbox(s, arena);
		imap_arena_put(&arena);
	}
	if (s->login != NULL)
		log_event(LOG_LEVEL_INFO, "imap.logout",
		    log_str("session", session_id(s->io)),
		    log_str("login", s->login));
	imap_forget_login(s);
	imap_window_clear(s);
	if (s->before != NULL)
		s->before->after = s->after;
	else
		imap.first = s->after;
	if (s->after != NULL)
		s->after->before = s->before;
	free(s->idle_tag);
	free(s);
}

const struct service imap_service = {
	.name = "imap", .open = imap_open, .input = imap_input,
	.wake = imap_wake, .expire = imap_expire, .stop = imap_stop,
	.close = imap_closed,
};

/* -- the store comes back ---- */

/* Sessions in IDLE renew their watch now, some at a time; the others do it
 * with their next command. */
static void
renew_some(struct timer *timer)
{
	size_t woken = 0;

	for (struct imap_session *s = imap.first; s != NULL; s = s->after) {
		if (!(s->box != NULL && imap_listens(s) &&
		    imap_shared_behind(s->box->shared)) &&
		    !((s->idling || s->notifies) && imap_notify_behind(s)))
			continue;
		if (woken++ == RENEW_AT_ONCE) {
			timer_set(timer, clock_after(RENEW_PAUSE));
			return;
		}
		session_wake(s->io);
	}
}

void
imap_store_attached(void)
{
	imap_shared_look();
	imap_notify_attached();
	imap.renew.fn = renew_some;
	timer_set(&imap.renew, clock_after(0));
}

void
imap_setup(const struct imap_environment *env)
{
	imap.env = *env;
	imap_shared_forget();
	link_on_note(env->store, VERB_mailbox_changed, imap_note_changed,
	    NULL);
	link_on_note(env->store, VERB_account_changed,
	    imap_notify_account_changed, NULL);
}

/* -- commands that concern the session alone ---- */

struct imap_reply
imap_noop(struct imap_task *t)
{
	(void)t;
	return imap_ok("Done");
}

struct imap_reply
imap_logout(struct imap_task *t)
{
	goodbye(t->s, "Logging out");
	t->s->bye = "";
	return imap_ok("Logged out");
}

/* RFC 2971: what the client says of itself is checked and let go. */
static bool
take_id(struct imap_parser *in)
{
	struct span field, value;
	size_t pairs = 0;

	if (!imap_parse_space(in))
		return false;
	if (imap_parse_peek(in) != '(')
		return imap_parse_nstring(in, &value) &&
		    (value.p == NULL || imap_parse_fail(in, "\"(\" expected"));
	imap_parse_next(in, '(');
	if (imap_parse_next(in, ')'))
		return true;
	do {
		if (!imap_parse_string(in, &field) || !imap_parse_space(in) ||
		    !imap_parse_nstring(in, &value))
			return false;
		if (++pairs > 30 || field.n > 30 || value.n > 1024)
			return imap_parse_fail(in, "Too much in ID");
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')');
}

static void
add_quoted(struct text *out, struct span s)
{
	text_str(out, " \"");
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			text_char(out, '\\');
		text_char(out, s.p[i]);
	}
	text_char(out, '"');
}

/* "vendor=Example; support-url=https://..." of imap.id */
static void
add_id_fields(struct text *out, struct span fields)
{
	while (fields.n > 0) {
		struct span field, name;

		fields = span_cut(fields, ';', &field);
		field = span_trim(span_cut(field, '=', &name));
		name = span_trim(name);
		if (name.n == 0)
			continue;
		add_quoted(out, name);
		add_quoted(out, field);
	}
}

struct imap_reply
imap_id(struct imap_task *t)
{
	struct text line = TEXT_INIT(4096);

	if (!take_id(&t->in) || !imap_parse_end(&t->in))
		return imap_bad_syntax(t);
	text_str(&line, "* ID (\"name\" \"Postrider\" \"version\" \""
	    POSTRIDER_VERSION "\"");
	add_id_fields(&line, span_str(imap_settings()->imap_id));
	text_str(&line, ")\r\n");
	stream_write(t->s->stream, text_span(&line));
	text_free(&line);
	return imap_ok("Pleased to meet you");
}

/*
 * imap_idle.c - IDLE (RFC 2177): changes are told as they happen.
 *
 * The session is parked meanwhile like any other; a note of the store wakes
 * it.
 */
#include "imap/imap_command.h"
#include "imap/imap_notify.h"
#include "imap/imap_state.h"

#include <stdlib.h>

enum { DONE_MAX = 256 };

/* Look and tell; may the session go on? */
static bool
catch_up(struct imap_session *s)
{
	struct arena *arena;

	if (s->notify != NULL && !imap_notify_catch_up(s))
		return false;
	if (s->box == NULL || s->notifies)
		return true;
	arena = imap_arena_get();
	imap_refresh(s, arena);
	imap_arena_put(&arena);
	if (s->bye == NULL)
		imap_tell(s, true, false);
	return s->bye == NULL;
}

struct imap_reply
imap_idle(struct imap_task *t)
{
	struct imap_session *s = t->s;

	s->idle_tag = xmalloc(t->tag.n + 1);
	memcpy(s->idle_tag, t->tag.p, t->tag.n);
	s->idle_tag[t->tag.n] = '\0';
	s->idling = true;
	stream_str(s->stream, "+ idling\r\n");
	catch_up(s);
	return (struct imap_reply){ .status = IMAP_SAID };
}

/* A line came: DONE ends it well, anything else badly. */
enum session_next
imap_idle_input(struct imap_session *s)
{
	struct span line;
	bool done;

	if (stream_line(s->stream, &line, DONE_MAX,
	    imap_input_deadline(s)) != 1) {
		if (errno == EMSGSIZE && stream_input(s->stream).n > 0)
			s->bye = "DONE expected";
		return SESSION_CLOSE;
	}
	done = span_is_nocase(span_chomp(line), "DONE");
	stream_take(s->stream, line.n);
	s->idling = false;
	if (catch_up(s))
		stream_printf(s->stream, "%s %s\r\n", s->idle_tag,
		    done ? "OK Idle ended" : "BAD DONE expected");
	free(s->idle_tag);
	s->idle_tag = NULL;
	return s->bye == NULL ? SESSION_PARK : SESSION_CLOSE;
}

enum session_next
imap_idle_wake(struct imap_session *s)
{
	bool go_on = catch_up(s);

	if (!go_on) {
		stream_str(s->stream, "* BYE ");
		stream_str(s->stream, s->bye);
		stream_str(s->stream, "\r\n");
	}
	return stream_flush(s->stream) == 1 && go_on ? SESSION_PARK
	    : SESSION_CLOSE;
}

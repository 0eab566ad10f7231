/*
 * imap_change.c - what happens in the selected mailbox, and when it is told.
 *
 * The store sends a note for each watch; the note says only "look again".
 * We look at the end of the next command, or at once in IDLE. Replies of verbs
 * that change messages carry the same news and are applied as they come.
 */
#include "imap/imap_command.h"
#include "imap/imap_state.h"

#include <stdlib.h>

#include "base/map.h"

static struct map *watches;		/* from the watch to the mailbox */
static uint64_t last_watch;

static struct span
watch_key(const uint64_t *watch)
{
	return span_of(watch, sizeof(*watch));
}

static void
watch(struct imap_mailbox *box)
{
	if (watches == NULL)
		watches = map_new();
	box->watch = ++last_watch;
	map_put(watches, watch_key(&box->watch), box);
}

static bool
behind(const struct imap_session *s)
{
	return s->renew || s->box->noted > imap_view_modseq(&s->box->view);
}

void
imap_note_changed(void *arg, const void *data)
{
	const struct mailbox_changed_note *note = data;
	struct imap_mailbox *box;

	(void)arg;
	if (note->watch == 0) {		/* notes were lost */
		imap_store_attached();
		return;
	}
	if (watches == NULL ||
	    (box = map_get(watches, watch_key(&note->watch))) == NULL)
		return;
	box->noted = MAX(box->noted, note->modseq);
	if (box == box->s->box && box->s->idling && behind(box->s))
		session_wake(box->s->io);
}

/* -- open and closed ---- */

static uint32_t
most_messages(void)
{
	return (uint32_t)MIN(UINT32_MAX - 1,
	    imap_settings()->imap_max_mailbox_messages);
}

bool
imap_mailbox_open(struct imap_task *t, uint64_t id, bool read_only,
    struct imap_mailbox **out, struct imap_reply *why)
{
	struct imap_mailbox *box = xcalloc(1, sizeof(*box));
	struct mailbox_open_request request = { .grant = t->s->grant,
	    .mailbox = id, .claim_recent = !read_only };
	struct mailbox_open_reply reply;
	int status;

	*why = imap_ok(NULL);
	box->s = t->s;
	box->id = id;
	box->read_only = read_only;
	watch(box);
	request.watch = box->watch;
	*out = box;
	if (call_mailbox_open(imap_store(), t->arena, &request, &reply) != 1) {
		*why = imap_unavailable();
		goto out;
	}
	if (reply.result != RESULT_OK)
		*why = imap_refused(t, reply.result);
	else if ((status = imap_view_open(&box->view, &reply,
	    most_messages())) != 1)
		*why = status == 0
		    ? imap_no("LIMIT", "The mailbox is too large")
		    : imap_no("SERVERBUG", "The mailbox is damaged");
	blob_release(&reply.rows);
out:
	if (why->status == IMAP_OK)
		return true;
	imap_mailbox_close(out, t->arena);
	return false;
}

void
imap_mailbox_close(struct imap_mailbox **boxp, struct arena *arena)
{
	struct imap_mailbox *box = *boxp;
	struct mailbox_close_request request = { .grant = box->s->grant,
	    .mailbox = box->id, .watch = box->watch };
	struct mailbox_close_reply reply;

	map_remove(watches, watch_key(&box->watch));
	/* The watch ends with the link, should the store be away. */
	if (link_up(imap_store()))
		(void)!call_mailbox_close(imap_store(), arena, &request,
		    &reply);
	imap_view_free(&box->view);
	free(box);
	*boxp = NULL;
}

void
imap_unselect_mailbox(struct imap_session *s, struct arena *arena)
{
	imap_mailbox_close(&s->box, arena);
	s->renew = false;
	s->state = IMAP_AUTHENTICATED;
	imap_window_clear(s);
}

bool
imap_apply(struct imap_mailbox *box, const struct imap_changes *changes)
{
	if (imap_view_apply(&box->view, changes, most_messages()) == 1)
		return true;
	box->s->bye = "The mailbox cannot be followed any more";
	return false;
}

/*
 * 1 the view is of now, 0 the mailbox is gone (the session must end: there is
 * no other way to say so), -1 the store is away.
 */
int
imap_refresh(struct imap_session *s, struct arena *arena)
{
	struct mailbox_changes_request request;
	struct mailbox_changes_reply reply;
	int status = 1;

	link_poll(imap_store());
	if (!behind(s))
		return 1;
	request = (struct mailbox_changes_request){ .grant = s->grant,
	    .mailbox = s->box->id, .watch = s->box->watch,
	    .since = imap_view_modseq(&s->box->view),
	    .claim_recent = !s->box->read_only };
	if (call_mailbox_changes(imap_store(), arena, &request, &reply) != 1)
		return -1;
	if (reply.result == RESULT_NOT_FOUND) {
		s->bye = "The selected mailbox was deleted";
		status = 0;
	} else if (reply.result == RESULT_DENIED) {
		s->bye = "The login holds no more";
		status = 0;
	} else if (reply.result != RESULT_OK) {
		status = -1;
	} else {
		s->renew = false;
		s->box->noted = MIN(s->box->noted, reply.highestmodseq);
		if (!imap_apply(s->box, &IMAP_CHANGES(reply)))
			status = 0;
	}
	blob_release(&reply.rows);
	blob_release(&reply.vanished);
	return status;
}

/* -- telling ---- */

enum { LINES_FULL = 8 << 10 };		/* then they go to the stream */

void
imap_say(struct imap_session *s, struct text *lines, bool all)
{
	if (lines->n == 0 || (!all && lines->n < LINES_FULL))
		return;
	stream_write(s->stream, text_span(lines));
	text_clear(lines);
}

void
imap_add_number_line(struct text *lines, uint32_t number, const char *what)
{
	text_str(lines, "* ");
	text_u64(lines, number);
	text_str(lines, what);
}

void
imap_tell_flags(struct imap_session *s, uint32_t index, bool with_uid,
    struct text *lines)
{
	const struct imap_view *view = &s->box->view;
	const struct message_row *row = imap_view_row(view, index);

	imap_add_number_line(lines, index + 1, " FETCH (");
	if (with_uid) {
		text_str(lines, "UID ");
		text_u64(lines, row->uid);
		text_char(lines, ' ');
	}
	text_str(lines, "FLAGS (");
	imap_view_add_flags(view, lines, imap_view_flags(view, row));
	if (imap_has(s, IMAP_CONDSTORE)) {
		text_str(lines, ") MODSEQ (");
		text_u64(lines, imap_row_modseq(row));
	}
	text_str(lines, "))\r\n");
	imap_view_told(&s->box->view, index);
}

void
imap_tell_keywords(struct imap_session *s, struct text *lines)
{
	struct imap_view *view = &s->box->view;

	view->tell_keywords = false;
	text_str(lines, "* FLAGS (");
	imap_view_add_all_flags(view, lines);
	text_str(lines, ")\r\n* OK [PERMANENTFLAGS (");
	if (s->box->read_only) {
		text_str(lines, ")] Nothing can be changed\r\n");
		return;
	}
	imap_view_add_all_flags(view, lines);
	if (view->keyword_count < KEYWORDS_MAX)
		text_str(lines, " \\*");
	text_str(lines, ")] These can be changed\r\n");
}

void
imap_tell(struct imap_session *s, bool expunges, bool with_uid)
{
	struct text lines = TEXT_INIT(0);
	struct imap_event event;

	while (imap_view_next(&s->box->view, expunges, &event)) {
		switch (event.kind) {
		case IMAP_EVENT_EXPUNGE:
			imap_add_number_line(&lines, event.number,
			    " EXPUNGE\r\n");
			break;
		case IMAP_EVENT_KEYWORDS:
			imap_tell_keywords(s, &lines);
			break;
		case IMAP_EVENT_EXISTS:
			imap_add_number_line(&lines, event.number,
			    " EXISTS\r\n");
			break;
		case IMAP_EVENT_RECENT:
			imap_add_number_line(&lines, event.number,
			    " RECENT\r\n");
			break;
		case IMAP_EVENT_FETCH:
			imap_tell_flags(s, event.number - 1, with_uid, &lines);
			break;
		}
		imap_say(s, &lines, false);
	}
	imap_say(s, &lines, true);
	text_free(&lines);
}

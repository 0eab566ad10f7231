/*
 * imap_change.c - what happens in the selected mailbox, and when it is told.
 *
 * The store sends a note for each watch; the note says only "look again".
 * We look at the end of the next command, or at once in IDLE. Replies of verbs
 * that change messages carry the same news and are applied as they come.
 */
#include "imap/imap_command.h"
#include "imap/imap_searches.h"
#include "io/fiber.h"

void
imap_unselect_mailbox(struct imap_session *s, struct arena *arena)
{
	imap_searches_close(s);
	imap_mailbox_close(&s->box, arena);
	s->state = IMAP_AUTHENTICATED;
	imap_window_clear(s);
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
	(void)fiber_share();
}

void
imap_add_number_line(struct text *lines, uint32_t number, const char *what)
{
	text_str(lines, "* ");
	text_u64(lines, number);
	text_str(lines, what);
}

/* RFC 9586 3.3: with UIDONLY the UID stands where the number was. */
void
imap_begin_fetch(struct imap_session *s, struct text *lines, uint32_t uid,
    uint32_t index, bool with_uid)
{
	if (imap_has(s, IMAP_UIDONLY)) {
		imap_add_number_line(lines, uid, " UIDFETCH (");
		return;
	}
	imap_add_number_line(lines, index + 1, " FETCH (");
	if (!with_uid && !imap_has(s, IMAP_QRESYNC) &&
	    !imap_has(s, IMAP_REV2))
		return;
	text_str(lines, "UID ");
	text_u64(lines, uid);
	text_char(lines, ' ');
}

void
imap_tell_flags(struct imap_session *s, uint32_t index, bool with_uid,
    struct text *lines)
{
	const struct imap_view *view = &s->box->view;
	const struct message_row *row = imap_view_row(view, index);

	imap_begin_fetch(s, lines, row->uid, index, with_uid);
	text_str(lines, "FLAGS (");
	imap_view_add_flags(view, lines, imap_view_flags(view, row));
	if (imap_has(s, IMAP_CONDSTORE)) {
		text_str(lines, ") MODSEQ (");
		text_u64(lines, imap_row_modseq(row));
	}
	text_str(lines, "))\r\n");
	imap_view_told(&s->box->view, index);
}

/* RFC 4314 5.1.1: what the rights allow. */
static void
add_permanent_flags(const struct imap_mailbox *box, struct text *lines)
{
	const struct imap_view *view = &box->view;
	uint32_t rights = imap_mailbox_rights(box);
	uint64_t flags = FLAGS_SYSTEM;

	if ((rights & RIGHT_WRITE) != 0 && (rights & RIGHT_SEEN) != 0 &&
	    (rights & RIGHT_DELETED) != 0) {
		imap_view_add_all_flags(view, lines);
	} else {
		if ((rights & RIGHT_WRITE) == 0)
			flags &= FLAG_SEEN | FLAG_DELETED;
		else
			flags |= (UINT64_C(1) << FLAG_KEYWORD_0 <<
			    view->model->keyword_count) -
			    (UINT64_C(1) << FLAG_KEYWORD_0);
		if ((rights & RIGHT_SEEN) == 0)
			flags &= ~FLAG_SEEN;
		if ((rights & RIGHT_DELETED) == 0)
			flags &= ~FLAG_DELETED;
		imap_view_add_flags(view, lines, flags);
	}
	if ((rights & RIGHT_WRITE) != 0 &&
	    view->model->keyword_count < KEYWORDS_MAX)
		text_str(lines, " \\*");
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
	add_permanent_flags(s->box, lines);
	text_str(lines, ")] These can be changed\r\n");
}

/* RFC 7162 3.2.10, RFC 9586 3.4: all of them in one line, and by UID. */
static void
tell_vanished(struct imap_session *s, struct text *lines)
{
	struct text uids = TEXT_INIT(0);

	if (imap_view_vanish(&s->box->view, &uids)) {
		text_str(lines, "* VANISHED ");
		text_add(lines, text_span(&uids));
		text_str(lines, "\r\n");
	}
	text_free(&uids);
}

void
imap_tell(struct imap_session *s, bool expunges, bool with_uid)
{
	struct text lines = TEXT_INIT(0);
	struct imap_event event;

	if (expunges)
		imap_contexts_before(s);
	if (expunges && (s->enabled & (IMAP_QRESYNC | IMAP_UIDONLY)) != 0) {
		tell_vanished(s, &lines);
		expunges = false;
	}
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
	imap_contexts_after(s);
}

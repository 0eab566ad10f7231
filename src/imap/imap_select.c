/*
 * imap_select.c - SELECT, EXAMINE, CLOSE, UNSELECT, CHECK.
 */
#include "imap/imap_command.h"
#include "imap/imap_state.h"

/* RFC 4466: parameters in parentheses. CONDSTORE is the one we know. */
static bool
take_parameters(struct imap_task *t, bool *condstore)
{
	struct imap_parser *in = &t->in;
	struct span word;

	*condstore = false;
	if (imap_parse_peek(in) != ' ')
		return imap_parse_end(in);
	if (!imap_parse_space(in) || !imap_parse_char(in, '('))
		return false;
	do {
		if (!imap_parse_atom(in, &word))
			return false;
		if (!span_is_nocase(word, "CONDSTORE"))
			return imap_parse_fail(in, "Unknown parameter");
		*condstore = true;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')') && imap_parse_end(in);
}

static uint32_t
first_unseen(const struct imap_view *view)
{
	uint32_t index = imap_model_unseen(view->model);

	return index < view->model->count ? index + 1 : 0;
}

/* RFC 3501 6.3.1, RFC 7162 3.1.2.1, RFC 8474 5.1. */
static void
describe(struct imap_session *s)
{
	const struct imap_view *view = &s->box->view;
	struct text line = TEXT_INIT(64 << 10);
	uint32_t unseen;

	must(s->box != NULL);
	unseen = first_unseen(view);
	imap_tell_keywords(s, &line);
	text_printf(&line, "* %u EXISTS\r\n* %u RECENT\r\n", imap_view_count(view),
	    view->told_recent);
	if (unseen != 0)
		text_printf(&line, "* OK [UNSEEN %u] First unseen\r\n",
		    unseen);
	text_printf(&line, "* OK [UIDVALIDITY %u] UIDs valid\r\n"
	    "* OK [UIDNEXT %u] Next UID\r\n"
	    "* OK [HIGHESTMODSEQ %" PRIu64 "] Highest mod-sequence\r\n"
	    "* OK [MAILBOXID (", view->model->uidvalidity, view->model->uidnext,
	    imap_view_modseq(view));
	imap_add_mailbox_id(&line, s->box->id);
	text_str(&line, ")] Mailbox id\r\n");
	stream_write(s->stream, text_span(&line));
	text_free(&line);
}

static struct imap_reply
select_mailbox(struct imap_task *t, bool read_only)
{
	struct imap_session *s = t->s;
	struct imap_reply why;
	bool condstore;
	uint64_t id;

	if (!take_parameters(t, &condstore))
		return imap_bad_syntax(t);
	if (s->box != NULL) {
		imap_unselect_mailbox(s, t->arena);
		stream_str(s->stream, "* OK [CLOSED] Mailbox closed\r\n");
	}
	if (imap_mailbox_find(t, t->args[0], &id, &why) != 1)
		return why;
	if (!imap_mailbox_open(t, id, read_only, &s->box, &why))
		return why;
	s->state = IMAP_SELECTED;
	if (condstore)
		imap_turn_on(s, IMAP_CONDSTORE);
	describe(s);
	return read_only
	    ? (struct imap_reply){ IMAP_OK, "READ-ONLY", "Mailbox examined" }
	    : (struct imap_reply){ IMAP_OK, "READ-WRITE", "Mailbox selected" };
}

struct imap_reply
imap_select(struct imap_task *t)
{
	return select_mailbox(t, false);
}

struct imap_reply
imap_examine(struct imap_task *t)
{
	return select_mailbox(t, true);
}

/* RFC 3501 6.4.2: what is \Deleted goes, and nothing is told. */
struct imap_reply
imap_close(struct imap_task *t)
{
	struct imap_session *s = t->s;
	struct imap_reply why = imap_ok("Mailbox closed");

	if (!s->box->read_only)
		why = imap_expunge_deleted(t, NULL);
	if (why.status != IMAP_OK)
		return why;
	imap_unselect_mailbox(s, t->arena);
	return imap_ok("Mailbox closed");
}

struct imap_reply
imap_unselect(struct imap_task *t)
{
	imap_unselect_mailbox(t->s, t->arena);
	return imap_ok("Mailbox unselected");
}

/* Every change is kept as it is made: there is nothing to check. */
struct imap_reply
imap_check(struct imap_task *t)
{
	(void)t;
	return imap_ok("Checked");
}

/*
 * imap_select.c - SELECT, EXAMINE, CLOSE, UNSELECT, CHECK.
 */
#include "imap/imap_command.h"
#include "imap/imap_resync.h"

/* RFC 4466: parameters in parentheses; RFC 7162 has two of them. */
struct parameters {
	bool condstore, qresync;
	struct imap_resync resync;
};

static bool
take_parameter(struct imap_parser *in, struct parameters *p)
{
	struct span word;

	if (!imap_parse_atom(in, &word))
		return false;
	if (span_is_nocase(word, "CONDSTORE")) {
		p->condstore = true;
		return true;
	}
	if (!span_is_nocase(word, "QRESYNC"))
		return imap_parse_fail(in, "Unknown parameter");
	p->qresync = true;
	return imap_parse_resync(in, &p->resync);
}

static bool
take_parameters(struct imap_task *t, struct parameters *p)
{
	struct imap_parser *in = &t->in;

	*p = (struct parameters){ .condstore = false };
	if (imap_parse_peek(in) != ' ')
		return imap_parse_end(in);
	if (!imap_parse_space(in) || !imap_parse_char(in, '('))
		return false;
	do {
		if (!take_parameter(in, p))
			return false;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')') && imap_parse_end(in);
}

/* May it say what it says? */
static bool
allowed(const struct imap_session *s, const struct parameters *p,
    struct imap_reply *why)
{
	if (p->qresync && !imap_has(s, IMAP_QRESYNC))
		*why = imap_bad("ENABLE QRESYNC first");
	else if (p->resync.has_match && imap_has(s, IMAP_UIDONLY))
		*why = imap_uid_required();
	else
		return true;
	return false;
}

static uint32_t
first_unseen(const struct imap_view *view)
{
	uint32_t index = imap_model_unseen(view->model);

	return index < view->model->count ? index + 1 : 0;
}

/* What only IMAP4rev1 tells: \Recent, and the first unseen by its number. */
static void
add_old_counts(struct imap_session *s, struct text *line)
{
	const struct imap_view *view = &s->box->view;
	uint32_t unseen = first_unseen(view);

	text_printf(line, "* %u RECENT\r\n", view->told_recent);
	if (unseen != 0 && !imap_has(s, IMAP_UIDONLY))
		text_printf(line, "* OK [UNSEEN %u] First unseen\r\n",
		    unseen);
}

/* RFC 9051 6.3.2: the name as we write it, with the client's if it differs. */
static void
add_list(struct imap_task *t, struct text *line)
{
	struct imap_parser in = imap_parser(span_from(text_span(&t->line),
	    t->args_at), t->arena);
	struct span sent = SPAN_EMPTY;

	text_str(line, "* LIST () \"/\" ");
	imap_add_name(t, line, t->args[0]);
	if (imap_parse_space(&in) && imap_parse_astring(&in, &sent) &&
	    !span_eq(sent, imap_show_name(t, t->args[0]))) {
		text_str(line, " (\"OLDNAME\" (");
		imap_add_astring(line, sent, imap_text_mode(t->s));
		text_str(line, "))");
	}
	text_str(line, "\r\n");
}

/* RFC 3501 6.3.1, RFC 9051 6.3.2, RFC 7162 3.1.2.1, RFC 8474 5.1. */
static void
describe(struct imap_task *t)
{
	struct imap_session *s = t->s;
	const struct imap_view *view = &s->box->view;
	struct text line = TEXT_INIT(64 << 10);

	imap_tell_keywords(s, &line);
	text_printf(&line, "* %u EXISTS\r\n", imap_view_count(view));
	if (imap_has(s, IMAP_REV2))
		add_list(t, &line);
	else
		add_old_counts(s, &line);
	text_printf(&line, "* OK [UIDVALIDITY %u] UIDs valid\r\n"
	    "* OK [UIDNEXT %u] Next UID\r\n"
	    "* OK [HIGHESTMODSEQ %" PRIu64 "] Highest mod-sequence\r\n"
	    "* OK [MAILBOXID (", view->model->uidvalidity,
	    view->model->uidnext, imap_view_modseq(view));
	imap_add_mailbox_id(&line, s->box->id);
	text_str(&line, ")] Mailbox id\r\n"
	    "* OK [URLMECH INTERNAL] What URLs are authorised by\r\n");
	stream_write(s->stream, text_span(&line));
	text_free(&line);
}

static struct imap_reply
select_mailbox(struct imap_task *t, bool read_only)
{
	struct imap_session *s = t->s;
	struct parameters p;
	struct imap_reply why;
	uint64_t id;

	if (!take_parameters(t, &p))
		return imap_bad_syntax(t);
	if (!allowed(s, &p, &why))
		return why;
	if (s->box != NULL) {
		imap_unselect_mailbox(s, t->arena);
		stream_str(s->stream, "* OK [CLOSED] Mailbox closed\r\n");
	}
	if (imap_mailbox_find(t, t->args[0], &id, &why) != 1)
		return why;
	if (!imap_mailbox_open(t, id, read_only, &s->box, &why))
		return why;
	s->state = IMAP_SELECTED;
	if ((imap_mailbox_rights(s->box) & RIGHTS_TO_CHANGE) == 0)
		s->box->read_only = read_only = true;
	if (p.condstore)
		imap_turn_on(s, IMAP_CONDSTORE);
	describe(t);
	if (p.qresync && !imap_say_missed(t, &p.resync, &why)) {
		imap_unselect_mailbox(s, t->arena);
		return why;
	}
	return read_only
	    ? (struct imap_reply){ IMAP_OK, "READ-ONLY", "For reading only" }
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

static uint32_t
count_deleted(const struct imap_model *m)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < m->count; i++)
		sum += (m->rows[i].flags & FLAG_DELETED) != 0;
	return sum;
}

/*
 * CLOSE tells nobody of what happened meanwhile, so it may only name a
 * modseq when nothing did but the removal itself.
 */
static bool
only_deleted_left(const struct imap_view *view, uint32_t deleted)
{
	return imap_uids_count(&view->gone) == deleted &&
	    view->told_count == imap_view_count(view) &&
	    view->changed.from == view->changed.to;
}

/* RFC 3501 6.4.2, RFC 7162 3.2.8: what is \Deleted goes, nothing is told. */
struct imap_reply
imap_close(struct imap_task *t)
{
	struct imap_session *s = t->s;
	struct imap_reply why = imap_ok("Mailbox closed");
	uint32_t deleted = imap_has(s, IMAP_QRESYNC)
	    ? count_deleted(s->box->view.model) : 0;

	/* RFC 4314 section 4: without the right CLOSE just closes. */
	if (!s->box->read_only &&
	    (imap_mailbox_rights(s->box) & RIGHT_EXPUNGE) != 0)
		why = imap_expunge_deleted(t, NULL);
	if (why.status != IMAP_OK)
		return why;
	if (!only_deleted_left(&s->box->view, deleted))
		why.code = NULL;
	imap_unselect_mailbox(s, t->arena);
	return (struct imap_reply){ IMAP_OK, why.code, "Mailbox closed" };
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

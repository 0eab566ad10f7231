/*
 * imap_store.c - STORE (RFC 3501 6.4.6) with UNCHANGEDSINCE (RFC 7162 3.1.3).
 *
 * One call to the store for a command, whatever the set. With .SILENT a row
 * is told only when it is not what the command alone would have made of it
 * (struct imap_expected).
 */
#include "imap/imap_command.h"
#include "imap/imap_state.h"
#include "ipc/wire.h"

struct order {
	struct imap_set set;
	struct imap_picks picks;
	enum store_mode mode;
	bool silent;
	bool conditional;
	uint64_t unchanged_since;
	struct imap_flags flags;
};

/* -- the command ---- */

static bool
take_condition(struct imap_parser *in, struct order *o)
{
	struct span word;

	o->unchanged_since = UINT64_MAX;
	if (!imap_parse_next(in, '('))
		return true;
	do {
		if (!imap_parse_atom(in, &word))
			return false;
		if (!span_is_nocase(word, "UNCHANGEDSINCE"))
			return imap_parse_fail(in, "Unknown modifier");
		if (!imap_parse_space(in) ||
		    !imap_parse_u63(in, &o->unchanged_since))
			return false;
		o->conditional = true;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')') && imap_parse_space(in);
}

static bool
take_item(struct imap_parser *in, struct order *o)
{
	struct span word;

	o->mode = imap_parse_next(in, '-') ? STORE_REMOVE
	    : imap_parse_next(in, '+') ? STORE_ADD : STORE_SET;
	if (!imap_parse_atom(in, &word))
		return false;
	o->silent = span_is_nocase(word, "FLAGS.SILENT");
	return o->silent || span_is_nocase(word, "FLAGS") ||
	    imap_parse_fail(in, "FLAGS expected");
}

static bool
take_order(struct imap_task *t, struct order *o)
{
	struct imap_parser *in = &t->in;

	return imap_take_set(t, &o->set) && imap_parse_space(in) &&
	    take_condition(in, o) && take_item(in, o) &&
	    imap_parse_space(in) && imap_parse_flags(in, &o->flags) &&
	    imap_parse_end(in);
}

/* -- what it leads to ---- */

/* "* 4 FETCH (UID 9 MODSEQ (7))": what .SILENT leaves with CONDSTORE. */
static void
tell_modseq(struct imap_task *t, uint32_t index, struct text *lines)
{
	struct imap_session *s = t->s;
	const struct message_row *row = imap_view_row(&s->box->view, index);

	imap_begin_fetch(s, lines, row->uid, index,
	    (t->command->how & IMAP_BY_UID) != 0);
	text_str(lines, "MODSEQ (");
	text_u64(lines, imap_row_modseq(row));
	text_str(lines, "))\r\n");
	imap_view_told(&s->box->view, index);
}

/* Does uid lie in the ranges? Asked in ascending order. */
struct range_walk {
	struct cursor at;
	struct uid_range range;		/* last 0: none yet */
};

static bool
in_ranges(struct range_walk *w, uint32_t uid)
{
	while (w->range.last < uid)
		if (uid_range_get(&w->at, &w->range) != 1) {
			w->range = (struct uid_range){ .first = UINT32_MAX,
			    .last = UINT32_MAX };
			return false;
		}
	return uid >= w->range.first;
}

static void
tell_row(struct imap_task *t, const struct order *o, uint32_t index,
    struct text *lines)
{
	if (!o->silent)
		imap_tell_flags(t->s, index,
		    (t->command->how & IMAP_BY_UID) != 0, lines);
	else if (!imap_view_changed(&t->s->box->view, index))
		tell_modseq(t, index, lines);
	/* Else it is told with the other changes. */
}

/* Does a row of the set say anything by itself? */
static bool
rows_speak(struct imap_task *t, const struct order *o, struct span modified)
{
	return !o->silent || imap_has(t->s, IMAP_CONDSTORE) || modified.n > 0;
}

/* The rows of the set; the numbers of those the condition excluded. */
static void
tell_rows(struct imap_task *t, const struct order *o, struct span modified,
    struct imap_ranges *failed)
{
	struct imap_view *view = &t->s->box->view;
	struct range_walk excluded = { .at = { .rest = modified } };
	struct text lines = TEXT_INIT(0);
	struct imap_walk walk = { 0 };
	uint32_t index;

	if (view->tell_keywords)
		imap_tell_keywords(t->s, &lines);
	while (rows_speak(t, o, modified) &&
	    imap_walk(&o->picks, &walk, &index)) {
		uint32_t uid = imap_view_uid(view, index);

		if (modified.n > 0 && in_ranges(&excluded, uid))
			imap_ranges_add(failed,
			    (t->command->how & IMAP_BY_UID) != 0 ? uid
			    : index + 1);
		else if (imap_view_row(view, index) != NULL)
			tell_row(t, o, index, &lines);
		imap_say(t->s, &lines, false);
	}
	imap_say(t->s, &lines, true);
	imap_ranges_end(failed);
	text_free(&lines);
}

/* uid_range records, ascending, as a set. */
static struct imap_uids
uids_of(struct span records)
{
	struct imap_uids uids = { .runs = NULL };
	struct cursor at = { .rest = records };
	struct uid_range range;

	while (uid_range_get(&at, &range) == 1)
		if (range.first > imap_uids_last(&uids))
			imap_uids_append(&uids, range.first, range.last);
	return uids;
}

/* What .SILENT keeps quiet is what the command made of its messages. */
static bool
apply(struct imap_mailbox *box, const struct order *o, struct span asked,
    const struct message_store_reply *reply)
{
	struct imap_uids uids = uids_of(asked);
	struct imap_uids failed = uids_of(reply->modified.bytes);
	struct imap_expected expected = { .uids = &uids, .mode = o->mode,
	    .flags = o->flags.flags, .keywords = o->flags.keywords };
	struct imap_changes changes = IMAP_CHANGES(*reply);
	bool done;

	changes.as_asked = reply->as_asked != 0;
	changes.bits = reply->bits;
	imap_uids_subtract(&uids, &failed);
	done = imap_apply_expected(box, &changes,
	    o->silent || changes.as_asked ? &expected : NULL);
	imap_uids_free(&uids);
	imap_uids_free(&failed);
	return done;
}

static struct imap_reply
stored(struct imap_task *t, const struct order *o, struct span asked,
    const struct message_store_reply *reply)
{
	struct imap_ranges failed = { .any = false };
	struct imap_reply answer = imap_ok("Flags stored");

	if (!apply(t->s->box, o, asked, reply))
		return imap_no("SERVERBUG", "The mailbox is damaged");
	tell_rows(t, o, reply->modified.bytes, &failed);
	if (failed.text.n > 0) {
		answer.code = arena_printf(t->arena, "MODIFIED %.*s",
		    SPAN_ARG(text_span(&failed.text))).p;
		answer.text = "Some were changed meanwhile";
	} else if ((t->command->how & IMAP_BY_UID) == 0 &&
	    imap_any_gone(&t->s->box->view, &o->picks)) {
		answer = imap_expunge_issued();
	}
	text_free(&failed.text);
	return answer;
}

struct imap_reply
imap_store_flags(struct imap_task *t)
{
	struct imap_session *s = t->s;
	struct order o = { .silent = false };
	struct message_store_request request;
	struct message_store_reply reply;
	struct imap_reply why;
	struct span uids;

	if (!take_order(t, &o))
		return imap_bad_syntax(t);
	if (o.conditional)
		imap_turn_on(s, IMAP_CONDSTORE);
	if (!imap_pick(t, &o.set, &o.picks, &why))
		return why;
	imap_limit(t, &o.picks);
	if (o.picks.messages == 0)
		return imap_ok("There are no such messages");
	uids = imap_uids_of(&s->box->view, &o.picks, t->arena);
	request = (struct message_store_request){ .grant = s->grant,
	    .mailbox = s->box->id,
	    .uids = BLOB_OF(uids),
	    .mode = o.mode, .flags = o.flags.flags,
	    .keywords = o.flags.keywords,
	    .unchanged_since = o.unchanged_since,
	    .since = imap_view_modseq(&s->box->view),
	    .watch = imap_mailbox_watch(s->box), .brief = 1 };
	if (call_message_store(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	why = reply.result == RESULT_OK ? stored(t, &o, uids, &reply)
	    : imap_box_refused(t, reply.result);
	blob_release(&reply.modified);
	blob_release(&reply.rows);
	blob_release(&reply.vanished);
	return why;
}

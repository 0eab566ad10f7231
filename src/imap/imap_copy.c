/*
 * imap_copy.c - COPY, MOVE (RFC 6851), EXPUNGE and UID EXPUNGE (RFC 4315).
 */
#include "imap/imap_command.h"
#include "imap/imap_state.h"

/* "COPYUID 38505 304,319:320 3956:3958", or NULL when nothing was copied. */
static const char *
copyuid(struct imap_task *t, const struct message_copy_reply *reply)
{
	struct text code = TEXT_INIT(0);
	const char *out = NULL;

	if (reply->sources.bytes.n == 0)
		return NULL;
	text_printf(&code, "COPYUID %u ", reply->target_uidvalidity);
	if (imap_add_uid_ranges(&code, reply->sources.bytes) == 1) {
		text_char(&code, ' ');
		if (imap_add_uid_ranges(&code, reply->targets.bytes) == 1)
			out = arena_cstr(t->arena, text_span(&code));
	}
	text_free(&code);
	return out;
}

static struct imap_reply
copied(struct imap_task *t, const struct message_copy_reply *reply, bool move)
{
	const char *code = copyuid(t, reply);

	if (!imap_apply(t->s->box, &IMAP_CHANGES(*reply)))
		return imap_no("SERVERBUG", "The mailbox is damaged");
	if (!move)
		return (struct imap_reply){ IMAP_OK, code, "Copied" };
	/* Before the EXPUNGE responses: RFC 6851 section 4.3. */
	if (code != NULL) {
		stream_str(t->s->stream, "* OK [");
		stream_str(t->s->stream, code);
		stream_str(t->s->stream, "] Moved\r\n");
	}
	return imap_ok("Moved");
}

static struct imap_reply
copy(struct imap_task *t, const struct imap_picks *picks, uint64_t target,
    bool move)
{
	struct imap_session *s = t->s;
	struct message_copy_request request = { .grant = s->grant,
	    .token = token_new(), .mailbox = s->box->id,
	    .uids = BLOB_OF(imap_uids_of(&s->box->view, picks, t->arena)),
	    .target = target, .move = move,
	    .since = imap_view_modseq(&s->box->view),
	    .watch = imap_mailbox_watch(s->box) };
	struct message_copy_reply reply;
	struct imap_reply why;

	if (call_message_copy(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	if (reply.result == RESULT_OK)
		why = copied(t, &reply, move);
	else if (reply.result == RESULT_NOT_FOUND)
		why = imap_no("TRYCREATE", "No such mailbox");
	else
		why = imap_refused(t, reply.result);
	/* News of the target, when it is the selected mailbox itself. */
	if (reply.result == RESULT_OK && target == s->box->id)
		imap_look(s->box);
	blob_release(&reply.sources);
	blob_release(&reply.targets);
	blob_release(&reply.rows);
	blob_release(&reply.vanished);
	return why;
}

static struct imap_reply
copy_or_move(struct imap_task *t, bool move)
{
	struct span sent, name;
	struct imap_set set;
	struct imap_picks picks;
	struct imap_reply why;
	uint64_t target;
	int status;

	if (!imap_take_set(t, &set) || !imap_parse_space(&t->in) ||
	    !imap_parse_astring(&t->in, &sent) || !imap_parse_end(&t->in))
		return imap_bad_syntax(t);
	if (!imap_pick(t, &set, &picks, &why))
		return why;
	if (move)
		imap_limit(t, &picks);
	else if (!imap_within_limit(t, picks.messages, &why))
		return why;
	if ((status = imap_take_name(t, sent, &name)) != 1)
		return status < 0 ? imap_no_memory()
		    : imap_no("CANNOT", "There can be no mailbox of that name");
	if ((status = imap_mailbox_find(t, name, &target, &why)) != 1)
		return status < 0 ? why
		    : imap_no("TRYCREATE", "No such mailbox");
	if ((t->command->how & IMAP_BY_UID) == 0 &&
	    imap_any_gone(&t->s->box->view, &picks))
		return imap_expunge_issued();
	if (picks.messages == 0)
		return imap_ok("There are no such messages");
	return copy(t, &picks, target, move);
}

struct imap_reply
imap_copy(struct imap_task *t)
{
	return copy_or_move(t, false);
}

struct imap_reply
imap_move(struct imap_task *t)
{
	return copy_or_move(t, true);
}

/* -- EXPUNGE ---- */

/* RFC 7162 3.2.7: from where the client need not ask again. */
static const char *
highest_modseq(struct imap_task *t, uint64_t modseq)
{
	return arena_printf(t->arena, "HIGHESTMODSEQ %" PRIu64, modseq).p;
}

/* NULL: whatever the client has seen. */
struct imap_reply
imap_expunge_deleted(struct imap_task *t, const struct imap_picks *picks)
{
	struct imap_session *s = t->s;
	struct imap_pick room;
	struct imap_picks all = imap_view_all(&s->box->view, &room);
	struct message_expunge_request request = { .grant = s->grant,
	    .mailbox = s->box->id, .only_deleted = 1,
	    .since = imap_view_modseq(&s->box->view),
	    .watch = imap_mailbox_watch(s->box) };
	struct message_expunge_reply reply;
	struct imap_reply why = imap_ok("Expunged");

	if (picks == NULL)
		picks = &all;
	if (picks->messages == 0)
		return why;
	request.uids = BLOB_OF(imap_uids_of(&s->box->view, picks, t->arena));
	if (call_message_expunge(imap_store(), t->arena, &request,
	    &reply) != 1)
		return imap_unavailable();
	if (reply.result != RESULT_OK)
		why = imap_box_refused(t, reply.result);
	else if (!imap_apply(s->box, &IMAP_CHANGES(reply)))
		why = imap_no("SERVERBUG", "The mailbox is damaged");
	else if (imap_has(s, IMAP_QRESYNC) && imap_any_gone(&s->box->view,
	    picks))
		why.code = highest_modseq(t, reply.highestmodseq);
	blob_release(&reply.rows);
	blob_release(&reply.vanished);
	return why;
}

struct imap_reply
imap_expunge(struct imap_task *t)
{
	return imap_expunge_deleted(t, NULL);
}

struct imap_reply
imap_uid_expunge(struct imap_task *t)
{
	struct imap_set set;
	struct imap_picks picks;
	struct imap_reply why;

	if (!imap_take_set(t, &set) || !imap_parse_end(&t->in))
		return imap_bad_syntax(t);
	if (!imap_pick(t, &set, &picks, &why))
		return why;
	imap_limit(t, &picks);
	return imap_expunge_deleted(t, &picks);
}

/*
 * imap_append.c - APPEND (RFC 3501 6.3.11) with UIDPLUS, APPENDLIMIT and
 * MULTIAPPEND, and REPLACE (RFC 8508).
 *
 * Which mailbox it is, and which message is to go, is found before a message
 * is sent. All messages come, and the one that is replaced goes, by one call.
 */
#include "imap/imap_command.h"
#include "imap/imap_upload.h"

#include "ipc/wire.h"
#include "mail/summary.h"

static bool
is_replace(const struct imap_task *t)
{
	return t->command->run == imap_replace;
}

/* "REPLACE 4 Drafts ": 1; 0 the literal is the mailbox's name, -1 wrong. */
static int
take_target(struct imap_task *t, struct imap_set *set, struct span *name)
{
	struct imap_parser *in = &t->in;

	*set = (struct imap_set){ .count = 0 };
	if (is_replace(t) && !imap_take_set(t, set))
		return -1;
	if (!imap_parse_space(in))
		return -1;
	if (imap_at_announcement(in))
		return 0;
	return imap_parse_astring(in, name) ? 1 : -1;
}

bool
imap_append_wants(struct imap_task *t)
{
	struct imap_set set;
	struct span name;

	imap_command_rewind(t);
	return take_target(t, &set, &name) != 0;
}

/* ---- the answer ---------------------------------------------------------- */

static struct imap_reply
refused(struct imap_task *t, enum result result)
{
	switch (result) {
	case RESULT_NOT_FOUND:
		return imap_no("TRYCREATE", "No such mailbox");
	case RESULT_LIMIT:
		return imap_no("LIMIT", "The message is beyond a limit");
	case RESULT_CONFLICT:
		return imap_expunge_issued();
	default:
		return imap_refused(t, result);
	}
}

/* "APPENDUID 38505 3955" or "APPENDUID 38505 3955:3957"; NULL: untold. */
static const char *
append_uid(struct imap_task *t, uint32_t uidvalidity, uint32_t first,
    size_t count)
{
	if (first == 0)
		return NULL;
	if (count == 1)
		return arena_printf(t->arena, "APPENDUID %u %u", uidvalidity,
		    first).p;
	return arena_printf(t->arena, "APPENDUID %u %u:%u", uidvalidity,
	    first, first + (uint32_t)(count - 1)).p;
}

/* The selected mailbox has news: look at once. */
static void
look_at(struct imap_session *s, uint64_t mailbox)
{
	if (s->box != NULL && s->box->id == mailbox)
		imap_look(s->box);
}

/* ---- one message --------------------------------------------------------- */

static struct imap_reply
append_one(struct imap_upload *u, uint64_t mailbox, struct span message)
{
	struct imap_task *t = u->t;
	const struct imap_upload_message *m = &u->messages[0];
	struct text record = TEXT_INIT(2 * SUMMARY_MAX);
	struct message_append_request request = { .grant = t->s->grant,
	    .token = token_new(), .mailbox = mailbox,
	    .flags = m->flags.flags, .keywords = m->flags.keywords,
	    .internal_date = m->date, .body = { .bytes = message,
	    .fd = spool_fd(u->spool) } };
	struct message_append_reply reply;
	struct imap_reply answer = imap_ok("Message appended");

	request.thread = imap_upload_summary(u, message, &record);
	request.summary = BLOB_OF(text_span(&record));
	if (call_message_append(imap_store(), t->arena, &request,
	    &reply) != 1)
		answer = imap_unavailable();
	else if (reply.result != RESULT_OK)
		answer = refused(t, reply.result);
	else
		answer.code = append_uid(t, reply.uidvalidity, reply.uid, 1);
	text_free(&record);
	look_at(t->s, mailbox);
	return answer;
}

/* ---- several, or one in place of another --------------------------------- */

static void
put_records(struct imap_upload *u, struct span all, struct text *records)
{
	struct text summary = TEXT_INIT(2 * SUMMARY_MAX);

	for (size_t i = 0; i < u->count; i++) {
		const struct imap_upload_message *m = &u->messages[i];
		struct message_new record = { .flags = m->flags.flags,
		    .keywords = m->flags.keywords, .internal_date = m->date,
		    .size = m->size };

		record.thread = imap_upload_summary(u, span_sub(all,
		    (size_t)m->at, (size_t)m->size), &summary);
		record.summary = text_span(&summary);
		message_new_put(records, &record);
	}
	text_free(&summary);
}

/* RFC 8508 4.3: the UID is known before the old message is seen to go. */
static struct imap_reply
replaced(struct imap_task *t, const struct message_put_reply *reply)
{
	const char *code = append_uid(t, reply->uidvalidity, reply->uid, 1);
	struct stream *out = t->s->stream;

	if (code != NULL) {
		stream_str(out, "* OK [");
		stream_str(out, code);
		stream_str(out, "] Replacement is there\r\n");
	}
	if (!imap_apply(t->s->box, &IMAP_CHANGES(*reply)))
		return imap_no("SERVERBUG", "The mailbox is damaged");
	return imap_ok("Message replaced");
}

static struct imap_reply
put(struct imap_upload *u, struct message_put_request *request)
{
	struct imap_task *t = u->t;
	struct message_put_reply reply;
	struct imap_reply answer = imap_ok("Messages appended");

	if (call_message_put(imap_store(), t->arena, request, &reply) != 1)
		return imap_unavailable();
	if (reply.result != RESULT_OK)
		answer = refused(t, reply.result);
	else if (request->replaces != 0)
		answer = replaced(t, &reply);
	else
		answer.code = append_uid(t, reply.uidvalidity, reply.uid,
		    u->count);
	blob_release(&reply.rows);
	blob_release(&reply.vanished);
	look_at(t->s, request->mailbox);
	return answer;
}

static struct imap_reply
put_all(struct imap_upload *u, uint64_t mailbox, uint32_t replaces,
    struct span all)
{
	struct imap_task *t = u->t;
	struct text records = TEXT_INIT(128 << 20);
	struct message_put_request request = { .grant = t->s->grant,
	    .token = token_new(), .mailbox = mailbox, .since = UINT64_MAX,
	    .bodies = { .bytes = all, .fd = spool_fd(u->spool) } };
	struct imap_reply answer;

	if (replaces != 0) {
		request.source = t->s->box->id;
		request.replaces = replaces;
		request.since = imap_view_modseq(&t->s->box->view);
	}
	put_records(u, all, &records);
	request.messages = BLOB_OF(text_span(&records));
	answer = text_full(&records) ? imap_no_memory() : put(u, &request);
	text_free(&records);
	return answer;
}

/* ---- the commands -------------------------------------------------------- */

static struct imap_reply
take_messages(struct imap_task *t, uint64_t mailbox, uint32_t replaces)
{
	struct imap_upload u;
	struct imap_reply why;
	struct span all;

	if (imap_upload(&u, t, !is_replace(t), &why) &&
	    imap_upload_bytes(&u, &all, &why))
		why = u.count == 1 && replaces == 0
		    ? append_one(&u, mailbox, all)
		    : put_all(&u, mailbox, replaces, all);
	imap_upload_end(&u);
	return why;
}

static bool
find_target(struct imap_task *t, struct span sent, uint64_t *mailbox,
    struct imap_reply *why)
{
	struct span name;
	int status = imap_take_name(t, sent, &name);

	if (status != 1) {
		*why = status < 0 ? imap_no_memory()
		    : imap_no("CANNOT", "There can be no mailbox of that name");
		return false;
	}
	status = imap_mailbox_find(t, name, mailbox, why);
	if (status == 0)
		*why = imap_no("TRYCREATE", "No such mailbox");
	return status == 1;
}

struct imap_reply
imap_append(struct imap_task *t)
{
	struct imap_reply why;
	struct imap_set set;
	struct span name;
	uint64_t mailbox;

	if (take_target(t, &set, &name) != 1)
		return imap_bad_syntax(t);
	if (!find_target(t, name, &mailbox, &why))
		return why;
	/* A client that waits need not send what there is no room for. */
	if (t->literal_pending && t->literal.waits &&
	    !imap_quota_room(t, mailbox, t->literal.size, 1, &why))
		return why;
	return take_messages(t, mailbox, 0);
}

/* The uid of the one message that a set of one number stands for. */
static bool
find_replaced(struct imap_task *t, const struct imap_set *set, uint32_t *uid,
    struct imap_reply *why)
{
	const struct imap_view *view = &t->s->box->view;
	struct imap_walk walk = { 0 };
	const struct message_row *row;
	struct imap_picks picks;
	uint32_t index;

	if (set->count != 1 || set->ranges[0].first != set->ranges[0].last) {
		*why = imap_bad("One message is replaced");
		return false;
	}
	if (!imap_pick(t, set, &picks, why))
		return false;
	*why = imap_no("NONEXISTENT", "No such message");
	if (!imap_walk(&picks, &walk, &index))
		return false;
	row = imap_view_row(view, index);
	*why = imap_expunge_issued();
	*uid = row != NULL ? row->uid : 0;
	return row != NULL;
}

struct imap_reply
imap_replace(struct imap_task *t)
{
	struct imap_reply why;
	struct imap_set set;
	struct span name;
	uint64_t mailbox;
	uint32_t uid;

	if (take_target(t, &set, &name) != 1)
		return imap_bad_syntax(t);
	if (!find_replaced(t, &set, &uid, &why) ||
	    !find_target(t, name, &mailbox, &why))
		return why;
	return take_messages(t, mailbox, uid);
}

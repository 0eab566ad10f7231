/*
 * imap_quota.c - GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208).
 *
 * The quota roots are the account that owns a mailbox, by its address, and
 * its domain when that is limited.
 */
#include "imap/imap_command.h"
#include "imap/imap_envelope.h"
#include "imap/imap_quota_parse.h"
#include "imap/imap_state.h"
#include "ipc/wire.h"

/* ---- telling ------------------------------------------------------------- */

static void
add_resource(struct text *line, enum imap_quota_resource resource,
    uint64_t used, uint64_t max)
{
	const char *name = imap_quota_names[resource];
	uint64_t unit = imap_quota_unit(resource);

	if (max == UINT64_MAX)
		return;
	if (line->p[line->n - 1] != '(')
		text_char(line, ' ');
	text_printf(line, "%s %" PRIu64 " %" PRIu64, name,
	    (used + unit - 1) / unit, max / unit);
}

static void
say_root(struct imap_task *t, const struct quota_row *row)
{
	struct text line = TEXT_INIT(0);

	text_str(&line, "* QUOTA ");
	imap_add_astring(&line, row->root, imap_text_mode(t->s));
	text_str(&line, " (");
	add_resource(&line, IMAP_QUOTA_STORAGE, row->bytes, row->max_bytes);
	add_resource(&line, IMAP_QUOTA_MESSAGE, row->messages,
	    row->max_messages);
	add_resource(&line, IMAP_QUOTA_MAILBOX, row->mailboxes,
	    row->max_mailboxes);
	add_resource(&line, IMAP_QUOTA_ANNOTATION, row->annotations,
	    row->max_annotations);
	text_str(&line, ")\r\n");
	stream_write(t->s->stream, text_span(&line));
	text_free(&line);
}

static void
say_roots(struct imap_task *t, struct span rows)
{
	struct cursor at = { .rest = rows };
	struct quota_row row;

	while (quota_row_get(&at, &row) == 1)
		say_root(t, &row);
}

static void
say_names(struct imap_task *t, struct span mailbox, struct span rows)
{
	struct cursor at = { .rest = rows };
	struct text line = TEXT_INIT(0);
	struct quota_row row;

	text_str(&line, "* QUOTAROOT ");
	imap_add_name(t, &line, mailbox);
	while (quota_row_get(&at, &row) == 1) {
		text_char(&line, ' ');
		imap_add_astring(&line, row.root, imap_text_mode(t->s));
	}
	text_str(&line, "\r\n");
	stream_write(t->s->stream, text_span(&line));
	text_free(&line);
}

static struct imap_reply
refused(struct imap_task *t, enum result result)
{
	return result == RESULT_NOT_FOUND
	    ? imap_no("NONEXISTENT", "No such quota root")
	    : imap_refused(t, result);
}

struct imap_reply
imap_getquota(struct imap_task *t)
{
	struct quota_get_request request = { .grant = t->s->grant,
	    .root = t->args[0] };
	struct quota_get_reply reply;
	struct imap_reply answer = imap_ok("Quota given");

	/* The store takes the empty name for all of them. */
	if (t->args[0].n == 0 || t->args[0].n > IMAP_QUOTA_ROOT_MAX)
		return refused(t, RESULT_NOT_FOUND);
	if (call_quota_get(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	if (reply.result == RESULT_OK)
		say_roots(t, reply.rows.bytes);
	else
		answer = refused(t, reply.result);
	blob_release(&reply.rows);
	return answer;
}

struct imap_reply
imap_getquotaroot(struct imap_task *t)
{
	struct quota_get_request request = { .grant = t->s->grant };
	struct quota_get_reply reply;
	struct imap_reply answer;

	if (imap_mailbox_find(t, t->args[0], &request.mailbox, &answer) != 1)
		return answer;
	answer = imap_ok("Quota roots given");
	if (call_quota_get(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	if (reply.result == RESULT_OK) {
		say_names(t, t->args[0], reply.rows.bytes);
		say_roots(t, reply.rows.bytes);
	} else {
		answer = imap_refused(t, reply.result);
	}
	blob_release(&reply.rows);
	return answer;
}

/* ---- setting ------------------------------------------------------------- */

/* RFC 9208 4.1.3: what is not named has no limit any more. */
struct imap_reply
imap_setquota(struct imap_task *t)
{
	struct quota_set_request request = { .grant = t->s->grant,
	    .root = t->args[0] };
	struct quota_set_reply reply;
	struct imap_quota_limits limits;

	if (!imap_parse_setquota(&t->in, &limits))
		return imap_bad_syntax(t);
	if (limits.unknown)
		return imap_no("CANNOT", "There is no such resource");
	if (t->args[0].n == 0 || t->args[0].n > IMAP_QUOTA_ROOT_MAX)
		return refused(t, RESULT_NOT_FOUND);
	request.bytes = limits.max[IMAP_QUOTA_STORAGE];
	request.messages = limits.max[IMAP_QUOTA_MESSAGE];
	request.mailboxes = limits.max[IMAP_QUOTA_MAILBOX];
	request.annotations = limits.max[IMAP_QUOTA_ANNOTATION];
	if (call_quota_set(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	return reply.result == RESULT_OK ? imap_getquota(t)
	    : refused(t, reply.result);
}

/* ---- before a message is taken --------------------------------------------- */

bool
imap_quota_room(struct imap_task *t, uint64_t mailbox, uint64_t bytes,
    uint64_t messages, struct imap_reply *why)
{
	struct quota_room_request request = { .grant = t->s->grant,
	    .mailbox = mailbox, .bytes = bytes, .messages = messages };
	struct quota_room_reply reply;

	if (call_quota_room(imap_store(), t->arena, &request, &reply) != 1) {
		*why = imap_unavailable();
		return false;
	}
	if (reply.result == RESULT_OVERQUOTA)
		*why = imap_refused(t, reply.result);
	/* RFC 9208 4.3.1: a soft limit. */
	if (reply.result == RESULT_OK && reply.percent > 0)
		stream_printf(t->s->stream, "* NO [OVERQUOTA] %u %% of what "
		    "may be stored is used\r\n", reply.percent);
	/* Whatever else is wrong is said when the message comes. */
	return reply.result != RESULT_OVERQUOTA;
}

/*
 * imap_metadata.c - annotations (RFC 5464): GETMETADATA, SETMETADATA, and
 * what LIST tells of them (RFC 9590).
 */
#include "imap/imap_command.h"
#include "imap/imap_envelope.h"
#include "imap/imap_metadata_parse.h"
#include "imap/imap_notify.h"
#include "imap/imap_state.h"
#include "ipc/wire.h"

enum { NAMES_BYTES = 65536 };		/* metadata_get's field */

/* 0: the server's, which has the empty name. */
static bool
find_mailbox(struct imap_task *t, struct span sent, struct span *name,
    uint64_t *id, struct imap_reply *why)
{
	int status;

	*id = 0;
	*name = SPAN_EMPTY;
	if (sent.n == 0)
		return true;
	status = imap_take_name(t, sent, name);
	if (status != 1) {
		*why = status < 0 ? imap_no_memory() : imap_no("NONEXISTENT",
		    "No such mailbox");
		return false;
	}
	return imap_mailbox_find(t, *name, id, why) == 1;
}

/* ---- telling ------------------------------------------------------------- */

static void
add_value(struct text *line, const struct metadata_row *row)
{
	if (row->exists == 0) {
		text_str(line, "NIL");
	} else if (row->value.n > 0 &&
	    memchr(row->value.p, '\0', row->value.n) != NULL) {
		text_char(line, '~');
		imap_add_literal(line, row->value);
	} else {
		imap_add_string(line, row->value, IMAP_TEXT_UTF8);
	}
}

/* "* METADATA name (entry value ...)", unless there is none. */
static void
say_rows(struct imap_task *t, struct span name, struct span rows)
{
	struct cursor at = { .rest = rows };
	struct text line = TEXT_INIT(0);
	struct metadata_row row;
	const char *before = " (";

	text_str(&line, "* METADATA ");
	if (name.n > 0)
		imap_add_name(t, &line, name);
	else
		text_str(&line, "\"\"");
	while (metadata_row_get(&at, &row) == 1) {
		text_str(&line, before);
		imap_add_astring(&line, row.entry, IMAP_TEXT_ASCII);
		text_char(&line, ' ');
		add_value(&line, &row);
		before = " ";
	}
	text_str(&line, ")\r\n");
	if (rows.n > 0)
		stream_write(t->s->stream, text_span(&line));
	text_free(&line);
}

static struct imap_reply
refused(struct imap_task *t, enum result result)
{
	switch (result) {
	case RESULT_INVALID:
		return imap_bad("No entry can have such a name");
	case RESULT_LIMIT:
		return imap_no("METADATA TOOMANY", "Too many annotations");
	case RESULT_CONFLICT:
		return imap_no("USEATTR", "No such use for a mailbox");
	default:
		return imap_refused(t, result);
	}
}

/* What is there is said; RESULT_OK, and how long the longest left out is. */
static bool
say_metadata(struct imap_task *t, const struct imap_metadata *m,
    struct span name, uint64_t id, uint64_t *longest,
    struct imap_reply *why)
{
	struct metadata_get_request request = { .grant = t->s->grant,
	    .mailbox = id, .depth = m->depth, .max_size = m->max_size };
	struct metadata_get_reply reply;

	request.entries = imap_metadata_names(m, t->arena);
	if (request.entries.p == NULL || request.entries.n > NAMES_BYTES) {
		*why = imap_no_memory();
		return false;
	}
	if (call_metadata_get(imap_store(), t->arena, &request,
	    &reply) != 1) {
		*why = imap_unavailable();
		return false;
	}
	if (reply.result == RESULT_OK)
		say_rows(t, name, reply.rows.bytes);
	else
		*why = refused(t, reply.result);
	*longest = reply.longest;
	blob_release(&reply.rows);
	return reply.result == RESULT_OK;
}

void
imap_say_list_metadata(struct imap_task *t, const struct imap_metadata *m,
    struct span name, uint64_t id)
{
	struct imap_reply why;
	uint64_t longest;

	/* One deleted meanwhile, or closed to us, has none: that is all. */
	(void)say_metadata(t, m, name, id, &longest, &why);
}

struct imap_reply
imap_getmetadata(struct imap_task *t)
{
	struct imap_reply answer;
	struct imap_metadata m;
	uint64_t id, longest;
	struct span name;

	if (!imap_parse_getmetadata(&t->in, &m))
		return imap_bad_syntax(t);
	if (!find_mailbox(t, m.mailbox, &name, &id, &answer) ||
	    !say_metadata(t, &m, name, id, &longest, &answer))
		return answer;
	answer = imap_ok("Annotations given");
	if (longest > 0)
		answer.code = arena_printf(t->arena,
		    "METADATA LONGENTRIES %" PRIu64, longest).p;
	return answer;
}

/* ---- setting ------------------------------------------------------------- */

static struct imap_reply
too_long(struct imap_task *t)
{
	return imap_no(arena_printf(t->arena, "METADATA MAXSIZE %" PRIu64,
	    (uint64_t)imap_settings()->metadata_max_size).p,
	    "A value is too long");
}

static bool
any_too_long(const struct imap_metadata *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->entries[i].value.n >
		    imap_settings()->metadata_max_size)
			return true;
	return false;
}

static struct imap_reply
set_metadata(struct imap_task *t, const struct imap_metadata *m, uint64_t id)
{
	struct metadata_set_request request = { .grant = t->s->grant,
	    .mailbox = id, .watch = imap_notify_watch(t->s) };
	struct metadata_set_reply reply;
	struct text rows = TEXT_INIT(0);
	struct imap_reply answer;

	for (size_t i = 0; i < m->count; i++)
		metadata_row_put(&rows, &(struct metadata_row){
		    .entry = m->entries[i].name,
		    .exists = m->entries[i].value.p != NULL,
		    .value = m->entries[i].value });
	request.rows = BLOB_OF(text_span(&rows));
	if (call_metadata_set(imap_store(), t->arena, &request, &reply) != 1)
		answer = imap_unavailable();
	else if (reply.result == RESULT_OK)
		answer = imap_ok("Annotations set");
	else
		answer = refused(t, reply.result);
	text_free(&rows);
	return answer;
}

struct imap_reply
imap_setmetadata(struct imap_task *t)
{
	struct imap_metadata m;
	struct imap_reply why;
	struct span name;
	uint64_t id;

	if (!imap_parse_setmetadata(&t->in, &m))
		return imap_bad_syntax(t);
	if (any_too_long(&m))
		return too_long(t);
	return find_mailbox(t, m.mailbox, &name, &id, &why)
	    ? set_metadata(t, &m, id) : why;
}

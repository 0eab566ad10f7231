/*
 * imap_acl.c - access control lists (RFC 4314).
 *
 * The store decides and keeps; here are the letters. Who may not look a mailbox
 * up is told what they are told of one that is not there (section 6).
 */
#include "imap/imap_command.h"
#include "imap/imap_envelope.h"
#include "imap/imap_state.h"
#include "ipc/rights.h"
#include "ipc/wire.h"

enum { IDENTIFIER_MAX = 520 };		/* acl_set's field */

/* "* WORD mailbox", to be gone on with. */
static void
begin_line(struct imap_task *t, struct text *line, const char *word)
{
	text_str(line, word);
	imap_add_name(t, line, t->args[0]);
}

static void
end_line(struct imap_task *t, struct text *line)
{
	text_str(line, "\r\n");
	stream_write(t->s->stream, text_span(line));
	text_free(line);
}

static void
add_rights(struct text *line, uint32_t rights)
{
	size_t before;

	text_char(line, ' ');
	before = line->n;
	rights_put(line, rights, true);
	if (line->n == before)
		text_str(line, "\"\"");
}

/* Section 3: what cannot be an identifier is BAD. */
static bool
is_identifier(struct span identifier)
{
	if (identifier.n == 0 || identifier.n > IDENTIFIER_MAX)
		return false;
	for (size_t i = 0; i < identifier.n; i++)
		if ((unsigned char)identifier.p[i] < 0x20 ||
		    identifier.p[i] == 0x7f)
			return false;
	return !span_is(identifier, "-");
}

static struct imap_reply
bad_identifier(void)
{
	return imap_bad("That cannot be an identifier");
}

static struct imap_reply
refused(struct imap_task *t, enum result result)
{
	if (result == RESULT_INVALID)
		return imap_no("CANNOT", "No such account or group");
	return imap_refused(t, result);
}

/* -- SETACL, DELETEACL ---- */

static struct imap_reply
set(struct imap_task *t, struct span identifier, enum store_mode mode,
    uint32_t rights)
{
	struct acl_set_request request = { .grant = t->s->grant,
	    .mailbox = t->args[0], .identifier = identifier, .mode = mode,
	    .rights = rights };
	struct acl_set_reply reply;

	if (call_acl_set(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	return reply.result == RESULT_OK ? imap_ok("Rights changed")
	    : refused(t, reply.result);
}

struct imap_reply
imap_setacl(struct imap_task *t)
{
	enum store_mode mode = STORE_SET;
	struct span identifier, letters;
	uint32_t rights;

	if (!imap_parse_space(&t->in) ||
	    !imap_parse_astring(&t->in, &identifier) ||
	    !imap_parse_space(&t->in) ||
	    !imap_parse_astring(&t->in, &letters) ||
	    !imap_parse_end(&t->in))
		return imap_bad_syntax(t);
	if (!is_identifier(identifier))
		return bad_identifier();
	if (span_starts(letters, SPAN("+")))
		mode = STORE_ADD;
	else if (span_starts(letters, SPAN("-")))
		mode = STORE_REMOVE;
	if (mode != STORE_SET)
		letters = span_from(letters, 1);
	if (rights_get(letters, &rights) != 1)
		return imap_bad("There is no such right");
	/* No rights are not the same as no entry: the owner's says so. */
	return mode == STORE_SET && rights == 0
	    ? set(t, identifier, STORE_REMOVE, RIGHTS_ALL)
	    : set(t, identifier, mode, rights);
}

struct imap_reply
imap_deleteacl(struct imap_task *t)
{
	if (!is_identifier(t->args[1]))
		return bad_identifier();
	return set(t, t->args[1], STORE_SET, 0);
}

/* -- GETACL ---- */

static bool
say_acl(struct imap_task *t, struct span rows)
{
	struct cursor at = { .rest = rows };
	struct text line = TEXT_INIT(0);
	struct acl_row row;
	int status;

	begin_line(t, &line, "* ACL ");
	while ((status = acl_row_get(&at, &row)) == 1) {
		text_char(&line, ' ');
		imap_add_astring(&line, row.identifier,
		    imap_text_mode(t->s));
		add_rights(&line, row.rights);
	}
	if (status == 0)
		end_line(t, &line);
	text_free(&line);
	return status == 0;
}

struct imap_reply
imap_getacl(struct imap_task *t)
{
	struct acl_get_request request = { .grant = t->s->grant,
	    .mailbox = t->args[0] };
	struct acl_get_reply reply;
	bool said;

	if (call_acl_get(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	said = reply.result == RESULT_OK && say_acl(t, reply.rows.bytes);
	blob_release(&reply.rows);
	if (reply.result != RESULT_OK)
		return imap_refused(t, reply.result);
	return said ? imap_ok("Rights listed") : imap_unavailable();
}

/* -- LISTRIGHTS ---- */

/* Each for itself: none is tied to another (RFC 4314 2.1.1). */
static void
add_optional(struct text *line, uint32_t always)
{
	struct text letters = TEXT_INIT(0);

	rights_put(&letters, RIGHTS_ALL & ~always, true);
	for (size_t i = 0; i < letters.n; i++) {
		text_char(line, ' ');
		text_char(line, letters.p[i]);
	}
	text_free(&letters);
}

struct imap_reply
imap_listrights(struct imap_task *t)
{
	struct acl_rights_request request = { .grant = t->s->grant,
	    .mailbox = t->args[0], .identifier = t->args[1] };
	struct acl_rights_reply reply;
	struct text line = TEXT_INIT(0);

	if (!is_identifier(t->args[1]))
		return bad_identifier();
	if (call_acl_rights(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	if (reply.result != RESULT_OK)
		return refused(t, reply.result);
	begin_line(t, &line, "* LISTRIGHTS ");
	text_char(&line, ' ');
	imap_add_astring(&line, t->args[1], imap_text_mode(t->s));
	add_rights(&line, reply.always);
	add_optional(&line, reply.always);
	end_line(t, &line);
	return imap_ok("Rights listed");
}

/* -- MYRIGHTS ---- */

void
imap_say_rights(struct imap_task *t, struct span name, uint32_t rights)
{
	struct text line = TEXT_INIT(0);

	text_str(&line, "* MYRIGHTS ");
	imap_add_name(t, &line, name);
	add_rights(&line, rights);
	end_line(t, &line);
}

struct imap_reply
imap_myrights(struct imap_task *t)
{
	const uint32_t any = RIGHT_LOOKUP | RIGHT_READ | RIGHT_INSERT |
	    RIGHT_CREATE | RIGHT_REMOVE | RIGHT_ADMIN;
	struct mailbox_find_request request = { .grant = t->s->grant,
	    .name = t->args[0] };
	struct mailbox_find_reply reply;

	if (call_mailbox_find(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	if (reply.result == RESULT_OK && (reply.rights & any) == 0)
		reply.result = RESULT_NOT_FOUND;
	if (reply.result != RESULT_OK)
		return imap_refused(t, reply.result);
	imap_say_rights(t, t->args[0], reply.rights);
	return imap_ok("Rights listed");
}

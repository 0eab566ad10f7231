/*
 * imap_mailbox.c - mailboxes as a whole: CREATE, DELETE, RENAME, SUBSCRIBE,
 * UNSUBSCRIBE, STATUS, NAMESPACE.
 */
#include "imap/imap_command.h"
#include "imap/imap_envelope.h"
#include "imap/imap_state.h"
#include "ipc/wire.h"

void
imap_add_mailbox_id(struct text *out, uint64_t id)
{
	text_printf(out, "F%016" PRIx64, id);
}

/*
 * Names are looked up at the store each time, since another session may have
 * renamed them; but INBOX is always the same mailbox.
 */
int
imap_mailbox_find(struct imap_task *t, struct span name, uint64_t *id,
    struct imap_reply *why)
{
	struct mailbox_find_request request = { .grant = t->s->grant,
	    .name = name };
	struct mailbox_find_reply reply;

	*id = span_is(name, "INBOX") ? t->s->inbox : 0;
	if (*id != 0)
		return 1;
	if (call_mailbox_find(imap_store(), t->arena, &request, &reply) != 1) {
		*why = imap_unavailable();
		return -1;
	}
	if (reply.result != RESULT_OK && reply.result != RESULT_NOT_FOUND &&
	    reply.result != RESULT_INVALID) {
		*why = imap_refused(t, reply.result);
		return -1;
	}
	if (reply.result == RESULT_OK)
		*id = reply.mailbox;
	if (span_is(name, "INBOX"))
		t->s->inbox = *id;
	*why = imap_no("NONEXISTENT", "No such mailbox");
	return *id != 0;
}

/* -- CREATE, with RFC 6154's (USE (\Drafts)) ---- */

static const struct {
	const char *name;
	uint32_t use;			/* 0: not for a mailbox that is made */
} uses[] = {
	{ "Archive", USE_ARCHIVE }, { "Drafts", USE_DRAFTS },
	{ "Junk", USE_JUNK }, { "Sent", USE_SENT }, { "Trash", USE_TRASH },
	{ "All", 0 }, { "Flagged", 0 },
};

static bool
take_use(struct imap_parser *in, uint32_t *use, bool *possible)
{
	struct span word;
	size_t i;

	if (!imap_parse_char(in, '\\') || !imap_parse_atom(in, &word))
		return false;
	for (i = 0; i < ARRAY_LEN(uses); i++)
		if (span_is_nocase(word, uses[i].name))
			break;
	if (i == ARRAY_LEN(uses) || uses[i].use == 0)
		*possible = false;
	else
		*use |= uses[i].use;
	return true;
}

static bool
take_uses(struct imap_parser *in, uint32_t *use, bool *possible)
{
	struct span word;

	if (!imap_parse_space(in) || !imap_parse_char(in, '(') ||
	    !imap_parse_atom(in, &word))
		return false;
	if (!span_is_nocase(word, "USE"))
		return imap_parse_fail(in, "Unknown parameter");
	if (!imap_parse_space(in) || !imap_parse_char(in, '('))
		return false;
	if (!imap_parse_next(in, ')')) {
		do {
			if (!take_use(in, use, possible))
				return false;
		} while (imap_parse_next(in, ' '));
		if (!imap_parse_char(in, ')'))
			return false;
	}
	return imap_parse_char(in, ')');
}

static struct imap_reply
created(struct imap_task *t, uint64_t id)
{
	struct text code = TEXT_INIT(0);
	struct imap_reply reply = imap_ok("Mailbox created");

	text_str(&code, "MAILBOXID (");
	imap_add_mailbox_id(&code, id);
	text_char(&code, ')');
	reply.code = arena_cstr(t->arena, text_span(&code));
	text_free(&code);
	return reply;
}

struct imap_reply
imap_create(struct imap_task *t)
{
	struct mailbox_create_request request = { .grant = t->s->grant,
	    .token = token_new(), .name = t->args[0] };
	struct mailbox_create_reply reply;
	bool possible = true;

	if ((imap_parse_peek(&t->in) == ' ' &&
	    !take_uses(&t->in, &request.use, &possible)) ||
	    !imap_parse_end(&t->in))
		return imap_bad_syntax(t);
	if (!possible)
		return imap_no("USEATTR", "No such use for a mailbox");
	if (span_is(request.name, "INBOX"))
		return imap_refused(t, RESULT_EXISTS);
	if (call_mailbox_create(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	if (reply.result == RESULT_OK)
		return created(t, reply.mailbox);
	if (reply.result == RESULT_CONFLICT)
		return imap_no("USEATTR", "Another mailbox has that use");
	return imap_refused(t, reply.result);
}

/* -- DELETE, RENAME, SUBSCRIBE ---- */

struct imap_reply
imap_delete(struct imap_task *t)
{
	struct imap_session *s = t->s;
	struct mailbox_delete_request request = { .grant = s->grant,
	    .name = t->args[0] };
	struct mailbox_delete_reply reply;
	struct imap_reply why;
	uint64_t id = 0;

	if (span_is(request.name, "INBOX"))
		return imap_no("CANNOT", "INBOX cannot be deleted");
	if (s->box != NULL &&
	    imap_mailbox_find(t, request.name, &id, &why) != 1)
		return why;
	if (call_mailbox_delete(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	if (reply.result != RESULT_OK)
		return imap_refused(t, reply.result);
	if (s->box != NULL && s->box->id == id) {
		imap_unselect_mailbox(s, t->arena);
		stream_str(s->stream, "* OK [CLOSED] Mailbox deleted\r\n");
	}
	return imap_ok("Mailbox deleted");
}

struct imap_reply
imap_rename(struct imap_task *t)
{
	struct mailbox_rename_request request = { .grant = t->s->grant,
	    .from = t->args[0], .to = t->args[1] };
	struct mailbox_rename_reply reply;

	if (span_is(request.to, "INBOX"))
		return imap_refused(t, RESULT_EXISTS);
	if (call_mailbox_rename(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	return reply.result == RESULT_OK ? imap_ok("Mailbox renamed")
	    : imap_refused(t, reply.result);
}

static struct imap_reply
subscribe(struct imap_task *t, bool on)
{
	struct mailbox_subscribe_request request = { .grant = t->s->grant,
	    .name = t->args[0], .on = on };
	struct mailbox_subscribe_reply reply;

	if (call_mailbox_subscribe(imap_store(), t->arena, &request,
	    &reply) != 1)
		return imap_unavailable();
	if (reply.result != RESULT_OK)
		return imap_refused(t, reply.result);
	return imap_ok(on ? "Subscribed" : "Unsubscribed");
}

struct imap_reply
imap_subscribe(struct imap_task *t)
{
	return subscribe(t, true);
}

struct imap_reply
imap_unsubscribe(struct imap_task *t)
{
	return subscribe(t, false);
}

static void
add_namespace(struct imap_task *t, struct text *line, const char *name)
{
	const char *translated;
	struct span prefix;

	if (name[0] == '\0') {
		text_str(line, " NIL");
		return;
	}
	prefix = arena_printf(t->arena, "%s/", name);
	text_str(line, " ((");
	imap_add_string(line, imap_show_name(t, prefix),
	    imap_text_mode(t->s));
	text_str(line, " \"/\"");
	translated = imap_words(t->s, name);
	if (translated != name) {	/* RFC 5255 3.4 */
		prefix = arena_printf(t->arena, "%s/", translated);
		text_str(line, " \"TRANSLATION\" (");
		imap_add_string(line, imap_show_name(t, prefix),
		    imap_text_mode(t->s));
		text_char(line, ')');
	}
	text_str(line, "))");
}

struct imap_reply
imap_namespace(struct imap_task *t)
{
	struct text line = TEXT_INIT(0);

	text_str(&line, "* NAMESPACE ((\"\" \"/\"))");
	add_namespace(t, &line, imap_settings()->imap_other_users);
	add_namespace(t, &line, imap_settings()->imap_shared);
	text_str(&line, "\r\n");
	stream_write(t->s->stream, text_span(&line));
	text_free(&line);
	return imap_ok("Namespaces listed");
}

/* -- STATUS ---- */

static const struct {
	const char *name;
	unsigned item;
} status_items[] = {
	{ "MESSAGES", IMAP_STATUS_MESSAGES },
	{ "RECENT", IMAP_STATUS_RECENT },
	{ "UIDNEXT", IMAP_STATUS_UIDNEXT },
	{ "UIDVALIDITY", IMAP_STATUS_UIDVALIDITY },
	{ "UNSEEN", IMAP_STATUS_UNSEEN },
	{ "HIGHESTMODSEQ", IMAP_STATUS_HIGHESTMODSEQ },
	{ "SIZE", IMAP_STATUS_SIZE },
	{ "APPENDLIMIT", IMAP_STATUS_APPENDLIMIT },
	{ "MAILBOXID", IMAP_STATUS_MAILBOXID },
	{ "DELETED", IMAP_STATUS_DELETED },
	{ "DELETED-STORAGE", IMAP_STATUS_DELETED_STORAGE },
};

bool
imap_parse_status_items(struct imap_parser *in, unsigned *items)
{
	struct span word;
	size_t i;

	*items = 0;
	if (!imap_parse_char(in, '('))
		return false;
	do {
		if (!imap_parse_atom(in, &word))
			return false;
		for (i = 0; i < ARRAY_LEN(status_items); i++)
			if (span_is_nocase(word, status_items[i].name))
				break;
		if (i == ARRAY_LEN(status_items))
			return imap_parse_fail(in, "Unknown STATUS item");
		*items |= status_items[i].item;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')');
}

static void
add_status_item(struct text *line, unsigned item, uint64_t mailbox,
    const struct mailbox_status_reply *r)
{
	switch (item) {
	case IMAP_STATUS_MESSAGES:
		text_u64(line, r->messages);
		break;
	case IMAP_STATUS_RECENT:
		text_u64(line, r->recent);
		break;
	case IMAP_STATUS_UIDNEXT:
		text_u64(line, r->uidnext);
		break;
	case IMAP_STATUS_UIDVALIDITY:
		text_u64(line, r->uidvalidity);
		break;
	case IMAP_STATUS_UNSEEN:
		text_u64(line, r->unseen);
		break;
	case IMAP_STATUS_HIGHESTMODSEQ:
		text_u64(line, r->highestmodseq);
		break;
	case IMAP_STATUS_SIZE:
		text_u64(line, r->bytes);
		break;
	case IMAP_STATUS_APPENDLIMIT:
		text_u64(line, imap_settings()->imap_append_limit);
		break;
	case IMAP_STATUS_MAILBOXID:
		text_char(line, '(');
		imap_add_mailbox_id(line, mailbox);
		text_char(line, ')');
		break;
	case IMAP_STATUS_DELETED:
		text_u64(line, r->deleted);
		break;
	case IMAP_STATUS_DELETED_STORAGE:
		text_u64(line, r->deleted_bytes);
		break;
	}
}

static void
say_status(struct imap_task *t, uint64_t mailbox, struct span name,
    unsigned items, const struct mailbox_status_reply *reply)
{
	struct text line = TEXT_INIT(0);
	const char *before = "";

	text_str(&line, "* STATUS ");
	imap_add_name(t, &line, name);
	text_str(&line, " (");
	for (size_t i = 0; i < ARRAY_LEN(status_items); i++) {
		if ((items & status_items[i].item) == 0)
			continue;
		text_str(&line, before);
		text_str(&line, status_items[i].name);
		text_char(&line, ' ');
		add_status_item(&line, status_items[i].item, mailbox, reply);
		before = " ";
	}
	text_str(&line, ")\r\n");
	stream_write(t->s->stream, text_span(&line));
	text_free(&line);
}

bool
imap_say_status(struct imap_task *t, uint64_t mailbox, struct span name,
    unsigned items, struct imap_reply *why)
{
	struct mailbox_status_request request = { .grant = t->s->grant,
	    .mailbox = mailbox };
	struct mailbox_status_reply reply;

	if ((items & IMAP_STATUS_HIGHESTMODSEQ) != 0)
		imap_turn_on(t->s, IMAP_CONDSTORE);	/* RFC 7162 3.1.2 */
	if (call_mailbox_status(imap_store(), t->arena, &request,
	    &reply) != 1) {
		*why = imap_unavailable();
		return false;
	}
	if (reply.result != RESULT_OK) {
		*why = imap_refused(t, reply.result);
		return false;
	}
	say_status(t, mailbox, name, items, &reply);
	return true;
}

struct imap_reply
imap_status(struct imap_task *t)
{
	struct imap_reply why;
	unsigned items;
	uint64_t id;

	if (!imap_parse_space(&t->in) ||
	    !imap_parse_status_items(&t->in, &items) ||
	    !imap_parse_end(&t->in))
		return imap_bad_syntax(t);
	if (imap_mailbox_find(t, t->args[0], &id, &why) != 1 ||
	    !imap_say_status(t, id, t->args[0], items, &why))
		return why;
	return imap_ok("Status given");
}

/*
 * imap_reply.c - the tagged line that ends a command.
 *
 * The client gets a code of RFC 5530 where there is one, and a sentence that
 * tells nothing of our inside.
 */
#include "imap/imap_state.h"

struct imap_reply
imap_ok(const char *text)
{
	return (struct imap_reply){ IMAP_OK, NULL, text };
}

struct imap_reply
imap_no(const char *code, const char *text)
{
	return (struct imap_reply){ IMAP_NO, code, text };
}

struct imap_reply
imap_bad(const char *text)
{
	return (struct imap_reply){ IMAP_BAD, NULL, text };
}

struct imap_reply
imap_bad_syntax(const struct imap_task *t)
{
	return imap_bad(t->in.hint != NULL ? t->in.hint : "Syntax error");
}

struct imap_reply
imap_uid_required(void)
{
	return (struct imap_reply){ IMAP_BAD, "UIDREQUIRED",
	    "Message numbers are not used here" };
}

struct imap_reply
imap_unavailable(void)
{
	return imap_no("UNAVAILABLE", "The mail store is away, try again");
}

struct imap_reply
imap_no_memory(void)
{
	return imap_no("LIMIT", "The command needs too much memory");
}

struct imap_reply
imap_refused(struct imap_task *t, enum result result)
{
	switch (result) {
	case RESULT_NOT_FOUND:
		return imap_no("NONEXISTENT", "No such mailbox");
	case RESULT_EXISTS:
		return imap_no("ALREADYEXISTS", "There is such a mailbox");
	case RESULT_DENIED:
		t->s->bye = "The login holds no more";
		return imap_no("EXPIRED", "The login holds no more");
	case RESULT_INVALID:
		return imap_no("CANNOT", "That cannot be done");
	case RESULT_LIMIT:
		return imap_no("LIMIT", "That is beyond a limit");
	case RESULT_LOCKED:
		return imap_no("INUSE", "In use, try again");
	case RESULT_CONFLICT:
		return imap_no("CANNOT", "That contradicts what is there");
	case RESULT_FULL:
		return imap_no("UNAVAILABLE", "No space left, try later");
	case RESULT_DAMAGED:
		return imap_no("SERVERBUG", "The mailbox is damaged");
	case RESULT_OVERQUOTA:
		return imap_no("OVERQUOTA", "There is no room left");
	case RESULT_FORBIDDEN:
		return imap_no("NOPERM", "You have no right to do that");
	default:
		return imap_unavailable();
	}
}

/* RFC 9738 3: in the answer; if that has another code, in a line of its own. */
static void
tell_limit(struct imap_task *t, struct imap_reply *reply)
{
	const char *code = arena_printf(t->arena, "MESSAGELIMIT %" PRIu64
	    " %u", imap_settings()->imap_message_limit, t->lowest_uid).p;

	if (reply->code == NULL)
		reply->code = code;
	else
		stream_printf(t->s->stream, "* NO [%s] The others are left\r\n",
		    code);
}

void
imap_say_reply(struct imap_task *t, struct imap_reply reply)
{
	static const char *const words[] = { " OK ", " NO ", " BAD " };
	struct stream *out = t->s->stream;

	if (reply.status == IMAP_SAID)
		return;
	if (reply.status == IMAP_OK && t->lowest_uid != 0)
		tell_limit(t, &reply);
	stream_write(out, t->tag);
	stream_str(out, words[reply.status]);
	if (reply.code != NULL) {
		stream_str(out, "[");
		stream_str(out, reply.code);
		stream_str(out, "] ");
	}
	stream_str(out, imap_words(t->s, reply.text));
	stream_str(out, "\r\n");
}

/* A literal holds no NUL (RFC 3501 section 9, CHAR8): 0x80 stands in for it. */
void
imap_write_bytes(struct stream *out, struct span bytes)
{
	const char *nul;

	while (bytes.n > 0 &&
	    (nul = memchr(bytes.p, 0, bytes.n)) != NULL) {
		size_t n = (size_t)(nul - bytes.p);

		stream_write(out, span_sub(bytes, 0, n));
		stream_write(out, SPAN("\x80"));
		bytes = span_from(bytes, n + 1);
	}
	stream_write(out, bytes);
}

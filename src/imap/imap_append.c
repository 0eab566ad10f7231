/*
 * imap_append.c - APPEND (RFC 3501 6.3.11, UIDPLUS, APPENDLIMIT).
 *
 * Everything that can be refused is refused before the message is sent, where
 * the client waits for that. The message goes into a spool as it comes; its
 * summary is made here, where a broken message can break nothing but
 * this process.
 */
#include "imap/imap_command.h"
#include "imap/imap_state.h"

#include "io/spool.h"
#include "mail/summary.h"

struct delivery {
	struct span mailbox;		/* as sent */
	struct imap_flags flags;
	int64_t date;
	uint64_t id;
	struct spool *spool;
	bool has_nul;
};

/* Only the announcement of a literal is left of the line. */
static bool
at_announcement(const struct imap_parser *in)
{
	return imap_parse_peek(in) == '{' &&
	    span_find_char(in->rest, '\n', 0) == in->rest.n - 1;
}

/* 1 what is left is the announcement of the message, 0 of the mailbox's name;
 * -1 wrong. */
static int
take_arguments(struct imap_parser *in, struct delivery *d)
{
	d->date = INT64_MIN;	/* now */
	if (!imap_parse_space(in))
		return -1;
	if (at_announcement(in))
		return 0;
	if (!imap_parse_astring(in, &d->mailbox) || !imap_parse_space(in))
		return -1;
	if (imap_parse_peek(in) == '(' &&
	    (!imap_parse_flag_list(in, &d->flags) || !imap_parse_space(in)))
		return -1;
	if (imap_parse_peek(in) == '"' &&
	    (!imap_parse_date_time(in, &d->date) || !imap_parse_space(in)))
		return -1;
	if (at_announcement(in))
		return 1;
	imap_parse_fail(in, imap_parse_peek(in) == '~'
	    ? "Binary literals are not supported" : "Literal expected");
	return -1;
}

bool
imap_append_wants(struct imap_task *t)
{
	struct delivery d = { .spool = NULL };

	imap_command_rewind(t);
	return take_arguments(&t->in, &d) != 0;
}

/* -- the message ---- */

/* 1 whole (though the spool may be dead), 0 closed, -1. */
static int
receive(struct imap_task *t, struct delivery *d)
{
	struct stream *in = t->s->stream;
	uint64_t left = t->literal.size;
	int status;

	if (imap_invite(t) != 1)
		return -1;
	t->literal_pending = false;
	while (left > 0) {
		struct span piece = stream_input(in);

		piece.n = (size_t)MIN(piece.n, left);
		if (piece.n > 0 && memchr(piece.p, 0, piece.n) != NULL)
			d->has_nul = true;
		(void)spool_add(d->spool, piece);
		stream_take(in, piece.n);
		left -= piece.n;
		if (left > 0 && (status = stream_fill(in,
		    imap_input_deadline(t->s))) != 1)
			return status;
	}
	text_clear(&t->line);
	stream_hurry(in);	/* its CRLF may be held back */
	return imap_read_line(t);
}

/* The thread and the summary, kept beside the message. */
static void
summarise(struct imap_task *t, struct span message, struct text *record,
    struct message_append_request *request)
{
	struct summary summary;

	if (summary_build(message, &SUMMARY_LIMITS_DEFAULT, t->arena,
	    record) != 1 || summary_open(text_span(record), message.n,
	    &summary) != 1)
		return;
	request->summary = BLOB_OF(text_span(record));
	request->thread = summary.thread_key;
}

static struct imap_reply
appended(struct imap_task *t, const struct delivery *d,
    const struct message_append_reply *reply)
{
	struct imap_mailbox *box = t->s->box;
	struct imap_reply answer = imap_ok("Message appended");

	switch (reply->result) {
	case RESULT_OK:
		break;
	case RESULT_NOT_FOUND:
		return imap_no("TRYCREATE", "No such mailbox");
	case RESULT_LIMIT:
		return imap_no("LIMIT", "The message is beyond a limit");
	default:
		return imap_refused(t, reply->result);
	}
	if (box != NULL && box->id == d->id)
		imap_look(box);
	answer.code = arena_printf(t->arena, "APPENDUID %u %u",
	    reply->uidvalidity, reply->uid).p;
	return answer;
}

static struct imap_reply
deliver(struct imap_task *t, const struct delivery *d)
{
	struct message_append_request request = { .grant = t->s->grant,
	    .token = token_new(), .mailbox = d->id, .flags = d->flags.flags,
	    .keywords = d->flags.keywords, .internal_date = d->date,
	    .summary = BLOB_OF(SPAN_EMPTY) };
	struct message_append_reply reply;
	struct text record = TEXT_INIT(2 * SUMMARY_MAX);
	struct imap_reply answer;
	struct span message;

	if (spool_finish(d->spool, &message) != 1 ||
	    message.n != t->literal.size)
		return imap_no("UNAVAILABLE", "No room for the message now");
	summarise(t, message, &record, &request);
	request.body = (struct blob){ .bytes = message,
	    .fd = spool_fd(d->spool) };
	answer = call_message_append(imap_store(), t->arena, &request,
	    &reply) == 1 ? appended(t, d, &reply) : imap_unavailable();
	text_free(&record);
	return answer;
}

static struct imap_reply
receive_and_deliver(struct imap_task *t, struct delivery *d)
{
	struct imap_reply answer = { .status = IMAP_SAID };

	d->spool = spool_new(t->literal.size);
	if (receive(t, d) != 1) {
		/* The client is gone. */
	} else if (!span_is(text_span(&t->line), "\r\n") &&
	    !span_is(text_span(&t->line), "\n")) {
		t->literal_pending = imap_line_literal(text_span(&t->line),
		    &t->literal) != 0;
		answer = imap_bad("One message at a time");
	} else if (d->has_nul) {
		answer = imap_bad("NUL byte in the message");
	} else {
		answer = deliver(t, d);
	}
	spool_free(&d->spool);
	return answer;
}

struct imap_reply
imap_append(struct imap_task *t)
{
	struct delivery d = { .spool = NULL };
	struct imap_reply why;
	struct span name;
	int status;

	if (take_arguments(&t->in, &d) != 1)
		return imap_bad_syntax(t);
	if (!t->literal_pending)
		return imap_bad("Literal expected");
	if (t->literal.size > imap_settings()->imap_append_limit)
		return imap_no("TOOBIG", "The message is too large");
	if (t->literal.size == 0)
		return imap_no("CANNOT", "The message is empty");
	if ((status = imap_take_name(t, d.mailbox, &name)) != 1)
		return status < 0 ? imap_no_memory()
		    : imap_no("CANNOT", "There can be no mailbox of that name");
	if ((status = imap_mailbox_find(t, name, &d.id, &why)) != 1)
		return status < 0 ? why
		    : imap_no("TRYCREATE", "No such mailbox");
	return receive_and_deliver(t, &d);
}

/*
 * smtp_receive.c - DATA and BDAT: a message comes in, and becomes ours.
 *
 * What the client sends goes into a spool behind our own fields: in memory
 * while it is small, in a memfd the store can map when it is not. A message
 * that will be refused is read to its end all the same and dropped, since
 * nothing else keeps client and server in step.
 *
 * 250 is said when the store has answered that the message is on disk, and
 * for no other reason (RFC 5321 4.2.5).
 */
#include <stdlib.h>

#include "base/log.h"
#include "io/spool.h"
#include "ipc/wire.h"
#include "mail/header.h"
#include "mail/summary.h"
#include "smtp/smtp_header.h"
#include "smtp/smtp_parameter.h"
#include "smtp/smtp_peer.h"
#include "smtp/smtp_text.h"

enum {
	FIELDS_MAX = 8 << 10,		/* what we add in front */
	HEAD_MAX = 256 << 10,		/* a header looked at for completion */
	FROM_MAX = 16,			/* addresses in From that are checked */
	MESSAGE_ID_MAX = 1000,
	DELIVERED_TO_MAX = 16384,	/* of all such fields */
	DELIVERED_TO_LONGEST = 512,	/* of one that can be an address */
};

struct smtp_message {
	struct smtp *session;
	struct token token;
	char id[TOKEN_NAME_CHARS + 1];
	struct spool *spool;		/* NULL: dropped */
	struct smtp_text text;
	char last;			/* BDAT: the byte before */
	uint64_t size;			/* as the client sent it */
	uint64_t max;
	uint32_t prefix;		/* bytes of Return-Path in front */
	struct text head;		/* submission: the header, until whole */
	bool in_head;
	bool too_large, no_room;
	monotime_t deadline;
};

/* ---- our own fields ------------------------------------------------------------ */

/* Whoever is the only recipient may be named; the others are a secret. */
static struct span
only_recipient(const struct smtp *s)
{
	struct cursor c = { text_span(&s->recipients), false };
	struct recipient r;

	return s->recipient_count == 1 && recipient_get(&c, &r) == 1 ?
	    r.address : SPAN_EMPTY;
}

static struct smtp_origin
origin_of(const struct smtp_message *m)
{
	struct smtp *s = m->session;
	struct smtp_origin o = {
		.sender = text_span(&s->sender),
		.hostname = span_str(smtp_hostname()),
		.name = s->name != NULL ? smtp_peer_name(s) : SPAN_EMPTY,
		.tls = stream_tls_info(s->stream),
		.recipient = only_recipient(s),
		.id = span_str(m->id),
		.esmtp = s->esmtp,
		.lmtp = smtp_is_lmtp(s),
		.priority = s->priority,
		.utf8 = s->utf8,
		.authenticated = s->login != NULL,
		.now = clock_wall_seconds(),
	};

	if (!smtp_is_submission(s) ||
	    smtp_settings()->submission_keep_client_address) {
		o.helo = span_str(s->helo);
		o.address = span_str(session_peer(s->session)->address);
	}
	return o;
}

static void
spool_put(struct smtp_message *m, struct span bytes)
{
	if (m->spool == NULL || spool_add(m->spool, bytes) == 1)
		return;
	m->no_room = true;
	spool_free(&m->spool);
}

/* The header of a submitted message is whole, or all of it that we look at. */
static void
put_fields(struct smtp_message *m)
{
	struct smtp_origin o = origin_of(m);
	struct text t = TEXT_INIT(FIELDS_MAX);

	smtp_return_path(&o, &t);
	m->prefix = (uint32_t)t.n;
	smtp_received(&o, &t);
	if (m->in_head && m->head.n <= HEAD_MAX)
		smtp_complete(&o, text_span(&m->head), &t);
	spool_put(m, text_span(&t));
	if (m->in_head)
		spool_put(m, text_span(&m->head));
	m->in_head = false;
	text_free(&m->head);
	text_free(&t);
}

/* Has the header come to its empty line, looking at what is new? */
static bool
head_is_whole(const struct text *head, size_t before)
{
	struct span all = text_span(head);

	return span_starts(all, SPAN("\r\n")) || all.n > HEAD_MAX ||
	    span_find(all, SPAN("\r\n\r\n"), before - MIN(before, 3)) !=
	    SIZE_MAX;
}

/* ---- the client's bytes ---------------------------------------------------------- */

static void
drop(struct smtp_message *m)
{
	spool_free(&m->spool);
	text_free(&m->head);
	m->in_head = false;
}

static void
sink(void *arg, struct span bytes)
{
	struct smtp_message *m = arg;
	size_t before = m->head.n;

	m->size += bytes.n;
	if (m->size > m->max) {
		m->too_large = true;
		drop(m);
	}
	if (!m->in_head) {
		spool_put(m, bytes);
		return;
	}
	text_add(&m->head, bytes);
	if (head_is_whole(&m->head, before))
		put_fields(m);
}

static struct smtp_message *
message_begin(struct smtp *s)
{
	const struct settings *set = smtp_settings();
	struct smtp_message *m = xcalloc(1, sizeof(*m));

	m->session = s;
	m->token = token_new();
	token_name(&m->token, m->id);
	m->max = set->smtp_max_size;
	m->spool = spool_new(m->max + FIELDS_MAX);
	m->text = SMTP_TEXT_INIT(set->smtp_max_text_line);
	m->deadline = clock_after(set->smtp_message_timeout);
	m->in_head = smtp_is_submission(s);
	if (!m->in_head)
		put_fields(m);
	return m;
}

void
smtp_message_free(struct smtp_message **mp)
{
	if (*mp == NULL)
		return;
	drop(*mp);
	free(*mp);
	*mp = NULL;
}

/* More input: REPLY_OK; the client let us wait too long, or is gone. */
static enum smtp_reply
fill(struct smtp *s, monotime_t deadline)
{
	monotime_t next = clock_after(smtp_settings()->smtp_data_timeout);
	int status;

	if (mono_before(deadline, next))
		next = deadline;
	status = stream_fill(s->stream, next);
	if (status == 1)
		return REPLY_OK;
	return status == -1 && errno == ETIMEDOUT &&
	    stream_error(s->stream) == 0 ? REPLY_IDLE : REPLY_GONE;
}

static enum smtp_reply
receive_text(struct smtp *s, struct smtp_message *m)
{
	enum smtp_reply reply;

	for (;;) {
		stream_take(s->stream, smtp_text_take(&m->text,
		    stream_input(s->stream), sink, m));
		if (m->text.done)
			return REPLY_OK;
		reply = fill(s, m->deadline);
		if (reply != REPLY_OK)
			return reply;
	}
}

/* ---- may we take it? --------------------------------------------------------------- */

static bool
is_theirs(struct smtp *s, struct span address, enum smtp_reply *reply)
{
	struct sender_check_request request = { .grant = s->grant,
	    .address = address };
	struct sender_check_reply answer;

	if (span_eq(address, text_span(&s->sender)))
		return true;
	if (call_sender_check(smtp_store(), s->arena, &request,
	    &answer) != 1 || answer.result == RESULT_TEMPORARY)
		*reply = REPLY_STORE_AWAY;
	else if (answer.result != RESULT_OK)
		*reply = REPLY_NOT_THEIR_FROM;
	return *reply == REPLY_OK;
}

/* The written form of an address in From; p NULL where there is none. */
static struct span
address_of(const struct address_entry *e, struct arena *a)
{
	struct address address = { .local = e->local };

	if (e->local.p == NULL || e->domain.p == NULL ||
	    address_domain(e->domain, a, &address.domain) != 1)
		return SPAN_EMPTY;
	return address_text(a, &address);
}

/*
 * RFC 6409 6.1: what a submitted message says of its author is true. A
 * message without From is the business of who reads it; one with two is a
 * trick (readers disagree about which one counts).
 */
static enum smtp_reply
from_objection(struct smtp *s, const struct header_survey *h)
{
	struct address_entry *list = NULL;
	enum smtp_reply reply = REPLY_OK;
	struct span address;
	size_t count = 0;

	if (!smtp_is_submission(s) || !smtp_settings()->submission_check_from ||
	    h->from == 0)
		return REPLY_OK;
	if (address_list(h->first_from, FROM_MAX, s->arena, &list) != 1)
		return REPLY_NO_MEMORY;
	for (; list != NULL; list = list->next) {
		if (list->kind != ADDRESS_MAILBOX)
			continue;
		address = address_of(list, s->arena);
		count++;
		if (h->from > 1 || address.p == NULL || count == FROM_MAX)
			return REPLY_ODD_FROM;
		if (!is_theirs(s, address, &reply))
			return reply;
	}
	return count > 0 ? REPLY_OK : REPLY_ODD_FROM;
}

static enum smtp_reply
bytes_objection(const struct smtp_message *m)
{
	if (m->too_large)
		return REPLY_TOO_LARGE;
	if (m->no_room)
		return REPLY_DISK_FULL;
	if (m->session->body == SMTP_BINARYMIME)
		return REPLY_OK;
	if (m->text.has_bare)
		return REPLY_BARE_LINE_END;
	if (m->text.has_nul)
		return REPLY_HAS_NUL;
	return m->text.has_long_line ? REPLY_LONG_TEXT_LINE : REPLY_OK;
}

/* ---- it becomes ours ------------------------------------------------------------------ */

/*
 * RFC 8689 section 5: a sender may say in the header that getting there
 * matters more than TLS; not against its own REQUIRETLS, and not twice.
 */
static bool
makes_tls_optional(const struct smtp *s, const struct header_survey *h)
{
	return (s->flags & ENVELOPE_REQUIRETLS) == 0 && h->tls_required == 1 &&
	    span_is_nocase(h->first_tls_required, "No");
}

static uint32_t
flags_of(const struct smtp *s, const struct header_survey *h)
{
	return s->flags |
	    (makes_tls_optional(s, h) ? ENVELOPE_TLS_OPTIONAL : 0) |
	    (s->body != SMTP_7BIT ? ENVELOPE_8BITMIME : 0) |
	    (s->body == SMTP_BINARYMIME ? ENVELOPE_BINARYMIME : 0) |
	    (s->utf8 ? ENVELOPE_SMTPUTF8 : 0) |
	    (s->login != NULL ? ENVELOPE_AUTHENTICATED : 0);
}

static void
add_trace(const struct smtp_message *m, struct text *t)
{
	const struct smtp *s = m->session;
	struct smtp_origin o = origin_of(m);

	text_printf(t, "session=%s peer=%s helo=%s with=",
	    session_id(s->session), session_peer(s->session)->address,
	    s->helo);
	smtp_protocol_name(&o, t);
	if (s->login != NULL)
		text_printf(t, " user=%s", s->login);
}

static enum smtp_reply
commit_reply(enum result result)
{
	switch (result) {
	case RESULT_OK:
		return REPLY_OK;
	case RESULT_FULL:
		return REPLY_DISK_FULL;
	case RESULT_LIMIT:
		return REPLY_TOO_LARGE;
	case RESULT_DENIED:
		return REPLY_LOGIN_FIRST;
	case RESULT_NOT_FOUND:
		return REPLY_NO_SUCH_USER;
	case RESULT_NOT_LOCAL:
		return REPLY_NOT_RELAYED;
	case RESULT_INVALID:
		return REPLY_REFUSED;
	default:
		return REPLY_STORE_AWAY;
	}
}

/* A summary that cannot be made is made later, by who needs it. */
static uint64_t
summarise(struct smtp *s, struct span all, struct text *summary)
{
	const struct summary_limits limits = SUMMARY_LIMITS_DEFAULT;
	struct summary opened;

	if (summary_build(all, &limits, s->arena, summary) != 1 ||
	    summary_open(text_span(summary), all.n, &opened) != 1) {
		text_clear(summary);
		return 0;
	}
	return opened.thread_key;
}

static void
log_accepted(const struct smtp_message *m, struct span message_id)
{
	const struct smtp *s = m->session;

	log_event(LOG_LEVEL_INFO, "smtp.accepted",
	    log_str("session", session_id(s->session)),
	    log_str("queue_id", m->id),
	    log_str("peer", session_peer(s->session)->address),
	    log_str("user", s->login != NULL ? s->login : ""),
	    log_text("sender", text_span(&s->sender)),
	    log_int("recipients", s->recipient_count),
	    log_int("size", (int64_t)m->size),
	    log_text("message_id", message_id));
}

static enum smtp_reply
commit(struct smtp *s, struct smtp_message *m, struct span all,
    const struct header_survey *h)
{
	struct text summary = TEXT_INIT(SUMMARY_MAX), trace = TEXT_INIT(4096);
	struct text delivered_to = TEXT_INIT(DELIVERED_TO_MAX);
	struct queue_commit_request request = {
		.token = m->token,
		.grant = s->grant,
		.sender = text_span(&s->sender),
		.recipients = BLOB_OF(text_span(&s->recipients)),
		.flags = flags_of(s, h),
		.prefix = m->prefix,
		.envid = text_span(&s->envid),
		.deliver_by = s->deliver_by,
		.release_at = s->release_at,
		.priority = s->priority,
		.message_id = span_sub(h->first_message_id, 0,
		    MESSAGE_ID_MAX),
		.body = { .bytes = all, .fd = spool_fd(m->spool) },
	};
	struct queue_commit_reply reply;

	request.thread = summarise(s, all, &summary);
	arena_reset(s->arena);
	request.summary = BLOB_OF(text_span(&summary));
	add_trace(m, &trace);
	request.trace = text_span(&trace);
	header_values(span_from(all, m->prefix), "Delivered-To",
	    DELIVERED_TO_LONGEST, &delivered_to);
	request.delivered_to = text_span(&delivered_to);
	if (call_queue_commit(smtp_store(), s->arena, &request, &reply) != 1)
		reply.result = RESULT_TEMPORARY;
	text_free(&summary);
	text_free(&trace);
	text_free(&delivered_to);
	if (reply.result == RESULT_OK)
		log_accepted(m, h->first_message_id);
	return commit_reply(reply.result);
}

static enum smtp_reply
judge_and_commit(struct smtp *s, struct smtp_message *m)
{
	enum smtp_reply reply = bytes_objection(m);
	struct header_survey h;
	struct span all;

	if (reply != REPLY_OK)
		return reply;
	if (spool_finish(m->spool, &all) != 1)
		return REPLY_DISK_FULL;
	header_survey(span_from(all, m->prefix), &h);
	if (h.received - 1 > smtp_settings()->smtp_max_received_hops)
		return REPLY_LOOP;	/* not counting our own */
	if (smtp_solicit_meets(h.first_solicitation,
	    span_str(smtp_settings()->smtp_no_soliciting)))
		return REPLY_SOLICITING;
	reply = from_objection(s, &h);
	return reply == REPLY_OK ? commit(s, m, all, &h) : reply;
}

/* RFC 6710 section 4: what became of the priority is said at the end. */
static void
say_accepted(struct smtp *s, const struct smtp_message *m)
{
	if (s->priority_changed)
		stream_printf(s->stream, "250 2.3.6 Accepted as %s with "
		    "priority %d\r\n", m->id, s->priority);
	else
		stream_printf(s->stream, "250 2.0.0 Accepted as %s\r\n",
		    m->id);
}

/* RFC 2033 4.2: a reply for each recipient that was accepted, in order. One
 * batch takes the message for all of them, or for none. */
static void
say_for_each(struct smtp *s, const struct smtp_message *m,
    enum smtp_reply reply)
{
	struct cursor c = { text_span(&s->recipients), false };
	struct recipient r;

	while (recipient_get(&c, &r) == 1) {
		if (reply == REPLY_OK)
			stream_printf(s->stream, "250 2.0.0 <%.*s> Accepted "
			    "as %s\r\n", SPAN_ARG(r.address), m->id);
		else
			stream_write(s->stream, smtp_reply_line(reply));
	}
}

static void
log_refused(const struct smtp *s, const struct smtp_message *m,
    enum smtp_reply reply)
{
	log_event(LOG_LEVEL_INFO, "smtp.message_refused",
	    log_str("session", session_id(s->session)),
	    log_str("queue_id", m->id),
	    log_str("peer", session_peer(s->session)->address),
	    log_text("sender", text_span(&s->sender)),
	    log_int("size", (int64_t)m->size),
	    log_text("reply", span_chomp(smtp_reply_line(reply))));
}

/* The end of a message: whatever becomes of it, the transaction is over. */
static enum smtp_reply
finish(struct smtp *s, struct smtp_message *m)
{
	enum smtp_reply reply;

	if (m->in_head)
		put_fields(m);
	reply = judge_and_commit(s, m);
	s->messages++;
	if (reply != REPLY_OK)
		log_refused(s, m, reply);
	if (smtp_is_lmtp(s)) {
		say_for_each(s, m, reply);
		reply = REPLY_SAID;
	} else if (reply == REPLY_OK) {
		say_accepted(s, m);
		reply = REPLY_SAID;
	}
	smtp_message_free(&m);
	s->chunks = NULL;
	smtp_reset(s);
	return reply;
}

/* ---- DATA ------------------------------------------------------------------------------ */

enum smtp_reply
smtp_data(struct smtp *s, const struct smtp_command *c)
{
	struct smtp_message *m;
	enum smtp_reply reply;

	(void)c;
	if (s->body == SMTP_BINARYMIME)
		return REPLY_BINARY_IS_CHUNKED;
	smtp_say(s, REPLY_START_INPUT);
	m = message_begin(s);
	reply = receive_text(s, m);
	if (reply == REPLY_OK)
		return finish(s, m);
	smtp_message_free(&m);
	return reply;
}

/* ---- BDAT (RFC 3030) ---------------------------------------------------------------------- */

/* The chunk's bytes, into the message or (NULL) past it. */
static enum smtp_reply
receive_chunk(struct smtp *s, struct smtp_message *m, uint64_t n)
{
	monotime_t deadline = m != NULL ? m->deadline :
	    clock_after(smtp_settings()->smtp_message_timeout);
	struct span in;
	enum smtp_reply reply;

	while (n > 0) {
		in = stream_input(s->stream);
		if (in.n == 0) {
			reply = fill(s, deadline);
			if (reply != REPLY_OK)
				return reply;
			continue;
		}
		in = span_sub(in, 0, (size_t)MIN(in.n, n));
		if (m != NULL) {
			smtp_text_check(&m->text, &m->last, in);
			sink(m, in);
		}
		stream_take(s->stream, in.n);
		n -= in.n;
	}
	return REPLY_OK;
}

static enum smtp_reply
end_chunk(struct smtp *s, bool last)
{
	if (!last)
		return REPLY_CHUNK_OK;
	if (s->chunks->last == '\r')
		s->chunks->text.has_bare = true;
	return finish(s, s->chunks);
}

enum smtp_reply
smtp_bdat(struct smtp *s, const struct smtp_command *c)
{
	enum smtp_reply objection = smtp_objection(s, SMTP_BDAT), reply;

	if (objection == REPLY_OK && s->chunks == NULL)
		s->chunks = message_begin(s);
	reply = receive_chunk(s, objection == REPLY_OK ? s->chunks : NULL,
	    c->size);
	if (reply != REPLY_OK)
		return reply;
	return objection == REPLY_OK ? end_chunk(s, c->last) : objection;
}

enum smtp_reply
smtp_add_chunk(struct smtp *s, struct span bytes, bool last)
{
	if (s->chunks == NULL)
		s->chunks = message_begin(s);
	smtp_text_check(&s->chunks->text, &s->chunks->last, bytes);
	sink(s->chunks, bytes);
	return end_chunk(s, last);
}

/*
 * relay_send.c - a message and a server: what must be done that it takes it.
 */
#include "relay/relay_send.h"
#include "base/log.h"
#include "mail/convert.h"
#include "mail/encode.h"
#include "relay/relay_sign.h"
#include "relay/relay_text.h"

enum {
	HEAD_MAX = 64 << 10,		/* signatures */
	CONVERTED_MAX = 1 << 30,
	TRANSACTIONS_MAX = 1000,	/* for the recipients of one message */
};

/* One message on its way to one server. */
struct sending {
	struct relay_connection *connection;
	const struct envelope *envelope;
	struct arena *arena;
	struct relay_report *report;
	struct smtp_client_message message;
	uint32_t *index;		/* recipients' places in the envelope */
	struct text head, converted;
};

/* ---- outcomes ------------------------------------------------------------ */

static bool
offered(const struct sending *s, unsigned what)
{
	return (smtp_client_offers(s->connection->client)->bits & what) != 0;
}

/* All fail, or wait, for a reason of ours. */
static enum relay_sent
none_sent(struct sending *s, enum relay_outcome outcome, struct span reason)
{
	struct relay_nowhere why = { .outcome = outcome,
	    .reason = relay_one_line(s->arena, reason),
	    .remote = s->connection->remote };

	relay_report_all(s->report, s->envelope, &why);
	return RELAY_GO_ON;
}

static struct span
details_of(const struct sending *s)
{
	struct text t = TEXT_INIT(DETAILS_MAX + 64);
	struct span out;

	text_add(&t, s->connection->details);
	relay_detail_ms(&t, "ms_mail", s->message.ms_mail);
	relay_detail_ms(&t, "ms_data", s->message.ms_data);
	out = arena_dup(s->arena, text_span(&t));
	text_free(&t);
	return out;
}

static void
no_answer(const struct sending *s, struct text *reason)
{
	text_printf(reason, "4.4.2 %.*s: %.*s%s",
	    SPAN_ARG(s->connection->remote),
	    SPAN_ARG(span_sub(smtp_client_why(s->connection->client), 0,
	    REASON_MAX / 2)), s->message.in_doubt ?
	    "; it may have arrived all the same" : "");
}

static void
report_one(struct sending *s, size_t i, struct span details)
{
	const struct smtp_client_recipient *r = &s->message.recipients[i];
	struct text reason = TEXT_INIT(REASON_MAX), said = TEXT_INIT(0);
	struct outcome_row row = { .token = s->envelope->token,
	    .recipient = s->index[i], .remote = s->connection->remote,
	    .details = details, .outcome = RELAY_DEFERRED };

	if (r->answer.code == 0) {
		no_answer(s, &reason);
	} else {
		row.outcome = r->sent ? RELAY_SENT :
		    relay_outcome_of(&r->answer);
		smtp_answer_text(&r->answer, &said);
		if (!r->sent)
			relay_reason(&r->answer, s->connection->remote,
			    &reason);
	}
	if (!r->sent && row.outcome == RELAY_SENT)
		row.outcome = RELAY_DEFERRED;	/* 2xx out of its place */
	if (r->sent && !offered(s, OFFERS_DSN))
		row.outcome = RELAY_SENT_SILENT;
	row.reason = relay_one_line(s->arena, text_span(&reason));
	row.answer = relay_one_line(s->arena, text_span(&said));
	relay_report_add(s->report, &row);
	text_free(&reason);
	text_free(&said);
}

static const char *
event_of(const struct sending *s)
{
	bool sent = false, failed = false;

	for (size_t i = 0; i < s->message.count; i++) {
		sent |= s->message.recipients[i].sent;
		failed |= s->message.recipients[i].answer.code >= 500;
	}
	return sent ? "relay.sent" : failed ? "relay.failed" :
	    "relay.deferred";
}

/* The store writes the line about the envelope; these are for the metrics. */
static void
count(const struct sending *s)
{
	char id[QUEUE_ID_CHARS + 1];

	queue_id_of(&s->envelope->token, id);
	if (s->message.in_doubt)
		log_event(LOG_LEVEL_WARNING, "relay.in_doubt",
		    log_str("queue_id", id),
		    log_text("remote", s->connection->remote));
	log_event(LOG_LEVEL_DEBUG, event_of(s), log_str("queue_id", id),
	    log_text("remote", s->connection->remote));
}

/*
 * How the destination did, as far as this transaction shows it. One that
 * breaks off or falls silent before it ever took a message gets less at
 * once: each such message may hold a connection for many minutes.
 */
static void
judge_destination(struct sending *s, bool broke)
{
	const struct smtp_client_message *m = &s->message;

	for (size_t i = 0; i < m->count; i++) {
		if (m->recipients[i].sent) {
			s->connection->accepted++;
			relay_report_state(s->report, DESTINATION_FINE,
			    SPAN_EMPTY);
			return;
		}
	}
	if (s->connection->accepted > 0)
		return;
	if (m->mail_answer.code == 421)
		relay_report_state(s->report, DESTINATION_BUSY,
		    m->mail_answer.text);
	else if (broke && m->recipients[0].answer.code == 0)
		relay_report_state(s->report, DESTINATION_BUSY,
		    smtp_client_why(s->connection->client));
}

/* ---- what the server lacks ----------------------------------------------- */

static bool
addresses_are_ascii(const struct envelope *e)
{
	if (!utf8_is_ascii(e->sender))
		return false;
	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == RECIPIENT_WAITING &&
		    !utf8_is_ascii(e->recipients[i].address))
			return false;
	return true;
}

/*
 * SMTPUTF8 is asked for where an address or a header cannot do without
 * (RFC 6531 3.4). An 8-bit header of mail that never asked for it travels
 * as it came. 1; 0 *why.
 */
static int
settle_utf8(struct sending *s, bool header_8bit, const char **why)
{
	bool ascii = addresses_are_ascii(s->envelope);
	bool header = header_8bit &&
	    (s->envelope->flags & ENVELOPE_SMTPUTF8) != 0;

	s->message.utf8 = !ascii || header;
	if (!s->message.utf8 || offered(s, OFFERS_SMTPUTF8))
		return 1;
	*why = !ascii ? "5.6.7 an address needs SMTPUTF8, which the server "
	    "does not offer" : "5.6.9 the header needs SMTPUTF8, which the "
	    "server does not offer";
	return 0;
}

/*
 * Lines beyond 998 bytes that came without BINARYMIME are mended where
 * possible and else sent as they are: refusing them would surprise.
 */
static int
settle_body(struct sending *s, const struct convert_survey *is,
    struct text *why)
{
	struct smtp_client_message *m = &s->message;
	bool declared = (s->envelope->flags & ENVELOPE_BINARYMIME) != 0;
	int done;

	m->has_8bit = is->header_8bit || is->body_8bit;
	m->binary = is->binary && declared;
	if ((!is->binary || (declared && offered(s, OFFERS_CHUNKING) &&
	    offered(s, OFFERS_BINARYMIME))) &&
	    (!m->has_8bit || offered(s, OFFERS_8BITMIME)))
		return 1;
	/* An 8-bit header cannot be converted; everybody sends it as it is. */
	if (is->header_8bit && !is->body_8bit && !is->binary)
		return 1;
	done = convert_to_7bit(m->rest, s->arena, &s->converted, why);
	if (done == 1) {
		m->rest = text_span(&s->converted);
		m->has_8bit = m->binary = false;
		return 1;
	}
	return done == 0 && !declared && (!m->has_8bit ||
	    offered(s, OFFERS_8BITMIME)) ? 1 : done;
}

/* RFC 2852 4.1: what must be returned late may not go where nobody does it. */
static bool
deliver_by_allows(const struct sending *s, int64_t left)
{
	const struct smtp_offers *o =
	    smtp_client_offers(s->connection->client);

	if (s->envelope->deliver_by == 0 || s->connection->lmtp ||
	    (s->envelope->flags & ENVELOPE_BY_RETURN) == 0)
		return true;
	return left > 0 && offered(s, OFFERS_DELIVERBY) &&
	    (uint64_t)left >= o->deliver_by_min;
}

static bool
too_large(const struct sending *s)
{
	const struct smtp_offers *o =
	    smtp_client_offers(s->connection->client);

	return o->size != 0 &&
	    s->message.head.n + s->message.rest.n > o->size;
}

/* ---- the message as it will be sent -------------------------------------- */

static void
fill_message(struct sending *s, struct span message)
{
	const struct envelope *e = s->envelope;

	s->message = (struct smtp_client_message){
		.sender = e->sender,
		.rest = message,
		.require_tls = (e->flags & ENVELOPE_REQUIRETLS) != 0,
		.ret = e->flags & (ENVELOPE_RET_FULL | ENVELOPE_RET_HDRS),
		.envid = e->envid,
		.by_return = (e->flags & ENVELOPE_BY_RETURN) != 0,
		.by_trace = (e->flags & ENVELOPE_BY_TRACE) != 0,
		.priority = e->priority,
		.arena = s->arena,
	};
	if (e->deliver_by != 0)
		s->message.deliver_by = e->deliver_by - clock_wall_seconds();
}

static int
fill_recipients(struct sending *s)
{
	const struct envelope *e = s->envelope;
	size_t n = 0;

	s->message.recipients = arena_zalloc(s->arena, e->count *
	    sizeof(*s->message.recipients));
	s->index = arena_alloc(s->arena, e->count * sizeof(*s->index));
	if (s->message.recipients == NULL || s->index == NULL)
		return -1;
	for (size_t i = 0; i < e->count; i++) {
		const struct envelope_recipient *r = &e->recipients[i];

		if (r->state != RECIPIENT_WAITING)
			continue;
		s->index[n] = (uint32_t)i;
		s->message.recipients[n++] = (struct smtp_client_recipient){
			.address = r->address, .original = r->original,
			.notify = r->notify };
	}
	s->message.count = n;
	return 1;
}

/* 1; 0 it cannot be sent there, and its outcome is reported. */
static int
prepare(struct sending *s, struct span message)
{
	struct text why = TEXT_INIT(REASON_MAX - 8), reason = TEXT_INIT(0);
	struct convert_survey is;
	const char *no_utf8;
	int body = 1, signed_;

	fill_message(s, message);
	convert_survey(message, &is);
	if (settle_utf8(s, is.header_8bit, &no_utf8) != 1)
		text_str(&reason, no_utf8);
	else if ((body = settle_body(s, &is, &why)) == 0)
		text_printf(&reason, "5.6.3 the server takes seven bits only, "
		    "and %.*s", SPAN_ARG(text_span(&why)));
	else if (!deliver_by_allows(s, s->message.deliver_by))
		text_str(&reason, "5.4.7 the server cannot promise to deliver "
		    "in the time that is left (RFC 2852)");
	if (reason.n == 0 && (body == -1 || fill_recipients(s) != 1)) {
		none_sent(s, RELAY_DEFERRED, SPAN("4.3.0 out of memory"));
	} else if (reason.n > 0) {
		none_sent(s, RELAY_FAILED, text_span(&reason));
	} else {
		/* Delivered-To, of what was sent on: above the signatures. */
		text_add(&s->head, s->envelope->head);
		signed_ = relay_sign(s->envelope, s->message.rest,
		    s->converted.n > 0, &s->head);
		s->message.head = text_span(&s->head);
		if (signed_ == -1)
			none_sent(s, RELAY_DEFERRED, SPAN("4.3.0 the "
			    "signature could not be made just now"));
		else if (too_large(s))
			none_sent(s, RELAY_FAILED, SPAN("5.3.4 the message "
			    "is larger than the server takes"));
		else
			goto ready;
	}
	text_free(&why);
	text_free(&reason);
	return 0;
ready:
	text_free(&why);
	text_free(&reason);
	return 1;
}

/* ---- transactions -------------------------------------------------------- */

/* Nothing was said of this message by a connection that had been used. */
static bool
was_stale(const struct sending *s)
{
	const struct smtp_client_message *m = &s->message;

	if (s->connection->messages == 0 || m->in_doubt ||
	    (m->mail_answer.code != 0 && m->mail_answer.code != 421))
		return false;
	for (size_t i = 0; i < m->count; i++)
		if (m->recipients[i].answer.code != 0 &&
		    m->recipients[i].answer.code != 421)
			return false;
	return true;
}

/* RFC 5321 4.5.3.1.10: the server takes so many at once, and then more. */
static bool
wants_another(const struct smtp_client_recipient *r)
{
	return !r->sent && r->answer.code == 452;
}

/*
 * Report those that have their answer; keep in the message those that shall
 * be tried again at once, as long as each transaction gets some further.
 */
static size_t
report_answered(struct sending *s, bool broke, bool again)
{
	struct smtp_client_message *m = &s->message;
	struct span details = details_of(s);
	bool progress = false;
	size_t left = 0;

	for (size_t i = 0; i < m->count; i++)
		progress |= m->recipients[i].sent;
	count(s);
	judge_destination(s, broke);
	for (size_t i = 0; i < m->count; i++) {
		if (!again || !progress || !wants_another(&m->recipients[i])) {
			report_one(s, i, details);
			continue;
		}
		s->index[left] = s->index[i];
		m->recipients[left] = m->recipients[i];
		m->recipients[left++].answer = (struct smtp_answer){ 0 };
	}
	m->count = left;
	return left;
}

static enum relay_sent
transact(struct sending *s)
{
	for (size_t turn = 0; ; turn++) {
		int done = smtp_client_send(s->connection->client,
		    &s->message);

		if (done != 1 && turn == 0 && was_stale(s))
			return RELAY_STALE;
		s->connection->messages++;
		if (report_answered(s, done != 1, done == 1 &&
		    turn < TRANSACTIONS_MAX) > 0)
			continue;
		relay_report_done(s->report, &s->envelope->token);
		return done == 1 ? RELAY_GO_ON : RELAY_BROKE;
	}
}

enum relay_sent
relay_send(struct relay_connection *c, const struct envelope *e,
    struct span message, struct arena *arena, struct relay_report *report)
{
	struct sending s = { .connection = c, .envelope = e, .arena = arena,
	    .report = report, .head = TEXT_INIT(HEAD_MAX),
	    .converted = TEXT_INIT(CONVERTED_MAX) };
	enum relay_sent sent = RELAY_GO_ON;

	if (prepare(&s, message) == 1)
		sent = transact(&s);
	text_free(&s.head);
	text_free(&s.converted);
	return sent;
}

/*
 * smtp_client_send.c - one transaction: MAIL, RCPT, and the text.
 *
 * What is said is a row of commands, each with a place: RSET (when the last
 * transaction was left half-way), MAIL, a RCPT for each recipient, DATA. They
 * are sent ahead of their answers as far as RFC 2920 allows, and not so far
 * that both sides could wait for the other to read.
 *
 * With CHUNKING (RFC 3030) a short text goes along with its envelope: where
 * all recipients are refused, so is the BDAT. A long one waits for the
 * recipients' answers; so does every text behind DATA, which no server may
 * get unless it wants it.
 *
 * LMTP (RFC 2033) answers the text once for every recipient it took.
 */
#include "io/fiber.h"
#include "mail/encode.h"
#include "smtp/smtp_client_impl.h"

enum {
	AHEAD = 64,			/* commands without an answer */
	ONE_FLIGHT = 64 << 10,		/* a text this long goes along */
	PIECE = 256 << 10,		/* of a text, between two looks at
					   whether the server has had enough */
};

enum { AT_RSET, AT_MAIL, AT_RCPT };	/* DATA: behind the recipients */

struct transaction {
	struct smtp_client *c;
	struct smtp_client_message *m;
	size_t count;			/* recipients asked for */
	size_t asked, answered;		/* places */
	size_t accepted;		/* recipients */
	struct smtp_answer data;	/* code 0: DATA was not said */
	bool pipelining, chunking;
	bool mail_ok;
	bool ended;			/* the text, to its last byte, is out */
	monotime_t begun;
};

static size_t
at_data(const struct transaction *t)
{
	return AT_RCPT + t->count;
}

/* -- saying ---- */

static void
say_mail(struct transaction *t)
{
	struct text line = TEXT_INIT(0);

	text_str(&line, "MAIL FROM:<");
	text_add(&line, t->m->sender);
	text_char(&line, '>');
	smtp_client_mail_parameters(t->m, &t->c->offers, &line);
	text_str(&line, "\r\n");
	stream_write(t->c->stream, text_span(&line));
	text_free(&line);
}

static void
say_rcpt(struct transaction *t, const struct smtp_client_recipient *r)
{
	struct text line = TEXT_INIT(0);

	text_str(&line, "RCPT TO:<");
	text_add(&line, r->address);
	text_char(&line, '>');
	smtp_client_rcpt_parameters(t->m, r, &t->c->offers, &line);
	text_str(&line, "\r\n");
	stream_write(t->c->stream, text_span(&line));
	text_free(&line);
}

static void
say(struct transaction *t)
{
	size_t place = t->asked++;

	if (place == AT_RSET)
		stream_str(t->c->stream, "RSET\r\n");
	else if (place == AT_MAIL)
		say_mail(t);
	else if (place == at_data(t))
		stream_str(t->c->stream, "DATA\r\n");
	else
		say_rcpt(t, &t->m->recipients[place - AT_RCPT]);
}

/* -- hearing ---- */

static struct smtp_answer
later(void)
{
	return (struct smtp_answer){ .code = 452, .enhanced = SPAN("4.5.3"),
	    .text = SPAN("later") };
}

/*
 * RFC 5321 4.5.3.1.10: too many for one transaction, says a server; old ones
 * with 552. Of a lone recipient it says something else.
 */
static bool
is_too_many(const struct transaction *t, const struct smtp_answer *a)
{
	struct span detail = span_from(a->enhanced, 1);

	return t->accepted > 0 && (a->code == 452 || a->code == 552) &&
	    (detail.n == 0 || span_is(detail, ".5.3"));
}

/* An answer that says yes or no: 1; -1 there is none. */
static int
hear_word(struct transaction *t, const char *where, int64_t ms,
    struct smtp_answer *out)
{
	int status = smtp_client_answer(t->c, where, ms, t->m->arena, out);

	if (out->code / 100 != 3)
		return status;
	status = smtp_client_confused(t->c, where, out);
	*out = (struct smtp_answer){ 0 };
	return status;
}

static int
hear_rcpt(struct transaction *t, struct smtp_client_recipient *r)
{
	int status = hear_word(t, "RCPT TO", t->c->times.command, &r->answer);

	if (r->answer.code / 100 == 2)
		t->accepted++;
	else if (is_too_many(t, &r->answer))
		r->answer = later();
	return status;
}

static int
hear_mail(struct transaction *t)
{
	int status = hear_word(t, "MAIL FROM", t->c->times.command,
	    &t->m->mail_answer);

	t->mail_ok = t->m->mail_answer.code / 100 == 2;
	if (t->mail_ok)
		t->m->mail_answer = (struct smtp_answer){ 0 };
	return status;
}

/* The next answer due. 1, -1. */
static int
hear(struct transaction *t)
{
	size_t place = t->answered++;
	struct smtp_answer answer;

	if (place == AT_RSET)
		return smtp_client_answer(t->c, "RSET", t->c->times.command,
		    t->m->arena, &answer);
	if (place == AT_MAIL)
		return hear_mail(t);
	if (place == at_data(t))
		return smtp_client_answer(t->c, "DATA",
		    t->c->times.data_start, t->m->arena, &t->data);
	return hear_rcpt(t, &t->m->recipients[place - AT_RCPT]);
}

static int
hear_all(struct transaction *t)
{
	while (t->answered < t->asked)
		if (hear(t) == -1)
			return -1;
	return 1;
}

/* Say everything before `end`; without PIPELINING one after the other. */
static int
say_until(struct transaction *t, size_t end)
{
	size_t ahead = t->pipelining ? AHEAD : 1;

	while (t->asked < end) {
		say(t);
		while (t->asked - t->answered >= ahead)
			if (hear(t) == -1)
				return -1;
		if (!t->pipelining && t->answered > AT_MAIL && !t->mail_ok)
			return 1;
	}
	return 1;
}

/* -- the text ---- */

/*
 * Has the server said something before the text was over, or gone? Then it
 * cannot be ended in good order: SMTP has no way to take a text back.
 */
static bool
interrupted(struct transaction *t)
{
	struct stream *s = t->c->stream;

	return stream_error(s) != 0 || fiber_yield() == -1 ||
	    stream_input(s).n > 0 || stream_fill(s, clock_mono()) != -1;
}

/* Where in the lines of a text we are. */
struct dots {
	bool on;		/* it goes behind DATA, not BDAT */
	bool inside;		/* of a line */
	bool after_cr;
};

/*
 * RFC 5321 4.5.2: a dot more before a line that begins with one. A bare LF,
 * which no message for DATA should have, becomes a line end: no two servers
 * shall disagree about where the text ends.
 */
static void
send_dotted(struct stream *s, struct dots *d, struct span bytes)
{
	size_t from = 0, lf = 0;
	bool cr;

	if (!d->inside && bytes.n > 0 && bytes.p[0] == '.')
		stream_str(s, ".");
	while ((lf = span_find_char(bytes, '\n', lf)) != SIZE_MAX) {
		cr = lf > 0 ? bytes.p[lf - 1] == '\r' : d->after_cr;
		if (!cr) {
			stream_write(s, span_sub(bytes, from, lf - from));
			stream_str(s, "\r");
			from = lf;
		}
		lf++;
		if (lf < bytes.n && bytes.p[lf] == '.') {
			stream_write(s, span_sub(bytes, from, lf - from));
			stream_str(s, ".");
			from = lf;
		}
	}
	stream_write(s, span_from(bytes, from));
	if (bytes.n > 0) {
		d->inside = bytes.p[bytes.n - 1] != '\n';
		d->after_cr = bytes.p[bytes.n - 1] == '\r';
	}
}

/* 1; -1 the server does not want it, or is gone. */
static int
send_bytes(struct transaction *t, struct dots *d, struct span bytes)
{
	struct span piece;

	while (bytes.n > 0) {
		piece = span_sub(bytes, 0, PIECE);
		if (d->on)
			send_dotted(t->c->stream, d, piece);
		else
			stream_write(t->c->stream, piece);
		bytes = span_from(bytes, piece.n);
		if (bytes.n > 0 && interrupted(t))
			return -1;
	}
	return 1;
}

/*
 * All of the text with its end, to the kernel. 1; -1 it could not be sent
 * to its end: what the server says to that may be at hand.
 */
static int
send_text(struct transaction *t)
{
	struct stream *s = t->c->stream;
	struct dots d = { .on = !t->chunking };
	int status;

	stream_set_write_timeout(s, t->c->times.data_block);
	if (t->chunking)
		stream_printf(s, "BDAT %zu LAST\r\n",
		    t->m->head.n + t->m->rest.n);
	status = send_bytes(t, &d, t->m->head);
	if (status == 1)
		status = send_bytes(t, &d, t->m->rest);
	if (status == 1 && d.on)
		stream_str(s, !d.inside ? ".\r\n" : d.after_cr
		    ? "\n.\r\n" : "\r\n.\r\n");
	if (status == 1)
		status = stream_flush(s);
	stream_set_write_timeout(s, t->c->times.command);
	t->ended = status == 1;
	return status;
}

/* -- what came of it ---- */

static bool
is_accepted(const struct smtp_client_recipient *r)
{
	return !r->sent && r->answer.code / 100 == 2;
}

/* The answer of a recipient who was accepted: the last word on it. */
static void
conclude(struct smtp_client_recipient *r, const struct smtp_answer *a)
{
	r->sent = a->code / 100 == 2;
	r->answer = *a;
}

/* A reply for every recipient (RFC 2033 4.2). 1, -1. */
static int
hear_each(struct transaction *t)
{
	struct smtp_client_recipient *r = t->m->recipients;
	struct smtp_answer a;
	int status = 1;

	for (size_t i = 0; i < t->count && status == 1; i++) {
		if (!is_accepted(&r[i]))
			continue;
		status = hear_word(t, "end of the message",
		    t->c->times.data_end, &a);
		conclude(&r[i], &a);
	}
	return status;
}

/* One reply for all of them. 1, -1. */
static int
hear_once(struct transaction *t)
{
	struct smtp_client_recipient *r = t->m->recipients;
	struct smtp_answer a;
	int status = hear_word(t, "end of the message",
	    t->c->times.data_end, &a);

	/* RFC 3030 2: after a chunk that was refused, nothing but RSET. */
	t->c->reset_due = t->chunking && a.code / 100 != 2;
	for (size_t i = 0; i < t->count; i++)
		if (is_accepted(&r[i]))
			conclude(&r[i], &a);
	return status;
}

static int
hear_end(struct transaction *t)
{
	int status;

	if (!t->c->lmtp || t->accepted == 0)
		return hear_once(t);
	if (!t->mail_ok)
		return smtp_client_confused(t->c, "MAIL FROM",
		    &t->m->mail_answer);
	status = hear_each(t);
	t->c->reset_due = t->chunking;
	return status;
}

/*
 * The text was cut off. A refusal that is there already says why; nobody
 * has the message, whatever else the server may say.
 */
static int
hear_refusal(struct transaction *t)
{
	bool timed_out = stream_error(t->c->stream) == ETIMEDOUT;
	struct smtp_client_recipient *r = t->m->recipients;
	struct smtp_answer a;

	if (!stream_salvage(t->c->stream)) {
		errno = timed_out ? ETIMEDOUT : ECONNRESET;
		return smtp_client_lost(t->c, "message", false);
	}
	if (hear_all(t) == -1)
		return -1;
	(void)smtp_client_answer(t->c, "message", t->c->times.data_end,
	    t->m->arena, &a);
	if (a.code < 400)
		return a.code == 0 ? -1
		    : smtp_client_confused(t->c, "message", &a);
	for (size_t i = 0; i < t->count; i++)
		if (is_accepted(&r[i]))
			conclude(&r[i], &a);
	return smtp_client_left(t->c, "message", &a);
}

/* -- the transaction ---- */

/* RFC 2920 3.1: the server wants a text for nobody: it gets the least. */
static int
send_nothing(struct transaction *t)
{
	struct smtp_answer a;

	stream_str(t->c->stream, ".\r\n");
	return smtp_client_answer(t->c, "end of the message",
	    t->c->times.data_end, t->m->arena, &a);
}

/* Whether DATA leads to the text: 1; 0 there is none to send; -1. */
static int
may_send(struct transaction *t)
{
	bool wanted = t->data.code == 354;

	if (t->data.code / 100 == 2 || (t->data.code / 100 == 3 && !wanted))
		return smtp_client_confused(t->c, "DATA", &t->data);
	if (!t->mail_ok || t->accepted == 0) {
		/* It would believe a dot of a message we never announced. */
		if (wanted && t->accepted > 0)
			return smtp_client_confused(t->c, "MAIL FROM",
			    &t->m->mail_answer);
		t->c->reset_due = t->mail_ok && !wanted;
		return wanted && send_nothing(t) == -1 ? -1 : 0;
	}
	if (t->data.code != 0 && !wanted) {
		t->c->reset_due = true;
		return 0;
	}
	return 1;
}

static int
say_data(struct transaction *t)
{
	if (t->asked == at_data(t))
		say(t);
	return hear_all(t);
}

/* The envelope with its answers, DATA included: as may_send(). */
static int
send_envelope(struct transaction *t)
{
	size_t end = at_data(t) + (t->pipelining && !t->chunking);

	if (say_until(t, end) == -1 || hear_all(t) == -1)
		return -1;
	if (!t->chunking && t->mail_ok && t->accepted > 0 &&
	    say_data(t) == -1)
		return -1;
	return may_send(t);
}

/* A short text goes along; else the envelope's answers come first. */
static int
transact(struct transaction *t)
{
	bool along = t->pipelining && t->chunking &&
	    t->m->head.n + t->m->rest.n <= ONE_FLIGHT;
	int status = along ? say_until(t, at_data(t)) : send_envelope(t);

	if (status == 1 && !along)
		t->m->ms_mail = clock_mono().ms - t->begun.ms;
	if (status != 1)
		return status == 0 ? 1 : -1;
	if (send_text(t) == -1)
		return hear_refusal(t);
	if (hear_all(t) == -1)
		return -1;
	if (along)
		t->m->ms_mail = clock_mono().ms - t->begun.ms;
	return hear_end(t);
}

/* RFC 6531 3.2: what is not ASCII goes to nobody who did not ask for it. */
static bool
address_travels(const struct transaction *t, struct span address)
{
	return utf8_is_ascii(address) || (t->m->utf8 &&
	    (t->c->offers.bits & OFFERS_SMTPUTF8) != 0);
}

static struct smtp_answer
why_not(const struct transaction *t)
{
	const struct smtp_client_message *m = t->m;
	bool good = smtp_client_address_ok(m->sender);
	bool travels = address_travels(t, m->sender);

	for (size_t i = 0; i < m->count; i++) {
		good = good &&
		    smtp_client_address_ok(m->recipients[i].address);
		travels = travels &&
		    address_travels(t, m->recipients[i].address);
	}
	if (!good)
		return (struct smtp_answer){ .code = 553,
		    .enhanced = SPAN("5.1.3"),
		    .text = SPAN("an address has a control character") };
	if (!travels)
		return (struct smtp_answer){ .code = 553,
		    .enhanced = SPAN("5.6.7"),
		    .text = SPAN("the server does not know SMTPUTF8") };
	if (t->c->offers.size > 0 &&
	    m->head.n + m->rest.n > t->c->offers.size)
		return (struct smtp_answer){ .code = 552,
		    .enhanced = SPAN("5.3.4"),
		    .text = SPAN("larger than the server allows") };
	return (struct smtp_answer){ 0 };
}

/* What nobody needs to be asked. */
static bool
refused_here(struct transaction *t)
{
	t->m->mail_answer = why_not(t);
	if (t->m->mail_answer.code == 0)
		return false;
	t->c->reset_due = t->asked == AT_RSET;
	return true;
}

static void
settle(struct transaction *t, bool broken)
{
	struct smtp_client_message *m = t->m;
	struct smtp_client_recipient *r;
	bool unknown = false;

	for (size_t i = 0; i < m->count; i++) {
		r = &m->recipients[i];
		if (i >= t->count)
			r->answer = later();
		if (r->sent)
			continue;
		if (is_accepted(r))
			r->answer = t->data.code / 100 > 3 ? t->data
			    : (struct smtp_answer){ 0 };
		if (m->mail_answer.code != 0)
			r->answer = m->mail_answer;
		unknown = unknown || r->answer.code == 0;
	}
	m->in_doubt = broken && t->ended && unknown;
	m->ms_data = clock_mono().ms - t->begun.ms - m->ms_mail;
}

static void
transaction_open(struct transaction *t, struct smtp_client *c,
    struct smtp_client_message *m)
{
	*t = (struct transaction){ .c = c, .m = m, .count = m->count };
	t->pipelining = (c->offers.bits & OFFERS_PIPELINING) != 0;
	t->chunking = (c->offers.bits & OFFERS_CHUNKING) != 0;
	if (c->offers.recipients_max > 0)
		t->count = MIN(t->count, c->offers.recipients_max);
	t->begun = clock_mono();
	t->asked = t->answered = c->reset_due ? AT_RSET : AT_MAIL;
	c->reset_due = false;
	m->mail_answer = (struct smtp_answer){ 0 };
	m->in_doubt = false;
	m->ms_mail = m->ms_data = 0;
	for (size_t i = 0; i < m->count; i++) {
		m->recipients[i].sent = false;
		m->recipients[i].answer = (struct smtp_answer){ 0 };
	}
}

int
smtp_client_send(struct smtp_client *c, struct smtp_client_message *m)
{
	struct transaction t;
	int status = 1;

	must(m->count > 0);
	smtp_client_begin(c);
	transaction_open(&t, c, m);
	if (!refused_here(&t))
		status = transact(&t);
	settle(&t, status == -1);
	return status;
}

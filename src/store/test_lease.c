/*
 * test_lease.c - what goes to other systems: taken apart, leased, reported,
 * and what its sender hears.
 */
#include "test_store.h"
#include "base/clock.h"
#include "base/secret.h"
#include "ipc/wire.h"
#include "store/keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BODY "Return-Path: <ann@example.test>\r\nSubject: hi\r\n\r\nhello\r\n"
#define PREFIX 33

static const struct caller from_relay = { RELAY, 0, 7 };
static const struct caller other_relay = { RELAY, 0, 8 };

static struct token
token_of(unsigned n)
{
	struct token token;

	memset(&token, 0, sizeof(token));
	memcpy(token.b, &n, sizeof(n));
	return token;
}

/* -- a relay of the test's own --------------------------------------------- */

enum { LEASES = 64 };

struct leased {
	char destination[512];
	size_t n;
	struct token tokens[LEASES];
	struct envelope envelopes[LEASES];
	struct span bodies[LEASES];
};

static void
resume(struct fixture *f, const struct caller *who,
    const struct token *tokens, size_t n)
{
	struct queue_resume_request req = { .tokens = BLOB_OF(span_of(tokens,
	    n * sizeof(*tokens))) };
	struct queue_resume_reply reply = { 0 };

	verb_queue_resume(f->store, who, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
}

static size_t
lease_as(struct fixture *f, const struct caller *who, size_t max,
    struct leased *out)
{
	struct queue_lease_request req = { .count = (uint32_t)max,
	    .room = 1 << 20 };
	struct queue_lease_reply reply = { 0 };
	struct cursor c;
	struct lease_row row;

	memset(out, 0, sizeof(*out));
	verb_queue_lease(f->store, who, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	snprintf(out->destination, sizeof(out->destination), "%.*s",
	    SPAN_ARG(reply.destination));
	c = (struct cursor){ reply.rows.bytes, false };
	while (lease_row_get(&c, &row) == 1) {
		out->tokens[out->n] = row.token;
		out->bodies[out->n] = row.body;
		assert_int_equal(envelope_decode(row.envelope, f->arena,
		    &out->envelopes[out->n++]), 1);
	}
	assert_false(c.bad);
	return out->n;
}

static size_t
lease(struct fixture *f, size_t max, struct leased *out)
{
	return lease_as(f, &from_relay, max, out);
}

struct said {
	enum relay_outcome outcome;
	const char *reason, *answer;
};

/* The same of every recipient of all that was leased. */
static enum result
report_as(struct fixture *f, const struct caller *who, const struct leased *l,
    struct said said, enum destination_state state)
{
	struct text outcomes = TEXT_INIT(0);
	struct queue_report_request req = {
		.destination = span_str(l->destination), .state = state,
		.reason = span_str(said.reason),
		.tokens = BLOB_OF(span_of(l->tokens, l->n * 16)) };
	struct queue_report_reply reply = { 0 };

	for (size_t i = 0; i < l->n; i++)
		for (size_t k = 0; k < l->envelopes[i].count; k++)
			outcome_row_put(&outcomes, &(struct outcome_row){
			    .token = l->tokens[i], .recipient = (uint32_t)k,
			    .outcome = said.outcome,
			    .reason = span_str(said.reason),
			    .answer = span_str(said.answer),
			    .remote = SPAN("mx.example.org[192.0.2.1]:25"),
			    .details = SPAN("tls=TLSv1.3") });
	req.outcomes = BLOB_OF(text_span(&outcomes));
	verb_queue_report(f->store, who, f->arena, &req, &reply);
	text_free(&outcomes);
	return reply.result;
}

static const struct said sent = { RELAY_SENT, "", "250 2.0.0 ok" };
static const struct said silent = { RELAY_SENT_SILENT, "", "250 ok" };
static const struct said later = { RELAY_DEFERRED, "4.2.0 not now",
    "450 4.2.0 not now" };
static const struct said refused = { RELAY_FAILED, "5.1.1 no such user",
    "550 5.1.1 no such user" };
static const struct said unreached = { RELAY_DEFERRED,
    "4.4.1 no connection", "" };
static const struct said untried = { RELAY_UNTRIED, "", "" };

static void
report(struct fixture *f, const struct leased *l, struct said said,
    enum destination_state state)
{
	assert_int_equal(report_as(f, &from_relay, l, said, state),
	    RESULT_OK);
	queue_settle(f->store->queue);
}

/* -- mail of Ann's --------------------------------------------------------- */

struct mail {
	unsigned n;
	const char *sender, *to;
	uint32_t flags, notify;
	int64_t release_at, deliver_by;
};

static enum result
submit(struct fixture *f, const struct grant *grant, struct mail m)
{
	struct text to = TEXT_INIT(0);
	struct span rest = span_str(m.to), word;
	struct queue_commit_request req = { .token = token_of(m.n),
	    .grant = *grant, .prefix = PREFIX, .flags = m.flags,
	    .sender = span_str(m.sender != NULL ? m.sender
	    : "ann@example.test"), .release_at = m.release_at,
	    .deliver_by = m.deliver_by, .message_id = SPAN("<m@test>"),
	    .body = BLOB_OF(SPAN(BODY)), .summary = BLOB_OF(SPAN_EMPTY) };
	struct queue_commit_reply reply = { 0 };

	while ((word = span_word(&rest)).n > 0)
		recipient_put(&to, &(struct recipient){ .address = word,
		    .notify = m.notify });
	req.recipients = BLOB_OF(text_span(&to));
	verb_queue_commit(f->store, &from_access, f->arena, &req, &reply);
	text_free(&to);
	return reply.result;
}

struct house {
	struct fixture f;
	struct grant grant;
	uint64_t ann, bob;
};

static void
house_open(struct house *h, bool disk)
{
	fixture_open(&h->f, disk);
	add_domain(&h->f, "example.test");
	h->ann = add_account(&h->f, "ann@example.test", "secret");
	h->bob = add_account(&h->f, "bob@example.test", "secret");
	h->grant = grant_of(&h->f, "ann@example.test");
	resume(&h->f, &from_relay, NULL, 0);
}

static void
house_close(struct house *h)
{
	clock_test_clear();
	fixture_close(&h->f);
}

static void
send_one(struct house *h, unsigned n, const char *to)
{
	assert_int_equal(submit(&h->f, &h->grant, (struct mail){ .n = n,
	    .to = to }), RESULT_OK);
}

static void
test_parts(void **state)
{
	struct house h;
	struct leased l;

	(void)state;
	house_open(&h, false);
	send_one(&h, 1, "bob@example.test x@one.test y@two.test z@ONE.test");
	queue_settle(h.f.store->queue);
	assert_int_equal(messages_of(&h.f, h.bob), 1);
	assert_int_equal(lease(&h.f, 10, &l), 1);
	assert_string_equal(l.destination, "one.test");
	assert_int_equal(l.envelopes[0].count, 2);
	assert_int_equal(l.envelopes[0].prefix, PREFIX);
	assert_true(span_is(l.bodies[0], &BODY[PREFIX]));
	report(&h.f, &l, sent, DESTINATION_FINE);
	assert_int_equal(lease(&h.f, 10, &l), 1);
	assert_string_equal(l.destination, "two.test");
	assert_int_equal(lease(&h.f, 10, &(struct leased){ 0 }), 0);
	report(&h.f, &l, sent, DESTINATION_FINE);
	/* The same commit again is the same message. */
	send_one(&h, 1, "bob@example.test x@one.test y@two.test z@ONE.test");
	queue_settle(h.f.store->queue);
	assert_int_equal(lease(&h.f, 10, &l), 0);
	assert_int_equal(messages_of(&h.f, h.bob), 1);
	assert_int_equal(h.f.store->queue->live.n, 0);
	house_close(&h);
}

/* -- retries, on the test's clock ------------------------------------------ */

static walltime_t wall;
static int64_t mono;

static void
clock_start(void)
{
	wall = clock_wall();
	mono = 1000000;
	clock_test_set((monotime_t){ mono }, wall);
}

static void
pass(struct house *h, int64_t seconds)
{
	wall += seconds * 1000000;
	mono += seconds * 1000;
	clock_test_set((monotime_t){ mono }, wall);
	queue_retry(h->f.store->queue);
	queue_settle(h->f.store->queue);
}

static bool
first_row(void *arg, const struct envelope *e)
{
	*(struct envelope *)arg = (struct envelope){ .state = e->state,
	    .attempts = e->attempts, .next_attempt = e->next_attempt,
	    .warned = e->warned };
	return false;
}

static struct envelope
on_disk(struct house *h)
{
	struct envelope e = { 0 };

	assert_int_equal(queue_walk(h->f.store, NULL, first_row, &e), 1);
	return e;
}

static void
test_deferred(void **state)
{
	struct house h;
	struct leased l;

	(void)state;
	house_open(&h, false);
	clock_start();
	send_one(&h, 1, "x@one.test");
	for (unsigned attempt = 1; attempt <= 5; attempt++) {
		int64_t wait;

		assert_int_equal(lease(&h.f, 9, &l), 1);
		assert_int_equal(l.envelopes[0].attempts, attempt - 1);
		report(&h.f, &l, later, DESTINATION_UNSURE);
		wait = on_disk(&h).next_attempt - wall / 1000000;
		assert_int_equal(on_disk(&h).state, ENVELOPE_DEFERRED);
		assert_true(wait <= INT64_C(300) << (attempt - 1));
		assert_true(wait >= (INT64_C(225) << (attempt - 1)) - 1);
		pass(&h, wait - 1);
		assert_int_equal(lease(&h.f, 9, &l), 0);
		pass(&h, 1);
	}
	/* The operator may not wait so long. */
	assert_int_equal(lease(&h.f, 9, &l), 1);
	report(&h.f, &l, later, DESTINATION_UNSURE);
	queue_flush(h.f.store->queue);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	report(&h.f, &l, sent, DESTINATION_FINE);
	assert_int_equal(h.f.store->queue->live.n, 0);
	house_close(&h);
}

/* Nobody was tried: nothing is written, and it goes out again at once. */
static void
test_untried(void **state)
{
	struct house h;
	struct leased l;

	(void)state;
	house_open(&h, false);
	send_one(&h, 1, "x@one.test");
	assert_int_equal(lease(&h.f, 9, &l), 1);
	report(&h.f, &l, untried, DESTINATION_FINE);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	assert_int_equal(l.envelopes[0].attempts, 0);
	report(&h.f, &l, sent, DESTINATION_FINE);
	house_close(&h);
}

/*
 * A dead destination: one message is tried now and then, the others stay in
 * line as they are until their time is over.
 */
static void
test_down(void **state)
{
	struct house h;
	struct leased l;
	uint64_t version, same;

	(void)state;
	house_open(&h, false);
	clock_start();
	for (unsigned i = 0; i < 10; i++)
		send_one(&h, i, "x@dead.test");
	queue_settle(h.f.store->queue);
	assert_int_equal(lease(&h.f, 1, &l), 1);
	report(&h.f, &l, unreached, DESTINATION_DOWN);
	engine_version(h.f.engine, queue_partition, &version);
	assert_int_equal(lease(&h.f, 9, &l), 0);
	pass(&h, 30);
	assert_int_equal(lease(&h.f, 9, &l), 0);
	pass(&h, 31);
	engine_version(h.f.engine, queue_partition, &same);
	assert_int_equal(version, same);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	report(&h.f, &l, unreached, DESTINATION_DOWN);
	/* All are late; then all are too late. */
	pass(&h, 5 * 3600);
	assert_int_equal(messages_of(&h.f, h.ann), 10);
	pass(&h, 5 * 86400);
	assert_int_equal(messages_of(&h.f, h.ann), 20);
	assert_int_equal(h.f.store->queue->live.n, 0);
	house_close(&h);
}

/* -- what the sender hears ------------------------------------------------- */

/* The newest message in Ann's INBOX. */
static struct span
last_message(struct house *h)
{
	struct mailbox_list_request list = { .grant = h->grant };
	struct mailbox_list_reply listed = { 0 };
	struct mailbox_status_request status = { .grant = h->grant };
	struct mailbox_status_reply counted = { 0 };
	struct message_body_request req = { .grant = h->grant,
	    .count = 1 << 20 };
	struct message_body_reply reply = { 0 };
	struct mailbox_row row;
	struct cursor c;

	verb_mailbox_list(h->f.store, &from_access, h->f.arena, &list,
	    &listed);
	c = (struct cursor){ listed.rows.bytes, false };
	while (mailbox_row_get(&c, &row) == 1)
		if (span_is(row.name, "INBOX"))
			req.mailbox = status.mailbox = row.mailbox;
	verb_mailbox_status(h->f.store, &from_access, h->f.arena, &status,
	    &counted);
	req.uid = counted.uidnext - 1;
	verb_message_body(h->f.store, &from_access, h->f.arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	return reply.data.bytes;
}

static void
says(struct house *h, const char *words)
{
	struct span message = last_message(h);

	if (span_find(message, span_str(words), 0) == SIZE_MAX)
		fail_msg("%s\n%.*s", words, SPAN_ARG(message));
}

static void
test_returned(void **state)
{
	struct house h;
	struct leased l;

	(void)state;
	house_open(&h, false);
	assert_int_equal(submit(&h.f, &h.grant, (struct mail){ .n = 1,
	    .to = "x@one.test y@one.test", .flags = ENVELOPE_RET_FULL }),
	    RESULT_OK);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	report(&h.f, &l, refused, DESTINATION_FINE);
	assert_int_equal(messages_of(&h.f, h.ann), 1);
	says(&h, "Final-Recipient: rfc822; x@one.test\r\nAction: failed\r\n"
	    "Status: 5.1.1\r\nRemote-MTA: dns; mx.example.org\r\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n");
	says(&h, "Final-Recipient: rfc822; y@one.test");
	says(&h, "Content-Type: message/rfc822\r\n\r\n"
	    "Subject: hi\r\n\r\nhello");
	assert_int_equal(h.f.store->queue->live.n, 0);
	house_close(&h);
}

/* By NOTIFY and by what the next server can do. */
static void
test_notify(void **state)
{
	static const struct {
		uint32_t notify;
		const struct said *said;
		uint64_t notices;
	} rows[] = {
		{ 0, &sent, 0 },
		{ NOTIFY_SUCCESS, &sent, 0 },
		{ NOTIFY_SUCCESS, &silent, 1 },
		{ 0, &silent, 0 },
		{ NOTIFY_NEVER, &refused, 0 },
		{ NOTIFY_SUCCESS, &refused, 0 },
		{ NOTIFY_FAILURE, &refused, 1 },
		{ NOTIFY_DELAY, &refused, 0 },
	};
	struct house h;
	struct leased l;
	uint64_t before = 0;

	(void)state;
	house_open(&h, false);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(submit(&h.f, &h.grant, (struct mail){
		    .n = i, .to = "x@one.test", .notify = rows[i].notify }),
		    RESULT_OK);
		assert_int_equal(lease(&h.f, 9, &l), 1);
		report(&h.f, &l, *rows[i].said, DESTINATION_FINE);
		assert_int_equal(messages_of(&h.f, h.ann) - before,
		    rows[i].notices);
		before += rows[i].notices;
		if (i == 2)
			says(&h, "Action: relayed\r\n");
	}
	/* Delivered here, and asked for. */
	assert_int_equal(submit(&h.f, &h.grant, (struct mail){ .n = 99,
	    .to = "bob@example.test", .notify = NOTIFY_SUCCESS }), RESULT_OK);
	queue_settle(h.f.store->queue);
	assert_int_equal(messages_of(&h.f, h.ann) - before, 1);
	says(&h, "Action: delivered\r\n");
	house_close(&h);
}

/* The null sender is never answered, and its failure is no secret. */
static void
test_dropped(void **state)
{
	struct house h;
	struct leased l;

	(void)state;
	house_open(&h, false);
	assert_int_equal(submit(&h.f, &h.grant, (struct mail){ .n = 1,
	    .sender = "", .to = "x@one.test" }), RESULT_OK);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	report(&h.f, &l, refused, DESTINATION_FINE);
	assert_int_equal(h.f.store->queue->live.n, 0);
	assert_int_equal(h.f.store->queue->counts.dropped, 1);
	assert_int_equal(lease(&h.f, 9, &l), 0);
	house_close(&h);
}

/* RFC 2852: by R it comes back, by N it is late; RFC 4865: not before. */
static void
test_times(void **state)
{
	struct house h;
	struct leased l;
	int64_t now;

	(void)state;
	house_open(&h, false);
	clock_start();
	now = wall / 1000000;
	assert_int_equal(submit(&h.f, &h.grant, (struct mail){ .n = 1,
	    .to = "x@one.test", .deliver_by = now + 600,
	    .flags = ENVELOPE_BY_RETURN }), RESULT_OK);
	assert_int_equal(submit(&h.f, &h.grant, (struct mail){ .n = 2,
	    .to = "x@two.test", .deliver_by = now + 700 }), RESULT_OK);
	assert_int_equal(submit(&h.f, &h.grant, (struct mail){ .n = 3,
	    .to = "x@three.test bob@example.test", .release_at = now + 800 }),
	    RESULT_OK);
	pass(&h, 599);
	assert_int_equal(messages_of(&h.f, h.ann), 0);
	pass(&h, 1);
	assert_int_equal(messages_of(&h.f, h.ann), 1);
	says(&h, "Action: failed\r\nStatus: 5.4.7\r\n");
	pass(&h, 100);
	assert_int_equal(messages_of(&h.f, h.ann), 2);
	says(&h, "Action: delayed\r\n");
	assert_int_equal(lease(&h.f, 9, &l), 1);
	assert_string_equal(l.destination, "two.test");
	report(&h.f, &l, sent, DESTINATION_FINE);
	assert_int_equal(messages_of(&h.f, h.bob), 0);
	assert_int_equal(lease(&h.f, 9, &l), 0);
	pass(&h, 101);
	assert_int_equal(messages_of(&h.f, h.bob), 1);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	assert_string_equal(l.destination, "three.test");
	report(&h.f, &l, sent, DESTINATION_FINE);
	assert_int_equal(messages_of(&h.f, h.ann), 2);
	house_close(&h);
}

/* -- where to -------------------------------------------------------------- */

static void
test_strangers(void **state)
{
	struct house h;
	struct token token = token_of(1);
	struct leased l;

	(void)state;
	house_open(&h, false);
	strcpy(h.f.settings.smtp_backup_domains, "friend.test");
	assert_int_equal(send_mail(&h.f, "x@one.test", "y@two.test", &token,
	    BODY), RESULT_NOT_LOCAL);
	assert_int_equal(send_mail(&h.f, "x@one.test",
	    "bob@example.test y@two.test", &token, BODY), RESULT_NOT_LOCAL);
	assert_int_equal(send_mail(&h.f, "x@one.test", "y@friend.test",
	    &token, BODY), RESULT_OK);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	assert_string_equal(l.destination, "friend.test");
	assert_int_equal(l.envelopes[0].flags & ENVELOPE_AUTHENTICATED, 0);
	/* It failed, and the stranger is told where they are. */
	report(&h.f, &l, refused, DESTINATION_FINE);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	assert_string_equal(l.destination, "one.test");
	assert_int_equal(l.envelopes[0].sender.n, 0);
	assert_true(span_is(l.envelopes[0].recipients[0].address,
	    "x@one.test"));
	assert_true(span_find(l.bodies[0], SPAN("Action: failed"), 0) !=
	    SIZE_MAX);
	assert_true(span_starts(l.bodies[0], SPAN("Date: ")));
	/* That one fails too: it ends there. */
	report(&h.f, &l, refused, DESTINATION_FINE);
	assert_int_equal(h.f.store->queue->live.n, 0);
	house_close(&h);
}

static struct recipient_check_reply
check(struct house *h, const struct grant *grant, const char *address)
{
	struct recipient_check_request req = { .address = span_str(address),
	    .sender = SPAN("ann@example.test") };
	struct recipient_check_reply reply = { 0 };

	if (grant != NULL)
		req.grant = *grant;
	verb_recipient_check(h->f.store, &from_mx, h->f.arena, &req, &reply);
	return reply;
}

static void
test_recipient_check(void **state)
{
	struct house h;
	struct grant bad;

	(void)state;
	house_open(&h, false);
	strcpy(h.f.settings.smtp_backup_domains, "friend.test");
	bad = h.grant;
	bad.b[3] ^= 1;
	assert_int_equal(check(&h, NULL, "bob@example.test").result,
	    RESULT_OK);
	assert_true(check(&h, NULL, "bob@example.test").same_for_all);
	assert_int_equal(check(&h, NULL, "no@example.test").result,
	    RESULT_NOT_FOUND);
	assert_int_equal(check(&h, NULL, "x@one.test").result,
	    RESULT_NOT_LOCAL);
	assert_int_equal(check(&h, NULL, "x@friend.test").result, RESULT_OK);
	assert_int_equal(check(&h, &bad, "x@one.test").result, RESULT_DENIED);
	assert_int_equal(check(&h, &h.grant, "x@one.test").result, RESULT_OK);
	assert_false(check(&h, &h.grant, "x@one.test").same_for_all);
	house_close(&h);
}

static void
set_routes(struct house *h, const char *file)
{
	struct text why = TEXT_INIT(1024);
	struct routes *r = routes_parse(span_str(file), &why);

	assert_non_null(r);
	store_set_routes(h->f.store, r);
	queue_settle(h->f.store->queue);
	text_free(&why);
}

static void
test_routes(void **state)
{
	struct house h;
	struct leased l;

	(void)state;
	house_open(&h, false);
	set_routes(&h, "route { rules { recipient = \"one.test two.test\"; "
	    "tls = verify }\n boss { recipient = \"boss@\"; "
	    "via = \"smtp:[192.0.2.9]\" } }");
	send_one(&h, 1, "x@one.test boss@three.test boss@four.test "
	    "z@five.test");
	assert_int_equal(lease(&h.f, 9, &l), 1);
	assert_string_equal(l.destination, "rules/one.test");
	/* One place, two domains: two envelopes, on one connection. */
	assert_int_equal(lease(&h.f, 9, &l), 2);
	assert_string_equal(l.destination, "boss/");
	assert_int_equal(lease(&h.f, 9, &l), 1);
	assert_string_equal(l.destination, "five.test");
	/* What is in line finds its place anew. */
	send_one(&h, 2, "x@two.test");
	set_routes(&h, "route { all { via = \"smtp:[192.0.2.1]\" } }");
	assert_int_equal(lease(&h.f, 9, &l), 1);
	assert_string_equal(l.destination, "all/");
	house_close(&h);
}

/* Aliases to the outside: sent on once, with the address it was for. */
static void
test_onward(void **state)
{
	struct house h;
	struct leased l;

	(void)state;
	house_open(&h, false);
	assert_int_equal(add_alias(&h.f, "away@example.test",
	    "bob@example.test\nx@one.test\ny@one.test"), RESULT_OK);
	assert_int_equal(submit(&h.f, &h.grant, (struct mail){ .n = 1,
	    .to = "away@example.test", .notify = NOTIFY_SUCCESS }), RESULT_OK);
	queue_settle(h.f.store->queue);
	assert_int_equal(messages_of(&h.f, h.bob), 1);
	says(&h, "Action: expanded\r\n");
	assert_int_equal(lease(&h.f, 9, &l), 1);
	assert_string_equal(l.destination, "one.test");
	assert_int_equal(l.envelopes[0].count, 2);
	assert_true(span_is(l.envelopes[0].head,
	    "Delivered-To: away@example.test\r\n"));
	assert_true(span_is(l.bodies[0], &BODY[PREFIX]));
	assert_int_equal(l.envelopes[0].recipients[0].notify, NOTIFY_NEVER);
	assert_true(span_is(l.envelopes[0].recipients[0].original,
	    "rfc822;away@example.test"));
	assert_memory_equal(l.tokens[0].b, token_of(1).b, QUEUE_ID_TOKEN);
	assert_true((l.envelopes[0].flags & ENVELOPE_FORWARDED) != 0);
	report(&h.f, &l, sent, DESTINATION_FINE);
	assert_int_equal(h.f.store->queue->live.n, 0);
	keeper_do_all(h.f.store);
	house_close(&h);
}

/* -- what relay may not do, and what becomes of its leases ----------------- */

static enum result
body_as(struct fixture *f, const struct caller *who, struct token token,
    uint64_t *size)
{
	struct queue_body_request req = { .token = token };
	struct queue_body_reply reply = { .body = { .fd = -1 } };

	verb_queue_body(f->store, who, f->arena, &req, &reply);
	*size = reply.body.bytes.n;
	if (reply.body.fd >= 0) {
		assert_int_equal(lseek(reply.body.fd, 0, SEEK_END),
		    reply.body.bytes.n);
		close(reply.body.fd);
	}
	return reply.result;
}

static void
test_lies(void **state)
{
	struct house h;
	struct leased l, lie;
	uint64_t size;

	(void)state;
	house_open(&h, false);
	send_one(&h, 1, "x@one.test");
	send_one(&h, 2, "x@two.test");
	assert_int_equal(lease(&h.f, 1, &l), 1);
	/* Not its own; not there; out of range; not leased. */
	assert_int_equal(report_as(&h.f, &other_relay, &l, sent,
	    DESTINATION_FINE), RESULT_DENIED);
	assert_int_equal(body_as(&h.f, &other_relay, l.tokens[0], &size),
	    RESULT_NOT_FOUND);
	assert_int_equal(body_as(&h.f, &from_relay, l.tokens[0], &size),
	    RESULT_OK);
	assert_int_equal(size, strlen(BODY) - PREFIX);
	lie = l;
	lie.tokens[0] = token_of(99);
	assert_int_equal(report_as(&h.f, &from_relay, &lie, sent,
	    DESTINATION_FINE), RESULT_OK);
	lie.tokens[0] = token_of(2);
	assert_int_equal(report_as(&h.f, &from_relay, &lie, sent,
	    DESTINATION_FINE), RESULT_DENIED);
	assert_int_equal(body_as(&h.f, &from_relay, lie.tokens[0], &size),
	    RESULT_NOT_FOUND);
	lie = l;
	lie.envelopes[0].count = 2;
	assert_int_equal(report_as(&h.f, &from_relay, &lie, sent,
	    DESTINATION_FINE), RESULT_INVALID);
	assert_int_equal(report_as(&h.f, &from_relay, &l,
	    (struct said){ RELAY_OUTCOMES, "", "" }, DESTINATION_FINE),
	    RESULT_INVALID);
	assert_int_equal(report_as(&h.f, &from_relay, &l, sent,
	    DESTINATION_STATES), RESULT_INVALID);
	/* None of it had an effect, and the truth is still welcome. */
	assert_int_equal(h.f.store->queue->live.n, 2);
	report(&h.f, &l, sent, DESTINATION_FINE);
	report(&h.f, &l, sent, DESTINATION_FINE);
	assert_int_equal(h.f.store->queue->live.n, 1);
	assert_int_equal(lease(&h.f, 1, &l), 1);
	house_close(&h);
}

static void
test_link_gone(void **state)
{
	struct house h;
	struct leased l;

	(void)state;
	house_open(&h, false);
	for (unsigned i = 0; i < 5; i++)
		send_one(&h, i, "x@one.test");
	assert_int_equal(lease(&h.f, 9, &l), 2);
	queue_link_gone(h.f.store->queue, from_relay.link);
	queue_settle(h.f.store->queue);
	assert_int_equal(h.f.store->queue->counts.leases_lost, 2);
	assert_int_equal(h.f.store->queue->leased, 0);
	resume(&h.f, &other_relay, NULL, 0);
	assert_int_equal(lease_as(&h.f, &other_relay, 9, &l), 2);
	assert_int_equal(dispatch_waiting(h.f.store->queue->dispatch), 3);
	house_close(&h);
}

/* The store starts anew while relay has mail in hand. */
static void
resumes(bool disk)
{
	struct house h;
	struct leased l, m;

	house_open(&h, disk);
	for (unsigned i = 0; i < 5; i++)
		send_one(&h, i, "x@one.test");
	assert_int_equal(lease(&h.f, 9, &l), 2);
	fixture_reopen(&h.f);
	assert_int_equal(lease(&h.f, 9, &m), 0);
	queue_settle(h.f.store->queue);
	assert_int_equal(lease(&h.f, 9, &m), 0);
	resume(&h.f, &from_relay, l.tokens, l.n);
	/* Its window is full with what relay has. */
	assert_int_equal(lease(&h.f, 9, &m), 0);
	report(&h.f, &l, sent, DESTINATION_FINE);
	assert_int_equal(lease(&h.f, 9, &m), 3);
	report(&h.f, &m, sent, DESTINATION_FINE);
	assert_int_equal(h.f.store->queue->live.n, 0);
	house_close(&h);
}

static void
test_resume(void **state)
{
	(void)state;
	resumes(false);
	resumes(true);
}

/* Nothing for a link that has not said what it has, however long it asks. */
static void
test_no_resume(void **state)
{
	struct house h;
	struct leased l;

	(void)state;
	house_open(&h, false);
	clock_start();
	send_one(&h, 1, "x@one.test");
	fixture_reopen(&h.f);
	queue_settle(h.f.store->queue);
	assert_int_equal(lease(&h.f, 9, &l), 0);
	pass(&h, 3600);
	assert_int_equal(lease(&h.f, 9, &l), 0);
	resume(&h.f, &other_relay, NULL, 0);
	assert_int_equal(lease(&h.f, 9, &l), 0);
	assert_int_equal(lease_as(&h.f, &other_relay, 9, &l), 1);
	house_close(&h);
}

/* -- the operator ---------------------------------------------------------- */

static void
test_operator(void **state)
{
	struct house h;
	struct leased l;
	struct queue *q;
	struct token one = token_of(1);

	(void)state;
	house_open(&h, false);
	q = h.f.store->queue;
	send_one(&h, 1, "x@one.test");
	assert_int_equal(queue_act(q, &one, QUEUE_RELEASE), RESULT_CONFLICT);
	assert_int_equal(queue_act(q, &one, QUEUE_HOLD), RESULT_OK);
	assert_int_equal(queue_act(q, &one, QUEUE_HOLD), RESULT_CONFLICT);
	assert_int_equal(queue_act(q, &one, QUEUE_RETRY), RESULT_CONFLICT);
	queue_flush(q);
	assert_int_equal(lease(&h.f, 9, &l), 0);
	/* Held over a restart. */
	fixture_reopen(&h.f);
	q = h.f.store->queue;
	queue_flush(q);
	resume(&h.f, &from_relay, NULL, 0);
	assert_int_equal(lease(&h.f, 9, &l), 0);
	assert_int_equal(queue_act(q, &one, QUEUE_RELEASE), RESULT_OK);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	assert_int_equal(queue_act(q, &one, QUEUE_DELETE), RESULT_LOCKED);
	assert_true(queue_is_busy(q, &one));
	report(&h.f, &l, later, DESTINATION_UNSURE);
	assert_int_equal(lease(&h.f, 9, &l), 0);
	assert_int_equal(queue_act(q, &one, QUEUE_RETRY), RESULT_OK);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	report(&h.f, &l, later, DESTINATION_UNSURE);
	assert_int_equal(queue_act(q, &one, QUEUE_RETURN), RESULT_OK);
	queue_settle(q);
	assert_int_equal(messages_of(&h.f, h.ann), 1);
	says(&h, "returned by the operator");
	assert_int_equal(q->live.n, 0);
	house_close(&h);
}

static void
test_turn(void **state)
{
	struct house h;
	struct leased l;

	(void)state;
	house_open(&h, false);
	send_one(&h, 1, "x@one.test");
	send_one(&h, 2, "y@one.test");
	assert_int_equal(lease(&h.f, 1, &l), 1);
	report(&h.f, &l, unreached, DESTINATION_DOWN);
	assert_int_equal(lease(&h.f, 9, &l), 0);
	assert_int_equal(queue_retry_destination(h.f.store->queue,
	    SPAN("two.test")), 0);
	assert_int_equal(queue_retry_destination(h.f.store->queue,
	    SPAN("one.test")), 2);
	queue_settle(h.f.store->queue);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	report(&h.f, &l, sent, DESTINATION_FINE);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	house_close(&h);
}

static void
test_limit(void **state)
{
	struct house h;
	struct leased l;
	struct token second = token_of(2);

	(void)state;
	house_open(&h, false);
	h.f.settings.limit_messages_per_day = 1;
	send_one(&h, 1, "x@one.test");
	send_one(&h, 2, "x@one.test");
	assert_int_equal(lease(&h.f, 9, &l), 1);
	assert_int_equal(l.envelopes[0].token.b[0], 1);
	report(&h.f, &l, sent, DESTINATION_FINE);
	assert_int_equal(lease(&h.f, 9, &l), 0);
	assert_int_equal(queue_act(h.f.store->queue, &second, QUEUE_RELEASE),
	    RESULT_OK);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	house_close(&h);
}

/* A body too large to be sent along, and one of several chunks. */
static void
test_large(void **state)
{
	struct house h;
	struct leased l;
	struct text to = TEXT_INIT(0), body = TEXT_INIT(0);
	struct queue_commit_request req = { .token = token_of(1),
	    .sender = SPAN("ann@example.test"), .prefix = PREFIX,
	    .summary = BLOB_OF(SPAN_EMPTY) };
	struct queue_commit_reply reply = { 0 };
	uint64_t size;

	(void)state;
	house_open(&h, false);
	text_str(&body, BODY);
	while (body.n < 3 << 20)
		text_str(&body, "0123456789012345678901234567890123456789\r\n");
	recipient_put(&to, &(struct recipient){
	    .address = SPAN("x@one.test") });
	req.grant = h.grant;
	req.recipients = BLOB_OF(text_span(&to));
	req.body = BLOB_OF(text_span(&body));
	verb_queue_commit(h.f.store, &from_access, h.f.arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	assert_int_equal(lease(&h.f, 9, &l), 1);
	assert_int_equal(l.bodies[0].n, 0);
	assert_int_equal(body_as(&h.f, &from_relay, l.tokens[0], &size),
	    RESULT_OK);
	assert_int_equal(size, body.n - PREFIX);
	text_free(&to);
	text_free(&body);
	house_close(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_deferred),
		cmocka_unit_test(test_untried),
		cmocka_unit_test(test_down),
		cmocka_unit_test(test_returned),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_recipient_check),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_onward),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_link_gone),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_no_resume),
		cmocka_unit_test(test_operator),
		cmocka_unit_test(test_turn),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

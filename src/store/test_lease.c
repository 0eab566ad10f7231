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

/* -- a relay of the test's own ---------------------------------------------- */

enum { LEASES = 64 };

struct leased {
	char destination[512];
	size_t n;
	struct token tokens[LEASES];
	struct envelope envelopes[LEASES];
	struct span bodies[LEASES];
};

static void
resume(struct fixture *f, const struct caller *who, const struct token *tokens,
    size_t n)
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

/* -- mail of Ann's ------------------------------------------------------------ */

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
	assert_true(span_is(l.bodies[0], BODY + PREFIX));
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
	};

	(void)silent, (void)later, (void)refused, (void)unreached,
	    (void)untried, (void)other_relay;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

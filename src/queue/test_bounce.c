/*
 * test_bounce.c - what a notification says, and in which form.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "queue/bounce.h"

static struct envelope_recipient three[] = {
	{ .address = { "ann@example.test", 16 }, .state = RECIPIENT_DONE,
	    .reason = { NULL, 0 } },
	{ .address = { "bob@example.test", 16 }, .state = RECIPIENT_FAILED,
	    .reason = { "5.1.1 no such account", 21 } },
	{ .address = { "cat@example.test", 16 }, .state = RECIPIENT_WAITING,
	    .reason = { "4.3.1 the disk is full", 22 } },
};

static struct envelope
sample(void)
{
	return (struct envelope){
		.arrived = 1795229525000000,
		.sender = SPAN("carl@example.test"),
		.message_id = SPAN("<1@example.test>"),
		.recipients = three, .count = 3,
	};
}

static bool
says(const struct text *t, const char *words)
{
	return span_find(text_span(t), span_str(words), 0) != SIZE_MAX;
}

static const struct bounce_fate fates[3] = {
	[1] = { .action = BOUNCE_IS_FAILED },
}, late[3] = {
	[2] = { .action = BOUNCE_IS_DELAYED },
};

static void
build(const struct envelope *e, enum bounce_kind kind,
    const struct bounce_fate *about, bool whole, struct text *out)
{
	struct text id = TEXT_INIT(0);
	uint32_t prefix = 0;
	struct bounce b = {
		.kind = kind, .hostname = SPAN("mail.example.test"),
		.now = 1795229600000000, .retry_until = 1795661525,
		.envelope = e, .fates = about, .whole = whole,
		.original =
		    SPAN("Subject: hello\nX-Long: a\r\n\tb\r\n\r\nbody\r\n"),
	};

	text_clear(out);
	bounce_build(&b, out, &prefix, &id);
	assert_int_equal(prefix, strlen("Return-Path: <>\r\n"));
	assert_true(says(&id, "<0000000000000000@mail.example.test>"));
	text_free(&id);
}

static void
test_failed(void **state)
{
	struct envelope e = sample();
	struct text out = TEXT_INIT(0);

	(void)state;
	build(&e, BOUNCE_FAILED, fates, false, &out);
	assert_true(says(&out, "report-type=delivery-status"));
	assert_true(says(&out, "\r\nIn-Reply-To: <1@example.test>\r\n"));
	assert_true(says(&out, "\r\n\r\nReporting-MTA: dns; "
	    "mail.example.test\r\n"));
	assert_true(says(&out, "\r\n\r\nFinal-Recipient: rfc822; "
	    "bob@example.test\r\nAction: failed\r\nStatus: 5.1.1\r\n"));
	assert_false(says(&out, "cat@example.test"));
	assert_false(says(&out, "ann@example.test"));
	assert_true(says(&out, "Content-Type: text/rfc822-headers\r\n\r\n"
	    "Subject: hello\r\nX-Long: a\r\n\tb\r\n\r\n--"));
	assert_false(says(&out, "body"));
	text_free(&out);
}

static void
test_delayed(void **state)
{
	struct envelope e = sample();
	struct text out = TEXT_INIT(0);

	(void)state;
	build(&e, BOUNCE_DELAYED, late, false, &out);
	assert_true(says(&out, "Action: delayed\r\nStatus: 4.3.1\r\n"));
	assert_true(says(&out, "Will-Retry-Until: "));
	assert_false(says(&out, "bob@example.test"));
	text_free(&out);
}

static void
test_international(void **state)
{
	struct envelope e = sample();
	struct text out = TEXT_INIT(0);
	struct envelope_recipient one = {
		.address = SPAN("j\xc3\xb6rg@example.test"),
		.state = RECIPIENT_FAILED, .reason = SPAN("no code here") };

	(void)state;
	e.recipients = &one;
	e.count = 1;
	build(&e, BOUNCE_FAILED, &fates[1], false, &out);
	assert_true(says(&out, "message/global-delivery-status"));
	assert_true(says(&out, "Final-Recipient: utf-8; j\xc3\xb6rg@"));
	assert_true(says(&out, "Status: 5.0.0\r\n"));
	assert_true(says(&out, "message/global-headers"));
	text_free(&out);
}

/* RFC 3464: what another server said, and what the sender gave us. */
static void
test_remote(void **state)
{
	static const struct bounce_fate fate[2] = { {
		.action = BOUNCE_IS_FAILED,
		.remote = { "mx.example.org[192.0.2.1]:25", 28 },
		.answer = { "550-5.7.1 no\r\n550 5.7.1 way\0!", 29 },
	}, {
		.action = BOUNCE_IS_FAILED,
		.remote = { "[192.0.2.1]:25", 14 },
		.answer = { "550 no", 6 },
	} };
	struct envelope e = sample();
	struct text out = TEXT_INIT(0);
	struct envelope_recipient two[2] = { {
		.address = SPAN("x@example.org"),
		.original = SPAN("rfc822;alias@example.test"),
		.reason = SPAN("5.7.1 no way") }, {
		.address = SPAN("y@example.org") } };

	(void)state;
	e.envid = SPAN("QQ314159");
	e.recipients = two;
	e.count = 2;
	build(&e, BOUNCE_FAILED, fate, true, &out);
	assert_true(says(&out, "\r\n\r\nOriginal-Envelope-Id: QQ314159\r\n"
	    "Reporting-MTA: dns; mail.example.test\r\nArrival-Date: "));
	assert_true(says(&out, "\r\n\r\nOriginal-Recipient: "
	    "rfc822;alias@example.test\r\nFinal-Recipient: rfc822; "
	    "x@example.org\r\nAction: failed\r\nStatus: 5.7.1\r\n"
	    "Remote-MTA: dns; mx.example.org\r\nDiagnostic-Code: smtp; "
	    "550-5.7.1 no  550 5.7.1 way !\r\nLast-Attempt-Date: "));
	assert_true(says(&out, "Remote-MTA: dns; [192.0.2.1]\r\n"));
	assert_true(says(&out, "Content-Type: message/rfc822\r\n\r\n"
	    "Subject: hello\nX-Long: a\r\n\tb\r\n\r\nbody\r\n\r\n--"));
	text_free(&out);
}

static void
test_success(void **state)
{
	static const struct bounce_fate fate[3] = {
		{ .action = BOUNCE_IS_DELIVERED },
		{ .action = BOUNCE_IS_RELAYED, .answer = { "250 ok", 6 } },
		{ .action = BOUNCE_IS_EXPANDED },
	};
	struct envelope e = sample();
	struct text out = TEXT_INIT(0);
	struct envelope_recipient all[3] = {
		{ .address = SPAN("a@x.test") },
		{ .address = SPAN("b@x.test") },
		{ .address = SPAN("c@x.test") },
	};

	(void)state;
	e.recipients = all;
	build(&e, BOUNCE_SUCCESS, fate, false, &out);
	assert_true(says(&out, "a@x.test\r\nAction: delivered\r\n"
	    "Status: 2.0.0\r\n"));
	assert_true(says(&out, "b@x.test\r\nAction: relayed\r\n"
	    "Status: 2.0.0\r\nDiagnostic-Code: smtp; 250 ok\r\n"));
	assert_true(says(&out, "c@x.test\r\nAction: expanded\r\n"));
	text_free(&out);
}

static void
test_wanted(void **state)
{
	static const struct {
		uint32_t notify;
		bool failed, delayed, success;
	} rows[] = {
		{ 0, true, true, false },
		{ NOTIFY_NEVER, false, false, false },
		{ NOTIFY_SUCCESS, false, false, true },
		{ NOTIFY_FAILURE, true, false, false },
		{ NOTIFY_DELAY | NOTIFY_SUCCESS, false, true, true },
		{ NOTIFY_NEVER | NOTIFY_FAILURE, false, false, false },
	};
	struct envelope e = sample();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct envelope_recipient r = { .notify = rows[i].notify };

		e.sender = SPAN("a@b.test");
		assert_int_equal(bounce_wanted(&e, &r, BOUNCE_FAILED),
		    rows[i].failed);
		assert_int_equal(bounce_wanted(&e, &r, BOUNCE_DELAYED),
		    rows[i].delayed);
		assert_int_equal(bounce_wanted(&e, &r, BOUNCE_SUCCESS),
		    rows[i].success);
		e.sender = SPAN_EMPTY;
		assert_false(bounce_wanted(&e, &r, BOUNCE_FAILED));
		assert_false(bounce_wanted(&e, &r, BOUNCE_SUCCESS));
	}
}

static void
test_status(void **state)
{
	struct span rest;

	(void)state;
	assert_true(span_is(bounce_status(SPAN("4.2.2 full"),
	    BOUNCE_IS_DELAYED, &rest), "4.2.2"));
	assert_true(span_is(rest, "full"));
	assert_true(span_is(bounce_status(SPAN("4.2 full"), BOUNCE_IS_DELAYED,
	    &rest), "4.0.0"));
	assert_true(span_is(rest, "4.2 full"));
	assert_true(span_is(bounce_status(SPAN_EMPTY, BOUNCE_IS_FAILED, &rest),
	    "5.0.0"));
	assert_true(span_is(bounce_status(SPAN("5.1.1000 x"), BOUNCE_IS_FAILED,
	    &rest), "5.0.0"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_delayed),
		cmocka_unit_test(test_international),
		cmocka_unit_test(test_remote),
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

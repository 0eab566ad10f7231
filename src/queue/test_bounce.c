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

static void
build(const struct envelope *e, enum bounce_kind kind, struct text *out)
{
	struct text id = TEXT_INIT(0);
	uint32_t prefix = 0;
	struct bounce b = {
		.kind = kind, .hostname = SPAN("mail.example.test"),
		.now = 1795229600000000, .retry_until = 1795661525,
		.envelope = e,
		.header = SPAN("Subject: hello\nX-Long: a\r\n\tb\r\n\r\nbody"),
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
	assert_true(bounce_wanted(&e, BOUNCE_FAILED));
	build(&e, BOUNCE_FAILED, &out);
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
	build(&e, BOUNCE_DELAYED, &out);
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
	build(&e, BOUNCE_FAILED, &out);
	assert_true(says(&out, "message/global-delivery-status"));
	assert_true(says(&out, "Final-Recipient: utf-8; j\xc3\xb6rg@"));
	assert_true(says(&out, "Status: 5.0.0\r\n"));
	assert_true(says(&out, "message/global-headers"));
	text_free(&out);
}

static void
test_status(void **state)
{
	struct span rest;

	(void)state;
	assert_true(span_is(bounce_status(SPAN("4.2.2 full"),
	    BOUNCE_DELAYED, &rest), "4.2.2"));
	assert_true(span_is(rest, "full"));
	assert_true(span_is(bounce_status(SPAN("4.2 full"), BOUNCE_DELAYED,
	    &rest), "4.0.0"));
	assert_true(span_is(rest, "4.2 full"));
	assert_true(span_is(bounce_status(SPAN_EMPTY, BOUNCE_FAILED, &rest),
	    "5.0.0"));
	assert_true(span_is(bounce_status(SPAN("5.1.1000 x"), BOUNCE_FAILED,
	    &rest), "5.0.0"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_delayed),
		cmocka_unit_test(test_international),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_smtp_header.c - the fields we add. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "smtp/smtp_header.h"
#include "smtp/smtp_reply.h"

static struct smtp_origin
origin(void)
{
	return (struct smtp_origin){
		.sender = SPAN("ann@example.test"),
		.helo = SPAN("client.example"),
		.address = SPAN("192.0.2.1"),
		.hostname = SPAN("mail.example.test"),
		.recipient = SPAN("bob@example.test"),
		.id = SPAN("0123456789abcdef"),
		.esmtp = true,
		.now = 1795230605,
	};
}

static void
test_received(void **state)
{
	struct smtp_origin o = origin();
	struct text t = TEXT_INIT(0);

	(void)state;
	smtp_received(&o, &t);
	assert_true(span_is(text_span(&t),
	    "Received: from client.example ([192.0.2.1])\r\n"
	    "\tby mail.example.test with ESMTP id 0123456789abcdef\r\n"
	    "\tfor <bob@example.test>;\r\n"
	    "\tSat, 21 Nov 2026 03:10:05 +0000\r\n"));
	text_clear(&t);
	o.tls = SPAN("TLSv1.3 TLS_AES_256_GCM_SHA384");
	o.authenticated = true;
	o.address = o.helo = o.recipient = SPAN_EMPTY;
	smtp_received(&o, &t);
	assert_true(span_is(text_span(&t),
	    "Received: from mail.example.test\r\n"
	    "\tby mail.example.test with ESMTPSA id 0123456789abcdef\r\n"
	    "\t(TLSv1.3 TLS_AES_256_GCM_SHA384);\r\n"
	    "\tSat, 21 Nov 2026 03:10:05 +0000\r\n"));
	text_clear(&t);
	o.address = SPAN("2001:db8::1");
	smtp_received(&o, &t);
	assert_true(span_find(text_span(&t), SPAN("([IPv6:2001:db8::1])"), 0) !=
	    SIZE_MAX);
	text_free(&t);
}

static void
test_protocol_name(void **state)
{
	static const struct {
		bool esmtp, utf8, tls, login;
		const char *name;
	} rows[] = {
		{ false, false, false, false, "SMTP" },
		{ true, false, false, false, "ESMTP" },
		{ true, false, true, false, "ESMTPS" },
		{ true, false, false, true, "ESMTPA" },
		{ true, false, true, true, "ESMTPSA" },
		{ true, true, false, false, "UTF8SMTP" },
		{ true, true, true, true, "UTF8SMTPSA" },
	};
	struct text t = TEXT_INIT(0);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct smtp_origin o = origin();

		o.esmtp = rows[i].esmtp;
		o.utf8 = rows[i].utf8;
		o.tls = rows[i].tls ? SPAN("TLSv1.3 X") : SPAN_EMPTY;
		o.authenticated = rows[i].login;
		text_clear(&t);
		smtp_protocol_name(&o, &t);
		assert_true(span_is(text_span(&t), rows[i].name));
	}
	text_free(&t);
}

static void
test_return_path(void **state)
{
	struct smtp_origin o = origin();
	struct text t = TEXT_INIT(0);

	(void)state;
	smtp_return_path(&o, &t);
	o.sender = SPAN_EMPTY;
	smtp_return_path(&o, &t);
	assert_true(span_is(text_span(&t),
	    "Return-Path: <ann@example.test>\r\nReturn-Path: <>\r\n"));
	text_free(&t);
}

static void
complete(const char *header, const char *expected)
{
	struct smtp_origin o = origin();
	struct text t = TEXT_INIT(0);

	smtp_complete(&o, span_str(header), &t);
	assert_true(span_is(text_span(&t), expected));
	text_free(&t);
}

#define DATE "Date: Sat, 21 Nov 2026 03:10:05 +0000\r\n"
#define ID "Message-ID: <0123456789abcdef@mail.example.test>\r\n"

static void
test_complete(void **state)
{
	(void)state;
	complete("From: a\r\n\r\n", DATE ID);
	complete("Date: now\r\n\r\n", ID);
	complete("message-id: <1>\r\n", DATE);
	complete("Date: now\r\nMessage-ID: <1>\r\n\r\n", "");
	complete("\r\nDate: body\r\n", DATE ID);
	complete("No header here.\r\n", DATE ID "\r\n");
	complete("", DATE ID "\r\n");
}

/* Codes and enhanced codes agree; every line is one line. */
static void
test_replies(void **state)
{
	(void)state;
	for (int i = 0; i < SMTP_REPLIES; i++) {
		struct span line = smtp_reply_line((enum smtp_reply)i);

		assert_in_range(smtp_reply_code((enum smtp_reply)i), 200, 599);
		assert_in_range(line.n, 8, 512);
		assert_int_equal(line.p[3], ' ');
		assert_int_equal(span_find_char(line, '\n', 0), line.n - 1);
		if (line.p[0] != '3')
			assert_int_equal(line.p[0], line.p[4]);
	}
	assert_true(smtp_reply_closes(REPLY_IDLE));
	assert_true(smtp_reply_closes(REPLY_BYE));
	assert_false(smtp_reply_closes(REPLY_NO_SUCH_USER));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_received),
		cmocka_unit_test(test_protocol_name),
		cmocka_unit_test(test_return_path),
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_smtp_server.c - conversations with a session: RFC 5321, its limits,
 * and submission.
 */
#include "smtp/test_smtp_stage.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/serve.h"

/* ---- port 25 ------------------------------------------------------------------------ */

static void
test_hello(void **state)
{
	(void)state;
	dial(&smtp_service);
	say("EHLO client.example\r\n");
	expect("250-mail.example.test\r\n250-PIPELINING\r\n"
	    "250-SIZE 52428800\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
	    "250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-BINARYMIME\r\n"
	    "250-DSN\r\n250-DELIVERBY\r\n250-MT-PRIORITY MIXER\r\n"
	    "250-LIMITS MAILMAX=10000 RCPTMAX=1000\r\n250 HELP\r\n");
	say("HELO client.example\r\n");
	expect("250 mail.example.test\r\n");
	say("NOOP\r\nRSET\r\nVRFY ann\r\nEXPN staff\r\nAUTH PLAIN\r\n"
	    "STARTTLS\r\nHELP\r\n");
	expect_line("250 2.0.0");
	expect_line("250 2.0.0");
	expect_line("252 2.5.0");
	expect_line("502 5.5.1");
	expect_line("502 5.5.1");
	expect_line("454 4.7.0");
	expect("214-2.0.0 Postrider speaks:\r\n214-2.0.0 EHLO HELO MAIL RCPT "
	    "DATA BDAT RSET NOOP QUIT VRFY HELP STARTTLS\r\n");
	expect_line("214 2.0.0");
	say("QUIT\r\n");
	expect_line("221 2.0.0");
	expect_closed();
}

static void
test_message(void **state)
{
	char queue_id[17] = "";

	(void)state;
	hello(&smtp_service);
	say("MAIL FROM:<x@other.test> SIZE=100 BODY=8BITMIME\r\n");
	expect_line("250 2.1.0");
	say("RCPT TO:<ann@example.test>\r\n");
	expect_line("250 2.1.5");
	say("DATA\r\n");
	expect_line("354 ");
	say("Message-ID: <1@other.test>\r\nSubject: hi\r\n\r\n..dot\r\n.\r\n");
	expect("250 2.0.0 Accepted as ");
	listen_to_it();
	assert_true(t.heard.n >= sizeof(queue_id));
	memcpy(queue_id, t.heard.p, sizeof(queue_id) - 1);
	assert_int_equal(t.commits, 1);
	assert_true(span_is(text_span(&t.sender), "x@other.test"));
	assert_true(span_is(text_span(&t.recipients), "ann@example.test "));
	assert_true(span_is(text_span(&t.message_id), "<1@other.test>"));
	assert_int_equal(t.flags, ENVELOPE_8BITMIME);
	assert_int_equal(t.summary_size, t.body.n);
	assert_int_equal(t.prefix, strlen("Return-Path: <x@other.test>\r\n"));
	assert_true(span_starts(text_span(&t.body), SPAN(
	    "Return-Path: <x@other.test>\r\nReceived: from client.example (")));
	assert_true(span_find(text_span(&t.body), span_str(queue_id), 0) !=
	    SIZE_MAX);
	assert_true(span_find(text_span(&t.body),
	    SPAN("for <ann@example.test>;\r\n"), 0) != SIZE_MAX);
	assert_true(span_ends(text_span(&t.body), SPAN(
	    "\r\nMessage-ID: <1@other.test>\r\nSubject: hi\r\n\r\n.dot\r\n")));
}

/* Everything in one packet but the text, as RFC 2920 has it. */
static void
test_pipelining(void **state)
{
	(void)state;
	hello(&smtp_service);
	say("MAIL FROM:<>\r\nRCPT TO:<ann@example.test>\r\n"
	    "RCPT TO:<nobody@example.test>\r\nRCPT TO:<bob@example.test>\r\n"
	    "RCPT TO:<Postmaster>\r\nDATA\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("550 5.1.1");
	expect_line("250 2.1.5");
	expect_line("250 2.1.5");
	expect_line("354 ");
	say("a: b\r\n\r\nx\r\n.\r\nMAIL FROM:<x@other.test>\r\nQUIT\r\n");
	expect_line("250 2.0.0 Accepted");
	expect_line("250 2.1.0");
	expect_line("221 2.0.0");
	expect_closed();
	assert_true(span_is(text_span(&t.recipients),
	    "ann@example.test bob@example.test Postmaster "));
	assert_true(span_find(text_span(&t.body), SPAN(" for "), 0) ==
	    SIZE_MAX);
	assert_true(span_is(text_span(&t.sender), ""));
}

static void
test_order(void **state)
{
	(void)state;
	dial(&smtp_service);
	say("MAIL FROM:<x@other.test>\r\n");
	expect_line("503 5.5.1");
	say("EHLO c\r\n");
	listen_to_it();
	text_clear(&t.heard);
	say("RCPT TO:<ann@example.test>\r\nDATA\r\n"
	    "MAIL FROM:<x@other.test>\r\nMAIL FROM:<x@other.test>\r\n"
	    "DATA\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\n");
	expect_line("503 5.5.1");
	expect_line("503 5.5.1");
	expect_line("250 2.1.0");
	expect_line("503 5.5.1");
	expect_line("503 5.5.1");
	expect_line("550 5.1.1");
	expect_line("503 5.5.1");
	say("RCPT TO:<ann@example.test>\r\nEHLO again\r\n");
	expect_line("250 2.1.5");
	listen_to_it();
	text_clear(&t.heard);
	say("DATA\r\n");
	expect_line("503 5.5.1");
}

static void
test_no_relay(void **state)
{
	(void)state;
	hello(&smtp_service);
	say("MAIL FROM:<ann@example.test>\r\nRCPT TO:<x@other.test>\r\n"
	    "RCPT TO:<@example.test:x@other.test>\r\n"
	    "RCPT TO:<\"x@other.test\"@example.test>\r\n"
	    "RCPT TO:<x%other.test@example.test>\r\n");
	expect_line("250 2.1.0");
	expect_line("550 5.7.1");
	expect_line("550 5.7.1");
	expect_line("550 5.1.1");
	expect_line("550 5.1.1");
}

static void
test_refused_texts(void **state)
{
	(void)state;
	t.settings.smtp_max_received_hops = 2;
	t.settings.smtp_max_size = 64 << 10;
	hello(&smtp_service);
	begin_data();		/* smuggling: not one message, none at all */
	say("a\n.\r\nMAIL FROM:<evil@other.test>\r\n");
	expect_nothing();
	say(".\r\n");
	expect_line("554 5.6.0");
	begin_data();
	say_bytes(SPAN("a\0b\r\n.\r\n"));
	expect_line("554 5.6.0");
	begin_data();
	say("Received: a\r\nReceived: b\r\nReceived: c\r\n\r\n.\r\n");
	expect_line("554 5.4.6");
	begin_data();
	for (int i = 0; i < 70; i++)
		say_bytes(span_of((char[1024]){ [1022] = '\r', '\n' }, 1024));
	say(".\r\n");
	expect_line("552 5.3.4");
	begin_data();
	for (int i = 0; i < 20; i++)
		say("0123456789012345678901234567890123456789012345678901234567"
		    "89012345678901234567890123456789012345678901234567890");
	say("\r\n.\r\n");
	expect_line("250 2.0.0");
	t.settings.smtp_max_text_line = 1000;
	begin_data();
	for (int i = 0; i < 20; i++)
		say("0123456789012345678901234567890123456789012345678901234567"
		    "89012345678901234567890123456789012345678901234567890");
	say("\r\n.\r\n");
	expect_line("554 5.6.0");
	assert_int_equal(t.commits, 1);
}

static void
test_size(void **state)
{
	(void)state;
	hello(&smtp_service);
	say("MAIL FROM:<x@other.test> SIZE=52428801\r\n");
	expect_line("552 5.3.4");
	say("MAIL FROM:<x@other.test> SIZE=52428800\r\n");
	expect_line("250 2.1.0");
}

/* A message of several megabytes comes whole, through a descriptor. */
static void
test_large(void **state)
{
	static char line[1000];
	size_t i;

	(void)state;
	memset(line, 'x', sizeof(line));
	line[998] = '\r';
	line[999] = '\n';
	hello(&smtp_service);
	begin_data();
	for (i = 0; i < 3000; i++)
		say_bytes(span_of(line, sizeof(line)));
	say(".\r\n");
	expect_line("250 2.0.0");
	assert_true(t.body.n > 3000000);
	assert_true(t.body.n < 3001000);
	assert_memory_equal(t.body.p + t.body.n - 1000, line, 1000);
}

static void
test_store_says_no(void **state)
{
	static const struct { enum result result; const char *reply; } rows[] = {
		{ RESULT_TEMPORARY, "451 4.3.0" }, { RESULT_FULL, "452 4.3.1" },
		{ RESULT_LIMIT, "552 5.3.4" }, { RESULT_INVALID, "554 5.6.0" },
		{ RESULT_DAMAGED, "451 4.3.0" },
	};

	(void)state;
	hello(&smtp_service);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		t.commit_result = rows[i].result;
		begin_data();
		say("a\r\n.\r\n");
		expect_line(rows[i].reply);
	}
}

/* While the store is away a call waits for it, and then gives up. */
static void
test_store_away(void **state)
{
	monotime_t now = clock_mono();

	(void)state;
	hello(&smtp_service);
	say("MAIL FROM:<x@other.test>\r\n");
	expect_line("250 2.1.0");
	server_free(&t.server);
	turns();
	assert_false(link_up(t.link));
	clock_test_set(now, 0);
	say("RCPT TO:<ann@example.test>\r\n");
	expect_nothing();
	now.ms += 10001;
	clock_test_set(now, 0);
	expect_line("451 4.3.0");
	clock_test_clear();
	stage_handlers();
	say("RCPT TO:<ann@example.test>\r\n");
	expect_line("250 2.1.5");
}

/* ---- BDAT ---------------------------------------------------------------------------- */

static void
test_chunks(void **state)
{
	(void)state;
	hello(&smtp_service);
	say("MAIL FROM:<x@other.test> BODY=BINARYMIME\r\n"
	    "RCPT TO:<ann@example.test>\r\nDATA\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("503 5.5.1");
	say("BDAT 8\r\na: b\r\n\r\n");
	expect_line("250 2.0.0");
	say("RCPT TO:<bob@example.test>\r\n");
	expect_line("503 5.5.1");
	say_bytes(SPAN("BDAT 5\r\n\0\n.\r\nBDAT 1 LAST\r\nx"));
	expect_line("250 2.0.0");
	expect_line("250 2.0.0 Accepted");
	assert_true(span_ends(text_span(&t.body),
	    SPAN("\r\na: b\r\n\r\n\0\n.\r\nx")));
	assert_int_equal(t.flags, ENVELOPE_8BITMIME | ENVELOPE_BINARYMIME);
}

static void
test_chunks_refused(void **state)
{
	(void)state;
	hello(&smtp_service);
	/* Out of order, the bytes are taken all the same. */
	say("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
	expect_line("503 5.5.1");
	expect_line("250 2.0.0");
	say("MAIL FROM:<x@other.test>\r\nRCPT TO:<ann@example.test>\r\n"
	    "BDAT 3 LAST\r\na\nb");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("554 5.6.0");
	say("MAIL FROM:<x@other.test>\r\nRCPT TO:<ann@example.test>\r\n"
	    "BDAT 3\r\na\r\nRSET\r\nBDAT 0 LAST\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("250 2.0.0");
	expect_line("250 2.0.0");
	expect_line("503 5.5.1");
	say("BDAT x\r\n");
	expect_line("421 4.5.0");
	expect_closed();
	assert_int_equal(t.commits, 0);
}

/* ---- limits --------------------------------------------------------------------------- */

static void
test_errors(void **state)
{
	(void)state;
	t.settings.smtp_max_errors = 3;
	hello(&smtp_service);
	say("A\r\nB\n\001\r\n");
	expect_line("500 5.5.2");
	expect_line("500 5.5.2");
	expect_line("500 5.5.2");
	expect_line("421 4.7.0");
	expect_closed();
}

static void
test_aliens(void **state)
{
	(void)state;
	dial(&smtp_service);
	say("POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\n");
	expect_line("421 4.7.0");
	expect_closed();
}

static void
test_long_line(void **state)
{
	(void)state;
	t.settings.smtp_max_command_line = 512;
	hello(&smtp_service);
	for (int i = 0; i < 20; i++)
		say("NOOP 0123456789012345678901234567890123456789012345678901"
		    "012345678901234567890123456789012345678901234567890123");
	say("\r\nNOOP\r\n");
	expect_line("500 5.5.2");
	expect_line("250 2.0.0");
}

static void
test_recipients_limit(void **state)
{
	(void)state;
	t.settings.smtp_max_recipients = 2;
	t.settings.smtp_max_messages = 1;
	hello(&smtp_service);
	say("MAIL FROM:<x@other.test>\r\nRCPT TO:<ann@example.test>\r\n"
	    "RCPT TO:<bob@example.test>\r\nRCPT TO:<ann@example.test>\r\n"
	    "DATA\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("250 2.1.5");
	expect_line("452 4.5.3");
	expect_line("354");
	say("a\r\n.\r\nMAIL FROM:<x@other.test>\r\n");
	expect_line("250 2.0.0");
	expect_line("421 4.7.0");
	expect_closed();
}

static void
test_silence(void **state)
{
	monotime_t now = clock_mono();

	(void)state;
	clock_test_set(now, 0);
	hello(&smtp_service);
	now.ms += t.settings.smtp_command_timeout + 1;
	clock_test_set(now, 0);
	expect_line("421 4.4.2");
	expect_closed();
	hang_up();
	hello(&smtp_service);
	begin_data();
	now.ms += t.settings.smtp_data_timeout + 1;
	clock_test_set(now, 0);
	expect_line("421 4.4.2");
	expect_closed();
	assert_int_equal(t.commits, 0);
}

/* The client vanishes in the middle of a text: nothing is taken. */
static void
test_vanished(void **state)
{
	(void)state;
	hello(&smtp_service);
	begin_data();
	say("a: b\r\n\r\nhalf");
	hang_up();
	assert_int_equal(t.commits, 0);
	assert_int_equal(session_count(&smtp_service), 0);
}

/* ---- submission -------------------------------------------------------------------------- */

static void
test_login_first(void **state)
{
	(void)state;
	t.settings.auth_require_tls = true;
	hello(&submission_service);
	say("MAIL FROM:<ann@example.test>\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\n");
	expect_line("530 5.7.0 Use STARTTLS");
	expect_line("538 5.7.11");
	t.settings.auth_require_tls = false;
	say("MAIL FROM:<ann@example.test>\r\nVRFY x\r\n");
	expect_line("530 5.7.0 Log in");
	expect_line("530 5.7.0 Log in");
}

static void
test_auth(void **state)
{
	(void)state;
	hello(&submission_service);
	say("EHLO c\r\n");
	listen_to_it();
	assert_true(span_find(text_span(&t.heard), SPAN("250-AUTH "
	    "SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN\r\n"), 0) !=
	    SIZE_MAX);
	text_clear(&t.heard);
	say("AUTH XYZZY\r\nAUTH PLAIN !\r\nAUTH PLAIN\r\n");
	expect_line("504 5.5.4");
	expect_line("501 5.5.2");
	expect("334 \r\n");
	say("*\r\n");
	expect_line("501 5.7.0");
	say("AUTH PLAIN AGFubgB3cm9uZw==\r\n");
	expect_line("535 5.7.8");
	say("AUTH PLAIN\r\nAGFubgBzZWNyZXQ=\r\n");
	expect("334 \r\n");
	expect_line("235 2.7.0");
	say("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n");
	expect_line("503 5.5.1");
}

static void
test_failures(void **state)
{
	(void)state;
	t.settings.auth_max_failures = 2;
	hello(&submission_service);
	say("AUTH PLAIN AGFubgB3cm9uZw==\r\n");
	expect_line("535 5.7.8");
	say("AUTH PLAIN AGFubgB3cm9uZw==\r\n");
	expect_line("535 5.7.8");
	expect_closed();
}

static void
test_their_addresses(void **state)
{
	(void)state;
	log_in();
	say("MAIL FROM:<bob@example.test>\r\n");
	expect_line("553 5.7.1");
	say("MAIL FROM:<ann@example.test>\r\nRCPT TO:<x@other.test>\r\n"
	    "RCPT TO:<bob@example.test>\r\nDATA\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("250 2.1.5");
	expect_line("354");
	say("From: Bob <bob@example.test>\r\n\r\n.\r\n");
	expect_line("550 5.7.1");
	assert_int_equal(t.commits, 0);
	say("MAIL FROM:<ann@example.test>\r\nRCPT TO:<bob@example.test>\r\n"
	    "DATA\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("354");
	say("From: a\r\nFrom: ann@example.test\r\n\r\n.\r\n");
	expect_line("550 5.6.0");
	t.settings.submission_check_from = false;
	say("MAIL FROM:<ann@example.test>\r\nRCPT TO:<bob@example.test>\r\n"
	    "DATA\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("354");
	say("From: Bob <bob@example.test>\r\n\r\n.\r\n");
	expect_line("250 2.0.0");
}

static void
submit(const char *message)
{
	say("MAIL FROM:<ann@example.test>\r\nRCPT TO:<bob@example.test>\r\n"
	    "DATA\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("354");
	for (const char *p = message; *p != '\0'; p++)
		say_bytes(span_of(p, 1));
	say(".\r\n");
	expect_line("250 2.0.0");
}

static void
test_completion(void **state)
{
	(void)state;
	log_in();
	submit("From: Ann <ann@example.test>\r\nSubject: x\r\n\r\nDate: y\r\n");
	assert_true(body_has("\r\nDate: "));
	assert_true(body_has("@mail.example.test>\r\nFrom: Ann"));
	assert_true(body_has("Received: from mail.example.test\r\n\t"
	    "by mail.example.test with ESMTPA id "));
	assert_true(t.message_id.n > 0);
	assert_int_equal(t.flags, ENVELOPE_AUTHENTICATED);
	submit("Date: Sat, 21 Nov 2026 03:10:05 +0100\r\n"
	    "Message-ID: <1@x>\r\nFrom: ann@example.test\r\n\r\n");
	assert_true(body_has("+0000\r\nDate: Sat, 21 Nov 2026 03:10:05 +0100"
	    "\r\nMessage-ID: <1@x>\r\n"));
	submit("Just a line.\r\n");
	assert_true(body_has(">\r\n\r\nJust a line.\r\n"));
	submit("");
	assert_true(body_has("Message-ID: <"));
	assert_int_equal(t.commits, 4);
}

int
main(void)
{
#define CONVERSATION(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CONVERSATION(test_hello),
		CONVERSATION(test_message),
		CONVERSATION(test_pipelining),
		CONVERSATION(test_order),
		CONVERSATION(test_no_relay),
		CONVERSATION(test_refused_texts),
		CONVERSATION(test_size),
		CONVERSATION(test_large),
		CONVERSATION(test_store_says_no),
		CONVERSATION(test_store_away),
		CONVERSATION(test_chunks),
		CONVERSATION(test_chunks_refused),
		CONVERSATION(test_errors),
		CONVERSATION(test_aliens),
		CONVERSATION(test_long_line),
		CONVERSATION(test_recipients_limit),
		CONVERSATION(test_silence),
		CONVERSATION(test_vanished),
		CONVERSATION(test_login_first),
		CONVERSATION(test_auth),
		CONVERSATION(test_failures),
		CONVERSATION(test_their_addresses),
		CONVERSATION(test_completion),
	};

	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_FORMAT_TEXT,
	    "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

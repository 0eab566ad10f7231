/*
 * test_smtp_extensions.c - conversations about what EHLO offers, LMTP, and
 * who may speak how fast.
 */
#include "smtp/test_smtp_stage.h"

#include <arpa/inet.h>
#include <fcntl.h>

#include "base/log.h"
#include "verify/resolve.h"

static void
set(char *setting, const char *value)
{
	strcpy(setting, value);
}

static void
send_text(const char *text)
{
	say("DATA\r\n");
	expect_line("354");
	say(text);
	say("\r\n.\r\n");
}

static void
bob_gets(const char *mail, const char *text)
{
	say(mail);
	expect_line("250 2.1.0");
	say("RCPT TO:<bob@example.test>\r\n");
	expect_line("250 2.1.5");
	send_text(text);
}

/* ---- parameters --------------------------------------------------------- */

static void
test_dsn(void **state)
{
	(void)state;
	hello(&smtp_service);
	say("MAIL FROM:<x@other.test> RET=HDRS ENVID=QQ+2B1\r\n"
	    "RCPT TO:<ann@example.test> NOTIFY=SUCCESS,DELAY "
	    "ORCPT=rfc822;Ann+2Bx@example.test\r\n"
	    "RCPT TO:<bob@example.test> NOTIFY=NEVER,DELAY\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("501 5.5.4");
	send_text("a: b\r\n");
	expect_line("250 2.0.0");
	assert_int_equal(t.flags, ENVELOPE_RET_HDRS);
	assert_true(span_is(text_span(&t.envid), "QQ+1"));
	assert_int_equal(t.notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
	assert_true(span_is(text_span(&t.original),
	    "rfc822;Ann+x@example.test"));
	/* The next one has nothing of it. */
	begin_data();
	say("a: b\r\n.\r\n");
	expect_line("250 2.0.0");
	assert_int_equal(t.flags | t.notify, 0);
	assert_int_equal(t.envid.n + t.original.n, 0);
}

static void
test_deliver_by(void **state)
{
	(void)state;
	clock_test_set(clock_mono(), (walltime_t)1000000000 * 1000000);
	t.settings.smtp_min_deliver_by = 60000;
	dial(&smtp_service);
	say("EHLO c.test\r\n");
	assert_true(heard("250-DELIVERBY 60\r\n"));
	say("MAIL FROM:<x@other.test> BY=59;R\r\n"
	    "MAIL FROM:<x@other.test> BY=0;R\r\n");
	expect_line("555 5.5.4");
	expect_line("501 5.5.4");
	bob_gets("MAIL FROM:<x@other.test> BY=60;RT\r\n", "a: b\r\n");
	expect_line("250 2.0.0");
	assert_int_equal(t.deliver_by, 1000000060);
	assert_int_equal(t.flags, ENVELOPE_BY_RETURN | ENVELOPE_BY_TRACE);
	bob_gets("MAIL FROM:<x@other.test> BY=-5;N\r\n", "a: b\r\n");
	expect_line("250 2.0.0");
	assert_int_equal(t.deliver_by, 999999995);
	assert_int_equal(t.flags, 0);
}

static void
test_future_release(void **state)
{
	(void)state;
	hello(&smtp_service);
	say("MAIL FROM:<x@other.test> HOLDFOR=60\r\n");
	expect_line("555 5.5.4");
	hang_up();
	log_in();
	clock_test_set(clock_mono(), (walltime_t)1000000000 * 1000000);
	t.settings.submission_max_future_release = 86400000;
	say("EHLO c.test\r\n");
	assert_true(heard("250-FUTURERELEASE 86400 2001-09-10T01:46:40Z\r\n"));
	say("MAIL FROM:<ann@example.test> HOLDFOR=86401\r\n"
	    "MAIL FROM:<ann@example.test> HOLDUNTIL=2001-09-09T01:46:39Z\r\n"
	    "MAIL FROM:<ann@example.test> HOLDUNTIL=2001-09-10T01:46:41Z\r\n"
	    "MAIL FROM:<ann@example.test> HOLDFOR=60 BY=59;N\r\n");
	expect_line("501 5.5.4");
	expect_line("501 5.5.4");
	expect_line("501 5.5.4");
	expect_line("501 5.5.4");
	bob_gets("MAIL FROM:<ann@example.test> HOLDFOR=86400\r\n",
	    "From: ann@example.test\r\n");
	expect_line("250 2.0.0");
	assert_int_equal(t.release_at, 1000086400);
	bob_gets("MAIL FROM:<ann@example.test> "
	    "HOLDUNTIL=2001-09-09T03:46:41+01:00\r\n", "a: b\r\n");
	expect_line("250 2.0.0");
	assert_int_equal(t.release_at, 1000003601);
	t.settings.submission_max_future_release = 0;
	say("MAIL FROM:<ann@example.test> HOLDFOR=60\r\n");
	expect_line("555 5.5.4");
}

static void
test_priority(void **state)
{
	(void)state;
	hello(&smtp_service);
	bob_gets("MAIL FROM:<x@other.test> MT-PRIORITY=3\r\n", "a: b\r\n");
	expect_line("250 2.3.6");
	assert_int_equal(t.priority, 0);
	bob_gets("MAIL FROM:<x@other.test> MT-PRIORITY=-4\r\n", "a: b\r\n");
	expect_line("250 2.0.0");
	assert_int_equal(t.priority, -4);
	assert_true(body_has("\r\n\tPRIORITY -4;\r\n"));
	hang_up();
	log_in();
	bob_gets("MAIL FROM:<ann@example.test> MT-PRIORITY=9\r\n", "a: b\r\n");
	expect_line("250 2.0.0");
	assert_int_equal(t.priority, 9);
}

static void
test_tls_required(void **state)
{
	(void)state;
	hello(&smtp_service);
	say("MAIL FROM:<x@other.test> REQUIRETLS\r\n");
	expect_line("555 5.5.4");
	bob_gets("MAIL FROM:<x@other.test>\r\n", "TLS-Required: no\r\n");
	expect_line("250 2.0.0");
	assert_int_equal(t.flags, ENVELOPE_TLS_OPTIONAL);
	bob_gets("MAIL FROM:<x@other.test>\r\n", "TLS-Required: Yes\r\n");
	expect_line("250 2.0.0");
	assert_int_equal(t.flags, 0);
	bob_gets("MAIL FROM:<x@other.test>\r\n",
	    "TLS-Required: No\r\nTLS-Required: No\r\n");
	expect_line("250 2.0.0");
	assert_int_equal(t.flags, 0);
	bob_gets("MAIL FROM:<x@other.test>\r\n", "\r\nTLS-Required: No");
	expect_line("250 2.0.0");
	assert_int_equal(t.flags, 0);
}

static void
test_no_soliciting(void **state)
{
	(void)state;
	hello(&smtp_service);
	say("MAIL FROM:<x@other.test> SOLICIT=net.example:ADV\r\n");
	expect_line("555 5.5.4");
	set(t.settings.smtp_no_soliciting, "net.example:ADV,org.example:ADV");
	say("EHLO c.test\r\n");
	assert_true(heard("250-NO-SOLICITING "
	    "net.example:ADV,org.example:ADV\r\n"));
	say("MAIL FROM:<x@other.test> SOLICIT=org.x:A,net.example:adv\r\n");
	expect_line("550 5.7.1");
	bob_gets("MAIL FROM:<x@other.test> SOLICIT=org.x:A\r\n",
	    "Solicitation: org.example:ADV\r\n");
	expect_line("550 5.7.1");
	bob_gets("MAIL FROM:<x@other.test>\r\n",
	    "Solicitation: org.other:ADV\r\n");
	expect_line("250 2.0.0");
}

/* ---- recipients outside ------------------------------------------------- */

static void
test_outside(void **state)
{
	(void)state;
	log_in();
	say("MAIL FROM:<ann@example.test>\r\nRCPT TO:<x@other.test>\r\n"
	    "RCPT TO:<bounced@other.test>\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect("550 5.1.1 it bounced??250 lately\r\n");
	hang_up();
	/* What was said to her is not known of strangers. */
	hello(&smtp_service);
	say("MAIL FROM:<x@other.test>\r\nRCPT TO:<x@other.test>\r\n");
	expect_line("250 2.1.0");
	expect_line("550 5.7.1");
}

/* ---- questions ---------------------------------------------------------- */

static void
test_questions(void **state)
{
	(void)state;
	hello(&smtp_service);
	say("VRFY ann@example.test\r\nEXPN staff@example.test\r\n");
	expect_line("252 2.5.0");
	expect_line("502 5.5.1");
	assert_int_equal(t.asked.n, 0);
	set(t.settings.smtp_vrfy, "anyone");
	set(t.settings.smtp_expn, "anyone");
	say("VRFY <ann@example.test>\r\nEXPN staff@example.test\r\n"
	    "VRFY staff@example.test\r\nVRFY nobody@example.test\r\n"
	    "EXPN ann@example.test\r\nVRFY \r\nVRFY a b\r\n");
	expect("250 2.1.5 <ann@example.test>\r\n"
	    "250-2.1.5 <ann@example.test>\r\n250 2.1.5 <bob@example.test>\r\n"
	    "250 2.1.5 <staff@example.test>\r\n");
	expect_line("550 5.1.1");
	expect("250 2.1.5 <ann@example.test>\r\n");
	expect_line("501 5.5.4");
	expect_line("501 5.1.3");
	set(t.settings.default_domain, "example.test");
	say("EXPN staff\r\n");
	expect("250-2.1.5 <ann@example.test>\r\n"
	    "250 2.1.5 <bob@example.test>\r\n");
	set(t.settings.smtp_vrfy, "off");
	set(t.settings.smtp_expn, "accounts");
	hang_up();
	hello(&submission_service);
	say("EXPN staff@example.test\r\n");
	expect_line("530 5.7.0");
	hang_up();
	log_in();
	say("VRFY ann@example.test\r\nEXPN ann@example.test\r\n");
	expect_line("252 2.5.0");
	expect_line("250 2.1.5");
}

static void
test_turn(void **state)
{
	(void)state;
	stage_mx();
	hello(&smtp_service);
	say("ETRN backup.test\r\n");
	expect_line("502 5.5.1");
	set(t.settings.smtp_backup_domains, "backup.test");
	say("EHLO c.test\r\n");
	assert_true(heard("250-ETRN\r\n"));
	say("ETRN Backup.TEST\r\n");
	expect_line("251 2.0.0");
	assert_true(span_is(text_span(&t.asked), "backup.test"));
	t.waiting = 3;
	say("ETRN @backup.test\r\n");
	expect_line("253 2.0.0 3 messages");
	assert_true(span_is(text_span(&t.asked), "@backup.test"));
	say("ETRN other.test\r\nETRN #queue\r\nETRN a..b\r\nETRN\r\n"
	    "MAIL FROM:<x@other.test>\r\nETRN backup.test\r\n");
	expect_line("459 4.7.1");
	expect_line("459 4.7.1");
	expect_line("501 5.5.4");
	expect_line("501 5.5.4");
	expect_line("250 2.1.0");
	expect_line("503 5.5.1");
	t.settings.smtp_etrn = false;
	say("RSET\r\nETRN backup.test\r\n");
	expect_line("250 2.0.0");
	expect_line("502 5.5.1");
	hang_up();
	t.settings.smtp_etrn = true;
	hello(&submission_service);
	say("ETRN backup.test\r\n");
	expect_line("502 5.5.1");
}

/* ---- BURL --------------------------------------------------------------- */

static void
ann_to_bob(void)
{
	say("MAIL FROM:<ann@example.test>\r\nRCPT TO:<bob@example.test>\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
}

static void
test_url(void **state)
{
	(void)state;
	hello(&submission_service);
	say("EHLO c.test\r\n");
	assert_true(heard("250-BURL\r\n"));
	say("BURL imap://x/Drafts/;UID=3 LAST\r\n");
	expect_line("530 5.7.0");
	hang_up();
	log_in();
	say("EHLO c.test\r\n");
	assert_true(heard("250-BURL imap\r\n"));
	say("BURL imap://mail.example.test/Drafts/;UID=3 LAST\r\n");
	expect_line("503 5.5.1");
	ann_to_bob();
	say("BURL imap://ann%40example.test@mail.example.test/Drafts;"
	    "UIDVALIDITY=7/;UID=3 LAST\r\n");
	expect_line("250 2.0.0");
	assert_true(body_has("\r\n\r\nfrom the mailbox\r\n"));
	assert_true(body_has("Message-ID: "));
	/* Parts from here and from there. */
	ann_to_bob();
	say("BDAT 32\r\nFrom: ann@example.test\r\nX: y\r\n\r\n"
	    "BURL imap://ANN;AUTH=*@imap.example.test:143/Drafts/;UID=3\r\n"
	    "BDAT 6 LAST\r\nthere\n");
	expect_line("250 2.0.0");
	expect_line("250 2.0.0");
	expect_line("554 5.6.0");	/* that was a bare LF */
	ann_to_bob();
	say("BDAT 6\r\nX: y\r\nBURL imap://example.test/Drafts/;UID=3\r\n"
	    "DATA\r\nBDAT 0 LAST\r\n");
	expect_line("250 2.0.0");
	expect_line("250 2.0.0");
	expect_line("503 5.5.1");
	expect_line("250 2.0.0");
	assert_true(body_has("\r\nX: y\r\nFrom: ann@example.test\r\n"));
}

static void
test_url_refused(void **state)
{
	static const struct { const char *url, *reply; } rows[] = {
		{ "imap://mail.example.test/Drafts/;UID=4", "554 5.6.6" },
		{ "imap://mail.example.test/Drafts;UIDVALIDITY=9/;UID=3",
		    "554 5.6.6" },
		{ "imap://bob@mail.example.test/Drafts/;UID=3",
		    "554 5.7.14" },
		{ "imap://ann@evilexample.test/Drafts/;UID=3", "554 5.7.14" },
		{ "imap://ann@mail.example.test/Drafts/;UID=3;"
		    "URLAUTH=submit+ann", "501 5.5.4" },
		{ "imap://bob@mail.example.test/Other/;UID=3;"
		    "URLAUTH=submit+ann:internal:"
		    "91354a473744909de610943775f92038", "554 5.6.6" },
		{ "/Drafts/;UID=3", "501 5.5.4" },
		{ "imap://mail.example.test/Drafts", "501 5.5.4" },
		{ "http://mail.example.test/Drafts/;UID=3", "501 5.5.4" },
	};
	char line[300];

	(void)state;
	log_in();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ann_to_bob();
		snprintf(line, sizeof(line), "BURL %s LAST\r\nBDAT 0 LAST\r\n",
		    rows[i].url);
		say(line);
		expect_line(rows[i].reply);
		expect_line("503 5.5.1");
	}
	assert_int_equal(t.commits, 0);
}

/* ---- LMTP --------------------------------------------------------------- */

static void
test_lmtp(void **state)
{
	(void)state;
	dial(&lmtp_service);
	say("EHLO c.test\r\nHELO c.test\r\nMAIL FROM:<x@other.test>\r\n"
	    "LHLO c.test\r\n");
	expect_line("502 5.5.1");
	expect_line("502 5.5.1");
	expect_line("503 5.5.1");
	assert_true(heard("250-ENHANCEDSTATUSCODES\r\n"));
	say("MAIL FROM:<x@other.test>\r\nRCPT TO:<nobody@example.test>\r\n"
	    "DATA\r\nRCPT TO:<ann@example.test>\r\nRCPT TO:<x@other.test>\r\n"
	    "RCPT TO:<bob@example.test>\r\nRCPT TO:<ann@example.test>\r\n");
	expect_line("250 2.1.0");
	expect_line("550 5.1.1");
	expect_line("503 5.5.1");
	expect_line("250 2.1.5");
	expect_line("550 5.7.1");
	expect_line("250 2.1.5");
	expect_line("250 2.1.5");
	send_text("a: b\r\n");
	expect_line("250 2.0.0 <ann@example.test> Accepted as ");
	expect_line("250 2.0.0 <bob@example.test> Accepted as ");
	expect_line("250 2.0.0 <ann@example.test> Accepted as ");
	expect_nothing();
	assert_int_equal(t.commits, 1);
	assert_true(body_has(" with LMTP id "));
	say("MAIL FROM:<>\r\nRCPT TO:<ann@example.test>\r\n"
	    "RCPT TO:<bob@example.test>\r\nBDAT 3\r\na\nb\r\nBDAT 0 LAST\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("250 2.1.5");
	expect_line("250 2.0.0 Chunk");
	expect_line("500");
	expect_line("554 5.6.0");
	expect_line("554 5.6.0");
	expect_nothing();
	t.commit_result = RESULT_FULL;
	say("MAIL FROM:<>\r\nRCPT TO:<ann@example.test>\r\n"
	    "RCPT TO:<bob@example.test>\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("250 2.1.5");
	send_text("a: b\r\n");
	expect_line("452 4.3.1");
	expect_line("452 4.3.1");
	/* Not one error too many: a server in front has many. */
	t.settings.smtp_max_errors = 3;
	for (int i = 0; i < 10; i++) {
		say("RCPT TO:<ann@example.test>\r\n");
		expect_line("503 5.5.1");
	}
	say("QUIT\r\n");
	expect_line("221 2.0.0");
	expect_closed();
}

/* ---- XCLIENT ------------------------------------------------------------ */

static void
test_xclient(void **state)
{
	(void)state;
	hello(&smtp_service);
	say("XCLIENT ADDR=192.0.2.1\r\n");
	expect_line("502 5.5.1");
	hang_up();
	set(t.settings.smtp_xclient_from, "127.0.0.1");
	dial(&smtp_service);
	say("EHLO proxy.test\r\n");
	assert_true(heard("250-XCLIENT NAME ADDR PORT PROTO HELO DESTADDR "
	    "DESTPORT\r\n"));
	say("XCLIENT ADDR=192.0.2.1 LOGIN=ann\r\nXCLIENT ADDR=x\r\n"
	    "XCLIENT PORT=65536\r\nXCLIENT PROTO=HTTP\r\n"
	    "XCLIENT NAME=a+0Ab\r\nXCLIENT NAME=a(b\r\nXCLIENT NAME\r\n"
	    "MAIL FROM:<x@other.test>\r\nXCLIENT ADDR=192.0.2.1\r\n");
	for (int i = 0; i < 7; i++)
		expect_line("501 5.5.4");
	expect_line("250 2.1.0");
	expect_line("503 5.5.1");
	say("RSET\r\nXCLIENT NAME=c.other.test ADDR=192.0.2.1 PORT=2525 "
	    "PROTO=ESMTP HELO=first.test DESTADDR=IPV6:2001:db8::1 "
	    "DESTPORT=25\r\n");
	expect_line("250 2.0.0");
	expect("220 mail.example.test ESMTP Postrider\r\n");
	say("MAIL FROM:<x@other.test>\r\n");
	expect_line("503 5.5.1");
	say("EHLO proxy.test\r\n");
	heard("");
	bob_gets("MAIL FROM:<x@other.test>\r\n", "a: b\r\n");
	expect_line("250 2.0.0");
	assert_true(body_has(
	    "Received: from first.test (c.other.test [192.0.2.1])\r\n"));
	assert_true(span_find(text_span(&t.trace), SPAN("peer=192.0.2.1 "),
	    0) != SIZE_MAX);
	/* Once more: it is still the proxy who speaks. */
	say("XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::7 "
	    "HELO=[UNAVAILABLE]\r\n");
	expect("220 mail.example.test ESMTP Postrider\r\n");
	say("EHLO later.test\r\n");
	heard("");
	bob_gets("MAIL FROM:<x@other.test>\r\n", "a: b\r\n");
	expect_line("250 2.0.0");
	assert_true(body_has(
	    "Received: from later.test ([IPv6:2001:db8::7])\r\n"));
}

/* A login is forgotten with who made it. */
static void
test_xclient_login(void **state)
{
	(void)state;
	set(t.settings.smtp_xclient_from, "127.0.0.0/8");
	log_in();
	say("XCLIENT ADDR=192.0.2.1\r\n");
	expect_line("220 ");
	say("EHLO c.test\r\n");
	heard("");
	say("MAIL FROM:<ann@example.test>\r\n");
	expect_line("530 5.7.0");
}

/* ---- who speaks --------------------------------------------------------- */

static struct {
	const char *ptr;		/* of every address; NULL: none */
	const char *a;			/* of every name */
	bool silent;			/* nobody knows just now */
	int asked;
} dns;

static void
answer(void *arg, struct span name, uint32_t type, struct arena *arena,
    struct resolve_reply *out)
{
	struct text rdata = TEXT_INIT(300), rows = TEXT_INIT(1000);
	struct span rest, label;
	uint8_t address[4];

	(void)arg, (void)name;
	dns.asked++;
	*out = (struct resolve_reply){ .result = dns.silent ?
	    RESULT_TEMPORARY : RESULT_OK, .answers = BLOB_OF(SPAN_EMPTY) };
	if (type == DNS_PTR && dns.ptr != NULL) {
		for (rest = span_str(dns.ptr); rest.n > 0; ) {
			rest = span_cut(rest, '.', &label);
			text_char(&rdata, (char)label.n);
			text_add(&rdata, label);
		}
		text_char(&rdata, '\0');
	} else if (type == DNS_A && dns.a != NULL) {
		assert_int_equal(inet_pton(AF_INET, dns.a, address), 1);
		text_add(&rdata, span_of(address, 4));
	}
	if (rdata.n > 0)
		dns_answer_put(&rows, &(struct dns_answer){
		    .data = text_span(&rdata) });
	out->answers = BLOB_OF(arena_dup(arena, text_span(&rows)));
	text_free(&rdata);
	text_free(&rows);
}

static int
set_up_dns(void **state)
{
	memset(&dns, 0, sizeof(dns));
	set_up(state);
	set(t.settings.smtp_trusted, "");
	resolve_test(answer, NULL);
	stage_resolves();
	return 0;
}

static int
tear_down_dns(void **state)
{
	resolve_test(NULL, NULL);
	return tear_down(state);
}

/* Like dial(), but nothing may have been said yet. */
static void
come(void)
{
	connect_client(&smtp_service);
	listen_to_it();
}

static void
test_name(void **state)
{
	(void)state;
	dns.ptr = "Host.Other.test";
	dns.a = "127.0.0.1";
	hello(&smtp_service);
	bob_gets("MAIL FROM:<x@other.test>\r\n", "a: b\r\n");
	expect_line("250 2.0.0");
	assert_true(body_has("from client.example (host.other.test "
	    "[127.0.0.1])\r\n"));
	assert_int_equal(dns.asked, 2);
}

/* Who is doubted waits for the greeting; who does not wait is refused. */
static void
test_greeting(void **state)
{
	monotime_t now = clock_mono();

	(void)state;
	dns.ptr = "host.other.test";
	dns.a = "127.0.0.2";		/* leads elsewhere */
	clock_test_set(now, 0);
	come();
	expect_nothing();
	now.ms += t.settings.smtp_greet_delay + 1;
	clock_test_set(now, 0);
	expect("220 mail.example.test ESMTP Postrider\r\n");
	say("HELO c.test\r\n");
	expect_line("250 ");
	bob_gets("MAIL FROM:<x@other.test>\r\n", "a: b\r\n");
	expect_line("250 2.0.0");
	assert_true(body_has("from c.test ([127.0.0.1])\r\n"));
	hang_up();
	come();
	expect_nothing();
	say("HELO c.test\r\n");
	expect_nothing();		/* held back too */
	now.ms += t.settings.smtp_slow_down + 1;
	clock_test_set(now, 0);
	expect_line("554 5.5.1");
	expect_closed();
	hang_up();
	dns.silent = true;		/* nobody is doubted for that */
	come();
	expect("220 mail.example.test ESMTP Postrider\r\n");
	clock_test_clear();
}

static void
test_slow_down(void **state)
{
	monotime_t now = clock_mono();
	int64_t slow = t.settings.smtp_slow_down;

	(void)state;
	dns.ptr = "host.other.test";
	dns.a = "127.0.0.1";
	clock_test_set(now, 0);
	hello(&smtp_service);
	for (int i = 0; i < 4; i++) {
		say("NONSENSE\r\n");
		expect_line("500 5.5.2");
	}
	for (int i = 1; i < 4; i++) {
		say("NONSENSE\r\nNOOP\r\n");
		expect_nothing();
		now.ms += i * slow - 1;
		clock_test_set(now, 0);
		expect_nothing();
		now.ms += 2;
		clock_test_set(now, 0);
		expect_line("500 5.5.2");
		expect_line("250 2.0.0");
	}
	clock_test_clear();
}

static void
test_rates(void **state)
{
	monotime_t now = clock_mono();

	(void)state;
	dns.silent = true;
	clock_test_set(now, 0);
	t.settings.smtp_connections_per_minute = 2;
	t.settings.smtp_messages_per_minute = 2;
	t.settings.smtp_recipients_per_minute = 3;
	hello(&smtp_service);
	for (int i = 0; i < 2; i++) {
		bob_gets("MAIL FROM:<x@other.test>\r\n", "a: b\r\n");
		expect_line("250 2.0.0");
	}
	say("MAIL FROM:<x@other.test>\r\n");
	expect_line("450 4.7.1");
	now.ms += 30000;		/* one has come back */
	clock_test_set(now, 0);
	say("MAIL FROM:<x@other.test>\r\nRCPT TO:<ann@example.test>\r\n"
	    "RCPT TO:<bob@example.test>\r\nRCPT TO:<bob@example.test>\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("250 2.1.5");
	expect_line("450 4.7.1");
	hang_up();
	hello(&smtp_service);
	hang_up();
	hello(&smtp_service);
	hang_up();
	come();
	expect_line("421 4.7.0");
	expect_closed();
	hang_up();
	set(t.settings.smtp_trusted, "127.0.0.1");
	hello(&smtp_service);
	clock_test_clear();
}

static void
test_error_rate(void **state)
{
	(void)state;
	dns.silent = true;
	t.settings.smtp_errors_per_minute = 3;
	t.settings.smtp_slow_down = 0;
	hello(&smtp_service);
	say("MAIL FROM:<x@other.test>\r\nRCPT TO:<a@example.test>\r\n"
	    "RCPT TO:<b@example.test>\r\nRCPT TO:<c@example.test>\r\n"
	    "RCPT TO:<d@example.test>\r\n");
	expect_line("250 2.1.0");
	for (int i = 0; i < 4; i++)
		expect_line("550 5.1.1");
	expect_line("421 4.7.0");
	expect_closed();
	hang_up();
	come();
	expect_line("421 4.7.0");
	expect_closed();
}

static void
test_account_rate(void **state)
{
	(void)state;
	t.settings.submission_messages_per_minute = 1;
	log_in();
	bob_gets("MAIL FROM:<ann@example.test>\r\n", "a: b\r\n");
	expect_line("250 2.0.0");
	say("MAIL FROM:<ann@example.test>\r\n");
	expect_line("450 4.7.1");
}

int
main(void)
{
#define CONVERSATION(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define STRANGERS(f) \
	cmocka_unit_test_setup_teardown(f, set_up_dns, tear_down_dns)
	const struct CMUnitTest tests[] = {
		CONVERSATION(test_dsn),
		CONVERSATION(test_deliver_by),
		CONVERSATION(test_future_release),
		CONVERSATION(test_priority),
		CONVERSATION(test_tls_required),
		CONVERSATION(test_no_soliciting),
		CONVERSATION(test_outside),
		CONVERSATION(test_questions),
		CONVERSATION(test_turn),
		CONVERSATION(test_url),
		CONVERSATION(test_url_refused),
		CONVERSATION(test_lmtp),
		CONVERSATION(test_xclient),
		CONVERSATION(test_xclient_login),
		STRANGERS(test_name),
		STRANGERS(test_greeting),
		STRANGERS(test_slow_down),
		STRANGERS(test_rates),
		STRANGERS(test_error_rate),
		STRANGERS(test_account_rate),
	};

	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_FORMAT_TEXT,
	    "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

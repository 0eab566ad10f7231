/* test_smtp_command.c - command lines, right and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "ipc/contract.h"
#include "smtp/smtp_parameter.h"

static struct arena *arena;
static struct smtp_command c;

static enum smtp_fault
parse(const char *line)
{
	return smtp_parse(span_str(line), false, arena, &c);
}

static void
test_verbs(void **state)
{
	(void)state;
	assert_int_equal(parse("EHLO mail.example.test\r\n"), SMTP_FINE);
	assert_int_equal(c.verb, SMTP_EHLO);
	assert_true(span_is(c.argument, "mail.example.test"));
	assert_int_equal(parse("helo [192.0.2.1]\r\n"), SMTP_FINE);
	assert_int_equal(c.verb, SMTP_HELO);
	assert_int_equal(parse("EHLO [IPv6:2001:db8::1]\r\n"), SMTP_FINE);
	assert_int_equal(parse("EHLO\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(parse("EHLO a b\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(parse("EHLO a)(b\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(parse("DATA\r\n"), SMTP_FINE);
	assert_int_equal(parse("DATA  \r\n"), SMTP_FINE);
	assert_int_equal(parse("DATA now\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(c.verb, SMTP_DATA);
	assert_int_equal(parse("NOOP what ever\r\n"), SMTP_FINE);
	assert_int_equal(parse("RSET\r\n"), SMTP_FINE);
	assert_int_equal(parse("QUIT\r\n"), SMTP_FINE);
	assert_int_equal(parse("HELP MAIL\r\n"), SMTP_FINE);
	assert_int_equal(parse("VRFY ann\r\n"), SMTP_FINE);
	assert_int_equal(parse("VRFY ann SMTPUTF8\r\n"), SMTP_FINE);
	assert_true(c.utf8);
	assert_true(span_is(c.argument, "ann"));
	assert_int_equal(parse("VRFY\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(parse("XYZZY\r\n"), SMTP_UNKNOWN);
	assert_int_equal(parse("\r\n"), SMTP_UNKNOWN);
	assert_int_equal(parse("GET / HTTP/1.1\r\n"), SMTP_FINE);
	assert_int_equal(c.verb, SMTP_ALIEN);
}

static void
test_bytes(void **state)
{
	(void)state;
	assert_int_equal(parse("NOOP\n"), SMTP_BAD_BYTES);
	assert_int_equal(parse("NOOP"), SMTP_BAD_BYTES);
	assert_int_equal(parse("NOOP\rRSET\r\n"), SMTP_BAD_BYTES);
	assert_int_equal(parse("NOOP \001\r\n"), SMTP_BAD_BYTES);
	assert_int_equal(parse("NOOP \177\r\n"), SMTP_BAD_BYTES);
	assert_int_equal(smtp_parse(SPAN("NO\0OP\r\n"), false, arena, &c),
	    SMTP_BAD_BYTES);
	assert_int_equal(parse("NOOP \xff\r\n"), SMTP_BAD_SYNTAX);
}

static void
test_mail(void **state)
{
	(void)state;
	assert_int_equal(parse("MAIL FROM:<ann@Example.TEST>\r\n"), SMTP_FINE);
	assert_true(span_is(c.path.local, "ann"));
	assert_true(span_is(c.path.domain, "example.test"));
	assert_false(c.has_size);
	assert_int_equal(parse("mail from: <ann@example.test> \r\n"),
	    SMTP_FINE);
	assert_int_equal(parse("MAIL FROM:<>\r\n"), SMTP_FINE);
	assert_true(c.path.is_null);
	assert_int_equal(parse("MAIL FROM:<a@b.test> SIZE=1000 "
	    "BODY=8BITMIME SMTPUTF8 AUTH=<>\r\n"), SMTP_FINE);
	assert_true(c.has_size);
	assert_int_equal(c.size, 1000);
	assert_int_equal(c.body, SMTP_8BITMIME);
	assert_true(c.utf8);
	assert_int_equal(parse("MAIL FROM:<a@b.test> body=binarymime\r\n"),
	    SMTP_FINE);
	assert_int_equal(c.body, SMTP_BINARYMIME);
	assert_int_equal(parse("MAIL FROM:<a@b.test> "
	    "SIZE=99999999999999999999\r\n"), SMTP_FINE);
	assert_true(c.size == UINT64_MAX);
	assert_int_equal(parse("MAIL FROM:<a@b.test> AUTH=e+3Dmc2@b.test\r\n"),
	    SMTP_FINE);
}

static void
test_mail_refused(void **state)
{
	static const struct { const char *rest; enum smtp_fault fault; } t[] = {
		{ "",				SMTP_BAD_SENDER },
		{ " FROM",			SMTP_BAD_SENDER },
		{ " FROM:",			SMTP_BAD_SENDER },
		{ " FROM:a@b.test",		SMTP_BAD_SENDER },
		{ " FROM:<a@b.test",		SMTP_BAD_SENDER },
		{ " FROM:<ann>",		SMTP_BAD_SENDER },
		{ " FROM:<a@b.test>SIZE=1",	SMTP_BAD_SENDER },
		{ " TO:<a@b.test>",		SMTP_BAD_SENDER },
		{ " FROM:<a@b.test> SIZE",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> SIZE=",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> SIZE=-1",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> SIZE=1 SIZE=1", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> BODY=9BIT",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> SMTPUTF8=1", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> SMTPUTF8 SMTPUTF8", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> AUTH=+4",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> AUTH=a=b",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> XYZZY=1",	SMTP_BAD_PARAMETER },
		{ " FROM:<a@b.test> NOTIFY=NEVER", SMTP_BAD_PARAMETER },
		{ " FROM:<a@b.test> RET",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> RET=ALL",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> RET=FULL RET=HDRS", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> ENVID=",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> ENVID=a=b",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> ENVID=a+2b", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> ENVID=a+2",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> ENVID=a+0A", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> ENVID=a+80", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> BY=120",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> BY=;R",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> BY=0;R",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> BY=-1;R",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> BY=1;X",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> BY=1;NX",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> BY=1;NTT",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> BY=1234567890;N", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> HOLDFOR=0",	SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> HOLDFOR=-5", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> HOLDUNTIL=soon", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> HOLDFOR=5 "
		    "HOLDUNTIL=2026-11-21T10:00:00Z", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> MT-PRIORITY=10", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> MT-PRIORITY=+1", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> MT-PRIORITY=-0", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> MT-PRIORITY=-", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> REQUIRETLS=1", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> SOLICIT=a,,b", SMTP_BAD_VALUE },
		{ " FROM:<a@b.test> SOLICIT=1a", SMTP_BAD_VALUE },
		{ " FROM:<\xc3\xa4@b.test>",	SMTP_NEEDS_UTF8 },
		{ " FROM:<a@\xc3\xa4.test>",	SMTP_NEEDS_UTF8 },
	};
	char line[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		strcpy(line, "MAIL");
		strcat(strcat(line, t[i].rest), "\r\n");
		assert_int_equal(parse(line), t[i].fault);
		assert_int_equal(c.verb, SMTP_MAIL);
	}
	assert_int_equal(parse("MAIL FROM:<\xc3\xa4@b.test> SMTPUTF8\r\n"),
	    SMTP_FINE);
}

static void
test_mail_extensions(void **state)
{
	(void)state;
	assert_int_equal(parse("MAIL FROM:<a@b.test> RET=hdrs "
	    "ENVID=QQ+2B314+3D+20x\r\n"), SMTP_FINE);
	assert_int_equal(c.flags, ENVELOPE_RET_HDRS);
	assert_true(span_is(c.envid, "QQ+314= x"));
	assert_int_equal(c.given, SMTP_GIVEN_RET | SMTP_GIVEN_ENVID);
	assert_int_equal(parse("MAIL FROM:<> BY=-120;n\r\n"), SMTP_FINE);
	assert_int_equal(c.by, -120);
	assert_int_equal(c.flags, 0);
	assert_int_equal(parse("MAIL FROM:<> BY=+7;RT\r\n"), SMTP_FINE);
	assert_int_equal(c.by, 7);
	assert_int_equal(c.flags, ENVELOPE_BY_RETURN | ENVELOPE_BY_TRACE);
	assert_int_equal(parse("MAIL FROM:<> HOLDFOR=60\r\n"), SMTP_FINE);
	assert_int_equal(c.hold_for, 60);
	assert_int_equal(parse("MAIL FROM:<> "
	    "HOLDUNTIL=2026-11-21T11:00:00+01:00\r\n"), SMTP_FINE);
	assert_int_equal(c.hold_until, 1795255200);
	assert_int_equal(parse("MAIL FROM:<> MT-PRIORITY=-9\r\n"),
	    SMTP_FINE);
	assert_int_equal(c.priority, -9);
	assert_int_equal(parse("MAIL FROM:<> MT-PRIORITY=0 REQUIRETLS "
	    "SOLICIT=net.example:ADV,org.example:ADV:ADLT\r\n"), SMTP_FINE);
	assert_int_equal(c.flags, ENVELOPE_REQUIRETLS);
	assert_true(span_is(c.solicit, "net.example:ADV,org.example:ADV:ADLT"));
}

/* RFC 3461 4.4: 100 characters, as they are written. */
static void
test_long_envid(void **state)
{
	char line[300], id[102];

	(void)state;
	memset(id, 'a', sizeof(id));
	id[100] = '\0';
	snprintf(line, sizeof(line), "MAIL FROM:<> ENVID=%s\r\n", id);
	assert_int_equal(parse(line), SMTP_FINE);
	snprintf(line, sizeof(line), "MAIL FROM:<> ENVID=%sa\r\n", id);
	assert_int_equal(parse(line), SMTP_BAD_VALUE);
}

static void
test_rcpt_extensions(void **state)
{
	static const char *const bad[] = {
		"NOTIFY", "NOTIFY=", "NOTIFY=NEVER,DELAY", "NOTIFY=SOMETIMES",
		"NOTIFY=DELAY,", "NOTIFY=,DELAY", "NOTIFY=DELAY NOTIFY=DELAY",
		"ORCPT", "ORCPT=rfc822", "ORCPT=rfc822;", "ORCPT=;bob@c.test",
		"ORCPT=rfc822;b=b", "ORCPT=rf(c;b", "ORCPT=rfc822;b+0D+0A",
	};
	char line[200];

	(void)state;
	assert_int_equal(parse("RCPT TO:<bob@c.test> "
	    "NOTIFY=success,Failure,DELAY "
	    "ORCPT=rfc822;Bob+2Btag@c.test\r\n"), SMTP_FINE);
	assert_int_equal(c.notify, NOTIFY_SUCCESS | NOTIFY_FAILURE |
	    NOTIFY_DELAY);
	assert_true(span_is(c.original, "rfc822;Bob+tag@c.test"));
	assert_int_equal(parse("RCPT TO:<bob@c.test> NOTIFY=NEVER\r\n"),
	    SMTP_FINE);
	assert_int_equal(c.notify, NOTIFY_NEVER);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(line, sizeof(line), "RCPT TO:<bob@c.test> %s\r\n",
		    bad[i]);
		assert_int_equal(parse(line), SMTP_BAD_VALUE);
	}
	/* RFC 6533 3: as it is, under SMTPUTF8 alone. */
	assert_int_equal(parse("RCPT TO:<b@c.test> "
	    "ORCPT=utf-8;\xc3\xa4@c.test\r\n"), SMTP_BAD_VALUE);
	assert_int_equal(smtp_parse(SPAN("RCPT TO:<b@c.test> "
	    "ORCPT=utf-8;\xc3\xa4@c.test\r\n"), true, arena, &c),
	    SMTP_FINE);
	assert_true(span_is(c.original, "utf-8;\xc3\xa4@c.test"));
	assert_int_equal(parse("RCPT TO:<b@c.test> "
	    "ORCPT=utf-8;\\x{E4}@c.test\r\n"), SMTP_FINE);
}

static void
test_other_verbs(void **state)
{
	(void)state;
	assert_int_equal(parse("LHLO c.test\r\n"), SMTP_FINE);
	assert_int_equal(c.verb, SMTP_LHLO);
	assert_int_equal(parse("BURL imap://a@b/c;UID=1 LAST\r\n"), SMTP_FINE);
	assert_true(c.last && span_is(c.argument, "imap://a@b/c;UID=1"));
	assert_int_equal(parse("BURL x\r\n"), SMTP_FINE);
	assert_false(c.last);
	assert_int_equal(parse("BURL\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(parse("BURL x FIRST\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(parse("ETRN @example.org\r\n"), SMTP_FINE);
	assert_true(span_is(c.argument, "@example.org"));
	assert_int_equal(parse("ETRN\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(parse("ETRN a b\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(parse("XCLIENT ADDR=192.0.2.1 NAME=x\r\n"),
	    SMTP_FINE);
	assert_true(span_is(c.argument, "ADDR=192.0.2.1 NAME=x"));
	assert_int_equal(parse("XCLIENT\r\n"), SMTP_BAD_SYNTAX);
}

static void
test_solicitation(void **state)
{
	(void)state;
	assert_true(smtp_solicit_meets(SPAN("net.example:ADV , org.x:A"),
	    SPAN("org.X:a,com.y:B")));
	assert_false(smtp_solicit_meets(SPAN("net.example:ADV"),
	    SPAN("net.example:ADV:ADLT")));
	assert_false(smtp_solicit_meets(SPAN_EMPTY, SPAN("a")));
	assert_false(smtp_solicit_meets(SPAN(",,"), SPAN(",")));
}

static void
test_rcpt(void **state)
{
	(void)state;
	assert_int_equal(parse("RCPT TO:<bob@example.test>\r\n"), SMTP_FINE);
	assert_true(span_is(c.path.local, "bob"));
	assert_int_equal(parse("RCPT TO:<Postmaster>\r\n"), SMTP_FINE);
	assert_int_equal(c.path.domain.n, 0);
	assert_int_equal(parse("RCPT TO:<bob>\r\n"), SMTP_BAD_RECIPIENT);
	assert_int_equal(parse("RCPT TO:<>\r\n"), SMTP_BAD_RECIPIENT);
	assert_int_equal(parse("RCPT TO:<@a.test,@b.test:bob@c.test>\r\n"),
	    SMTP_FINE);
	assert_true(span_is(c.path.domain, "c.test"));
	assert_int_equal(parse("RCPT TO:<\"a b\"@c.test>\r\n"), SMTP_FINE);
	assert_true(span_is(c.path.local, "a b"));
	assert_int_equal(parse("RCPT TO:<bob@c.test> SIZE=1\r\n"),
	    SMTP_BAD_PARAMETER);
	assert_int_equal(parse("RCPT TO:<\xc3\xa4@c.test>\r\n"),
	    SMTP_NEEDS_UTF8);
	assert_int_equal(smtp_parse(SPAN("RCPT TO:<\xc3\xa4@c.test>\r\n"),
	    true, arena, &c), SMTP_FINE);
}

static void
test_bdat(void **state)
{
	(void)state;
	assert_int_equal(parse("BDAT 100\r\n"), SMTP_FINE);
	assert_int_equal(c.size, 100);
	assert_false(c.last);
	assert_int_equal(parse("BDAT 0 last\r\n"), SMTP_FINE);
	assert_true(c.last);
	assert_int_equal(parse("BDAT\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(parse("BDAT x LAST\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(parse("BDAT 1 LAST x\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(parse("BDAT -1\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(parse("BDAT 99999999999999999999\r\n"),
	    SMTP_BAD_SYNTAX);
}

static void
test_auth(void **state)
{
	(void)state;
	assert_int_equal(parse("AUTH PLAIN\r\n"), SMTP_FINE);
	assert_false(c.has_initial);
	assert_int_equal(parse("AUTH PLAIN AGEAYg==\r\n"), SMTP_FINE);
	assert_true(c.has_initial);
	assert_true(span_is(c.initial, "AGEAYg=="));
	assert_int_equal(parse("AUTH PLAIN =\r\n"), SMTP_FINE);
	assert_true(span_is(c.initial, "="));
	assert_int_equal(parse("AUTH\r\n"), SMTP_BAD_SYNTAX);
	assert_int_equal(parse("AUTH PLAIN a b\r\n"), SMTP_BAD_SYNTAX);
}

/* Every line cut anywhere is refused or parsed, and never read beyond. */
static void
test_cut(void **state)
{
	static const char *const lines[] = {
		"EHLO mail.example.test\r\n",
		"MAIL FROM:<ann@example.test> SIZE=1 BODY=7BIT AUTH=a+40b\r\n",
		"RCPT TO:<@a,@b:\"q\\\"u\"@[IPv6:2001:db8::1]>\r\n",
		"BDAT 12345 LAST\r\n", "AUTH SCRAM-SHA-256 biws\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		for (size_t n = 0; n < strlen(lines[i]); n++) {
			char *copy = malloc(n + 1);

			assert_non_null(copy);
			memcpy(copy, lines[i], n);
			assert_int_equal(smtp_parse(span_of(copy, n), true,
			    arena, &c), SMTP_BAD_BYTES);
			free(copy);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verbs),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_mail_refused),
		cmocka_unit_test(test_mail_extensions),
		cmocka_unit_test(test_long_envid),
		cmocka_unit_test(test_rcpt_extensions),
		cmocka_unit_test(test_other_verbs),
		cmocka_unit_test(test_solicitation),
		cmocka_unit_test(test_rcpt),
		cmocka_unit_test(test_bdat),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_cut),
	};
	int failed;

	arena = arena_new(1 << 20);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(&arena);
	return failed;
}

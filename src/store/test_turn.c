/* test_turn.c - domains we are backup MX of, and messages behind URLs. */
#include "store/turn.h"

#include <stdio.h>

#include "ipc/wire.h"
#include "store/test_store.h"

static struct fixture f;

static int
set_up(void **state)
{
	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "a.test");
	strcpy(f.settings.smtp_backup_domains,
	    "backup.test .deep.test x.backup.test");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fixture_close(&f);
	return 0;
}

static void
test_domains(void **state)
{
	(void)state;
	assert_true(backup_domain(&f.settings, SPAN("backup.test")));
	assert_true(backup_domain(&f.settings, SPAN("BACKUP.test")));
	assert_true(backup_domain(&f.settings, SPAN("a.deep.test")));
	assert_false(backup_domain(&f.settings, SPAN("deep.test")));
	assert_false(backup_domain(&f.settings, SPAN(".deep.test")));
	assert_false(backup_domain(&f.settings, SPAN("y.backup.test")));
	assert_false(backup_domain(&f.settings, SPAN("xbackup.test")));
	assert_false(backup_domain(&f.settings, SPAN_EMPTY));
}

static struct queue_turn_reply
turn(const char *domain)
{
	struct queue_turn_request request = { .domain = span_str(domain) };
	struct queue_turn_reply reply = { .waiting = 0 };

	verb_queue_turn(f.store, &from_mx, f.arena, &request, &reply);
	return reply;
}

static enum result
send(const char *to)
{
	struct token token = token_new();

	return send_mail(&f, "x@outside.test", to, &token, "a: b\r\n\r\n");
}

static void
test_turns(void **state)
{
	(void)state;
	assert_int_equal(turn("a.test").result, RESULT_NOT_LOCAL);
	assert_int_equal(turn("@deep").result, RESULT_NOT_LOCAL);
	assert_int_equal(turn("").result, RESULT_NOT_LOCAL);
	assert_int_equal(turn("@").result, RESULT_NOT_LOCAL);
	assert_int_equal(turn("backup.test").result, RESULT_OK);
	assert_int_equal(turn("backup.test").waiting, 0);
	assert_int_equal(send("one@backup.test"), RESULT_OK);
	assert_int_equal(send("two@backup.test three@x.backup.test"),
	    RESULT_OK);
	assert_int_equal(send("no@other.test"), RESULT_NOT_LOCAL);
	assert_int_equal(turn("backup.test").waiting, 2);
	assert_int_equal(turn("x.backup.test").waiting, 1);
	assert_int_equal(turn("@backup.test").waiting, 3);
	assert_int_equal(turn("@test").waiting, 3);
}

/* ---- URLs ----------------------------------------------------------------- */

static struct url_fetch_reply
fetch(const char *account, const char *mailbox, uint32_t uidvalidity,
    uint32_t uid)
{
	char url[200];
	struct url_fetch_request request = { .count = UINT64_MAX };
	struct url_fetch_reply reply = { .data = BLOB_OF(SPAN_EMPTY) };

	snprintf(url, sizeof(url), "imap://a.test/%s;UIDVALIDITY=%u/;UID=%u",
	    mailbox, uidvalidity, uid);
	if (uidvalidity == 0)
		snprintf(url, sizeof(url), "imap://a.test/%s/;UID=%u",
		    mailbox, uid);
	request.url = span_str(url);

	if (account != NULL)
		request.grant = grant_of(&f, account);
	verb_url_fetch(f.store, &from_access, f.arena, &request, &reply);
	return reply;
}

static uint32_t
inbox_validity(const char *account)
{
	struct mailbox_list_request request = {
	    .grant = grant_of(&f, account) };
	struct mailbox_list_reply reply = { .rows = BLOB_OF(SPAN_EMPTY) };
	struct mailbox_row row;
	struct cursor c;

	verb_mailbox_list(f.store, &from_access, f.arena, &request, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	c = (struct cursor){ reply.rows.bytes, false };
	while (mailbox_row_get(&c, &row) == 1)
		if (span_is(row.name, "INBOX"))
			return row.uidvalidity;
	fail();
	return 0;
}

static void
append(const char *account, const char *body)
{
	struct mailbox_list_request list = { .grant = grant_of(&f, account) };
	struct mailbox_list_reply mailboxes = { .rows = BLOB_OF(SPAN_EMPTY) };
	struct message_append_request request = { .grant = list.grant,
	    .token = token_new(), .internal_date = INT64_MIN,
	    .body = BLOB_OF(span_str(body)), .summary = BLOB_OF(SPAN_EMPTY) };
	struct message_append_reply reply;
	struct mailbox_row row;
	struct cursor c;

	verb_mailbox_list(f.store, &from_access, f.arena, &list, &mailboxes);
	c = (struct cursor){ mailboxes.rows.bytes, false };
	while (mailbox_row_get(&c, &row) == 1)
		if (span_is(row.name, "INBOX"))
			request.mailbox = row.mailbox;
	verb_message_append(f.store, &from_access, f.arena, &request, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	assert_int_equal(reply.uid, 1);
}

static void
test_urls(void **state)
{
	struct url_fetch_reply reply;
	uint32_t validity;

	(void)state;
	add_account(&f, "ann@a.test", "secret");
	add_account(&f, "bob@a.test", "secret");
	append("ann@a.test", "Subject: draft\r\n\r\nx\r\n");
	validity = inbox_validity("ann@a.test");
	reply = fetch("ann@a.test", "inbox", validity, 1);
	assert_int_equal(reply.result, RESULT_OK);
	assert_true(span_is(reply.data.bytes, "Subject: draft\r\n\r\nx\r\n"));
	assert_int_equal(fetch("ann@a.test", "INBOX", 0, 1).result, RESULT_OK);
	assert_int_equal(fetch("ann@a.test", "INBOX", validity + 1, 1).result,
	    RESULT_NOT_FOUND);
	assert_int_equal(fetch("ann@a.test", "INBOX", 0, 2).result,
	    RESULT_NOT_FOUND);
	assert_int_equal(fetch("ann@a.test", "Nowhere", 0, 1).result,
	    RESULT_NOT_FOUND);
	assert_int_equal(fetch("ann@a.test", "", 0, 1).result,
	    RESULT_INVALID);
	assert_int_equal(fetch("ann@a.test", "a%ff", 0, 1).result,
	    RESULT_INVALID);
	assert_int_equal(fetch("ann@a.test", "a//b", 0, 1).result,
	    RESULT_NOT_FOUND);
	assert_int_equal(fetch("bob@a.test", "INBOX", 0, 1).result,
	    RESULT_NOT_FOUND);
	assert_int_equal(fetch(NULL, "INBOX", 0, 1).result, RESULT_DENIED);
}

/* What is signed holds when the store begins anew, and ends with its mailbox. */
static void
test_signed_urls(void **state)
{
	struct url_sign_request sign = { .rump = SPAN(
	    "imap://ann@a.test/INBOX/;UID=1;URLAUTH=authuser") };
	struct url_sign_reply token = { 0 };
	struct url_fetch_request request = { .count = UINT64_MAX };
	struct url_fetch_reply reply = { .data = BLOB_OF(SPAN_EMPTY) };
	char url[300];

	(void)state;
	add_account(&f, "ann@a.test", "secret");
	add_account(&f, "bob@a.test", "secret");
	append("ann@a.test", "Subject: draft\r\n\r\nx\r\n");
	sign.grant = grant_of(&f, "ann@a.test");
	verb_url_sign(f.store, &from_access, f.arena, &sign, &token);
	assert_int_equal(token.result, RESULT_OK);
	snprintf(url, sizeof(url), "%.*s:internal:%.*s",
	    SPAN_ARG(sign.rump), SPAN_ARG(token.token));
	request.url = span_str(url);
	fixture_reopen(&f);
	request.grant = grant_of(&f, "bob@a.test");
	verb_url_fetch(f.store, &from_access, f.arena, &request, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	assert_true(span_is(reply.data.bytes, "Subject: draft\r\n\r\nx\r\n"));
	/* Pieces, clamped to what there is. */
	request.from = 9;
	request.count = 5;
	verb_url_fetch(f.store, &from_access, f.arena, &request, &reply);
	assert_true(span_is(reply.data.bytes, "draft"));
	assert_int_equal(reply.size, 21);
	request.from = UINT64_MAX;
	verb_url_fetch(f.store, &from_access, f.arena, &request, &reply);
	assert_int_equal(reply.data.bytes.n, 0);
	assert_int_equal(fetch("ann@a.test", "INBOX", 0, 1).result, RESULT_OK);
}

int
main(void)
{
#define OF_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		OF_STORE(test_domains),
		OF_STORE(test_turns),
		OF_STORE(test_urls),
		OF_STORE(test_signed_urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_smtp_client.c - conversations with servers of every kind.
 *
 * Most are over memory: what the server will say is given as a whole, what
 * the client said is compared byte for byte. Those where it matters who
 * speaks first, or who does not, are over a socket, with a server on a fiber.
 */
#include "smtp/smtp_client.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "ipc/contract.h"
#include "smtp/smtp_client_impl.h"

enum { RECIPIENTS_MAX = 200 };

#define ALL "250-PIPELINING\r\n250-CHUNKING\r\n250-8BITMIME\r\n"
#define PIPE "250-PIPELINING\r\n"
#define TEXT_ "Subject: x\r\n\r\n.hello\r\n"
#define DOTTED "Subject: x\r\n\r\n..hello\r\n.\r\n"
#define CHUNK "BDAT 22 LAST\r\n" TEXT_

/* -- the stage ---- */

struct stage {
	struct smtp_client *client;
	struct smtp_client_message m;
	struct smtp_client_recipient r[RECIPIENTS_MAX];
	struct text said;
	int status;
};

static struct stage t;

static void
clear(void)
{
	smtp_client_free(&t.client);
	arena_free(&t.m.arena);
	text_free(&t.said);
	memset(&t, 0, sizeof(t));
}

static int
tear_down(void **state)
{
	(void)state;
	clear();
	return 0;
}

static void
message(size_t recipients)
{
	static const char *const names[] = { "ann@b.test", "bob@b.test",
	    "cat@b.test" };

	t.m = (struct smtp_client_message){ .sender = SPAN("me@a.test"),
	    .head = SPAN("Subject: x\r\n\r"), .rest = SPAN("\n.hello\r\n"),
	    .recipients = t.r, .count = recipients,
	    .arena = arena_new(1 << 20) };
	for (size_t i = 0; i < recipients; i++)
		t.r[i].address = span_str(names[i % ARRAY_LEN(names)]);
}

/* A client before a server that will say all this, in pieces. */
static void
open_memory(const char *says, size_t piece, bool lmtp)
{
	t.client = smtp_client_new(stream_memory(span_str(says), piece), lmtp,
	    "me.test", &smtp_client_standard_times);
}

static const char *
said(void)
{
	text_clear(&t.said);
	text_add(&t.said, stream_memory_output(t.client->stream));
	text_char(&t.said, '\0');
	return t.said.p;
}

/* Answers one after the other: "250 550 -" (- none), "452l" later. */
static const char *
answers(void)
{
	static char out[RECIPIENTS_MAX * 6];
	char *to = out;

	for (size_t i = 0; i < t.m.count; i++)
		to += sprintf(to, "%s%u%s", i > 0 ? " " : "",
		    t.r[i].answer.code, t.r[i].sent ? "+" : "");
	return out;
}

/* -- transactions, as a table ---- */

struct transaction_row {
	const char *offers;	/* "" EHLO without any */
	bool lmtp;
	size_t recipients;
	const char *says;	/* after the greeting */
	const char *hears;	/* from us, after the greeting */
	int status;
	const char *answers;	/* codes; "+" it was sent */
	bool in_doubt;
};

#define MAIL "MAIL FROM:<me@a.test>\r\n"
#define ANN "RCPT TO:<ann@b.test>\r\n"
#define BOB "RCPT TO:<bob@b.test>\r\n"
#define CAT "RCPT TO:<cat@b.test>\r\n"
#define OK "250 ok\r\n"
#define NO "550 no\r\n"
#define GO "354 go\r\n"

static const struct transaction_row transactions[] = {
	/* One after the other. */
	{ "", false, 1, OK OK GO OK, MAIL ANN "DATA\r\n" DOTTED, 1, "250+",
	    false },
	{ "", false, 2, OK OK NO GO OK, MAIL ANN BOB "DATA\r\n" DOTTED, 1,
	    "250+ 550", false },
	{ "", false, 2, "451 x\r\n", MAIL, 1, "451 451", false },
	{ "", false, 2, NO, MAIL, 1, "550 550", false },
	{ "", false, 2, OK NO "450 x\r\n", MAIL ANN BOB, 1, "550 450", false },
	{ "", false, 1, OK OK "451 x\r\n", MAIL ANN "DATA\r\n", 1, "451",
	    false },
	{ "", false, 2, OK OK NO "554 x\r\n", MAIL ANN BOB "DATA\r\n", 1,
	    "554 550", false },
	{ "", false, 1, OK OK GO "452 x\r\n", MAIL ANN "DATA\r\n" DOTTED, 1,
	    "452", false },
	{ "", false, 1, OK OK GO "554 x\r\n", MAIL ANN "DATA\r\n" DOTTED, 1,
	    "554", false },
	/* It goes away: in every state. */
	{ "", false, 1, "", MAIL, -1, "0", false },
	{ "", false, 1, OK, MAIL ANN, -1, "0", false },
	{ "", false, 2, OK OK NO, MAIL ANN BOB "DATA\r\n", -1, "0 550",
	    false },
	{ "", false, 1, OK OK GO, MAIL ANN "DATA\r\n" DOTTED, -1, "0", true },
	{ "", false, 2, OK NO OK GO "25", MAIL ANN BOB "DATA\r\n" DOTTED, -1,
	    "550 0", true },
	{ "", false, 1, "421 bye\r\n", MAIL, -1, "421", false },
	{ "", false, 2, OK "421 bye\r\n", MAIL ANN, -1, "421 0", false },
	{ "", false, 1, OK OK "421 bye\r\n", MAIL ANN "DATA\r\n", -1, "421",
	    false },
	{ "", false, 1, OK OK GO "421 bye\r\n", MAIL ANN "DATA\r\n" DOTTED,
	    -1, "421", false },
	/* It makes no sense. */
	{ "", false, 1, "hello\r\n", MAIL, -1, "0", false },
	{ "", false, 1, OK OK OK, MAIL ANN "DATA\r\n", -1, "0", false },
	{ "", false, 1, OK OK "334 x\r\n", MAIL ANN "DATA\r\n", -1, "0",
	    false },
	{ "", false, 1, OK OK GO "what?\r\n", MAIL ANN "DATA\r\n" DOTTED, -1,
	    "0", true },
	{ "", false, 1, GO, MAIL, -1, "0", false },
	{ "", false, 2, OK NO GO, MAIL ANN BOB, -1, "550 0", false },
	{ "", false, 1, OK OK GO GO, MAIL ANN "DATA\r\n" DOTTED, -1, "0",
	    true },
	/* PIPELINING, DATA: RFC 2920 3.1. */
	{ PIPE, false, 2, OK OK OK GO OK, MAIL ANN BOB "DATA\r\n" DOTTED, 1,
	    "250+ 250+", false },
	{ PIPE, false, 2, OK NO OK GO NO, MAIL ANN BOB "DATA\r\n" DOTTED, 1,
	    "550 550", false },
	{ PIPE, false, 2, NO NO NO "503 x\r\n", MAIL ANN BOB "DATA\r\n", 1,
	    "550 550", false },
	{ PIPE, false, 2, OK NO "450 x\r\n" GO "554 none\r\n",
	    MAIL ANN BOB "DATA\r\n.\r\n", 1, "550 450", false },
	{ PIPE, false, 1, "451 x\r\n" NO GO "554 none\r\n",
	    MAIL ANN "DATA\r\n.\r\n", 1, "451", false },
	{ PIPE, false, 2, "451 x\r\n" OK OK GO, MAIL ANN BOB "DATA\r\n", -1,
	    "451 451", false },
	{ PIPE, false, 2, "451 x\r\n" OK OK "503 x\r\n",
	    MAIL ANN BOB "DATA\r\n", 1, "451 451", false },
	{ PIPE, false, 2, OK OK NO "451 x\r\n", MAIL ANN BOB "DATA\r\n", 1,
	    "451 550", false },
	{ PIPE, false, 1, OK OK, MAIL ANN "DATA\r\n", -1, "0", false },
	{ PIPE, false, 1, OK OK GO, MAIL ANN "DATA\r\n" DOTTED, -1, "0",
	    true },
	{ PIPE, false, 1, OK NO GO, MAIL ANN "DATA\r\n.\r\n", -1, "550",
	    false },
	/* CHUNKING: all in one flight. */
	{ ALL, false, 2, OK OK OK OK, MAIL ANN BOB CHUNK, 1, "250+ 250+",
	    false },
	{ ALL, false, 3, OK OK NO OK OK, MAIL ANN BOB CAT CHUNK, 1,
	    "250+ 550 250+", false },
	{ ALL, false, 2, OK OK OK "452 x\r\n", MAIL ANN BOB CHUNK, 1,
	    "452 452", false },
	{ ALL, false, 2, OK NO NO "503 x\r\n", MAIL ANN BOB CHUNK, 1,
	    "550 550", false },
	{ ALL, false, 1, "451 x\r\n503 x\r\n503 x\r\n", MAIL ANN CHUNK, 1,
	    "451", false },
	{ ALL, false, 1, "451 x\r\n" OK "503 x\r\n", MAIL ANN CHUNK, 1,
	    "451", false },
	{ ALL, false, 2, "", MAIL ANN BOB CHUNK, -1, "0 0", true },
	{ ALL, false, 2, OK NO, MAIL ANN BOB CHUNK, -1, "550 0", true },
	{ ALL, false, 2, OK NO NO, MAIL ANN BOB CHUNK, -1, "550 550", false },
	{ ALL, false, 1, "421 bye\r\n", MAIL ANN CHUNK, -1, "421", false },
	{ "250-CHUNKING\r\n", false, 2, OK OK NO OK, MAIL ANN BOB CHUNK, 1,
	    "250+ 550", false },
	{ "250-CHUNKING\r\n", false, 1, OK NO, MAIL ANN, 1, "550", false },
	/* LMTP: an answer for each who was accepted. */
	{ PIPE, true, 3, OK OK NO OK GO OK "452 full\r\n",
	    MAIL ANN BOB CAT "DATA\r\n" DOTTED, 1, "250+ 550 452", false },
	{ PIPE, true, 1, OK NO "503 x\r\n", MAIL ANN "DATA\r\n", 1, "550",
	    false },
	{ PIPE, true, 2, OK OK OK GO OK, MAIL ANN BOB "DATA\r\n" DOTTED, -1,
	    "250+ 0", true },
	{ PIPE, true, 2, OK OK OK GO OK "421 bye\r\n",
	    MAIL ANN BOB "DATA\r\n" DOTTED, -1, "250+ 421", false },
	{ "", true, 2, OK OK OK GO "554 x\r\n" OK,
	    MAIL ANN BOB "DATA\r\n" DOTTED, 1, "554 250+", false },
	{ ALL, true, 2, OK OK OK OK NO, MAIL ANN BOB CHUNK, 1, "250+ 550",
	    false },
	{ ALL, true, 2, OK NO NO "503 x\r\n", MAIL ANN BOB CHUNK, 1,
	    "550 550", false },
	{ ALL, true, 1, "451 x\r\n" OK OK, MAIL ANN CHUNK, -1, "451", false },
	/* Too many recipients, by LIMITS or by 452. */
	{ "250-LIMITS RCPTMAX=2\r\n", false, 3, OK OK OK GO OK,
	    MAIL ANN BOB "DATA\r\n" DOTTED, 1, "250+ 250+ 452", false },
	{ PIPE, false, 3, OK OK "452 4.5.3 many\r\n452 4.2.2 full\r\n" GO OK,
	    MAIL ANN BOB CAT "DATA\r\n" DOTTED, 1, "250+ 452 452", false },
	{ PIPE, false, 2, OK OK "552 many\r\n" GO OK,
	    MAIL ANN BOB "DATA\r\n" DOTTED, 1, "250+ 452", false },
	{ PIPE, false, 2, OK "552 full\r\n" OK GO OK,
	    MAIL ANN BOB "DATA\r\n" DOTTED, 1, "552 250+", false },
};

static void
run_row(const struct transaction_row *row, size_t piece)
{
	struct smtp_answer a;
	char says[2000], hears[2000];

	snprintf(says, sizeof(says), "220 hi\r\n250-hi\r\n%s250 HELP\r\n%s",
	    row->offers, row->says);
	snprintf(hears, sizeof(hears), "%s me.test\r\n%s",
	    row->lmtp ? "LHLO" : "EHLO", row->hears);
	open_memory(says, piece, row->lmtp);
	message(row->recipients);
	assert_int_equal(smtp_client_greet(t.client, &a), 1);
	t.status = smtp_client_send(t.client, &t.m);
	assert_string_equal(said(), hears);
	assert_int_equal(t.status, row->status);
	assert_string_equal(answers(), row->answers);
	assert_int_equal(t.m.in_doubt, row->in_doubt);
	assert_int_equal(smtp_client_why(t.client).n > 0, t.status == -1);
	clear();
}

static void
every_answer_in_every_state(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(transactions); i++) {
		for (size_t piece = 0; piece < 9; piece++)
			run_row(&transactions[i], piece);
	}
}

/* -- greetings ---- */

struct greeting_row {
	bool lmtp;
	const char *says, *hears;
	int status;
	unsigned code;
	unsigned offers;
};

static const struct greeting_row greetings[] = {
	{ false, "220 hi\r\n250-hi\r\n250-SIZE 1\r\n250 DSN\r\n",
	    "EHLO me.test\r\n", 1, 250, OFFERS_SIZE | OFFERS_DSN },
	{ false, "220-a\r\n220 b\r\n250 hi\r\n", "EHLO me.test\r\n", 1, 250,
	    0 },
	{ false, "220 hi\n250 hi\n", "EHLO me.test\r\n", 1, 250, 0 },
	{ false, "220 hi\r\n500 eh?\r\n250 hi\r\n",
	    "EHLO me.test\r\nHELO me.test\r\n", 1, 250, 0 },
	{ false, "220 hi\r\n502 eh?\r\n250-hi\r\n250 DSN\r\n",
	    "EHLO me.test\r\nHELO me.test\r\n", 1, 250, 0 },
	{ false, "220 hi\r\n550 you?\r\n550 go\r\n",
	    "EHLO me.test\r\nHELO me.test\r\n", 0, 550, 0 },
	{ false, "220 hi\r\n450 wait\r\n", "EHLO me.test\r\n", 0, 450, 0 },
	{ false, "554 no\r\n", "", 0, 554, 0 },
	{ false, "450 no\r\n", "", 0, 450, 0 },
	{ false, "421 no\r\n", "", -1, 421, 0 },
	{ false, "220 hi\r\n421 no\r\n", "EHLO me.test\r\n", -1, 421, 0 },
	{ false, "", "", -1, 0, 0 },
	{ false, "220 hi\r\n", "EHLO me.test\r\n", -1, 0, 0 },
	{ false, "220 hi\r\n250-hi\r\n", "EHLO me.test\r\n", -1, 0, 0 },
	{ false, "SSH-2.0-x\r\n", "", -1, 0, 0 },
	{ false, "220-a\r\n250 b\r\n", "", -1, 0, 0 },
	{ true, "220 hi\r\n250-hi\r\n250 PIPELINING\r\n", "LHLO me.test\r\n",
	    1, 250, OFFERS_PIPELINING },
	{ true, "220 hi\r\n500 eh?\r\n", "LHLO me.test\r\n", 0, 500, 0 },
};

static void
greetings_of_every_kind(void **state)
{
	const struct greeting_row *row;
	struct smtp_answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(greetings); i++) {
		for (size_t piece = 0; piece < 4; piece++) {
			row = &greetings[i];
			open_memory(row->says, piece, row->lmtp);
			assert_int_equal(smtp_client_greet(t.client, &a),
			    row->status);
			assert_string_equal(said(), row->hears);
			assert_int_equal(a.code, row->code);
			assert_int_equal(smtp_client_offers(t.client)->bits,
			    row->offers);
			assert_int_equal(smtp_client_why(t.client).n > 0,
			    row->status == -1);
			clear();
		}
	}
}

/* -- several transactions ---- */

static void
greet(const char *says)
{
	struct smtp_answer a;

	open_memory(says, 0, false);
	assert_int_equal(smtp_client_greet(t.client, &a), 1);
}

static void
what_was_left_half_way_is_reset(void **state)
{
	(void)state;
	greet("220 hi\r\n250-hi\r\n250 PIPELINING\r\n"
	    OK NO "503 x\r\n" OK OK OK GO OK OK OK GO OK);
	message(1);
	assert_int_equal(smtp_client_send(t.client, &t.m), 1);
	assert_string_equal(answers(), "550");
	assert_int_equal(smtp_client_send(t.client, &t.m), 1);
	assert_string_equal(answers(), "250+");
	assert_int_equal(smtp_client_send(t.client, &t.m), 1);
	assert_string_equal(answers(), "250+");
	assert_string_equal(said(), "EHLO me.test\r\n" MAIL ANN "DATA\r\n"
	    "RSET\r\n" MAIL ANN "DATA\r\n" DOTTED MAIL ANN "DATA\r\n" DOTTED);
}

static void
a_refused_chunk_is_reset(void **state)
{
	struct smtp_answer a;

	(void)state;
	greet("220 hi\r\n250-hi\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
	    OK OK NO OK OK OK OK OK);
	message(1);
	assert_int_equal(smtp_client_send(t.client, &t.m), 1);
	assert_string_equal(answers(), "550");
	assert_int_equal(smtp_client_rset(t.client, &a), 1);
	assert_int_equal(smtp_client_send(t.client, &t.m), 1);
	assert_string_equal(answers(), "250+");
	smtp_client_quit(t.client);
	assert_string_equal(said(), "EHLO me.test\r\n" MAIL ANN CHUNK
	    "RSET\r\n" MAIL ANN CHUNK "QUIT\r\n");
}

/* Answers that outlive the call are in the message's arena. */
static void
answers_last(void **state)
{
	struct text t1 = TEXT_INIT(0);

	(void)state;
	greet("220 hi\r\n250 hi\r\n" OK "550-5.1.1 no\r\n550 5.1.1 such\r\n"
	    "450 4.2.1 wait\r\n" OK);
	message(2);
	assert_int_equal(smtp_client_send(t.client, &t.m), 1);
	smtp_client_quit(t.client);
	smtp_answer_text(&t.r[0].answer, &t1);
	text_char(&t1, '|');
	smtp_answer_text(&t.r[1].answer, &t1);
	text_char(&t1, '\0');
	assert_string_equal(t1.p, "550 5.1.1 no such|450 4.2.1 wait");
	text_free(&t1);
}

/* -- many recipients, and the text ---- */

static void
no_more_than_so_many_commands_ahead(void **state)
{
	struct text says = TEXT_INIT(0);

	(void)state;
	text_str(&says, "220 hi\r\n250-hi\r\n250 PIPELINING\r\n" OK);
	for (int i = 0; i < RECIPIENTS_MAX; i++)
		text_str(&says, i % 2 == 0 ? OK : NO);
	text_str(&says, GO OK);
	text_char(&says, '\0');
	greet(says.p);
	message(RECIPIENTS_MAX);
	assert_int_equal(smtp_client_send(t.client, &t.m), 1);
	for (int i = 0; i < RECIPIENTS_MAX; i++)
		assert_int_equal(t.r[i].sent, i % 2 == 0);
	text_free(&says);
}

/* However the message is cut in two, dots and line ends come out the same. */
static void
dots_and_line_ends(void **state)
{
	static const struct {
		const char *text, *sent;
	} rows[] = {
		{ ".\r\n", "..\r\n.\r\n" },
		{ "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n" },
		{ "..a\r\n...\r\n", "...a\r\n....\r\n.\r\n" },
		{ "a.b\r\nc.\r\n", "a.b\r\nc.\r\n.\r\n" },
		{ "a", "a\r\n.\r\n" },
		{ "a\r", "a\r\n.\r\n" },
		{ "a\n.\nb", "a\r\n..\r\nb\r\n.\r\n" },
		{ "a\r\n\n.\r\n", "a\r\n\r\n..\r\n.\r\n" },
		{ "\r\n", "\r\n.\r\n" },
		{ "a\r\r\n.", "a\r\r\n..\r\n.\r\n" },
	};
	struct span text;
	const char *out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		text = span_str(rows[i].text);
		for (size_t cut = 0; cut <= text.n; cut++) {
			greet("220 hi\r\n250 hi\r\n" OK OK GO OK);
			message(1);
			t.m.head = span_sub(text, 0, cut);
			t.m.rest = span_from(text, cut);
			assert_int_equal(smtp_client_send(t.client, &t.m), 1);
			out = strstr(said(), "DATA\r\n");
			assert_non_null(out);
			assert_string_equal(out + 6, rows[i].sent);
			clear();
		}
	}
}

/* -- parameters ---- */

static void
parameters_of_every_extension(void **state)
{
	(void)state;
	greet("220 hi\r\n250-hi\r\n250-SIZE 0\r\n250-8BITMIME\r\n"
	    "250-SMTPUTF8\r\n250-DSN\r\n250-REQUIRETLS\r\n"
	    "250-DELIVERBY 60\r\n250 MT-PRIORITY MIXER\r\n"
	    OK OK OK OK GO OK);
	message(3);
	t.m.has_8bit = t.m.utf8 = t.m.require_tls = t.m.by_return = true;
	t.m.by_trace = true;
	t.m.ret = ENVELOPE_RET_HDRS;
	t.m.envid = SPAN("a+b=c d");
	t.m.deliver_by = 120;
	t.m.priority = -3;
	t.r[0].notify = NOTIFY_SUCCESS | NOTIFY_DELAY;
	t.r[0].original = SPAN("rfc822;Ann+x@b.test");
	t.r[1].notify = NOTIFY_NEVER;
	t.r[1].original = SPAN("bob@b.test");
	t.r[2].notify = NOTIFY_FAILURE;
	t.r[2].original = SPAN("utf-8;c\xc3\xa9=t@b.test");
	assert_int_equal(smtp_client_send(t.client, &t.m), 1);
	assert_string_equal(said(), "EHLO me.test\r\n"
	    "MAIL FROM:<me@a.test> SIZE=22 BODY=8BITMIME SMTPUTF8 RET=HDRS "
	    "ENVID=a+2Bb+3Dc+20d REQUIRETLS BY=120;RT MT-PRIORITY=-3\r\n"
	    "RCPT TO:<ann@b.test> NOTIFY=SUCCESS,DELAY "
	    "ORCPT=rfc822;Ann+2Bx@b.test\r\n"
	    "RCPT TO:<bob@b.test> NOTIFY=NEVER ORCPT=rfc822;bob@b.test\r\n"
	    "RCPT TO:<cat@b.test> NOTIFY=FAILURE "
	    "ORCPT=utf-8;c\xc3\xa9\\x{3D}t@b.test\r\n"
	    "DATA\r\n" DOTTED);
}

/* What is not offered is not said; UTF-8 in ORCPT has a form for that. */
static void
nothing_that_is_not_offered(void **state)
{
	struct smtp_offers all = { .bits = OFFERS_DSN };
	struct text out = TEXT_INIT(0);

	(void)state;
	greet("220 hi\r\n250 hi\r\n" OK OK GO OK);
	message(1);
	t.m.has_8bit = t.m.binary = t.m.utf8 = t.m.require_tls = true;
	t.m.ret = ENVELOPE_RET_FULL;
	t.m.envid = SPAN("x");
	t.m.deliver_by = 120;
	t.m.priority = 3;
	t.r[0].notify = NOTIFY_SUCCESS;
	t.r[0].original = SPAN("rfc822;x");
	assert_int_equal(smtp_client_send(t.client, &t.m), 1);
	assert_string_equal(said(), "EHLO me.test\r\n" MAIL ANN "DATA\r\n"
	    DOTTED);
	t.r[0].original = SPAN("rfc822;\xf0\x9f\x98\x80\xff@b.test");
	smtp_client_rcpt_parameters(&t.m, &t.r[0], &all, &out);
	text_char(&out, '\0');
	assert_string_equal(out.p,
	    " NOTIFY=SUCCESS ORCPT=utf-8;\\x{1F600}?@b.test");
	text_free(&out);
}

static void
no_command_is_smuggled_in(void **state)
{
	(void)state;
	greet("220 hi\r\n250-hi\r\n250 SIZE 21\r\n");
	message(2);
	t.r[1].address = SPAN("x>\r\nRCPT TO:<y");
	assert_int_equal(smtp_client_send(t.client, &t.m), 1);
	assert_string_equal(answers(), "553 553");
	t.r[1].address = SPAN("\xc3\xa9@b.test");
	assert_int_equal(smtp_client_send(t.client, &t.m), 1);
	assert_string_equal(answers(), "553 553");
	t.r[1].address = SPAN("x");
	assert_int_equal(smtp_client_send(t.client, &t.m), 1);
	assert_string_equal(answers(), "552 552");
	assert_string_equal(said(), "EHLO me.test\r\n");
}

/* -- over a socket ---- */

struct server {
	struct stream *stream;
	const char *greeting, *script;	/* what is said; see serve_script() */
	struct text heard;
	bool ended;
};

/* Read until it is all there, or the end. */
static bool
await(struct server *s, const char *until)
{
	struct span in;

	do {
		in = stream_input(s->stream);
		text_add(&s->heard, in);
		stream_take(s->stream, in.n);
		if (span_find(text_span(&s->heard), span_str(until), 0) !=
		    SIZE_MAX) {
			text_clear(&s->heard);
			return true;
		}
	} while (stream_fill(s->stream, MONOTIME_NEVER) == 1);
	return false;
}

/*
 * Rows of "what to wait for|what to say", each ended by a LF; END is that of
 * a text; "!" to say is to close at once, "-" to stay silent until the client
 * has gone.
 */
static void
serve_script(void *arg)
{
	struct server *s = arg;
	struct span rest = span_str(s->script), row, until, say;
	char word[100];

	while (rest.n > 0) {
		rest = span_cut(rest, '\n', &row);
		say = span_cut(row, '|', &until);
		snprintf(word, sizeof(word), "%.*s", SPAN_ARG(until));
		if (span_is(until, "END"))
			strcpy(word, "\r\n.\r\n");
		if (!await(s, word) || span_is(say, "!"))
			break;
		if (span_is(say, "-")) {
			while (stream_fill(s->stream, MONOTIME_NEVER) == 1)
				stream_discard_input(s->stream);
			break;
		}
		stream_write(s->stream, say);
		stream_str(s->stream, "\r\n");
		if (stream_flush(s->stream) == -1)
			break;
	}
	stream_free(&s->stream);
	text_free(&s->heard);
	s->ended = true;
}

static bool finished;

static void
client_main(void *arg)
{
	struct smtp_answer a;

	(void)arg;
	t.status = smtp_client_greet(t.client, &a);
	if (t.status == 1)
		t.status = smtp_client_send(t.client, &t.m);
	finished = true;
}

/* Run both; the clock stands still and is moved to every deadline. */
static void
run(const char *script, bool silent)
{
	struct server s = { .script = script, .heard = TEXT_INIT(0) };
	int64_t now = 1000;
	int pair[2];

	assert_int_equal(loop_open(), 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	s.stream = stream_socket(pair[0]);
	t.client = smtp_client_new(stream_socket(pair[1]), false, "me.test",
	    &smtp_client_standard_times);
	finished = false;
	clock_test_set((monotime_t){ now }, 0);
	fiber_start(serve_script, &s);
	fiber_start(client_main, NULL);
	for (int i = 0; i < 100000 && !finished; i++) {
		loop_turn(0);
		if (silent && i % 50 == 49)
			clock_test_set((monotime_t){ now += 60000 }, 0);
	}
	assert_true(finished);
	clock_test_clear();
	stream_free(&t.client->stream);
	for (int i = 0; i < 100000 && !s.ended; i++)
		loop_turn(0);
	assert_true(s.ended);
	t.client->stream = stream_memory(SPAN_EMPTY, 0);
	loop_close();
}

static void
big_message(size_t size)
{
	char *p = malloc(size);

	message(2);
	memset(p, 'x', size);
	for (size_t i = 70; i + 2 < size; i += 72)
		memcpy(p + i, "\r\n", 2);
	memcpy(p + size - 2, "\r\n", 2);
	t.m.rest = span_of(p, size);
}

static void
assert_why(const char *what)
{
	struct span why = smtp_client_why(t.client);

	if (span_find(why, span_str(what), 0) == SIZE_MAX)
		fail_msg("%.*s", SPAN_ARG(why));
}

#define TO_RCPT "|220 hi\nEHLO|250 hi\nMAIL|250 ok\nann|250 ok\nbob|250 ok\n"

static void
silence_in_every_state(void **state)
{
	static const struct {
		const char *script, *why;
		bool in_doubt;
	} rows[] = {
		{ "|-", "greeting", false },
		{ "|220 hi\nEHLO|-", "EHLO", false },
		{ "|220 hi\nEHLO|250 hi\nMAIL|-", "MAIL FROM", false },
		{ "|220 hi\nEHLO|250 hi\nMAIL|250 ok\nann|-", "RCPT TO",
		    false },
		{ TO_RCPT "DATA|-", "DATA", false },
		{ TO_RCPT "DATA|354 go\nEND|-", "end of the message",
		    true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		message(2);
		run(rows[i].script, true);
		assert_int_equal(t.status, -1);
		assert_why(rows[i].why);
		assert_why("no answer in time");
		assert_int_equal(t.m.in_doubt, rows[i].in_doubt);
		clear();
	}
}

/* Before the text is over the server says why not, and closes. */
static void
a_text_that_is_cut_off(void **state)
{
	static const struct {
		const char *script, *answers;
	} rows[] = {
		{ TO_RCPT "DATA|354 go\nxxx|552 5.3.4 big\nxxx|!",
		    "552 552" },
		{ TO_RCPT "DATA|354 go\nxxx|552 5.3.4 big\nxxx|-",
		    "552 552" },
		{ TO_RCPT "DATA|354 go\nxxx|421 bye\nxxx|!", "421 421" },
		{ TO_RCPT "DATA|354 go\nxxx|250 ok\nxxx|-", "0 0" },
		{ TO_RCPT "DATA|354 go\nxxx|!", "0 0" },
		{ "|220 hi\nEHLO|250-hi\n|250 CHUNKING\nMAIL|250 ok\n"
		    "ann|250 ok\nbob|550 no\nxxx|552 5.3.4 big\nxxx|!",
		    "552 550" },
	};
	struct span text;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		big_message(4 << 20);
		text = t.m.rest;
		run(rows[i].script, true);
		assert_int_equal(t.status, -1);
		assert_string_equal(answers(), rows[i].answers);
		assert_false(t.m.in_doubt);
		free((char *)(uintptr_t)text.p);
		clear();
	}
}

static void
a_long_text_arrives(void **state)
{
	struct span text;

	(void)state;
	big_message(3 << 20);
	text = t.m.rest;
	run(TO_RCPT "DATA|354 go\nEND|250 2.0.0 ok", false);
	assert_int_equal(t.status, 1);
	assert_string_equal(answers(), "250+ 250+");
	free((char *)(uintptr_t)text.p);
}

/* An idle connection is good until something is said on it. */
static void
idle(void **state)
{
	struct smtp_answer a;
	int pair[2];

	(void)state;
	assert_int_equal(loop_open(), 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	t.client = smtp_client_new(stream_socket(pair[1]), false, "me.test",
	    &smtp_client_standard_times);
	assert_int_equal(write(pair[0], "220 hi\r\n250 hi\r\n", 16), 16);
	assert_int_equal(smtp_client_greet(t.client, &a), 1);
	assert_true(smtp_client_idle_ok(t.client));
	assert_true(smtp_client_idle_ok(t.client));
	assert_int_equal(write(pair[0], "421 idle\r\n", 10), 10);
	assert_false(smtp_client_idle_ok(t.client));
	close(pair[0]);
	assert_false(smtp_client_idle_ok(t.client));
	clear();
	loop_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(greetings_of_every_kind, tear_down),
		cmocka_unit_test_teardown(every_answer_in_every_state,
		    tear_down),
		cmocka_unit_test_teardown(what_was_left_half_way_is_reset,
		    tear_down),
		cmocka_unit_test_teardown(a_refused_chunk_is_reset,
		    tear_down),
		cmocka_unit_test_teardown(answers_last, tear_down),
		cmocka_unit_test_teardown(no_more_than_so_many_commands_ahead,
		    tear_down),
		cmocka_unit_test_teardown(dots_and_line_ends, tear_down),
		cmocka_unit_test_teardown(parameters_of_every_extension,
		    tear_down),
		cmocka_unit_test_teardown(nothing_that_is_not_offered,
		    tear_down),
		cmocka_unit_test_teardown(no_command_is_smuggled_in,
		    tear_down),
		cmocka_unit_test_teardown(silence_in_every_state, tear_down),
		cmocka_unit_test_teardown(a_text_that_is_cut_off, tear_down),
		cmocka_unit_test_teardown(a_long_text_arrives, tear_down),
		cmocka_unit_test_teardown(idle, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * fuzz_client.c - a server that says anything at all to our client. The first
 * byte chooses between SMTP and LMTP, the text's length and the pieces it
 * comes in.
 */
#include "io/stream.h"
#include "smtp/smtp_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { RECIPIENTS = 3, MESSAGES = 3 };

static char long_text[70 << 10];

static void
check(const struct smtp_client_message *m, int status)
{
	const struct smtp_client_recipient *r;

	must(status == 1 || status == -1);
	must(status == -1 || !m->in_doubt);
	for (size_t i = 0; i < m->count; i++) {
		r = &m->recipients[i];
		must(r->sent == (r->answer.code / 100 == 2));
		must(status == -1 || r->answer.code != 0);
		must(r->answer.code / 100 != 3);
	}
}

static int
send_one(struct smtp_client *c, bool is_long)
{
	struct smtp_client_recipient r[RECIPIENTS] = {
		{ .address = SPAN("a@b.test") }, { .address = SPAN("c@b.test"),
		    .notify = 3, .original = SPAN("rfc822;x+y@b.test") },
		{ .address = SPAN("d@b.test") },
	};
	struct smtp_client_message m = { .sender = SPAN("me@a.test"),
		.head = SPAN("Subject: x\r\n\r\n"), .rest = SPAN(".\r\n"),
		.recipients = r, .count = RECIPIENTS, .has_8bit = true,
		.arena = arena_new(1 << 20) };
	int status;

	if (is_long)
		m.rest = span_of(long_text, sizeof(long_text));
	status = smtp_client_send(c, &m);
	check(&m, status);
	arena_free(&m.arena);
	return status;
}

static void
talk(struct smtp_client *c, bool is_long)
{
	struct smtp_answer a;
	int status = smtp_client_greet(c, &a);

	if (status == 1 && (smtp_client_offers(c)->bits & OFFERS_AUTH) != 0)
		status = smtp_client_login(c, SPAN("ann"), SPAN("secret"),
		    &a) == -1 ? -1 : 1;
	for (int i = 0; status == 1 && i < MESSAGES; i++)
		status = send_one(c, is_long);
	if (status == 1)
		smtp_client_quit(c);
	must(status != -1 || smtp_client_why(c).n > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct smtp_client *c;
	unsigned how;

	if (n == 0)
		return 0;
	how = data[0];
	memset(long_text, 'x', sizeof(long_text));
	c = smtp_client_new(stream_memory(span_of(data + 1, n - 1),
	    how >> 2 & 7), (how & 1) != 0, "me.test",
	    &smtp_client_standard_times);
	talk(c, (how & 2) != 0);
	smtp_client_free(&c);
	return 0;
}

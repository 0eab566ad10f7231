/*
 * test_smtp_stage.c - see test_smtp_stage.h.
 */
#include "mail/imap_url.h"
#include "smtp/test_smtp_stage.h"

#include <sys/socket.h>
#include <unistd.h>

#include "io/loop.h"
#include "ipc/serve.h"
#include "mail/summary.h"
#include "smtp/smtp_known.h"
#include "smtp/smtp_rate.h"

struct stage t;


/* ---- the store ------------------------------------------------------------- */

static void
recipient_check(void *arg, const struct caller *who, struct arena *arena,
    const struct recipient_check_request *in,
    struct recipient_check_reply *out)
{
	(void)arg, (void)who, (void)arena;
	out->same_for_all = in->grant.b[0] == 0;
	if (span_is(in->address, "bounced@other.test")) {
		out->result = RESULT_DENIED;
		out->why = SPAN("5.1.1 it bounced\r\n250 lately");
		return;
	}
	if (span_is(in->address, "ann@example.test") ||
	    span_is(in->address, "bob@example.test") ||
	    span_is_nocase(in->address, "postmaster"))
		out->result = RESULT_OK;
	else if (span_ends(in->address, SPAN("@example.test")))
		out->result = RESULT_NOT_FOUND;
	else
		out->result = in->grant.b[0] == 7 ? RESULT_OK :
		    RESULT_NOT_LOCAL;
}

static void
sender_check(void *arg, const struct caller *who, struct arena *arena,
    const struct sender_check_request *in, struct sender_check_reply *out)
{
	(void)arg, (void)who, (void)arena;
	out->result = in->grant.b[0] == 7 && (in->address.n == 0 ||
	    span_is(in->address, "ann@example.test")) ?
	    RESULT_OK : RESULT_DENIED;
}

static void
sasl_start(void *arg, const struct caller *who, struct arena *arena,
    const struct sasl_start_request *in, struct sasl_start_reply *out)
{
	(void)arg, (void)who, (void)arena;
	assert_int_equal(in->service, PROTOCOL_SUBMISSION);
	out->dialogue = 1;
	if (in->has_initial == 0) {
		out->result = RESULT_CONTINUE;
	} else if (span_eq(in->initial, SPAN("\0ann\0secret"))) {
		out->grant.b[0] = 7;
		out->login = SPAN("ann@example.test");
	} else {
		out->result = RESULT_DENIED;
	}
}

static void
sasl_step(void *arg, const struct caller *who, struct arena *arena,
    const struct sasl_step_request *in, struct sasl_step_reply *out)
{
	(void)arg, (void)who, (void)arena;
	out->result = RESULT_DENIED;
	if (span_eq(in->response, SPAN("\0ann\0secret"))) {
		out->result = RESULT_OK;
		out->grant.b[0] = 7;
		out->login = SPAN("ann@example.test");
	}
}

static void
sasl_abort(void *arg, const struct caller *who, struct arena *arena,
    const struct sasl_abort_request *in, struct sasl_abort_reply *out)
{
	(void)arg, (void)who, (void)arena, (void)in, (void)out;
}

static void
keep(struct text *to, struct span bytes)
{
	text_clear(to);
	text_add(to, bytes);
}

static void
queue_commit(void *arg, const struct caller *who, struct arena *arena,
    const struct queue_commit_request *in, struct queue_commit_reply *out)
{
	struct cursor c = { in->recipients.bytes, false };
	struct summary summary;
	struct recipient r;

	(void)arg, (void)who, (void)arena;
	out->result = t.commit_result;
	t.commits++;
	keep(&t.sender, in->sender);
	text_clear(&t.recipients);
	while (recipient_get(&c, &r) == 1) {
		if (t.recipients.n == 0) {
			keep(&t.original, r.original);
			t.notify = r.notify;
		}
		text_add(&t.recipients, r.address);
		text_char(&t.recipients, ' ');
	}
	assert_false(c.bad);
	keep(&t.body, in->body.bytes);
	keep(&t.trace, in->trace);
	keep(&t.message_id, in->message_id);
	t.flags = in->flags;
	t.prefix = in->prefix;
	t.thread = in->thread;
	keep(&t.envid, in->envid);
	t.deliver_by = in->deliver_by;
	t.release_at = in->release_at;
	t.priority = in->priority;
	assert_int_equal(summary_open(in->summary.bytes, in->body.bytes.n,
	    &summary), 1);
	t.summary_size = summary.size;
}

static void
address_expand(void *arg, const struct caller *who, struct arena *arena,
    const struct address_expand_request *in,
    struct address_expand_reply *out)
{
	(void)arg, (void)who, (void)arena;
	keep(&t.asked, in->address);
	if (span_is(in->address, "staff@example.test")) {
		out->result = RESULT_CONTINUE;
		out->names = SPAN("ann@example.test\nbob@example.test");
	} else if (!span_is(in->address, "ann@example.test")) {
		out->result = RESULT_NOT_FOUND;
	}
}

static void
queue_turn(void *arg, const struct caller *who, struct arena *arena,
    const struct queue_turn_request *in, struct queue_turn_reply *out)
{
	(void)arg, (void)who, (void)arena;
	keep(&t.asked, in->domain);
	out->waiting = t.waiting;
	if (!span_ends(in->domain, SPAN("backup.test")))
		out->result = RESULT_NOT_LOCAL;
}

static void
url_fetch(void *arg, const struct caller *who, struct arena *arena,
    const struct url_fetch_request *in, struct url_fetch_reply *out)
{
	const struct span draft = SPAN("From: ann@example.test\r\n"
	    "Subject: draft\r\n\r\nfrom the mailbox\r\n");
	struct imap_url url;

	(void)arg, (void)who;
	out->result = RESULT_NOT_FOUND;
	if (imap_url_parse(in->url, arena, &url) != 1 ||
	    in->grant.b[0] != 7 || !span_is(url.mailbox, "Drafts") ||
	    url.uid != 3 || url.uidvalidity >= 8)
		return;
	/* In small pieces, as if it were a large one. */
	out->result = RESULT_OK;
	out->size = draft.n;
	out->data = BLOB_OF(span_sub(draft, (size_t)in->from,
	    (size_t)MIN(in->count, 10)));
}

static const struct handlers handlers = {
	.address_expand = address_expand,
	.queue_turn = queue_turn,
	.url_fetch = url_fetch,
	.recipient_check = recipient_check,
	.sender_check = sender_check,
	.sasl_start = sasl_start,
	.sasl_step = sasl_step,
	.sasl_abort = sasl_abort,
	.queue_commit = queue_commit,
};

/* ---- the stage ----------------------------------------------------------------- */

static const struct settings *
settings_now(void *arg)
{
	(void)arg;
	return &t.settings;
}

void
turns(void)
{
	for (int i = 0; i < 12; i++)
		loop_turn(0);
}

void
connect_store(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(server_add(t.server, pair[1], t.self, 0), 1);
	link_attach(t.link, pair[0]);
	turns();
}

int
set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.client = -1;
	settings_default(&t.settings);
	t.settings.auth_require_tls = false;
	assert_int_equal(loop_open(), 1);
	t.server = server_new(STORE, &handlers, NULL);
	assert_int_equal(server_on_loop(t.server), 1);
	t.self = ACCESS;
	t.link = link_new(t.self, STORE);
	connect_store();
	smtp_know_nobody();
	smtp_rate_forget_all();
	smtp_setup(&(struct smtp_environment){ .store = t.link,
	    .hostname = "mail.example.test", .settings = settings_now });
	return 0;
}

void
stage_mx(void)
{
	t.self = MX;
	link_free(&t.link);
	t.link = link_new(t.self, STORE);
	connect_store();
	stage_resolves();
}

void
stage_resolves(void)
{
	smtp_setup(&(struct smtp_environment){ .store = t.link,
	    .resolves = true, .hostname = "mail.example.test",
	    .settings = settings_now });
}

void
hang_up(void)
{
	if (t.client >= 0)
		close(t.client);
	t.client = -1;
	turns();
	text_clear(&t.heard);
	t.closed = false;
}

int
tear_down(void **state)
{
	(void)state;
	hang_up();
	assert_int_equal(session_count(NULL), 0);
	link_free(&t.link);
	turns();
	server_free(&t.server);
	loop_close();
	clock_test_clear();
	text_free(&t.heard);
	text_free(&t.sender);
	text_free(&t.recipients);
	text_free(&t.body);
	text_free(&t.trace);
	text_free(&t.message_id);
	text_free(&t.envid);
	text_free(&t.original);
	text_free(&t.asked);
	return 0;
}

void
listen_to_it(void)
{
	char buffer[4096];
	ssize_t n;

	turns();
	while ((n = recv(t.client, buffer, sizeof(buffer),
	    MSG_DONTWAIT)) > 0)
		text_add(&t.heard, span_of(buffer, (size_t)n));
	t.closed = n == 0;
}

void
say_bytes(struct span s)
{
	while (s.n > 0) {
		ssize_t n = send(t.client, s.p, s.n,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			s = span_from(s, (size_t)n);
		else
			assert_int_equal(errno, EAGAIN);
		listen_to_it();
	}
}

void
say(const char *s)
{
	say_bytes(span_str(s));
}

void
expect(const char *s)
{
	struct span want = span_str(s), heard;

	listen_to_it();
	heard = text_span(&t.heard);
	if (!span_starts(heard, want))
		fail_msg("expected \"%s\", heard \"%.*s\"", s,
		    SPAN_ARG(heard));
	memmove(t.heard.p, t.heard.p + want.n, heard.n - want.n);
	t.heard.n -= want.n;
}

void
expect_line(const char *begin)
{
	struct span line;
	size_t end;

	expect(begin);
	end = span_find(text_span(&t.heard), SPAN("\r\n"), 0);
	assert_true(end != SIZE_MAX);
	line = span_sub(text_span(&t.heard), 0, end + 2);
	memmove(t.heard.p, t.heard.p + line.n, t.heard.n - line.n);
	t.heard.n -= line.n;
}

void
expect_nothing(void)
{
	listen_to_it();
	if (t.heard.n > 0)
		fail_msg("heard \"%.*s\"", SPAN_ARG(text_span(&t.heard)));
}

void
expect_closed(void)
{
	expect_nothing();
	assert_true(t.closed);
}

void
connect_client(const struct service *service)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    pair), 0);
	t.client = pair[1];
	t.options = (struct listener_options){ .service = service };
	assert_int_equal(session_start(&t.options, pair[0]), 1);
}

void
dial(const struct service *service)
{
	connect_client(service);
	expect(service == &lmtp_service ?
	    "220 mail.example.test LMTP Postrider\r\n" :
	    "220 mail.example.test ESMTP Postrider\r\n");
}

void
hello(const struct service *service)
{
	dial(service);
	say(service == &lmtp_service ? "LHLO client.example\r\n" :
	    "EHLO client.example\r\n");
	listen_to_it();
	assert_true(span_ends(text_span(&t.heard), SPAN("250 HELP\r\n")));
	text_clear(&t.heard);
}

void
log_in(void)
{
	hello(&submission_service);
	say("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n");
	expect_line("235 2.7.0");
}

bool
body_has(const char *s)
{
	return span_find(text_span(&t.body), span_str(s), 0) != SIZE_MAX;
}

void
begin_data(void)
{
	say("MAIL FROM:<x@other.test>\r\nRCPT TO:<ann@example.test>\r\n"
	    "DATA\r\n");
	expect_line("250 2.1.0");
	expect_line("250 2.1.5");
	expect_line("354 ");
}

bool
heard(const char *s)
{
	bool found;

	listen_to_it();
	found = span_find(text_span(&t.heard), span_str(s), 0) != SIZE_MAX;
	text_clear(&t.heard);
	return found;
}

void
stage_handlers(void)
{
	t.server = server_new(STORE, &handlers, NULL);
	assert_int_equal(server_on_loop(t.server), 1);
	connect_store();
}

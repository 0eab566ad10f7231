/*
 * test_relay_work.c - relay between a store and a server, both made here, on
 * one loop: what it is told, what it says, what it reports.
 */
#include "io/fiber.h"
#include "io/loop.h"
#include "io/stream.h"
#include "ipc/serve.h"
#include "ipc/wire.h"
#include "relay/relay.h"
#include "relay/relay_connect.h"
#include "relay/relay_idle.h"
#include "relay/relay_report.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { ENVELOPES_MAX = 64, OUTCOMES_MAX = 256, TURNS_MAX = 20000 };

static const char text[] = "From: <ann@example.org>\r\n\r\nhello\r\n";

/* ---- the store ----------------------------------------------------------- */

static struct {
	struct server *server;
	struct link *link;
	struct settings settings;
	/* Envelopes: records, and how far each is. */
	struct {
		struct token token;
		char destination[64];
		struct text record;
		bool leased, reported;
	} queue[ENVELOPES_MAX];
	size_t count;
	struct {
		uint32_t envelope, recipient, outcome;
		char reason[1000], answer[1000], details[1000];
	} outcomes[OUTCOMES_MAX];
	size_t outcome_count;
	enum destination_state state;
	size_t leases, reports, resumed, bodies;
	bool inline_bodies;
} store;

static void
on_lease(void *arg, const struct caller *who, struct arena *arena,
    const struct queue_lease_request *in, struct queue_lease_reply *out)
{
	struct text rows = TEXT_INIT(0);
	size_t n = 0;

	(void)arg;
	(void)who;
	for (size_t i = 0; i < store.count && n < in->count; i++) {
		struct lease_row row;

		if (store.queue[i].leased || (n > 0 &&
		    !span_is(out->destination, store.queue[i].destination)))
			continue;
		store.queue[i].leased = true;
		out->destination = span_str(store.queue[i].destination);
		row = (struct lease_row){ .token = store.queue[i].token,
		    .envelope = text_span(&store.queue[i].record) };
		if (store.inline_bodies)
			row.body = span_str(text);
		lease_row_put(&rows, &row);
		n++;
	}
	store.leases += n > 0;
	out->rows = BLOB_OF(arena_dup(arena, text_span(&rows)));
	text_free(&rows);
}

static void
on_body(void *arg, const struct caller *who, struct arena *arena,
    const struct queue_body_request *in, struct queue_body_reply *out)
{
	(void)arg;
	(void)who;
	(void)arena;
	(void)in;
	store.bodies++;
	out->body = BLOB_OF(span_str(text));
}

static size_t
envelope_of(const struct token *token)
{
	for (size_t i = 0; i < store.count; i++)
		if (memcmp(store.queue[i].token.b, token->b, 16) == 0)
			return i;
	fail_msg("%s", "a token that was never given");
	return 0;
}

static void
copy(char *to, struct span from)
{
	snprintf(to, 1000, "%.*s", SPAN_ARG(from));
}

static void
on_report(void *arg, const struct caller *who, struct arena *arena,
    const struct queue_report_request *in, struct queue_report_reply *out)
{
	struct cursor c = { in->outcomes.bytes, false };
	struct outcome_row row;
	struct token token;

	(void)arg;
	(void)who;
	(void)arena;
	(void)out;
	store.reports++;
	store.state = (enum destination_state)in->state;
	for (size_t at = 0; at < in->tokens.bytes.n; at += 16) {
		memcpy(token.b, in->tokens.bytes.p + at, 16);
		assert_false(store.queue[envelope_of(&token)].reported);
		store.queue[envelope_of(&token)].reported = true;
	}
	while (outcome_row_get(&c, &row) == 1) {
		assert_true(store.outcome_count < OUTCOMES_MAX);
		store.outcomes[store.outcome_count].envelope =
		    (uint32_t)envelope_of(&row.token);
		store.outcomes[store.outcome_count].recipient = row.recipient;
		store.outcomes[store.outcome_count].outcome = row.outcome;
		copy(store.outcomes[store.outcome_count].reason, row.reason);
		copy(store.outcomes[store.outcome_count].answer, row.answer);
		copy(store.outcomes[store.outcome_count++].details,
		    row.details);
	}
	assert_false(c.bad);
}

static void
on_resume(void *arg, const struct caller *who, struct arena *arena,
    const struct queue_resume_request *in, struct queue_resume_reply *out)
{
	(void)arg;
	(void)who;
	(void)arena;
	(void)out;
	store.resumed += 1 + 100 * (in->tokens.bytes.n / 16);
}

static const struct handlers handlers = {
	.queue_lease = on_lease, .queue_body = on_body,
	.queue_report = on_report, .queue_resume = on_resume,
};

static const struct settings *
settings(void *arg)
{
	(void)arg;
	return &store.settings;
}

static void
attach(void *arg)
{
	int ends[2];

	(void)arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    ends), 0);
	assert_int_equal(server_add(store.server, ends[0], RELAY, 0), 1);
	link_attach(store.link, ends[1]);
}

/* recipients: parted by blanks. */
static void
put(const char *destination, const char *recipients, uint32_t flags)
{
	struct envelope_recipient list[8];
	struct envelope e = { .size = sizeof(text) - 1, .flags = flags,
	    .sender = SPAN("ann@example.org"), .domain = SPAN("x.test"),
	    .recipients = list };
	struct span rest = span_str(recipients), word;

	while ((word = span_word(&rest)).n > 0)
		list[e.count++] = (struct envelope_recipient){
			.address = word };
	e.token = token_new();
	must(store.count < ENVELOPES_MAX);
	store.queue[store.count].token = e.token;
	snprintf(store.queue[store.count].destination, 64, "%s",
	    destination);
	store.queue[store.count].record = TEXT_INIT(0);
	store.queue[store.count].leased = false;
	store.queue[store.count].reported = false;
	envelope_encode(&e, &store.queue[store.count].record);
	store.count++;
}

static bool
all_reported(void)
{
	for (size_t i = 0; i < store.count; i++)
		if (!store.queue[i].reported)
			return false;
	return true;
}

/* ---- the server ---------------------------------------------------------- */

/* What it says in each state; NULL: the usual. "drop" and "stall" do that. */
static struct script {
	const char *greeting, *hello, *mail, *rcpt, *data, *dot;
	const char *second_rcpt;	/* for all but the first */
	const char *second_mail;	/* for all but the first there */
	const char *offers;		/* lines of EHLO: "250-...\r\n" */
	bool lmtp;
} script;

static struct {
	int fd;
	uint16_t port;
	struct watch watch;
	size_t connections, messages, quits;
	struct text heard;
} peer;

struct seat {
	struct stream *s;
	size_t mails, rcpts, accepted;
	bool open;			/* MAIL was accepted */
	bool over;
};

static void
say(struct seat *c, const char *own, const char *usual)
{
	const char *line = own != NULL ? own : usual;

	if (strcmp(line, "drop") == 0) {
		c->over = true;
	} else if (strcmp(line, "stall") == 0) {
		stream_flush(c->s);
		fiber_wait(clock_after(2000));
		c->over = true;
	} else {
		stream_printf(c->s, "%s\r\n", line);
	}
}

static bool
is_yes(const char *own)
{
	return own == NULL || own[0] == '2' || own[0] == '3';
}

static void
take_text(struct seat *c)
{
	struct span line;

	for (;;) {
		if (stream_line(c->s, &line, 4096, clock_after(5000)) != 1) {
			c->over = true;
			return;
		}
		if (span_is(line, ".\r\n"))
			break;
		stream_take(c->s, line.n);
	}
	stream_take(c->s, line.n);
	if (is_yes(script.dot))
		peer.messages++;
	for (size_t i = 0; i < (script.lmtp ? c->accepted : 1); i++)
		say(c, script.lmtp && i > 0 ? NULL : script.dot,
		    "250 2.0.0 taken");
}

static void
command(struct seat *c, struct span line)
{
	if (span_starts(line, SPAN("EHLO")) ||
	    span_starts(line, SPAN("LHLO"))) {
		if (script.hello == NULL)
			stream_printf(c->s, "250-peer\r\n%s",
			    script.offers != NULL ? script.offers : "");
		say(c, script.hello, "250 ENHANCEDSTATUSCODES");
	} else if (span_starts(line, SPAN("HELO"))) {
		say(c, script.hello, "250 peer");
	} else if (span_starts(line, SPAN("MAIL"))) {
		const char *own = c->mails++ == 0 ? script.mail :
		    script.second_mail;

		c->rcpts = c->accepted = 0;
		c->open = is_yes(own);
		say(c, own, "250 2.1.0 ok");
	} else if (span_starts(line, SPAN("RCPT")) && !c->open) {
		say(c, "503 5.5.1 MAIL first", NULL);
	} else if (span_starts(line, SPAN("RCPT"))) {
		const char *own = c->rcpts++ == 0 ? script.rcpt :
		    script.second_rcpt;

		c->accepted += is_yes(own);
		say(c, own, "250 2.1.5 ok");
	} else if (span_starts(line, SPAN("DATA"))) {
		say(c, c->accepted == 0 ? "503 5.5.1 nobody" : script.data,
		    "354 go on");
		if (c->accepted > 0 && is_yes(script.data) && !c->over) {
			stream_flush(c->s);
			take_text(c);
		}
	} else if (span_starts(line, SPAN("QUIT"))) {
		peer.quits++;
		say(c, "221 bye", NULL);
		c->over = true;
	} else {
		say(c, "250 ok", NULL);
	}
}

static void
seat(void *arg)
{
	struct seat c = { .s = arg };
	struct span line;

	say(&c, script.greeting, "220 peer");
	while (!c.over && stream_line(c.s, &line, 4096,
	    clock_after(5000)) == 1) {
		char copy_[512];
		size_t n = MIN(line.n, sizeof(copy_));

		memcpy(copy_, line.p, n);
		text_add(&peer.heard, line);
		stream_take(c.s, line.n);
		command(&c, span_of(copy_, n));
	}
	stream_flush(c.s);
	stream_free(&c.s);
}

static void
on_connection(struct watch *w, uint32_t events)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	peer.connections++;
	fiber_start(seat, stream_socket(fd));
}

/* ---- running ------------------------------------------------------------- */

static char destination[] = "here/";

static void
run(void)
{
	relay_ready();
	for (int i = 0; i < TURNS_MAX && !all_reported(); i++)
		loop_turn(10);
	assert_true(all_reported());
}

/* Close what is kept, forget what was sent. */
static int
begin(void **state)
{
	(void)state;
	for (int i = 0; i < TURNS_MAX && relay_connections() > 0; i++) {
		relay_idle_end_all();
		loop_turn(10);
	}
	assert_int_equal(relay_connections(), 0);
	for (size_t i = 0; i < store.count; i++)
		text_free(&store.queue[i].record);
	store.count = store.outcome_count = store.reports = store.leases = 0;
	store.bodies = 0;
	store.inline_bodies = true;
	peer.connections = peer.messages = peer.quits = 0;
	text_clear(&peer.heard);
	script = (struct script){ .greeting = NULL };
	return 0;
}

static bool
heard(const char *what)
{
	return span_find(text_span(&peer.heard), span_str(what), 0) !=
	    SIZE_MAX;
}

/* ---- the tests ----------------------------------------------------------- */

static void
a_message_goes_out(void **state)
{
	(void)state;
	put(destination, "bob@x.test", 0);
	run();
	assert_int_equal(peer.messages, 1);
	assert_int_equal(store.outcome_count, 1);
	assert_int_equal(store.outcomes[0].outcome, RELAY_SENT_SILENT);
	assert_string_equal(store.outcomes[0].reason, "");
	assert_string_equal(store.outcomes[0].answer, "250 2.0.0 taken");
	assert_int_equal(store.state, DESTINATION_FINE);
	assert_true(heard("MAIL FROM:<ann@example.org>"));
	assert_true(heard("RCPT TO:<bob@x.test>"));
}

static void
a_connection_serves_many(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		put(destination, "bob@x.test", 0);
	run();
	assert_int_equal(peer.messages, 20);
	assert_true(peer.connections < 20);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(store.outcomes[i].outcome,
		    RELAY_SENT_SILENT);
}

static void
a_large_message_is_asked_for(void **state)
{
	(void)state;
	store.inline_bodies = false;
	put(destination, "bob@x.test", 0);
	run();
	assert_int_equal(store.bodies, 1);
	assert_int_equal(peer.messages, 1);
}

static void
dsn_is_told_on(void **state)
{
	(void)state;
	script.offers = "250-DSN\r\n";
	put(destination, "bob@x.test", 0);
	run();
	assert_int_equal(store.outcomes[0].outcome, RELAY_SENT);
}

/* Every state, every way to fail there: what the recipient is told, and what
 * the destination is held to be. */
static void
a_server_says_no(void **state)
{
	static const struct {
		struct script script;
		enum relay_outcome outcome;
		const char *code;
		enum destination_state state;
	} table[] = {
		{ { .greeting = "421 4.3.2 busy" }, RELAY_DEFERRED, "4.3.2",
		    DESTINATION_BUSY },
		{ { .greeting = "450 no" }, RELAY_DEFERRED, "4.0.0",
		    DESTINATION_BUSY },
		{ { .greeting = "554 5.7.1 no" }, RELAY_FAILED, "5.7.1",
		    DESTINATION_UNSURE },
		{ { .greeting = "521 no mail" }, RELAY_FAILED, "5.3.2",
		    DESTINATION_UNSURE },
		{ { .greeting = "drop" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_DOWN },
		{ { .greeting = "stall" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_DOWN },
		{ { .greeting = "rubbish" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_DOWN },
		{ { .hello = "421 4.3.2 busy" }, RELAY_DEFERRED, "4.3.2",
		    DESTINATION_BUSY },
		{ { .hello = "drop" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_DOWN },
		{ { .hello = "stall" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_DOWN },
		{ { .mail = "451 4.7.1 later" }, RELAY_DEFERRED, "4.7.1",
		    DESTINATION_UNSURE },
		{ { .mail = "550 5.1.8 no" }, RELAY_FAILED, "5.1.8",
		    DESTINATION_UNSURE },
		{ { .mail = "421 4.3.2 bye" }, RELAY_DEFERRED, "4.3.2",
		    DESTINATION_BUSY },
		{ { .mail = "drop" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_BUSY },
		{ { .mail = "stall" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_BUSY },
		{ { .rcpt = "450 4.2.1 later" }, RELAY_DEFERRED, "4.2.1",
		    DESTINATION_UNSURE },
		{ { .rcpt = "550 5.1.1 nobody" }, RELAY_FAILED, "5.1.1",
		    DESTINATION_UNSURE },
		{ { .rcpt = "550 nobody" }, RELAY_FAILED, "5.0.0",
		    DESTINATION_UNSURE },
		/* Its own code does not go with its answer. */
		{ { .rcpt = "550 4.1.1 nobody" }, RELAY_FAILED, "5.0.0",
		    DESTINATION_UNSURE },
		{ { .rcpt = "drop" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_BUSY },
		{ { .rcpt = "stall" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_BUSY },
		{ { .data = "451 4.3.0 later" }, RELAY_DEFERRED, "4.3.0",
		    DESTINATION_UNSURE },
		{ { .data = "554 5.6.0 no" }, RELAY_FAILED, "5.6.0",
		    DESTINATION_UNSURE },
		{ { .data = "drop" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_BUSY },
		{ { .data = "stall" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_BUSY },
		{ { .dot = "452 4.3.1 full" }, RELAY_DEFERRED, "4.3.1",
		    DESTINATION_UNSURE },
		{ { .dot = "550 5.7.1 spam" }, RELAY_FAILED, "5.7.1",
		    DESTINATION_UNSURE },
		{ { .dot = "drop" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_BUSY },
		{ { .dot = "stall" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_BUSY },
		{ { .dot = "rubbish" }, RELAY_DEFERRED, "4.4.2",
		    DESTINATION_BUSY },
	};

	for (int pipelining = 0; pipelining < 2; pipelining++) {
		for (size_t i = 0; i < ARRAY_LEN(table); i++) {
			begin(state);
			script = table[i].script;
			if (pipelining == 1)
				script.offers = "250-PIPELINING\r\n";
			put(destination, "bob@x.test", 0);
			run();
			if (store.outcome_count != 1 ||
			    store.outcomes[0].outcome != table[i].outcome ||
			    strncmp(store.outcomes[0].reason, table[i].code,
			    5) != 0 || store.state != table[i].state)
				fail_msg("row %zu: outcome %u, state %d, %s",
				    i, store.outcomes[0].outcome,
				    (int)store.state,
				    store.outcomes[0].reason);
		}
	}
}

static void
recipients_have_each_their_answer(void **state)
{
	(void)state;
	script.second_rcpt = "550 5.1.1 nobody";
	put(destination, "bob@x.test eve@x.test", 0);
	run();
	assert_int_equal(store.outcome_count, 2);
	assert_int_equal(store.outcomes[0].outcome, RELAY_SENT_SILENT);
	assert_int_equal(store.outcomes[1].outcome, RELAY_FAILED);
	assert_int_equal(store.outcomes[1].recipient, 1);
	assert_int_equal(store.state, DESTINATION_FINE);
}

/* RFC 5321 4.5.3.1.10. */
static void
too_many_recipients_come_again_at_once(void **state)
{
	(void)state;
	script.second_rcpt = "452 4.5.3 too many";
	put(destination, "a@x.test b@x.test c@x.test", 0);
	run();
	assert_int_equal(store.outcome_count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(store.outcomes[i].outcome,
		    RELAY_SENT_SILENT);
	assert_int_equal(peer.messages, 3);
}

/* The server closes after each message without a word: the next one finds
 * that out, and is sent over another connection, unharmed. */
static void
a_connection_that_ended_is_replaced(void **state)
{
	(void)state;
	script.second_mail = "drop";
	for (int i = 0; i < 5; i++)
		put(destination, "bob@x.test", 0);
	run();
	assert_int_equal(peer.messages, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(store.outcomes[i].outcome,
		    RELAY_SENT_SILENT);
	begin(state);
	script.second_mail = "421 4.7.0 enough for one connection";
	for (int i = 0; i < 5; i++)
		put(destination, "bob@x.test", 0);
	run();
	assert_int_equal(peer.messages, 5);
}

/* One tells of it; the others wait without having been tried. */
static void
no_connection_costs_one_attempt(void **state)
{
	size_t deferred = 0, untried = 0;

	(void)state;
	for (int i = 0; i < 2; i++)
		put("nowhere/", "bob@x.test", 0);
	run();
	for (size_t i = 0; i < store.outcome_count; i++) {
		deferred += store.outcomes[i].outcome == RELAY_DEFERRED;
		untried += store.outcomes[i].outcome == RELAY_UNTRIED;
	}
	assert_int_equal(deferred, 1);
	assert_int_equal(untried, 1);
	assert_int_equal(store.state, DESTINATION_DOWN);
}

static void
a_refused_route_returns_all(void **state)
{
	(void)state;
	put("never/x.test", "bob@x.test", 0);
	put("never/x.test", "eve@x.test", 0);
	run();
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(store.outcomes[i].outcome, RELAY_FAILED);
		assert_string_equal(store.outcomes[i].reason,
		    "5.7.1 not to them");
	}
}

static void
lmtp_answers_for_each(void **state)
{
	(void)state;
	script.lmtp = true;
	script.dot = "552 5.2.2 full";
	put("local/", "bob@x.test eve@x.test", 0);
	run();
	assert_true(heard("LHLO "));
	assert_int_equal(store.outcomes[0].outcome, RELAY_FAILED);
	assert_int_equal(store.outcomes[1].outcome, RELAY_SENT_SILENT);
}

static void
what_the_server_lacks(void **state)
{
	(void)state;
	script.offers = "250-SIZE 20\r\n";
	put(destination, "bob@x.test", 0);
	run();
	assert_memory_equal(store.outcomes[0].reason, "5.3.4", 5);
	begin(state);
	put(destination, "b\xc3\xbc\x62@x.test", ENVELOPE_SMTPUTF8);
	run();
	assert_memory_equal(store.outcomes[0].reason, "5.6.7", 5);
	begin(state);	/* ASCII after all */
	put(destination, "bob@x.test", ENVELOPE_SMTPUTF8);
	run();
	assert_int_equal(store.outcomes[0].outcome, RELAY_SENT_SILENT);
}

/* The store comes back while a message is on its way: it is told which. */
static void
the_store_comes_back(void **state)
{
	(void)state;
	script.dot = "stall";
	put(destination, "bob@x.test", 0);
	relay_ready();
	for (int i = 0; i < 20; i++)
		loop_turn(5);
	store.resumed = 0;
	attach(NULL);
	for (int i = 0; i < TURNS_MAX && store.resumed == 0; i++)
		loop_turn(5);
	assert_int_equal(store.resumed, 101);
	run();
	assert_int_equal(store.outcomes[0].outcome, RELAY_DEFERRED);
}

static void
a_connection_is_left_in_good_order(void **state)
{
	(void)state;
	put(destination, "bob@x.test", 0);
	run();
	for (int i = 0; i < 20 && relay_idle_count() == 0; i++)
		loop_turn(5);
	assert_int_equal(relay_idle_count(), 1);
	begin(state);
	assert_int_equal(relay_connections(), 0);
}

/* ---- the surroundings ---------------------------------------------------- */

static void
open_peer(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);

	peer.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(bind(peer.fd, (const struct sockaddr *)&a, n) == 0 &&
	    listen(peer.fd, 64) == 0 &&
	    getsockname(peer.fd, (struct sockaddr *)&a, &n) == 0);
	peer.port = ntohs(a.sin_port);
	peer.heard = TEXT_INIT(0);
	peer.watch = (struct watch){ .fd = peer.fd, .fn = on_connection };
	must(watch_set(&peer.watch, EPOLLIN) == 1);
}

static void
make_routes(void)
{
	struct text file = TEXT_INIT(0), why = TEXT_INIT(1000);
	struct text encoded = TEXT_INIT(0);
	struct routes *routes;

	text_printf(&file, "route { here { via = \"smtp:[127.0.0.1]:%u\"; }\n"
	    "local { via = \"lmtp:[127.0.0.1]:%u\"; }\n"
	    "nowhere { via = \"smtp:[127.0.0.1]:1\"; }\n"
	    "never { via = \"refuse:not to them\"; } }\n", peer.port,
	    peer.port);
	routes = routes_parse(text_span(&file), &why);
	if (routes == NULL)
		fail_msg("%.*s", SPAN_ARG(text_span(&why)));
	routes_encode(routes, true, &encoded);
	relay_take_routes(text_span(&encoded));
	routes_free(&routes);
	text_free(&file);
	text_free(&encoded);
	text_free(&why);
}

static int
setup(void **state)
{
	struct relay_environment around = { .settings = settings };

	(void)state;
	must(loop_open() == 1);
	settings_default(&store.settings);
	snprintf(store.settings.hostname, 32, "mail.example.org");
	store.settings.relay_command_timeout = 300;
	store.settings.relay_data_timeout = 300;
	store.settings.relay_connect_timeout = 1000;
	store.link = link_new(RELAY, STORE);
	store.server = server_new(STORE, &handlers, NULL);
	must(server_on_loop(store.server) == 1);
	around.store = store.link;
	relay_setup(&around);
	relay_take_authorities(SPAN_EMPTY);
	open_peer();
	make_routes();
	link_on_attach(store.link, (void (*)(void *))relay_store_attached,
	    NULL);
	attach(NULL);
	relay_start();
	for (int i = 0; i < 50 && store.resumed == 0; i++)
		loop_turn(5);
	return store.resumed > 0 ? 0 : -1;
}

static void
set_true(void *arg)
{
	*(bool *)arg = true;
}

/* A graceful stop: nobody is left, and nothing is held. */
static int
teardown(void **state)
{
	bool stopped = false;

	begin(state);
	relay_stop(5000, set_true, &stopped);
	for (int i = 0; i < TURNS_MAX && !stopped; i++)
		loop_turn(10);
	for (int i = 0; i < TURNS_MAX && fiber_count() > 0; i++)
		loop_turn(10);
	watch_close(&peer.watch);
	text_free(&peer.heard);
	server_stop(store.server);
	server_free(&store.server);
	link_free(&store.link);
	fiber_trim();
	loop_close();
	return stopped ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_message_goes_out, begin),
		cmocka_unit_test_setup(a_connection_serves_many, begin),
		cmocka_unit_test_setup(a_large_message_is_asked_for, begin),
		cmocka_unit_test_setup(dsn_is_told_on, begin),
		cmocka_unit_test_setup(a_server_says_no, begin),
		cmocka_unit_test_setup(recipients_have_each_their_answer,
		    begin),
		cmocka_unit_test_setup(too_many_recipients_come_again_at_once,
		    begin),
		cmocka_unit_test_setup(a_connection_that_ended_is_replaced,
		    begin),
		cmocka_unit_test_setup(no_connection_costs_one_attempt, begin),
		cmocka_unit_test_setup(a_refused_route_returns_all, begin),
		cmocka_unit_test_setup(lmtp_answers_for_each, begin),
		cmocka_unit_test_setup(what_the_server_lacks, begin),
		cmocka_unit_test_setup(the_store_comes_back, begin),
		cmocka_unit_test_setup(a_connection_is_left_in_good_order,
		    begin),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

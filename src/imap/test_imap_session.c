/*
 * test_imap_session.c - whole sessions, with a store that is played.
 *
 * Client, server and the toy store live on one loop; the store does what a
 * test needs of it: lose messages, be away, answer piecemeal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "imap/imap_session.h"
#include "base/log.h"
#include "io/loop.h"
#include "ipc/serve.h"
#include "ipc/wire.h"
#include "mail/summary.h"

enum { TOY_MAX = 32, LARGE = 3 << 20, QUIET_TURNS = 60 };

/* -- the store ---- */

struct toy_message {
	uint32_t uid;
	uint64_t flags, modseq;
	struct span body;
	bool hidden;			/* listed, but its bytes are gone */
};

/* As SPAN(), for what is static. */
#define LITERAL(text) { "" text, sizeof(text) - 1 }

static struct {
	struct toy_message messages[TOY_MAX];
	size_t count;
	uint32_t uidnext;
	uint64_t modseq;
	struct uid_range gone[TOY_MAX];
	uint64_t gone_at[TOY_MAX];
	size_t gone_count;
	uint64_t watch, link;
	bool away;			/* answers RESULT_TEMPORARY */
	bool forgetful;			/* changes are never complete */
	bool slow_details;		/* one at a time */
	int summaries;			/* of this version, in the details */
	unsigned details_asked;		/* messages */
	unsigned bodies;		/* message_body calls */
	struct text came;		/* by APPEND */
	struct server *server;
} toy;

static struct link *store_link;
static struct settings settings;
static char large[LARGE];

static void
toy_append(struct span body)
{
	toy.messages[toy.count++] = (struct toy_message){
	    .uid = toy.uidnext++, .modseq = ++toy.modseq, .body = body };
}

static void
toy_expunge(size_t i)
{
	toy.gone_at[toy.gone_count] = ++toy.modseq;
	toy.gone[toy.gone_count++] = (struct uid_range){
	    toy.messages[i].uid, toy.messages[i].uid };
	memmove(&toy.messages[i], &toy.messages[i + 1],
	    (--toy.count - i) * sizeof(toy.messages[0]));
}

static void
toy_note(void)
{
	server_note_mailbox_changed(toy.server, toy.link,
	    &(struct mailbox_changed_note){ .watch = toy.watch,
	    .modseq = toy.modseq });
}

static struct span
in_arena(struct arena *arena, struct text *text)
{
	struct span copy = arena_dup(arena, text_span(text));

	text_free(text);
	return copy;
}

static struct span
rows_since(struct arena *arena, uint64_t since)
{
	struct text rows = TEXT_INIT(0);

	for (size_t i = 0; i < toy.count; i++)
		if (toy.messages[i].modseq > since)
			message_row_put(&rows, &(struct message_row){
			    .uid = toy.messages[i].uid,
			    .size = (uint32_t)toy.messages[i].body.n,
			    .flags = toy.messages[i].flags,
			    .modseq = toy.messages[i].modseq });
	return in_arena(arena, &rows);
}

static struct span
gone_since(struct arena *arena, uint64_t since)
{
	struct text ranges = TEXT_INIT(0);

	for (size_t i = 0; i < toy.gone_count; i++)
		if (toy.gone_at[i] > since)
			uid_range_put(&ranges, &toy.gone[i]);
	return in_arena(arena, &ranges);
}

#define FILL_CHANGES(reply, arena, from) do {				\
	(reply)->uidnext = toy.uidnext;					\
	(reply)->recent_from = UINT32_MAX;				\
	(reply)->highestmodseq = toy.modseq;				\
	(reply)->complete = !toy.forgetful;				\
	(reply)->rows = BLOB_OF(rows_since(arena,			\
	    toy.forgetful ? 0 : (from)));				\
	(reply)->vanished = BLOB_OF(toy.forgetful ? SPAN_EMPTY		\
	    : gone_since(arena, from));					\
} while (0)

#define HANDLER(name)							\
	static void							\
	toy_##name(void *arg, const struct caller *caller,		\
	    struct arena *arena, const struct name##_request *request,	\
	    struct name##_reply *reply)
#define UNUSED() ((void)arg, (void)caller, (void)arena, (void)request,	\
	reply->result = toy.away ? RESULT_TEMPORARY : RESULT_OK)

HANDLER(sasl_start)
{
	UNUSED();
	reply->login = SPAN("ann@example.test");
}

HANDLER(mailbox_list)
{
	struct text rows = TEXT_INIT(0);

	UNUSED();
	mailbox_row_put(&rows, &(struct mailbox_row){ .mailbox = 1,
	    .name = SPAN("INBOX"), .rights = RIGHTS_ALL });
	reply->rows = BLOB_OF(in_arena(arena, &rows));
}

HANDLER(mailbox_find)
{
	UNUSED();
	reply->mailbox = span_is(request->name, "INBOX") ? 1 : 0;
	reply->rights = RIGHTS_ALL;
	reply->result = reply->mailbox != 0 ? RESULT_OK : RESULT_NOT_FOUND;
}

HANDLER(mailbox_open)
{
	UNUSED();
	toy.watch = request->watch;
	toy.link = caller->link;
	reply->uidvalidity = 7;
	reply->uidnext = toy.uidnext;
	reply->recent_from = UINT32_MAX;
	reply->highestmodseq = toy.modseq;
	reply->rights = RIGHTS_ALL;
	reply->rows = BLOB_OF(rows_since(arena, 0));
}

HANDLER(mailbox_close)
{
	UNUSED();
}

HANDLER(mailbox_changes)
{
	UNUSED();
	toy.watch = request->watch;
	toy.link = caller->link;
	reply->rights = RIGHTS_ALL;
	FILL_CHANGES(reply, arena, request->since);
}

static bool
asked_for(struct span ranges, uint32_t uid)
{
	struct cursor at = { .rest = ranges };
	struct uid_range range;

	while (uid_range_get(&at, &range) == 1)
		if (uid >= range.first && uid <= range.last)
			return true;
	return false;
}

HANDLER(message_store)
{
	UNUSED();
	for (size_t i = 0; i < toy.count; i++) {
		struct toy_message *m = &toy.messages[i];
		uint64_t flags = request->mode == STORE_ADD
		    ? m->flags | request->flags : request->flags;

		if (!asked_for(request->uids.bytes, m->uid) ||
		    m->flags == flags)
			continue;
		m->flags = flags;
		m->modseq = ++toy.modseq;
	}
	reply->modified = BLOB_OF(SPAN_EMPTY);
	FILL_CHANGES(reply, arena, request->since);
}

HANDLER(message_body)
{
	struct toy_message *found = NULL;

	UNUSED();
	toy.bodies++;
	for (size_t i = 0; i < toy.count; i++)
		if (toy.messages[i].uid == request->uid)
			found = &toy.messages[i];
	if (found == NULL || found->hidden) {
		reply->result = RESULT_NOT_FOUND;
		return;
	}
	reply->size = found->body.n;
	reply->data = BLOB_OF(span_sub(found->body, (size_t)request->from,
	    (size_t)request->count));
}

HANDLER(message_bodies)
{
	struct text bodies = TEXT_INIT(0);

	UNUSED();
	for (size_t i = 0; i < toy.count; i++)
		if (asked_for(request->uids.bytes, toy.messages[i].uid) &&
		    !toy.messages[i].hidden)
			message_bytes_put(&bodies, &(struct message_bytes){
			    .uid = toy.messages[i].uid,
			    .data = toy.messages[i].body });
	reply->bodies = BLOB_OF(in_arena(arena, &bodies));
}

/* A summary; in version 1 there were no links. */
static struct span
summary_of(struct arena *arena, struct span body)
{
	struct text record = TEXT_INIT(0);
	struct summary s;
	size_t at;

	assert_int_equal(summary_build(body, &SUMMARY_LIMITS_DEFAULT, arena,
	    &record), 1);
	if (toy.summaries == 1) {
		assert_int_equal(summary_open(text_span(&record), body.n, &s),
		    1);
		at = (size_t)(s.links_record.p - record.p) - 1;
		memmove(record.p + at, record.p + at + 1 + s.links_record.n,
		    record.n - at - 1 - s.links_record.n);
		record.n -= 1 + s.links_record.n;
		record.p[1] = 1;
	}
	return in_arena(arena, &record);
}

HANDLER(message_details)
{
	struct text details = TEXT_INIT(0);

	UNUSED();
	for (size_t i = 0; i < toy.count; i++) {
		if (!asked_for(request->uids.bytes, toy.messages[i].uid))
			continue;
		if (toy.slow_details && details.n > 0) {
			reply->next = toy.messages[i].uid;
			break;
		}
		message_detail_put(&details, &(struct message_detail){
		    .uid = toy.messages[i].uid, .thread = 5,
		    .summary = toy.summaries == 0 ? SPAN_EMPTY
		    : summary_of(arena, toy.messages[i].body) });
		toy.details_asked++;
	}
	reply->details = BLOB_OF(in_arena(arena, &details));
}

HANDLER(summary_save)
{
	UNUSED();
}

/* Of messages that come only the bytes are kept. */
HANDLER(message_append)
{
	UNUSED();
	text_add(&toy.came, request->body.bytes);
	text_char(&toy.came, '|');
	reply->uidvalidity = 7;
	reply->uid = 9;
}

HANDLER(message_put)
{
	UNUSED();
	text_add(&toy.came, request->bodies.bytes);
	text_char(&toy.came, '|');
	reply->uidvalidity = 7;
	reply->uid = 20;
}

HANDLER(url_fetch)
{
	UNUSED();
	reply->size = 5;
	reply->data = BLOB_OF(span_sub(SPAN("piece"), (size_t)request->from,
	    2));
	reply->result = span_ends(request->url, SPAN(";UID=1")) ? RESULT_OK
	    : RESULT_NOT_FOUND;
}

static const struct handlers toy_handlers = {
	.message_append = toy_message_append, .message_put = toy_message_put,
	.url_fetch = toy_url_fetch,
	.sasl_start = toy_sasl_start, .mailbox_list = toy_mailbox_list,
	.mailbox_find = toy_mailbox_find,
	.mailbox_open = toy_mailbox_open, .mailbox_close = toy_mailbox_close,
	.mailbox_changes = toy_mailbox_changes,
	.message_store = toy_message_store, .message_body = toy_message_body,
	.message_bodies = toy_message_bodies,
	.message_details = toy_message_details,
	.summary_save = toy_summary_save,
};

/* -- the bench ---- */

struct client {
	int fd;
	struct text got;
};

static const struct settings *
get_settings(void *arg)
{
	(void)arg;
	return &settings;
}

static void
attached(void *arg)
{
	(void)arg;
	imap_store_attached();
}

static void
start_store(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    pair), 0);
	toy.server = server_new(STORE, &toy_handlers, NULL);
	assert_int_equal(server_add(toy.server, pair[1], ACCESS, 0), 1);
	assert_int_equal(server_on_loop(toy.server), 1);
	link_attach(store_link, pair[0]);
}

static int
open_bench(void **state)
{
	struct imap_environment env = { .hostname = "mail.example.test",
	    .settings = get_settings };

	(void)state;
	memset(&toy, 0, sizeof(toy));
	toy.came = TEXT_INIT(0);
	toy.uidnext = 1;
	toy.modseq = 1;
	settings_default(&settings);
	settings.auth_require_tls = false;
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(loop_open(), 1);
	store_link = env.store = link_new(ACCESS, STORE);
	imap_setup(&env);
	link_on_attach(store_link, attached, NULL);
	start_store();
	return 0;
}

/* Until nothing moves any more. */
static void
pump(struct client *c)
{
	char piece[4096];
	ssize_t n;

	for (int quiet = 0; quiet < QUIET_TURNS; quiet++) {
		loop_turn(0);
		while (c != NULL &&
		    (n = recv(c->fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0) {
			text_add(&c->got, span_of(piece, (size_t)n));
			quiet = 0;
		}
	}
}

static int
close_bench(void **state)
{
	(void)state;
	pump(NULL);
	assert_int_equal(session_count(&imap_service), 0);
	text_free(&toy.came);
	server_free(&toy.server);
	link_free(&store_link);
	loop_close();
	return 0;
}

static void
client_open(struct client *c)
{
	struct listener_options options = { .service = &imap_service,
	    .max_sessions = 10, .max_per_address = 10 };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    pair), 0);
	*c = (struct client){ .fd = pair[0], .got = TEXT_INIT(0) };
	assert_int_equal(session_start(&options, pair[1]), 1);
	pump(c);
	assert_true(span_starts(text_span(&c->got), SPAN("* OK [CAPABILITY ")));
	text_clear(&c->got);
}

static void
client_close(struct client *c)
{
	close(c->fd);
	text_free(&c->got);
	pump(NULL);
}

static void
say(struct client *c, struct span bytes)
{
	assert_int_equal(send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL),
	    (ssize_t)bytes.n);
	pump(c);
}

/* What is answered, whole. */
static void
expect(struct client *c, const char *command, const char *answer)
{
	text_clear(&c->got);
	say(c, span_str(command));
	text_char(&c->got, '\0');
	assert_string_equal(c->got.p, answer);
	text_clear(&c->got);
}

static void
client_select(struct client *c)
{
	client_open(c);
	say(c, SPAN("l LOGIN ann secret\r\ns SELECT INBOX\r\n"));
	assert_true(span_find(text_span(&c->got), SPAN("s OK [READ-WRITE] "),
	    0) != SIZE_MAX);
	text_clear(&c->got);
}

/* -- tests ---- */

static const char script[] =
    "a LOGIN {3+}\r\nann {6+}\r\nsecret\r\n"
    "b NOOP\r\n"
    "c LIST \"\" {1+}\r\n*\r\n"
    "d EXAMINE inbox\r\n"
    "e FETCH 1:2 (UID FLAGS BODY[])\r\n"
    "f SEARCH TEXT {3+}\r\ntwo\r\n"
    "g NONSENSE {5+}\r\nhello {3+}\r\nabc\r\n"
    "h STORE 1 FLAGS ()\r\n"
    "i IDLE\r\nDONE\r\n"
    "j APPEND {5+}\r\nINBOX (\\Seen) {8+}\r\nA: one\r\n\r\n"
    "k APPEND INBOX {3+}\r\nA:\r (\\Flagged Key) ~{3+}\r\nB:\r "
    "UTF8 (~{3+}\r\nC:\r)\r\n"
    "l APPEND INBOX CATENATE (TEXT {3+}\r\nabc URL {7+}\r\n/;UID=1 URL "
    "\"/x/;UID=1\" TEXT ~{1+}\r\nz) {4+}\r\nlast\r\n"
    "m APPEND INBOX CATENATE (URL {7+}\r\n/;UID=2 TEXT {3+}\r\nabc)\r\n"
    "n LOGOUT\r\n";

static void
converse(struct client *c, size_t cut)
{
	text_clear(&toy.came);
	client_open(c);
	say(c, span_sub(span_str(script), 0, cut));
	say(c, span_from(span_str(script), cut));
}

/* Cut anywhere, a conversation is the same. */
static void
test_every_split(void **state)
{
	struct client whole, split;

	(void)state;
	toy_append(SPAN("Subject: one\r\n\r\nfirst\r\n"));
	toy_append(SPAN("Subject: two\r\n\r\nsecond\r\n"));
	converse(&whole, 0);	/* all at once */
	text_char(&whole.got, '\0');
	assert_non_null(strstr(whole.got.p, "* LIST (\\HasNoChildren) \"/\" "
	    "INBOX\r\nc OK "));
	assert_non_null(strstr(whole.got.p,
	    "* 1 FETCH (UID 1 FLAGS () BODY[] {23}\r\nSubject: one\r\n\r\n"
	    "first\r\n)\r\n* 2 FETCH (UID 2 FLAGS () BODY[] {24}\r\n"
	    "Subject: two\r\n\r\nsecond\r\n)\r\ne OK Fetched\r\n"
	    "* SEARCH 2\r\nf OK Searched\r\ng BAD Unknown command\r\n"
	    "h NO The mailbox is open for reading only\r\n"
	    "+ idling\r\ni OK Idle ended\r\n"
	    "j OK [APPENDUID 7 9] Message appended\r\n"
	    "k NO [CANNOT] ENABLE UTF8=ACCEPT comes first\r\n"
	    "l OK [APPENDUID 7 20:21] Messages appended\r\n"
	    "m NO [BADURL /;UID=2] That URL cannot be fetched\r\n"
	    "* BYE Logging out\r\nn OK Logged out\r\n"));
	assert_true(span_is(text_span(&toy.came),
	    "A: one\r\n|abcpiecepiecezlast|"));
	for (size_t cut = 1; cut < sizeof(script) - 1; cut++) {
		converse(&split, cut);
		text_char(&split.got, '\0');
		assert_string_equal(split.got.p, whole.got.p);
		assert_true(span_is(text_span(&toy.came),
		    "A: one\r\n|abcpiecepiecezlast|"));
		client_close(&split);
	}
	client_close(&whole);
}

static void
test_store_away(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	toy.away = true;
	expect(&c, "a LOGIN ann secret\r\n",
	    "a NO [UNAVAILABLE] The mail store is away, try again\r\n");
	toy.away = false;
	say(&c, SPAN("b LOGIN ann secret\r\n"));
	toy.away = true;
	expect(&c, "c SELECT INBOX\r\n",
	    "c NO [UNAVAILABLE] The mail store is away, try again\r\n");
	expect(&c, "d NOOP\r\n", "d OK Done\r\n");
	toy.away = false;
	say(&c, SPAN("e SELECT INBOX\r\n"));
	assert_true(span_ends(text_span(&c.got), SPAN("Mailbox selected\r\n")));
	client_close(&c);
}

/* The store is killed and comes back: whoever idles hears what changed. */
static void
test_store_restarts(void **state)
{
	struct client c;

	(void)state;
	toy_append(SPAN("a\r\n\r\n"));
	client_select(&c);
	expect(&c, "a IDLE\r\n", "+ idling\r\n");
	server_free(&toy.server);
	pump(&c);
	toy_append(SPAN("b\r\n\r\n"));
	toy_expunge(0);
	start_store();
	expect(&c, "", "* 1 EXPUNGE\r\n* 1 EXISTS\r\n");
	toy_append(SPAN("c\r\n\r\n"));
	toy_note();		/* the watch is in force again */
	expect(&c, "", "* 2 EXISTS\r\n");
	expect(&c, "DONE\r\n", "a OK Idle ended\r\n");
	client_close(&c);
}

/* RFC 3501 7.4.1: the numbers do not move during FETCH, STORE, SEARCH. */
static void
test_expunge_waits(void **state)
{
	struct client c;

	(void)state;
	toy_append(SPAN("a\r\n\r\n"));
	toy_append(SPAN("b\r\n\r\n"));
	client_select(&c);
	toy_expunge(0);
	toy_note();
	expect(&c, "", "");
	expect(&c, "a FETCH 2 UID\r\n",
	    "* 2 FETCH (UID 2)\r\na OK Fetched\r\n");
	expect(&c, "b SEARCH ALL\r\n", "* SEARCH 2\r\nb OK Searched\r\n");
	expect(&c, "c FETCH 1 BODY.PEEK[]\r\n",
	    "c NO [EXPUNGEISSUED] Some of the messages are gone\r\n");
	expect(&c, "d STORE 2 FLAGS.SILENT (\\Seen)\r\n",
	    "d OK Flags stored\r\n");
	expect(&c, "e UID FETCH 2 FLAGS\r\n",
	    "* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n* 1 EXPUNGE\r\n"
	    "e OK Fetched\r\n");
	expect(&c, "f FETCH 1 UID\r\n",
	    "* 1 FETCH (UID 2)\r\nf OK Fetched\r\n");
	client_close(&c);
}

/* The store tells everything, not only what changed. */
static void
test_incomplete_changes(void **state)
{
	struct client c;

	(void)state;
	for (int i = 0; i < 4; i++)
		toy_append(SPAN("x\r\n\r\n"));
	client_select(&c);
	toy.forgetful = true;
	toy_expunge(1);
	toy_expunge(1);
	toy_append(SPAN("y\r\n\r\n"));
	toy.messages[0].flags = FLAG_FLAGGED;
	toy.messages[0].modseq = ++toy.modseq;
	toy_note();
	expect(&c, "a NOOP\r\n", "* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n* 3 EXISTS\r\n"
	    "* 1 FETCH (FLAGS (\\Flagged))\r\na OK Done\r\n");
	client_close(&c);
}

/* .SILENT is silent of what the command did, not of what others did. */
static void
test_silent(void **state)
{
	struct client c;

	(void)state;
	toy_append(SPAN("a\r\n\r\n"));
	toy_append(SPAN("b\r\n\r\n"));
	client_select(&c);
	toy.messages[1].flags = FLAG_ANSWERED;
	toy.messages[1].modseq = ++toy.modseq;
	expect(&c, "a STORE 1:2 +FLAGS.SILENT (\\Seen)\r\n",
	    "* 2 FETCH (FLAGS (\\Answered \\Seen))\r\na OK Flags stored\r\n");
	expect(&c, "b STORE 1 +FLAGS (\\Seen)\r\n",
	    "* 1 FETCH (FLAGS (\\Seen))\r\nb OK Flags stored\r\n");
	say(&c, SPAN("c ENABLE CONDSTORE\r\n"));
	expect(&c, "d STORE 1 FLAGS.SILENT (\\Draft)\r\n",
	    "* 1 FETCH (MODSEQ (7))\r\nd OK Flags stored\r\n");
	client_close(&c);
}

static void
test_gone_while_fetched(void **state)
{
	struct client c;

	(void)state;
	for (int i = 0; i < 3; i++)
		toy_append(SPAN("A: b\r\n\r\nx"));
	client_select(&c);
	toy.messages[1].hidden = true;
	expect(&c, "a FETCH 1:3 BODY.PEEK[TEXT]\r\n",
	    "* 1 FETCH (BODY[TEXT] {1}\r\nx)\r\n"
	    "* 3 FETCH (BODY[TEXT] {1}\r\nx)\r\n"
	    "a NO [EXPUNGEISSUED] Some of the messages are gone\r\n");
	expect(&c, "b UID FETCH 2 BODY.PEEK[]\r\n", "b OK Fetched\r\n");
	toy.messages[1].hidden = false;
	toy.slow_details = true;
	expect(&c, "c FETCH 1:3 THREADID\r\n",
	    "* 1 FETCH (THREADID (T0000000000000005))\r\n"
	    "* 2 FETCH (THREADID (T0000000000000005))\r\n"
	    "* 3 FETCH (THREADID (T0000000000000005))\r\nc OK Fetched\r\n");
	client_close(&c);
}

/* What is at hand is not asked for again; old summaries will do. */
static void
check_facts(int version)
{
	static const struct span bodies[] = {
		LITERAL("Subject: b\r\nMessage-ID: <1@x>\r\n\r\n"),
		LITERAL("Subject: a\r\nMessage-ID: <3@x>\r\n"
		    "References: <1@x> <2@x>\r\n\r\n"),
		LITERAL("Subject: c\r\nMessage-ID: <4@x>\r\n"
		    "In-Reply-To: <3@x>\r\n\r\n"),
	};
	struct client c;

	toy.summaries = version;
	toy.uidnext = (uint32_t)version * 100 + 1;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		toy_append(bodies[i]);
	client_select(&c);
	expect(&c, "a SORT (SUBJECT) UTF-8 ALL\r\n",
	    "* SORT 2 1 3\r\na OK Sorted\r\n");
	assert_int_equal(toy.details_asked, 3);
	expect(&c, "b THREAD REFERENCES UTF-8 ALL\r\n",
	    "* THREAD (1 2 3)\r\nb OK Threaded\r\n");
	assert_int_equal(toy.details_asked, 3);
	toy_append(SPAN("Subject: aa\r\n\r\n"));
	toy_note();
	expect(&c, "c NOOP\r\n", "* 4 EXISTS\r\nc OK Done\r\n");
	expect(&c, "d SORT (SUBJECT) UTF-8 ALL\r\n",
	    "* SORT 2 4 1 3\r\nd OK Sorted\r\n");
	assert_int_equal(toy.details_asked, 4);
	toy_expunge(1);
	toy_note();
	expect(&c, "e NOOP\r\n", "* 2 EXPUNGE\r\ne OK Done\r\n");
	expect(&c, "f SORT (SUBJECT) UTF-8 ALL\r\n",
	    "* SORT 3 1 2\r\nf OK Sorted\r\n");
	assert_int_equal(toy.details_asked, 4);
	client_close(&c);
}

static void
test_old_facts(void **state)
{
	(void)state;
	check_facts(1);
}

static void
test_facts(void **state)
{
	(void)state;
	check_facts(2);
}

/* BODY[] sets \Seen and says so; the flags come with the answer. */
static void
test_seen(void **state)
{
	struct client c;

	(void)state;
	toy_append(SPAN("A: b\r\n\r\nx"));
	client_select(&c);
	expect(&c, "a FETCH 1 BODY[TEXT]\r\n",
	    "* 1 FETCH (BODY[TEXT] {1}\r\nx FLAGS (\\Seen))\r\n"
	    "a OK Fetched\r\n");
	expect(&c, "b FETCH 1 BODY[TEXT]\r\n",
	    "* 1 FETCH (BODY[TEXT] {1}\r\nx)\r\nb OK Fetched\r\n");
	client_close(&c);
}

/* A large message goes through in pieces; parts of it come from the window. */
static void
test_large(void **state)
{
	struct client c;
	char want[64];
	size_t n;

	(void)state;
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)('a' + i % 23);
	toy_append(span_of(large, LARGE));
	client_select(&c);
	say(&c, SPAN("a FETCH 1 BODY.PEEK[]\r\n"));
	n = (size_t)snprintf(want, sizeof(want), "* 1 FETCH (BODY[] {%d}\r\n",
	    LARGE);
	assert_memory_equal(c.got.p, want, n);
	assert_memory_equal(c.got.p + n, large, LARGE);
	assert_true(span_is(span_from(text_span(&c.got), n + LARGE),
	    ")\r\na OK Fetched\r\n"));
	assert_int_equal(toy.bodies, 3);
	for (unsigned i = 0; i < 8; i++) {
		text_clear(&c.got);
		snprintf(want, sizeof(want),
		    "b FETCH 1 BODY.PEEK[]<%u.1000>\r\n", i * 1000);
		say(&c, span_str(want));
		n = span_find_char(text_span(&c.got), '\n', 0) + 1;
		assert_memory_equal(c.got.p + n, large + i * 1000, 1000);
	}
	assert_int_equal(toy.bodies, 4);
	client_close(&c);
}

static void
test_limits(void **state)
{
	struct client c;
	struct text line = TEXT_INIT(0);

	(void)state;
	settings.imap_max_errors = 3;
	client_open(&c);
	text_str(&line, "a NOOP ");
	for (int i = 0; i < 30000; i++)
		text_char(&line, 'x');
	text_str(&line, "\r\n");
	say(&c, text_span(&line));
	assert_true(span_is(text_span(&c.got),
	    "a BAD Command line too long\r\n"));
	text_free(&line);
	expect(&c, "b LOGIN {5000}\r\n", "b NO [TOOBIG] Literal too large\r\n");
	expect(&c, "c X\r\nc X\r\nc X\r\nc NOOP\r\n"
	    "d X\r\nd X\r\nd X\r\nd X\r\n",
	    "c BAD Unknown command\r\nc BAD Unknown command\r\n"
	    "c BAD Unknown command\r\nc OK Done\r\nd BAD Unknown command\r\n"
	    "d BAD Unknown command\r\nd BAD Unknown command\r\n"
	    "d BAD Unknown command\r\n* BYE Too many bad commands\r\n");
	client_close(&c);
	client_open(&c);
	expect(&c, "a LOGIN {4294967296+}\r\n", "* BYE Literal too large\r\n");
	client_close(&c);
}

#define BENCH_TEST(t) \
	cmocka_unit_test_setup_teardown(t, open_bench, close_bench)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(test_every_split),
		BENCH_TEST(test_store_away),
		BENCH_TEST(test_store_restarts),
		BENCH_TEST(test_expunge_waits),
		BENCH_TEST(test_incomplete_changes),
		BENCH_TEST(test_silent),
		BENCH_TEST(test_gone_while_fetched),
		BENCH_TEST(test_old_facts),
		BENCH_TEST(test_facts),
		BENCH_TEST(test_seen),
		BENCH_TEST(test_large),
		BENCH_TEST(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

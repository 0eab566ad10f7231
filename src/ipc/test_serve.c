/* test_serve.c - the called side: threads, hostile peers, late answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "ipc/call.h"
#include "ipc/codec.h"
#include "ipc/serve.h"

static char buffer[FRAME_MAX];

/* What the handlers of this test do. */
struct house {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	int inside;		/* handlers that wait in sasl_start */
	int target;		/* and go on when so many are there */
	atomic_int gone;
	atomic_int syncs;
	atomic_bool sync_fails, sync_hangs;
	atomic_uint_fast64_t link;
	char large[300 << 10];
};

static void
recipient_check(void *arg, const struct caller *who, struct arena *arena,
    const struct recipient_check_request *in,
    struct recipient_check_reply *out)
{
	struct house *h = arg;

	(void)arena;
	atomic_store(&h->link, who->link);
	out->result = span_is(in->address, "nobody@example.test") ?
	    RESULT_NOT_FOUND : RESULT_OK;
}

/* Comes back when `target` callers are inside: they must run at once. */
static void
sasl_start(void *arg, const struct caller *who, struct arena *arena,
    const struct sasl_start_request *in, struct sasl_start_reply *out)
{
	struct house *h = arg;

	(void)who;
	pthread_mutex_lock(&h->lock);
	h->inside++;
	pthread_cond_broadcast(&h->moved);
	while (h->inside < h->target)
		pthread_cond_wait(&h->moved, &h->lock);
	pthread_mutex_unlock(&h->lock);
	out->challenge = arena_dup(arena, in->initial);
	out->dialogue = 1;
}

/* The same in a verb that is not known to take long: the standby helps. */
static void
mailbox_delete(void *arg, const struct caller *who, struct arena *arena,
    const struct mailbox_delete_request *in, struct mailbox_delete_reply *out)
{
	struct house *h = arg;

	(void)who, (void)arena, (void)in, (void)out;
	pthread_mutex_lock(&h->lock);
	h->inside++;
	pthread_cond_broadcast(&h->moved);
	while (h->inside < h->target)
		pthread_cond_wait(&h->moved, &h->lock);
	pthread_mutex_unlock(&h->lock);
}

static void
message_body(void *arg, const struct caller *who, struct arena *arena,
    const struct message_body_request *in, struct message_body_reply *out)
{
	struct house *h = arg;

	(void)who, (void)arena;
	out->size = sizeof(h->large);
	out->data = BLOB_OF(span_of(h->large, (size_t)in->count));
}

static void
queue_commit(void *arg, const struct caller *who, struct arena *arena,
    const struct queue_commit_request *in, struct queue_commit_reply *out)
{
	(void)arg, (void)who, (void)in;
	out->queue_id = arena_dup(arena, SPAN("1"));
	serve_after(5);
}

static int
sync_disk(void *arg, uint64_t ticket)
{
	struct house *h = arg;

	must(ticket == 5);
	atomic_fetch_add(&h->syncs, 1);
	pthread_mutex_lock(&h->lock);
	while (atomic_load(&h->sync_hangs))
		pthread_cond_wait(&h->moved, &h->lock);
	pthread_mutex_unlock(&h->lock);
	return atomic_load(&h->sync_fails) ? -1 : 1;
}

static void
gone(void *arg, const struct caller *who)
{
	struct house *h = arg;

	(void)who;
	atomic_fetch_add(&h->gone, 1);
}

static const struct handlers handlers = {
	.recipient_check = recipient_check,
	.sasl_start = sasl_start,
	.mailbox_delete = mailbox_delete,
	.message_body = message_body,
	.queue_commit = queue_commit,
	.sync = sync_disk,
	.gone = gone,
};

static struct house *
house_open(void)
{
	struct house *h = xcalloc(1, sizeof(*h));

	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->moved, NULL);
	for (size_t i = 0; i < sizeof(h->large); i++)
		h->large[i] = (char)(i * 31);
	return h;
}

static void
house_close(struct house *h)
{
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->moved);
	free(h);
}

static struct server *
serve(struct house *h)
{
	struct server *s = server_new(STORE, &handlers, h);

	assert_int_equal(server_start_threads(s, 8), 1);
	return s;
}

static int
join(struct server *s, enum role_bit role)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    pair), 0);
	assert_int_equal(server_add(s, pair[1], role, 0), 1);
	return pair[0];
}

static void
finish(struct server *s, struct house *h)
{
	server_stop(s);
	server_free(&s);
	house_close(h);
}

/* ---- calls -------------------------------------------------------------- */

static void
test_blocking_calls(void **state)
{
	struct house *h = house_open();
	struct server *s = serve(h);
	struct link *l = link_new(ACCESS, STORE);
	struct arena *arena = arena_new(1 << 20);
	struct recipient_check_request q = { .address = SPAN("ann@x.test") };
	struct recipient_check_reply r;
	struct mailbox_list_request unhandled = { .begin_ = 0 };
	struct mailbox_list_reply list;

	(void)state;
	link_attach(l, join(s, ACCESS));
	for (int i = 0; i < 100; i++) {
		assert_int_equal(call_recipient_check(l, arena, &q, &r), 1);
		assert_int_equal(r.result, RESULT_OK);
		arena_reset(arena);
	}
	q.address = SPAN("nobody@example.test");
	assert_int_equal(call_recipient_check(l, arena, &q, &r), 1);
	assert_int_equal(r.result, RESULT_NOT_FOUND);
	assert_int_equal(call_mailbox_list(l, arena, &unhandled, &list), 1);
	assert_int_equal(list.result, RESULT_INVALID);
	link_free(&l);
	arena_free(&arena);
	finish(s, h);
}

static void
test_large_answers(void **state)
{
	struct house *h = house_open();
	struct server *s = serve(h);
	struct link *l = link_new(ACCESS, STORE);
	struct arena *arena = arena_new(1 << 20);
	struct message_body_request q = { .uid = 1 };
	struct message_body_reply r;

	(void)state;
	link_attach(l, join(s, ACCESS));
	for (q.count = 0; q.count <= sizeof(h->large); q.count += 60000) {
		assert_int_equal(call_message_body(l, arena, &q, &r), 1);
		assert_int_equal(r.data.bytes.n, q.count);
		assert_memory_equal(r.data.bytes.p, h->large, q.count);
		blob_release(&r.data);
		arena_reset(arena);
	}
	link_free(&l);
	arena_free(&arena);
	finish(s, h);
}

struct group {
	struct link *link;
	int left;
	bool delete;
	enum result result;
};

static void
ask_one(void *arg)
{
	struct group *g = arg;
	struct arena *arena = arena_new(1 << 20);
	struct sasl_start_request q = { .initial = SPAN("secret") };
	struct sasl_start_reply r;
	struct mailbox_delete_request dq = { .name = SPAN("x") };
	struct mailbox_delete_reply dr;

	if (g->delete) {
		assert_int_equal(call_mailbox_delete(g->link, arena, &dq, &dr),
		    1);
	} else {
		assert_int_equal(call_sasl_start(g->link, arena, &q, &r), 1);
		assert_true(span_is(r.challenge, "secret"));
	}
	arena_free(&arena);
	g->left--;
}

/* As many handlers wait at once as there are threads, led or not. */
static void
together(bool delete)
{
	struct house *h = house_open();
	struct server *s = serve(h);
	struct group g = { .link = link_new(ACCESS, STORE), .left = 4,
	    .delete = delete };

	h->target = 4;
	assert_int_equal(loop_open(), 1);
	link_attach(g.link, join(s, ACCESS));
	for (int i = 0; i < 4; i++)
		assert_int_equal(fiber_start(ask_one, &g), 1);
	while (g.left > 0)
		loop_turn(100);
	link_free(&g.link);
	loop_close();
	finish(s, h);
}

static void
test_waiting_handlers(void **state)
{
	(void)state;
	together(false);
	together(true);
}

static void
commit_one(void *arg)
{
	struct group *g = arg;
	struct arena *arena = arena_new(1 << 20);
	struct queue_commit_request q = { .body = BLOB_OF(SPAN("body")),
	    .summary = BLOB_OF(SPAN_EMPTY), .recipients = BLOB_OF(SPAN_EMPTY) };
	struct queue_commit_reply r;

	assert_int_equal(call_queue_commit(g->link, arena, &q, &r), 1);
	assert_int_equal(r.result, g->result);
	assert_true(span_is(r.queue_id, r.result == RESULT_OK ? "1" : ""));
	arena_free(&arena);
	g->left--;
}

static void
test_deferred_answers(void **state)
{
	struct house *h = house_open();
	struct server *s = serve(h);
	struct group g = { .link = link_new(MX, STORE), .left = 100,
	    .result = RESULT_OK };

	(void)state;
	assert_int_equal(loop_open(), 1);
	link_attach(g.link, join(s, MX));
	for (int i = 0; i < 100; i++)
		assert_int_equal(fiber_start(commit_one, &g), 1);
	while (g.left > 0)
		loop_turn(100);
	assert_in_range(atomic_load(&h->syncs), 1, 100);
	/* A disk that fails: nobody is told that the mail is ours. */
	atomic_store(&h->sync_fails, true);
	g.left = 1;
	g.result = RESULT_TEMPORARY;
	assert_int_equal(fiber_start(commit_one, &g), 1);
	while (g.left > 0)
		loop_turn(100);
	link_free(&g.link);
	loop_close();
	finish(s, h);
}

/* Four links from four threads, hundreds of calls each. */
static void *
call_many(void *arg)
{
	struct link *l = link_new(ACCESS, STORE);
	struct arena *arena = arena_new(1 << 20);
	struct recipient_check_request q = { .address = SPAN("a@x.test") };
	struct recipient_check_reply r;

	link_attach(l, *(int *)arg);
	for (int i = 0; i < 300; i++) {
		if (call_recipient_check(l, arena, &q, &r) != 1 ||
		    r.result != RESULT_OK)
			break;
		*(int *)arg = i;
		arena_reset(arena);
	}
	arena_free(&arena);
	link_free(&l);
	return NULL;
}

static void
test_many_links(void **state)
{
	struct house *h = house_open();
	struct server *s = serve(h);
	pthread_t threads[4];
	int fds[4];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		fds[i] = join(s, ACCESS);
		assert_int_equal(pthread_create(&threads[i], NULL, call_many,
		    &fds[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(fds[i], 299);
	}
	finish(s, h);
}

/* ---- hostile peers ------------------------------------------------------ */

/* The server ends this link: everything up to its end is read. */
static void
expect_end(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	struct frame_in f;
	int status;

	do {
		assert_int_equal(poll(&p, 1, 10000), 1);
		status = frame_receive(fd, &f, buffer, false);
	} while (status == 1);
	assert_int_equal(status, 0);
	close(fd);
}

static void
send_hello(int fd, uint32_t version, enum role_bit role)
{
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	struct hello_note m = { version, role, SPAN("x") };

	codec_encode(&f, VERB_hello, FRAME_NOTE, 0, &m);
	assert_int_equal(frame_send(fd, &f, false), 1);
	frame_free(&f);
}

static void
send_call(int fd, enum verb verb, uint32_t number)
{
	union any_message m;
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };

	codecs[verb].request.init(&m);
	codec_encode(&f, verb, FRAME_CALL, number, &m);
	(void)!frame_send(fd, &f, false);
	frame_free(&f);
}

static void
test_hostile(void **state)
{
	struct house *h = house_open();
	struct server *s = serve(h);
	int fd;

	(void)state;
	fd = join(s, ACCESS);		/* a call before hello */
	send_call(fd, VERB_recipient_check, 1);
	expect_end(fd);

	fd = join(s, ACCESS);		/* another version */
	send_hello(fd, CONTRACT_VERSION + 1, ACCESS);
	expect_end(fd);

	fd = join(s, MX);		/* it says that it is somebody else */
	send_hello(fd, CONTRACT_VERSION, ACCESS);
	expect_end(fd);

	fd = join(s, MX);		/* a verb that is not its own */
	send_hello(fd, CONTRACT_VERSION, MX);
	send_call(fd, VERB_message_body, 1);
	expect_end(fd);

	fd = join(s, ACCESS);		/* not a frame */
	send_hello(fd, CONTRACT_VERSION, ACCESS);
	assert_int_equal(send(fd, "hello there", 11, 0), 11);
	expect_end(fd);

	fd = join(s, ACCESS);		/* cut short */
	send_hello(fd, CONTRACT_VERSION, ACCESS);
	assert_int_equal(send(fd, "\x0b\0\1\0\1\0\0\0\xff", 9, 0), 9);
	expect_end(fd);
	finish(s, h);
}

/* More calls than there are credits, while the disk lets none be answered. */
static void
test_beyond_credits(void **state)
{
	struct house *h = house_open();
	struct server *s = serve(h);
	int fd = join(s, MX);

	(void)state;
	atomic_store(&h->sync_hangs, true);
	send_hello(fd, CONTRACT_VERSION, MX);
	for (uint32_t i = 1; i <= LINK_CREDITS + 1; i++)
		send_call(fd, VERB_queue_commit, i);
	expect_end(fd);
	pthread_mutex_lock(&h->lock);
	atomic_store(&h->sync_hangs, false);
	pthread_cond_broadcast(&h->moved);
	pthread_mutex_unlock(&h->lock);
	finish(s, h);
}

static void
test_gone(void **state)
{
	struct house *h = house_open();
	struct server *s = serve(h);
	struct link *l = link_new(ACCESS, STORE);
	struct arena *arena = arena_new(1 << 20);
	struct recipient_check_request q = { .address = SPAN("a@x.test") };
	struct recipient_check_reply r;
	struct mailbox_changed_note note = { .watch = 1, .modseq = 2 };
	int fd = join(s, ACCESS);

	(void)state;
	link_attach(l, fd);
	assert_int_equal(call_recipient_check(l, arena, &q, &r), 1);
	assert_int_equal(server_note_mailbox_changed(s,
	    atomic_load(&h->link), &note), 1);
	link_free(&l);
	while (atomic_load(&h->gone) == 0)
		sched_yield();
	assert_int_equal(server_note_mailbox_changed(s,
	    atomic_load(&h->link), &note), 0);
	arena_free(&arena);
	finish(s, h);
}

/* relay is told by the one note that it has, of lost ones too. */
static void
test_queue_ready(void **state)
{
	struct house *h = house_open();
	struct server *s = serve(h);
	int fd = join(s, RELAY);
	struct pollfd p = { fd, POLLIN, 0 };
	struct frame_in f;
	size_t sent = 0, got = 0;

	(void)state;
	assert_int_equal(server_note_queue_ready(s, 1000), 0);
	while (server_note_queue_ready(s, 1) == 1)
		sent++;
	assert_true(sent > 0);
	assert_int_equal(server_note_queue_ready(s, 1), -1);
	while (got <= sent) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_int_equal(frame_receive(fd, &f, buffer, false), 1);
		assert_true(f.verb == VERB_hello ||
		    f.verb == VERB_queue_ready);
		got += f.verb == VERB_queue_ready;
	}
	assert_int_equal(got, sent + 1);
	close(fd);
	finish(s, h);
}

/* A peer that does not read loses notes, and is told so once it does. */
static void
test_lost_notes(void **state)
{
	struct house *h = house_open();
	struct server *s = serve(h);
	struct mailbox_changed_note note = { .watch = 1, .modseq = 2 };
	int fd = join(s, ACCESS);
	struct pollfd p = { fd, POLLIN, 0 };
	struct frame_in f;
	union any_message m;
	size_t sent = 0, got = 0;
	bool lost = false;
	int status;

	(void)state;
	send_hello(fd, CONTRACT_VERSION, ACCESS);
	send_call(fd, VERB_recipient_check, 1);
	while (atomic_load(&h->link) == 0)
		sched_yield();
	while ((status = server_note_mailbox_changed(s, atomic_load(&h->link),
	    &note)) == 1)
		sent++;
	assert_int_equal(status, -1);
	assert_int_equal(server_note_mailbox_changed(s, atomic_load(&h->link),
	    &note), -1);
	while (!lost) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_int_equal(frame_receive(fd, &f, buffer, false), 1);
		assert_int_equal(codec_decode(&f, &m), 1);
		if (f.verb != VERB_mailbox_changed)
			continue;
		lost = m.mailbox_changed_note.watch == 0;
		got += !lost;
	}
	assert_int_equal(got, sent);
	close(fd);
	finish(s, h);
}

/* Answers that a peer does not read wait for it, and for nobody else. */
static void
test_slow_reader(void **state)
{
	enum { CALLS = LINK_CREDITS };
	struct house *h = house_open();
	struct server *s = serve(h);
	struct message_body_request q = { .uid = 1, .count = 60000 };
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	struct recipient_check_request cq = { .address = SPAN("a@x.test") };
	struct recipient_check_reply cr;
	struct arena *arena = arena_new(1 << 20);
	struct link *l = link_new(ACCESS, STORE);
	int fd = join(s, ACCESS), got = 0;
	struct pollfd p = { fd, POLLIN, 0 };
	struct frame_in in;
	union any_message m;

	(void)state;
	send_hello(fd, CONTRACT_VERSION, ACCESS);
	for (uint32_t i = 1; i <= CALLS; i++) {
		codec_encode(&f, VERB_message_body, FRAME_CALL, i, &q);
		assert_int_equal(frame_send(fd, &f, true), 1);
	}
	frame_free(&f);
	link_attach(l, join(s, ACCESS));
	assert_int_equal(call_recipient_check(l, arena, &cq, &cr), 1);
	while (got < CALLS) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_int_equal(frame_receive(fd, &in, buffer, false), 1);
		assert_int_equal(codec_decode(&in, &m), 1);
		if (in.kind != FRAME_REPLY)
			continue;
		assert_int_equal(m.message_body_reply.data.bytes.n, 60000);
		got++;
	}
	close(fd);
	link_free(&l);
	arena_free(&arena);
	finish(s, h);
}

/* ---- other ways in ------------------------------------------------------ */

/* An address of the abstract namespace, chosen by the kernel. */
static void
test_listen(void **state)
{
	struct house *h = house_open();
	struct server *s = serve(h);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t n = sizeof(sa_family_t);
	struct link *l = link_new(CLI, STORE);
	struct arena *arena = arena_new(1 << 20);
	struct message_body_request q = { .uid = 1, .count = 10 };
	struct message_body_reply r;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), client;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(fd, 8), 0);
	n = sizeof(a);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	assert_int_equal(server_listen(s, fd, CLI), 1);
	client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&a, n), 0);
	link_attach(l, client);
	assert_int_equal(call_message_body(l, arena, &q, &r), 1);
	assert_int_equal(r.data.bytes.n, 10);
	link_free(&l);
	while (atomic_load(&h->gone) == 0)
		sched_yield();
	arena_free(&arena);
	finish(s, h);
}

static void
test_on_loop(void **state)
{
	struct house *h = house_open();
	struct server *s = server_new(STORE, &handlers, h);
	struct group g = { .link = link_new(ACCESS, STORE), .left = 3 };

	(void)state;
	assert_int_equal(loop_open(), 1);
	assert_int_equal(server_on_loop(s), 1);
	link_attach(g.link, join(s, ACCESS));
	for (int i = 0; i < 3; i++)
		assert_int_equal(fiber_start(ask_one, &g), 1);
	while (g.left > 0)
		loop_turn(100);
	link_free(&g.link);
	while (atomic_load(&h->gone) == 0)
		loop_turn(100);
	server_free(&s);
	loop_close();
	house_close(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocking_calls),
		cmocka_unit_test(test_large_answers),
		cmocka_unit_test(test_waiting_handlers),
		cmocka_unit_test(test_deferred_answers),
		cmocka_unit_test(test_many_links),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_beyond_credits),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_lost_notes),
		cmocka_unit_test(test_queue_ready),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_listen),
		cmocka_unit_test(test_on_loop),
	};

	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_FORMAT_TEXT,
	    "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

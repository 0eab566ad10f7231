/* test_call.c - links, with a peer played by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "ipc/call.h"
#include "ipc/codec.h"

static char buffer[FRAME_MAX];
static union any_message message;

struct bench {
	struct link *link;
	int peer;			/* our end */
};

/* One call on a fiber, and what became of it. */
struct asker {
	struct link *link;
	struct arena *arena;
	struct fiber *fiber;
	bool once;
	bool done;
	int status, error;
	enum result result;
	uint64_t value;
};

static void
say_hello(int fd, uint32_t version, enum role_bit role)
{
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	struct hello_note m = { version, role, SPAN("x") };

	codec_encode(&f, VERB_hello, FRAME_NOTE, 0, &m);
	assert_int_equal(frame_send(fd, &f, false), 1);
	frame_free(&f);
}

static int
receive(int fd, struct frame_in *f)
{
	int status = frame_receive(fd, f, buffer, false);

	if (status == 1)
		assert_int_equal(codec_decode(f, &message), 1);
	return status;
}

static void
attach(struct bench *b)
{
	struct frame_in f;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    pair), 0);
	b->peer = pair[1];
	link_attach(b->link, pair[0]);
	assert_int_equal(receive(b->peer, &f), 1);
	assert_int_equal(f.verb, VERB_hello);
	assert_int_equal(message.hello.version, CONTRACT_VERSION);
	assert_int_equal(message.hello.role, ACCESS);
	say_hello(b->peer, CONTRACT_VERSION, STORE);
}

static void
open_bench(struct bench *b)
{
	assert_int_equal(loop_open(), 1);
	*b = (struct bench){ .link = link_new(ACCESS, STORE), .peer = -1 };
	attach(b);
}

static void
close_bench(struct bench *b)
{
	link_free(&b->link);
	if (b->peer >= 0)
		close(b->peer);
	loop_close();
}

static void
turns(void)
{
	for (int i = 0; i < 4; i++)
		loop_turn(0);
}

static void
ask(void *arg)
{
	struct asker *a = arg;
	struct mailbox_create_request create = { .name = SPAN("Lists") };
	struct mailbox_create_reply created;
	struct mailbox_rename_request rename = { .from = SPAN("a"),
	    .to = SPAN("b") };
	struct mailbox_rename_reply renamed;

	a->fiber = fiber_self();
	if (a->once) {
		a->status = call_mailbox_rename(a->link, a->arena, &rename,
		    &renamed);
		a->result = renamed.result;
	} else {
		a->status = call_mailbox_create(a->link, a->arena, &create,
		    &created);
		a->result = created.result;
		a->value = created.mailbox;
	}
	a->error = errno;
	a->done = true;
}

static void
start(struct bench *b, struct asker *a, bool once)
{
	*a = (struct asker){ .link = b->link, .once = once,
	    .arena = arena_new(1 << 20) };
	assert_int_equal(fiber_start(ask, a), 1);
}

static void
answer(int fd, uint32_t number, uint64_t mailbox)
{
	struct mailbox_create_reply m = { .result = RESULT_OK,
	    .mailbox = mailbox };
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };

	codec_encode(&f, VERB_mailbox_create, FRAME_REPLY, number, &m);
	assert_int_equal(frame_send(fd, &f, false), 1);
	frame_free(&f);
}

static void
test_answer(void **state)
{
	struct bench b;
	struct asker a;
	struct frame_in f;

	(void)state;
	open_bench(&b);
	start(&b, &a, false);
	assert_false(a.done);
	assert_int_equal(link_pending(b.link), 1);
	assert_int_equal(receive(b.peer, &f), 1);
	assert_int_equal(f.verb, VERB_mailbox_create);
	assert_true(span_is(message.mailbox_create_request.name, "Lists"));
	answer(b.peer, f.number, 42);
	turns();
	assert_true(a.done);
	assert_int_equal(a.status, 1);
	assert_int_equal(a.result, RESULT_OK);
	assert_int_equal(a.value, 42);
	assert_int_equal(link_pending(b.link), 0);
	arena_free(&a.arena);
	close_bench(&b);
}

/* Answers in any order find their calls. */
static void
test_order(void **state)
{
	struct bench b;
	struct asker a[3];
	struct frame_in f[3];

	(void)state;
	open_bench(&b);
	for (size_t i = 0; i < 3; i++) {
		start(&b, &a[i], false);
		assert_int_equal(receive(b.peer, &f[i]), 1);
	}
	answer(b.peer, f[2].number, 12);
	answer(b.peer, f[0].number, 10);
	answer(b.peer, f[1].number, 11);
	turns();
	for (size_t i = 0; i < 3; i++) {
		assert_true(a[i].done);
		assert_int_equal(a[i].value, 10 + i);
		arena_free(&a[i].arena);
	}
	close_bench(&b);
}

/* The peer dies: RETRY is asked again on the next socket, ONCE fails. */
static void
test_peer_death(void **state)
{
	struct bench b;
	struct asker again, once;
	struct frame_in f;

	(void)state;
	open_bench(&b);
	start(&b, &again, false);
	start(&b, &once, true);
	assert_int_equal(receive(b.peer, &f), 1);
	assert_int_equal(receive(b.peer, &f), 1);
	close(b.peer);
	turns();
	assert_false(link_up(b.link));
	assert_false(again.done);
	assert_true(once.done);
	assert_int_equal(once.status, -1);
	assert_int_equal(once.error, EPIPE);
	assert_int_equal(once.result, RESULT_TEMPORARY);
	attach(&b);
	assert_int_equal(receive(b.peer, &f), 1);
	assert_int_equal(f.verb, VERB_mailbox_create);
	answer(b.peer, f.number, 7);
	turns();
	assert_true(again.done);
	assert_int_equal(again.status, 1);
	assert_int_equal(again.value, 7);
	arena_free(&again.arena);
	arena_free(&once.arena);
	close_bench(&b);
}

/* While the peer is away a call waits, whatever its kind: nothing was sent. */
static void
test_call_while_down(void **state)
{
	struct bench b;
	struct asker a;
	struct frame_in f;

	(void)state;
	open_bench(&b);
	close(b.peer);
	turns();
	start(&b, &a, true);
	turns();
	assert_false(a.done);
	attach(&b);
	assert_int_equal(receive(b.peer, &f), 1);
	assert_int_equal(f.verb, VERB_mailbox_rename);
	close(b.peer);
	turns();
	assert_int_equal(a.error, EPIPE);
	b.peer = -1;
	arena_free(&a.arena);
	close_bench(&b);
}

static void
test_credits(void **state)
{
	enum { CALLS = LINK_CREDITS + 10 };
	static struct asker a[CALLS];
	struct bench b;
	struct frame_in f;
	uint32_t numbers[CALLS];
	size_t seen = 0;

	(void)state;
	open_bench(&b);
	for (size_t i = 0; i < CALLS; i++)
		start(&b, &a[i], false);
	while (seen < CALLS && receive(b.peer, &f) == 1)
		numbers[seen++] = f.number;
	assert_int_equal(seen, LINK_CREDITS);
	assert_int_equal(link_pending(b.link), CALLS);
	answer(b.peer, numbers[0], 0);
	turns();
	assert_int_equal(receive(b.peer, &f), 1);
	numbers[seen++] = f.number;
	assert_int_equal(receive(b.peer, &f), -1);
	for (size_t i = 1; i < CALLS; i++) {
		answer(b.peer, numbers[i], i);
		turns();
		while (seen < CALLS && receive(b.peer, &f) == 1)
			numbers[seen++] = f.number;
	}
	for (size_t i = 0; i < CALLS; i++) {
		assert_true(a[i].done);
		assert_int_equal(a[i].status, 1);
		arena_free(&a[i].arena);
	}
	close_bench(&b);
}

static void
test_deadline(void **state)
{
	struct bench b;
	struct asker a, next;
	struct frame_in f, g;
	monotime_t now = { 1000000 };

	(void)state;
	open_bench(&b);
	clock_test_set(now, 0);
	start(&b, &a, false);
	assert_int_equal(receive(b.peer, &f), 1);
	now.ms += 9999;
	clock_test_set(now, 0);
	turns();
	assert_false(a.done);
	now.ms += 2;
	clock_test_set(now, 0);
	turns();
	assert_true(a.done);
	assert_int_equal(a.status, -1);
	assert_int_equal(a.error, ETIMEDOUT);
	/* The answer comes after all, and is nobody's. */
	start(&b, &next, false);
	assert_int_equal(receive(b.peer, &g), 1);
	assert_int_not_equal(f.number, g.number);
	answer(b.peer, f.number, 1);
	answer(b.peer, g.number, 2);
	turns();
	assert_true(next.done);
	assert_int_equal(next.value, 2);
	clock_test_clear();
	arena_free(&a.arena);
	arena_free(&next.arena);
	close_bench(&b);
}

static void
test_cancel(void **state)
{
	struct bench b;
	struct asker a;

	(void)state;
	open_bench(&b);
	start(&b, &a, false);
	fiber_cancel(a.fiber);
	turns();
	assert_true(a.done);
	assert_int_equal(a.error, ECANCELED);
	assert_int_equal(link_pending(b.link), 0);
	arena_free(&a.arena);
	close_bench(&b);
}

static void
test_malformed_answer(void **state)
{
	struct bench b;
	struct asker a;
	struct frame_in f;
	struct frame bad = { .bytes = TEXT_INIT(FRAME_MAX) };

	(void)state;
	open_bench(&b);
	start(&b, &a, true);
	assert_int_equal(receive(b.peer, &f), 1);
	frame_begin(&bad, VERB_mailbox_rename, FRAME_REPLY, f.number, 10);
	put_u8(&bad.bytes, RESULTS);
	assert_int_equal(frame_send(b.peer, &bad, false), 1);
	frame_free(&bad);
	turns();
	assert_true(a.done);
	assert_int_equal(a.error, EPROTO);
	assert_false(link_up(b.link));
	arena_free(&a.arena);
	close_bench(&b);
}

static void
mismatch(uint32_t version, enum role_bit role)
{
	struct link *l = link_new(ACCESS, STORE);
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	link_attach(l, pair[0]);
	say_hello(pair[1], version, role);
	turns();
	assert_false(link_up(l));
	link_free(&l);
	close(pair[1]);
}

static void
test_mismatch(void **state)
{
	(void)state;
	assert_int_equal(loop_open(), 1);
	mismatch(CONTRACT_VERSION + 1, STORE);
	mismatch(CONTRACT_VERSION, SIGNER);
	loop_close();
}

static void
on_changed(void *arg, const void *note)
{
	const struct mailbox_changed_note *m = note;

	*(uint64_t *)arg = m->modseq;
}

static void
on_attach(void *arg)
{
	++*(int *)arg;
}

static void
test_notes(void **state)
{
	struct bench b;
	uint64_t modseq = 0;
	int attached = 0;
	struct mailbox_changed_note note = { .watch = 1, .modseq = 99 };
	struct certificate_note alien = { .chain = BLOB_OF(SPAN("x")) };

	(void)state;
	open_bench(&b);
	link_on_attach(b.link, on_attach, &attached);
	link_on_note(b.link, VERB_mailbox_changed, on_changed, &modseq);
	assert_int_equal(send_mailbox_changed(b.peer, &note), 1);
	link_poll(b.link);
	assert_int_equal(modseq, 99);
	/* The store has no certificates to give. */
	assert_int_equal(send_certificate(b.peer, &alien), 1);
	link_poll(b.link);
	assert_false(link_up(b.link));
	assert_int_equal(attached, 0);
	close(b.peer);
	attach(&b);
	assert_int_equal(attached, 1);
	close_bench(&b);
}

/* Without a loop the thread itself waits: nobody answers, so it is told. */
static void
test_blocking(void **state)
{
	struct link *l = link_new(ACCESS, STORE);
	struct arena *arena = arena_new(1 << 20);
	struct mailbox_status_request request = { .mailbox = 1 };
	struct mailbox_status_reply reply;
	int pair[2];

	(void)state;
	assert_int_equal(call_mailbox_status(l, arena, &request, &reply), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	link_attach(l, pair[0]);
	shutdown(pair[1], SHUT_RDWR);
	assert_int_equal(call_mailbox_status(l, arena, &request, &reply), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(reply.result, RESULT_TEMPORARY);
	close(pair[1]);
	arena_free(&arena);
	link_free(&l);
}

/* A request over its limit is the caller's own trouble, not the link's. */
static void
test_too_long(void **state)
{
	static char name[2000];
	struct mailbox_subscribe_request request = {
	    .name = span_of(name, sizeof(name)) };
	struct mailbox_subscribe_reply reply;
	struct arena *arena = arena_new(1 << 20);
	struct bench b;

	(void)state;
	open_bench(&b);
	assert_int_equal(call_mailbox_subscribe(b.link, arena, &request,
	    &reply), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_true(link_up(b.link));
	arena_free(&arena);
	close_bench(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_peer_death),
		cmocka_unit_test(test_call_while_down),
		cmocka_unit_test(test_credits),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_malformed_answer),
		cmocka_unit_test(test_mismatch),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_blocking),
		cmocka_unit_test(test_too_long),
	};

	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_FORMAT_TEXT,
	    "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

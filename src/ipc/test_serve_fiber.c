/* test_serve_fiber.c - the called side with handlers that wait on fibers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "ipc/call.h"
#include "ipc/codec.h"
#include "ipc/serve.h"

enum { ASKERS = 3 * LINK_CREDITS };

struct waiting {
	struct fiber *fiber;
	bool go;
	uint32_t type;
};

static struct {
	struct server *server;
	struct link *link;
	struct waiting *inside[ASKERS];	/* handlers, in the order they came */
	size_t count, most;
	size_t handled, gone, cancelled;
	size_t answered;		/* callers */
} t;

/* Waits until it is let go; then says what it was asked. */
static void
resolve(void *arg, const struct caller *who, struct arena *arena,
    const struct resolve_request *in, struct resolve_reply *out)
{
	struct waiting w = { .fiber = fiber_self(), .type = in->type };

	(void)arg;
	assert_non_null(w.fiber);
	assert_int_equal(who->role, RELAY);
	assert_true(t.count < ASKERS);
	t.inside[t.count++] = &w;
	if (t.count > t.most)
		t.most = t.count;
	if (fiber_wait_for(&w.go, MONOTIME_NEVER) == -1)
		t.cancelled++;
	t.handled++;
	out->ttl = in->type;
	out->canonical = arena_dup(arena, in->name);
}

static void
gone(void *arg, const struct caller *who)
{
	(void)arg;
	(void)who;
	t.gone++;
}

static const struct handlers handlers = { .resolve = resolve, .gone = gone };

/* The last that came goes first. */
static void
let_go(size_t n)
{
	while (n-- > 0 && t.count > 0) {
		struct waiting *w = t.inside[--t.count];

		w->go = true;
		fiber_nudge(w->fiber);
	}
}

static void
ask(void *arg)
{
	struct arena *arena = arena_new(1 << 20);
	struct span name = arena_printf(arena, "n%zu.test", (size_t)arg);
	struct resolve_request q = { .name = name, .type = (uint32_t)(size_t)
	    arg };
	struct resolve_reply r;

	assert_int_equal(call_resolve(t.link, arena, &q, &r), 1);
	assert_int_equal(r.result, RESULT_OK);
	assert_int_equal(r.ttl, q.type);
	assert_true(span_eq(r.canonical, name));
	t.answered++;
	arena_free(&arena);
}

static int
join(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(server_add(t.server, pair[1], RELAY, 0), 1);
	return pair[0];
}

static int
setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	assert_int_equal(loop_open(), 1);
	t.server = server_new(RESOLVER, &handlers, NULL);
	assert_int_equal(server_on_fibers(t.server), 1);
	t.link = link_new(RELAY, RESOLVER);
	link_attach(t.link, join());
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	while (fiber_count() > 0)
		loop_turn(10);
	link_free(&t.link);
	server_free(&t.server);
	loop_close();
	return 0;
}

static void
start(size_t n)
{
	for (size_t i = 1; i <= n; i++)
		assert_int_equal(fiber_start(ask, (void *)i), 1);
}

static void
turns_until(const size_t *value, size_t wanted)
{
	for (int i = 0; i < 10000 && *value != wanted; i++)
		loop_turn(10);
	assert_int_equal(*value, wanted);
}

/* As many at once as there are credits, answered in any order. */
static void
handlers_wait_side_by_side(void **state)
{
	(void)state;
	start(ASKERS);
	turns_until(&t.count, LINK_CREDITS);
	assert_int_equal(server_busy(t.server), LINK_CREDITS);
	while (t.answered < ASKERS) {
		let_go(7);
		loop_turn(10);
	}
	assert_int_equal(t.most, LINK_CREDITS);
	assert_int_equal(t.handled, ASKERS);
	assert_int_equal(server_busy(t.server), 0);
}

static void
send_calls(int fd, uint32_t n)
{
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	struct resolve_request q = { .name = SPAN("x.test"), .type = 1 };

	hello_encode(&f, RELAY);
	assert_int_equal(frame_send(fd, &f, true), 1);
	for (uint32_t i = 1; i <= n; i++) {
		codec_encode(&f, VERB_resolve, FRAME_CALL, i, &q);
		assert_int_equal(frame_send(fd, &f, true), 1);
		loop_turn(1);
	}
	frame_free(&f);
}

/* The handlers go on, and the link is gone when they are done. */
static void
a_peer_dies_meanwhile(void **state)
{
	int fd = join();

	(void)state;
	send_calls(fd, 3);
	turns_until(&t.count, 3);
	close(fd);
	for (int i = 0; i < 20; i++)
		loop_turn(1);
	assert_int_equal(t.gone, 0);
	let_go(3);
	turns_until(&t.gone, 1);
	assert_int_equal(t.handled, 3);
}

static void
stopping_cancels(void **state)
{
	(void)state;
	start(5);
	turns_until(&t.count, 5);
	server_stop(t.server);
	t.count = 0;
	turns_until(&t.answered, 5);
	assert_int_equal(t.handled, 5);
	assert_int_equal(t.cancelled, 5);
	assert_int_equal(server_busy(t.server), 0);
}

static void
beyond_credits_the_link_ends(void **state)
{
	int fd = join();

	(void)state;
	send_calls(fd, LINK_CREDITS + 1);
	turns_until(&t.count, LINK_CREDITS);
	assert_int_equal(t.gone, 0);
	let_go(LINK_CREDITS);
	turns_until(&t.gone, 1);
	close(fd);
}

static void
a_malformed_call_ends_its_link(void **state)
{
	/* resolve with a name of 256 bytes */
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	char name[256] = { 'x' };
	int fd = join();

	(void)state;
	hello_encode(&f, RELAY);
	assert_int_equal(frame_send(fd, &f, true), 1);
	frame_begin(&f, VERB_resolve, FRAME_CALL, 1, 0);
	put_bytes(&f.bytes, span_of(name, sizeof(name)));
	put_u32(&f.bytes, 1);
	assert_int_equal(frame_send(fd, &f, true), 1);
	frame_free(&f);
	turns_until(&t.gone, 1);
	assert_int_equal(t.count, 0);
	assert_int_equal(server_busy(t.server), 0);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(handlers_wait_side_by_side,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(a_peer_dies_meanwhile, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(stopping_cancels, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(beyond_credits_the_link_ends,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(a_malformed_call_ends_its_link,
		    setup, teardown),
	};

	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_FORMAT_TEXT,
	    "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_loop.c - one thread's events. */
#include "io/loop.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>


static int
open_loop(void **state)
{
	(void)state;
	clock_test_set((monotime_t){ 1000 }, 0);
	return loop_open() == 1 ? 0 : -1;
}

static int
close_loop(void **state)
{
	(void)state;
	clock_test_clear();
	loop_close();
	return 0;
}

/* -- timers ---- */

static int64_t rang[2000];
static size_t rings;

static void
ring(struct timer *t)
{
	rang[rings++] = t->at.ms;
}

static void
timers_ring_in_order(void **state)
{
	static struct timer timers[1000];
	uint32_t x = 12345;

	(void)state;
	rings = 0;
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
			x = x * 1103515245 + 12345;
			timers[i].fn = ring;
			timer_set(&timers[i],
			    (monotime_t){ 1001 + (x >> 8) % 5000 });
		}
	for (size_t i = 0; i < ARRAY_LEN(timers); i += 3) {
		timer_clear(&timers[i]);
		timer_clear(&timers[i]);
	}
	loop_turn(0);
	assert_int_equal(rings, 0);
	clock_test_set((monotime_t){ 3000 }, 0);
	loop_turn(0);
	assert_true(rings > 0 && rings < 666);
	assert_true(rang[rings - 1] <= 3000);
	clock_test_set((monotime_t){ 7000 }, 0);
	loop_turn(0);
	assert_int_equal(rings, 666);
	for (size_t i = 1; i < rings; i++)
		assert_true(rang[i - 1] <= rang[i]);
}

static void
ring_again(struct timer *t)
{
	rings++;
	timer_set(t, clock_mono());
}

static void
timer_set_by_itself_waits_a_turn(void **state)
{
	struct timer t = { .fn = ring_again };

	(void)state;
	rings = 0;
	timer_set(&t, clock_mono());
	loop_turn(0);
	assert_int_equal(rings, 1);
	loop_turn(0);
	assert_int_equal(rings, 2);
	timer_clear(&t);
}

/* -- watches ---- */

struct pair {
	struct watch a, b;
	int seen;
};

static void
clear_both(struct watch *w, uint32_t events)
{
	struct pair *p = w->arg;

	assert_true((events & EPOLLIN) != 0);
	p->seen++;
	watch_clear(&p->a);
	watch_clear(&p->b);
}

static void
cleared_watch_is_not_called(void **state)
{
	struct pair p = { .seen = 0 };
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	p.a = (struct watch){ .fd = fds[0], .fn = clear_both, .arg = &p };
	p.b = (struct watch){ .fd = fds[1], .fn = clear_both, .arg = &p };
	assert_int_equal(watch_set(&p.a, EPOLLIN), 1);
	assert_int_equal(watch_set(&p.b, EPOLLIN), 1);
	assert_int_equal(write(fds[0], "x", 1), 1);
	assert_int_equal(write(fds[1], "x", 1), 1);
	loop_turn(0);
	loop_turn(0);
	assert_int_equal(p.seen, 1);
	watch_close(&p.a);
	watch_close(&p.b);
	assert_int_equal(close(fds[0]), -1);
}

static void
count_event(struct watch *w, uint32_t events)
{
	(void)events;
	++*(int *)w->arg;
}

static void
oneshot_is_armed_again(void **state)
{
	struct watch w = { .fn = count_event };
	int fds[2], seen = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	w.fd = fds[0];
	w.arg = &seen;
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(watch_set(&w, EPOLLIN | EPOLLONESHOT), 1);
	loop_turn(0);
	loop_turn(0);
	assert_int_equal(seen, 1);
	assert_int_equal(watch_set(&w, EPOLLIN | EPOLLONESHOT), 1);
	loop_turn(0);
	assert_int_equal(seen, 2);
	watch_close(&w);
	close(fds[1]);
	w = (struct watch){ .fd = -1, .fn = count_event, .arg = &seen };
	assert_int_equal(watch_set(&w, EPOLLIN), -1);
	assert_int_equal(w.events, 0);
}

/* -- deferred calls, signals, stopping ---- */

static int calls;

static void
call_later(void *arg)
{
	calls++;
	if (arg != NULL)
		loop_defer(call_later, NULL);
}

static void
deferred_calls_belong_to_their_turn(void **state)
{
	(void)state;
	calls = 0;
	for (int i = 0; i < 200; i++)
		loop_defer(call_later, i < 100 ? &calls : NULL);
	loop_turn(INT64_MAX);
	assert_int_equal(calls, 200);
	loop_turn(INT64_MAX);
	assert_int_equal(calls, 300);
	loop_turn(0);
	assert_int_equal(calls, 300);
}

static void
stop_on_signal(int signo, void *arg)
{
	*(int *)arg = signo;
	loop_stop();
}

static void
signals_are_events(void **state)
{
	int got = 0;

	(void)state;
	assert_int_equal(loop_signal(SIGUSR1, stop_on_signal, &got), 1);
	assert_int_equal(loop_signal(SIGUSR2, stop_on_signal, &got), 1);
	kill(getpid(), SIGUSR2);
	assert_int_equal(loop_run(), 1);
	assert_int_equal(got, SIGUSR2);
	kill(getpid(), SIGUSR1);
	assert_int_equal(loop_run(), 1);
	assert_int_equal(got, SIGUSR1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_loop, close_loop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(timers_ring_in_order),
		TEST(timer_set_by_itself_waits_a_turn),
		TEST(cleared_watch_is_not_called),
		TEST(oneshot_is_armed_again),
		TEST(deferred_calls_belong_to_their_turn),
		TEST(signals_are_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_fiber.c - handlers that read from top to bottom. */
#include "io/fiber.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/context.h"
#include "io/loop.h"

/* ThreadSanitizer takes its time over the making of a fiber. */
#ifdef CONTEXT_TSAN
enum { VERY_MANY = 1000 };
#else
enum { VERY_MANY = 100000 };
#endif

/* A fiber that writes down what happens to it. */
struct probe {
	struct fiber *fiber;
	monotime_t deadline;
	int fd;
	int result;
	int error;
	int steps;
};

static int
open_loop(void **state)
{
	(void)state;
	return loop_open() == 1 ? 0 : -1;
}

static int
close_loop(void **state)
{
	(void)state;
	assert_int_equal(fiber_count(), 0);
	clock_test_clear();
	loop_close();
	return 0;
}

static void
wait_once(void *arg)
{
	struct probe *p = arg;

	p->fiber = fiber_self();
	p->steps++;
	p->result = fiber_wait(p->deadline);
	p->error = errno;
	p->steps++;
}

static void
runs_at_once_until_it_waits(void **state)
{
	struct probe p = { .deadline = MONOTIME_NEVER };

	(void)state;
	assert_null(fiber_self());
	assert_int_equal(fiber_start(wait_once, &p), 1);
	assert_null(fiber_self());
	assert_int_equal(p.steps, 1);
	assert_int_equal(fiber_count(), 1);
	loop_turn(0);
	assert_int_equal(p.steps, 1);
	fiber_wake(p.fiber);
	fiber_wake(p.fiber);
	assert_int_equal(p.steps, 1);
	loop_turn(0);
	assert_int_equal(p.steps, 2);
	assert_int_equal(p.result, 1);
}

static void
deadline_ends_a_wait(void **state)
{
	struct probe p = { .deadline = { 1500 } };

	(void)state;
	clock_test_set((monotime_t){ 1000 }, 0);
	fiber_start(wait_once, &p);
	loop_turn(0);
	assert_int_equal(p.steps, 1);
	clock_test_set((monotime_t){ 1499 }, 0);
	loop_turn(0);
	assert_int_equal(p.steps, 1);
	clock_test_set((monotime_t){ 1500 }, 0);
	loop_turn(0);
	assert_int_equal(p.steps, 2);
	assert_int_equal(p.result, 0);
}

static void
wait_thrice(void *arg)
{
	struct probe *p = arg;

	p->fiber = fiber_self();
	for (int i = 0; i < 3; i++) {
		p->result = fiber_wait(p->deadline);
		p->error = errno;
		p->steps++;
	}
}

static void
cancel_fails_every_wait(void **state)
{
	struct probe p = { .deadline = MONOTIME_NEVER };

	(void)state;
	fiber_start(wait_thrice, &p);
	fiber_cancel(p.fiber);
	loop_turn(0);
	assert_int_equal(p.steps, 3);
	assert_int_equal(p.result, -1);
	assert_int_equal(p.error, ECANCELED);
}

static void
wake_self_then_wait(void *arg)
{
	struct probe *p = arg;

	fiber_wake(fiber_self());
	p->result = fiber_wait(MONOTIME_NEVER);
	p->steps++;
	p->error = fiber_wait((monotime_t){ 0 });
	p->steps++;
}

static void
early_wake_is_kept_once(void **state)
{
	struct probe p = { .result = -5, .error = -5 };

	(void)state;
	fiber_start(wake_self_then_wait, &p);
	assert_int_equal(p.steps, 2);
	assert_int_equal(p.result, 1);
	assert_int_equal(p.error, 0);
}

/* -- fibers that start fibers ---- */

static struct probe inner;

static void
start_another(void *arg)
{
	struct probe *p = arg;

	inner = (struct probe){ .deadline = MONOTIME_NEVER };
	p->fiber = fiber_self();
	assert_int_equal(fiber_start(wait_once, &inner), 1);
	assert_ptr_equal(fiber_self(), p->fiber);
	p->steps++;
	fiber_wake(inner.fiber);
	fiber_wait(MONOTIME_NEVER);
	p->steps++;
}

static void
fibers_nest(void **state)
{
	struct probe p = { 0 };

	(void)state;
	fiber_start(start_another, &p);
	assert_int_equal(p.steps, 1);
	assert_int_equal(inner.steps, 1);
	loop_turn(0);
	assert_int_equal(inner.steps, 2);
	fiber_wake(p.fiber);
	loop_turn(0);
	assert_int_equal(p.steps, 2);
}

/* -- descriptors ---- */

static void
wait_fd(void *arg)
{
	struct probe *p = arg;

	p->fiber = fiber_self();
	p->result = fiber_wait_fd(p->fd, POLLIN, p->deadline);
	p->error = errno;
	p->steps++;
}

static void
descriptor_ends_a_wait_and_wakes_are_kept(void **state)
{
	struct probe p = { .deadline = MONOTIME_NEVER };
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	p.fd = fds[0];
	fiber_start(wait_fd, &p);
	loop_turn(0);
	assert_int_equal(p.steps, 0);
	fiber_wake(p.fiber);
	loop_turn(0);
	assert_int_equal(p.steps, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	loop_turn(1000);
	assert_int_equal(p.steps, 1);
	assert_int_equal(p.result, 1);

	p.deadline = (monotime_t){ 10 };
	p.fd = fds[1];
	clock_test_set((monotime_t){ 9 }, 0);
	fiber_start(wait_fd, &p);
	clock_test_set((monotime_t){ 10 }, 0);
	loop_turn(0);
	assert_int_equal(p.steps, 2);
	assert_int_equal(p.result, 0);

	p.deadline = MONOTIME_NEVER;
	fiber_start(wait_fd, &p);
	fiber_cancel(p.fiber);
	loop_turn(0);
	assert_int_equal(p.steps, 3);
	assert_int_equal(p.result, -1);
	assert_int_equal(p.error, ECANCELED);
	close(fds[0]);
	close(fds[1]);
}

static void
outside_a_fiber_the_thread_waits(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(fiber_wait_fd(fds[0], POLLIN, clock_after(1)), 0);
	assert_int_equal(fiber_wait_fd(fds[0], POLLOUT, clock_after(1)), 1);
	assert_int_equal(fiber_wait(clock_after(1)), 0);
	assert_int_equal(fiber_yield(), 1);
	close(fds[0]);
	close(fds[1]);
}

/* -- fairness, numbers ---- */

static void
yield_till_told(void *arg)
{
	struct probe *p = arg;

	while (p->result == 0 && fiber_yield() == 1)
		p->steps++;
}

static void
yielding_starves_nobody(void **state)
{
	struct probe busy = { 0 }, p = { .deadline = MONOTIME_NEVER };
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	p.fd = fds[0];
	fiber_start(wait_fd, &p);
	fiber_start(yield_till_told, &busy);
	assert_int_equal(write(fds[1], "x", 1), 1);
	for (int i = 0; i < 3; i++)
		loop_turn(1000);
	assert_int_equal(p.steps, 1);
	assert_int_equal(busy.steps, 3);
	busy.result = 1;
	loop_turn(0);
	close(fds[0]);
	close(fds[1]);
}

/* Runs for 10 ms between two steps, as far as the clock tells. */
static void
compute_and_share(void *arg)
{
	struct probe *p = arg;

	for (; p->steps < 2; p->steps++) {
		fiber_share();
		clock_test_set((monotime_t){ clock_mono().ms + 10 }, 0);
		p->result = fiber_share();
	}
}

static void
sharing_yields_after_a_while(void **state)
{
	struct probe p = { 0 };

	(void)state;
	clock_test_set((monotime_t){ 1000 }, 0);
	fiber_start(compute_and_share, &p);
	assert_int_equal(p.steps, 0);
	loop_turn(0);
	assert_int_equal(p.steps, 1);
	loop_turn(0);
	assert_int_equal(p.steps, 2);
	assert_int_equal(p.result, 1);
}

static void
count_up(void *arg)
{
	char deep[2048];

	memset(deep, *(int *)arg & 0x7f, sizeof(deep));
	*(int *)arg += deep[2047] == (*(int *)arg & 0x7f);
}

static void
a_hundred_thousand(void **state)
{
	int count = 0;

	(void)state;
	for (int i = 0; i < VERY_MANY; i++)
		assert_int_equal(fiber_start(count_up, &count), 1);
	assert_int_equal(count, VERY_MANY);
	assert_int_equal(fiber_count(), 0);
}

static void
two_thousand_at_once(void **state)
{
	enum { MANY = 2000 };
	struct probe *p = calloc(MANY, sizeof(*p));

	(void)state;
	for (int i = 0; i < MANY; i++) {
		p[i].deadline = MONOTIME_NEVER;
		assert_int_equal(fiber_start(wait_once, &p[i]), 1);
	}
	assert_int_equal(fiber_count(), MANY);
	for (int i = 0; i < MANY; i++)
		fiber_wake(p[i].fiber);
	loop_turn(0);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(p[i].result, 1);
	free(p);
}

/* The registers and control words of one side survive the other. */
static void
compute(void *arg)
{
	double *out = arg, x = 1;

	for (int i = 1; i < 200; i++) {
		x = x * 1.5 + i;
		fiber_yield();
		x = x / 1.25 - i;
	}
	*out = x;
}

static void
registers_survive(void **state)
{
	double a = 0, b = 0, x = 1;

	(void)state;
	fiber_start(compute, &a);
	fiber_start(compute, &b);
	for (int i = 1; i < 200; i++) {
		x = x * 1.5 + i;
		loop_turn(0);
		x = x / 1.25 - i;
	}
	assert_true(a == b);
	assert_true(a == x);
}

/* -- a loop in each of two threads ---- */

static void *
thread_of_fibers(void *arg)
{
	struct probe p = { .deadline = MONOTIME_NEVER };
	int *rounds = arg;

	if (loop_open() != 1)
		return NULL;
	for (int i = 0; i < 1000; i++) {
		fiber_start(wait_once, &p);
		fiber_wake(p.fiber);
		loop_turn(0);
		*rounds += p.result;
	}
	loop_close();
	return NULL;
}

static void
threads_share_nothing(void **state)
{
	pthread_t threads[2];
	int rounds[2] = { 0, 0 };

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
		    thread_of_fibers, &rounds[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(rounds[0], 1000);
	assert_int_equal(rounds[1], 1000);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_loop, close_loop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(runs_at_once_until_it_waits),
		TEST(deadline_ends_a_wait),
		TEST(cancel_fails_every_wait),
		TEST(early_wake_is_kept_once),
		TEST(fibers_nest),
		TEST(descriptor_ends_a_wait_and_wakes_are_kept),
		TEST(outside_a_fiber_the_thread_waits),
		TEST(yielding_starves_nobody),
		TEST(sharing_yields_after_a_while),
		TEST(a_hundred_thousand),
		TEST(two_thousand_at_once),
		TEST(registers_survive),
		TEST(threads_share_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_session.c - connections that are idle, woken, stopped. */
#include "io/session.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/fiber.h"
#include "io/loop.h"
#include "io/session_limit.h"

/* A service that answers each line with itself, and counts its calls. */
struct talker {
	struct session *session;
	bool saw_partial;
};

static struct {
	int opened, inputs, wakes, expired, stopped, closed;
	struct session *last;
	bool wait_in_open;	/* on the stream, for ever */
} seen;

static enum session_next
talker_open(struct session *s, void **state)
{
	struct talker *t = calloc(1, sizeof(*t));

	t->session = s;
	*state = t;
	seen.opened++;
	seen.last = s;
	stream_str(session_stream(s), "hello\n");
	if (seen.wait_in_open)
		stream_fill(session_stream(s), MONOTIME_NEVER);
	return SESSION_PARK;
}

/* One line a call; the session calls again while there are more. */
static enum session_next
talker_input(void *state)
{
	struct talker *t = state;
	struct stream *s = session_stream(t->session);
	struct span in = stream_input(s), line;
	size_t at = span_find_char(in, '\n', 0);

	seen.inputs++;
	if (at >= in.n)
		return SESSION_PARK;
	line = span_sub(in, 0, at + 1);
	stream_write(s, line);
	stream_take(s, line.n);
	return span_is(line, "quit\n") ? SESSION_CLOSE : SESSION_PARK;
}

static enum session_next
talker_wake(void *state)
{
	struct talker *t = state;

	seen.wakes++;
	stream_str(session_stream(t->session), "woken\n");
	return SESSION_PARK;
}

static enum session_next
talker_expire(void *state)
{
	struct talker *t = state;

	seen.expired++;
	stream_str(session_stream(t->session), "bye\n");
	return SESSION_CLOSE;
}

static void
talker_stop(void *state)
{
	struct talker *t = state;

	seen.stopped++;
	stream_str(session_stream(t->session), "stopping\n");
}

static void
talker_close(void *state)
{
	seen.closed++;
	free(state);
}

static const struct service talker = {
	.name = "talker", .open = talker_open, .input = talker_input,
	.wake = talker_wake, .expire = talker_expire, .stop = talker_stop,
	.close = talker_close,
};

static const struct listener_options plain = { .service = &talker };

/* -- helpers ---- */

static int
open_loop(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	/* The clock stands: no fiber yields for having run long. */
	clock_test_set((monotime_t){ 1000 }, 0);
	return loop_open() == 1 ? 0 : -1;
}

static int
close_loop(void **state)
{
	(void)state;
	clock_test_clear();
	assert_int_equal(session_count(NULL), 0);
	assert_int_equal(session_count_parked(), 0);
	assert_int_equal(fiber_count(), 0);
	loop_close();
	return 0;
}

static int
start(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	assert_int_equal(session_start(&plain, fds[0]), 1);
	return fds[1];
}

static void
turns(int n)
{
	while (n-- > 0)
		loop_turn(0);
}

static void
send_str(int fd, const char *str)
{
	assert_int_equal(write(fd, str, strlen(str)), strlen(str));
}

static void
expect(int fd, const char *str)
{
	char buf[1000];
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	buf[MAX(n, 0)] = '\0';
	assert_string_equal(buf, str);
}

static void
expect_end(int fd)
{
	char c;

	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
}

/* -- one session ---- */

static void
greets_parks_answers(void **state)
{
	int fd = start();

	(void)state;
	expect(fd, "hello\n");
	assert_int_equal(session_count(NULL), 1);
	assert_int_equal(session_count(&talker), 1);
	assert_int_equal(session_count_parked(), 1);
	assert_int_equal(fiber_count(), 0);
	turns(3);
	assert_int_equal(seen.inputs, 0);
	send_str(fd, "one\n");
	turns(2);
	expect(fd, "one\n");
	assert_int_equal(session_count_parked(), 1);
	assert_int_equal(fiber_count(), 0);
	send_str(fd, "two\nthree\nquit\nnever\n");
	turns(2);
	expect(fd, "two\nthree\nquit\n");
	close(fd);
	turns(3);
	assert_int_equal(seen.closed, 1);
}

static void
part_of_a_line_is_parked_with(void **state)
{
	int fd = start();

	(void)state;
	expect(fd, "hello\n");
	for (int i = 0; i < 3; i++) {
		send_str(fd, "ab");
		turns(3);
		assert_int_equal(session_count_parked(), 1);
		assert_int_equal(fiber_count(), 0);
		assert_int_equal(seen.inputs, i + 1);
	}
	send_str(fd, "\nquit");
	turns(3);
	expect(fd, "ababab\n");
	assert_int_equal(session_count_parked(), 1);
	/* The end comes before the line does. */
	shutdown(fd, SHUT_WR);
	turns(3);
	expect_end(fd);
	assert_int_equal(seen.closed, 1);
}

static void
half_closed_peer_gets_its_answers(void **state)
{
	int fd = start();

	(void)state;
	send_str(fd, "one\ntwo\n");
	shutdown(fd, SHUT_WR);
	turns(3);
	expect(fd, "hello\none\ntwo\n");
	expect_end(fd);
	assert_int_equal(seen.closed, 1);
}

static void
vanished_peer_is_closed(void **state)
{
	int fd = start();

	(void)state;
	turns(2);
	close(fd);
	turns(3);
	assert_int_equal(seen.closed, 1);
	assert_int_equal(seen.inputs, 0);
}

static void
wakes_while_parked(void **state)
{
	int fd = start();

	(void)state;
	expect(fd, "hello\n");
	session_wake(seen.last);
	session_wake(seen.last);
	turns(1);
	expect(fd, "woken\n");
	assert_int_equal(seen.wakes, 1);
	assert_int_equal(session_count_parked(), 1);
	send_str(fd, "one\n");
	session_wake(seen.last);
	turns(3);
	expect(fd, "woken\none\n");
	assert_int_equal(seen.wakes, 2);
	close(fd);
	turns(3);
}

static void
wakes_while_running(void **state)
{
	int fd;

	(void)state;
	seen.wait_in_open = true;
	fd = start();
	session_wake(seen.last);
	turns(2);
	expect(fd, "hello\n");
	assert_int_equal(seen.wakes, 0);
	send_str(fd, "one\n");
	turns(2);
	expect(fd, "woken\none\n");
	close(fd);
	turns(3);
}

static void
expires_at_its_deadline(void **state)
{
	int fd;

	(void)state;
	fd = start();
	expect(fd, "hello\n");
	session_deadline(seen.last, (monotime_t){ 5000 });
	session_wake(seen.last);
	turns(1);
	expect(fd, "woken\n");
	clock_test_set((monotime_t){ 4999 }, 0);
	turns(2);
	assert_int_equal(seen.expired, 0);
	clock_test_set((monotime_t){ 5000 }, 0);
	turns(2);
	assert_int_equal(seen.expired, 1);
	expect(fd, "bye\n");
	expect_end(fd);
}

static void
identity_of_a_session(void **state)
{
	char first[20];
	int a = start(), b;

	(void)state;
	snprintf(first, sizeof(first), "%s", session_id(seen.last));
	assert_string_equal(session_peer(seen.last)->address, "127.0.0.1");
	assert_true(session_peer(seen.last)->loopback);
	assert_null(session_tls(seen.last));
	b = start();
	assert_string_not_equal(session_id(seen.last), first);
	close(a);
	close(b);
	turns(3);
}

/* -- a port ---- */

static int
listen_on_loopback(struct sockaddr_in *at)
{
	socklen_t size = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	*at = (struct sockaddr_in){ .sin_family = AF_INET,
	    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	assert_int_equal(bind(fd, (void *)at, sizeof(*at)), 0);
	assert_int_equal(listen(fd, 100), 0);
	assert_int_equal(getsockname(fd, (void *)at, &size), 0);
	return fd;
}

static int
connect_loopback(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (const void *)at, sizeof(*at)), 0);
	return fd;
}

static void
port_accepts_within_its_limits(void **state)
{
	struct listener_options o = plain;
	struct sockaddr_in at;
	struct listener *l;
	int fds[5];

	(void)state;
	o.fd = listen_on_loopback(&at);
	o.max_sessions = 100;
	o.max_per_address = 3;
	o.busy_answer = "421 too many\r\n";
	l = listener_open(&o);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = connect_loopback(&at);
	turns(2);
	assert_int_equal(seen.opened, 3);
	assert_int_equal(session_peer(seen.last)->local_port,
	    ntohs(at.sin_port));
	assert_true(session_peer(seen.last)->port != 0);
	expect(fds[0], "hello\n");
	expect(fds[3], "421 too many\r\n");
	expect_end(fds[3]);
	close(fds[4]);
	close(fds[0]);
	turns(3);
	assert_int_equal(session_count(NULL), 2);
	fds[0] = connect_loopback(&at);
	turns(2);
	expect(fds[0], "hello\n");
	listener_close(&l);
	assert_null(l);
	assert_int_equal(session_count(NULL), 3);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	turns(3);
}

static void
port_rests_without_descriptors(void **state)
{
	struct listener_options o = plain;
	struct rlimit was, none;
	struct sockaddr_in at;
	struct listener *l;
	int fd, low;

	(void)state;
	o.fd = listen_on_loopback(&at);
	l = listener_open(&o);
	fd = connect_loopback(&at);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	low = dup(0);
	close(low);
	none = was;
	none.rlim_cur = (rlim_t)low;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	turns(3);
	assert_int_equal(seen.opened, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	turns(3);
	assert_int_equal(seen.opened, 0);
	clock_test_set((monotime_t){ 2000 }, 0);
	turns(3);
	assert_int_equal(seen.opened, 1);
	close(fd);
	turns(3);
	listener_close(&l);
}

/* The last ones are for what the sessions do. */
static void
port_leaves_some_descriptors(void **state)
{
	struct listener_options o = plain;
	struct rlimit was, few;
	struct sockaddr_in at;
	struct listener *l;
	int fd, taken[128], n = 0;

	(void)state;
	o.fd = listen_on_loopback(&at);
	fd = connect_loopback(&at);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = was;
	few.rlim_cur = ARRAY_LEN(taken);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	l = listener_open(&o);
	do {
		taken[n] = dup(0);
		assert_int_not_equal(taken[n], -1);
	} while (taken[n++] < (int)few.rlim_cur - 2);
	close(taken[--n]);
	turns(3);
	assert_int_equal(seen.opened, 0);
	while (n > 0)
		close(taken[--n]);
	clock_test_set((monotime_t){ 2000 }, 0);
	turns(3);
	assert_int_equal(seen.opened, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	close(fd);
	turns(3);
	listener_close(&l);
}

/* -- neighbourhoods ---- */

static struct session_place *
place_for(const char *address, size_t max_per_address)
{
	struct sockaddr_storage from = { 0 };
	struct sockaddr_in6 *in6 = (void *)&from;
	struct sockaddr_in *in = (void *)&from;

	from.ss_family = AF_INET;
	if (inet_pton(AF_INET, address, &in->sin_addr) != 1) {
		from.ss_family = AF_INET6;
		assert_int_equal(inet_pton(AF_INET6, address,
		    &in6->sin6_addr), 1);
	}
	return session_place_take(&talker, &from, 0, max_per_address);
}

static void
neighbours_share_a_limit(void **state)
{
	struct session_place *p[5];

	(void)state;
	p[0] = place_for("192.0.2.1", 2);
	p[1] = place_for("::ffff:192.0.2.1", 2);
	assert_null(place_for("192.0.2.1", 2));
	p[2] = place_for("192.0.2.2", 2);
	p[3] = place_for("2001:db8:1:2:3::4", 2);
	p[4] = place_for("2001:db8:1:2:ffff::", 2);
	assert_null(place_for("2001:db8:1:2::", 2));
	assert_int_equal(session_place_count(&talker), 5);
	session_place_give(p[4]);
	p[4] = place_for("2001:db8:1:3::", 1);
	assert_non_null(p[4]);
	for (size_t i = 0; i < ARRAY_LEN(p); i++)
		session_place_give(p[i]);
	assert_int_equal(session_place_count(NULL), 0);
}

/* -- stopping ---- */

static void
all_stopped(void *arg)
{
	++*(int *)arg;
}

static void
stop_says_goodbye_to_all(void **state)
{
	int fds[20], done = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = start();
	session_stop_all(1000, all_stopped, &done);
	turns(3);
	assert_int_equal(done, 1);
	assert_int_equal(seen.stopped, 20);
	assert_int_equal(seen.closed, 20);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		expect(fds[i], "hello\nstopping\n");
		expect_end(fds[i]);
	}
	session_stop_all(1000, all_stopped, &done);
	turns(2);
	assert_int_equal(done, 2);
}

static void
stop_cuts_the_stubborn(void **state)
{
	int fd, done = 0;

	(void)state;
	seen.wait_in_open = true;
	fd = start();
	session_stop_all(500, all_stopped, &done);
	turns(2);
	assert_int_equal(done, 0);
	assert_int_equal(session_start(&plain, dup(fd)), 0);
	clock_test_set((monotime_t){ 1500 }, 0);
	turns(3);
	assert_int_equal(done, 1);
	assert_int_equal(seen.stopped, 1);
	assert_int_equal(seen.closed, 1);
	expect(fd, "hello\nstopping\n");
	expect_end(fd);
}

/* -- numbers ---- */

/* As many of the 10 000 as there may be descriptors for. */
static size_t
how_many(size_t wanted)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	return MIN(wanted, (size_t)(r.rlim_cur - 100) / 2);
}

static void
ten_thousand_parked(void **state)
{
	size_t many = how_many(10000);
	int *fds = calloc(many, sizeof(*fds));

	(void)state;
	for (size_t i = 0; i < many; i++)
		fds[i] = start();
	assert_int_equal(session_count_parked(), many);
	assert_int_equal(fiber_count(), 0);
	for (size_t i = 0; i < many; i += 7)
		send_str(fds[i], "one\n");
	while (seen.inputs < (int)((many + 6) / 7))
		loop_turn(0);
	turns(3);
	assert_int_equal(session_count_parked(), many);
	for (size_t i = 0; i < many; i++)
		expect(fds[i], i % 7 == 0 ? "hello\none\n" : "hello\n");
	for (size_t i = 0; i < many; i++)
		close(fds[i]);
	while (session_count(NULL) > 0)
		loop_turn(1000);
	free(fds);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_loop, close_loop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(greets_parks_answers),
		TEST(part_of_a_line_is_parked_with),
		TEST(half_closed_peer_gets_its_answers),
		TEST(vanished_peer_is_closed),
		TEST(wakes_while_parked),
		TEST(wakes_while_running),
		TEST(expires_at_its_deadline),
		TEST(identity_of_a_session),
		TEST(port_accepts_within_its_limits),
		TEST(port_rests_without_descriptors),
		TEST(port_leaves_some_descriptors),
		TEST(neighbours_share_a_limit),
		TEST(stop_says_goodbye_to_all),
		TEST(stop_cuts_the_stubborn),
		TEST(ten_thousand_parked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_dial.c - connections made: TCP and Unix sockets, refused and too late. */
#include "io/dial.h"
#include "io/fiber.h"
#include "io/loop.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static const uint8_t loopback[4] = { 127, 0, 0, 1 };

/* A listening socket, with room for `backlog`, and its port. */
static int
listener(int backlog, uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static void
tcp_is_connected_from_where_it_is_told(void **state)
{
	static const uint8_t other[4] = { 127, 0, 0, 9 };
	uint16_t port;
	int there = listener(8, &port), fd, one = 0;
	struct dial d = dial_ip(AF_INET, loopback, port);
	struct sockaddr_in a;
	socklen_t n = sizeof(a), m = sizeof(one);

	(void)state;
	dial_from(&d, AF_INET6, (const uint8_t [16]){ 0 });
	assert_int_equal(d.from_n, 0);
	dial_from(&d, AF_INET, other);
	fd = dial(&d, clock_after(5000));
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	assert_int_equal(ntohl(a.sin_addr.s_addr), 0x7f000009);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, &m),
	    0);
	assert_true(one != 0);
	close(fd);
	close(there);
}

static void
nobody_there_is_told(void **state)
{
	uint16_t port;
	int there = listener(1, &port);
	struct dial d = dial_ip(AF_INET, loopback, port);

	(void)state;
	close(there);
	assert_int_equal(dial(&d, clock_after(5000)), -1);
	assert_int_equal(errno, ECONNREFUSED);
}

static void
unix_sockets_too(void **state)
{
	char path[64], long_[200];
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct dial d;
	int there = socket(AF_UNIX, SOCK_STREAM, 0), fd;

	(void)state;
	memset(long_, 'x', sizeof(long_));
	assert_int_equal(dial_unix(&d, span_of(long_, sizeof(long_))), 0);
	assert_int_equal(dial_unix(&d, SPAN_EMPTY), 0);
	snprintf(path, sizeof(path), "/tmp/test_dial.%d", (int)getpid());
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_int_equal(bind(there, (const struct sockaddr *)&a,
	    sizeof(a)), 0);
	assert_int_equal(listen(there, 2), 0);
	assert_int_equal(dial_unix(&d, span_str(path)), 1);
	fd = dial(&d, clock_after(5000));
	assert_true(fd >= 0);
	close(fd);
	close(there);
	assert_int_equal(dial(&d, clock_after(5000)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	unlink(path);
}

/* A listener whose line is full answers no more: others run meanwhile. */
static struct {
	struct dial to;
	int error;
	bool done;
} late;

static void
dial_late(void *arg)
{
	(void)arg;
	if (dial(&late.to, clock_after(100)) < 0)
		late.error = errno;
	late.done = true;
}

static void
it_is_waited_no_longer_than_that(void **state)
{
	uint16_t port;
	int there = listener(0, &port), held[8];
	size_t n = 0;

	(void)state;
	late.to = dial_ip(AF_INET, loopback, port);
	assert_int_equal(loop_open(), 1);
	do {
		held[n] = dial(&late.to, clock_after(50));
	} while (held[n] >= 0 && ++n < 8);
	assert_true(n < 8);
	fiber_start(dial_late, NULL);
	assert_false(late.done);
	for (int i = 0; i < 1000 && !late.done; i++)
		loop_turn(10);
	assert_true(late.done);
	assert_int_equal(late.error, ETIMEDOUT);
	while (n > 0)
		close(held[--n]);
	close(there);
	fiber_trim();
	loop_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_is_connected_from_where_it_is_told),
		cmocka_unit_test(nobody_there_is_told),
		cmocka_unit_test(unix_sockets_too),
		cmocka_unit_test(it_is_waited_no_longer_than_that),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_proxy.c - PROXY headers, whole and in pieces, and sessions behind a
 * proxy.
 */
#include "io/proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "io/loop.h"
#include "io/session.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* "192.0.2.1 1234", "-" the proxy itself, "?" more, "!" no header. */
static const char *
understood(struct span s)
{
	static char out[80];
	char host[INET6_ADDRSTRLEN];
	struct proxy_header h;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	int status = proxy_parse(s, &h);

	if (status != 1)
		return status == 0 ? "?" : "!";
	if (!h.has_client)
		return "-";
	memcpy(&in, &h.client, sizeof(in));
	memcpy(&in6, &h.client, sizeof(in6));
	if (in.sin_family == AF_INET)
		snprintf(out, sizeof(out), "%s %u", inet_ntop(AF_INET,
		    &in.sin_addr, host, sizeof(host)), ntohs(in.sin_port));
	else
		snprintf(out, sizeof(out), "%s %u", inet_ntop(AF_INET6,
		    &in6.sin6_addr, host, sizeof(host)),
		    ntohs(in6.sin6_port));
	return out;
}

static const struct { struct span s; const char *is; size_t size; } rows[] = {
	{ SPAN("PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\n"),
	    "192.0.2.1 56324", 44 },
	{ SPAN("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"),
	    "2001:db8::1 1", 44 },
	{ SPAN("PROXY UNKNOWN\r\n"), "-", 15 },
	{ SPAN("PROXY UNKNOWN ffff::1 what ever 99999 x\r\n"), "-", 41 },
	{ SPAN(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x04\xd2\0\x19"),
	    "192.0.2.1 1234", 28 },
	{ SPAN(SIGNATURE "\x21\x11\0\x13\xc0\0\2\1\xc6\x33\x64\1\x04\xd2\0\x19"
	    "\x04\0\4abcd"), "192.0.2.1 1234", 35 },
	{ SPAN(SIGNATURE "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
	    "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\0\x50\0\x19"),
	    "2001:db8::1 80", 52 },
	{ SPAN(SIGNATURE "\x20\0\0\0"), "-", 16 },
	{ SPAN(SIGNATURE "\x20\x11\0\x0c"), "-", 28 },
	{ SPAN(SIGNATURE "\x21\0\0\0"), "-", 16 },
	{ SPAN(SIGNATURE "\x21\x31\0\xd8"), "-", 232 },
};

static void
test_headers(void **state)
{
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_string_equal(understood(rows[i].s), rows[i].is);
		assert_int_equal(proxy_parse(rows[i].s, &h), 1);
		assert_int_equal(h.size, rows[i].size);
	}
}

/* Until it is known, everything that was shown belongs to the header. */
static void
test_every_piece(void **state)
{
	struct proxy_header h, whole;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(proxy_parse(rows[i].s, &whole), 1);
		for (size_t n = 0; n < rows[i].s.n; n++) {
			int status = proxy_parse(span_sub(rows[i].s, 0, n), &h);

			assert_int_not_equal(status, -1);
			assert_true(n <= whole.size);
			if (status == 1)
				assert_int_equal(h.size, whole.size);
		}
	}
}

static void
test_nonsense(void **state)
{
	static const struct span bad[] = {
		SPAN("EHLO x\r\n"), SPAN("P\r\n"), SPAN("PROXY\r\n"),
		SPAN("PROXY \r\n"), SPAN("PROXY \n"),
		SPAN("PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\n"),
		SPAN("PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n"),
		SPAN("PROXY TCP4 192.0.2.1 198.51.100.1 56324 65536\r\n"),
		SPAN("PROXY TCP4 192.0.2.1 198.51.100.1 056324 25\r\n"),
		SPAN("PROXY TCP4 192.0.2.1  198.51.100.1 56324 25\r\n"),
		SPAN("PROXY TCP4 ::1 198.51.100.1 56324 25\r\n"),
		SPAN("PROXY TCP6 192.0.2.1 ::1 56324 25\r\n"),
		SPAN("PROXY UDP4 192.0.2.1 192.0.2.2 1 25\r\n"),
		SPAN("PROXY TCP4 192.0.2.1 198.51.100.1 5 25 x\r\n"),
		SPAN(SIGNATURE "\x11\x11\0\x0c"),	/* version 1 */
		SPAN(SIGNATURE "\x22\x11\0\x0c"),	/* no such command */
		SPAN(SIGNATURE "\x21\x11\0\x0b"),	/* too short */
		SPAN(SIGNATURE "\x21\x12\0\x0c"),	/* datagrams */
		SPAN(SIGNATURE "\x21\x41\0\x0c"),	/* no such family */
		SPAN("\r\n\r\n\0\r\nQUIT\r"),
	};
	char line[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_string_equal(understood(bad[i]), "!");
	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	assert_string_equal(understood(span_of(line, 106)), "?");
	assert_string_equal(understood(span_of(line, 107)), "!");
	memcpy(line + 106, "\r\n", 2);
	assert_string_equal(understood(span_of(line, 108)), "!");
	memcpy(line + 105, "\r\n", 2);
	assert_string_equal(understood(span_of(line, 107)), "-");
}

/* ---- sessions ------------------------------------------------------------- */

static struct {
	int opened, closed;
	char peer[64];
	uint16_t port;
	char said[64];
} seen;

static enum session_next
quiet_open(struct session *s, void **state)
{
	seen.opened++;
	snprintf(seen.peer, sizeof(seen.peer), "%s",
	    session_peer(s)->address);
	seen.port = session_peer(s)->port;
	*state = s;
	return SESSION_PARK;
}

static enum session_next
quiet_input(void *state)
{
	struct span in = stream_input(session_stream(state));

	snprintf(seen.said, sizeof(seen.said), "%.*s", SPAN_ARG(in));
	stream_take(session_stream(state), in.n);
	return SESSION_PARK;
}

static void
quiet_close(void *state)
{
	(void)state;
	seen.closed++;
}

static const struct service quiet = { .name = "quiet", .open = quiet_open,
	.input = quiet_input, .close = quiet_close };

static bool
everybody(void *arg, const char *address)
{
	(void)arg;
	assert_string_equal(address, "127.0.0.1");
	return true;
}

static void
turns(void)
{
	for (int i = 0; i < 6; i++)
		loop_turn(0);
}

static int
connect_to(size_t max_per_address)
{
	struct listener_options options = { .service = &quiet,
	    .proxied = everybody, .handshake_timeout = 1000,
	    .max_per_address = max_per_address };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    pair), 0);
	assert_int_equal(session_start(&options, pair[0]), 1);
	turns();
	return pair[1];
}

static void
say(int fd, struct span s)
{
	assert_int_equal(send(fd, s.p, s.n, MSG_NOSIGNAL), s.n);
	turns();
}

static void
test_client_behind(void **state)
{
	int fd;

	(void)state;
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(loop_open(), 1);
	fd = connect_to(1);
	assert_int_equal(seen.opened, 0);
	for (size_t i = 0; i < rows[5].s.n; i++)	/* byte by byte */
		say(fd, span_sub(rows[5].s, i, 1));
	assert_int_equal(seen.opened, 1);
	assert_string_equal(seen.peer, "192.0.2.1");
	assert_int_equal(seen.port, 1234);
	say(fd, SPAN("hello"));
	assert_string_equal(seen.said, "hello");
	close(fd);
	turns();
	assert_int_equal(seen.closed, 1);
	/* Behind it in one packet, and not a byte of it lost. */
	fd = connect_to(1);
	say(fd, SPAN("PROXY TCP4 192.0.2.7 192.0.2.8 7 25\r\nat once"));
	assert_string_equal(seen.peer, "192.0.2.7");
	assert_string_equal(seen.said, "at once");
	close(fd);
	turns();
	assert_int_equal(session_count(NULL), 0);
	loop_close();
}

/* The limit of an address is its own, not the proxy's. */
static void
test_limits_behind(void **state)
{
	static const char *const headers[] = {
		"PROXY TCP4 192.0.2.1 192.0.2.9 7 25\r\n",
		"PROXY TCP4 192.0.2.2 192.0.2.9 7 25\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.9 8 25\r\n",
	};
	int fds[3];
	char byte;

	(void)state;
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(loop_open(), 1);
	for (int i = 0; i < 3; i++) {
		fds[i] = connect_to(1);
		say(fds[i], span_str(headers[i]));
	}
	assert_int_equal(seen.opened, 2);
	assert_int_equal(session_count(&quiet), 2);
	assert_int_equal(recv(fds[2], &byte, 1, MSG_DONTWAIT), 0);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	turns();
	assert_int_equal(session_count(NULL), 0);
	loop_close();
}

static void
test_no_header(void **state)
{
	char byte;
	int fd;
	monotime_t now = clock_mono();

	(void)state;
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(loop_open(), 1);
	fd = connect_to(0);
	say(fd, SPAN("EHLO x\r\n"));
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
	close(fd);
	turns();
	assert_int_equal(session_count(NULL), 0);
	clock_test_set(now, 0);
	fd = connect_to(0);		/* says nothing at all */
	assert_int_equal(session_count(NULL), 1);
	now.ms += 1001;
	clock_test_set(now, 0);
	turns();
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
	clock_test_clear();
	close(fd);
	turns();
	assert_int_equal(session_count(NULL), 0);
	assert_int_equal(seen.opened, 0);
	loop_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_every_piece),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_client_behind),
		cmocka_unit_test(test_limits_behind),
		cmocka_unit_test(test_no_header),
	};

	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_FORMAT_TEXT,
	    "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

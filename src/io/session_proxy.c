/*
 * session_proxy.c - reading a PROXY header off a new connection.
 *
 * What is there is looked at first (MSG_PEEK) and only what belongs to the
 * header is taken.
 */
#include "io/session_proxy.h"

#include <poll.h>

#include "io/fiber.h"

/* Some bytes, not taken off; 1, 0. */
static int
look(int fd, char *p, size_t room, size_t *n, monotime_t deadline)
{
	ssize_t got;

	while ((got = recv(fd, p, room, MSG_PEEK | MSG_DONTWAIT)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return 0;
		if (fiber_wait_fd(fd, POLLIN, deadline) != 1)
			return 0;
	}
	*n = (size_t)got;
	return got > 0;
}

/* Exactly n bytes off. 1, 0. */
static int
take(int fd, size_t n, monotime_t deadline)
{
	char bytes[1024];
	size_t seen;

	while (n > 0) {
		if (look(fd, bytes, MIN(n, sizeof(bytes)), &seen,
		    deadline) != 1 || recv(fd, bytes, seen, MSG_DONTWAIT) !=
		    (ssize_t)seen)
			return 0;
		n -= seen;
	}
	return 1;
}

int
session_proxy_read(int fd, struct proxy_header *h, monotime_t deadline)
{
	char bytes[PROXY_SEEN_MAX];
	size_t taken = 0, seen;
	int status;

	do {
		must(taken < sizeof(bytes));
		if (look(fd, bytes + taken, sizeof(bytes) - taken, &seen,
		    deadline) != 1)
			return 0;
		status = proxy_parse(span_of(bytes, taken + seen), h);
		if (status < 0)
			return 0;
		if (status == 1)
			return take(fd, h->size - taken, deadline);
		taken += seen;
	} while (take(fd, seen, deadline) == 1);
	return 0;
}

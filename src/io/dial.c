/*
 * dial.c - connect(2) that waits on a fiber.
 */
#include "io/dial.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/fiber.h"

static socklen_t
fill(struct sockaddr_storage *out, int family, const uint8_t *address,
    uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
	    .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
	    .sin6_port = htons(port) };

	if (family == AF_INET6) {
		memcpy(&v6.sin6_addr, address, 16);
		memcpy(out, &v6, sizeof(v6));
		return sizeof(v6);
	}
	must(family == AF_INET);
	memcpy(&v4.sin_addr, address, 4);
	memcpy(out, &v4, sizeof(v4));
	return sizeof(v4);
}

struct dial
dial_ip(int family, const uint8_t *address, uint16_t port)
{
	struct dial d = { .from_n = 0 };

	d.to_n = fill(&d.to, family, address, port);
	return d;
}

void
dial_from(struct dial *d, int family, const uint8_t *address)
{
	if (d->to.ss_family == family)
		d->from_n = fill(&d->from, family, address, 0);
}

int
dial_unix(struct dial *d, struct span path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	*d = (struct dial){ .from_n = 0 };
	if (path.n == 0 || path.n >= sizeof(at.sun_path))
		return 0;
	memcpy(at.sun_path, path.p, path.n);
	memcpy(&d->to, &at, sizeof(at));
	d->to_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
	    path.n + 1);
	return 1;
}

/* What became of a connect that was under way; 0 or an errno. */
static int
outcome(int fd)
{
	socklen_t n = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
		return errno;
	return error;
}

static int
wait_connected(int fd, monotime_t deadline)
{
	int done = fiber_wait_fd(fd, POLLOUT, deadline);

	if (done == 1)
		return outcome(fd);
	return done == 0 ? ETIMEDOUT : errno;
}

static int
connect_to(int fd, const struct dial *d, monotime_t deadline)
{
	int one = 1;

	if (d->to.ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* The port is chosen when the other end is known: many may share. */
	if (d->from_n > 0)
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
		    sizeof(one));
	if (d->from_n > 0 && bind(fd, (const struct sockaddr *)&d->from,
	    d->from_n) != 0)
		return errno;
	if (connect(fd, (const struct sockaddr *)&d->to, d->to_n) == 0)
		return 0;
	return errno == EINPROGRESS ? wait_connected(fd, deadline) : errno;
}

int
dial(const struct dial *d, monotime_t deadline)
{
	int fd = socket(d->to.ss_family, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -1;
	error = connect_to(fd, d, deadline);
	if (error == 0)
		return fd;
	close(fd);
	errno = error;
	return -1;
}

/*
 * listen.c - where to listen.
 */
#include "role/listen.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	HOST_MAX = 64,
	PATH_ROOM = 32,		/* for the directory of a relative path */
};

static struct listen_address
ipv4(struct in_addr host, unsigned port)
{
	struct listen_address a = { .n = sizeof(struct sockaddr_in) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = host,
	    .sin_port = htons((uint16_t)port) };

	memcpy(&a.a, &in, sizeof(in));
	return a;
}

static struct listen_address
ipv6(struct in6_addr host, unsigned port)
{
	struct listen_address a = { .n = sizeof(struct sockaddr_in6) };
	struct sockaddr_in6 in = { .sin6_family = AF_INET6, .sin6_addr = host,
	    .sin6_port = htons((uint16_t)port) };

	memcpy(&a.a, &in, sizeof(in));
	return a;
}

/* Both families at once. */
static size_t
every_address(bool loopback, unsigned port, struct listen_address *out)
{
	struct in_addr four = { htonl(loopback ? INADDR_LOOPBACK :
	    INADDR_ANY) };

	out[0] = ipv4(four, port);
	out[1] = ipv6(loopback ? in6addr_loopback : in6addr_any, port);
	out[0].any = out[1].any = true;
	return 2;
}

/* "host:port": host without its brackets. 1, 0. */
static int
split_port(struct span word, struct span *host, bool *brackets,
    uint32_t *port)
{
	size_t at = SIZE_MAX;

	for (size_t i = word.n; i > 0 && at == SIZE_MAX; i--)
		if (word.p[i - 1] == ':')
			at = i - 1;
	if (at == SIZE_MAX || span_u32(span_from(word, at + 1), port) != 1 ||
	    *port == 0 || *port > 65535)
		return 0;
	*host = span_sub(word, 0, at);
	*brackets = host->n >= 2 && host->p[0] == '[' &&
	    host->p[host->n - 1] == ']';
	if (*brackets)
		*host = span_sub(*host, 1, host->n - 2);
	return 1;
}

/* "unix:PATH". What is relative gets a directory in front later. */
static size_t
parse_path(struct span path, struct listen_address *out)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (path.n == 0 || path.n >= sizeof(un.sun_path) - PATH_ROOM)
		return 0;
	memcpy(un.sun_path, path.p, path.n);
	*out = (struct listen_address){ .n = sizeof(un) };
	memcpy(&out->a, &un, sizeof(un));
	return 1;
}

/* One word's addresses; how many, 0: it is none. */
static size_t
parse_word(struct span word, unsigned offset, struct listen_address *out)
{
	const struct span local = SPAN("unix:");

	char host[HOST_MAX];
	struct in6_addr six;
	struct in_addr four;
	struct span h;
	uint32_t port;
	bool brackets;

	if (span_starts(word, local))
		return parse_path(span_from(word, local.n), out);
	if (split_port(word, &h, &brackets, &port) != 1 ||
	    port + offset > 65535 || h.n >= sizeof(host))
		return 0;
	if (!brackets && span_is(h, "*"))
		return every_address(offset > 0, port + offset, out);
	memcpy(host, h.p, h.n);
	host[h.n] = '\0';
	if (brackets ? inet_pton(AF_INET6, host, &six) != 1 :
	    inet_pton(AF_INET, host, &four) != 1)
		return 0;
	*out = brackets ? ipv6(six, port + offset) : ipv4(four, port + offset);
	return 1;
}

int
listen_parse(struct span list, unsigned offset,
    struct listen_address out[LISTEN_MAX], size_t *count,
    struct text *why)
{
	struct span word;
	size_t n;

	*count = 0;
	for (word = span_word(&list); word.n > 0; word = span_word(&list)) {
		if (*count + 2 > LISTEN_MAX) {
			text_str(why, "too many addresses");
			return 0;
		}
		n = parse_word(word, offset, out + *count);
		if (n == 0) {
			text_printf(why, "not an address and port: %.*s",
			    SPAN_ARG(word));
			return 0;
		}
		*count += n;
	}
	return 1;
}

bool
listen_is_local(const struct listen_address *a)
{
	return a->a.ss_family == AF_UNIX;
}

bool
listen_is_loopback(const struct listen_address *a)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (a->a.ss_family == AF_INET) {
		memcpy(&in, &a->a, sizeof(in));
		return ntohl(in.sin_addr.s_addr) >> 24 == 127;
	}
	memcpy(&in6, &a->a, sizeof(in6));
	return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

void
listen_write(const struct listen_address *a, struct text *out)
{
	char host[INET6_ADDRSTRLEN] = "";
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;

	if (listen_is_local(a)) {
		memcpy(&un, &a->a, sizeof(un));
		text_printf(out, "unix:%s", un.sun_path);
	} else if (a->a.ss_family == AF_INET) {
		memcpy(&in, &a->a, sizeof(in));
		inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
		text_printf(out, "%s:%u", host, ntohs(in.sin_port));
	} else {
		memcpy(&in6, &a->a, sizeof(in6));
		inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
		text_printf(out, "[%s]:%u", host, ntohs(in6.sin6_port));
	}
}

/*
 * Whoever may enter the directory may connect: the socket's own mode says no
 * more. Nothing but a socket is put away for it.
 */
static int
open_path(const struct listen_address *a, int directory, int backlog)
{
	struct sockaddr_un un, at = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t mask;
	int fd, status = -1;

	memcpy(&un, &a->a, sizeof(un));
	if (un.sun_path[0] == '/')
		at = un;
	else if (snprintf(at.sun_path, sizeof(at.sun_path),
	    "/proc/self/fd/%d/%s", directory, un.sun_path) >=
	    (int)sizeof(at.sun_path))
		return errno = ENAMETOOLONG, -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (lstat(at.sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(at.sun_path);
	mask = umask(0111);
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0)
		status = listen(fd, backlog);
	umask(mask);
	if (status == 0)
		return fd;
	status = errno;
	close(fd);
	errno = status;
	return -1;
}

int
listen_open(const struct listen_address *a, int directory, int backlog)
{
	int fd, on = 1, saved;

	if (listen_is_local(a))
		return open_path(a, directory, backlog);
	fd = socket(a->a.ss_family,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (a->a.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&a->a, a->n) == 0 &&
	    listen(fd, backlog) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

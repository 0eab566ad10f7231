/*
 * idle.c - holds many connections in IDLE, under TLS, and says when each of
 * them hears of new mail.
 *
 *	idle [options] PORT
 *
 * Options	-n connections   -c of them being made at one time
 *		-a source address   -u PREFIX of users' names, PREFIX00000@...
 *		-f first user   -k users   -w password   -d domain
 *		-t seconds after which it ends in any case
 *
 * The connections are the users' in turn. It prints "held COUNT SECONDS" when
 * all are in IDLE, and then, whenever all connections of a user have heard of
 * a message, "heard USER TIME ...": a time for each, CLOCK_MONOTONIC in ns,
 * taken when its bytes were found waiting. It ends with its standard input,
 * or when a connection does.
 *
 * One thread, one epoll; what a connection holds is its SSL and a struct. Of
 * TLS sessions one is kept, and used for all connections to come: the
 * processors are for what is measured.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, LINE_ROOM = 40, READ_ROOM = 16384 };

/* What a connection waits for. */
enum step { HANDSHAKE, GREETING, LOGIN, SELECT, IDLE, NEWS };

struct connection {
	SSL *ssl;
	int fd;
	enum step step;
	unsigned user;			/* from 0 on */
	uint8_t length;
	char line[LINE_ROOM];		/* as far as it has come, cut */
};

/* The times of a message at a user's connections. */
struct user {
	unsigned connections, heard;
	int64_t *times;
};

static struct {
	unsigned count, at_once, users, first, seconds;
	const char *source, *prefix, *password, *domain;
	uint16_t port;
} opt = { .count = 1000, .at_once = 32, .users = 1, .seconds = 600,
    .source = "127.0.0.1", .prefix = "h", .password = "bench-password",
    .domain = "example.test" };

static struct {
	int epoll;
	SSL_CTX *context;
	SSL_SESSION *kept;
	struct connection *all;
	struct user *users;
	unsigned begun, held;
	int64_t now;			/* when the events were fetched */
} idle;

__attribute__((format(printf, 1, 2), noreturn)) static void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("idle: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	_exit(1);
}

static void *
zeroes(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (p == NULL)
		die("no memory");
	return p;
}

static int64_t
clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* -- what is said ------------------------------------------------------ */
__attribute__((format(printf, 2, 3))) static void
say(struct connection *c, const char *fmt, ...)
{
	char line[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	/* So little fits into any socket that has nothing to send. */
	if (SSL_write(c->ssl, line, n) != n)
		die("the server does not take a command");
}

static void begin(void);

static void
hold(struct connection *c)
{
	c->step = NEWS;
	if (++idle.held == opt.count)
		printf("held %u\n", idle.held);
	begin();
}

static void
hear(struct connection *c)
{
	struct user *u = &idle.users[c->user];

	u->times[u->heard++] = idle.now;
	if (u->heard < u->connections)
		return;
	printf("heard %u", opt.first + c->user);
	for (unsigned i = 0; i < u->heard; i++)
		printf(" %lld", (long long)u->times[i]);
	putchar('\n');
	u->heard = 0;
}

/* -- what is heard ----------------------------------------------------- */
static bool
ends_with(const char *line, const char *end)
{
	size_t n = strlen(line), m = strlen(end);

	return n >= m && strcmp(line + n - m, end) == 0;
}

static void
line_came(struct connection *c, const char *line)
{
	bool tagged = strncmp(line, "a ", 2) == 0;

	if (strncmp(line, "* BYE", 5) == 0 ||
	    (tagged && strncmp(line, "a OK", 4) != 0))
		die("user %u: %s", opt.first + c->user, line);
	switch (c->step) {
	case HANDSHAKE:
		break;
	case GREETING:
		say(c, "a LOGIN %s%05u@%s %s\r\n", opt.prefix,
		    opt.first + c->user, opt.domain, opt.password);
		c->step = LOGIN;
		break;
	case LOGIN:
		if (!tagged)
			break;
		say(c, "a SELECT INBOX\r\n");
		c->step = SELECT;
		break;
	case SELECT:
		if (!tagged)
			break;
		say(c, "a IDLE\r\n");
		c->step = IDLE;
		break;
	case IDLE:
		if (line[0] == '+')
			hold(c);
		break;
	case NEWS:
		if (ends_with(line, " EXISTS"))
			hear(c);
		break;
	}
}

static void
bytes_came(struct connection *c, const char *p, int n)
{
	for (int i = 0; i < n; i++) {
		if (p[i] == '\n') {
			c->line[c->length] = '\0';
			c->length = 0;
			line_came(c, c->line);
		} else if (p[i] != '\r' && c->length < LINE_ROOM - 1) {
			c->line[c->length++] = p[i];
		}
	}
}

/* -- a connection ------------------------------------------------------ */
static void
must_wait(struct connection *c, int result)
{
	int why = SSL_get_error(c->ssl, result);

	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		die("the server closed connection %td of user %u, step %d",
		    c - idle.all, opt.first + c->user, (int)c->step);
}

static void
ready(struct connection *c)
{
	static char bytes[READ_ROOM];
	int n;

	if (c->step == HANDSHAKE) {
		n = SSL_connect(c->ssl);
		if (n != 1) {
			must_wait(c, n);
			return;
		}
		c->step = GREETING;
	}
	while ((n = SSL_read(c->ssl, bytes, sizeof(bytes))) > 0)
		bytes_came(c, bytes, n);
	must_wait(c, n);
}

static int
connected_socket(void)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct sockaddr_in to = { .sin_family = AF_INET,
	    .sin_port = htons(opt.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0), on = 1;

	/* The port is chosen by connect(), for this server alone. */
	if (fd == -1 || inet_pton(AF_INET, opt.source, &from.sin_addr) != 1 ||
	    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
	    sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1 ||
	    (connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1 &&
	    errno != EINPROGRESS))
		die("connect from %s: %s", opt.source, strerror(errno));
	return fd;
}

/* The next connection, if there is one to be made. */
static void
begin(void)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
	};
	struct connection *c;

	if (idle.begun == opt.count)
		return;
	c = &idle.all[idle.begun];
	c->user = idle.begun++ % opt.users;
	idle.users[c->user].connections++;
	c->fd = connected_socket();
	c->ssl = SSL_new(idle.context);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
		die("no memory");
	if (idle.kept != NULL)
		SSL_set_session(c->ssl, idle.kept);
	event.data.ptr = c;
	if (epoll_ctl(idle.epoll, EPOLL_CTL_ADD, c->fd, &event) == -1)
		die("epoll: %s", strerror(errno));
}

/* -- all of them ------------------------------------------------------- */
static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	if (idle.kept != NULL)
		return 0;
	idle.kept = session;
	return 1;
}

static void
make_context(void)
{
	idle.context = SSL_CTX_new(TLS_client_method());
	if (idle.context == NULL)
		die("no TLS");
	SSL_CTX_set_mode(idle.context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(idle.context, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(idle.context, keep_session);
}

static void
make_all(void)
{
	struct epoll_event event = { .events = EPOLLIN };

	idle.all = zeroes(opt.count, sizeof(*idle.all));
	idle.users = zeroes(opt.users, sizeof(*idle.users));
	for (unsigned i = 0; i < opt.users; i++)
		idle.users[i].times = zeroes(opt.count / opt.users + 1,
		    sizeof(*idle.users[i].times));
	idle.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (idle.epoll == -1 || epoll_ctl(idle.epoll, EPOLL_CTL_ADD,
	    STDIN_FILENO, &event) == -1)
		die("epoll: %s", strerror(errno));
}

static void
serve(void)
{
	struct epoll_event events[EVENTS];
	int n;

	for (;;) {
		fflush(stdout);
		n = epoll_wait(idle.epoll, events, EVENTS, -1);
		if (n == -1 && errno != EINTR)
			die("epoll: %s", strerror(errno));
		idle.now = clock_ns();
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				_exit(0);
			ready(events[i].data.ptr);
		}
	}
}

static unsigned
number(const char *s)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (*s == '\0' || *end != '\0' || n > 10000000)
		die("%s is not a number that makes sense here", s);
	return (unsigned)n;
}

static void
options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:c:a:u:f:k:w:d:t:")) != -1)
		switch (c) {
		case 'n': opt.count = number(optarg); break;
		case 'c': opt.at_once = number(optarg); break;
		case 'a': opt.source = optarg; break;
		case 'u': opt.prefix = optarg; break;
		case 'f': opt.first = number(optarg); break;
		case 'k': opt.users = number(optarg); break;
		case 'w': opt.password = optarg; break;
		case 'd': opt.domain = optarg; break;
		case 't': opt.seconds = number(optarg); break;
		default: _exit(2);
		}
	if (argc - optind != 1 || opt.count == 0 || opt.users == 0)
		die("usage: idle [options] PORT");
	opt.port = (uint16_t)number(argv[optind]);
}

int
main(int argc, char **argv)
{
	struct rlimit files;

	options(argc, argv);
	alarm(opt.seconds);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	make_context();
	make_all();
	for (unsigned i = 0; i < opt.at_once; i++)
		begin();
	serve();
}

/*
 * load.c - drives an IMAP or POP3 server over loopback and times it.
 *
 *	load [options] MODE PORT
 *
 * Options	-T TLS from the first byte   -c connections   -n count
 *		-s size of a message   -u PREFIX of users' names, PREFIX00@...
 *		-k users there are   -f first of them   -w password   -d domain
 *
 * Modes	append	count messages appended, each awaited
 *		fetch	count bodies fetched, each awaited
 *		store	count flag changes, each awaited
 *		login	count times connect, greeting, LOGIN, LOGOUT, close
 *		idle	that many connections in IDLE until standard input ends
 *		visible	until count messages are in the users' mailboxes
 *		uidl	POP3 login, STAT and UIDL, once
 *		retr	POP3: every message retrieved, each awaited
 *		retrp	the same, 32 to 64 commands ahead
 *
 * It prints how many were done and the seconds they took. Each connection
 * is a thread that waits: the simplest client there is, the same for every
 * server. Anything but the expected answer ends it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { AHEAD = 64, LINE_MAX_ = 16384, IN_SIZE = 65536 };

static struct {
	bool tls;
	unsigned connections, count, size, users, first;
	const char *prefix, *password, *domain;
	unsigned short port;
	SSL_CTX *ctx;
	char *message;
} opt = { .connections = 1, .count = 1000, .size = 4096, .users = 1,
    .prefix = "u", .password = "bench-password", .domain = "example.test" };

struct connection {
	int fd;
	SSL *ssl;
	size_t at, have;
	char line[LINE_MAX_];
	char *in;
};

struct worker {
	pthread_t thread;
	unsigned number, count;
	double seconds;
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

__attribute__((format(printf, 1, 2), noreturn)) static void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("load: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	_exit(1);
}

/* -- a connection ----------------------------------------------------- */
static void
conn_open(struct connection *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
	    .sin_port = htons(opt.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1;

	memset(c, 0, sizeof(*c));
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to,
	    sizeof(to)) != 0)
		die("connect: %s", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->in = malloc(IN_SIZE);
	if (c->in == NULL)
		die("no memory");
	if (!opt.tls)
		return;
	c->ssl = SSL_new(opt.ctx);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 ||
	    SSL_connect(c->ssl) != 1)
		die("TLS handshake failed");
}

static void
conn_close(struct connection *c)
{
	if (c->ssl != NULL) {
		SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
	}
	close(c->fd);
	free(c->in);
	c->in = NULL;
}

static void
conn_send(struct connection *c, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = c->ssl != NULL ? SSL_write(c->ssl, p, (int)n)
		    : send(c->fd, p, n, MSG_NOSIGNAL);

		if (done <= 0)
			die("send: %s", strerror(errno));
		p += done;
		n -= (size_t)done;
	}
}

static void
conn_fill(struct connection *c)
{
	ssize_t n = c->ssl != NULL ? SSL_read(c->ssl, c->in, IN_SIZE)
	    : read(c->fd, c->in, IN_SIZE);

	if (n <= 0)
		die("the server closed the connection");
	c->at = 0;
	c->have = (size_t)n;
}

/* The next line, without its end, in c->line; long ones are cut. */
static const char *
conn_line(struct connection *c)
{
	size_t n = 0;

	for (;;) {
		char *end, *from;
		size_t part;

		if (c->at == c->have)
			conn_fill(c);
		from = c->in + c->at;
		end = memchr(from, '\n', c->have - c->at);
		part = end != NULL ? (size_t)(end - from) : c->have - c->at;
		if (n + part < LINE_MAX_) {
			memcpy(c->line + n, from, part);
			n += part;
		}
		c->at += part + (end != NULL);
		if (end != NULL)
			break;
	}
	if (n > 0 && c->line[n - 1] == '\r')
		n--;
	c->line[n] = '\0';
	return c->line;
}

static void
conn_skip(struct connection *c, size_t n)
{
	while (n > 0) {
		size_t part;

		if (c->at == c->have)
			conn_fill(c);
		part = c->have - c->at < n ? c->have - c->at : n;
		c->at += part;
		n -= part;
	}
}

static void
user_name(char out[128], unsigned number)
{
	snprintf(out, 128, "%s%02u@%s", opt.prefix,
	    opt.first + number % opt.users, opt.domain);
}

/* -- IMAP ------------------------------------------------------------- */
/* Read up to the tagged line, over literals, and expect it to begin with OK. */
static void
imap_answer(struct connection *c)
{
	for (;;) {
		const char *line = conn_line(c), *open;
		size_t n = strlen(line);

		if (strncmp(line, "a ", 2) == 0) {
			if (strncmp(line, "a OK", 4) != 0)
				die("answer: %s", line);
			return;
		}
		open = n > 0 && line[n - 1] == '}' ? strrchr(line, '{') : NULL;
		if (open != NULL)
			conn_skip(c, (size_t)strtoul(open + 1, NULL, 10));
	}
}

__attribute__((format(printf, 2, 3))) static void
imap(struct connection *c, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	conn_send(c, line, (size_t)n);
	imap_answer(c);
}

static void
imap_login(struct connection *c, unsigned user)
{
	char name[128];

	user_name(name, user);
	conn_open(c);
	if (strncmp(conn_line(c), "* OK", 4) != 0)
		die("greeting: %s", c->line);
	imap(c, "a LOGIN %s %s\r\n", name, opt.password);
}

static void
imap_logout(struct connection *c)
{
	imap(c, "a LOGOUT\r\n");
	conn_close(c);
}

static void
append(struct worker *w)
{
	struct connection c;
	char head[64];
	double start;
	int n = snprintf(head, sizeof(head), "a APPEND INBOX {%u+}\r\n",
	    opt.size);
	char *all = malloc((size_t)n + opt.size + 2);

	if (all == NULL)
		die("no memory");
	memcpy(all, head, (size_t)n);
	memcpy(all + n, opt.message, opt.size);
	memcpy(all + n + opt.size, "\r\n", 2);
	imap_login(&c, w->number);
	start = now();
	for (unsigned i = 0; i < w->count; i++) {
		conn_send(&c, all, (size_t)n + opt.size + 2);
		imap_answer(&c);
	}
	w->seconds = now() - start;
	imap_logout(&c);
	free(all);
}

/* How many messages the mailbox holds. */
static unsigned
imap_select(struct connection *c)
{
	unsigned n, exists = 0;

	conn_send(c, "a SELECT INBOX\r\n", 16);
	while (strncmp(conn_line(c), "a ", 2) != 0)
		if (sscanf(c->line, "* %u ", &n) == 1 &&
		    strstr(c->line, " EXISTS") != NULL)
			exists = n;
	if (strncmp(c->line, "a OK", 4) != 0)
		die("SELECT: %s", c->line);
	return exists;
}

static void
fetch(struct worker *w)
{
	struct connection c;
	unsigned exists;
	double start;

	imap_login(&c, w->number);
	exists = imap_select(&c);
	if (exists == 0)
		die("the mailbox is empty");
	start = now();
	for (unsigned i = 0; i < w->count; i++)
		imap(&c, "a FETCH %u BODY.PEEK[]\r\n",
		    1 + i * 7919u % exists);
	w->seconds = now() - start;
	imap_logout(&c);
}

static void
store(struct worker *w)
{
	struct connection c;
	unsigned exists;
	double start;

	imap_login(&c, w->number);
	exists = imap_select(&c);
	if (exists == 0)
		die("the mailbox is empty");
	start = now();
	for (unsigned i = 0; i < w->count; i++)
		imap(&c, "a STORE %u %cFLAGS (\\Flagged)\r\n",
		    1 + i % exists, i / exists % 2 == 0 ? '+' : '-');
	w->seconds = now() - start;
	imap_logout(&c);
}

static void
login(struct worker *w)
{
	double start = now();

	for (unsigned i = 0; i < w->count; i++) {
		struct connection c;

		imap_login(&c, w->number + i * opt.connections);
		imap_logout(&c);
	}
	w->seconds = now() - start;
}

static void
idle(struct worker *w)
{
	struct connection *all = calloc(w->count, sizeof(*all));
	double start = now();

	if (all == NULL)
		die("no memory");
	for (unsigned i = 0; i < w->count; i++) {
		imap_login(&all[i], i);
		(void)imap_select(&all[i]);
		conn_send(&all[i], "a IDLE\r\n", 8);
		if (conn_line(&all[i])[0] != '+')
			die("IDLE: %s", all[i].line);
	}
	w->seconds = now() - start;
	printf("%u %.4f\n", w->count, w->seconds);
	fflush(stdout);
	while (getchar() != EOF)
		continue;
	_exit(0);
}

static unsigned
imap_messages(struct connection *c)
{
	unsigned n = 0;
	const char *at;

	conn_send(c, "a STATUS INBOX (MESSAGES)\r\n", 27);
	while (strncmp(conn_line(c), "a ", 2) != 0)
		if ((at = strstr(c->line, "MESSAGES ")) != NULL)
			n = (unsigned)strtoul(at + 9, NULL, 10);
	return n;
}

/* Each user in turn, until each has an equal share. */
static void
visible(struct worker *w)
{
	const struct timespec pause = { 0, 5000000 };
	double start = now();

	for (unsigned user = 0; user < opt.users; user++) {
		struct connection c;

		imap_login(&c, user);
		while (imap_messages(&c) < w->count / opt.users) {
			if (now() - start > 120)
				die("messages are missing: user %u has %u",
				    user, imap_messages(&c));
			nanosleep(&pause, NULL);
		}
		imap_logout(&c);
	}
	w->seconds = now() - start;
}

/* -- POP3 ------------------------------------------------------------- */
static const char *
pop3_ok(struct connection *c)
{
	if (strncmp(conn_line(c), "+OK", 3) != 0)
		die("POP3: %s", c->line);
	return c->line;
}

static void
pop3_rest(struct connection *c)
{
	while (strcmp(conn_line(c), ".") != 0)
		continue;
}

__attribute__((format(printf, 2, 3))) static void
pop3(struct connection *c, const char *fmt, ...)
{
	char line[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	conn_send(c, line, (size_t)n);
}

/* Logged in; how many messages there are. */
static unsigned
pop3_login(struct connection *c)
{
	char name[128];
	unsigned n = 0;

	user_name(name, 0);
	conn_open(c);
	pop3_ok(c);
	pop3(c, "USER %s\r\n", name);
	pop3_ok(c);
	pop3(c, "PASS %s\r\n", opt.password);
	pop3_ok(c);
	pop3(c, "STAT\r\n");
	if (sscanf(pop3_ok(c), "+OK %u", &n) != 1)
		die("STAT: %s", c->line);
	return n;
}

static void
pop3_quit(struct connection *c)
{
	pop3(c, "QUIT\r\n");
	pop3_ok(c);
	conn_close(c);
}

static void
uidl(struct worker *w)
{
	struct connection c;
	double start = now();

	w->count = pop3_login(&c);
	pop3(&c, "UIDL\r\n");
	pop3_ok(&c);
	pop3_rest(&c);
	w->seconds = now() - start;
	pop3_quit(&c);
}

static void
retrieve(struct worker *w, unsigned ahead)
{
	struct connection c;
	unsigned n = pop3_login(&c), sent = 0;
	double start = now();

	for (unsigned got = 0; got < n; got++) {
		char lines[AHEAD * 16];
		size_t used = 0;

		if (sent - got <= ahead / 2)
			while (sent < n && sent < got + ahead)
				used += (size_t)snprintf(lines + used,
				    sizeof(lines) - used, "RETR %u\r\n",
				    ++sent);
		conn_send(&c, lines, used);
		pop3_ok(&c);
		pop3_rest(&c);
	}
	w->seconds = now() - start;
	w->count = n;
	pop3_quit(&c);
}

static void
retr(struct worker *w)
{
	retrieve(w, 1);
}

static void
retrp(struct worker *w)
{
	retrieve(w, AHEAD);
}

/* -- running ---------------------------------------------------------- */
static const struct mode {
	const char *name;
	void (*run)(struct worker *);
	bool one;		/* a single thread, whatever -c says */
} modes[] = {
	{ "append", append, false },
	{ "fetch", fetch, false },
	{ "store", store, false },
	{ "login", login, false },
	{ "idle", idle, true },
	{ "visible", visible, true },
	{ "uidl", uidl, true },
	{ "retr", retr, true },
	{ "retrp", retrp, true },
};

static const struct mode *mode;

static void *
worker_run(void *arg)
{
	mode->run(arg);
	return NULL;
}

static void
run_all(void)
{
	unsigned threads = mode->one ? 1 : opt.connections, done = 0;
	struct worker *w = calloc(threads, sizeof(*w));
	double longest = 0;

	if (w == NULL)
		die("no memory");
	for (unsigned i = 0; i < threads; i++) {
		w[i].number = i;
		w[i].count = opt.count / threads;
		if (pthread_create(&w[i].thread, NULL, worker_run, &w[i]) != 0)
			die("no thread");
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(w[i].thread, NULL);
		done += w[i].count;
		if (w[i].seconds > longest)
			longest = w[i].seconds;
	}
	printf("%u %.6f\n", done, longest);
	free(w);
}

/* Lines of 76, each its own, so that they compress as text does, not more. */
static void
make_message(void)
{
	static const char head[] = "From: bench@example.test\r\n"
	    "To: you@example.test\r\nSubject: a message to measure with\r\n"
	    "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
	    "Message-ID: <bench@example.test>\r\n\r\n";
	unsigned n = sizeof(head) - 1, lot = 1;

	opt.message = malloc(opt.size);
	if (opt.message == NULL || opt.size < n + 2)
		die("a message of %u bytes is too small", opt.size);
	memcpy(opt.message, head, n);
	for (unsigned i = n; i < opt.size; i++) {
		lot = lot * 1664525u + 1013904223u;
		opt.message[i] = (char)('a' + (lot >> 16) % 26);
	}
	for (unsigned i = n + 76; i + 2 < opt.size; i += 78)
		memcpy(opt.message + i, "\r\n", 2);
	memcpy(opt.message + opt.size - 2, "\r\n", 2);
}

static unsigned
number(const char *s)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (*s == '\0' || *end != '\0' || n == 0 || n > 10000000)
		die("%s is not a number that makes sense here", s);
	return (unsigned)n;
}

static void
options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "Tc:n:s:u:k:f:w:d:")) != -1)
		switch (c) {
		case 'T': opt.tls = true; break;
		case 'c': opt.connections = number(optarg); break;
		case 'n': opt.count = number(optarg); break;
		case 's': opt.size = number(optarg); break;
		case 'u': opt.prefix = optarg; break;
		case 'k': opt.users = number(optarg); break;
		case 'f': opt.first = number(optarg); break;
		case 'w': opt.password = optarg; break;
		case 'd': opt.domain = optarg; break;
		default: _exit(2);
		}
	if (argc - optind != 2)
		die("usage: load [options] MODE PORT");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(modes[i].name, argv[optind]) == 0)
			mode = &modes[i];
	if (mode == NULL)
		die("no mode %s", argv[optind]);
	opt.port = (unsigned short)number(argv[optind + 1]);
}

int
main(int argc, char **argv)
{
	struct rlimit files;

	options(argc, argv);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (opt.tls) {
		opt.ctx = SSL_CTX_new(TLS_client_method());
		if (opt.ctx == NULL)
			die("no TLS");
	}
	make_message();
	run_all();
	return 0;
}

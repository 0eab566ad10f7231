/*
 * role_metrics.c - answers Prometheus, on the loopback, and nothing else.
 *
 * It sees what the processes count (base/metric.h), read-only, and asks the
 * store for its numbers; it trusts none of them further than to print them.
 * HTTP: one GET of /metrics a connection, answered and closed.
 */
#include "base/log.h"
#include "base/metric.h"
#include "io/session.h"
#include "ipc/call.h"
#include "role/control.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	PROCESSES_MAX = 520, PORTS_MAX = 64, LINE_MAX_BYTES = 4096,
	HEADERS_MAX = 100, SESSIONS_MAX = 64, REQUEST_TIME = 10000,
	BODY_MAX = 16 << 20,
};

static struct {
	struct link *store;
	struct {
		enum role_bit role;
		unsigned instance;
		const void *memory;
	} processes[PROCESSES_MAX];
	size_t process_count;
	int ports[PORTS_MAX];
	size_t port_count;
	struct listener *listeners[PORTS_MAX];
} metrics;

/* ---- the page ---------------------------------------------------------- */

/* One number of one process. */
struct sample {
	char name[64];
	enum metric_kind kind;
	enum role_bit role;
	unsigned instance;
	uint64_t value;
};

/* All of a name stand together, which the format asks for. */
static int
compare(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	if (c == 0)
		c = (x->kind > y->kind) - (x->kind < y->kind);
	if (c == 0)
		c = (x->role > y->role) - (x->role < y->role);
	return c != 0 ? c :
	    (x->instance > y->instance) - (x->instance < y->instance);
}

static size_t
gather(struct sample *samples)
{
	size_t n = 0;

	for (size_t i = 0; i < metrics.process_count; i++) {
		struct sample s = { .role = metrics.processes[i].role,
		    .instance = metrics.processes[i].instance };
		size_t at = 0;

		while (metric_next(metrics.processes[i].memory, &at, &s.kind,
		    s.name, &s.value))
			samples[n++] = s;
	}
	qsort(samples, n, sizeof(*samples), compare);
	return n;
}

/* smtp.accepted, an event: postrider_smtp_accepted_total. */
static void
write_sample(struct text *out, const struct sample *s, bool first)
{
	const char *suffix = s->kind == METRIC_EVENT ? "_total" : "";
	char name[64];
	size_t i;

	for (i = 0; s->name[i] != '\0'; i++)
		name[i] = s->name[i] == '.' ? '_' : s->name[i];
	name[i] = '\0';
	if (first)
		text_printf(out, "# TYPE postrider_%s%s %s\n", name, suffix,
		    s->kind == METRIC_EVENT ? "counter" : "gauge");
	text_printf(out, "postrider_%s%s{role=\"%s\",process=\"%u\"} %"
	    PRIu64 "\n", name, suffix, role_name(s->role), s->instance,
	    s->value);
}

static void
write_counted(struct text *out)
{
	struct sample *samples = xcalloc(metrics.process_count *
	    METRIC_NAMES, sizeof(*samples));
	size_t n = gather(samples);

	for (size_t i = 0; i < n; i++)
		write_sample(out, &samples[i], i == 0 ||
		    samples[i].kind != samples[i - 1].kind ||
		    strcmp(samples[i].name, samples[i - 1].name) != 0);
	free(samples);
}

static void
write_store(struct text *out)
{
	struct arena *arena = arena_new(2 << 20);
	struct store_status_request ask = { 0 };
	struct store_status_reply reply = { 0 };
	bool up = call_store_status(metrics.store, arena, &ask, &reply) == 1 &&
	    reply.result == RESULT_OK;

	text_printf(out, "# HELP postrider_up Whether the store answers.\n"
	    "# TYPE postrider_up gauge\npostrider_up %d\n", up);
	if (up) {
		text_add(out, reply.metrics.bytes);
		blob_release(&reply.metrics);
	}
	arena_free(&arena);
}

/* ---- HTTP -------------------------------------------------------------- */

static void
answer(struct stream *s, const char *status, const char *type,
    struct span body, bool head)
{
	stream_printf(s, "HTTP/1.1 %s\r\nContent-Type: %s\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n"
	    "X-Content-Type-Options: nosniff\r\n\r\n", status, type, body.n);
	if (!head)
		stream_write(s, body);
	stream_flush(s);
}

static void
refuse(struct stream *s, const char *status)
{
	answer(s, status, "text/plain; charset=utf-8", SPAN_EMPTY, false);
}

/* The request line into the arena; the header fields are read past. 1, 0. */
static int
read_request(struct stream *s, struct arena *arena, struct span *request)
{
	monotime_t deadline = clock_after(REQUEST_TIME);
	struct span line;

	for (int i = 0; i < HEADERS_MAX; i++) {
		if (stream_line(s, &line, LINE_MAX_BYTES, deadline) != 1)
			return 0;
		if (i == 0)
			*request = arena_dup(arena, span_chomp(line));
		stream_take(s, line.n);
		if (i > 0 && span_chomp(line).n == 0)
			return request->p != NULL;
	}
	return 0;
}

static void
respond(struct stream *s, struct span request)
{
	struct span method = span_word(&request);
	struct span target = span_word(&request), path;
	struct text page = TEXT_INIT(BODY_MAX);
	bool head = span_is(method, "HEAD");

	span_cut(target, '?', &path);
	if (!span_starts(request, SPAN("HTTP/1."))) {
		refuse(s, "400 Bad Request");
	} else if (!head && !span_is(method, "GET")) {
		refuse(s, "405 Method Not Allowed");
	} else if (!span_is(path, "/metrics")) {
		refuse(s, "404 Not Found");
	} else {
		write_counted(&page);
		write_store(&page);
		answer(s, "200 OK", "text/plain; version=0.0.4; charset=utf-8",
		    text_span(&page), head);
	}
	text_free(&page);
}

static enum session_next
on_open(struct session *session, void **state)
{
	session_deadline(session, clock_after(REQUEST_TIME));
	*state = session;
	return SESSION_PARK;
}

static enum session_next
on_input(void *state)
{
	struct stream *s = session_stream(state);
	struct arena *arena = arena_new(16 << 10);
	struct span request = SPAN_EMPTY;

	if (read_request(s, arena, &request) == 1)
		respond(s, request);
	else
		refuse(s, "400 Bad Request");
	arena_free(&arena);
	return SESSION_CLOSE;
}

static enum session_next
on_end(void *state)
{
	(void)state;
	return SESSION_CLOSE;
}

static void
on_nothing(void *state)
{
	(void)state;
}

static const struct service service = {
	.name = "metrics",
	.open = on_open,
	.input = on_input,
	.wake = on_end,
	.expire = on_end,
	.stop = on_nothing,
	.close = on_nothing,
};

/* ---- life -------------------------------------------------------------- */

static void
on_settings(const struct settings *s)
{
	(void)s;
	if (metrics.store == NULL)
		metrics.store = link_new(METRICS, STORE);
}

static void
on_counters(enum role_bit role, unsigned instance, int fd)
{
	size_t i = metrics.process_count;
	void *p = i == PROCESSES_MAX ? MAP_FAILED :
	    mmap(NULL, METRIC_MEMORY, PROT_READ, MAP_SHARED, fd, 0);

	close(fd);
	if (p == MAP_FAILED)
		return;
	metrics.processes[i].role = role;
	metrics.processes[i].instance = instance;
	metrics.processes[i].memory = p;
	metrics.process_count++;
}

static void
on_listen(enum protocol protocol, int fd)
{
	must(protocol == PROTOCOL_METRICS && metrics.port_count < PORTS_MAX);
	metrics.ports[metrics.port_count++] = fd;
}

static void
on_peer(enum role_bit role, unsigned instance, int fd)
{
	(void)instance;
	if (role == STORE)
		link_attach(metrics.store, fd);
	else
		close(fd);
}

static void
on_start(void)
{
	for (size_t i = 0; i < metrics.port_count; i++) {
		struct listener_options options = {
			.service = &service, .fd = metrics.ports[i],
			.max_sessions = SESSIONS_MAX,
			.max_per_address = SESSIONS_MAX,
			.busy_answer = "HTTP/1.1 503 Service Unavailable\r\n"
			    "Content-Length: 0\r\nConnection: close\r\n\r\n",
		};

		metrics.listeners[i] = listener_open(&options);
		if (metrics.listeners[i] == NULL)
			log_event(LOG_LEVEL_ERROR, "metrics.listen",
			    log_errno());
	}
	control_ready();
}

static void
on_stopped(void *arg)
{
	(void)arg;
	control_done();
}

static void
on_stop(int64_t grace_ms)
{
	for (size_t i = 0; i < metrics.port_count; i++)
		listener_close(&metrics.listeners[i]);
	session_stop_all(grace_ms, on_stopped, NULL);
}

const struct role_events metrics_events = {
	.settings = on_settings,
	.counters = on_counters,
	.listen = on_listen,
	.peer = on_peer,
	.start = on_start,
	.stop = on_stop,
};

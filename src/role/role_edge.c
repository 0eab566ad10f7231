/*
 * role_edge.c - mx and access: who talks to the network.
 *
 * Both are the same process with other ports: the supervisor hands in
 * listening sockets, and what is spoken there is a row of the table below.
 * They can open nothing by themselves; what they know of mail they ask of the
 * store, and their TLS signatures come from the signer; mx also asks resolver
 * for the names of those who connect.
 */
#include "base/log.h"
#include "base/metric.h"
#include "base/network.h"
#include "imap/imap_session.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "io/session.h"
#include "io/spool.h"
#include "io/tls.h"
#include "ipc/call.h"
#include "pop3/pop3_session.h"
#include "role/control.h"
#include "role/role.h"
#include "smtp/smtp_server.h"
#include "verify/resolve.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PORTS_MAX = 256, GAUGE_TIME = 2000, SIGN_TRIES = 20, SIGN_PAUSE = 50 };

/* ---- what is spoken where ---------------------------------------------- */

#define LIMITS(name)							\
	offsetof(struct settings, name##_max_sessions),			\
	offsetof(struct settings, name##_max_sessions_per_address)

static const char smtp_busy[] =
    "421 4.3.2 Too many connections, please try again later\r\n";
static const char imap_busy[] = "* BYE Too many connections\r\n";
static const char pop3_busy[] = "-ERR [SYS/TEMP] Too many connections\r\n";

static const struct spoken {
	enum protocol protocol;
	const struct service *service;
	bool tls;			/* from the first byte */
	size_t max_sessions, max_per_address;	/* settings */
	const char *busy;
} spoken[] = {
	{ PROTOCOL_SMTP, &smtp_service, false, LIMITS(smtp), smtp_busy },
	{ PROTOCOL_LMTP, &lmtp_service, false, LIMITS(lmtp), smtp_busy },
	{ PROTOCOL_SUBMISSION, &submission_service, false, LIMITS(submission),
	    smtp_busy },
	{ PROTOCOL_SUBMISSIONS, &submission_service, true, LIMITS(submission),
	    smtp_busy },
	{ PROTOCOL_IMAP, &imap_service, false, LIMITS(imap), imap_busy },
	{ PROTOCOL_IMAPS, &imap_service, true, LIMITS(imap), imap_busy },
	{ PROTOCOL_POP3, &pop3_service, false, LIMITS(pop3), pop3_busy },
	{ PROTOCOL_POP3S, &pop3_service, true, LIMITS(pop3), pop3_busy },
};

static const struct spoken *
spoken_on(enum protocol p)
{
	for (size_t i = 0; i < ARRAY_LEN(spoken); i++)
		if (spoken[i].protocol == p)
			return &spoken[i];
	return NULL;
}

static struct {
	struct link *store, *signer, *resolver, *index;
	struct tls_server *tls;		/* NULL: there is none */
	struct text chain, client_authorities;
	uint8_t ticket_key[80];
	struct {
		const struct spoken *what;
		int fd;
		struct listener *listener;
	} ports[PORTS_MAX];
	size_t port_count;
	bool started;
	struct timer gauges;
} edge = {
	.chain = { .limit = 1 << 20 },
	.client_authorities = { .limit = 4 << 20 },
};

static const struct settings *
now(void *arg)
{
	(void)arg;
	return &control_self()->settings;
}

static uint64_t
limit(size_t setting)
{
	uint64_t v;

	memcpy(&v, (const char *)&control_self()->settings + setting,
	    sizeof(v));
	return v;
}

/* ---- TLS --------------------------------------------------------------- */

/*
 * Just after a reload the signer may not have heard of the key yet that we
 * show already: then ask again, for a second.
 */
static int
sign(void *arg, const uint8_t key[32], enum tls_signature scheme,
    struct span message, uint8_t *out, size_t *n, size_t room)
{
	struct sign_request ask = { .key = span_of(key, 32),
	    .scheme = scheme, .message = message };
	struct arena *arena = arena_new(16 << 10);
	struct sign_reply reply = { .result = RESULT_NOT_FOUND };
	int done = 1;

	(void)arg;
	for (int i = 0; i < SIGN_TRIES && done == 1 &&
	    reply.result == RESULT_NOT_FOUND; i++) {
		if (i > 0)
			done = fiber_wait(clock_after(SIGN_PAUSE)) < 0 ? -1 : 1;
		if (done == 1)
			done = call_sign(edge.signer, arena, &ask, &reply);
	}
	if (done == 1 && (reply.result != RESULT_OK ||
	    reply.signature.n > room))
		done = -1;
	if (done == 1) {
		memcpy(out, reply.signature.p, reply.signature.n);
		*n = reply.signature.n;
	}
	arena_free(&arena);
	return done == 1 ? 1 : -1;
}

/* Sessions that have the former one keep it. */
static void
renew_tls(void)
{
	const struct settings *s = now(NULL);
	struct text why = TEXT_INIT(1024);
	struct tls_options options = {
		.chain_pem = text_span(&edge.chain),
		.client_authorities_pem = text_span(&edge.client_authorities),
		.min_version = s->tls_min_version,
		.ciphers = *s->tls_ciphers == '\0' ? NULL : s->tls_ciphers,
		.sign = sign,
	};
	struct tls_server *fresh = NULL;

	memcpy(options.ticket_key, edge.ticket_key, sizeof(edge.ticket_key));
	if (edge.chain.n > 0) {
		fresh = tls_server_new(&options, &why);
		if (fresh == NULL) {
			log_event(LOG_LEVEL_ERROR, "tls.refused",
			    log_text("error", text_span(&why)));
			text_free(&why);
			return;
		}
	}
	tls_server_free(&edge.tls);
	edge.tls = fresh;
	text_free(&why);
}

static struct tls_server *
current_tls(void *arg)
{
	(void)arg;
	return edge.tls;
}

static void
on_certificate(struct span chain, struct span ticket_key)
{
	text_clear(&edge.chain);
	text_add(&edge.chain, chain);
	must(ticket_key.n == sizeof(edge.ticket_key));
	memcpy(edge.ticket_key, ticket_key.p, ticket_key.n);
	renew_tls();
}

/* ---- ports ------------------------------------------------------------- */

/* access alone hears of it: whose certificates are worth asking for. */
static void
on_login_trust(struct span authorities, struct span token_keys)
{
	(void)token_keys;
	text_clear(&edge.client_authorities);
	text_add(&edge.client_authorities, authorities);
	if (edge.chain.n > 0)
		renew_tls();
}

static bool
is_proxied(void *arg, const char *address)
{
	return networks_have(span_str(now(arg)->listen_proxy_from),
	    span_str(address));
}

/* With the limits of this moment: at the start, and anew after a reload. */
static void
open_port(size_t i)
{
	const struct spoken *what = edge.ports[i].what;
	struct listener_options options = {
		.service = what->service,
		.implicit_tls = what->tls,
		.max_sessions = (size_t)limit(what->max_sessions),
		.max_per_address = (size_t)limit(what->max_per_address),
		.busy_answer = what->busy,
		.tls = current_tls,
		.proxied = is_proxied,
		.handshake_timeout = now(NULL)->tls_handshake_timeout,
	};

	listener_close(&edge.ports[i].listener);
	if (what->tls && edge.tls == NULL)
		return;
	options.fd = fcntl(edge.ports[i].fd, F_DUPFD_CLOEXEC, 0);
	if (options.fd >= 0)
		edge.ports[i].listener = listener_open(&options);
	if (edge.ports[i].listener == NULL)
		log_event(LOG_LEVEL_ERROR, "edge.listen",
		    log_str("protocol", protocol_name(what->protocol)),
		    log_errno());
}

static void
open_ports(void)
{
	for (size_t i = 0; i < edge.port_count; i++)
		open_port(i);
}

static void
on_listen(enum protocol protocol, int fd)
{
	const struct spoken *what = spoken_on(protocol);

	must(what != NULL && edge.port_count < PORTS_MAX);
	edge.ports[edge.port_count].what = what;
	edge.ports[edge.port_count++].fd = fd;
}

/* ---- links ------------------------------------------------------------- */

static void
on_peer(enum role_bit role, unsigned instance, int fd)
{
	(void)instance;
	if (role == STORE)
		link_attach(edge.store, fd);
	else if (role == SIGNER)
		link_attach(edge.signer, fd);
	else if (role == RESOLVER && edge.resolver != NULL)
		link_attach(edge.resolver, fd);
	else if (role == INDEX && edge.index != NULL)
		link_attach(edge.index, fd);
	else
		close(fd);
}

static void
on_store_attached(void *arg)
{
	(void)arg;
	imap_store_attached();
}

static void
make_links(enum role_bit self)
{
	const char *hostname = now(NULL)->hostname;
	struct imap_environment imap = { .hostname = hostname,
	    .settings = now };
	struct pop3_environment pop3 = { .hostname = hostname,
	    .settings = now };
	struct smtp_environment smtp = { .hostname = hostname,
	    .settings = now };

	edge.store = link_new(self, STORE);
	edge.signer = link_new(self, SIGNER);
	smtp.store = imap.store = pop3.store = edge.store;
	if (role_calls(self, RESOLVER)) {
		edge.resolver = link_new(self, RESOLVER);
		resolve_setup(edge.resolver);
		smtp.resolves = true;
	}
	smtp_setup(&smtp);
	if (self != ACCESS)
		return;
	edge.index = imap.index = link_new(self, INDEX);
	imap_setup(&imap);
	pop3_setup(&pop3);
	link_on_attach(edge.store, on_store_attached, NULL);
}

/* ---- life -------------------------------------------------------------- */

static void
on_settings(const struct settings *s)
{
	spool_set_total(s->spool_total);
	if (edge.store == NULL)
		make_links(control_self()->role);
	if (edge.started) {
		renew_tls();
		open_ports();
	}
}

static void
count_sessions(const char *name, const struct service *service)
{
	metric_set(name, session_count(service));
}

static void
on_gauges(struct timer *t)
{
	if (control_self()->role == MX) {
		count_sessions("sessions.smtp", &smtp_service);
		count_sessions("sessions.lmtp", &lmtp_service);
	} else {
		count_sessions("sessions.submission", &submission_service);
		count_sessions("sessions.imap", &imap_service);
		count_sessions("sessions.pop3", &pop3_service);
	}
	metric_set("sessions.parked", session_count_parked());
	metric_set("fibers", fiber_count());
	metric_set("calls.store", link_pending(edge.store));
	metric_set("calls.signer", link_pending(edge.signer));
	timer_set(t, clock_after(GAUGE_TIME));
}

static void
on_start(void)
{
	edge.started = true;
	open_ports();
	edge.gauges.fn = on_gauges;
	on_gauges(&edge.gauges);
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
	timer_clear(&edge.gauges);
	for (size_t i = 0; i < edge.port_count; i++)
		listener_close(&edge.ports[i].listener);
	session_stop_all(grace_ms, on_stopped, NULL);
}

const struct role_events edge_events = {
	.settings = on_settings,
	.certificate = on_certificate,
	.login_trust = on_login_trust,
	.listen = on_listen,
	.peer = on_peer,
	.start = on_start,
	.stop = on_stop,
};

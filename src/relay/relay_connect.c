/*
 * relay_connect.c - from a target to a connection that may carry its mail.
 *
 * Host by host, address by address: connect, greeting, EHLO, STARTTLS as the
 * policy wants it, AUTH where the route has a login. Whatever fails is noted,
 * and the next one is tried, up to relay.max_hosts addresses.
 */
#include "relay/relay_connect.h"
#include "base/log.h"
#include "io/dial.h"
#include "relay/relay.h"
#include "relay/relay_policy.h"
#include "relay/relay_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	CONNECTION_MEMORY = 64 << 10,
	ADDRESSES_MAX = 32,		/* of one host */
	QUIT_TIME = 5000,		/* ms */
	DATA_START_TIME = 2 * 60000,	/* RFC 5321 4.5.3.2.4 */
	DATA_BLOCK_TIME = 3 * 60000,	/* 4.5.3.2.5 */
};

static size_t open_connections;

size_t
relay_connections(void)
{
	return open_connections;
}

/* One search for a connection. */
struct attempt {
	const struct relay_target *target;
	const struct settings *settings;
	struct span destination;
	uint32_t class;
	struct arena *arena;
	struct policy policy;
	size_t tries;			/* addresses that may be tried yet */
	struct relay_failures failures;
};

/* One address of a host. */
struct place {
	struct span host;		/* "" none */
	struct dial dial;
	struct text remote;		/* "host[address]:port" */
	struct text address, local;	/* its address, and our end's */
	struct policy_host policy;
	bool secure;			/* the connection is by TLS */
	struct span plain;		/* why it is not, "" nobody asked */
	int64_t ms_connect, ms_tls;
};

/* ---- failures ------------------------------------------------------------ */

static void PRINTF_LIKE(5, 6)
failed(struct attempt *a, enum failure_rank rank, enum relay_outcome outcome,
    enum destination_state state, const char *fmt, ...)
{
	struct text reason = TEXT_INIT(REASON_MAX);
	struct relay_nowhere one = { .outcome = outcome, .state = state };
	va_list arguments;

	va_start(arguments, fmt);
	text_vprintf(&reason, fmt, arguments);
	va_end(arguments);
	one.reason = relay_one_line(a->arena, text_span(&reason));
	relay_failures_add(&a->failures, rank, &one);
	text_free(&reason);
}

/* A server said no before any message. */
static void
answered(struct attempt *a, const struct place *p,
    const struct smtp_answer *answer)
{
	struct text reason = TEXT_INIT(REASON_MAX), said = TEXT_INIT(0);
	struct relay_nowhere one = { .outcome = relay_outcome_of(answer) };

	if (one.outcome == RELAY_SENT)	/* 2xx out of place: no protocol */
		one.outcome = RELAY_DEFERRED;
	one.state = one.outcome == RELAY_FAILED ? DESTINATION_UNSURE :
	    DESTINATION_BUSY;
	relay_reason(answer, text_span(&p->remote), &reason);
	smtp_answer_text(answer, &said);
	one.reason = relay_one_line(a->arena, text_span(&reason));
	one.answer = relay_one_line(a->arena, text_span(&said));
	one.remote = arena_dup(a->arena, text_span(&p->remote));
	relay_failures_add(&a->failures, FAILURE_ANSWER, &one);
	text_free(&reason);
	text_free(&said);
}

/* -1 of the client: a last word of it, or the connection's own failure. */
static void
broke(struct attempt *a, const struct place *p, struct smtp_client *client,
    const struct smtp_answer *answer, const char *when)
{
	if (answer->code != 0) {
		answered(a, p, answer);
		return;
	}
	failed(a, FAILURE_CONNECT, RELAY_DEFERRED, DESTINATION_DOWN,
	    "4.4.2 %.*s: %s: %.*s", SPAN_ARG(text_span(&p->remote)), when,
	    SPAN_ARG(smtp_client_why(client)));
}

/* ---- one address: connect and greet -------------------------------------- */

static struct smtp_client_times
times_of(const struct settings *s)
{
	int64_t command = s->relay_command_timeout;

	return (struct smtp_client_times){
		.greeting = command, .hello = command, .starttls = command,
		.command = command,
		.data_start = MIN(command, DATA_START_TIME),
		.data_block = MIN(s->relay_data_timeout, DATA_BLOCK_TIME),
		.data_end = s->relay_data_timeout,
		.quit = MIN(command, QUIT_TIME),
	};
}

static const char *
hostname_of(const struct attempt *a)
{
	const struct route *r = a->target->route;

	return r != NULL && *r->hostname != '\0' ? r->hostname :
	    a->settings->hostname;
}

/* Where the settings name an address of that family to connect from. */
static void
choose_source(const struct attempt *a, struct dial *d)
{
	const struct route *r = a->target->route;
	struct span rest = span_str(r != NULL && *r->source != '\0' ?
	    r->source : a->settings->relay_source), word;
	struct ip_address ip;

	while ((word = span_word(&rest)).n > 0)
		if (relay_literal(word, &ip) == 1)
			dial_from(d, ip.family, ip.b);
}

/* Our end's address, for the reports on TLS. */
static void
note_local(struct place *p, int fd)
{
	struct sockaddr_storage at = { .ss_family = AF_UNSPEC };
	socklen_t n = sizeof(at);
	char name[INET6_ADDRSTRLEN];
	const void *address = &((struct sockaddr_in *)(void *)&at)->sin_addr;

	text_clear(&p->local);
	if (getsockname(fd, (struct sockaddr *)&at, &n) != 0)
		return;
	if (at.ss_family == AF_INET6)
		address = &((struct sockaddr_in6 *)(void *)&at)->sin6_addr;
	else if (at.ss_family != AF_INET)
		return;
	if (inet_ntop(at.ss_family, address, name, sizeof(name)) != NULL)
		text_str(&p->local, name);
}

static struct smtp_client *
open_client(struct attempt *a, struct place *p)
{
	struct smtp_client_times times = times_of(a->settings);
	int64_t start = clock_mono().ms;
	struct smtp_answer answer = { .code = 0 };
	struct smtp_client *client;
	int fd, done;

	fd = dial(&p->dial, clock_after(a->settings->relay_connect_timeout));
	if (fd < 0) {
		failed(a, FAILURE_CONNECT, RELAY_DEFERRED, DESTINATION_DOWN,
		    "4.4.1 %.*s: %s", SPAN_ARG(text_span(&p->remote)),
		    strerrordesc_np(errno));
		return NULL;
	}
	note_local(p, fd);
	client = smtp_client_new(stream_socket(fd), a->target->via.lmtp,
	    hostname_of(a), &times);
	done = smtp_client_greet(client, &answer);
	p->ms_connect = clock_mono().ms - start;
	if (done == 1)
		return client;
	if (done == 0) {
		answered(a, p, &answer);
		smtp_client_quit(client);
	} else {
		broke(a, p, client, &answer, "no greeting");
	}
	smtp_client_free(&client);
	return NULL;
}

/* ---- TLS ----------------------------------------------------------------- */

enum tls_step { TLS_GO_ON, TLS_GIVE_UP, TLS_AGAIN_WITHOUT };

static void
tell_result(const struct attempt *a, const struct place *p,
    const char *failure)
{
	relay_policy_result(&a->policy, &p->policy, p->host,
	    text_span(&p->address), text_span(&p->local), failure);
}

/* It cannot be had there: is it needed? */
static enum tls_step
without_tls(struct attempt *a, struct place *p, const char *failure,
    struct span why)
{
	tell_result(a, p, failure);
	p->plain = why;
	if (!p->policy.need_tls)
		return TLS_GO_ON;
	failed(a, FAILURE_TLS, a->class & ENVELOPE_REQUIRETLS ?
	    RELAY_FAILED : RELAY_DEFERRED, DESTINATION_DOWN,
	    "%s %.*s: %.*s, which %.*s demands",
	    a->class & ENVELOPE_REQUIRETLS ? "5.7.30" : "4.7.4",
	    SPAN_ARG(text_span(&p->remote)), SPAN_ARG(why),
	    SPAN_ARG(p->policy.reason));
	return TLS_GIVE_UP;
}

static enum tls_step
handshake_failed(struct attempt *a, struct place *p,
    struct smtp_client *client)
{
	const char *word = stream_tls_failure(smtp_client_stream(client));
	struct text why = TEXT_INIT(300);

	tell_result(a, p, *word != '\0' ? word : "validation-failure");
	if (p->policy.fall_back) {
		text_printf(&why, "the handshake failed: %.*s",
		    SPAN_ARG(smtp_client_why(client)));
		p->plain = arena_dup(a->arena, text_span(&why));
		text_free(&why);
		return TLS_AGAIN_WITHOUT;
	}
	failed(a, FAILURE_TLS, RELAY_DEFERRED, DESTINATION_DOWN,
	    "4.7.5 %.*s: TLS failed (%s): %.*s; policy: %.*s",
	    SPAN_ARG(text_span(&p->remote)), word,
	    SPAN_ARG(smtp_client_why(client)), SPAN_ARG(p->policy.reason));
	return TLS_GIVE_UP;
}

static enum tls_step
secure(struct attempt *a, struct place *p, struct smtp_client *client)
{
	int64_t start = clock_mono().ms;
	struct smtp_answer answer = { .code = 0 };
	struct tls_client *tls = relay_tls();
	int done;

	if (!p->policy.try_tls)
		return TLS_GO_ON;
	if (tls == NULL || (smtp_client_offers(client)->bits &
	    OFFERS_STARTTLS) == 0)
		return without_tls(a, p, "starttls-not-supported",
		    SPAN("it does not offer STARTTLS"));
	done = smtp_client_starttls(client, tls, &p->policy.peer, &answer);
	p->ms_tls = clock_mono().ms - start;
	if (done == 0)
		return without_tls(a, p, "starttls-not-supported",
		    SPAN("it refused STARTTLS"));
	if (done == -1 && !stream_is_tls(smtp_client_stream(client)) &&
	    answer.code != 0) {
		answered(a, p, &answer);
		return TLS_GIVE_UP;
	}
	if (done == -1)
		return handshake_failed(a, p, client);
	tell_result(a, p, stream_tls_failure(smtp_client_stream(client)));
	p->secure = true;
	return TLS_GO_ON;
}

/* RFC 8689 4.2.1: who does not offer it does not get such a message. */
static int
check_require_tls(struct attempt *a, const struct place *p,
    struct smtp_client *client)
{
	if ((a->class & ENVELOPE_REQUIRETLS) == 0 || a->target->via.lmtp ||
	    (smtp_client_offers(client)->bits & OFFERS_REQUIRETLS) != 0)
		return 1;
	failed(a, FAILURE_TLS, RELAY_FAILED, DESTINATION_UNSURE,
	    "5.7.30 %.*s: it does not offer REQUIRETLS",
	    SPAN_ARG(text_span(&p->remote)));
	return 0;
}

/* ---- AUTH ---------------------------------------------------------------- */

/* A refused login is the operator's to mend: mail waits meanwhile. */
static int
log_in(struct attempt *a, const struct place *p, struct smtp_client *client)
{
	const struct route *r = a->target->route;
	struct smtp_answer answer = { .code = 0 };
	struct text said = TEXT_INIT(0);
	int done;

	if (r == NULL || *r->login == '\0')
		return 1;
	if (!p->secure) {
		failed(a, FAILURE_TLS, RELAY_DEFERRED, DESTINATION_DOWN,
		    "4.7.4 %.*s: route %s logs in under TLS only",
		    SPAN_ARG(text_span(&p->remote)), r->name);
		return 0;
	}
	done = smtp_client_login(client, span_str(r->login),
	    span_str(r->password), &answer);
	if (done == 1)
		return 1;
	smtp_answer_text(&answer, &said);
	failed(a, FAILURE_ANSWER, RELAY_DEFERRED, DESTINATION_DOWN,
	    "4.7.8 %.*s: the login of route %s failed: %.*s",
	    SPAN_ARG(text_span(&p->remote)), r->name, SPAN_ARG(answer.code !=
	    0 ? span_sub(text_span(&said), 0, REASON_MAX / 2) :
	    smtp_client_why(client)));
	text_free(&said);
	return 0;
}

/* ---- one address --------------------------------------------------------- */

static void
write_details(const struct attempt *a, const struct place *p,
    struct smtp_client *client, struct text *out)
{
	struct stream *s = smtp_client_stream(client);
	bool checked = p->secure && p->policy.peer.check != TLS_CHECK_NONE &&
	    *stream_tls_failure(s) == '\0';
	struct span version, cipher;

	cipher = span_cut(stream_tls_info(s), ' ', &version);
	relay_detail(out, "tls", p->secure ? version : SPAN("no"));
	if (p->secure) {
		relay_detail(out, "cipher", cipher);
		relay_detail(out, "verified", checked ? SPAN("yes") :
		    SPAN("no"));
	}
	if (!p->secure && p->plain.n > 0)
		relay_detail(out, "plain", p->plain);
	if (p->policy.reason.n > 0)
		relay_detail(out, "policy", span_sub(p->policy.reason, 0,
		    300));
	if (a->target->route != NULL)
		relay_detail(out, "route", span_str(a->target->route->name));
	relay_detail_ms(out, "ms_connect", p->ms_connect);
	if (p->secure)
		relay_detail_ms(out, "ms_tls", p->ms_tls);
}

static struct relay_connection *
make_connection(const struct attempt *a, const struct place *p,
    struct smtp_client *client)
{
	struct relay_connection *c = xcalloc(1, sizeof(*c));
	struct text details = TEXT_INIT(DETAILS_MAX);

	write_details(a, p, client, &details);
	c->client = client;
	c->arena = arena_new(CONNECTION_MEMORY);
	c->destination = arena_dup(c->arena, a->destination);
	c->remote = arena_dup(c->arena, text_span(&p->remote));
	c->details = arena_dup(c->arena, text_span(&details));
	c->class = a->class;
	c->lmtp = a->target->via.lmtp;
	text_free(&details);
	log_event(LOG_LEVEL_DEBUG, "relay.connected",
	    log_text("destination", c->destination),
	    log_text("remote", c->remote), log_text("details", c->details));
	return c;
}

static struct relay_connection *
try_place(struct attempt *a, struct place *p)
{
	struct smtp_client *client = open_client(a, p);
	enum tls_step step;

	if (client == NULL)
		return NULL;
	step = secure(a, p, client);
	if (step == TLS_AGAIN_WITHOUT) {	/* RFC 7435: better than none */
		smtp_client_free(&client);
		p->policy.try_tls = false;
		client = open_client(a, p);
		step = TLS_GO_ON;
	}
	if (client == NULL)
		return NULL;
	if (step == TLS_GO_ON && check_require_tls(a, p, client) == 1 &&
	    log_in(a, p, client) == 1)
		return make_connection(a, p, client);
	smtp_client_quit(client);
	smtp_client_free(&client);
	return NULL;
}

/* ---- one host ------------------------------------------------------------ */

static bool
may_connect(struct attempt *a, struct span host, const struct ip_address *ip)
{
	struct text remote = TEXT_INIT(REMOTE_MAX);
	bool local = !a->target->given &&
	    !a->settings->relay_local_addresses &&
	    relay_address_is_local(ip);
	bool ours = !local && !a->target->given &&
	    relay_self(a->settings, ip, a->target->port);

	relay_remote(host, ip, a->target->port, &remote);
	if (local)
		failed(a, FAILURE_LOOKUP, RELAY_FAILED, DESTINATION_UNSURE,
		    "5.4.4 %.*s is a local address, which is not for mail "
		    "from outside", SPAN_ARG(text_span(&remote)));
	if (ours)
		failed(a, FAILURE_LOOKUP, RELAY_FAILED, DESTINATION_UNSURE,
		    "5.4.6 %.*s is this system, which does not take this "
		    "mail", SPAN_ARG(text_span(&remote)));
	text_free(&remote);
	return !local && !ours;
}

static struct relay_connection *
try_address(struct attempt *a, struct span host, const struct ip_address *ip,
    const struct policy_host *policy)
{
	struct place p = { .host = host, .remote = TEXT_INIT(REMOTE_MAX),
	    .address = TEXT_INIT(64), .local = TEXT_INIT(64),
	    .policy = *policy,
	    .dial = dial_ip(ip->family, ip->b, a->target->port) };
	struct relay_connection *c;

	a->tries--;
	relay_remote(host, ip, a->target->port, &p.remote);
	ip_write(ip, &p.address);
	choose_source(a, &p.dial);
	c = try_place(a, &p);
	text_free(&p.remote);
	text_free(&p.address);
	text_free(&p.local);
	return c;
}

static void
no_address(struct attempt *a, struct span host,
    const struct resolve_answer *answer)
{
	bool wait = answer->status == RESOLVE_TEMPORARY ||
	    answer->status == RESOLVE_BOGUS || a->target->given;
	const char *code = answer->status == RESOLVE_BOGUS ? "4.7.0" :
	    answer->status == RESOLVE_TEMPORARY ? "4.4.3" :
	    wait ? "4.4.4" : answer->status == RESOLVE_NXDOMAIN ? "5.1.2" :
	    "5.4.4";

	failed(a, FAILURE_LOOKUP, wait ? RELAY_DEFERRED : RELAY_FAILED,
	    wait ? DESTINATION_DOWN : DESTINATION_UNSURE,
	    "%s %.*s: %s%s%.*s", code, SPAN_ARG(host),
	    answer->status == RESOLVE_BOGUS ?
	    "DNSSEC: its address is not to be trusted" :
	    answer->status == RESOLVE_TEMPORARY ?
	    "the DNS did not tell its address" : "it has no address",
	    answer->why.n > 0 ? ": " : "", SPAN_ARG(answer->why));
}

/* The worse of two answers that hold no address. */
static struct resolve_answer
worse(struct resolve_answer a, struct resolve_answer b)
{
	return b.status > a.status ? b : a;
}

/* Both families, as relay.ip allows; *secure when all that was told is. */
static size_t
find_addresses(struct attempt *a, struct span host, struct ip_address *out,
    bool *safe)
{
	bool v4 = strcmp(a->settings->relay_ip, "ipv6") != 0;
	bool v6 = strcmp(a->settings->relay_ip, "ipv4") != 0;
	struct resolve_answer four = { .status = RESOLVE_NONE };
	struct resolve_answer six = { .status = RESOLVE_NONE };
	struct ip_address *list4 = NULL, *list6 = NULL;
	size_t n4 = 0, n6 = 0, n;
	struct resolve_answer bad;

	if (v6)
		six = resolve_addresses(host, AF_INET6, a->arena, &list6, &n6);
	if (v4)
		four = resolve_addresses(host, AF_INET, a->arena, &list4, &n4);
	*safe = (!v4 || four.secure) && (!v6 || six.secure);
	n = relay_interleave(list6, n6, list4, n4, out, ADDRESSES_MAX);
	if (n > 0)
		return n;
	bad = worse(four, six);
	no_address(a, host, &bad);
	return 0;
}

static struct relay_connection *
try_host(struct attempt *a, const struct relay_host *host)
{
	struct ip_address list[ADDRESSES_MAX] = { host->ip };
	struct relay_connection *c = NULL;
	struct policy_host policy;
	struct text literal = TEXT_INIT(64);
	bool safe = false;
	size_t n = 1;

	if (host->ip.family == 0)
		n = find_addresses(a, host->name, list, &safe);
	else
		ip_write(&host->ip, &literal);
	if (n == 0)
		return NULL;
	relay_policy_host(&a->policy, host->name.n > 0 ? host->name :
	    arena_dup(a->arena, text_span(&literal)), safe, a->target->port,
	    a->class, a->arena, &policy);
	text_free(&literal);
	if (!policy.allowed) {
		failed(a, FAILURE_TLS, a->class & ENVELOPE_REQUIRETLS &&
		    !policy.temporary ? RELAY_FAILED : RELAY_DEFERRED,
		    DESTINATION_DOWN, "%s %.*s: %.*s",
		    a->class & ENVELOPE_REQUIRETLS && !policy.temporary ?
		    "5.7.30" : "4.7.5", SPAN_ARG(host->name.n > 0 ?
		    host->name : a->target->domain),
		    SPAN_ARG(policy.reason));
		return NULL;
	}
	for (size_t i = 0; i < n && a->tries > 0 && c == NULL; i++)
		if (may_connect(a, host->name, &list[i]))
			c = try_address(a, host->name, &list[i], &policy);
	return c;
}

/* ---- the whole ----------------------------------------------------------- */

/* LMTP on this very machine: nothing lies between that TLS could guard. */
static struct relay_connection *
try_socket(struct attempt *a)
{
	struct place p = { .remote = TEXT_INIT(REMOTE_MAX),
	    .local = TEXT_INIT(64) };
	struct relay_connection *c = NULL;

	text_add(&p.remote, span_sub(a->target->via.host, 0, REMOTE_MAX));
	if (dial_unix(&p.dial, a->target->via.host) == 1)
		c = try_place(a, &p);
	else
		failed(a, FAILURE_CONNECT, RELAY_DEFERRED, DESTINATION_DOWN,
		    "4.3.5 %.*s: the path is too long",
		    SPAN_ARG(a->target->via.host));
	text_free(&p.remote);
	text_free(&p.local);
	return c;
}

static struct relay_connection *
try_hosts(struct attempt *a)
{
	const struct relay_target *t = a->target;
	struct relay_connection *c = NULL;
	bool named = t->hosts[0].name.n > 0;	/* an address has no TLSA */

	relay_policy_find(t->domain, t->route, a->settings->relay_tls,
	    named && (t->mx_secure || t->via.kind == VIA_HOST), a->class,
	    a->arena, &a->policy);
	if (a->policy.temporary) {
		failed(a, FAILURE_TLS, RELAY_DEFERRED, DESTINATION_DOWN,
		    "4.7.0 %.*s: %.*s", SPAN_ARG(t->domain),
		    SPAN_ARG(a->policy.reason));
		return NULL;
	}
	for (size_t i = 0; i < t->host_count && c == NULL; i++) {
		if (a->tries == 0)	/* who knows what the others say */
			a->failures.temporary = true;
		else
			c = try_host(a, &t->hosts[i]);
	}
	return c;
}

int
relay_connect(const struct relay_target *target, struct span destination,
    uint32_t class, struct arena *arena, struct relay_connection **out,
    struct relay_nowhere *why)
{
	struct attempt a = { .target = target, .class = class,
	    .settings = relay_settings(), .destination = destination,
	    .arena = arena, .tries = relay_settings()->relay_max_hosts };

	*out = NULL;
	if (target->nowhere.outcome != RELAY_SENT) {
		*why = target->nowhere;
		return 0;
	}
	open_connections++;		/* counted before the first wait */
	*out = target->via.kind == VIA_UNIX ? try_socket(&a) : try_hosts(&a);
	if (*out != NULL)
		return 1;
	open_connections--;
	*why = relay_failures_sum(&a.failures, arena);
	log_event(LOG_LEVEL_DEBUG, "relay.no_connection",
	    log_text("destination", destination),
	    log_text("reason", why->reason));
	return 0;
}

void
relay_disconnect(struct relay_connection **cp, bool good)
{
	struct relay_connection *c = *cp;

	if (c == NULL)
		return;
	if (good)
		smtp_client_quit(c->client);
	smtp_client_free(&c->client);
	arena_free(&c->arena);
	free(c);
	open_connections--;
	*cp = NULL;
}

/*
 * role_resolver.c - asks the DNS for everybody: validating, with one cache.
 *
 * A question is a fiber that waits for libunbound, which itself runs on the
 * loop's own stack. Who waits for the same answer shares it, there. A
 * question that nobody waits for any more goes on, and its answer is kept.
 *
 * A caller's credits bound how many of its questions wait at once. Where slow
 * domains hold most of them, they are told to come again, so that they
 * never keep the others waiting.
 *
 * It reads no file and listens nowhere: what the system knows of DNS comes
 * from the supervisor. Whoever captures it can lie to the others about DNS, and
 * reach servers on the ports of DNS; that is why mail to a domain with DANE
 * would then go astray, and why nothing else trusts it further.
 */
#include "base/log.h"
#include "base/metric.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "ipc/serve.h"
#include "ipc/wire.h"
#include "role/control.h"
#include "role/dns_engine.h"
#include "role/sandbox.h"
#include "verify/dns_message.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	QUESTIONS_MAX = 4096,		/* under way, waited for or not */
	CROWD = LINK_CREDITS * 3 / 4,	/* of one link, waiting */
	PATIENCE = 1000,		/* ms, where there is a crowd */
	NAME_CHARS = 254, LABEL_CHARS = 63, WHY_MAX = 500,
	RCODE_NXDOMAIN = 3, TYPE_DNSKEY = 48, TYPE_OPT = 41,
};

struct question {
	struct question *next, **back;	/* of those that are waited for */
	uint64_t link;
	struct fiber *fiber;		/* NULL: nobody waits any more */
	struct arena *arena;
	struct resolve_reply *out;
	bool done;
	uint32_t type;
	char name[NAME_CHARS + 1];
};

static struct {
	struct server *server;
	struct dns_engine *engine;
	struct dns_plan plan;
	bool planned, asked;
	uint16_t ports[DNS_PORTS_MAX];	/* that the sandbox lets us reach */
	size_t port_count;
	size_t questions;
	struct question *waiting;
} resolver;

/* ---- an answer --------------------------------------------------------- */

static void
fail(struct question *q, enum result result, const char *why)
{
	q->out->result = result;
	q->out->why = arena_dup(q->arena, span_sub(span_str(why), 0,
	    WHY_MAX));
}

static const char *
rcode_name(int rcode)
{
	static const char *const names[] = { "NOERROR", "FORMERR",
	    "SERVFAIL: its servers do not answer, or not sensibly",
	    "NXDOMAIN", "NOTIMP", "REFUSED" };

	return rcode >= 0 && (size_t)rcode < ARRAY_LEN(names) ?
	    names[rcode] : "an unknown failure";
}

static int
pack(const struct dns_message *m, struct question *q)
{
	struct text packed = TEXT_INIT(1 << 20);
	struct span kept;
	int r;

	for (size_t i = 0; i < m->count; i++)
		dns_answer_put(&packed, &(struct dns_answer){
		    .data = m->answers[i] });
	kept = arena_dup(q->arena, text_span(&packed));
	r = !text_full(&packed) && kept.p != NULL;
	text_free(&packed);
	q->out->answers = BLOB_OF(kept);
	return r;
}

static void
fill(struct question *q, int rcode, struct span packet,
    enum dns_security security, const char *why)
{
	struct dns_message m = { .rcode = (uint32_t)rcode };

	if (security == DNS_BOGUS) {
		fail(q, RESULT_DENIED, why != NULL && *why != '\0' ? why :
		    "DNSSEC validation failed");
		return;
	}
	if (rcode == 0 && dns_message_read(packet, q->type, q->arena, &m) !=
	    1) {
		fail(q, RESULT_TEMPORARY, "an answer that cannot be read");
		return;
	}
	if (m.rcode != 0 && m.rcode != RCODE_NXDOMAIN) {
		fail(q, RESULT_TEMPORARY, rcode_name((int)m.rcode));
		return;
	}
	if (pack(&m, q) != 1) {
		fail(q, RESULT_TEMPORARY, "too long an answer");
		return;
	}
	q->out->rcode = m.rcode;
	q->out->secure = security == DNS_SECURE;
	q->out->ttl = m.ttl;
	q->out->canonical = m.canonical;
}

static void
count(int change)
{
	resolver.questions = (size_t)((int64_t)resolver.questions + change);
	metric_set("resolver.questions_open", resolver.questions);
}

static void
report(const struct question *q)
{
	if (q->out->result == RESULT_DENIED)
		log_event(LOG_LEVEL_INFO, "resolver.bogus",
		    log_str("name", q->name), log_int("type", q->type),
		    log_text("why", q->out->why));
	else if (q->out->result == RESULT_TEMPORARY)
		log_event(LOG_LEVEL_DEBUG, "resolver.no_answer",
		    log_str("name", q->name), log_int("type", q->type),
		    log_text("why", q->out->why));
}

/* ---- is it them, or the root? ------------------------------------------ */

static void
on_root_key(void *arg, int rcode, struct span packet,
    enum dns_security security, const char *why)
{
	(void)arg;
	(void)packet;
	if (security == DNS_SECURE)
		return;
	log_event(LOG_LEVEL_WARNING, "resolver.cannot_validate",
	    log_str("servers", control_self()->settings.resolver_servers),
	    log_str("why", why != NULL ? why : rcode != 0 ?
	    rcode_name(rcode) : "the root's key is not signed"),
	    log_str("advice", "resolver.servers root, or resolver.dnssec no"));
}

/*
 * Where the first bogus answer comes, the root's key says whether anything can
 * be validated at all: an operator whose servers take signatures out learns
 * it from one line.
 */
static void
ask_root_key(void *arg)
{
	(void)arg;
	dns_engine_ask(resolver.engine, ".", TYPE_DNSKEY, on_root_key, NULL);
}

/* ---- an answer comes --------------------------------------------------- */

static void
on_answer(void *arg, int rcode, struct span packet,
    enum dns_security security, const char *why)
{
	struct question *q = arg;

	count(-1);
	if (security == DNS_BOGUS && !resolver.asked) {
		resolver.asked = true;
		loop_defer(ask_root_key, NULL);
	}
	if (q->fiber == NULL) {
		free(q);
		return;
	}
	fill(q, rcode, packet, security, why);
	report(q);
	q->done = true;
	fiber_nudge(q->fiber);
}

/* ---- a question -------------------------------------------------------- */

static void
ask(void *arg)
{
	struct question *q = arg;

	if (q->fiber == NULL || dns_engine_ask(resolver.engine, q->name,
	    q->type, on_answer, q) != 1)
		on_answer(q, 2, SPAN_EMPTY, DNS_INSECURE, NULL);
}

/* Labels of printable characters; what needs escapes is no name of ours. */
static bool
is_name(struct span s)
{
	struct span label;

	if (span_is(s, "."))
		return true;
	if (span_ends(s, SPAN(".")))
		s.n--;
	if (s.n == 0 || s.n >= NAME_CHARS || span_ends(s, SPAN(".")))
		return false;
	while (s.n > 0) {
		s = span_cut(s, '.', &label);
		if (label.n == 0 || label.n > LABEL_CHARS)
			return false;
		for (size_t i = 0; i < label.n; i++)
			if (!ascii_is_print(label.p[i]) ||
			    memchr(" \\\"();@$", label.p[i], 8) != NULL)
				return false;
	}
	return true;
}

/* RFC 6895 3.1: from 128 to 255 they are no types of data. */
static bool
is_type(uint32_t type)
{
	return type > 0 && type <= UINT16_MAX && type != TYPE_OPT &&
	    (type < 128 || type > 255);
}

static bool
is_crowded(uint64_t link)
{
	size_t n = 0;

	for (struct question *q = resolver.waiting; q != NULL; q = q->next)
		n += q->link == link;
	return n >= CROWD;
}

static void
enlist(struct question *q)
{
	q->next = resolver.waiting;
	q->back = &resolver.waiting;
	if (q->next != NULL)
		q->next->back = &q->next;
	resolver.waiting = q;
}

static void
delist(struct question *q)
{
	*q->back = q->next;
	if (q->next != NULL)
		q->next->back = q->back;
}

/* 1 there is an answer; 0, and q's reply says why not. */
static int
await(struct question *q)
{
	monotime_t end = clock_after(control_self()->settings.
	    resolver_timeout), now;
	const char *why = NULL;
	int r = 0;

	enlist(q);
	while (r == 0 && why == NULL) {
		monotime_t slice = clock_after(PATIENCE);

		r = fiber_wait_for(&q->done, mono_before(slice, end) ? slice :
		    end);
		now = clock_mono();
		if (r == 0 && !mono_before(now, end))
			why = "no answer in time";
		else if (r == 0 && is_crowded(q->link))
			why = "no answer yet, and others wait";
	}
	delist(q);
	if (r != 1)
		fail(q, RESULT_TEMPORARY, why != NULL ? why : "we stop");
	return r == 1;
}

static void
resolve(void *arg, const struct caller *who, struct arena *arena,
    const struct resolve_request *in, struct resolve_reply *out)
{
	struct question *q = xcalloc(1, sizeof(*q));

	(void)arg;
	metric_event("resolver.question");
	*q = (struct question){ .link = who->link, .fiber = fiber_self(),
	    .arena = arena, .out = out, .type = in->type };
	if (!is_name(in->name) || !is_type(in->type)) {
		fail(q, RESULT_INVALID, "no name or type of the DNS");
	} else if (resolver.engine == NULL) {
		fail(q, RESULT_TEMPORARY, "the resolver's settings are no "
		    "good: see the log");
	} else if (resolver.questions >= QUESTIONS_MAX) {
		fail(q, RESULT_TEMPORARY, "too many questions");
	} else {
		memcpy(q->name, in->name.p, in->name.n);
		count(1);
		loop_defer(ask, q);
		if (await(q) != 1) {
			report(q);
			q->fiber = NULL;
			return;
		}
	}
	free(q);
}

static const struct handlers handlers = { .resolve = resolve };

/* ---- what the supervisor tells ----------------------------------------- */

static bool
may_reach(const struct dns_plan *plan)
{
	for (size_t i = 0; i < plan->port_count; i++) {
		size_t k = 0;

		while (k < resolver.port_count &&
		    resolver.ports[k] != plan->ports[i])
			k++;
		if (k == resolver.port_count)
			return false;
	}
	return true;
}

/*
 * Rights once given up do not come back: for another port we begin a new life,
 * and who waits asks again.
 */
static void
hold_to_ports(const struct dns_plan *plan)
{
	if (resolver.port_count > 0) {
		if (may_reach(plan))
			return;
		log_event(LOG_LEVEL_INFO, "resolver.restarts",
		    log_str("why", "a server on another port"));
		_exit(0);
	}
	if (sandbox_connect_only(plan->ports, plan->port_count) == -1)
		control_fail("resolver.sandbox",
		    span_str(strerrordesc_np(errno)));
	memcpy(resolver.ports, plan->ports, sizeof(resolver.ports));
	resolver.port_count = plan->port_count;
}

/* The cache stays, unless something else than its contents has changed. */
static void
follow(struct dns_plan *plan, struct text *why)
{
	struct dns_engine *engine;

	if (resolver.planned && dns_plan_same(plan, &resolver.plan)) {
		dns_plan_free(plan);
		return;
	}
	hold_to_ports(plan);
	engine = dns_engine_new(plan, why);
	if (engine == NULL) {
		log_event(LOG_LEVEL_ERROR, "resolver.settings",
		    log_text("error", text_span(why)));
		dns_plan_free(plan);
		return;
	}
	dns_engine_retire(&resolver.engine);
	resolver.engine = engine;
	if (resolver.planned)
		dns_plan_free(&resolver.plan);
	resolver.plan = *plan;
	resolver.planned = true;
	resolver.asked = false;
}

static void
on_dns_setup(struct span resolv_conf, struct span trust_anchor,
    struct span root_hints)
{
	struct dns_texts texts = { resolv_conf, trust_anchor, root_hints };
	struct text why = TEXT_INIT(1024);
	struct dns_plan plan;

	if (dns_plan_make(&control_self()->settings, &texts, &plan, &why) ==
	    1) {
		follow(&plan, &why);
	} else {
		log_event(LOG_LEVEL_ERROR, "resolver.settings",
		    log_text("error", text_span(&why)));
		dns_plan_free(&plan);
	}
	text_free(&why);
}

/* Before anything else comes. */
static void
on_settings(const struct settings *s)
{
	(void)s;
	if (resolver.server != NULL)
		return;
	resolver.server = server_new(RESOLVER, &handlers, NULL);
	if (server_on_fibers(resolver.server) != 1)
		control_fail("resolver.loop",
		    span_str(strerrordesc_np(errno)));
}

static void
on_listen(enum protocol protocol, int fd)
{
	must(protocol == PROTOCOL_ADMIN_DNS);
	if (server_listen(resolver.server, fd, CLI) != 1)
		control_fail("resolver.admin",
		    span_str(strerrordesc_np(errno)));
}

static void
on_peer(enum role_bit role, unsigned instance, int fd)
{
	if (server_add(resolver.server, fd, role, instance) != 1)
		log_event(LOG_LEVEL_ERROR, "resolver.peer", log_errno());
}

static void
on_start(void)
{
	control_ready();
}

static void
on_stop(int64_t grace_ms)
{
	(void)grace_ms;
	server_stop(resolver.server);
	control_done();
}

const struct role_events resolver_events = {
	.settings = on_settings,
	.dns_setup = on_dns_setup,
	.listen = on_listen,
	.peer = on_peer,
	.start = on_start,
	.stop = on_stop,
};

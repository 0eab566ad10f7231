/*
 * dns_engine.c - see dns_engine.h.
 */
#include "role/dns_engine.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "role/dns_event.h"

#include <stdio.h>
#include <stdlib.h>

#include <unbound.h>
#include <unbound-event.h>

enum { CLASS_IN = 1, PORTS_AT_ONCE = 512, TCP_AT_ONCE = 64 };

struct dns_engine {
	struct ub_ctx *unbound;
	size_t waiting;			/* questions */
	bool retired;
};

struct question {
	struct dns_engine *engine;
	dns_answered *fn;
	void *arg;
};

/* ---- setting it up ----------------------------------------------------- */

static const struct {
	const char *name, *value;
} options[] = {
	/* One thread: locks have nobody to keep apart. */
	{ "msg-cache-slabs:", "1" }, { "rrset-cache-slabs:", "1" },
	{ "infra-cache-slabs:", "1" }, { "key-cache-slabs:", "1" },
	/* Fragments get lost: rather ask by TCP. */
	{ "edns-buffer-size:", "1232" },
	/* What is often asked for is fetched again before it expires. */
	{ "prefetch:", "yes" }, { "prefetch-key:", "yes" },
	/* A server that is back is found soon. */
	{ "infra-keep-probing:", "yes" }, { "infra-host-ttl:", "300" },
	{ "infra-cache-max-rtt:", "10000" },
	{ "cache-max-ttl:", "86400" }, { "cache-max-negative-ttl:", "3600" },
	{ "aggressive-nsec:", "yes" }, { "harden-glue:", "yes" },
	{ "harden-dnssec-stripped:", "yes" },
	{ "harden-below-nxdomain:", "yes" },
	{ "qname-minimisation:", "yes" },
};

static int
set(struct dns_engine *e, const char *name, const char *value,
    struct text *why)
{
	int r = ub_ctx_set_option(e->unbound, name, value);

	if (r != 0)
		text_printf(why, "libunbound: %s %s: %s", name, value,
		    ub_strerror(r));
	return r == 0 ? 1 : 0;
}

static int
set_number(struct dns_engine *e, const char *name, uint64_t n,
    struct text *why)
{
	char value[24];

	snprintf(value, sizeof(value), "%" PRIu64, n);
	return set(e, name, value, why);
}

/* Records need about twice the room of the messages made of them. */
static int
set_caches(struct dns_engine *e, uint64_t bytes, struct text *why)
{
	return set_number(e, "msg-cache-size:", bytes / 4, why) == 1 &&
	    set_number(e, "rrset-cache-size:", bytes / 2, why) == 1 &&
	    set_number(e, "key-cache-size:", bytes / 8, why) == 1 &&
	    set_number(e, "neg-cache-size:", bytes / 8, why) == 1 &&
	    set_number(e, "outgoing-range:", PORTS_AT_ONCE, why) == 1 &&
	    set_number(e, "outgoing-num-tcp:", TCP_AT_ONCE, why) == 1;
}

static int
check(int r, struct span what, struct text *why)
{
	if (r != 0)
		text_printf(why, "libunbound: %.*s: %s", SPAN_ARG(what),
		    ub_strerror(r));
	return r == 0 ? 1 : 0;
}

/* fn(e, a line), for every line of a list. */
static int
each(struct dns_engine *e, const struct text *list,
    int (*fn)(struct dns_engine *, char *), struct text *why)
{
	struct span rest = text_span(list), line;
	int r = 1;

	while (rest.n > 0 && r == 1) {
		char *copy;

		rest = span_cut(rest, '\n', &line);
		copy = xcalloc(1, line.n + 1);
		memcpy(copy, line.p, line.n);
		r = check(fn(e, copy), line, why);
		free(copy);
	}
	return r;
}

static int
add_forward(struct dns_engine *e, char *server)
{
	return ub_ctx_set_fwd(e->unbound, server);
}

static int
add_stub(struct dns_engine *e, char *line)
{
	char *server = strchr(line, ' ');

	must(server != NULL);
	*server++ = '\0';
	return ub_ctx_set_stub(e->unbound, line, server, 0);
}

/* A stub that is primed is what a file of hints would be. */
static int
add_root(struct dns_engine *e, char *address)
{
	return ub_ctx_set_stub(e->unbound, ".", address, 1);
}

static int
add_insecure(struct dns_engine *e, char *zone)
{
	return ub_ctx_set_option(e->unbound, "domain-insecure:", zone);
}

static int
add_anchor(struct dns_engine *e, char *record)
{
	return ub_ctx_add_ta(e->unbound, record);
}

static int
add_lists(struct dns_engine *e, const struct dns_plan *plan,
    struct text *why)
{
	bool own_root = plan->stubs.n > 0 && (span_starts(
	    text_span(&plan->stubs), SPAN(". ")) || span_find(
	    text_span(&plan->stubs), SPAN("\n. "), 0) != SIZE_MAX);

	if (!own_root && each(e, &plan->roots, add_root, why) != 1)
		return 0;
	return each(e, &plan->forwards, add_forward, why) == 1 &&
	    each(e, &plan->stubs, add_stub, why) == 1 &&
	    each(e, &plan->insecure, add_insecure, why) == 1 &&
	    each(e, &plan->anchors, add_anchor, why) == 1;
}

/*
 * Who has servers named knows what is there: names that the Internet has no
 * answer for (RFC 6303, RFC 6761) are asked about like all others. A server
 * on this machine knows the machine's own addresses as well.
 */
static int
unblock(struct dns_engine *e, const struct dns_plan *plan, struct text *why)
{
	static const char *const zones[] = { "test.", "invalid.",
	    "home.arpa.", "127.in-addr.arpa." };
	size_t count = ARRAY_LEN(zones) - !plan->local_servers;
	int r = 0;

	if (plan->forwards.n == 0 && plan->stubs.n == 0)
		return 1;
	for (size_t i = 0; i < count && r == 0; i++)
		r = ub_ctx_zone_remove(e->unbound, zones[i]);
	return check(r, SPAN("zones of its own"), why);
}

/* libunbound looks at what it was told when it is first used: be it now. */
static int
settle(struct dns_engine *e, struct text *why)
{
	return check(ub_ctx_zone_remove(e->unbound, "nowhere.invalid."),
	    SPAN("the trust anchor, or another setting"), why);
}

static int
set_all(struct dns_engine *e, const struct dns_plan *plan, struct text *why)
{
	bool named = plan->forwards.n > 0 || plan->stubs.n > 0;

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (set(e, options[i].name, options[i].value, why) != 1)
			return 0;
	if (set(e, "module-config:", plan->validate ? "validator iterator" :
	    "iterator", why) != 1 || set_caches(e, plan->cache, why) != 1)
		return 0;
	if (plan->local_servers &&
	    set(e, "do-not-query-localhost:", "no", why) != 1)
		return 0;
	if (named && (set(e, "unblock-lan-zones:", "yes", why) != 1 ||
	    set(e, "insecure-lan-zones:", "yes", why) != 1))
		return 0;
	return add_lists(e, plan, why) == 1 && settle(e, why) == 1 &&
	    unblock(e, plan, why) == 1;
}

struct dns_engine *
dns_engine_new(const struct dns_plan *plan, struct text *why)
{
	struct dns_engine *e = xcalloc(1, sizeof(*e));

	e->unbound = ub_ctx_create_ub_event(dns_event_base());
	if (e->unbound == NULL) {
		text_str(why, "libunbound cannot begin");
		free(e);
		return NULL;
	}
	ub_ctx_debugout(e->unbound, NULL);
	if (set_all(e, plan, why) == 1)
		return e;
	ub_ctx_delete(e->unbound);
	free(e);
	return NULL;
}

/* ---- asking ------------------------------------------------------------ */

/* Not from within its own callback. */
static void
destroy(void *arg)
{
	struct dns_engine *e = arg;

	ub_ctx_delete(e->unbound);
	free(e);
}

static void
release(struct dns_engine *e)
{
	must(e->waiting > 0);
	e->waiting--;
	if (e->retired && e->waiting == 0)
		loop_defer(destroy, e);
}

static void
on_answer(void *arg, int rcode, void *packet, int n, int security, char *why,
    int limited)
{
	struct question q = *(struct question *)arg;

	(void)limited;
	free(arg);
	q.fn(q.arg, rcode, packet == NULL || n <= 0 ? SPAN_EMPTY :
	    span_of(packet, (size_t)n), security == 2 ? DNS_SECURE :
	    security == 1 ? DNS_BOGUS : DNS_INSECURE, why);
	release(q.engine);
}

int
dns_engine_ask(struct dns_engine *e, const char *name, uint32_t type,
    dns_answered *fn, void *arg)
{
	struct question *q = xmalloc(sizeof(*q));

	must(!e->retired && fiber_self() == NULL);
	*q = (struct question){ e, fn, arg };
	e->waiting++;
	if (ub_resolve_event(e->unbound, name, (int)type, CLASS_IN, q,
	    on_answer, NULL) == 0)
		return 1;
	free(q);
	e->waiting--;
	return 0;
}

void
dns_engine_retire(struct dns_engine **ep)
{
	struct dns_engine *e = *ep;

	*ep = NULL;
	if (e == NULL)
		return;
	e->retired = true;
	if (e->waiting == 0)
		loop_defer(destroy, e);
}

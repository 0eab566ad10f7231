/*
 * relay_target.c - from the name of a destination to the hosts to try.
 */
#include "relay/relay_target.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

enum { HOSTS_MAX = 100, LMTP_PORT = 24 };

/* ---- the words of a route ------------------------------------------------ */

/* ":25" behind a host, or nothing. */
static int
read_port(struct span in, uint16_t *out)
{
	uint32_t n;

	if (in.n == 0)
		return 1;
	if (in.p[0] != ':' || span_u32(span_from(in, 1), &n) != 1 || n == 0 ||
	    n > UINT16_MAX)
		return 0;
	*out = (uint16_t)n;
	return 1;
}

static int
read_host(struct span in, struct relay_via *out)
{
	size_t end;

	if (in.n > 0 && in.p[0] == '[') {
		end = span_find_char(in, ']', 0);
		if (end == SIZE_MAX || end == 1)
			return 0;
		out->kind = VIA_HOST;
		out->host = span_sub(in, 1, end - 1);
		return read_port(span_from(in, end + 1), &out->port);
	}
	end = MIN(span_find_char(in, ':', 0), in.n);
	out->host = span_sub(in, 0, end);
	return out->host.n == 0 ? 0 : read_port(span_from(in, end), &out->port);
}

int
relay_via_parse(struct span in, struct relay_via *out)
{
	*out = (struct relay_via){ .kind = VIA_MX };
	in = span_trim(in);
	if (in.n == 0)
		return 1;
	if (span_starts(in, SPAN("refuse:"))) {
		out->kind = VIA_REFUSE;
		out->host = span_trim(span_from(in, 7));
		return 1;
	}
	out->lmtp = span_starts(in, SPAN("lmtp:"));
	if (!out->lmtp && !span_starts(in, SPAN("smtp:")))
		return 0;
	in = span_from(in, 5);
	if (out->lmtp && in.n > 0 && in.p[0] == '/') {
		out->kind = VIA_UNIX;
		out->host = in;
		return 1;
	}
	if (read_host(in, out) != 1)
		return 0;
	if (out->lmtp)		/* there is no MX for LMTP (RFC 2033 5) */
		out->kind = VIA_HOST;
	return 1;
}

int
relay_literal(struct span in, struct ip_address *out)
{
	if (in.n > 2 && in.p[0] == '[' && in.p[in.n - 1] == ']')
		in = span_sub(in, 1, in.n - 2);
	if (span_starts_nocase(in, SPAN("IPv6:")))
		in = span_from(in, 5);
	return ip_parse(in, out);
}

/* ---- nowhere ------------------------------------------------------------- */

static void PRINTF_LIKE(5, 6)
lead_nowhere(struct relay_target *t, struct arena *arena,
    enum relay_outcome outcome, enum destination_state state,
    const char *fmt, ...)
{
	struct text reason = TEXT_INIT(900);
	va_list arguments;

	va_start(arguments, fmt);
	text_vprintf(&reason, fmt, arguments);
	va_end(arguments);
	t->nowhere = (struct relay_nowhere){ .outcome = outcome,
	    .state = state, .reason = arena_dup(arena, text_span(&reason)) };
	text_free(&reason);
}

/* ---- MX ------------------------------------------------------------------ */

/* The preference from which on a host is ourselves or behind us. */
static uint32_t
our_preference(const struct dns_mx *mx, size_t count, struct span our_name)
{
	for (size_t i = 0; i < count; i++)
		if (span_eq_nocase(mx[i].host, our_name))
			return mx[i].preference;
	return UINT32_MAX;
}

void
relay_target_hosts(const struct dns_mx *mx, size_t count,
    struct span our_name, struct arena *arena, struct relay_target *t)
{
	uint32_t ours = our_preference(mx, count, our_name);

	if (count == 1 && mx[0].host.n == 0) {
		lead_nowhere(t, arena, RELAY_FAILED, DESTINATION_UNSURE,
		    "5.1.10 %.*s takes no mail (null MX, RFC 7505)",
		    SPAN_ARG(t->domain));
		return;
	}
	t->hosts = arena_zalloc(arena, MIN(count, HOSTS_MAX) *
	    sizeof(*t->hosts));
	for (size_t i = 0; t->hosts != NULL && i < count &&
	    t->host_count < HOSTS_MAX; i++)
		if (mx[i].host.n > 0 && mx[i].preference < ours)
			t->hosts[t->host_count++].name = mx[i].host;
	if (t->host_count == 0 && ours != UINT32_MAX)
		lead_nowhere(t, arena, RELAY_FAILED, DESTINATION_UNSURE,
		    "5.4.6 the best mail exchanger of %.*s is this system, "
		    "which does not take its mail", SPAN_ARG(t->domain));
	else if (t->host_count == 0)
		lead_nowhere(t, arena, RELAY_FAILED, DESTINATION_UNSURE,
		    "5.4.4 %.*s has no usable mail exchanger",
		    SPAN_ARG(t->domain));
}

static void
one_host(struct relay_target *t, struct span name, struct arena *arena)
{
	t->hosts = arena_zalloc(arena, sizeof(*t->hosts));
	if (t->hosts == NULL)
		return;
	t->host_count = 1;
	if (relay_literal(name, &t->hosts[0].ip) != 1)
		t->hosts[0].name = name;
}

/*
 * A domain that somebody wrote by hand may be wrong: its mail waits until it
 * is right. One that a sender wrote is told to be wrong at once.
 */
static void
no_such_domain(struct relay_target *t, struct arena *arena)
{
	if (t->given)
		lead_nowhere(t, arena, RELAY_DEFERRED, DESTINATION_DOWN,
		    "4.4.4 route %s: there is no domain %.*s", t->route->name,
		    SPAN_ARG(t->domain));
	else
		lead_nowhere(t, arena, RELAY_FAILED, DESTINATION_UNSURE,
		    "5.1.2 there is no domain %.*s", SPAN_ARG(t->domain));
}

static void
find_mx(struct relay_target *t, const struct settings *s, struct arena *arena)
{
	struct dns_mx *mx;
	size_t count;
	struct resolve_answer a = resolve_mx(t->domain, arena, &mx, &count);

	t->mx_secure = a.secure;
	switch (a.status) {
	case RESOLVE_OK:
		relay_target_hosts(mx, count, span_str(s->hostname), arena,
		    t);
		break;
	case RESOLVE_NONE:	/* RFC 5321 5.1: the implicit MX */
		one_host(t, t->domain, arena);
		break;
	case RESOLVE_NXDOMAIN:
		no_such_domain(t, arena);
		break;
	case RESOLVE_TEMPORARY:
		lead_nowhere(t, arena, RELAY_DEFERRED, DESTINATION_DOWN,
		    "4.4.3 the DNS did not tell the mail exchangers of %.*s"
		    "%s%.*s", SPAN_ARG(t->domain), a.why.n > 0 ? ": " : "",
		    SPAN_ARG(a.why));
		break;
	case RESOLVE_BOGUS:
		lead_nowhere(t, arena, RELAY_DEFERRED, DESTINATION_DOWN,
		    "4.7.0 DNSSEC: what the DNS tells of %.*s is not to be "
		    "trusted%s%.*s", SPAN_ARG(t->domain),
		    a.why.n > 0 ? ": " : "", SPAN_ARG(a.why));
		break;
	}
}

/* ---- the whole ----------------------------------------------------------- */

static void
refuse(struct relay_target *t, struct arena *arena)
{
	struct span text = t->via.host;
	bool coded = text.n > 4 && text.p[1] == '.' &&
	    (text.p[0] == '4' || text.p[0] == '5');

	lead_nowhere(t, arena, text.n > 0 && text.p[0] == '4' && coded ?
	    RELAY_DEFERRED : RELAY_FAILED, DESTINATION_UNSURE, "%s%.*s",
	    coded ? "" : "5.7.1 ", SPAN_ARG(text.n > 0 ? text :
	    SPAN("mail is not taken there")));
}

/* "partners/example.org": the route, and the domain behind it. */
static int
find_route(struct span destination, const struct routes *routes,
    struct arena *arena, struct relay_target *t)
{
	struct span name;
	size_t slash = span_find_char(destination, '/', 0);

	t->domain = destination;
	if (slash == SIZE_MAX)
		return 1;
	t->domain = span_cut(destination, '/', &name);
	if (routes != NULL)
		t->route = routes_find(routes, name);
	if (t->route != NULL &&
	    relay_via_parse(span_str(t->route->via), &t->via) == 1)
		return 1;
	lead_nowhere(t, arena, RELAY_DEFERRED, DESTINATION_DOWN,
	    "4.3.5 the route %.*s is not there, or leads nowhere",
	    SPAN_ARG(name));
	return 0;
}

static uint16_t
port_of(const struct relay_target *t, const struct settings *s)
{
	if (t->via.port != 0)
		return t->via.port;
	if (t->route != NULL && t->route->port != 0)
		return (uint16_t)t->route->port;
	return t->via.lmtp ? LMTP_PORT : (uint16_t)s->relay_port;
}

void
relay_target_find(struct span destination, const struct routes *routes,
    const struct settings *s, struct arena *arena, struct relay_target *t)
{
	struct ip_address ip;

	*t = (struct relay_target){ .nowhere = { .outcome = RELAY_SENT } };
	if (find_route(destination, routes, arena, t) != 1)
		return;
	t->port = port_of(t, s);
	t->given = t->via.kind != VIA_MX || t->via.host.n > 0;
	if (t->given && t->via.kind != VIA_REFUSE)
		t->domain = t->via.host;
	if (t->via.kind == VIA_REFUSE)
		refuse(t, arena);
	else if (t->via.kind == VIA_HOST ||
	    (t->via.kind == VIA_MX && relay_literal(t->domain, &ip) == 1))
		one_host(t, t->domain, arena);
	else if (t->via.kind == VIA_MX)
		find_mx(t, s, arena);
	if (t->nowhere.outcome == RELAY_SENT && t->host_count == 0 &&
	    t->via.kind != VIA_UNIX)
		lead_nowhere(t, arena, RELAY_DEFERRED, DESTINATION_UNSURE,
		    "4.3.0 out of memory");
}

size_t
relay_interleave(const struct ip_address *v6, size_t n6,
    const struct ip_address *v4, size_t n4, struct ip_address *out,
    size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < MAX(n6, n4); i++) {
		if (i < n6 && n < room)
			out[n++] = v6[i];
		if (i < n4 && n < room)
			out[n++] = v4[i];
	}
	return n;
}

/*
 * relay_policy.c - what is asked of TLS: by the operator, then by what the
 * destination publishes, then by the message.
 *
 * DANE goes before MTA-STS (RFC 8461 2): where a host has TLSA records they
 * decide; where it has none, the domain's MTA-STS policy does.
 */
#include "relay/relay_policy_impl.h"
#include "relay/relay.h"
#include "relay/relay_target.h"
#include "verify/sts.h"

/* ---- the destination --------------------------------------------------- */

static const struct level {
	const char *name;		/* of relay.tls, and a route's tls */
	enum policy_kind kind;
} levels[] = {
	{ "none",	POLICY_NONE },
	{ "may",	POLICY_MAY },
	{ "encrypt",	POLICY_ENCRYPT },
	{ "dane",	POLICY_DANE_ONLY },
	{ "verify",	POLICY_VERIFY },
};

static enum policy_kind
kind_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (strcmp(levels[i].name, name) == 0)
			return levels[i].kind;
	return POLICY_MAY;
}

static bool
is_optional(uint32_t flags)
{
	return (flags & ENVELOPE_TLS_OPTIONAL) != 0 &&
	    (flags & ENVELOPE_REQUIRETLS) == 0;
}

static struct span
words(struct arena *arena, const struct policy *p, const struct route *route,
    const char *asked, uint32_t flags)
{
	bool by_route = route != NULL && *route->tls != '\0';

	if (p->kind == POLICY_DANE)
		return SPAN("dane: the MX are validated");
	if (p->sts_id.n > 0)
		return arena_printf(arena, "mta-sts %s (id %.*s)",
		    p->kind == POLICY_STS_ENFORCE ? "enforce" : "testing",
		    SPAN_ARG(p->sts_id));
	if (p->kind != POLICY_MAY || by_route)
		return by_route ? arena_printf(arena, "route %s: %s",
		    route->name, asked) :
		    arena_printf(arena, "relay.tls: %s", asked);
	return is_optional(flags) ? SPAN("may: TLS-Required: No") :
	    SPAN("may: nothing is published");
}

/* What the domain says itself, and who wants to know how it went. */
static void
ask_domain(struct policy *p, bool by_mx, struct arena *arena)
{
	const struct settings *s = relay_settings();

	if (s->relay_tls_reports && by_mx)
		p->rua = relay_report_rua(p->domain, arena);
	if (p->kind != POLICY_MAY)
		return;
	if (s->relay_mta_sts && by_mx)
		p->kind = p->otherwise = relay_sts_find(arena, p);
	if (s->relay_dane && p->mx_secure)
		p->kind = POLICY_DANE;
}

void
relay_policy_find(struct span domain, const struct route *route,
    const char *standard_tls, bool mx_secure, uint32_t flags,
    struct arena *arena, struct policy *p)
{
	const char *asked = route != NULL && *route->tls != '\0'
	    ? route->tls : standard_tls;
	struct relay_via via = { .kind = VIA_MX };

	if (route != NULL)
		relay_via_parse(span_str(route->via), &via);
	*p = (struct policy){ .kind = kind_named(asked),
	    .otherwise = POLICY_MAY, .domain = domain,
	    .mx_secure = mx_secure,
	    .require_tls = (flags & ENVELOPE_REQUIRETLS) != 0 };
	if (!is_optional(flags) && p->kind != POLICY_NONE && !via.lmtp)
		ask_domain(p, via.kind == VIA_MX, arena);
	p->reason = words(arena, p, route, asked, flags);
	if (arena_full(arena))
		p->temporary = true;
	if (p->temporary)
		p->reason = SPAN("its policy cannot be found out just now");
}

/* ---- the host ---------------------------------------------------------- */

static void
check_name(struct policy_host *h, struct span host, struct arena *arena)
{
	const char **names = arena_alloc(arena, sizeof(*names));

	h->peer.check = TLS_CHECK_NAME;
	h->peer.tolerate = false;
	if (names == NULL)
		return;
	names[0] = arena_cstr(arena, host);
	h->peer.names = names;
	h->peer.name_count = 1;
}

static void
demand(struct policy_host *h)
{
	h->try_tls = h->need_tls = true;
	h->fall_back = false;
}

static void
refuse(struct policy_host *h, struct span reason)
{
	h->allowed = false;
	h->reason = reason;
}

/* RFC 8461 4.1, 4.2; 5: in testing all is done, and nothing fails. */
static void
obey_sts(const struct policy *p, struct span host, enum policy_kind kind,
    struct arena *arena, struct policy_host *h)
{
	bool named = sts_allows(p->sts_mx, p->sts_mx_count, host);

	h->kind = kind;
	h->reason = arena_printf(arena, "mta-sts %s (id %.*s)%s",
	    kind == POLICY_STS_ENFORCE ? "enforce" : "testing",
	    SPAN_ARG(p->sts_id), named ? "" : ": it does not name this host");
	h->mismatch = !named;
	check_name(h, host, arena);
	if (kind == POLICY_STS_TESTING) {
		h->peer.tolerate = true;
		return;
	}
	demand(h);
	if (!named) {
		h->allowed = false;
		relay_report_count(p, TLSRPT_STS, p->sts_text,
		    &(struct tlsrpt_row){ .host = host,
		    .result = SPAN("validation-failure") });
	}
}

/* RFC 7672 3.1, 3.2: usage 2 wants a name too, of either end of the MX. */
static void
obey_tlsa(const struct policy *p, const struct dane *d, struct arena *arena,
    struct policy_host *h)
{
	const char **names = arena_alloc(arena, sizeof(*names));

	h->kind = POLICY_DANE;
	h->tlsa = d->text;
	h->reason = d->why;
	demand(h);
	h->peer.name = arena_cstr(arena, d->base);
	if (d->status == DANE_UNUSABLE)
		return;
	h->peer.check = TLS_CHECK_DANE;
	h->peer.records = d->records;
	h->peer.record_count = d->count;
	if (names == NULL || p->domain.n == 0)
		return;
	names[0] = arena_cstr(arena, p->domain);
	h->peer.names = names;
	h->peer.name_count = 1;
}

/* RFC 7672 2.1.1: what cannot be found out is not sent to meanwhile. */
static void
put_off(const struct policy *p, const struct dane *d, struct span host,
    struct policy_host *h)
{
	h->temporary = true;
	refuse(h, d->why);
	if (d->bogus)
		relay_report_count(p, TLSRPT_TLSA, SPAN_EMPTY,
		    &(struct tlsrpt_row){ .host = host,
		    .result = SPAN("dnssec-invalid") });
}

/* By what it publishes; false: nothing that is asked for. */
static bool
obey_published(const struct policy *p, struct span host, bool host_secure,
    uint16_t port, struct arena *arena, struct policy_host *h)
{
	bool dane_only = p->kind == POLICY_DANE_ONLY;
	struct dane d = { .status = DANE_NONE };

	if (p->mx_secure && (dane_only || p->kind == POLICY_DANE))
		relay_dane_find(host, host_secure, port, arena, &d);
	if (d.status == DANE_LATER) {
		put_off(p, &d, host, h);
		return true;
	}
	if (d.status == DANE_UNUSABLE && !dane_only && p->sts_mx_count > 0)
		d.status = DANE_NONE;	/* MTA-STS asks for more */
	if (d.status == DANE_USABLE ||
	    (d.status == DANE_UNUSABLE && !dane_only)) {
		obey_tlsa(p, &d, arena, h);
		return true;
	}
	if (dane_only) {
		refuse(h, p->mx_secure ?
		    SPAN("dane: the host has no TLSA record of use") :
		    SPAN("dane: the MX are not validated"));
		return true;
	}
	if (p->otherwise == POLICY_MAY)
		return false;
	obey_sts(p, host, p->otherwise, arena, h);
	return true;
}

/*
 * RFC 8689 4.2.1: who the host is must be known from DNSSEC or MTA-STS, and
 * its certificate must say so.
 */
static void
require(const struct policy *p, struct span host, struct arena *arena,
    struct policy_host *h)
{
	if (!h->allowed)
		return;
	if (!p->mx_secure && (p->sts_mx_count == 0 || h->mismatch)) {
		refuse(h, SPAN("REQUIRETLS: neither DNSSEC nor MTA-STS "
		    "vouches for its MX"));
		return;
	}
	demand(h);
	if (h->peer.check != TLS_CHECK_DANE)
		check_name(h, host, arena);
	h->reason = arena_printf(arena, "REQUIRETLS, %.*s",
	    SPAN_ARG(h->reason));
}

static bool
is_address(struct span host)
{
	struct ip_address ip;

	return ip_parse(host, &ip) == 1;
}

void
relay_policy_host(const struct policy *p, struct span host, bool host_secure,
    uint16_t port, uint32_t flags, struct arena *arena,
    struct policy_host *h)
{
	*h = (struct policy_host){ .allowed = true, .kind = p->kind,
	    .reason = p->reason, .peer.name = is_address(host) ? NULL :
	    arena_cstr(arena, host) };
	h->try_tls = p->kind != POLICY_NONE;
	h->fall_back = h->try_tls;
	if (p->kind == POLICY_ENCRYPT || p->kind == POLICY_VERIFY)
		demand(h);
	if (p->kind == POLICY_VERIFY)
		check_name(h, host, arena);
	else if (!obey_published(p, host, host_secure && !is_address(host),
	    port, arena, h) && p->kind == POLICY_DANE) {
		h->kind = POLICY_MAY;
		h->reason = SPAN("may: no TLSA records");
	}
	if (p->require_tls || (flags & ENVELOPE_REQUIRETLS) != 0)
		require(p, host, arena, h);
	/* Sessions are resumed where the same would be checked again. */
	h->peer.session_key = arena_cstr(arena, arena_printf(arena,
	    "%.*s:%u %d", SPAN_ARG(host), port, h->kind));
	if (arena_full(arena)) {
		h->temporary = true;
		refuse(h, SPAN("its policy is too large"));
	}
}

/* ---- what came of it --------------------------------------------------- */

/* Of "mx.example.org[192.0.2.1]:25" what is in brackets. */
static struct span
ip_of(struct span remote)
{
	size_t open = span_find_char(remote, '[', 0);
	size_t close = span_find_char(remote, ']', 0);

	return open == SIZE_MAX || close == SIZE_MAX || close < open
	    ? remote : span_sub(remote, open + 1, close - open - 1);
}

void
relay_policy_result(const struct policy *p, const struct policy_host *h,
    struct span host, struct span remote, struct span local,
    const char *failure)
{
	struct tlsrpt_row row = { .result = span_str(failure) };

	if (h->mismatch && row.result.n == 0)
		row.result = SPAN("validation-failure");
	if (row.result.n > 0) {
		row.host = host;
		row.remote = ip_of(remote);
		row.local = ip_of(local);
	}
	if (h->tlsa.n > 0)
		relay_report_count(p, TLSRPT_TLSA, h->tlsa, &row);
	else if (h->kind == POLICY_STS_ENFORCE ||
	    h->kind == POLICY_STS_TESTING)
		relay_report_count(p, TLSRPT_STS, p->sts_text, &row);
	else
		relay_report_count(p, TLSRPT_NO_POLICY, SPAN_EMPTY, &row);
}

/*
 * relay_policy_dane.c - a host's TLSA records (RFC 7672 2.2.2, 2.2.3).
 *
 * Only what is validated counts. A host whose addresses are not validated is
 * not asked for TLSA records, since they would stand in the same zone; but
 * for one that is a validated alias into another zone, which may have them
 * under its own name.
 */
#include "relay/relay_policy_impl.h"
#include "base/secret.h"

#include <sys/socket.h>

enum { DATA_SHOWN = 1024 };		/* bytes of a record, in a report */

static bool
is_failure(enum resolve_status status)
{
	return status == RESOLVE_TEMPORARY || status == RESOLVE_BOGUS;
}

/*
 * Are the addresses validated? What stands behind all aliases is *canonical
 * then. A family that nobody answers for says nothing: whoever can suppress
 * its answers must not suppress DANE with them.
 */
static bool
addresses_secure(struct span host, struct arena *arena,
    struct span *canonical)
{
	static const int families[] = { AF_INET, AF_INET6 };
	bool secure = false;

	*canonical = host;
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		struct ip_address *list;
		size_t n;
		struct resolve_answer a = resolve_addresses(host,
		    families[i], arena, &list, &n);

		if (is_failure(a.status))
			continue;
		if (!a.secure)
			return false;
		secure = true;
		if (a.status == RESOLVE_OK && a.canonical.n > 0)
			*canonical = a.canonical;
	}
	return secure;
}

static enum resolve_status
is_secure_alias(struct span host, struct arena *arena, bool *yes,
    struct span *why)
{
	struct span *rdata;
	size_t n;
	struct resolve_answer a = resolve_records(host, DNS_CNAME, arena,
	    &rdata, &n);

	*yes = a.status == RESOLVE_OK && a.secure && n > 0;
	*why = a.why;
	return a.status;
}

static void
later(struct dane *d, struct arena *arena, enum resolve_status status,
    struct span name, struct span why)
{
	d->status = DANE_LATER;
	d->bogus = status == RESOLVE_BOGUS;
	d->why = arena_printf(arena, "dane: %s of %.*s %s: %.*s",
	    d->base.n > 0 ? "the TLSA records" : "the alias",
	    SPAN_ARG(name), d->bogus ? "fail validation" :
	    "cannot be found out", SPAN_ARG(why));
}

/* As in a zone file, for the report (RFC 8460 4.4 policy-string). */
static void
describe(struct text *out, struct span name, const struct dns_tlsa *r)
{
	char hex[2 * DATA_SHOWN + 1];

	hex_of(hex, r->data.p, MIN(r->data.n, DATA_SHOWN));
	text_printf(out, "%s%.*s. IN TLSA %u %u %u %s",
	    out->n > 0 ? "\n" : "", SPAN_ARG(name), r->usage, r->selector,
	    r->matching, hex);
}

static void
take_records(struct dane *d, struct span name, const struct dns_tlsa *all,
    size_t n, struct arena *arena)
{
	struct text words = TEXT_INIT(TLSRPT_POLICY_MAX);

	d->records = arena_alloc(arena, n * sizeof(*d->records));
	for (size_t i = 0; d->records != NULL && i < n; i++) {
		struct tls_record r = { all[i].usage, all[i].selector,
		    all[i].matching, all[i].data };

		describe(&words, name, &all[i]);
		if (tls_record_usable(&r))
			d->records[d->count++] = r;
	}
	d->text = arena_dup(arena, text_span(&words));
	text_free(&words);
	d->status = d->count > 0 ? DANE_USABLE : DANE_UNUSABLE;
	d->why = d->count == 0
	    ? SPAN("dane: no TLSA record is of use: encrypted, "
	    "whoever it is") : arena_printf(arena,
	    "dane: %zu TLSA record%s of %.*s", d->count,
	    d->count == 1 ? "" : "s", SPAN_ARG(d->base));
}

/* True: nothing more is to be asked. */
static bool
try_base(struct dane *d, struct span base, uint16_t port,
    struct arena *arena)
{
	struct span name = arena_printf(arena, "_%u._tcp.%.*s", port,
	    SPAN_ARG(base));
	struct dns_tlsa *all;
	size_t n;
	struct resolve_answer a = resolve_tlsa(name, arena, &all, &n);

	d->base = base;
	if (is_failure(a.status))
		later(d, arena, a.status, name, a.why);
	else if (a.status == RESOLVE_OK && a.secure)
		take_records(d, name, all, n, arena);
	return d->status != DANE_NONE;
}

void
relay_dane_find(struct span host, bool host_secure, uint16_t port,
    struct arena *arena, struct dane *d)
{
	struct span base, why;
	enum resolve_status status;
	bool alias;

	*d = (struct dane){ .status = DANE_NONE };
	if (!addresses_secure(host, arena, &base) && !host_secure) {
		base = host;
		status = is_secure_alias(host, arena, &alias, &why);
		if (is_failure(status))
			later(d, arena, status, host, why);
		if (!alias)
			return;
	}
	if (!try_base(d, base, port, arena) &&
	    !span_eq_nocase(base, host))
		try_base(d, host, port, arena);
}

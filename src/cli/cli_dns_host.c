/*
 * cli_dns_host.c - the server in the DNS: how it is reached, what its
 * address is called, its certificate's key, and where clients find it.
 */
#include <sys/socket.h>

#include "base/secret.h"
#include "cli/cli_dns_check.h"
#include "verify/spf.h"

enum { TYPE_SRV = 33, SRV_FIXED = 6 };

static struct span
shown_address(struct check *c, const struct ip_address *a)
{
	struct text t = TEXT_INIT(64);
	struct span s;

	ip_write(a, &t);
	s = arena_dup(c->arena, text_span(&t));
	text_free(&t);
	return s;
}

/* ---- MX --------------------------------------------------------------- */

void
check_mx(struct check *c)
{
	const struct dns_facts *f = c->facts;
	struct resolve_answer a;
	struct text all = TEXT_INIT(2000);
	struct dns_mx *mx;
	bool here = false;
	size_t n;

	a = resolve_mx(f->domain, c->arena, &mx, &n);
	if (!answered(c, J_MX_HERE, &a))
		goto out;
	for (size_t i = 0; i < n; i++) {
		here |= span_eq(mx[i].host, f->host);
		text_printf(&all, "%s%u %.*s", i > 0 ? ", " : "",
		    (unsigned)mx[i].preference, SPAN_ARG(mx[i].host));
	}
	judge(c, J_MX_HERE, here, n == 0 ? "there is no MX; it should be %.*s"
	    : here ? "MX %.*s" : "the MX are %.*s",
	    SPAN_ARG(n == 0 ? f->host : text_span(&all)));
	judge(c, J_DNSSEC, a.secure, "%s", "");
out:
	text_free(&all);
}

/* ---- addresses -------------------------------------------------------- */

static bool
is_one_of(const struct ip_address *a, const struct ip_address *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a->family == list[i].family && ip_in_network(a, &list[i],
		    a->family == AF_INET ? 32 : 128))
			return true;
	return false;
}

/* False: the DNS did not say. */
static bool
add_addresses(struct check *c, int family, bool *alias)
{
	struct resolve_answer a;
	struct ip_address *list;
	size_t n;

	a = resolve_addresses(c->facts->host, family, c->arena, &list, &n);
	if (!answered(c, J_HOST, &a))
		return false;
	*alias |= a.status == RESOLVE_OK &&
	    !span_eq(a.canonical, c->facts->host);
	for (size_t i = 0; i < n && c->host_count < DNS_ADDRESSES_MAX; i++)
		c->host[c->host_count++] = list[i];
	return true;
}

void
check_host(struct check *c)
{
	const struct dns_facts *f = c->facts;
	struct text all = TEXT_INIT(2000);
	bool alias = false, ours = false;

	if (!add_addresses(c, AF_INET, &alias) ||
	    !add_addresses(c, AF_INET6, &alias))
		goto out;
	for (size_t i = 0; i < c->host_count; i++) {
		text_char(&all, ' ');
		text_add(&all, shown_address(c, &c->host[i]));
		ours |= is_one_of(&c->host[i], f->addresses,
		    f->address_count);
	}
	if (!judge(c, J_HOST, c->host_count > 0, "%.*s%.*s",
	    SPAN_ARG(f->host), SPAN_ARG(text_span(&all))))
		goto out;
	if (alias)
		judge(c, J_MX_ALIAS, false, "%.*s", SPAN_ARG(f->host));
	if (f->address_count > 0)
		judge(c, J_HOST_OURS, ours, "%s", "");
out:
	text_free(&all);
}

/* ---- PTR -------------------------------------------------------------- */

static bool
leads_to(struct check *c, struct span name, const struct ip_address *address)
{
	struct ip_address *list;
	size_t n;

	resolve_addresses(name, address->family, c->arena, &list, &n);
	return is_one_of(address, list, n);
}

static void
check_one_ptr(struct check *c, const struct ip_address *address)
{
	struct span text = shown_address(c, address), *names, good;
	struct resolve_answer a;
	bool same = false;
	size_t n;

	a = resolve_ptr(address, c->arena, &names, &n);
	if (!answered(c, J_PTR, &a))
		return;
	good = SPAN_EMPTY;
	for (size_t i = 0; i < n && i < 10; i++) {
		if (!leads_to(c, names[i], address))
			continue;
		same |= span_eq(names[i], c->facts->host);
		if (good.n == 0 || same)
			good = names[i];
	}
	if (!judge(c, J_PTR, good.n > 0, n == 0 ? "%.*s has no name%.*s" :
	    "%.*s is %.*s", SPAN_ARG(text), SPAN_ARG(n == 0 ? SPAN_EMPTY :
	    good.n > 0 ? good : names[0])))
		return;
	judge(c, J_PTR_GENERIC, same, same ? "%.*s" : "%.*s, where it says "
	    "%.*s", SPAN_ARG(good), SPAN_ARG(c->facts->host));
}

void
check_ptr(struct check *c)
{
	for (size_t i = 0; i < c->host_count; i++)
		check_one_ptr(c, &c->host[i]);
}

/* ---- DANE ------------------------------------------------------------- */

/* Records that we cannot hold against our key are passed over. */
static bool
is_our_key(const struct dns_tlsa *t, const char *hash)
{
	char hex[65];

	if ((t->usage != 3 && t->usage != 1) || t->selector != 1 ||
	    t->matching != 1 || t->data.n != 32)
		return false;
	hex_of(hex, t->data.p, 32);
	return strcmp(hex, hash) == 0;
}

void
check_tlsa(struct check *c)
{
	const struct dns_facts *f = c->facts;
	struct span name = arena_printf(c->arena, "_25._tcp.%.*s",
	    SPAN_ARG(f->host));
	struct resolve_answer a;
	struct dns_tlsa *list;
	bool match = false;
	size_t n, known = 0;

	a = resolve_tlsa(name, c->arena, &list, &n);
	if (!answered(c, J_TLSA, &a) || *f->key_hash == '\0')
		return;
	if (!judge(c, J_TLSA, n > 0, "%.*s", SPAN_ARG(name)))
		return;
	for (size_t i = 0; i < n; i++) {
		known += list[i].usage == 3 && list[i].selector == 1 &&
		    list[i].matching == 1;
		match |= is_our_key(&list[i], f->key_hash);
	}
	if (known > 0 || match)
		judge(c, J_TLSA_MATCH, match, "3 1 1 %s", f->key_hash);
	judge(c, J_TLSA_SIGNED, a.secure, "%s", "");
}

/* ---- services --------------------------------------------------------- */

struct srv {
	unsigned port;
	struct span host;		/* "" is "." */
};

/* RFC 2782: priority, weight, port, target. */
static int
read_srv(struct span data, struct arena *a, struct srv *out)
{
	struct span rest;

	if (data.n <= SRV_FIXED || dns_read_name(span_from(data, SRV_FIXED),
	    a, &out->host, &rest) != 1)
		return 0;
	out->port = (unsigned)(uint8_t)data.p[4] << 8 | (uint8_t)data.p[5];
	return 1;
}

/* 1 as it should be; 0 it is not, and *found says how; -1 no answer. */
static int
service_is_there(struct check *c, const struct dns_service *s,
    struct text *found)
{
	struct resolve_request in = { .type = TYPE_SRV, .name =
	    arena_printf(c->arena, "%s.%.*s", s->name,
	    SPAN_ARG(c->facts->domain)) };
	struct resolve_reply reply;
	struct dns_answer row;
	struct cursor rows;
	struct srv srv;
	int good = 0;

	if (call_resolve(c->cli->resolver, c->arena, &in, &reply) != 1 ||
	    reply.result != RESULT_OK)
		return -1;
	rows = (struct cursor){ .rest = reply.answers.bytes };
	while (dns_answer_get(&rows, &row) == 1) {
		if (read_srv(row.data, c->arena, &srv) != 1)
			continue;
		good |= srv.port == s->port &&
		    span_eq(srv.host, c->facts->host);
		text_printf(found, "%s%.*s:%u", found->n > 0 ? ", " : "",
		    SPAN_ARG(srv.host), srv.port);
	}
	blob_release(&reply.answers);
	if (found->n == 0)
		text_str(found, "there is no record");
	return good;
}

void
check_services(struct check *c)
{
	for (size_t i = 0; i < DNS_SERVICES; i++) {
		const struct dns_service *s = &c->facts->services[i];
		struct text found = TEXT_INIT(1000);
		struct resolve_answer none = { .status = RESOLVE_TEMPORARY };
		int there;

		if (s->port == 0)
			continue;
		there = service_is_there(c, s, &found);
		if (there == -1)
			answered(c, J_SERVICE, &none);
		else
			judge(c, J_SERVICE, there == 1, "%s, %.*s", s->name,
			    SPAN_ARG(text_span(&found)));
		text_free(&found);
	}
}

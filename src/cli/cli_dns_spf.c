/*
 * cli_dns_spf.c - does a domain's SPF let this server send?
 *
 * The record is followed as a receiver would (RFC 7208 5), for the server's
 * addresses, with its limit of lookups. Macros, which depend on the message,
 * are counted and taken as "no".
 */
#include <sys/socket.h>

#include "cli/cli_dns_check.h"
#include "verify/spf.h"

enum { DEPTH_MAX = 12, VOID_MAX = 2 };

enum spf_result { SPF_NONE, SPF_YES, SPF_NO, SPF_BROKEN, SPF_NOT_NOW };

struct walk {
	struct check *check;
	struct ip_address address;
	unsigned lookups;
	char end;			/* the qualifier that ended it */
	struct text why;		/* of BROKEN */
};

static enum spf_result walk_domain(struct walk *, struct span domain,
    unsigned depth);

/* ---- terms ------------------------------------------------------------ */

static unsigned
bits_of(const struct walk *w, const struct spf_term *t)
{
	return w->address.family == AF_INET ? t->bits4 : t->bits6;
}

static bool
host_has(struct walk *w, const struct spf_term *t, struct span host)
{
	struct ip_address *list;
	size_t n;

	resolve_addresses(host, w->address.family, w->check->arena, &list,
	    &n);
	for (size_t i = 0; i < n; i++)
		if (ip_in_network(&w->address, &list[i], bits_of(w, t)))
			return true;
	return false;
}

static bool
mx_has(struct walk *w, const struct spf_term *t, struct span domain)
{
	struct dns_mx *mx;
	size_t n;

	resolve_mx(domain, w->check->arena, &mx, &n);
	for (size_t i = 0; i < n && i < SPF_LOOKUPS_MAX; i++)
		if (host_has(w, t, mx[i].host))
			return true;
	return false;
}

/* SPF_YES it fits, SPF_NO it does not. */
static enum spf_result
try_term(struct walk *w, const struct spf_term *t, struct span domain,
    unsigned depth)
{
	struct span name = t->domain.n > 0 ? t->domain : domain;
	enum spf_result r;

	switch (t->kind) {
	case SPF_ALL:
		return SPF_YES;
	case SPF_IP4:
	case SPF_IP6:
		return ip_in_network(&w->address, &t->network,
		    t->kind == SPF_IP4 ? t->bits4 : t->bits6) ? SPF_YES :
		    SPF_NO;
	case SPF_A:
		return !t->macro && host_has(w, t, name) ? SPF_YES : SPF_NO;
	case SPF_MX:
		return !t->macro && mx_has(w, t, name) ? SPF_YES : SPF_NO;
	case SPF_INCLUDE:
		if (t->macro)
			return SPF_NO;
		r = walk_domain(w, name, depth + 1);
		if (r == SPF_NONE)
			text_printf(&w->why, "include:%.*s has no record",
			    SPAN_ARG(name));
		return r == SPF_NONE ? SPF_BROKEN : r;
	default:
		return SPF_NO;
	}
}

static bool
too_many(struct walk *w, const struct spf_term *t)
{
	return spf_asks(t) && ++w->lookups > SPF_LOOKUPS_MAX;
}

/* The first term that fits decides; else redirect=. */
static enum spf_result
walk_terms(struct walk *w, const struct spf_term *terms, size_t n,
    struct span domain, unsigned depth)
{
	const struct spf_term *redirect = NULL;
	enum spf_result r;

	for (size_t i = 0; i < n; i++) {
		if (terms[i].kind == SPF_REDIRECT)
			redirect = &terms[i];
		if (terms[i].kind >= SPF_REDIRECT)
			continue;
		if (too_many(w, &terms[i]))
			return SPF_BROKEN;
		r = try_term(w, &terms[i], domain, depth);
		if (r == SPF_BROKEN || r == SPF_NOT_NOW)
			return r;
		if (r != SPF_YES)
			continue;
		if (terms[i].kind == SPF_ALL && depth == 0)
			w->end = terms[i].qualifier;
		return terms[i].qualifier == '+' ? SPF_YES : SPF_NO;
	}
	if (redirect == NULL || redirect->macro)
		return SPF_NO;
	if (too_many(w, redirect))
		return SPF_BROKEN;
	r = walk_domain(w, redirect->domain, depth);
	if (r == SPF_NONE)
		text_printf(&w->why, "redirect=%.*s has no record",
		    SPAN_ARG(redirect->domain));
	return r == SPF_NONE ? SPF_BROKEN : r;
}

static enum spf_result
walk_domain(struct walk *w, struct span domain, unsigned depth)
{
	struct resolve_answer a;
	struct spf_term *terms;
	struct span record;
	size_t n;

	a = find_txt(w->check, domain, "v=spf1", &record, &n);
	if (a.status == RESOLVE_TEMPORARY || a.status == RESOLVE_BOGUS)
		return SPF_NOT_NOW;
	if (n == 0)
		return SPF_NONE;
	if (n > 1 || depth > DEPTH_MAX) {
		text_printf(&w->why, "%.*s has more than one record",
		    SPAN_ARG(domain));
		return SPF_BROKEN;
	}
	if (spf_parse(record, w->check->arena, &terms, &n, &w->why) != 1)
		return SPF_BROKEN;
	return walk_terms(w, terms, n, domain, depth);
}

/* ---- judging ---------------------------------------------------------- */

/* For one address of ours: lookups too many, broken, or yes or no. */
static void
judge_address(struct check *c, const struct ip_address *address,
    enum judgement id, struct span domain)
{
	struct walk w = { .check = c, .address = *address,
	    .why = TEXT_INIT(500) };
	struct resolve_answer none = { .status = RESOLVE_TEMPORARY };
	struct text shown = TEXT_INIT(64);
	enum spf_result r = walk_domain(&w, domain, 0);

	ip_write(address, &shown);
	if (r == SPF_NOT_NOW)
		answered(c, id, &none);
	else if (id == J_SPF_US && w.lookups > SPF_LOOKUPS_MAX)
		judge(c, J_SPF_LOOKUPS, false, "%s", "");
	else if (id == J_SPF_US && r == SPF_BROKEN)
		judge(c, J_SPF_SYNTAX, false, "%.*s",
		    SPAN_ARG(text_span(&w.why)));
	else
		judge(c, id, r == SPF_YES, "%.*s",
		    SPAN_ARG(text_span(&shown)));
	text_free(&w.why);
	text_free(&shown);
}

/* How the record, or the one that it is redirected to, ends. */
static void
judge_end(struct check *c)
{
	struct walk w = { .check = c, .address = { .family = AF_INET },
	    .why = TEXT_INIT(500) };

	/* Nobody sends from 0.0.0.0: only "all" is left to fit. */
	walk_domain(&w, c->facts->domain, 0);
	if (w.end == 0)
		judge(c, J_SPF_END, false, "it has no \"all\"");
	else
		judge(c, J_SPF_END, w.end == '-' || w.end == '~', "%call",
		    w.end);
	text_free(&w.why);
}

void
check_spf(struct check *c)
{
	struct text why = TEXT_INIT(500);
	struct resolve_answer a;
	struct spf_term *terms;
	struct span record;
	size_t n, count;

	a = find_txt(c, c->facts->domain, "v=spf1", &record, &n);
	if (!answered(c, J_SPF, &a) ||
	    !judge(c, J_SPF, n > 0, "%.*s", SPAN_ARG(record)))
		goto host;
	if (n > 1) {
		judge(c, J_SPF_ONE, false, "%s", "");
	} else if (spf_parse(record, c->arena, &terms, &count, &why) != 1) {
		judge(c, J_SPF_SYNTAX, false, "%.*s",
		    SPAN_ARG(text_span(&why)));
	} else {
		for (size_t i = 0; i < c->host_count; i++)
			judge_address(c, &c->host[i], J_SPF_US,
			    c->facts->domain);
		judge_end(c);
	}
host:
	for (size_t i = 0; i < c->host_count; i++)
		judge_address(c, &c->host[i], J_HOST_SPF, c->facts->host);
	text_free(&why);
}

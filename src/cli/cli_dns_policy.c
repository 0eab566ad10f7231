/*
 * cli_dns_policy.c - what a domain publishes about its mail: keys, DMARC,
 * MTA-STS, TLS reports.
 */
#include <sys/socket.h>

#include "cli/cli_dns_check.h"
#include "verify/dkim.h"
#include "verify/tags.h"

struct resolve_answer
find_txt(struct check *c, struct span name, const char *begin,
    struct span *first, size_t *count)
{
	struct resolve_answer a;
	struct span *all, start = span_str(begin);
	size_t n;

	*first = SPAN_EMPTY;
	*count = 0;
	a = resolve_txt(name, c->arena, &all, &n);
	for (size_t i = 0; i < n; i++) {
		if (!span_starts_nocase(all[i], start) ||
		    (all[i].n > start.n && ascii_is_alnum(all[i].p[start.n])))
			continue;
		if ((*count)++ == 0)
			*first = all[i];
	}
	return a;
}

static struct span
below(struct check *c, const char *label)
{
	return arena_printf(c->arena, "%s.%.*s", label,
	    SPAN_ARG(c->facts->domain));
}

/* ---- DKIM ------------------------------------------------------------- */

enum shown { KEY_MISSING, KEY_OTHER, KEY_SHOWN, KEY_UNKNOWN };

static enum shown
key_shown(struct check *c, const struct dns_key *key)
{
	struct dkim_record ours, theirs;
	struct resolve_answer a;
	struct span *all;
	size_t n;

	a = resolve_txt(arena_printf(c->arena, "%.*s._domainkey.%.*s",
	    SPAN_ARG(key->selector), SPAN_ARG(c->facts->domain)), c->arena,
	    &all, &n);
	if (!answered(c, J_DKIM, &a))
		return KEY_UNKNOWN;
	if (n == 0)
		return KEY_MISSING;
	must(dkim_record_parse(key->record, c->arena, &ours) == 1);
	for (size_t i = 0; i < n; i++)
		if (dkim_record_parse(all[i], c->arena, &theirs) == 1 &&
		    theirs.algorithm == ours.algorithm && theirs.mail &&
		    span_eq(theirs.key, ours.key)) {
			if (theirs.testing)
				judge(c, J_DKIM_TESTING, false, "%.*s",
				    SPAN_ARG(key->selector));
			return KEY_SHOWN;
		}
	return KEY_OTHER;
}

struct dkim_state {
	struct span signs;		/* the newest selector that shows */
	struct span waits;		/* a newer one that does not */
	bool unknown;
};

/* Keys come newest first. */
static void
note_key(struct check *c, const struct dns_key *key, struct dkim_state *s)
{
	enum shown shown = key_shown(c, key);

	if (shown == KEY_OTHER)
		judge(c, J_DKIM_OTHER, false, "%.*s", SPAN_ARG(key->selector));
	s->unknown |= shown == KEY_UNKNOWN;
	if (shown == KEY_SHOWN && s->signs.n == 0)
		s->signs = key->selector;
	if (shown != KEY_SHOWN && shown != KEY_UNKNOWN && s->signs.n == 0 &&
	    s->waits.n == 0)
		s->waits = key->selector;
}

static void
check_algorithm(struct check *c, enum dkim_algorithm algorithm)
{
	const char *name = dkim_algorithm_name(algorithm);
	struct dkim_state s = { .unknown = false };
	struct dkim_record r;
	bool any = false;

	for (size_t i = 0; i < c->facts->key_count; i++) {
		const struct dns_key *key = &c->facts->keys[i];

		if (key->retired || dkim_record_parse(key->record, c->arena,
		    &r) != 1 || r.algorithm != algorithm)
			continue;
		any = true;
		note_key(c, key, &s);
	}
	if (s.unknown)
		return;
	if (!any)
		s.waits = SPAN("`postrider dkim rotate` makes one");
	if (judge(c, J_DKIM, s.signs.n > 0, "%s, %.*s", name, SPAN_ARG(
	    s.signs.n > 0 ? s.signs : s.waits)) && s.waits.n > 0)
		judge(c, J_DKIM_WAITING, false, "%.*s", SPAN_ARG(s.waits));
}

void
check_dkim(struct check *c)
{
	for (unsigned i = 0; i < DKIM_ALGORITHMS; i++)
		check_algorithm(c, (enum dkim_algorithm)i);
}

/* ---- DMARC ------------------------------------------------------------ */

/* The domain behind "mailto:x@domain!10m". */
static struct span
report_domain(struct span uri)
{
	size_t at = span_find_char(uri, '@', 0);
	struct span domain = at == SIZE_MAX ? SPAN_EMPTY :
	    span_from(uri, at + 1);

	span_cut(domain, '!', &domain);
	return span_trim(domain);
}

static bool
inside(struct check *c, struct span name)
{
	return span_eq_nocase(name, c->facts->domain) || span_ends(name,
	    arena_printf(c->arena, ".%.*s", SPAN_ARG(c->facts->domain)));
}

/* RFC 7489 7.1: who gets others' reports says so. */
static void
check_report_domain(struct check *c, struct span uri)
{
	struct span name = report_domain(uri), first;
	struct resolve_answer a;
	size_t n;

	if (name.n == 0 || inside(c, name))
		return;
	a = find_txt(c, arena_printf(c->arena, "%.*s._report._dmarc.%.*s",
	    SPAN_ARG(c->facts->domain), SPAN_ARG(name)), "v=DMARC1", &first,
	    &n);
	if (answered(c, J_DMARC_ELSEWHERE, &a))
		judge(c, J_DMARC_ELSEWHERE, n > 0, "%.*s", SPAN_ARG(name));
}

/* What is wrong with it; NULL: nothing. */
static const char *
dmarc_fault(const struct tags *t)
{
	static const char *const modes[] = { "adkim", "aspf" };
	struct span p, v;

	if (!span_is(t->list[0].name, "v") ||
	    !span_is(t->list[0].value, "DMARC1"))
		return "it does not begin with v=DMARC1";
	if (tags_find(t, "p", &p) != 1)
		return "it has no policy (p=)";
	if (!span_is_nocase(p, "none") && !span_is_nocase(p, "quarantine") &&
	    !span_is_nocase(p, "reject"))
		return "its policy is none of none, quarantine, reject";
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		if (tags_find(t, modes[i], &v) == 1 &&
		    !span_is_nocase(v, "r") && !span_is_nocase(v, "s"))
			return "adkim and aspf are r or s";
	return NULL;
}

static void
judge_dmarc(struct check *c, const struct tags *t)
{
	struct span p, rua, uri;

	tags_find(t, "p", &p);
	judge(c, J_DMARC_POLICY, !span_is_nocase(p, "none"), "%s", "");
	tags_find(t, "rua", &rua);
	if (!judge(c, J_DMARC_REPORTS, rua.n > 0, "%.*s", SPAN_ARG(rua)))
		return;
	while (rua.n > 0) {
		rua = span_cut(rua, ',', &uri);
		check_report_domain(c, uri);
	}
}

void
check_dmarc(struct check *c)
{
	struct resolve_answer a;
	struct span record;
	const char *fault;
	struct tags t;
	size_t n;

	a = find_txt(c, below(c, "_dmarc"), "v=DMARC1", &record, &n);
	if (!answered(c, J_DMARC, &a) ||
	    !judge(c, J_DMARC, n > 0, "%.*s", SPAN_ARG(record)))
		return;
	if (n > 1) {
		judge(c, J_DMARC_ONE, false, "%s", "");
		return;
	}
	fault = tags_parse(record, &t) == 1 ? dmarc_fault(&t) :
	    "it is no list of name=value";
	if (fault != NULL)
		judge(c, J_DMARC_SYNTAX, false, "%s", fault);
	else
		judge_dmarc(c, &t);
}

/* ---- MTA-STS, TLS reports --------------------------------------------- */

static bool
sts_id_ok(struct span id)
{
	for (size_t i = 0; i < id.n; i++)
		if (!ascii_is_alnum(id.p[i]))
			return false;
	return id.n > 0 && id.n <= 32;
}

static bool
has_addresses(struct check *c, struct span name, enum judgement id,
    bool *there)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct resolve_answer a;
	struct ip_address *list;
	size_t n;

	*there = false;
	for (size_t i = 0; i < ARRAY_LEN(families) && !*there; i++) {
		a = resolve_addresses(name, families[i], c->arena, &list, &n);
		if (!answered(c, id, &a))
			return false;
		*there = n > 0;
	}
	return true;
}

void
check_sts(struct check *c)
{
	struct span record, id, host = below(c, "mta-sts");
	struct resolve_answer a;
	struct tags t;
	bool there;
	size_t n;

	a = find_txt(c, below(c, "_mta-sts"), "v=STSv1", &record, &n);
	if (!answered(c, J_STS, &a) ||
	    !judge(c, J_STS, n > 0, "%.*s", SPAN_ARG(record)))
		return;
	if (n > 1 || tags_parse(record, &t) != 1 ||
	    tags_find(&t, "id", &id) != 1 || !sts_id_ok(id)) {
		judge(c, J_STS_SYNTAX, false, "%s", n > 1 ?
		    "there is more than one" : "");
		return;
	}
	if (has_addresses(c, host, J_STS_HOST, &there))
		judge(c, J_STS_HOST, there, "%.*s", SPAN_ARG(host));
}

void
check_tlsrpt(struct check *c)
{
	struct span record, rua;
	struct resolve_answer a;
	struct tags t;
	size_t n;

	a = find_txt(c, below(c, "_smtp._tls"), "v=TLSRPTv1", &record, &n);
	if (!answered(c, J_TLSRPT, &a) ||
	    !judge(c, J_TLSRPT, n > 0, "%.*s", SPAN_ARG(record)))
		return;
	if (n > 1 || tags_parse(record, &t) != 1 ||
	    tags_find(&t, "rua", &rua) != 1 || (!span_starts(rua,
	    SPAN("mailto:")) && !span_starts(rua, SPAN("https:"))))
		judge(c, J_TLSRPT_SYNTAX, false, "%s", n > 1 ?
		    "there is more than one" : "");
}

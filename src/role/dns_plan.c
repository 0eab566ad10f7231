/*
 * dns_plan.c - see dns_plan.h.
 */
#include "role/dns_plan.h"
#include "verify/resolve.h"

#include <sys/socket.h>

enum {
	DNS_PORT = 53, SERVERS_MAX = 16, SYSTEM_SERVERS = 3, ROOTS_MAX = 64,
	LISTS_MAX = 128 << 10,
};

/* ---- servers ----------------------------------------------------------- */

static bool
is_loopback(const struct ip_address *ip)
{
	static const uint8_t one[16] = { [15] = 1 };

	return ip->family == AF_INET ? ip->b[0] == 127 :
	    memcmp(ip->b, one, sizeof(one)) == 0;
}

static int
add_port(struct dns_plan *plan, uint32_t port)
{
	for (size_t i = 0; i < plan->port_count; i++)
		if (plan->ports[i] == port)
			return 1;
	if (plan->port_count == DNS_PORTS_MAX)
		return 0;
	plan->ports[plan->port_count++] = (uint16_t)port;
	return 1;
}

/* "192.0.2.53" or "192.0.2.53@5353". 1; 0 and *why. */
static int
add_server(struct dns_plan *plan, struct span word, struct text *list,
    struct text *why)
{
	struct span address, port = span_cut(word, '@', &address);
	struct ip_address ip;
	uint32_t n = DNS_PORT;

	if (ip_parse(address, &ip) != 1 || (address.n < word.n &&
	    (span_u32(port, &n) != 1 || n == 0 || n > 65535))) {
		text_printf(why, "%.*s: not an address, or address@port",
		    SPAN_ARG(word));
		return 0;
	}
	if (add_port(plan, n) != 1) {
		text_str(why, "too many different ports");
		return 0;
	}
	plan->local_servers |= is_loopback(&ip);
	ip_write(&ip, list);
	text_printf(list, "@%" PRIu32 "\n", n);
	return 1;
}

/* resolv.conf(5): the first three, and nobody named is this machine. */
static int
add_system(struct dns_plan *plan, struct span conf, struct text *why)
{
	struct span line, word;
	struct ip_address ip;
	size_t n = 0;

	while (conf.n > 0 && n < SYSTEM_SERVERS) {
		conf = span_cut(conf, '\n', &line);
		word = span_word(&line);
		if (!span_is(word, "nameserver"))
			continue;
		word = span_word(&line);
		if (ip_parse(word, &ip) != 1)	/* with a zone, or broken */
			continue;
		if (add_server(plan, word, &plan->forwards, why) != 1)
			return 0;
		n++;
	}
	return n > 0 ? 1 : add_server(plan, SPAN("127.0.0.1"),
	    &plan->forwards, why);
}

static int
add_servers(struct dns_plan *plan, struct span list, struct span conf,
    struct text *why)
{
	struct span rest = list, word = span_word(&rest);
	int n = 0;

	if (span_is(list, "root"))
		return 1;
	if (span_is(list, "system"))
		return add_system(plan, conf, why);
	for (; word.n > 0; word = span_word(&rest)) {
		if (++n > SERVERS_MAX) {
			text_str(why, "too many addresses");
			return 0;
		}
		if (add_server(plan, word, &plan->forwards, why) != 1)
			return 0;
	}
	if (n == 0)
		text_str(why, "who is to be asked?");
	return n > 0;
}

/* ---- zones ------------------------------------------------------------- */

/* Letters, digits and what else host names and zones are made of. */
static bool
is_zone(struct span s)
{
	if (s.n == 0 || s.n > 254)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) &&
		    memchr("-_./", s.p[i], 4) == NULL)
			return false;
	return span_find(s, SPAN(".."), 0) == SIZE_MAX;
}

static int
add_zone(struct span zone, struct text *out, struct text *why)
{
	if (!is_zone(zone)) {
		text_printf(why, "%.*s: not a domain", SPAN_ARG(zone));
		return 0;
	}
	text_add(out, zone);
	return 1;
}

/* "example.org=192.0.2.53@53", parted by blanks. */
static int
add_stubs(struct dns_plan *plan, struct span rest, struct text *why)
{
	struct span word, zone;

	for (word = span_word(&rest); word.n > 0; word = span_word(&rest)) {
		word = span_cut(word, '=', &zone);
		if (add_zone(zone, &plan->stubs, why) != 1)
			return 0;
		text_char(&plan->stubs, ' ');
		if (add_server(plan, word, &plan->stubs, why) != 1)
			return 0;
	}
	return 1;
}

static int
add_insecure(struct dns_plan *plan, struct span rest, struct text *why)
{
	struct span word;

	for (word = span_word(&rest); word.n > 0; word = span_word(&rest)) {
		if (add_zone(word, &plan->insecure, why) != 1)
			return 0;
		text_char(&plan->insecure, '\n');
	}
	return 1;
}

/* ---- files ------------------------------------------------------------- */

/* A comment begins with a semicolon. */
static struct span
next_record(struct span *rest)
{
	struct span line, record;

	*rest = span_cut(*rest, '\n', &line);
	span_cut(line, ';', &record);
	return span_trim(span_chomp(record));
}

static void
add_anchors(struct dns_plan *plan, struct span file)
{
	struct span record;

	while (file.n > 0) {
		record = next_record(&file);
		if (record.n == 0)
			continue;
		text_add(&plan->anchors, record);
		text_char(&plan->anchors, '\n');
	}
}

/* The address records, whatever TTL and class stand before. */
static void
add_roots(struct dns_plan *plan, struct span file)
{
	struct span record, word, last;
	struct ip_address ip;
	size_t n = 0;
	bool address;

	while (file.n > 0 && n < ROOTS_MAX) {
		record = next_record(&file);
		address = false;
		last = SPAN_EMPTY;
		for (word = span_word(&record); word.n > 0;
		    word = span_word(&record)) {
			address |= span_is_nocase(last, "A") ||
			    span_is_nocase(last, "AAAA");
			last = word;
		}
		if (!address || ip_parse(last, &ip) != 1)
			continue;
		plan->local_servers |= is_loopback(&ip);
		text_add(&plan->roots, last);
		text_char(&plan->roots, '\n');
		n++;
	}
}

/* ---- all of it --------------------------------------------------------- */

static int
named(int status, const char *setting, struct text *why)
{
	struct text both = TEXT_INIT(1024);

	if (status == 1)
		return 1;
	text_printf(&both, "%s: %.*s", setting, SPAN_ARG(text_span(why)));
	text_clear(why);
	text_add(why, text_span(&both));
	text_free(&both);
	return 0;
}

int
dns_plan_make(const struct settings *s, const struct dns_texts *texts,
    struct dns_plan *plan, struct text *why)
{
	*plan = (struct dns_plan){ .validate = s->resolver_dnssec,
	    .cache = s->resolver_cache,
	    .forwards = TEXT_INIT(LISTS_MAX), .stubs = TEXT_INIT(LISTS_MAX),
	    .insecure = TEXT_INIT(LISTS_MAX), .anchors = TEXT_INIT(LISTS_MAX),
	    .roots = TEXT_INIT(LISTS_MAX) };
	add_port(plan, DNS_PORT);
	if (named(add_servers(plan, span_trim(span_str(s->resolver_servers)),
	    texts->resolv_conf, why), "resolver.servers", why) != 1 ||
	    named(add_stubs(plan, span_str(s->resolver_stub), why),
	    "resolver.stub", why) != 1 ||
	    named(add_insecure(plan, span_str(s->resolver_insecure), why),
	    "resolver.insecure", why) != 1)
		return 0;
	if (plan->validate)
		add_anchors(plan, texts->trust_anchor);
	if (plan->forwards.n == 0)
		add_roots(plan, texts->root_hints);
	return 1;
}

static bool
same(const struct text *a, const struct text *b)
{
	return span_eq(text_span(a), text_span(b));
}

bool
dns_plan_same(const struct dns_plan *a, const struct dns_plan *b)
{
	return a->validate == b->validate && a->cache == b->cache &&
	    same(&a->forwards, &b->forwards) && same(&a->stubs, &b->stubs) &&
	    same(&a->insecure, &b->insecure) &&
	    same(&a->anchors, &b->anchors) && same(&a->roots, &b->roots);
}

void
dns_plan_free(struct dns_plan *plan)
{
	text_free(&plan->forwards);
	text_free(&plan->stubs);
	text_free(&plan->insecure);
	text_free(&plan->anchors);
	text_free(&plan->roots);
}

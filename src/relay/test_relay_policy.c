/*
 * test_relay_policy.c - what the DNS, kept policies, routes and flags make
 * of a host; row by row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "ipc/wire.h"
#include "relay/relay.h"
#include "relay/relay_policy_impl.h"

#include <stdio.h>

/* ---- the seams: no store, no authorities, a DNS of rows ---------------- */

static struct settings settings;
static const char *kept_id, *kept_policy;	/* NULL: none is kept */
static int64_t kept_age;			/* seconds */
static size_t asked_policy_host;

struct link *
relay_store(void)
{
	return NULL;
}

const struct settings *
relay_settings(void)
{
	return &settings;
}

struct tls_client *
relay_tls(void)
{
	return NULL;
}

static bool store_lost;

int
relay_sts_kept(struct span domain, struct arena *arena,
    struct sts_kept *kept)
{
	(void)arena;
	if (store_lost)
		return -1;
	if (kept_id == NULL || !span_is(domain, "a.example"))
		return 0;
	*kept = (struct sts_kept){ span_str(kept_id), span_str(kept_policy),
	    clock_wall_seconds() - kept_age };
	return 1;
}

bool
relay_sts_keep(struct span domain, const struct sts_kept *kept,
    int64_t max_age, struct arena *arena)
{
	(void)domain, (void)kept, (void)max_age, (void)arena;
	fail_msg("nothing was fetched");
	return false;
}

static struct text handed = { .limit = 0 };
static bool store_works = true;
static struct token last_token;

bool
relay_report_hand_over(const struct token *token, struct span rows)
{
	text_clear(&handed);
	text_add(&handed, rows);
	last_token = *token;
	return store_works;
}

enum what { GOOD, INSECURE, BOGUS, LOST };

struct record {
	const char *name;
	uint32_t type;
	enum what what;
	const char *data;		/* A: "", TXT: text, TLSA: "u s m" */
	const char *canonical;
};

#define A_ "mx.a.example", DNS_A
static const struct record *zone;

static void
put_rdata(const struct record *r, struct text *out)
{
	struct text data = TEXT_INIT(0);
	unsigned u, s, m;

	switch (r->type) {
	case DNS_A:
		text_add(&data, SPAN("\x7f\0\0\x01"));
		break;
	case DNS_TXT:
		text_char(&data, (char)strlen(r->data));
		text_str(&data, r->data);
		break;
	case DNS_TLSA:
		assert_int_equal(sscanf(r->data, "%u %u %u", &u, &s, &m), 3);
		text_char(&data, (char)u);
		text_char(&data, (char)s);
		text_char(&data, (char)m);
		text_add(&data, SPAN("0123456789abcdef0123456789abcdef"));
		break;
	default:			/* CNAME: nobody looks into it */
		text_add(&data, SPAN("\x01x\0"));
	}
	dns_answer_put(out, &(struct dns_answer){ text_span(&data) });
	text_free(&data);
}

static void
answer(void *arg, struct span name, uint32_t type, struct arena *arena,
    struct resolve_reply *reply)
{
	struct text out = TEXT_INIT(0);

	(void)arg;
	*reply = (struct resolve_reply){ .rcode = 3, .secure = 1,
	    .answers = BLOB_OF(SPAN_EMPTY) };
	if (span_starts(name, SPAN("mta-sts.")))
		asked_policy_host++;
	for (const struct record *r = zone; r->name != NULL; r++) {
		if (!span_is(name, r->name) || type != r->type)
			continue;
		reply->rcode = 0;
		reply->secure = r->what == GOOD;
		reply->result = r->what == BOGUS ? RESULT_DENIED :
		    r->what == LOST ? RESULT_TEMPORARY : RESULT_OK;
		reply->why = SPAN("why");
		reply->canonical = r->canonical == NULL ? name :
		    span_str(r->canonical);
		put_rdata(r, &out);
	}
	reply->answers = BLOB_OF(arena_dup(arena, text_span(&out)));
	text_free(&out);
}

/* ---- one case ---------------------------------------------------------- */

#define ENFORCE "version: STSv1\nmode: enforce\nmx: mx.a.example\nmax_age: 9\n"
#define TESTING "version: STSv1\nmode: testing\nmx: mx.a.example\nmax_age: 9\n"
#define OTHERS "version: STSv1\nmode: enforce\nmx: *.b.example\nmax_age: 9\n"
#define OTHERS_TESTING "version: STSv1\nmode: testing\nmx: *.b.example\n"  \
	"max_age: 9\n"
#define NO_MODE "version: STSv1\nmode: none\nmax_age: 9\n"
#define STS_TXT { "_mta-sts.a.example", DNS_TXT, INSECURE, "v=STSv1; id=1;",  \
	NULL }
#define TLSA(what, data) { "_25._tcp.mx.a.example", DNS_TLSA, what, data, NULL }
#define HOST { A_, GOOD, "", NULL }

struct expect {
	enum { ALLOWED, REFUSED, PUT_OFF } verdict;
	enum { PLAIN, TRIES, NEEDS } tls;
	enum tls_check check;
	const char *base;		/* SNI */
	const char *name;		/* expected in the certificate, or "" */
	const char *reason;		/* begins so */
};

struct row {
	const char *what;
	struct record zone[6];
	bool mx_insecure, host_insecure;
	const char *kept;		/* the policy; its id is "1" */
	const char *standard;		/* relay.tls; NULL: may */
	const char *route_tls, *route_via;	/* NULL: no route */
	uint32_t flags;
	struct expect expect;
};

#define MX "mx.a.example"
#define REQUIRE ENVELOPE_REQUIRETLS
#define OPTIONAL ENVELOPE_TLS_OPTIONAL

static const struct row rows[] = {
	/* DANE: RFC 7672. */
	{ "usage 3", { HOST, TLSA(GOOD, "3 1 1") }, .expect = { ALLOWED,
	    NEEDS, TLS_CHECK_DANE, MX, "a.example", "dane: 1 TLSA record of"
	    " mx.a.example" } },
	{ "usage 2 with one of no use", { HOST, TLSA(GOOD, "2 0 1"),
	    TLSA(GOOD, "0 0 1") }, .expect = { ALLOWED, NEEDS,
	    TLS_CHECK_DANE, MX, "a.example", "dane: 1 TLSA record of" } },
	{ "two", { HOST, TLSA(GOOD, "3 1 1"), TLSA(GOOD, "3 0 1") },
	    .expect = { ALLOWED, NEEDS, TLS_CHECK_DANE, MX, "a.example",
	    "dane: 2 TLSA records" } },
	{ "the MX is not validated", { HOST, TLSA(GOOD, "3 1 1") },
	    .mx_insecure = true, .expect = { ALLOWED, TRIES, TLS_CHECK_NONE,
	    MX, "", "may: nothing is published" } },
	{ "nor the host", { { A_, INSECURE, "", NULL },
	    TLSA(GOOD, "3 1 1") }, .host_insecure = true, .expect = { ALLOWED,
	    TRIES, TLS_CHECK_NONE, MX, "", "may: no TLSA records" } },
	{ "the host, as far as anybody answers", { HOST,
	    { MX, DNS_AAAA, LOST, "", NULL }, TLSA(GOOD, "3 1 1") },
	    .host_insecure = true, .expect = { ALLOWED, NEEDS, TLS_CHECK_DANE,
	    MX, "a.example", "dane: 1" } },
	{ "one family is not", { HOST, { MX, DNS_AAAA, INSECURE, "", NULL },
	    TLSA(GOOD, "3 1 1") }, .host_insecure = true, .expect = { ALLOWED,
	    TRIES, TLS_CHECK_NONE, MX, "", "may: no TLSA" } },
	{ "an alias that is, into a zone that is not", { { A_, INSECURE, "",
	    "h.b.example" }, { MX, DNS_CNAME, GOOD, "", NULL },
	    TLSA(GOOD, "3 1 1") }, .host_insecure = true, .expect = { ALLOWED,
	    NEEDS, TLS_CHECK_DANE, MX, "a.example", "dane: 1" } },
	{ "an alias that is not", { { A_, INSECURE, "", "h.b.example" },
	    { MX, DNS_CNAME, INSECURE, "", NULL }, TLSA(GOOD, "3 1 1") },
	    .host_insecure = true, .expect = { ALLOWED, TRIES, TLS_CHECK_NONE,
	    MX, "", "may: no TLSA" } },
	{ "an alias nobody knows of", { { A_, INSECURE, "", NULL },
	    { MX, DNS_CNAME, LOST, "", NULL } }, .host_insecure = true,
	    .expect = { PUT_OFF, .reason = "dane: the alias of" } },
	{ "behind an alias", { { A_, GOOD, "", "h.b.example" },
	    { "_25._tcp.h.b.example", DNS_TLSA, GOOD, "3 1 1", NULL },
	    TLSA(GOOD, "3 0 1") }, .expect = { ALLOWED, NEEDS, TLS_CHECK_DANE,
	    "h.b.example", "a.example", "dane: 1 TLSA record of h.b" } },
	{ "before it", { { A_, GOOD, "", "h.b.example" },
	    TLSA(GOOD, "3 0 1") }, .expect = { ALLOWED, NEEDS, TLS_CHECK_DANE,
	    MX, "a.example", "dane: 1 TLSA record of mx.a" } },
	{ "TLSA not validated", { HOST, TLSA(INSECURE, "3 1 1") }, .expect = {
	    ALLOWED, TRIES, TLS_CHECK_NONE, MX, "", "may: no TLSA" } },
	{ "bogus", { HOST, TLSA(BOGUS, "3 1 1") }, .expect = { PUT_OFF,
	    .reason = "dane: the TLSA records of _25._tcp.mx.a.example fail "
	    "validation" } },
	{ "lost", { HOST, TLSA(LOST, "3 1 1") }, .expect = { PUT_OFF,
	    .reason = "dane: the TLSA records of _25._tcp.mx.a.example cannot"
	    } },
	{ "lost, and nobody asks", { HOST, TLSA(LOST, "3 1 1") },
	    .flags = OPTIONAL, .expect = { ALLOWED, TRIES, TLS_CHECK_NONE, MX,
	    "", "may: TLS-Required" } },
	{ "of no use", { HOST, TLSA(GOOD, "1 0 1") }, .expect = { ALLOWED,
	    NEEDS, TLS_CHECK_NONE, MX, "", "dane: no TLSA record is of use" }
	    },
	{ "dane or nothing: nothing", { HOST }, .standard = "dane",
	    .expect = { REFUSED, .reason = "dane: the host has no" } },
	{ "dane or nothing: dane", { HOST, TLSA(GOOD, "3 1 1") },
	    .standard = "dane", .expect = { ALLOWED, NEEDS, TLS_CHECK_DANE,
	    MX, "a.example", "dane: 1" } },
	{ "dane or nothing: of no use", { HOST, TLSA(GOOD, "1 1 1") },
	    .standard = "dane", .expect = { REFUSED, .reason = "dane: the h" }
	    },
	{ "dane or nothing: unsafe MX", { HOST, TLSA(GOOD, "3 1 1") },
	    .standard = "dane", .mx_insecure = true, .expect = { REFUSED,
	    .reason = "dane: the MX" } },

	/* MTA-STS: RFC 8461. */
	{ "enforce", { HOST, STS_TXT }, .mx_insecure = true, .kept = ENFORCE,
	    .expect = { ALLOWED, NEEDS, TLS_CHECK_NAME, MX, MX,
	    "mta-sts enforce (id 1)" } },
	{ "enforce, another host", { HOST, STS_TXT }, .mx_insecure = true,
	    .kept = OTHERS, .expect = { REFUSED,
	    .reason = "mta-sts enforce (id 1): it does not name" } },
	{ "testing", { HOST, STS_TXT }, .mx_insecure = true, .kept = TESTING,
	    .expect = { ALLOWED, TRIES, TLS_CHECK_NAME, MX, MX,
	    "mta-sts testing (id 1)" } },
	{ "testing, another host", { HOST, STS_TXT }, .mx_insecure = true,
	    .kept = OTHERS_TESTING, .expect = { ALLOWED, TRIES,
	    TLS_CHECK_NAME, MX, MX, "mta-sts testing (id 1): it" } },
	{ "kept, and no longer announced", { HOST }, .mx_insecure = true,
	    .kept = ENFORCE, .expect = { ALLOWED, NEEDS, TLS_CHECK_NAME, MX,
	    MX, "mta-sts enforce" } },
	{ "mode none", { HOST, STS_TXT }, .mx_insecure = true,
	    .kept = NO_MODE, .expect = { ALLOWED, TRIES, TLS_CHECK_NONE, MX,
	    "", "may: nothing" } },
	{ "DANE is first", { HOST, STS_TXT, TLSA(GOOD, "3 1 1") },
	    .kept = OTHERS, .expect = { ALLOWED, NEEDS, TLS_CHECK_DANE, MX,
	    "a.example", "dane: 1" } },
	{ "DANE has nothing", { HOST, STS_TXT }, .kept = ENFORCE, .expect = {
	    ALLOWED, NEEDS, TLS_CHECK_NAME, MX, MX, "mta-sts enforce" } },
	{ "DANE has nothing of use", { HOST, STS_TXT, TLSA(GOOD, "0 1 1") },
	    .kept = ENFORCE, .expect = { ALLOWED, NEEDS, TLS_CHECK_NAME, MX,
	    MX, "mta-sts enforce" } },
	{ "DANE fails", { HOST, STS_TXT, TLSA(BOGUS, "3 1 1") },
	    .kept = ENFORCE, .expect = { PUT_OFF, .reason = "dane: the TLSA"
	    } },
	{ "not asked for", { HOST, STS_TXT, TLSA(GOOD, "3 1 1") },
	    .kept = ENFORCE, .flags = OPTIONAL, .expect = { ALLOWED, TRIES,
	    TLS_CHECK_NONE, MX, "", "may: TLS-Required: No" } },

	/* What the operator says. */
	{ "none", { HOST, TLSA(GOOD, "3 1 1") }, .standard = "none",
	    .expect = { ALLOWED, PLAIN, TLS_CHECK_NONE, MX, "",
	    "relay.tls: none" } },
	{ "encrypt", { HOST }, .standard = "encrypt", .expect = { ALLOWED,
	    NEEDS, TLS_CHECK_NONE, MX, "", "relay.tls: encrypt" } },
	{ "verify", { HOST }, .standard = "verify", .expect = { ALLOWED,
	    NEEDS, TLS_CHECK_NAME, MX, MX, "relay.tls: verify" } },
	{ "a route", { HOST, TLSA(GOOD, "3 1 1") }, .standard = "verify",
	    .route_tls = "encrypt", .route_via = "", .expect = { ALLOWED,
	    NEEDS, TLS_CHECK_NONE, MX, "", "route partners: encrypt" } },
	{ "a route that says nothing", { HOST }, .standard = "encrypt",
	    .route_tls = "", .route_via = "", .expect = { ALLOWED, NEEDS,
	    TLS_CHECK_NONE, MX, "", "relay.tls: encrypt" } },
	{ "a route to a host: no MTA-STS", { HOST, STS_TXT },
	    .mx_insecure = true, .kept = ENFORCE, .route_tls = "",
	    .route_via = "smtp:[mx.a.example]:25", .expect = { ALLOWED,
	    TRIES, TLS_CHECK_NONE, MX, "", "may" } },
	{ "but DANE", { HOST, TLSA(GOOD, "3 1 1") }, .route_tls = "may",
	    .route_via = "smtp:[mx.a.example]:25", .expect = { ALLOWED, NEEDS,
	    TLS_CHECK_DANE, MX, "a.example", "dane: 1" } },
	{ "LMTP", { HOST, TLSA(GOOD, "3 1 1") }, .route_tls = "",
	    .route_via = "lmtp:[mx.a.example]:24", .expect = { ALLOWED, TRIES,
	    TLS_CHECK_NONE, MX, "", "may" } },

	/* What the message says: RFC 8689. */
	{ "REQUIRETLS by DNSSEC", { HOST }, .flags = REQUIRE, .expect = {
	    ALLOWED, NEEDS, TLS_CHECK_NAME, MX, MX, "REQUIRETLS, may" } },
	{ "REQUIRETLS by DANE", { HOST, TLSA(GOOD, "3 1 1") },
	    .flags = REQUIRE, .expect = { ALLOWED, NEEDS, TLS_CHECK_DANE, MX,
	    "a.example", "REQUIRETLS, dane: 1" } },
	{ "REQUIRETLS, TLSA of no use", { HOST, TLSA(GOOD, "0 0 1") },
	    .flags = REQUIRE, .expect = { ALLOWED, NEEDS, TLS_CHECK_NAME, MX,
	    MX, "REQUIRETLS, dane: no" } },
	{ "REQUIRETLS by MTA-STS", { HOST, STS_TXT }, .mx_insecure = true,
	    .kept = TESTING, .flags = REQUIRE, .expect = { ALLOWED, NEEDS,
	    TLS_CHECK_NAME, MX, MX, "REQUIRETLS, mta-sts testing" } },
	{ "REQUIRETLS by nobody", { HOST }, .mx_insecure = true,
	    .flags = REQUIRE, .expect = { REFUSED,
	    .reason = "REQUIRETLS: neither" } },
	{ "REQUIRETLS, MTA-STS does not name it", { HOST, STS_TXT },
	    .mx_insecure = true, .kept = OTHERS_TESTING, .flags = REQUIRE,
	    .expect = { REFUSED, .reason = "REQUIRETLS: neither" } },
	{ "REQUIRETLS goes before TLS-Required: No", { HOST },
	    .flags = REQUIRE | OPTIONAL, .expect = { ALLOWED, NEEDS,
	    TLS_CHECK_NAME, MX, MX, "REQUIRETLS" } },
	{ "REQUIRETLS where TLS is off", { HOST }, .standard = "none",
	    .flags = REQUIRE, .expect = { ALLOWED, NEEDS, TLS_CHECK_NAME, MX,
	    MX, "REQUIRETLS, relay.tls: none" } },
};

static void
check(const struct row *row, const struct policy_host *h)
{
	const struct expect *e = &row->expect;

	if (!span_starts(h->reason, span_str(e->reason)))
		fail_msg("%s: %.*s", row->what, SPAN_ARG(h->reason));
	assert_int_equal(h->allowed, e->verdict == ALLOWED);
	assert_int_equal(h->temporary, e->verdict == PUT_OFF);
	if (!h->allowed)
		return;
	assert_int_equal(h->try_tls, e->tls != PLAIN);
	assert_int_equal(h->need_tls, e->tls == NEEDS);
	assert_int_equal(h->fall_back, e->tls == TRIES);
	assert_int_equal(h->peer.check, e->check);
	assert_string_equal(h->peer.name, e->base);
	assert_int_equal(h->peer.name_count, *e->name != '\0');
	if (*e->name != '\0')
		assert_string_equal(h->peer.names[0], e->name);
	assert_int_equal(h->peer.tolerate, e->tls == TRIES &&
	    e->check == TLS_CHECK_NAME);
	assert_int_equal(h->peer.record_count > 0,
	    e->check == TLS_CHECK_DANE);
}

static void
decide(const struct row *row, struct arena *arena, struct policy *p,
    struct policy_host *h)
{
	struct route route = { .name = "partners" };
	bool routed = row->route_tls != NULL;

	zone = row->zone;
	kept_id = row->kept != NULL ? "1" : NULL;
	kept_policy = row->kept;
	if (routed) {
		strcpy(route.tls, row->route_tls);
		strcpy(route.via, row->route_via);
	}
	relay_policy_find(SPAN("a.example"), routed ? &route : NULL,
	    row->standard != NULL ? row->standard : "may", !row->mx_insecure,
	    row->flags, arena, p);
	relay_policy_host(p, SPAN(MX), !row->host_insecure, 25, row->flags,
	    arena, h);
}

static void
decisions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *arena = arena_new(1 << 20);
		struct policy p;
		struct policy_host h;

		decide(&rows[i], arena, &p, &h);
		assert_false(p.temporary);
		check(&rows[i], &h);
		arena_free(&arena);
	}
}

/* What may be kept and cannot be read is not the same as none. */
static void
unknown(void **state)
{
	struct row row = { .what = "", .zone = { HOST },
	    .mx_insecure = true };
	struct arena *arena = arena_new(1 << 20), *small = arena_new(16);
	struct policy p;
	struct policy_host h;

	(void)state;
	store_lost = true;
	decide(&row, arena, &p, &h);
	assert_true(p.temporary);
	store_lost = false;
	decide(&row, arena, &p, &h);
	assert_false(p.temporary);
	decide(&row, small, &p, &h);
	assert_true(p.temporary || (h.temporary && !h.allowed));
	arena_free(&arena);
	arena_free(&small);
}

/* Settings switch both off. */
static void
switched_off(void **state)
{
	struct row row = { "off", { HOST, STS_TXT, TLSA(GOOD, "3 1 1") },
	    .kept = ENFORCE };
	struct arena *arena = arena_new(1 << 20);
	struct policy p;
	struct policy_host h;

	(void)state;
	settings.relay_dane = false;
	decide(&row, arena, &p, &h);
	assert_int_equal(h.kind, POLICY_STS_ENFORCE);
	settings.relay_mta_sts = false;
	decide(&row, arena, &p, &h);
	assert_int_equal(h.kind, POLICY_MAY);
	settings_default(&settings);
	arena_free(&arena);
}

/* An address has no TLSA records and is not a name to send. */
static void
address(void **state)
{
	static const struct record nothing[] = { { NULL, 0, 0, NULL, NULL } };
	struct arena *arena = arena_new(1 << 20);
	struct policy p;
	struct policy_host h;

	(void)state;
	zone = nothing;
	relay_policy_find(SPAN("192.0.2.1"), NULL, "may", true, 0, arena, &p);
	relay_policy_host(&p, SPAN("192.0.2.1"), false, 25, 0, arena, &h);
	assert_true(h.allowed && h.try_tls && h.fall_back);
	assert_null(h.peer.name);
	arena_free(&arena);
}

/* ---- fetching that fails ----------------------------------------------- */

static void
fetches(void **state)
{
	struct row row = { "", { HOST, STS_TXT }, .mx_insecure = true };
	struct arena *arena = arena_new(1 << 20);
	struct policy p;
	struct policy_host h;

	(void)state;
	clock_test_set((monotime_t){ 1000000 }, 20000 * 86400 *
	    INT64_C(1000000));
	asked_policy_host = 0;
	decide(&row, arena, &p, &h);
	assert_int_equal(h.kind, POLICY_MAY);
	assert_int_equal(asked_policy_host, 2);		/* A, AAAA */
	/* Not at once again. */
	decide(&row, arena, &p, &h);
	assert_int_equal(asked_policy_host, 2);
	clock_test_set((monotime_t){ 1000000 + 301000 }, 20000 * 86400 *
	    INT64_C(1000000));
	decide(&row, arena, &p, &h);
	assert_int_equal(asked_policy_host, 4);

	/* One that is kept goes on, though it is a day old... */
	clock_test_set((monotime_t){ 2000000 }, 20000 * 86400 *
	    INT64_C(1000000));
	row.kept = ENFORCE;
	kept_age = 86401;
	decide(&row, arena, &p, &h);
	assert_int_equal(asked_policy_host, 6);
	assert_int_equal(h.kind, POLICY_STS_ENFORCE);
	/* ... and is not fetched when it is younger, with the same id. */
	clock_test_set((monotime_t){ 3000000 }, 20000 * 86400 *
	    INT64_C(1000000));
	kept_age = 86400;
	decide(&row, arena, &p, &h);
	assert_int_equal(asked_policy_host, 6);
	row.zone[1].data = "v=STSv1; id=2;";
	decide(&row, arena, &p, &h);
	assert_int_equal(asked_policy_host, 8);
	assert_int_equal(h.kind, POLICY_STS_ENFORCE);
	kept_age = 0;
	arena_free(&arena);
	clock_test_clear();
}

/* ---- reports ----------------------------------------------------------- */

#define RUA { "_smtp._tls.a.example", DNS_TXT, INSECURE, \
	"v=TLSRPTv1; rua=mailto:x@b.example", NULL }

/* The one row that is handed over. */
static struct tlsrpt_row
only_row(void)
{
	struct tlsrpt_row r = { .count = 0 }, more;
	struct cursor c;

	text_clear(&handed);
	relay_policy_flush();
	c = (struct cursor){ text_span(&handed), false };
	if (handed.n > 0) {
		assert_int_equal(tlsrpt_row_get(&c, &r), 1);
		assert_int_equal(tlsrpt_row_get(&c, &more), 0);
	}
	return r;
}

static void
reports(void **state)
{
	struct row row = { .what = "", .zone = { HOST, RUA,
	    TLSA(GOOD, "3 1 1") } };
	struct arena *arena = arena_new(1 << 20);
	struct tlsrpt_row r;
	struct policy p;
	struct policy_host h;
	struct token token;

	(void)state;
	/* DANE: two that went well, and no host told. */
	decide(&row, arena, &p, &h);
	for (int i = 0; i < 2; i++)
		relay_policy_result(&p, &h, SPAN(MX),
		    SPAN("mx.a.example[192.0.2.1]:25"), SPAN("192.0.2.9"), "");
	r = only_row();
	assert_int_equal(r.count, 2);
	assert_int_equal(r.type, TLSRPT_TLSA);
	assert_true(span_starts(r.policy, SPAN("_25._tcp.mx.a.example. IN "
	    "TLSA 3 1 1 3031323334")));
	assert_true(span_is(r.rua, "mailto:x@b.example"));
	assert_int_equal(r.host.n, 0);

	/* A failure says where; the store does not answer at first. */
	relay_policy_result(&p, &h, SPAN(MX),
	    SPAN("mx.a.example[192.0.2.1]:25"), SPAN("192.0.2.9"),
	    "validation-failure");
	store_works = false;
	r = only_row();
	token = last_token;
	store_works = true;
	r = only_row();
	assert_memory_equal(&token, &last_token, sizeof(token));
	assert_true(span_is(r.result, "validation-failure"));
	assert_true(span_is(r.remote, "192.0.2.1"));
	assert_true(span_is(r.local, "192.0.2.9"));
	assert_true(span_is(r.host, MX));
	assert_int_equal(only_row().count, 0);

	/* Bogus TLSA records: told without a session. */
	row.zone[2].what = BOGUS;
	decide(&row, arena, &p, &h);
	assert_true(span_is(only_row().result, "dnssec-invalid"));

	/* No policy. */
	row.zone[2].name = "x";
	decide(&row, arena, &p, &h);
	relay_policy_result(&p, &h, SPAN(MX), SPAN_EMPTY, SPAN_EMPTY, "");
	assert_int_equal(only_row().type, TLSRPT_NO_POLICY);

	/* MTA-STS in testing names another host: a failure, though all is
	 * well otherwise; enforced, without a session. */
	row.kept = OTHERS_TESTING;
	decide(&row, arena, &p, &h);
	relay_policy_result(&p, &h, SPAN(MX), SPAN_EMPTY, SPAN_EMPTY, "");
	r = only_row();
	assert_int_equal(r.type, TLSRPT_STS);
	assert_true(span_is(r.result, "validation-failure"));
	assert_true(span_is(r.mx, "*.b.example"));
	assert_true(span_is(r.policy, "version: STSv1\nmode: testing\n"
	    "mx: *.b.example\nmax_age: 9"));
	row.kept = OTHERS;
	decide(&row, arena, &p, &h);
	assert_true(span_is(only_row().result, "validation-failure"));

	/* TLS-Required: No, as in a report's own mail: never told. */
	row.flags = OPTIONAL;
	decide(&row, arena, &p, &h);
	relay_policy_result(&p, &h, SPAN(MX), SPAN_EMPTY, SPAN_EMPTY,
	    "starttls-not-supported");
	assert_int_equal(only_row().count, 0);

	/* Nor to those who do not ask. */
	row.flags = 0;
	row.zone[1].data = "v=TLSRPTv1; rua=";
	decide(&row, arena, &p, &h);
	relay_policy_result(&p, &h, SPAN(MX), SPAN_EMPTY, SPAN_EMPTY, "");
	assert_int_equal(only_row().count, 0);
	arena_free(&arena);
	text_free(&handed);
}

static int
setup(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	settings_default(&settings);
	resolve_test(answer, NULL);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions),
		cmocka_unit_test(unknown),
		cmocka_unit_test(switched_off),
		cmocka_unit_test(address),
		cmocka_unit_test(fetches),
		cmocka_unit_test(reports),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

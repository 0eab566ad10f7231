/*
 * test_relay_target.c - where mail goes: routes, MX records, addresses; and
 * the words for it when there is nowhere.
 */
#include "ipc/wire.h"
#include "relay/relay_connect.h"
#include "relay/relay_target.h"
#include "relay/relay_text.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena *arena;
static struct settings settings;

/* ---- via ----------------------------------------------------------------- */

static void
via_is_read(void **state)
{
	static const struct {
		const char *text;
		int good;
		enum via_kind kind;
		bool lmtp;
		const char *host;
		uint16_t port;
	} table[] = {
		{ "", 1, VIA_MX, false, "", 0 },
		{ "smtp:example.org", 1, VIA_MX, false, "example.org", 0 },
		{ "smtp:example.org:587", 1, VIA_MX, false, "example.org",
		    587 },
		{ "smtp:[mail.example.org]", 1, VIA_HOST, false,
		    "mail.example.org", 0 },
		{ "smtp:[mail.example.org]:26", 1, VIA_HOST, false,
		    "mail.example.org", 26 },
		{ "smtp:[192.0.2.1]:26", 1, VIA_HOST, false, "192.0.2.1",
		    26 },
		{ "smtp:[2001:db8::1]:26", 1, VIA_HOST, false, "2001:db8::1",
		    26 },
		{ "lmtp:[127.0.0.1]:24", 1, VIA_HOST, true, "127.0.0.1",
		    24 },
		{ "lmtp:localhost:24", 1, VIA_HOST, true, "localhost", 24 },
		{ "lmtp:/run/lmtp", 1, VIA_UNIX, true, "/run/lmtp", 0 },
		{ "refuse:5.7.1 no", 1, VIA_REFUSE, false, "5.7.1 no", 0 },
		{ "refuse:", 1, VIA_REFUSE, false, "", 0 },
		{ "smtp:", 0, 0, false, "", 0 },
		{ "smtp:[", 0, 0, false, "", 0 },
		{ "smtp:[]", 0, 0, false, "", 0 },
		{ "smtp:[a]25", 0, 0, false, "", 0 },
		{ "smtp:a:0", 0, 0, false, "", 0 },
		{ "smtp:a:65536", 0, 0, false, "", 0 },
		{ "smtp:a:x", 0, 0, false, "", 0 },
		{ "uucp:a", 0, 0, false, "", 0 },
		{ "example.org", 0, 0, false, "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct relay_via v;

		if (relay_via_parse(span_str(table[i].text), &v) !=
		    table[i].good)
			fail_msg("%s", table[i].text);
		if (table[i].good == 0)
			continue;
		assert_int_equal(v.kind, table[i].kind);
		assert_int_equal(v.lmtp, table[i].lmtp);
		assert_true(span_is(v.host, table[i].host));
		assert_int_equal(v.port, table[i].port);
	}
}

static void
literals_are_addresses(void **state)
{
	struct ip_address ip;

	(void)state;
	assert_int_equal(relay_literal(SPAN("[192.0.2.1]"), &ip), 1);
	assert_int_equal(ip.family, AF_INET);
	assert_int_equal(relay_literal(SPAN("[IPv6:2001:db8::1]"), &ip), 1);
	assert_int_equal(ip.family, AF_INET6);
	assert_int_equal(relay_literal(SPAN("2001:db8::1"), &ip), 1);
	assert_int_equal(relay_literal(SPAN("[x]"), &ip), 0);
	assert_int_equal(relay_literal(SPAN("[]"), &ip), 0);
	assert_int_equal(relay_literal(SPAN(""), &ip), 0);
	assert_int_equal(relay_literal(SPAN("example.org"), &ip), 0);
}

/* ---- MX ------------------------------------------------------------------ */

static struct relay_target
hosts_of(const struct dns_mx *mx, size_t n)
{
	struct relay_target t = { .domain = SPAN("example.org"),
	    .nowhere.outcome = RELAY_SENT };

	relay_target_hosts(mx, n, SPAN("mail.ours.example"), arena, &t);
	return t;
}

static void
mx_are_taken_in_order(void **state)
{
	static const struct dns_mx mx[] = { { 10, SPAN("a.example") },
	    { 10, SPAN("b.example") }, { 20, SPAN("c.example") } };
	struct relay_target t = hosts_of(mx, 3);

	(void)state;
	assert_int_equal(t.nowhere.outcome, RELAY_SENT);
	assert_int_equal(t.host_count, 3);
	assert_true(span_is(t.hosts[0].name, "a.example"));
	assert_true(span_is(t.hosts[2].name, "c.example"));
}

/* RFC 7505. */
static void
null_mx_takes_no_mail(void **state)
{
	static const struct dns_mx mx[] = { { 0, SPAN("") } };
	struct relay_target t = hosts_of(mx, 1);

	(void)state;
	assert_int_equal(t.nowhere.outcome, RELAY_FAILED);
	assert_true(span_starts(t.nowhere.reason, SPAN("5.1.10 ")));
}

/* RFC 5321 5.1: those that are not better than ourselves are passed over. */
static void
we_are_not_asked_ourselves(void **state)
{
	static const struct dns_mx backup[] = { { 10, SPAN("a.example") },
	    { 20, SPAN("MAIL.ours.example") }, { 20, SPAN("c.example") },
	    { 30, SPAN("d.example") } };
	static const struct dns_mx best[] = {
	    { 10, SPAN("mail.ours.example") }, { 20, SPAN("c.example") } };
	struct relay_target t = hosts_of(backup, 4);

	(void)state;
	assert_int_equal(t.host_count, 1);
	assert_true(span_is(t.hosts[0].name, "a.example"));
	t = hosts_of(best, 2);
	assert_int_equal(t.host_count, 0);
	assert_int_equal(t.nowhere.outcome, RELAY_FAILED);
	assert_true(span_starts(t.nowhere.reason, SPAN("5.4.6 ")));
}

/* ---- with the DNS -------------------------------------------------------- */

/* One answer to every question for MX. */
static struct {
	enum result result;
	uint32_t rcode;
	const char *rdata;
	size_t n;
} dns;

static void
answer(void *arg, struct span name, uint32_t type, struct arena *a,
    struct resolve_reply *out)
{
	struct text t = TEXT_INIT(0);
	struct dns_answer one = { .data = span_of(dns.rdata, dns.n) };

	(void)arg;
	(void)name;
	out->result = dns.result;
	out->rcode = dns.rcode;
	out->why = SPAN("so it is");
	if (type == DNS_MX && dns.n > 0)
		dns_answer_put(&t, &one);
	out->answers = BLOB_OF(arena_dup(a, text_span(&t)));
	text_free(&t);
}

static struct routes *
routes(const char *text)
{
	struct text why = TEXT_INIT(1000);
	struct routes *r = routes_parse(span_str(text), &why);

	if (r == NULL)
		fail_msg("%.*s", SPAN_ARG(text_span(&why)));
	text_free(&why);
	return r;
}

static void
domains_lead_somewhere(void **state)
{
	static const char mx[] = "\0\12\2mx\7example\0";
	static const struct {
		enum result result;
		uint32_t rcode;
		bool mx;
		enum relay_outcome outcome;
		const char *code;	/* or the host */
		enum destination_state state;
	} table[] = {
		{ RESULT_OK, 0, true, RELAY_SENT, "mx.example", 0 },
		{ RESULT_OK, 0, false, RELAY_SENT, "example.org", 0 },
		{ RESULT_OK, 3, false, RELAY_FAILED, "5.1.2",
		    DESTINATION_UNSURE },
		{ RESULT_TEMPORARY, 2, false, RELAY_DEFERRED, "4.4.3",
		    DESTINATION_DOWN },
		{ RESULT_DENIED, 0, false, RELAY_DEFERRED, "4.7.0",
		    DESTINATION_DOWN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct relay_target t;

		dns.result = table[i].result;
		dns.rcode = table[i].rcode;
		dns.rdata = mx;
		dns.n = table[i].mx ? sizeof(mx) - 1 : 0;
		relay_target_find(SPAN("example.org"), NULL, &settings, arena,
		    &t);
		assert_int_equal(t.nowhere.outcome, table[i].outcome);
		if (t.nowhere.outcome == RELAY_SENT) {
			assert_int_equal(t.host_count, 1);
			assert_true(span_is(t.hosts[0].name, table[i].code));
			assert_int_equal(t.port, 25);
			continue;
		}
		assert_true(span_starts(t.nowhere.reason,
		    span_str(table[i].code)));
		assert_int_equal(t.nowhere.state, table[i].state);
	}
}

static void
literals_need_no_dns(void **state)
{
	struct relay_target t;

	(void)state;
	dns.result = RESULT_TEMPORARY;
	relay_target_find(SPAN("[192.0.2.1]"), NULL, &settings, arena, &t);
	assert_int_equal(t.nowhere.outcome, RELAY_SENT);
	assert_int_equal(t.hosts[0].ip.family, AF_INET);
}

/* A sender's mistake is told to the sender, the operator's is waited out. */
static void
routes_lead_elsewhere(void **state)
{
	struct routes *r = routes("route {\n"
	    "smart { via = \"smtp:[relay.example]:587\"; }\n"
	    "away { via = \"smtp:gone.example\"; }\n"
	    "port { port = 2525; }\n"
	    "no { via = \"refuse:not here\"; }\n"
	    "later { via = \"refuse:4.7.1 not today\"; } }\n");
	struct relay_target t;

	(void)state;
	relay_target_find(SPAN("smart/"), r, &settings, arena, &t);
	assert_int_equal(t.nowhere.outcome, RELAY_SENT);
	assert_true(span_is(t.hosts[0].name, "relay.example"));
	assert_int_equal(t.port, 587);
	assert_true(t.given);
	dns.result = RESULT_OK;
	dns.rcode = 3;
	dns.n = 0;
	relay_target_find(SPAN("away/"), r, &settings, arena, &t);
	assert_int_equal(t.nowhere.outcome, RELAY_DEFERRED);
	assert_int_equal(t.nowhere.state, DESTINATION_DOWN);
	relay_target_find(SPAN("port/example.org"), r, &settings, arena, &t);
	assert_int_equal(t.nowhere.outcome, RELAY_FAILED);
	assert_int_equal(t.port, 2525);
	assert_true(span_is(t.domain, "example.org"));
	relay_target_find(SPAN("no/x"), r, &settings, arena, &t);
	assert_int_equal(t.nowhere.outcome, RELAY_FAILED);
	assert_true(span_starts(t.nowhere.reason, SPAN("5.7.1 ")));
	relay_target_find(SPAN("later/x"), r, &settings, arena, &t);
	assert_int_equal(t.nowhere.outcome, RELAY_DEFERRED);
	assert_true(span_is(t.nowhere.reason, "4.7.1 not today"));
	relay_target_find(SPAN("unknown/x"), r, &settings, arena, &t);
	assert_int_equal(t.nowhere.outcome, RELAY_DEFERRED);
	routes_free(&r);
}

/* ---- addresses ----------------------------------------------------------- */

static struct ip_address
ip(const char *text)
{
	struct ip_address a;

	assert_int_equal(ip_parse(span_str(text), &a), 1);
	return a;
}

static void
local_addresses_are_known(void **state)
{
	static const char *const local[] = { "127.0.0.1", "127.9.9.9",
	    "0.0.0.0", "169.254.1.1", "224.0.0.1", "255.255.255.255", "::",
	    "::1", "fe80::1", "febf::1", "ff02::1", "::ffff:127.0.0.1" };
	static const char *const other[] = { "192.0.2.1", "10.0.0.1",
	    "128.0.0.1", "2001:db8::1", "fec0::1", "::ffff:192.0.2.1",
	    "::2" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(local); i++) {
		struct ip_address a = ip(local[i]);

		if (!relay_address_is_local(&a))
			fail_msg("%s", local[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(other); i++) {
		struct ip_address a = ip(other[i]);

		if (relay_address_is_local(&a))
			fail_msg("%s", other[i]);
	}
}

static void
families_take_turns(void **state)
{
	struct ip_address six[] = { ip("2001:db8::1"), ip("2001:db8::2"),
	    ip("2001:db8::3") };
	struct ip_address four[] = { ip("192.0.2.1") }, out[4];

	(void)state;
	assert_int_equal(relay_interleave(six, 3, four, 1, out, 4), 4);
	assert_int_equal(out[0].family, AF_INET6);
	assert_int_equal(out[1].family, AF_INET);
	assert_int_equal(out[3].family, AF_INET6);
	assert_int_equal(relay_interleave(six, 3, four, 1, out, 2), 2);
	assert_int_equal(relay_interleave(NULL, 0, four, 1, out, 2), 1);
	assert_int_equal(relay_interleave(NULL, 0, NULL, 0, out, 2), 0);
}

/* ---- what is told -------------------------------------------------------- */

static struct relay_nowhere
failure(enum relay_outcome outcome, enum destination_state state,
    const char *reason)
{
	return (struct relay_nowhere){ .outcome = outcome, .state = state,
	    .reason = span_str(reason) };
}

static void
one_host_does_not_speak_for_all(void **state)
{
	struct relay_failures all = { .rank = FAILURE_NONE };
	struct relay_nowhere no = failure(RELAY_FAILED, DESTINATION_UNSURE,
	    "5.3.2 a said: 521 no");
	struct relay_nowhere down = failure(RELAY_DEFERRED, DESTINATION_DOWN,
	    "4.4.1 b: refused"), sum;

	(void)state;
	sum = relay_failures_sum(&all, arena);
	assert_int_equal(sum.outcome, RELAY_DEFERRED);
	relay_failures_add(&all, FAILURE_ANSWER, &no);
	sum = relay_failures_sum(&all, arena);
	assert_int_equal(sum.outcome, RELAY_FAILED);
	relay_failures_add(&all, FAILURE_CONNECT, &down);
	sum = relay_failures_sum(&all, arena);
	assert_int_equal(sum.outcome, RELAY_DEFERRED);
	assert_true(span_is(sum.reason, "4.3.2 a said: 521 no"));
	assert_int_equal(sum.state, DESTINATION_UNSURE);
}

static void
reasons_begin_with_a_code(void **state)
{
	static const struct {
		struct smtp_answer answer;
		const char *reason;
		enum relay_outcome outcome;
	} table[] = {
		{ { 550, SPAN("5.1.1"), SPAN("no such user") },
		    "5.1.1 mx said: ", RELAY_FAILED },
		{ { 550, SPAN(""), SPAN("no") }, "5.0.0 mx said: ",
		    RELAY_FAILED },
		{ { 451, SPAN("5.1.1"), SPAN("no") }, "4.0.0 mx said: ",
		    RELAY_DEFERRED },
		{ { 421, SPAN(""), SPAN("bye") }, "4.3.2 mx said: ",
		    RELAY_DEFERRED },
		{ { 556, SPAN(""), SPAN("no mail") }, "5.3.2 mx said: ",
		    RELAY_FAILED },
		{ { 250, SPAN("2.0.0"), SPAN("ok") }, "2.0.0 mx said: ",
		    RELAY_SENT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct text t = TEXT_INIT(REASON_MAX);

		relay_reason(&table[i].answer, SPAN("mx"), &t);
		if (!span_starts(text_span(&t), span_str(table[i].reason)))
			fail_msg("%.*s", SPAN_ARG(text_span(&t)));
		assert_int_equal(relay_outcome_of(&table[i].answer),
		    table[i].outcome);
		text_free(&t);
	}
}

/* Whatever a server says, it fits, and cannot forge a field. */
static void
details_cannot_be_forged(void **state)
{
	struct text t = TEXT_INIT(DETAILS_MAX);

	(void)state;
	relay_detail(&t, "tls", SPAN("TLSv1.3"));
	relay_detail(&t, "policy", SPAN("a\" b=\\c\nd"));
	relay_detail(&t, "none", SPAN(""));
	relay_detail_ms(&t, "ms_data", -5);
	assert_true(span_is(text_span(&t),
	    "tls=TLSv1.3 policy=\"a\\\" b=\\\\c d\" none=\"\" ms_data=0"));
	text_free(&t);
}

static void
long_answers_are_cut(void **state)
{
	char *long_ = xmalloc(100000);
	struct smtp_answer a = { 550, SPAN("5.1.1"), span_of(long_, 100000) };
	struct text t = TEXT_INIT(REASON_MAX);

	(void)state;
	memset(long_, 'x', 100000);
	relay_reason(&a, SPAN("mx"), &t);
	assert_true(t.n > 100 && t.n <= REASON_MAX);
	assert_false(text_full(&t));
	assert_int_equal(relay_one_line(arena, span_of(long_, 100000)).n,
	    REASON_MAX);
	text_free(&t);
	free(long_);
}

static int
setup(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	settings_default(&settings);
	snprintf(settings.hostname, 64, "mail.ours.example");
	resolve_test(answer, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(via_is_read),
		cmocka_unit_test(literals_are_addresses),
		cmocka_unit_test(mx_are_taken_in_order),
		cmocka_unit_test(null_mx_takes_no_mail),
		cmocka_unit_test(we_are_not_asked_ourselves),
		cmocka_unit_test(domains_lead_somewhere),
		cmocka_unit_test(literals_need_no_dns),
		cmocka_unit_test(routes_lead_elsewhere),
		cmocka_unit_test(local_addresses_are_known),
		cmocka_unit_test(families_take_turns),
		cmocka_unit_test(one_host_does_not_speak_for_all),
		cmocka_unit_test(reasons_begin_with_a_code),
		cmocka_unit_test(details_cannot_be_forged),
		cmocka_unit_test(long_answers_are_cut),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/* test_resolve.c - what answers mean, with a DNS of the test's own. */
#include "ipc/wire.h"
#include "verify/resolve.h"

#include <setjmp.h>
#include <sys/socket.h>

#include <cmocka.h>

/* What is asked for next, and what was asked. */
static struct {
	enum result result;
	uint32_t rcode, secure;
	struct span data[8];
	size_t count;
	char name[300];
	uint32_t type;
} dns;

static void
answer(void *arg, struct span name, uint32_t type, struct arena *arena,
    struct resolve_reply *out)
{
	struct text packed = TEXT_INIT(1 << 16);

	assert_ptr_equal(arg, &dns);
	memcpy(dns.name, name.p, name.n);
	dns.name[name.n] = '\0';
	dns.type = type;
	for (size_t i = 0; i < dns.count; i++)
		dns_answer_put(&packed, &(struct dns_answer){
		    .data = dns.data[i] });
	out->result = dns.result;
	out->rcode = dns.rcode;
	out->secure = dns.secure;
	out->ttl = 77;
	out->canonical = SPAN("canon.test");
	out->why = SPAN("the reason");
	out->answers = BLOB_OF(arena_dup(arena, text_span(&packed)));
	text_free(&packed);
}

static struct arena *arena;

static int
setup(void **state)
{
	(void)state;
	memset(&dns, 0, sizeof(dns));
	resolve_test(answer, &dns);
	arena = arena_new(1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	resolve_test(NULL, NULL);
	arena_free(&arena);
	return 0;
}

static void
exchangers_by_preference(void **state)
{
	struct dns_mx *mx;
	size_t n;
	struct resolve_answer a;

	(void)state;
	dns.data[0] = SPAN("\0\x14\2mC\4test\0");
	dns.data[1] = SPAN("\0\x0a\2ma\4test\0");
	dns.data[2] = SPAN("\0\x0a\2mb\4test");	/* broken */
	dns.data[3] = SPAN("\0\x05\2m0\4test\0");
	dns.count = 4;
	dns.secure = 1;
	a = resolve_mx(SPAN("x.test"), arena, &mx, &n);
	assert_int_equal(a.status, RESOLVE_OK);
	assert_true(a.secure);
	assert_int_equal(a.ttl, 77);
	assert_true(span_is(a.canonical, "canon.test"));
	assert_int_equal(dns.type, DNS_MX);
	assert_string_equal(dns.name, "x.test");
	assert_int_equal(n, 3);
	assert_true(span_is(mx[0].host, "m0.test"));
	assert_true(span_is(mx[1].host, "ma.test"));
	assert_true(span_is(mx[2].host, "mc.test"));
}

/* RFC 5321 5.1: equal ones share the load. A chance of 2^-60 to fail. */
static void
equal_exchangers_are_shuffled(void **state)
{
	struct dns_mx *mx;
	size_t n, first = 0, tries = 61;

	(void)state;
	dns.data[0] = SPAN("\0\x0a\1a\0");
	dns.data[1] = SPAN("\0\x0a\1b\0");
	dns.count = 2;
	for (size_t i = 0; i < tries; i++) {
		resolve_mx(SPAN("x.test"), arena, &mx, &n);
		assert_int_equal(n, 2);
		first += span_is(mx[0].host, "a");
	}
	assert_in_range(first, 1, tries - 1);
}

static void
addresses_of_a_family(void **state)
{
	struct ip_address *ip;
	size_t n;

	(void)state;
	dns.data[0] = SPAN("\300\0\2\1");
	dns.data[1] = SPAN("\300\0\2");
	dns.data[2] = SPAN("\300\0\2\2");
	dns.count = 3;
	resolve_addresses(SPAN("x.test"), AF_INET, arena, &ip, &n);
	assert_int_equal(dns.type, DNS_A);
	assert_int_equal(n, 2);
	assert_int_equal(ip[1].family, AF_INET);
	assert_memory_equal(ip[1].b, "\300\0\2\2", 4);
	dns.data[0] = SPAN("\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1");
	dns.count = 1;
	resolve_addresses(SPAN("x.test"), AF_INET6, arena, &ip, &n);
	assert_int_equal(dns.type, DNS_AAAA);
	assert_int_equal(n, 1);
	assert_int_equal(ip[0].family, AF_INET6);
}

static void
texts_and_certificates(void **state)
{
	struct dns_tlsa *tlsa;
	struct span *txt;
	size_t n;

	(void)state;
	dns.data[0] = SPAN("\2v=\1x");
	dns.count = 1;
	resolve_txt(SPAN("x.test"), arena, &txt, &n);
	assert_int_equal(dns.type, DNS_TXT);
	assert_int_equal(n, 1);
	assert_true(span_is(txt[0], "v=x"));
	dns.data[0] = SPAN("\3\1\1abcd");
	dns.data[1] = SPAN("\3");
	dns.count = 2;
	resolve_tlsa(SPAN("_25._tcp.x.test"), arena, &tlsa, &n);
	assert_int_equal(dns.type, DNS_TLSA);
	assert_int_equal(n, 1);
	assert_true(span_is(tlsa[0].data, "abcd"));
}

static void
names_of_addresses(void **state)
{
	struct ip_address ip;
	struct span *names;
	size_t n;

	(void)state;
	dns.data[0] = SPAN("\2Mx\4test\0");
	dns.count = 1;
	assert_int_equal(ip_parse(SPAN("192.0.2.30"), &ip), 1);
	resolve_ptr(&ip, arena, &names, &n);
	assert_int_equal(dns.type, DNS_PTR);
	assert_string_equal(dns.name, "30.2.0.192.in-addr.arpa");
	assert_int_equal(n, 1);
	assert_true(span_is(names[0], "mx.test"));
	assert_int_equal(ip_parse(SPAN("2001:db8::567:89ab"), &ip), 1);
	resolve_ptr(&ip, arena, &names, &n);
	assert_string_equal(dns.name, "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0."
	    "0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");	/* RFC 3596 2.5 */
}

static void
what_results_mean(void **state)
{
	static const struct {
		enum result result;
		uint32_t rcode;
		size_t count;
		enum resolve_status status;
		bool secure;
	} rows[] = {
		{ RESULT_OK, 0, 1, RESOLVE_OK, true },
		{ RESULT_OK, 0, 0, RESOLVE_NONE, true },
		{ RESULT_OK, 3, 0, RESOLVE_NXDOMAIN, true },
		{ RESULT_OK, 5, 0, RESOLVE_TEMPORARY, false },
		{ RESULT_DENIED, 0, 0, RESOLVE_BOGUS, false },
		{ RESULT_DENIED, 0, 1, RESOLVE_BOGUS, false },
		{ RESULT_TEMPORARY, 0, 1, RESOLVE_TEMPORARY, false },
		{ RESULT_FULL, 0, 1, RESOLVE_TEMPORARY, false },
		{ RESULT_INVALID, 0, 0, RESOLVE_NXDOMAIN, true },
	};
	struct span *txt;
	size_t n;

	(void)state;
	dns.data[0] = SPAN("\1x");
	dns.secure = 1;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct resolve_answer a;

		dns.result = rows[i].result;
		dns.rcode = rows[i].rcode;
		dns.count = rows[i].count;
		a = resolve_txt(SPAN("x.test"), arena, &txt, &n);
		assert_int_equal(a.status, rows[i].status);
		assert_int_equal(a.secure, rows[i].secure);
		assert_int_equal(n, rows[i].status == RESOLVE_OK);
		assert_true(span_is(a.why, "the reason"));
	}
}

static void
nobody_to_ask(void **state)
{
	char longer[300];
	struct span *txt;
	struct resolve_answer a;
	size_t n;

	(void)state;
	resolve_test(NULL, NULL);
	resolve_setup(NULL);
	a = resolve_txt(SPAN("x.test"), arena, &txt, &n);
	assert_int_equal(a.status, RESOLVE_TEMPORARY);
	assert_int_equal(n, 0);
	memset(longer, 'x', sizeof(longer));
	a = resolve_txt(span_of(longer, sizeof(longer)), arena, &txt, &n);
	assert_int_equal(a.status, RESOLVE_NXDOMAIN);
}

/* What does not fit is not taken for nothing. */
static void
a_full_arena_is_temporary(void **state)
{
	struct arena *small = arena_new(300);
	struct dns_mx *mx;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(dns.data); i++)
		dns.data[i] = SPAN("\0\x0a\x1e" "abcdefghijklmnopqrstuvwxyz0123"
		    "\4test\0");
	dns.count = ARRAY_LEN(dns.data);
	assert_int_equal(resolve_mx(SPAN("x.test"), small, &mx, &n).status,
	    RESOLVE_TEMPORARY);
	assert_int_equal(n, 0);
	arena_free(&small);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(exchangers_by_preference,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(equal_exchangers_are_shuffled,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_of_a_family, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(texts_and_certificates, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(names_of_addresses, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(what_results_mean, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(nobody_to_ask, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(a_full_arena_is_temporary,
		    setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

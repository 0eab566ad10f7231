/* test_dns_plan.c - whom the settings and the system's files say to ask. */
#include "role/dns_plan.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

static struct settings s;
static struct dns_plan plan;
static struct text why;
static struct dns_texts texts;

static int
setup(void **state)
{
	(void)state;
	settings_default(&s);
	why = TEXT_INIT(1000);
	texts = (struct dns_texts){ { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
	plan = (struct dns_plan){ .validate = false };
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dns_plan_free(&plan);
	text_free(&why);
	return 0;
}

#define SET(name, value) snprintf(s.name, sizeof(s.name), "%s", value)

static void
assert_list(const struct text *list, const char *wanted)
{
	if (!span_is(text_span(list), wanted))
		fail_msg("\"%.*s\", not \"%s\"", SPAN_ARG(text_span(list)),
		    wanted);
}

static void
the_systems_servers(void **state)
{
	(void)state;
	texts.resolv_conf = SPAN("# nameserver 192.0.2.9\n"
	    "search example.org\nnameserver 192.0.2.1\n"
	    "nameserver\t2001:DB8::53\nnameserver fe80::1%eth0\n"
	    "nameserver 192.0.2.3\nnameserver 192.0.2.4\noptions edns0");
	assert_int_equal(dns_plan_make(&s, &texts, &plan, &why), 1);
	assert_list(&plan.forwards,
	    "192.0.2.1@53\n2001:db8::53@53\n192.0.2.3@53\n");
	assert_int_equal(plan.port_count, 1);
	assert_int_equal(plan.ports[0], 53);
	assert_false(plan.local_servers);
	assert_true(plan.validate);
}

/* resolv.conf(5): nobody named is this machine. */
static void
nobody_named(void **state)
{
	(void)state;
	assert_int_equal(dns_plan_make(&s, &texts, &plan, &why), 1);
	assert_list(&plan.forwards, "127.0.0.1@53\n");
	assert_true(plan.local_servers);
}

static void
from_the_root(void **state)
{
	(void)state;
	SET(resolver_servers, "root");
	texts.root_hints = SPAN("; comment A 192.0.2.9\n"
	    ".          3600000  NS    A.ROOT-SERVERS.NET.\n"
	    "A.ROOT-SERVERS.NET. 3600000 A 198.41.0.4 ; here\n"
	    "A.ROOT-SERVERS.NET. 3600000 IN AAAA 2001:503:ba3e::2:30\n"
	    "B.ROOT-SERVERS.NET. 3600000 A nonsense\n");
	texts.trust_anchor = SPAN("; the root's\n. IN DNSKEY 257 3 8 AwEAA "
	    ";{id = 1}\n\n. IN DS 1 8 2 ab\n");
	assert_int_equal(dns_plan_make(&s, &texts, &plan, &why), 1);
	assert_list(&plan.forwards, "");
	assert_list(&plan.roots, "198.41.0.4\n2001:503:ba3e::2:30\n");
	assert_list(&plan.anchors, ". IN DNSKEY 257 3 8 AwEAA\n"
	    ". IN DS 1 8 2 ab\n");
}

static void
servers_by_address(void **state)
{
	(void)state;
	SET(resolver_servers, " 192.0.2.1  127.0.0.1@5353 2001:db8::1@54 ");
	SET(resolver_stub, "example.org=192.0.2.53 .=127.0.0.2@5353");
	SET(resolver_insecure, "lan example.org.");
	s.resolver_dnssec = false;
	texts.trust_anchor = SPAN(". IN DS 1 8 2 ab\n");
	assert_int_equal(dns_plan_make(&s, &texts, &plan, &why), 1);
	assert_list(&plan.forwards,
	    "192.0.2.1@53\n127.0.0.1@5353\n2001:db8::1@54\n");
	assert_list(&plan.stubs,
	    "example.org 192.0.2.53@53\n. 127.0.0.2@5353\n");
	assert_list(&plan.insecure, "lan\nexample.org.\n");
	assert_list(&plan.anchors, "");
	assert_false(plan.validate);
	assert_true(plan.local_servers);
	assert_int_equal(plan.port_count, 3);
}

static void
refused(const char *servers, const char *stub, const char *insecure,
    const char *wanted)
{
	setup(NULL);
	SET(resolver_servers, servers);
	SET(resolver_stub, stub);
	SET(resolver_insecure, insecure);
	assert_int_equal(dns_plan_make(&s, &texts, &plan, &why), 0);
	if (!span_is(text_span(&why), wanted))
		fail_msg("%.*s", SPAN_ARG(text_span(&why)));
	teardown(NULL);
	setup(NULL);
}

static void
what_is_refused(void **state)
{
	(void)state;
	refused("", "", "", "resolver.servers: who is to be asked?");
	refused("dns.example.org", "", "", "resolver.servers: "
	    "dns.example.org: not an address, or address@port");
	refused("192.0.2.1@0", "", "", "resolver.servers: 192.0.2.1@0: not "
	    "an address, or address@port");
	refused("192.0.2.1@", "", "", "resolver.servers: 192.0.2.1@: not "
	    "an address, or address@port");
	refused("192.0.2.1@65536", "", "", "resolver.servers: "
	    "192.0.2.1@65536: not an address, or address@port");
	refused("root", "example.org", "", "resolver.stub: : not an "
	    "address, or address@port");
	refused("root", "=192.0.2.1", "", "resolver.stub: : not a domain");
	refused("root", "", "a..b", "resolver.insecure: a..b: not a domain");
	refused("root", "", "a\"b", "resolver.insecure: a\"b: not a domain");
	refused("192.0.2.1@1 192.0.2.1@2 192.0.2.1@3 192.0.2.1@4 192.0.2.1@5 "
	    "192.0.2.1@6 192.0.2.1@7 192.0.2.1@8 192.0.2.1@9 192.0.2.1@10 "
	    "192.0.2.1@11 192.0.2.1@12 192.0.2.1@13 192.0.2.1@14 "
	    "192.0.2.1@15 192.0.2.1@16", "", "",
	    "resolver.servers: too many different ports");
}

static void
the_same_plan(void **state)
{
	struct dns_plan other;

	(void)state;
	SET(resolver_servers, "root");
	assert_int_equal(dns_plan_make(&s, &texts, &plan, &why), 1);
	assert_int_equal(dns_plan_make(&s, &texts, &other, &why), 1);
	assert_true(dns_plan_same(&plan, &other));
	dns_plan_free(&other);
	s.resolver_cache *= 2;
	assert_int_equal(dns_plan_make(&s, &texts, &other, &why), 1);
	assert_false(dns_plan_same(&plan, &other));
	dns_plan_free(&other);
	s.resolver_cache /= 2;
	SET(resolver_servers, "192.0.2.1");
	assert_int_equal(dns_plan_make(&s, &texts, &other, &why), 1);
	assert_false(dns_plan_same(&plan, &other));
	dns_plan_free(&other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_systems_servers, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(nobody_named, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(from_the_root, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(servers_by_address, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(what_is_refused, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(the_same_plan, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

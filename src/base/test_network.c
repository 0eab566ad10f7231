/*
 * test_network.c - addresses and networks of settings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/network.h"

static void
test_forms(void **state)
{
	static const struct { const char *s; int ok; unsigned bits; } rows[] = {
		{ "192.0.2.1", 1, 32 }, { "192.0.2.0/24", 1, 24 },
		{ "0.0.0.0/0", 1, 0 }, { "2001:db8::/32", 1, 32 },
		{ "[2001:db8::1]", 1, 128 }, { "::ffff:192.0.2.1", 1, 32 },
		{ "::ffff:192.0.2.0/120", 1, 24 }, { "::/0", 1, 0 },
		{ "192.0.2.1/33", 0, 0 }, { "::1/129", 0, 0 }, { "", 0, 0 },
		{ "/24", 0, 0 }, { "192.0.2/24", 0, 0 }, { "a.b", 0, 0 },
		{ "192.0.2.1/", 0, 0 }, { "192.0.2.1/-1", 0, 0 },
		{ "192.0.2.1/2x", 0, 0 }, { "[192.0.2.1", 0, 0 },
	};
	struct network n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(network_parse(span_str(rows[i].s), &n),
		    rows[i].ok);
		if (rows[i].ok == 1)
			assert_int_equal(n.bits, rows[i].bits);
	}
	assert_int_equal(network_parse(SPAN("192.0.2.1\0"), &n), 0);
}

static void
test_lists(void **state)
{
	struct span list = SPAN("192.0.2.0/25  10.1.2.3 2001:db8:8000::/33");
	struct text why = TEXT_INIT(1000);

	(void)state;
	assert_int_equal(networks_check(list, &why), 1);
	assert_true(networks_have(list, SPAN("192.0.2.127")));
	assert_false(networks_have(list, SPAN("192.0.2.128")));
	assert_true(networks_have(list, SPAN("::ffff:10.1.2.3")));
	assert_false(networks_have(list, SPAN("10.1.2.4")));
	assert_true(networks_have(list, SPAN("2001:db8:ffff::1")));
	assert_false(networks_have(list, SPAN("2001:db8:7fff::1")));
	assert_false(networks_have(list, SPAN("nonsense")));
	assert_false(networks_have(SPAN_EMPTY, SPAN("10.1.2.3")));
	assert_true(networks_have(SPAN("0.0.0.0/0"), SPAN("10.1.2.3")));
	assert_false(networks_have(SPAN("0.0.0.0/0"), SPAN("::1")));
	assert_int_equal(networks_check(SPAN("10.0.0.0/8 x"), &why), 0);
	assert_true(span_is(text_span(&why),
	    "not an address or network: x"));
	text_free(&why);
}

static void
test_around(void **state)
{
	struct network a, n;

	(void)state;
	assert_int_equal(network_parse(SPAN("192.0.2.77"), &a), 1);
	n = network_around(&a, 27, 48);
	assert_int_equal(n.bits, 27);
	assert_int_equal(n.b[3], 64);
	assert_true(network_has(&n, &a));
	assert_int_equal(network_parse(SPAN("2001:db8:1:2:3::1"), &a), 1);
	n = network_around(&a, 24, 48);
	assert_int_equal(n.b[5], 1);
	assert_int_equal(n.b[7], 0);
	assert_int_equal(n.b[15], 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_around),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_spf.c - SPF records read: what is one, and what is wrong with others. */
#include "verify/spf.h"

#include <setjmp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct arena *arena;

/* "qualifier kind domain bits4 bits6;" each, or "wrong" with the words. */
static const char *
read(const char *record)
{
	struct text t = TEXT_INIT(0), why = TEXT_INIT(0);
	struct spf_term *terms;
	const char *words;
	size_t n;

	if (spf_parse(span_str(record), arena, &terms, &n, &why) != 1)
		text_printf(&t, "wrong: %.*s", SPAN_ARG(text_span(&why)));
	else
		for (size_t i = 0; i < n; i++)
			text_printf(&t, "%c%d %.*s%s%u/%u;",
			    terms[i].qualifier != 0 ? terms[i].qualifier :
			    '=', (int)terms[i].kind,
			    SPAN_ARG(terms[i].domain),
			    terms[i].macro ? "! " : " ", terms[i].bits4,
			    terms[i].bits6);
	words = arena_cstr(arena, text_span(&t));
	text_free(&t);
	text_free(&why);
	return words;
}

static void
good_records(void **state)
{
	static const struct {
		const char *record, *want;
	} rows[] = {
		{ "v=spf1", "" },
		{ "v=spf1  -all ", "-0  32/128;" },
		{ "V=SPF1 MX ?All", "+3  32/128;?0  32/128;" },
		{ "v=spf1 a:x.test/24//64 mx/8 a//48",
		    "+2 x.test 24/64;+3  8/128;+2  32/48;" },
		{ "v=spf1 ip4:192.0.2.0/24 ~ip6:2001:db8::/32 ip6:::1",
		    "+5  24/128;~6  32/32;+6  32/128;" },
		{ "v=spf1 include:_spf.x.test ptr ptr:y.test",
		    "+1 _spf.x.test 32/128;+4  32/128;+4 y.test 32/128;" },
		{ "v=spf1 exists:%{i}._spf.%{d2r.-}.test%%%_%-",
		    "+7 %{i}._spf.%{d2r.-}.test%%%_%-! 32/128;" },
		{ "v=spf1 redirect=x.test exp=e.%{d} odd=a:b empty=",
		    "=8 x.test 32/128;=9 e.%{d}! 32/128;=10  32/128;"
		    "=10  32/128;" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(read(rows[i].record), rows[i].want);
}

static void
bad_records(void **state)
{
	static const char *const rows[] = {
		"v=spf10 -all", "spf1 -all", "", "v=spf1 ipv4:192.0.2.1",
		"v=spf1 all:x.test", "v=spf1 include", "v=spf1 include:",
		"v=spf1 ip4:192.0.2.1/33", "v=spf1 ip4:192.0.2",
		"v=spf1 ip4:::1", "v=spf1 ip6:192.0.2.1", "v=spf1 ip4",
		"v=spf1 a/33", "v=spf1 a/", "v=spf1 a/08", "v=spf1 mx//129",
		"v=spf1 exists:%{z}.x.test", "v=spf1 exists:%x.test",
		"v=spf1 exists:x.test%", "v=spf1 exists:%{i.x.test",
		"v=spf1 a:nodots", "v=spf1 -", "v=spf1 =x", "v=spf1 1=x",
		"v=spf1 redirect=a.test redirect=b.test", "v=spf1 redirect=",
		"v=spf1 mx,-all", "v=spf1 +-all",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_memory_equal(read(rows[i]), "wrong: ", 7);
}

static void
too_many_terms(void **state)
{
	struct text t = TEXT_INIT(0);

	(void)state;
	text_str(&t, "v=spf1");
	for (int i = 0; i <= SPF_TERMS_MAX; i++)
		text_str(&t, " a");
	text_char(&t, '\0');
	assert_string_equal(read(t.p), "wrong: it has too many terms");
	text_free(&t);
}

static void
networks(void **state)
{
	static const struct {
		const char *address, *network;
		unsigned bits;
		bool want;
	} rows[] = {
		{ "192.0.2.7", "192.0.2.0", 24, true },
		{ "192.0.3.7", "192.0.2.0", 24, false },
		{ "192.0.3.7", "192.0.2.0", 23, true },
		{ "192.0.2.7", "192.0.2.6", 32, false },
		{ "192.0.2.7", "0.0.0.0", 0, true },
		{ "192.0.2.7", "::", 0, false },
		{ "2001:db8::7", "2001:db8::", 125, true },
		{ "2001:db8::8", "2001:db8::", 125, false },
	};
	struct ip_address a, n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(ip_parse(span_str(rows[i].address), &a), 1);
		assert_int_equal(ip_parse(span_str(rows[i].network), &n), 1);
		assert_int_equal(ip_in_network(&a, &n, rows[i].bits),
		    rows[i].want);
	}
}

static int
setup(void **state)
{
	(void)state;
	arena = arena_new(16 << 20);
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
		cmocka_unit_test(good_records),
		cmocka_unit_test(bad_records),
		cmocka_unit_test(too_many_terms),
		cmocka_unit_test(networks),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

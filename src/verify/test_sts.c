/* test_sts.c - MTA-STS records, policies and patterns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/text.h"
#include "verify/sts.h"

static void
records(void **state)
{
	static const struct { const char *one, *two; int rc; const char *id; }
	cases[] = {
		{ "v=STSv1; id=20160831085700Z;", "", 1, "20160831085700Z" },
		{ "v=STSv1;id=1", "", 1, "1" },
		{ "v=STSv1 ;\tid=1 ; ", "", 1, "1" },
		{ "v=STSv1; x-y.z_1=a:b; id=1", "", 1, "1" },
		{ "v=STSv1; id=1; id=2", "", 1, "1" },
		{ "v=spf1 -all", "v=STSv1; id=1", 1, "1" },
		{ "v=STSv2; id=1", "", 0, "" },
		{ "v=stsv1; id=1", "", 0, "" },
		{ "v=STSv1", "", 0, "" },
		{ "v=STSv10; id=1", "", 0, "" },
		{ "id=1; v=STSv1;", "", 0, "" },
		{ "", "", 0, "" },
		{ "v=STSv1; id=1", "v=STSv1; id=1", -1, "" },
		{ "v=STSv1;", "", -1, "" },
		{ "v=STSv1; id=", "", -1, "" },
		{ "v=STSv1; id=a-b", "", -1, "" },
		{ "v=STSv1; id=123456789012345678901234567890123", "", -1, "" },
		{ "v=STSv1; id=12345678901234567890123456789012", "", 1,
		    "12345678901234567890123456789012" },
		{ "v=STSv1; x; id=1", "", -1, "" },
		{ "v=STSv1; ; id=1", "", -1, "" },
		{ "v=STSv1; x=a=b; id=1", "", -1, "" },
		{ "v=STSv1; id=1;;", "", -1, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span txt[2] = { span_str(cases[i].one),
		    span_str(cases[i].two) }, id = SPAN_EMPTY;

		assert_int_equal(sts_record(txt, 2, &id), cases[i].rc);
		if (cases[i].rc == 1)
			assert_true(span_is(id, cases[i].id));
	}
}

static void
policies(void **state)
{
	static const struct {
		const char *file;
		int rc;
		enum sts_mode mode;
		int64_t max_age;
		size_t mx;
	} cases[] = {
		{ "version: STSv1\nmode: enforce\nmx: mx.a.example\n"
		    "mx: *.b.example\nmax_age: 604800\n", 1, STS_ENFORCE,
		    604800, 2 },
		{ "version: STSv1\r\nmode:testing\r\nmx:a\r\nmax_age:1", 1,
		    STS_TESTING, 1, 1 },
		{ "mode: none\nmax_age: 9999999999\nversion: STSv1 ", 1,
		    STS_NONE, STS_MAX_AGE, 0 },
		{ "version: STSv1\nmode: enforce\nmode: none\nmax_age: 5\n"
		    "max_age: x\nmx: a\nnew-key: \xc3\xa9\n\n", 1,
		    STS_ENFORCE, 5, 1 },
		{ "mode: enforce\nmx: a\nmax_age: 5\n", 0, 0, 0, 0 },
		{ "version: STSv2\nmode: enforce\nmx: a\nmax_age: 5\n", 0, 0,
		    0, 0 },
		{ "version: STSv1\nmode: enforce\nmax_age: 5\n", 0, 0, 0, 0 },
		{ "version: STSv1\nmode: testing\nmax_age: 5\n", 0, 0, 0, 0 },
		{ "version: STSv1\nmode: Enforce\nmx: a\nmax_age: 5\n", 0, 0,
		    0, 0 },
		{ "version: STSv1\nmode: enforce\nmx: a\n", 0, 0, 0, 0 },
		{ "version: STSv1\nmode: enforce\nmx: a\nmax_age: -5\n", 0, 0,
		    0, 0 },
		{ "version: STSv1\nmode: enforce\nmx: a\nmax_age: 12345678901"
		    "\n", 0, 0, 0, 0 },
		{ "version: STSv1\nmode: enforce\nmx: *\nmax_age: 5\n", 0, 0,
		    0, 0 },
		{ "version: STSv1\nmode: enforce\nmx: a.*.b\nmax_age: 5\n", 0,
		    0, 0, 0 },
		{ "version: STSv1\nmode: enforce\nmx: a..b\nmax_age: 5\n", 0,
		    0, 0, 0 },
		{ "<html>\n<body>\n", 0, 0, 0, 0 },
		{ "", 0, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *arena = arena_new(1 << 20);
		struct sts_policy p;

		assert_int_equal(sts_policy_parse(span_str(cases[i].file),
		    arena, &p), cases[i].rc);
		if (cases[i].rc == 1) {
			assert_int_equal(p.mode, cases[i].mode);
			assert_int_equal(p.max_age, cases[i].max_age);
			assert_int_equal(p.mx_count, cases[i].mx);
		}
		arena_free(&arena);
	}
}

/* As many patterns as are taken, and one more. */
static void
many(void **state)
{
	struct text file = TEXT_INIT(0);
	struct arena *arena = arena_new(1 << 20);
	struct sts_policy p;

	(void)state;
	text_str(&file, "version: STSv1\nmode: enforce\nmax_age: 5\n");
	for (int i = 0; i < STS_MX_MAX; i++)
		text_printf(&file, "mx: mx%d.example\n", i);
	assert_int_equal(sts_policy_parse(text_span(&file), arena, &p), 1);
	assert_int_equal(p.mx_count, STS_MX_MAX);
	assert_true(sts_allows(p.mx, p.mx_count, SPAN("mx999.example")));
	text_str(&file, "mx: x.example\n");
	assert_int_equal(sts_policy_parse(text_span(&file), arena, &p), 0);
	arena_free(&arena);
	text_free(&file);
}

static void
patterns(void **state)
{
	static const struct { const char *pattern, *host; bool yes; }
	cases[] = {
		{ "mx.example.org", "mx.example.org", true },
		{ "mx.example.org", "MX.Example.ORG", true },
		{ "mx.example.org", "mx.example.org.", true },
		{ "mx.example.org", "a.mx.example.org", false },
		{ "*.example.org", "mx.example.org", true },
		{ "*.example.org", "a.mx.example.org", false },
		{ "*.example.org", "example.org", false },
		{ "*.example.org", ".example.org", false },
		{ "*.example.org", "mxexample.org", false },
		{ "*.example.org", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span pattern = span_str(cases[i].pattern);

		assert_int_equal(sts_allows(&pattern, 1,
		    span_str(cases[i].host)), cases[i].yes);
	}
	assert_false(sts_allows(NULL, 0, SPAN("a")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),
		cmocka_unit_test(policies),
		cmocka_unit_test(many),
		cmocka_unit_test(patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

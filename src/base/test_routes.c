/* test_routes.c - route sections: read, handed on, matched. */
#include "base/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static struct text why = { .limit = 4096 };

static struct routes *
parse(const char *file)
{
	text_clear(&why);
	return routes_parse(span_str(file), &why);
}

static void
refuses(const char *file, const char *words)
{
	struct routes *r = parse(file);

	assert_null(r);
	if (span_find(text_span(&why), span_str(words), 0) == SIZE_MAX)
		fail_msg("%.*s", SPAN_ARG(text_span(&why)));
}

static const char example[] =
    "hostname = x; # others are passed over\n"
    "route {\n"
    "  bulk { sender = \"news@example.org\"; via = smtp:[192.0.2.9]:2525;\n"
    "    rate = 60; max_connections = 3; }\n"
    "  partners { recipient = \"example.net *.example.com\"; tls = verify }\n"
    "  null { sender = \"<>\"; via = \"smtp:[bounce.test]\"; login = ann;\n"
    "    password = \"s = c r\"; }\n"
    "  rules { recipient = \"/sales-[0-9]+@.*/ postmaster@ @only.test\" }\n"
    "}\n"
    "route.last.recipient = x@y.test\n";

static struct span
match(const struct routes *r, const char *sender, const char *recipient)
{
	const struct route *route = routes_match(r, span_str(sender),
	    span_str(recipient));

	return span_str(route == NULL ? "" : route->name);
}

static void
first_that_fits(void **state)
{
	static const struct {
		const char *sender, *recipient, *route;
	} rows[] = {
		{ "news@example.org", "a@example.net", "bulk" },
		{ "NEWS@Example.org", "a@b.test", "bulk" },
		{ "ann@example.org", "a@example.net", "partners" },
		{ "ann@example.org", "a@EXAMPLE.net", "partners" },
		{ "ann@example.org", "a@x.example.net", "" },
		{ "ann@example.org", "a@example.com", "" },
		{ "ann@example.org", "a@b.c.example.com", "partners" },
		{ "ann@example.org", "a@notexample.com", "" },
		{ "", "a@b.test", "null" },
		{ "", "a@example.net", "partners" },
		{ "ann@example.org", "sales-17@b.test", "rules" },
		{ "ann@example.org", "sales-17x@b.test", "" },
		{ "ann@example.org", "xsales-17@b.test", "" },
		{ "ann@example.org", "postmaster@b.test", "rules" },
		{ "ann@example.org", "a@only.test", "rules" },
		{ "ann@example.org", "x@y.test", "last" },
		{ "ann@example.org", "y@y.test", "" },
	};
	struct routes *r = parse(example);

	(void)state;
	assert_non_null(r);
	assert_int_equal(r->count, 5);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!span_is(match(r, rows[i].sender, rows[i].recipient),
		    rows[i].route))
			fail_msg("%s %s", rows[i].sender, rows[i].recipient);
	assert_int_equal(r->list[0]->rate, 60);
	assert_int_equal(r->list[0]->max_connections, 3);
	assert_string_equal(r->list[1]->tls, "verify");
	assert_ptr_equal(routes_find(r, SPAN("null")), r->list[2]);
	assert_null(routes_find(r, SPAN("nul")));
	assert_null(routes_match(NULL, SPAN("a@b"), SPAN("c@d")));
	routes_free(&r);
}

static void
comes_back(void **state)
{
	struct routes *r = parse(example), *again, *bare;
	struct text one = TEXT_INIT(0), two = TEXT_INIT(0);

	(void)state;
	assert_non_null(r);
	routes_encode(r, true, &one);
	again = routes_decode(text_span(&one), &why);
	assert_non_null(again);
	routes_encode(again, true, &two);
	assert_true(span_eq(text_span(&one), text_span(&two)));
	assert_string_equal(again->list[2]->password, "s = c r");
	text_clear(&two);
	routes_encode(r, false, &two);
	assert_true(span_find(text_span(&two), SPAN("s = c r"), 0) ==
	    SIZE_MAX);
	bare = routes_decode(text_span(&two), &why);
	assert_string_equal(bare->list[2]->password, "");
	assert_string_equal(bare->list[2]->login, "ann");
	assert_true(span_is(match(bare, "", "a@b.test"), "null"));
	assert_null(routes_decode(SPAN("a b"), &why));
	assert_null(routes_decode(SPAN("a b=c"), &why));
	assert_null(routes_decode(SPAN("a/b tls="), &why));
	routes_free(&r);
	routes_free(&again);
	routes_free(&bare);
	text_free(&one);
	text_free(&two);
}

static void
mistakes(void **state)
{
	(void)state;
	refuses("route { a { nothing = 1 } }", "line 1: a route has no");
	refuses("route { a { tls = maybe } }", "must be one of");
	refuses("route { a { port = 70000 } }", "between");
	refuses("route { a { recipient = \"/(/\" } }", "regular expression");
	refuses("route { a { via = \"ftp:x\" } }", "via must begin");
	refuses("route { a { via = \"smtp:\" } }", "via must begin");
	refuses("route { a.b { port = 1 } }", "a route has no");
	refuses("route.a = 1", "a route has no");
	refuses("route { a { port = 1; \n port = 2 } }", "line 2: port was");
	refuses("route { a { password = x; password_file = y } }",
	    "a password and");
	refuses("route {", "not closed");
}

/* It gives up, and so does not fit. */
static void
costly_expressions(void **state)
{
	char address[80];

	(void)state;
	memset(address, 'a', sizeof(address));
	assert_false(routes_pattern_matches(SPAN("/(a+)+(a+)+(a+)+b/"),
	    span_of(address, sizeof(address))));
	assert_true(routes_pattern_matches(SPAN("/A+/"),
	    span_of(address, sizeof(address))));
	assert_false(routes_pattern_matches(SPAN("/(/"), SPAN("(")));
	assert_false(routes_pattern_matches(SPAN_EMPTY, SPAN("a@b")));
	assert_true(routes_pattern_matches(SPAN("*"), SPAN_EMPTY));
	assert_true(routes_pattern_matches(SPAN("//"), SPAN("x@//")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_that_fits),
		cmocka_unit_test(comes_back),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(costly_expressions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

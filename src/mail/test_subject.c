/* test_subject.c - the base subject of RFC 5256. */
#include "mail/subject.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static void
test_rows(void **state)
{
	static const struct {
		const char *in, *want;
		bool reply;
	} rows[] = {
		{ "", "", false },
		{ "Hello", "Hello", false },
		{ "Re: Hello", "Hello", true },
		{ "RE:Hello", "Hello", true },
		{ "re  : Hello", "Hello", true },
		{ "Fw: Fwd: re: Hello", "Hello", true },
		{ "Re[2]: Hello", "Hello", true },
		{ "[list] Re: Hello", "Hello", true },
		{ "Re: [list] Hello", "Hello", true },
		{ "[list] Hello", "Hello", false },
		{ "[list]", "[list]", false },
		{ "[a] [b] Hello", "Hello", false },
		{ "[a] [b]", "[b]", false },
		{ "Hello (fwd)", "Hello", true },
		{ "Hello (FWD) (fwd)  ", "Hello", true },
		{ "[Fwd: Hello]", "Hello", true },
		{ "[fwd: Re: Hello (fwd)]", "Hello", true },
		{ "Re: ", "", true },
		{ "Regarding: x", "Regarding: x", false },
		{ "Hello  \t\r\n  world", "Hello world", false },
		{ "=?utf-8?q?Re:_caf=C3=A9?=", "caf\xc3\xa9", true },
		{ "[a[b] Re: x", "[a[b] Re: x", false },
		{ "[fwd:]", "", true },
	};
	struct text t = TEXT_INIT(0);
	bool reply;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		text_clear(&t);
		subject_base(span_str(rows[i].in), &t, &reply);
		if (!span_is(text_span(&t), rows[i].want))
			print_error("%s: %.*s\n", rows[i].in,
			    SPAN_ARG(text_span(&t)));
		assert_true(span_is(text_span(&t), rows[i].want));
		assert_int_equal(reply, rows[i].reply);
	}
	text_free(&t);
}

static void
test_long(void **state)
{
	struct text in = TEXT_INIT(0), out = TEXT_INIT(0);

	(void)state;
	while (in.n < 200000)
		text_str(&in, "[x] re: [");
	subject_base(text_span(&in), &out, NULL);
	assert_true(out.n < 10000);
	text_free(&in);
	text_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

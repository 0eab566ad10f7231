/* test_param.c - settings as rows: values and the file. */
#include "base/param.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

struct values {
	bool yes;
	uint64_t count, size;
	int64_t time;
	char name[9];
	char level[8];
};

static const struct param rows[] = {
	{ "yes", PARAM_BOOL, offsetof(struct values, yes), "no", 0, 1, "", "" },
	{ "count", PARAM_COUNT, offsetof(struct values, count), "1", 1, 1000,
	    "things", "" },
	{ "size", PARAM_SIZE, offsetof(struct values, size), "1K", 0,
	    UINT64_C(1) << 40, "", "" },
	{ "time", PARAM_TIME, offsetof(struct values, time), "1s", 0,
	    864000000, "", "" },
	{ "name", PARAM_TEXT, offsetof(struct values, name), "x", 1, 8, "",
	    "" },
	{ "level", PARAM_CHOICE, offsetof(struct values, level), "low", 3, 7,
	    "low|medium|highest", "" },
};

static struct values v;

/* Give row i this text: what it says back, "!" and the reason when refused. */
static const char *
try(size_t i, struct span s)
{
	static char said[512];
	struct text t = TEXT_INIT(500), why = TEXT_INIT(500);

	if (param_read(&rows[i], &v, s, &why) == 1)
		param_write(&rows[i], &v, &t);
	else
		text_printf(&t, "!%.*s", SPAN_ARG(text_span(&why)));
	memcpy(said, t.p, t.n);
	said[t.n] = '\0';
	text_free(&t);
	text_free(&why);
	return said;
}

static void
values_have_types(void **state)
{
	(void)state;
	assert_string_equal(try(0, SPAN("On")), "yes");
	assert_string_equal(try(0, SPAN("false")), "no");
	assert_string_equal(try(0, SPAN("maybe")), "!yes: must be yes or no");
	assert_string_equal(try(1, SPAN("1000")), "1000");
	assert_string_equal(try(1, SPAN("1001")),
	    "!count: the value must be between 1 and 1000");
	assert_string_equal(try(1, SPAN("0")),
	    "!count: the value must be between 1 and 1000");
	assert_string_equal(try(1, SPAN("5K")), "!count: not a number");
	assert_string_equal(try(1, SPAN("-5")), "!count: not a number");
	assert_string_equal(try(1, SPAN("")), "!count: not a number");
	assert_string_equal(try(2, SPAN("2048")), "2K");
	assert_string_equal(try(2, SPAN("50 m")), "50M");
	assert_string_equal(try(2, SPAN("1025")), "1025");
	assert_string_equal(try(2, SPAN("0")), "0");
	assert_string_equal(try(2, SPAN("18446744073709551615K")),
	    "!size: not a size (as 64K, 50M, 2G)");
	assert_string_equal(try(2, SPAN("2T")),
	    "!size: the value must be between 0 and 1T");
	assert_string_equal(try(3, SPAN("300s")), "5min");
	assert_string_equal(try(3, SPAN("90s")), "90s");
	assert_string_equal(try(3, SPAN("1500ms")), "1500ms");
	assert_string_equal(try(3, SPAN("0")), "0ms");
	assert_string_equal(try(3, SPAN("5")),
	    "!time: give the unit: ms, s, min, h or d");
	assert_string_equal(try(3, SPAN("11d")),
	    "!time: the value must be between 0ms and 10d");
	assert_string_equal(try(4, SPAN("12345678")), "12345678");
	assert_string_equal(try(4, SPAN("123456789")),
	    "!name: the length must be between 1 and 8");
	assert_string_equal(try(4, SPAN("a\nb")),
	    "!name: holds a control character");
	assert_string_equal(try(5, SPAN("highest")), "highest");
	assert_string_equal(try(5, SPAN("low|")),
	    "!level: must be one of low|medium|highest");
	assert_string_equal(try(5, SPAN("")),
	    "!level: must be one of low|medium|highest");
}

static bool
note(void *arg, struct span name, struct span value, unsigned line,
    struct text *why)
{
	struct text *t = arg;

	if (span_is(name, "refuse")) {
		text_str(why, "refused");
		return false;
	}
	text_printf(t, "%u:%.*s=%.*s|", line, SPAN_ARG(name), SPAN_ARG(value));
	return true;
}

static void
expect(struct span file, const char *said)
{
	struct text t = TEXT_INIT(0), why = TEXT_INIT(0);
	int done = param_parse(file, note, &t, &why);
	struct span got = done == 1 ? text_span(&t) : text_span(&why);

	if (!span_is(got, said))
		fail_msg("%.*s: got %.*s, not %s", SPAN_ARG(file),
		    SPAN_ARG(got), said);
	text_free(&t);
	text_free(&why);
}

static void
files_have_sections(void **state)
{
	(void)state;
	expect(SPAN(""), "");
	expect(SPAN(" # nothing\n/* at\nall */;\n"), "");
	expect(SPAN("a = 1;"), "1:a=1|");
	expect(SPAN("a 1"), "1:a=1|");
	expect(SPAN("a=1 # one\nb = x#y;\r\nc = z\r\n"),
	    "1:a=1|2:b=x#y|3:c=z|");
	expect(SPAN("s {\n a = 1; b = two words\n t { c = 3 }\n} d = 4"),
	    "2:s.a=1|2:s.b=two words|3:s.t.c=3|4:d=4|");
	expect(SPAN("s.a = \"x; } # \\\" \\\\\"; b = \"\""),
	    "1:s.a=x; } # \" \\|1:b=|");
	expect(SPAN("l = [::]:25 *:587 ;"), "1:l=[::]:25 *:587|");
}

static void
errors_name_their_line(void **state)
{
	(void)state;
	expect(SPAN("a = 1\nrefuse = 2"), "line 2: refused");
	expect(SPAN("\n}"), "line 2: \"}\" closes nothing");
	expect(SPAN("s {\n"), "line 2: a section is not closed");
	expect(SPAN("a = ;"), "line 1: a value is missing");
	expect(SPAN("a"), "line 1: \"=\" is expected behind a name");
	expect(SPAN("= 1"), "line 1: a name is expected here");
	expect(SPAN("a = \"x\ny\""), "line 1: a quote is not closed");
	expect(SPAN("a = \"x\" y"),
	    "line 1: something stands behind a value");
	expect(SPAN("/* x"), "line 1: a comment without its end");
	expect(SPAN("a{b{c{d{e{"), "line 1: sections are nested too deep");
	expect(SPAN("\0"), "line 1: a name is expected here");
}

static void
lengths_are_bounded(void **state)
{
	static char file[10000];
	size_t n;

	(void)state;
	memset(file, 'a', sizeof(file));
	expect(span_of(file, sizeof(file)), "line 1: a name is too long");
	memcpy(file, "a = ", 4);
	expect(span_of(file, sizeof(file)), "line 1: a value is too long");
	memcpy(file, "a = \"", 5);
	expect(span_of(file, sizeof(file)), "line 1: a value is too long");
	for (n = 0; n < sizeof(file); n += 20)
		memcpy(file + n, "aaaaaaaaaaaaaaaaaaa{", 20);
	expect(span_of(file, sizeof(file)),
	    "line 1: sections are nested too deep");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_have_types),
		cmocka_unit_test(files_have_sections),
		cmocka_unit_test(errors_name_their_line),
		cmocka_unit_test(lengths_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

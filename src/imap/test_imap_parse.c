/* test_imap_parse.c - the words of a command, whole, cut and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "imap/imap_parse.h"
#include "ipc/contract.h"

static struct arena *arena;

static struct imap_parser
parser(const char *text)
{
	arena_reset(arena);
	return imap_parser(span_str(text), arena);
}

static void
is(struct span got, const char *want)
{
	assert_int_equal(got.n, strlen(want));
	assert_memory_equal(got.p, want, got.n);
}

static void
astring_gives(const char *text, const char *want, const char *rest)
{
	struct imap_parser p = parser(text);
	struct span got;

	assert_true(imap_parse_astring(&p, &got));
	is(got, want);
	is(p.rest, rest);
}

static void
astring_fails(const char *text)
{
	struct imap_parser p = parser(text);
	struct span got;

	assert_false(imap_parse_astring(&p, &got));
	assert_non_null(p.hint);
}

static void
test_astring(void **state)
{
	(void)state;
	astring_gives("INBOX x", "INBOX", " x");
	astring_gives("a]b+c rest", "a]b+c", " rest");
	astring_gives("\"\"", "", "");
	astring_gives("\"a b\" c", "a b", " c");
	astring_gives("\"a\\\"b\\\\c\"", "a\"b\\c", "");
	astring_gives("{3}\r\nabc def", "abc", " def");
	astring_gives("{3+}\r\nabc", "abc", "");
	astring_gives("{0}\r\n", "", "");
	astring_gives("{5}\r\na\r\nb) x", "a\r\nb)", " x");
	astring_fails("");
	astring_fails("(");
	astring_fails("%");
	astring_fails("\"abc");
	astring_fails("\"a\\bc\"");
	astring_fails("\"a\r\n\"");
	astring_gives("\"\xc3\xa4\" x", "\xc3\xa4", " x");
	astring_fails("\"\xc3\"");
	astring_fails("\xc3\xa4");
	astring_fails("{4}\r\nabc");
	astring_fails("{4}abcd");
	astring_fails("{-1}\r\nx");
	astring_fails("{99999999999999999999}\r\nx");
	astring_fails("{3}x\r\nabc");
}

static void
test_nul(void **state)
{
	static const char bytes[] = "{3}\r\na\0b";
	struct imap_parser p = imap_parser(span_of(bytes, 8), arena);
	struct span got;

	(void)state;
	assert_false(imap_parse_astring(&p, &got));
	assert_string_equal(p.hint, "NUL byte in a literal");
	p = imap_parser(span_of(bytes, 8), arena);
	assert_false(imap_parse_string8(&p, &got));
}

static void
test_binary_literal(void **state)
{
	static const char bytes[] = "~{3}\r\na\0b \"x\"";
	struct imap_parser p = imap_parser(span_of(bytes,
	    sizeof(bytes) - 1), arena);
	struct span got;

	(void)state;
	assert_true(imap_parse_string8(&p, &got));
	assert_true(span_eq(got, span_of("a\0b", 3)));
	assert_true(imap_parse_space(&p) && imap_parse_string8(&p, &got));
	is(got, "x");
	assert_true(imap_parse_end(&p));
}

static void
test_nstring_and_pattern(void **state)
{
	struct imap_parser p = parser("nil \"NIL\" %a*]");
	struct span got;

	(void)state;
	assert_true(imap_parse_nstring(&p, &got));
	assert_null(got.p);
	assert_true(imap_parse_space(&p) && imap_parse_nstring(&p, &got));
	is(got, "NIL");
	assert_true(imap_parse_space(&p) && imap_parse_pattern(&p, &got));
	is(got, "%a*]");
	assert_true(imap_parse_end(&p));
}

static void
test_tag(void **state)
{
	struct imap_parser p = parser("a1.]x cmd");
	struct span got;

	(void)state;
	assert_true(imap_parse_tag(&p, &got));
	is(got, "a1.]x");
	p = parser("+a cmd");
	assert_false(imap_parse_tag(&p, &got));
	p = parser("");
	assert_false(imap_parse_tag(&p, &got));
}

static void
set_is(const char *text, size_t count, const struct imap_range *want)
{
	struct imap_parser p = parser(text);
	struct imap_set set;

	assert_true(imap_parse_set(&p, &set));
	assert_int_equal(set.count, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(set.ranges[i].first, want[i].first);
		assert_int_equal(set.ranges[i].last, want[i].last);
	}
}

static void
test_set(void **state)
{
	static const char *const wrong[] = { "", "0", "1:0", "a", ",1", "1,",
	    "1::2", "4294967296", "1,$", "1:", ":3" };
	struct imap_parser p;
	struct imap_set set;

	(void)state;
	set_is("1", 1, (struct imap_range[]){ { 1, 1 } });
	set_is("5:3,*,2:*,*:7,9,11,13", 7, (struct imap_range[]){ { 3, 5 },
	    { IMAP_RANGE_STAR, IMAP_RANGE_STAR }, { 2, IMAP_RANGE_STAR },
	    { 7, IMAP_RANGE_STAR }, { 9, 9 }, { 11, 11 }, { 13, 13 } });
	p = parser("$");
	assert_true(imap_parse_set(&p, &set));
	assert_true(set.saved);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		p = parser(wrong[i]);
		assert_false(imap_parse_set(&p, &set));
	}
}

static void
test_flags(void **state)
{
	struct imap_parser p = parser("(\\seen Work \\DELETED $Junk x)");
	struct imap_flags flags;

	(void)state;
	assert_true(imap_parse_flags(&p, &flags));
	assert_int_equal(flags.flags, FLAG_SEEN | FLAG_DELETED);
	assert_int_equal(flags.keyword_count, 3);
	is(flags.keywords, "Work $Junk x");
	p = parser("()");
	assert_true(imap_parse_flags(&p, &flags));
	assert_int_equal(flags.flags, 0);
	p = parser("\\Answered a");
	assert_true(imap_parse_flags(&p, &flags));
	is(flags.keywords, "a");
	p = parser("\\Answered a");
	assert_false(imap_parse_flag_list(&p, &flags));
	p = parser("(\\Recent)");
	assert_false(imap_parse_flags(&p, &flags));
	p = parser("(\\Nonsense)");
	assert_false(imap_parse_flags(&p, &flags));
	p = parser("(a  b)");
	assert_false(imap_parse_flags(&p, &flags));
}

static void
test_numbers(void **state)
{
	struct imap_parser p = parser("4294967295");
	uint32_t n;
	uint64_t big;

	(void)state;
	assert_true(imap_parse_u32(&p, &n));
	assert_int_equal(n, UINT32_MAX);
	p = parser("4294967296");
	assert_false(imap_parse_u32(&p, &n));
	p = parser("0");
	assert_false(imap_parse_nz_u32(&p, &n));
	p = parser("9223372036854775807");
	assert_true(imap_parse_u63(&p, &big));
	p = parser("9223372036854775808");
	assert_false(imap_parse_u63(&p, &big));
}

static void
test_dates(void **state)
{
	struct imap_parser p = parser("\"17-Jul-1996 02:44:25 -0700\"");
	int64_t seconds;
	int32_t day;

	(void)state;
	assert_true(imap_parse_date_time(&p, &seconds));
	assert_int_equal(seconds, 837596665);
	p = parser("\"32-Jul-1996 02:44:25 -0700\"");
	assert_false(imap_parse_date_time(&p, &seconds));
	p = parser("1-Jan-1970");
	assert_true(imap_parse_day(&p, &day));
	assert_int_equal(day, 0);
	p = parser("\"2-Jan-1970\"");
	assert_true(imap_parse_day(&p, &day));
	assert_int_equal(day, 1);
	p = parser("30-Feb-2020");
	assert_false(imap_parse_day(&p, &day));
}

static void
literal_is(const char *line, int status, uint64_t size, bool waits, size_t at)
{
	struct imap_literal literal = { 0 };

	assert_int_equal(imap_line_literal(span_str(line), &literal), status);
	if (status != 1)
		return;
	assert_int_equal(literal.size, size);
	assert_int_equal(literal.waits, waits);
	assert_int_equal(literal.at, at);
}

static void
test_literal(void **state)
{
	(void)state;
	literal_is("a LOGIN {3}\r\n", 1, 3, true, 8);
	literal_is("a LOGIN {3+}\r\n", 1, 3, false, 8);
	literal_is("{12}\n", 1, 12, true, 0);
	literal_is("a LOGIN {3}", 0, 0, false, 0);
	literal_is("a LOGIN {}\r\n", 0, 0, false, 0);
	literal_is("a LOGIN {+}\r\n", 0, 0, false, 0);
	literal_is("a LOGIN {x3}\r\n", 0, 0, false, 0);
	literal_is("a LOGIN 3}\r\n", 0, 0, false, 0);
	literal_is("}\r\n", 0, 0, false, 0);
	literal_is("\r\n", 0, 0, false, 0);
	literal_is("a ~{3}\r\n", 1, 3, true, 2);
	literal_is("~{3+}\r\n", 1, 3, false, 0);
	literal_is("a {9223372036854775807}\r\n", 1, INT64_MAX, true, 2);
	literal_is("a {9223372036854775808}\r\n", -1, 0, false, 0);
	literal_is("a {99999999999999999999999}\r\n", -1, 0, false, 0);
}

static void
name_is(const char *sent, const char *want)
{
	struct span name = SPAN_EMPTY;

	assert_int_equal(imap_name_decode(span_str(sent), arena, &name),
	    want != NULL);
	if (want == NULL)
		return;
	is(name, want);
}

static void
test_names(void **state)
{
	struct span back;

	(void)state;
	name_is("inbox", "INBOX");
	name_is("InBox/sub", "INBOX/sub");
	name_is("inboxes", "inboxes");
	name_is("Entw&APw-rfe", "Entw\xc3\xbcrfe");
	name_is("a&-b", "a&b");
	name_is("a&b", NULL);
	name_is("a/b/", "a/b");
	name_is("a//", NULL);
	name_is("/", NULL);
	name_is("a//b", NULL);
	name_is("/a", NULL);
	name_is("", NULL);
	name_is("a\tb", NULL);
	name_is("\xc3\xbc&", "\xc3\xbc&");
	name_is("\xc3", NULL);
	name_is("\xc2\x85", NULL);		/* C1 */
	name_is("&ICg-", NULL);		/* U+2028 */
	name_is("&AAA-", NULL);		/* NUL in UTF-7 */
	back = imap_name_encode(span_str("Entw\xc3\xbcrfe"), arena);
	is(back, "Entw&APw-rfe");
}

static int
setup(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
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
		cmocka_unit_test(test_astring),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_binary_literal),
		cmocka_unit_test(test_nstring_and_pattern),
		cmocka_unit_test(test_tag),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_literal),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

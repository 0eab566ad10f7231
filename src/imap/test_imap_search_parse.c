/* test_imap_search_parse.c - the arguments of SEARCH as a tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "imap/imap_search_parse.h"

static struct arena *arena;

static const char *const names[] = {
	[IMAP_SEARCH_AND] = "and", [IMAP_SEARCH_OR] = "or",
	[IMAP_SEARCH_NOT] = "not", [IMAP_SEARCH_ALL] = "all",
	[IMAP_SEARCH_FLAGS] = "flags", [IMAP_SEARCH_KEYWORD] = "keyword",
	[IMAP_SEARCH_SEQUENCE] = "sequence", [IMAP_SEARCH_UID] = "uid",
	[IMAP_SEARCH_BEFORE] = "before", [IMAP_SEARCH_LARGER] = "larger",
	[IMAP_SEARCH_OLDER] = "older", [IMAP_SEARCH_MODSEQ] = "modseq",
	[IMAP_SEARCH_HEADER] = "header", [IMAP_SEARCH_BODY] = "body",
	[IMAP_SEARCH_TEXT] = "text", [IMAP_SEARCH_EMAILID] = "emailid",
	[IMAP_SEARCH_SAVED_SINCE] = "savedsince",
	[IMAP_SEARCH_FILTER] = "filter",
};

/* The tree in words: "and(not(flags:8) header:From:x)". */
static void
show(struct text *out, const struct imap_search_key *key)
{
	for (bool first = true; key != NULL; key = key->next, first = false) {
		if (!first)
			text_char(out, ' ');
		text_str(out, names[key->kind]);
		if (key->flags != 0)
			text_printf(out, ":%d", (int)key->flags);
		if (key->number != 0)
			text_printf(out, ":%d", (int)key->number);
		if (key->day != 0)
			text_printf(out, ":%d", (int)key->day);
		for (size_t i = 0; i < key->set.count; i++)
			text_printf(out, ":%u-%u", key->set.ranges[i].first,
			    key->set.ranges[i].last);
		if (key->name.n > 0)
			text_printf(out, ":%.*s", SPAN_ARG(key->name));
		if (key->text.p != NULL)
			text_printf(out, ":%.*s", SPAN_ARG(key->text));
		if (key->list == NULL)
			continue;
		text_char(out, '(');
		show(out, key->list);
		text_char(out, ')');
	}
}

static struct imap_search_command
tree_is(const char *command, const char *want)
{
	struct imap_search_command c;
	struct text got = TEXT_INIT(0);
	struct imap_parser p;

	arena_reset(arena);
	p = imap_parser(span_str(command), arena);
	if (!imap_parse_search(&p, &c))
		fail_msg("%s: %s", command, p.hint);
	show(&got, c.root);
	text_char(&got, '\0');
	assert_string_equal(got.p, want);
	text_free(&got);
	return c;
}

static void
test_trees(void **state)
{
	(void)state;
	tree_is(" ALL\r\n", "and(all)");
	tree_is(" unseen 1:3,* from {3}\r\na b\r\n",
	    "and(not(flags:1) sequence:1-3:4294967295-4294967295 "
	    "header:From:a b)");
	tree_is(" OR (SEEN DRAFT) NOT UID 5", "and(or(and(flags:1 flags:16) "
	    "not(uid:5-5)))");
	tree_is(" NEW", "and(and(flags:32 not(flags:1)))");
	tree_is(" OLD KEYWORD Work UNKEYWORD x",
	    "and(not(flags:32) keyword:Work not(keyword:x))");
	tree_is(" BEFORE 3-Jan-1970 LARGER 10 OLDER 60",
	    "and(before:2 larger:10 older:60)");
	tree_is(" HEADER \"Message-ID\" \"\" BODY x TEXT y",
	    "and(header:Message-ID: body:x text:y)");
	tree_is(" EMAILID M1 SAVEDSINCE \"2-Jan-1970\"",
	    "and(emailid:M1 savedsince:1)");
}

static void
test_options(void **state)
{
	struct imap_search_command c;

	(void)state;
	c = tree_is(" RETURN (MIN COUNT) CHARSET UTF-8 ALL", "and(all)");
	assert_int_equal(c.returns, IMAP_RETURN_MIN | IMAP_RETURN_COUNT);
	assert_true(span_is(c.charset, "UTF-8"));
	c = tree_is(" RETURN () ALL", "and(all)");
	assert_int_equal(c.returns, IMAP_RETURN_ALL);
	assert_int_equal(c.charset.n, 0);
	assert_false(c.has_modseq);
	c = tree_is(" MODSEQ \"/flags/\\\\draft\" all 620162338",
	    "and(modseq:620162338)");
	assert_true(c.has_modseq);
	assert_int_equal(c.returns, 0);
	tree_is(" MODSEQ 7", "and(modseq:7)");
}

static void
refused(const char *command)
{
	struct imap_search_command c;
	struct imap_parser p;

	arena_reset(arena);
	p = imap_parser(span_str(command), arena);
	if (imap_parse_search(&p, &c))
		fail_msg("taken: %s", command);
	assert_non_null(p.hint);
}

static void
test_wrong(void **state)
{
	static const char *const wrong[] = { "", " ", " NOSUCH", " NOT",
	    " OR ALL", " (ALL", " ALL)", " ()", " ALL  ALL", " FROM",
	    " BEFORE today", " UID 0", " $,1", " LARGER x", " OLDER 0",
	    " RETURN (NOSUCH) ALL", " RETURN MIN ALL", " CHARSET UTF-8",
	    " RETURN (PARTIAL 0:1) ALL", " RETURN (PARTIAL 1:-2) ALL",
	    " RETURN (PARTIAL -1:2) ALL", " RETURN (PARTIAL) ALL",
	    " RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL",
	    " RETURN (ALL PARTIAL 1:2) ALL", " RETURN (RELEVANCY) ALL",
	    " FUZZY", " FILTER a/b", " FILTER \"a\"",
	    " MODSEQ \"/flags/x\" 5", " ALL x" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		refused(wrong[i]);
}

static bool
command(bool (*parse)(struct imap_parser *, struct imap_search_command *),
    const char *text, struct imap_search_command *c)
{
	struct imap_parser p;

	arena_reset(arena);
	p = imap_parser(span_str(text), arena);
	return parse(&p, c);
}

static void
test_returns(void **state)
{
	struct imap_search_command c;

	(void)state;
	c = tree_is(" RETURN (SAVE) $", "and(sequence)");
	assert_int_equal(c.returns, IMAP_RETURN_SAVE);
	assert_true(c.root->list->set.saved);
	c = tree_is(" RETURN (PARTIAL 100:1 MIN) ALL", "and(all)");
	assert_int_equal(c.returns, IMAP_RETURN_PARTIAL | IMAP_RETURN_MIN);
	assert_int_equal(c.partial.first, 1);
	assert_int_equal(c.partial.last, 100);
	assert_false(c.partial.back);
	c = tree_is(" RETURN (PARTIAL -1:-50) ALL", "and(all)");
	assert_true(c.partial.back);
	assert_int_equal(c.partial.last, 50);
	c = tree_is(" RETURN (CONTEXT) ALL", "and(all)");
	assert_int_equal(c.returns, IMAP_RETURN_ALL | IMAP_RETURN_CONTEXT);
	c = tree_is(" RETURN (UPDATE) ALL", "and(all)");
	assert_int_equal(c.returns, IMAP_RETURN_UPDATE);
	c = tree_is(" RETURN (RELEVANCY) FUZZY (BODY x NOT TEXT y) SEEN",
	    "and(and(and(body:x not(text:y))) flags:1)");
	assert_true(c.has_fuzzy);
	assert_true(c.root->list->list->list->fuzzy);
	assert_false(c.root->list->next->fuzzy);
	tree_is(" FILTER mine", "and(filter:mine)");
}

static void
test_sort(void **state)
{
	static const char *const wrong[] = { " (SUBJECT) UTF-8", " () UTF-8 ALL",
	    " (DATE)", " DATE UTF-8 ALL", " (REVERSE) UTF-8 ALL",
	    " (REVERSE REVERSE DATE) UTF-8 ALL", " (NOSUCH) UTF-8 ALL",
	    " (RELEVANCY) UTF-8 ALL", " (DATE)UTF-8 ALL",
	    (" (DATE DATE DATE DATE DATE DATE DATE DATE DATE DATE DATE DATE "
	    "DATE DATE DATE DATE DATE) UTF-8 ALL") };
	struct imap_search_command c;

	(void)state;
	assert_true(command(imap_parse_sort,
	    " RETURN (MIN) (SUBJECT REVERSE DATE displayfrom) UTF-8 SEEN", &c));
	assert_int_equal(c.returns, IMAP_RETURN_MIN);
	assert_int_equal(c.sort_count, 3);
	assert_int_equal(c.sort[0].field, IMAP_SORT_SUBJECT);
	assert_false(c.sort[0].reverse);
	assert_int_equal(c.sort[1].field, IMAP_SORT_DATE);
	assert_true(c.sort[1].reverse);
	assert_int_equal(c.sort[2].field, IMAP_SORT_DISPLAY_FROM);
	assert_true(span_is(c.charset, "UTF-8"));
	assert_true(command(imap_parse_sort,
	    " (REVERSE RELEVANCY) \"UTF-8\" FUZZY TEXT a", &c));
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (command(imap_parse_sort, wrong[i], &c))
			fail_msg("taken: %s", wrong[i]);
}

static void
test_thread(void **state)
{
	static const char *const wrong[] = { " REFERENCES", " REFERENCES UTF-8",
	    " NOSUCH UTF-8 ALL", " REFS UTF-8 ALL x",
	    " RETURN (ALL) REFS UTF-8 ALL" };
	struct imap_search_command c;

	(void)state;
	assert_true(command(imap_parse_thread, " refs US-ASCII ALL", &c));
	assert_int_equal(c.thread, IMAP_THREAD_REFS);
	assert_true(command(imap_parse_thread,
	    " ORDEREDSUBJECT UTF-8 SINCE 1-Jan-2020", &c));
	assert_int_equal(c.thread, IMAP_THREAD_ORDERED_SUBJECT);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (command(imap_parse_thread, wrong[i], &c))
			fail_msg("taken: %s", wrong[i]);
}

static void
test_esearch(void **state)
{
	static const char *const wrong[] = { " IN () ALL", " IN selected ALL",
	    " IN (selected-delayed) ALL", " IN (mailboxes) ALL",
	    " IN (subtree ()) ALL", " IN (personal (recursive)) ALL",
	    " IN (selected)", " IN (selected) RETURN (NOSUCH) ALL" };
	struct imap_search_command c;

	(void)state;
	assert_true(command(imap_parse_esearch, " IN (selected subtree-one a "
	    "mailboxes (b \"c d\") inboxes) RETURN (COUNT) CHARSET UTF-8 "
	    "SEEN", &c));
	assert_int_equal(c.returns, IMAP_RETURN_COUNT);
	assert_int_equal(c.sources->kind, IMAP_SOURCE_SELECTED);
	assert_int_equal(c.sources->next->kind, IMAP_SOURCE_SUBTREE_ONE);
	assert_true(span_is(c.sources->next->name, "a"));
	assert_true(span_is(c.sources->next->next->next->name, "c d"));
	assert_int_equal(c.sources->next->next->next->next->kind,
	    IMAP_SOURCE_INBOXES);
	assert_true(command(imap_parse_esearch, " SEEN", &c));
	assert_null(c.sources);
	assert_int_equal(c.returns, IMAP_RETURN_ALL);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (command(imap_parse_esearch, wrong[i], &c))
			fail_msg("taken: %s", wrong[i]);
}

/* Neither depth nor number is the client's to choose. */
static void
test_bounds(void **state)
{
	struct text deep = TEXT_INIT(0), many = TEXT_INIT(0);

	(void)state;
	for (int i = 0; i < 100000; i++)
		text_str(&deep, " NOT");
	text_str(&deep, " ALL");
	text_char(&deep, '\0');
	refused(deep.p);
	text_clear(&deep);
	text_char(&deep, ' ');
	for (int i = 0; i < 10000; i++)
		text_char(&deep, '(');
	text_char(&deep, '\0');
	refused(deep.p);
	text_clear(&deep);
	for (int i = 0; i < 10000; i++)
		text_str(&deep, " FUZZY OR ALL");
	text_char(&deep, '\0');
	refused(deep.p);
	for (int i = 0; i < IMAP_SEARCH_KEYS_MAX; i++)
		text_str(&many, " ALL");
	text_char(&many, '\0');
	refused(many.p);
	text_free(&deep);
	text_free(&many);
}

static int
setup(void **state)
{
	(void)state;
	arena = arena_new(4 << 20);
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
		cmocka_unit_test(test_trees),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_returns),
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_thread),
		cmocka_unit_test(test_esearch),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

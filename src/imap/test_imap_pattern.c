/* test_imap_pattern.c - wildcards, and the tree of names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "imap/imap_pattern.h"
#include "ipc/wire.h"

static bool
matches(const char *pattern, const char *name)
{
	return imap_pattern_matches(span_str(pattern), span_str(name));
}

static void
test_patterns(void **state)
{
	(void)state;
	assert_true(matches("*", "a/b/c"));
	assert_true(matches("*", "INBOX"));
	assert_true(matches("%", "a"));
	assert_false(matches("%", "a/b"));
	assert_true(matches("%/%", "a/b"));
	assert_false(matches("%/%", "a/b/c"));
	assert_true(matches("a/%", "a/b"));
	assert_false(matches("a/%", "a"));
	assert_true(matches("a*", "a"));
	assert_true(matches("a*c", "a/b/c"));
	assert_false(matches("a%c", "a/b/c"));
	assert_true(matches("*b", "a/ab"));
	assert_true(matches("%b*d", "abc/d"));
	assert_true(matches("%%%", "abc"));
	assert_true(matches("", ""));
	assert_false(matches("", "a"));
	assert_false(matches("A", "a"));
	assert_true(matches("inbox", "INBOX"));
	assert_true(matches("iNb%", "INBOX"));
	assert_true(matches("inbox/*", "INBOX/x"));
	assert_false(matches("inbox/X", "INBOX/x"));
	assert_false(matches("inboxes", "INBOXES"));
}

/* The definition itself, slow and plain. */
static bool
plainly(const char *p, const char *n)
{
	if (*p == '\0')
		return *n == '\0';
	if (*p == '*' || *p == '%')
		return plainly(p + 1, n) || (*n != '\0' &&
		    (*p == '*' || *n != '/') && plainly(p, n + 1));
	return *p == *n && plainly(p + 1, n + 1);
}

/* Every pattern and name of a small alphabet. */
static void
test_against_definition(void **state)
{
	static const char letters[] = "ab/*%";
	char p[6], n[6];

	(void)state;
	for (unsigned i = 0; i < 5 * 5 * 5 * 5; i++)
		for (unsigned j = 0; j < 3 * 3 * 3 * 3 * 3; j++) {
			unsigned x = i, y = j;

			for (int k = 0; k < 4; k++, x /= 5)
				p[k] = letters[x % 5];
			p[4] = '\0';
			for (int k = 0; k < 5; k++, y /= 3)
				n[k] = letters[y % 3];
			n[5] = '\0';
			assert_int_equal(matches(p, n), plainly(p, n));
		}
}

/* No pattern takes more than the product of the lengths. */
static void
test_no_explosion(void **state)
{
	char pattern[IMAP_PATTERN_MAX], name[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i % 2 == 0 ? '*' : 'a';
	memset(name, 'a', sizeof(name));
	assert_false(imap_pattern_matches(span_of(pattern, sizeof(pattern)),
	    span_of(name, sizeof(name))));
}

static void
put(struct text *rows, const char *name, uint64_t id, bool subscribed)
{
	mailbox_row_put(rows, &(struct mailbox_row){ .mailbox = id,
	    .name = span_str(name), .subscribed = subscribed });
}

static void
test_tree(void **state)
{
	static const char *const want[] = { "A", "A/B", "A/B/C", "A-1",
	    "INBOX", "X", "X/\xc3\xbc" };
	struct arena *arena = arena_new(1 << 20);
	struct text rows = TEXT_INIT(0);
	struct imap_names names;

	(void)state;
	put(&rows, "A-1", 1, false);
	put(&rows, "A/B/C", 2, false);
	put(&rows, "INBOX", 3, true);
	put(&rows, "X/\xc3\xbc", 0, true);	/* subscribed to only */
	assert_int_equal(imap_names_read(text_span(&rows), arena, &names), 1);
	assert_int_equal(names.count, ARRAY_LEN(want));
	for (size_t i = 0; i < names.count; i++)
		assert_true(span_is(names.names[i].name, want[i]));
	assert_int_equal(names.names[0].mailbox, 0);
	assert_true(names.names[0].mailbox_below);
	assert_true(names.names[1].mailbox_below);
	assert_int_equal(names.names[1].parent, 0);
	assert_int_equal(names.names[2].parent, 1);
	assert_false(names.names[2].mailbox_below);
	assert_false(names.names[3].mailbox_below);
	assert_false(names.names[5].mailbox_below);
	assert_true(names.names[5].subscribed_below);
	assert_true(span_is(names.names[6].sent, "X/&APw-"));
	assert_int_equal(imap_names_read(span_sub(text_span(&rows), 0, 9),
	    arena, &names), 0);
	text_free(&rows);
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_against_definition),
		cmocka_unit_test(test_no_explosion),
		cmocka_unit_test(test_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

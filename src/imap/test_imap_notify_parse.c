/*
 * test_imap_notify_parse.c - the arguments of NOTIFY, GETMETADATA,
 * SETMETADATA and SETQUOTA.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/text.h"
#include "imap/imap_metadata_parse.h"
#include "imap/imap_notify_parse.h"
#include "imap/imap_quota_parse.h"

static struct arena *arena;

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

/* ---- NOTIFY -------------------------------------------------------------- */

static bool
notify(const char *text, struct imap_notify_wish *w)
{
	struct imap_parser in = imap_parser(span_str(text), arena);

	return imap_parse_notify(&in, w);
}

static void
notify_good(void **state)
{
	struct imap_notify_wish w;

	(void)state;
	assert_true(notify(" NONE\r\n", &w));
	assert_true(w.none);
	assert_true(notify(" set status (personal (MailboxName)) (Subtree "
	    "(a \"b c\") (messagenew MessageExpunge FlagChange))\r\n", &w));
	assert_false(w.none);
	assert_true(w.status);
	assert_int_equal(w.count, 2);
	assert_int_equal(w.groups[0].filter, NOTIFY_PERSONAL);
	assert_int_equal(w.groups[0].events, NOTIFY_MAILBOX_NAME);
	assert_int_equal(w.groups[1].filter, NOTIFY_SUBTREE);
	assert_int_equal(w.groups[1].count, 2);
	assert_true(span_is(w.groups[1].names[1], "b c"));
	assert_int_equal(w.groups[1].events, NOTIFY_MESSAGE_NEW |
	    NOTIFY_MESSAGE_EXPUNGE | NOTIFY_FLAG_CHANGE);
	assert_true(notify(" SET (mailboxes INBOX NONE)\r\n", &w));
	assert_int_equal(w.groups[0].events, 0);
	assert_true(notify(" SET (selected (MessageNew (UID BODY.PEEK["
	    "HEADER.FIELDS (\"To)\" {2}\r\n)x)] FLAGS) MessageExpunge))\r\n",
	    &w));
	assert_true(span_is(w.groups[0].fetch, "(UID BODY.PEEK["
	    "HEADER.FIELDS (\"To)\" {2}\r\n)x)] FLAGS)"));
	assert_true(notify(" SET (inboxes (Sunrise))\r\n", &w));
	assert_true(w.unknown);
}

static void
notify_bad(void **state)
{
	static const char *const bad[] = {
		"\r\n", " \r\n", " SET\r\n", " SET \r\n", " NONE x\r\n",
		" SET STATUS\r\n", " SET STATE (personal NONE)\r\n",
		" SET (personal)\r\n", " SET (personal NOTHING)\r\n",
		" SET (personal ())\r\n", " SET (personal (MessageNew))\r\n",
		" SET (personal (MessageExpunge))\r\n",
		" SET (personal (FlagChange))\r\n",
		" SET (personal (MailboxName)\r\n",
		" SET (personal (MailboxName)) \r\n",
		" SET (personal (MailboxName))(inboxes NONE)\r\n",
		" SET (mailboxes (MailboxName))\r\n",
		" SET (mailboxes () (MailboxName))\r\n",
		" SET (others (MailboxName))\r\n",
		" SET (selected (MailboxName))\r\n",
		" SET (selected NONE) (selected NONE)\r\n",
		" SET (selected NONE) (selected-delayed NONE)\r\n",
		" SET (personal (MessageNew (UID) MessageExpunge))\r\n",
		" SET (selected (MessageNew (UID MessageExpunge))\r\n",
		" SET (selected (MessageNew (\"UID MessageExpunge)))\r\n",
	};
	struct imap_notify_wish w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (notify(bad[i], &w))
			fail_msg("taken: %s", bad[i]);
}

static void
notify_limits(void **state)
{
	struct text t = TEXT_INIT(0);
	struct imap_notify_wish w;

	(void)state;
	text_str(&t, " SET");
	for (size_t i = 0; i < NOTIFY_GROUPS_MAX; i++)
		text_str(&t, " (personal NONE)");
	text_char(&t, '\0');
	assert_true(notify(t.p, &w));
	t.n--;
	text_str(&t, " (personal NONE)");
	text_char(&t, '\0');
	assert_false(notify(t.p, &w));
	text_clear(&t);
	text_str(&t, " SET (mailboxes (");
	for (size_t i = 0; i < NOTIFY_NAMES_MAX; i++)
		text_str(&t, "a ");
	text_char(&t, '\0');
	t.n--;
	text_str(&t, "a) NONE)");
	text_char(&t, '\0');
	assert_false(notify(t.p, &w));
	text_free(&t);
}

/* ---- metadata ------------------------------------------------------------- */

static bool
get(const char *text, struct imap_metadata *m)
{
	struct imap_parser in = imap_parser(span_str(text), arena);

	return imap_parse_getmetadata(&in, m);
}

static bool
set(const char *text, struct imap_metadata *m)
{
	struct imap_parser in = imap_parser(span_str(text), arena);

	return imap_parse_setmetadata(&in, m);
}

static void
metadata_good(void **state)
{
	struct imap_metadata m;

	(void)state;
	assert_true(get(" \"\" /shared/comment\r\n", &m));
	assert_int_equal(m.mailbox.n, 0);
	assert_true(m.max_size == UINT64_MAX);
	assert_int_equal(m.depth, 0);
	assert_true(get(" (MAXSIZE 10 DEPTH infinity) INBOX (/a \"/b c\")\r\n",
	    &m));
	assert_true(span_is(m.mailbox, "INBOX"));
	assert_int_equal(m.max_size, 10);
	assert_int_equal(m.depth, UINT32_MAX);
	assert_int_equal(m.count, 2);
	assert_true(span_is(imap_metadata_names(&m, arena), "/a\n/b c\n"));
	assert_true(get(" INBOX (DEPTH 1) /a\r\n", &m));
	assert_int_equal(m.depth, 1);
	assert_true(set(" INBOX (/a NIL /b \"\" /c {1}\r\nx)\r\n", &m));
	assert_int_equal(m.count, 3);
	assert_null(m.entries[0].value.p);
	assert_non_null(m.entries[1].value.p);
	assert_int_equal(m.entries[1].value.n, 0);
	assert_true(span_is(m.entries[2].value, "x"));
}

static void
metadata_bad(void **state)
{
	static const char *const gets[] = {
		"\r\n", " INBOX\r\n", " INBOX \r\n", " INBOX ()\r\n",
		" INBOX comment\r\n", " INBOX (/a\r\n", " INBOX (/a  /b)\r\n",
		" (DEPTH 2) INBOX /a\r\n", " (DEPTH) INBOX /a\r\n",
		" (MAXSIZE x) INBOX /a\r\n", " () INBOX /a\r\n",
		" INBOX /a /b\r\n", " INBOX \"/a\x7f\"\r\n",
	};
	static const char *const sets[] = {
		" INBOX /a \"x\"\r\n", " INBOX ()\r\n", " INBOX (/a)\r\n",
		" INBOX (/a x)\r\n", " INBOX (/a \"x\" /b)\r\n",
		" INBOX (/a \"x\"\r\n",
	};
	struct imap_metadata m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(gets); i++)
		if (get(gets[i], &m))
			fail_msg("taken: %s", gets[i]);
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		if (set(sets[i], &m))
			fail_msg("taken: %s", sets[i]);
}

/* ---- quota ------------------------------------------------------------------ */

static bool
quota(const char *text, struct imap_quota_limits *l)
{
	struct imap_parser in = imap_parser(span_str(text), arena);

	return imap_parse_setquota(&in, l);
}

static void
quota_lists(void **state)
{
	struct imap_quota_limits l;

	(void)state;
	assert_true(quota(" ()\r\n", &l));
	assert_true(l.max[IMAP_QUOTA_STORAGE] == UINT64_MAX - 1);
	assert_true(quota(" (storage 10 MESSAGE 0)\r\n", &l));
	assert_int_equal(l.max[IMAP_QUOTA_STORAGE], 10240);
	assert_int_equal(l.max[IMAP_QUOTA_MESSAGE], 0);
	assert_true(l.max[IMAP_QUOTA_MAILBOX] == UINT64_MAX - 1);
	assert_true(quota(" (ANNOTATION-STORAGE 9223372036854775807)\r\n",
	    &l));
	assert_true(l.max[IMAP_QUOTA_ANNOTATION] <= INT64_MAX);
	assert_false(l.unknown);
	assert_true(quota(" (RAINBOWS 1)\r\n", &l));
	assert_true(l.unknown);
	assert_false(quota(" (STORAGE)\r\n", &l));
	assert_false(quota(" (STORAGE x)\r\n", &l));
	assert_false(quota(" (STORAGE 1\r\n", &l));
	assert_false(quota(" STORAGE 1\r\n", &l));
	assert_false(quota("\r\n", &l));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(notify_good, setup, teardown),
		cmocka_unit_test_setup_teardown(notify_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(notify_limits, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(metadata_good, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(metadata_bad, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(quota_lists, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

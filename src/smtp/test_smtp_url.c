/* test_smtp_url.c - IMAP URLs of one message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "smtp/smtp_url.h"

static struct arena *arena;
static struct smtp_url url;

static int
parse(const char *s)
{
	return smtp_url_parse(span_str(s), arena, &url);
}

static void
test_urls(void **state)
{
	(void)state;
	assert_int_equal(parse("imap://ann%40example.org@mail.example.org/"
	    "Entw%C3%BCrfe/a%20b;UIDVALIDITY=785799047/;UID=113330"), 1);
	assert_true(span_is(url.user, "ann@example.org"));
	assert_true(span_is(url.host, "mail.example.org"));
	assert_true(span_is(url.mailbox, "Entw\xc3\xbcrfe/a b"));
	assert_int_equal(url.uidvalidity, 785799047);
	assert_int_equal(url.uid, 113330);
	assert_false(url.has_part || url.has_auth);
	assert_int_equal(parse("IMAP://ann;AUTH=*@[2001:db8::1]:143/"
	    "INBOX/;uid=1/;section=1.2;urlauth=anonymous:internal:0f"), 1);
	assert_true(span_is(url.user, "ann"));
	assert_true(url.has_part && url.has_auth);
	assert_int_equal(url.uidvalidity, 0);
	assert_int_equal(parse("imap://h/m/;UID=5;EXPIRE=2030-01-01T00:00:00Z;"
	    "URLAUTH=x"), 1);
	assert_int_equal(url.user.n, 0);
	assert_true(url.has_auth);
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {
		"", "imap:", "imap://", "imap:///m/;UID=1", "imap://h",
		"imap://h/", "imap://h/m", "imap://h/m;UID=1",
		"imap://h/;UID=1", "imap://h/m/;UID=", "imap://h/m/;UID=x",
		"imap://h/m/;UID=0", "imap://h/m/;UID=4294967296",
		"imap://h/m;UIDVALIDITY=/;UID=1", "imap://h/m;X=1/;UID=1",
		"imap://h/m/;UID=1;X=2", "imap://h/m%/;UID=1",
		"imap://h/m%2/;UID=1", "imap://h/m%zz/;UID=1",
		"imap://h/m%00/;UID=1", "imap://h/m%ff/;UID=1",
		"imap://a@b@h/m/;UID=1", "imaps://h/m/;UID=1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse(bad[i]), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_refused),
	};
	int failed;

	arena = arena_new(1 << 20);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(&arena);
	return failed;
}

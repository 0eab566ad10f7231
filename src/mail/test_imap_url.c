/* test_imap_url.c - IMAP URLs of one message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mail/imap_url.h"

static struct arena *arena;
static struct imap_url url;

static int
parse(const char *s)
{
	return imap_url_parse(span_str(s), arena, &url);
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
	assert_true(url.has_server && !url.is_partial && url.section.n == 0);
	assert_int_equal(url.access, IMAP_URL_PLAIN);
	assert_int_equal(parse("IMAP://ann;AUTH=*@[2001:db8::1]:143/"
	    "INBOX/;uid=1/;section=HEADER.FIELDS%20(To)/;partial=7.30"), 1);
	assert_true(span_is(url.user, "ann"));
	assert_true(span_is(url.section, "HEADER.FIELDS (To)"));
	assert_int_equal(url.uidvalidity, 0);
	assert_true(url.is_partial && url.at == 7 && url.count == 30);
	assert_int_equal(parse("imap://h/m/;UID=5;SECTION=1/;PARTIAL=9"), 1);
	assert_true(url.at == 9 && url.count == UINT64_MAX);
}

static void
test_relative(void **state)
{
	(void)state;
	assert_int_equal(parse("/Drafts;UIDVALIDITY=3/;UID=20/;section=1"), 1);
	assert_false(url.has_server);
	assert_true(span_is(url.mailbox, "Drafts"));
	assert_int_equal(parse("Drafts/Old/;UID=20"), 1);
	assert_true(span_is(url.mailbox, "Drafts/Old"));
	assert_int_equal(parse("/;UID=20"), 1);
	assert_int_equal(url.mailbox.n, 0);
	assert_int_equal(parse(";UID=20/;SECTION=TEXT"), 1);
	assert_int_equal(url.mailbox.n, 0);
}

#define TOKEN "0123456789abcdef0123456789ABCDEF"

static void
test_authorised(void **state)
{
	static const char rump[] = "imap://joe@h/m/;UID=5/;section=1.2;"
	    "expire=2030-01-01T00:00:00Z;urlauth=submit+fr%65d";

	(void)state;
	assert_int_equal(parse(rump), 1);
	assert_int_equal(url.access, IMAP_URL_SUBMIT);
	assert_true(span_is(url.access_user, "fred"));
	assert_true(span_is(url.rump, rump) && url.token.p == NULL);
	assert_true(span_is(url.section, "1.2"));
	assert_int_equal(url.expires, 1893456000);
	assert_int_equal(parse("imap://j@h/m/;UID=5;URLAUTH=anonymous:"
	    "internal:" TOKEN), 1);
	assert_true(span_is(url.rump, "imap://j@h/m/;UID=5;URLAUTH=anonymous"));
	assert_true(span_is(url.mechanism, "internal"));
	assert_true(span_is(url.token, TOKEN));
	assert_int_equal(url.access, IMAP_URL_ANONYMOUS);
	assert_true(url.expires == INT64_MAX);
	assert_int_equal(parse("imap://j@h/m/;UID=5;URLAUTH=authuser"), 1);
	assert_int_equal(parse("imap://j@h/m/;UID=5;URLAUTH=user+a@b"), 1);
	assert_int_equal(url.access, IMAP_URL_USER);
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
		"imap://h/m/;UID=1/;UID=2", "imap://h/m/;SECTION=1/;UID=2",
		"imap://h/m/;UID=1/;SECTION=", "imap://h/m/;UID=1/;PARTIAL=",
		"imap://h/m/;UID=1/;PARTIAL=1.0",
		"imap://h/m/;UID=1/;PARTIAL=1.x",
		"imap://h/m/;UID=1/;PARTIAL=9999999999",
		"imap://h/m/;UID=1;URLAUTH=", "imap://h/m/;UID=1;URLAUTH=x",
		"imap://h/m/;UID=1;URLAUTH=submit+",
		"imap://h/m/;UID=1;URLAUTH=anonymousx",
		"imap://h/m/;UID=1;URLAUTH=anonymous:INTERNAL",
		"imap://h/m/;UID=1;URLAUTH=anonymous:INTERNAL:0f",
		("imap://h/m/;UID=1;URLAUTH=anonymous:INTERNAL:g" TOKEN),
		"imap://h/m/;UID=1;EXPIRE=2030-01-01T00:00:00Z",
		"imap://h/m/;UID=1;EXPIRE=now;URLAUTH=anonymous",
		"/m", "m", "/m;UID=1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (parse(bad[i]) != 0)
			fail_msg("%s", bad[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_relative),
		cmocka_unit_test(test_authorised),
		cmocka_unit_test(test_refused),
	};
	int failed;

	arena = arena_new(1 << 20);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(&arena);
	return failed;
}

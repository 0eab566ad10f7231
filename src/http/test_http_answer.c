/* test_http_answer.c - answers on every split, good and bad; URLs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "http/http_answer.h"

#define OK "HTTP/1.1 200 OK\r\n"

static const struct row {
	const char *bytes;
	unsigned status;		/* 0: bad */
	const char *type, *body;
	bool until_end;			/* the end is what ends it */
} rows[] = {
	{ OK "Content-Length: 3\r\n\r\nabc", 200, "", "abc", false },
	{ OK "content-TYPE: Text/Plain; charset=x\r\nContent-Length: 0\r\n"
	    "\r\n", 200, "text/plain", "", false },
	{ OK "\r\nabc\r\n", 200, "", "abc\r\n", true },
	{ "HTTP/1.0 404\r\nContent-Length:2\r\n\r\nno", 404, "", "no", false },
	{ "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 1\r\n\r\nx",
	    200, "", "x", false },
	{ "HTTP/1.1 204 \r\nX: y\r\n\r\n", 204, "", "", false },
	{ OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n"
	    "0123456789\r\n0\r\nTrailer: x\r\n\r\n", 200, "",
	    "abc0123456789", false },
	{ OK "Content-Length: 2\nContent-Length: 2\n\nab", 200, "", "ab",
	    false },
	/* Bad ones. */
	{ OK "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 0, "", "",
	    false },
	{ OK "Content-Length: -1\r\n\r\n", 0, "", "", false },
	{ OK "Content-Length: 3\r\n\r\nab", 0, "", "", true },
	{ OK "Content-Length: 1001\r\n\r\n", 0, "", "", false },
	{ OK "Transfer-Encoding: gzip\r\n\r\n", 0, "", "", false },
	{ OK "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 0, "",
	    "", false },
	{ OK "Transfer-Encoding: chunked\r\n\r\nx\r\n", 0, "", "", false },
	{ OK "Transfer-Encoding: chunked\r\n\r\n100000000\r\n", 0, "", "",
	    false },
	{ OK "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 0, "", "",
	    false },
	{ OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 0, "", "",
	    true },
	{ OK "no field\r\n\r\n", 0, "", "", false },
	{ OK "a : b\r\n\r\n", 0, "", "", false },
	{ OK "a: b\r\n folded: c\r\n\r\n", 0, "", "", false },
	{ "HTTP/2 200\r\n\r\n", 0, "", "", false },
	{ "HTTP/1.1 20 OK\r\n\r\n", 0, "", "", false },
	{ "HTTP/1.1 200OK\r\n\r\n", 0, "", "", false },
	{ "<html>\r\n", 0, "", "", false },
	{ "", 0, "", "", true },
};

static enum http_state
feed(struct http_answer *a, struct span all, size_t cut, bool by_one)
{
	enum http_state state = http_answer_feed(a, span_sub(all, 0, cut));

	for (size_t i = cut; by_one && i < all.n && state == HTTP_MORE; i++)
		state = http_answer_feed(a, span_sub(all, i, 1));
	if (!by_one && state == HTTP_MORE)
		state = http_answer_feed(a, span_from(all, cut));
	return state;
}

static void
check(const struct row *row, size_t cut, bool by_one)
{
	struct http_answer a;
	enum http_state state;

	http_answer_begin(&a, 1000);
	state = feed(&a, span_str(row->bytes), cut, by_one);
	assert_int_equal(row->until_end, state == HTTP_MORE);
	if (state == HTTP_MORE)
		state = http_answer_end(&a);
	if (row->status == 0) {
		assert_int_equal(state, HTTP_BAD);
		assert_true(a.why[0] != '\0');
	} else {
		assert_int_equal(state, HTTP_DONE);
		assert_int_equal(a.status, row->status);
		assert_string_equal(a.type, row->type);
		assert_true(span_is(text_span(&a.body), row->body));
	}
	http_answer_free(&a);
}

static void
answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t cut = 0; cut <= strlen(rows[i].bytes); cut++) {
			check(&rows[i], cut, false);
			check(&rows[i], cut, true);
		}
}

/* Whatever the server goes on saying, it is bounded. */
static void
endless(void **state)
{
	static const char *const starts[] = { "", OK, OK "\r\n",
	    OK "Transfer-Encoding: chunked\r\n\r\n",
	    OK "Transfer-Encoding: chunked\r\n\r\n0\r\n" };
	static const char *const more[] = { "x", "x: y\r\n", "1\r\nx\r\n",
	    "HTTP/1.1 100 C\r\n\r\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		for (size_t j = 0; j < ARRAY_LEN(more); j++) {
			struct http_answer a;
			enum http_state s = HTTP_MORE;
			size_t fed = 0;

			http_answer_begin(&a, 1000);
			http_answer_feed(&a, span_str(starts[i]));
			for (; s == HTTP_MORE && fed < 200000; fed += 1)
				s = http_answer_feed(&a, span_str(more[j]));
			assert_int_not_equal(s, HTTP_MORE);
			assert_true(a.body.n <= 1000);
			assert_true(a.head <= HTTP_HEAD_MAX + 100);
			http_answer_free(&a);
		}
}

static void
urls(void **state)
{
	static const struct {
		const char *url, *host;
		unsigned port;
		const char *path;
	} cases[] = {
		{ "https://a.example/x?y", "a.example", 443, "/x?y" },
		{ "HTTPS://a.example:8443", "a.example", 8443, "/" },
		{ "https://[2001:db8::1]:1/", "[2001:db8::1]", 1, "/" },
		{ "https://[2001:db8::1]/", "[2001:db8::1]", 443, "/" },
		{ "http://a/", NULL, 0, NULL },
		{ "https://", NULL, 0, NULL },
		{ "https://user@a/", NULL, 0, NULL },
		{ "https://a/#f", NULL, 0, NULL },
		{ "https://a b/", NULL, 0, NULL },
		{ "https://a?x", NULL, 0, NULL },
		{ "https://a:0/", NULL, 0, NULL },
		{ "https://a:65536/", NULL, 0, NULL },
		{ "https://a/\r\nX: y", NULL, 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_url url;
		int rc = http_url_parse(span_str(cases[i].url), &url);

		assert_int_equal(rc, cases[i].host != NULL);
		if (rc != 1)
			continue;
		assert_true(span_is(url.host, cases[i].host));
		assert_int_equal(url.port, cases[i].port);
		assert_true(span_is(url.path, cases[i].path));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(endless),
		cmocka_unit_test(urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

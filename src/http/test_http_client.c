/* test_http_client.c - what is asked, and answers however they come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "http/http_client.h"

#include <sys/socket.h>

static const struct http_request get = { .method = "GET",
    .host = { "a.example:8443", 14 }, .path = { "/x?y", 4 } };

/* 1, and the answer; -1, and why. */
static int
ask(const struct http_request *request, const char *bytes, size_t piece,
    struct http_answer *answer, struct text *asked)
{
	struct stream *s = stream_memory(span_str(bytes), piece);
	int rc;

	http_answer_begin(answer, 100);
	rc = http_ask(s, request, clock_after(1000), answer);
	stream_flush(s);
	text_clear(asked);
	text_add(asked, stream_memory_output(s));
	stream_free(&s);
	return rc;
}

static void
questions(void **state)
{
	struct http_request post = { .method = "POST",
	    .host = SPAN("a.example"), .path = SPAN("/"),
	    .type = SPAN("application/x"), .body = SPAN("a\0b") };
	struct text asked = TEXT_INIT(0);
	struct http_answer answer;

	(void)state;
	assert_int_equal(ask(&get, "HTTP/1.1 200 OK\r\n\r\nx", 0, &answer,
	    &asked), 1);
	assert_true(span_starts(text_span(&asked), SPAN("GET /x?y HTTP/1.1"
	    "\r\nHost: a.example:8443\r\n")));
	assert_true(span_ends(text_span(&asked), SPAN("\r\nConnection: close"
	    "\r\n\r\n")));
	http_answer_free(&answer);
	assert_int_equal(ask(&post, "HTTP/1.1 204 Fine\r\n\r\n", 0, &answer,
	    &asked), 1);
	assert_int_equal(answer.status, 204);
	assert_true(span_starts(text_span(&asked), SPAN("POST / HTTP/1.1\r\n"
	    )));
	assert_true(span_ends(text_span(&asked), SPAN("\r\nContent-Type: "
	    "application/x\r\nContent-Length: 3\r\n\r\na\0b")));
	http_answer_free(&answer);
	text_free(&asked);
}

static void
answers(void **state)
{
	static const struct { const char *bytes; int rc; const char *body; }
	rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", 1,
		    "abc" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 1, "abc" },
		{ "HTTP/1.1 200 OK\r\n\r\nabc", 1, "abc" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", -1, "" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", -1, "" },
		{ "HTTP/1.1 200 OK\r\nContent-Len", -1, "" },
		{ "220 mx ESMTP\r\n", -1, "" },
		{ "", -1, "" },
	};
	struct text asked = TEXT_INIT(0);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t piece = 0; piece <= strlen(rows[i].bytes);
		    piece++) {
			struct http_answer a;

			assert_int_equal(ask(&get, rows[i].bytes, piece, &a,
			    &asked), rows[i].rc);
			if (rows[i].rc == 1)
				assert_true(span_is(text_span(&a.body),
				    rows[i].body));
			else
				assert_true(a.why[0] != '\0');
			http_answer_free(&a);
		}
	text_free(&asked);
}

static struct tls_client *
no_tls(void)
{
	return NULL;
}

/* Nobody listens on port 1 of the loopback; and nowhere is no address. */
static void
nobody(void **state)
{
	struct ip_address here = { .family = AF_INET, .b = { 127, 0, 0, 1 } };
	struct tls_peer peer = { .name = "a.example" };
	struct http_failure failure = { .why = TEXT_INIT(200) };

	(void)state;
	assert_null(http_connect(&here, 1, 1, no_tls, &peer,
	    clock_after(5000), &failure));
	assert_false(failure.in_tls);
	assert_true(span_starts(text_span(&failure.why),
	    SPAN("127.0.0.1: ")));
	assert_null(http_connect(&here, 0, 1, no_tls, &peer,
	    clock_after(5000), &failure));
	assert_true(span_is(text_span(&failure.why), "no address"));
	text_free(&failure.why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions),
		cmocka_unit_test(answers),
		cmocka_unit_test(nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

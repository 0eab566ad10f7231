/*
 * fuzz_http_answer.c - what a web server answers, and URLs.
 *
 * Fed whole and in pieces it is the same answer, and never more than was
 * asked for.
 */
#include <stdlib.h>

#include "http/http_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { BODY_MAX = 4096 };

static enum http_state
feed(struct http_answer *a, struct span all, size_t piece)
{
	enum http_state state = HTTP_MORE;

	http_answer_begin(a, BODY_MAX);
	while (all.n > 0 && state == HTTP_MORE) {
		state = http_answer_feed(a, span_sub(all, 0, piece));
		all = span_from(all, piece);
	}
	return state == HTTP_MORE ? http_answer_end(a) : state;
}

static void
check_url(struct span s)
{
	struct http_url url;

	if (http_url_parse(s, &url) != 1)
		return;
	must(url.host.n > 0 && url.port > 0);
	must(url.path.n > 0 && url.path.p[0] == '/');
	for (size_t i = 0; i < url.path.n; i++)
		must(url.path.p[i] > 0x20 && url.path.p[i] < 0x7f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span all = span_of(data, n);
	struct http_answer whole, parts;
	enum http_state state = feed(&whole, all, n + 1);

	must(state != HTTP_MORE);
	must(feed(&parts, all, 1 + n % 7) == state);
	must(whole.body.n <= BODY_MAX);
	if (state == HTTP_DONE) {
		must(whole.status >= 200 && whole.status <= 999);
		must(parts.status == whole.status);
		must(span_eq(text_span(&whole.body), text_span(&parts.body)));
	} else {
		must(whole.why[0] != '\0');
	}
	http_answer_free(&whole);
	http_answer_free(&parts);
	check_url(all);
	return 0;
}

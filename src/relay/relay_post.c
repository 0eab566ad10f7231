/*
 * relay_post.c - POST of a TLS report (RFC 8460 5.4).
 */
#include "relay/relay_post.h"
#include "base/arena.h"
#include "mail/header.h"
#include "relay/relay_web.h"

enum {
	POST_TIME = 60000,		/* ms for everything */
	ANSWER_MAX = 64 << 10,		/* nobody reads it */
	WORK_MAX = 1 << 20,
};

/* What the server's answer means: 5xx and the like may be over soon. */
static enum relay_outcome
outcome_of(unsigned status, struct text *reason)
{
	if (status / 100 == 2)
		return RELAY_SENT;
	if (status / 100 == 5 || status == 408 || status == 425 ||
	    status == 429) {
		text_str(reason, "4.3.0 the web server cannot take it now");
		return RELAY_DEFERRED;
	}
	text_str(reason, "5.3.0 the web server does not take it");
	return RELAY_FAILED;
}

static enum relay_outcome
post(const struct http_url *url, const struct http_request *request,
    struct arena *arena, struct text *reason, struct text *answer)
{
	struct tls_peer peer = { .name = arena_cstr(arena, url->host),
	    .check = TLS_CHECK_NONE };
	struct http_failure failure = { .why = TEXT_INIT(500) };
	monotime_t deadline = clock_after(POST_TIME);
	enum relay_outcome outcome = RELAY_DEFERRED;
	struct http_answer said;
	struct stream *s;

	http_answer_begin(&said, ANSWER_MAX);
	s = relay_web_open(url->host, url->port, &peer, deadline, arena,
	    &failure);
	if (s == NULL) {
		text_str(reason, "4.4.1 ");
		text_add(reason, text_span(&failure.why));
	} else if (http_ask(s, request, deadline, &said) == 1) {
		text_printf(answer, "%u", said.status);
		outcome = outcome_of(said.status, reason);
	} else {
		text_printf(reason, "4.4.2 %s", said.why);
	}
	stream_free(&s);
	http_answer_free(&said);
	text_free(&failure.why);
	return outcome;
}

enum relay_outcome
relay_post(struct span url, struct span message, struct text *reason,
    struct text *answer)
{
	struct arena *arena = arena_new(WORK_MAX);
	struct header_field type = { .value = SPAN_EMPTY };
	enum relay_outcome outcome = RELAY_FAILED;
	struct http_request request = { .method = "POST" };
	struct http_url to;

	header_find(message, "Content-Type", &type);
	request.type = type.value;
	request.body = span_from(message, header_end(message));
	if (http_url_parse(url, &to) == 1 && to.host.p[0] != '[') {
		request.path = to.path;
		request.host = to.port == 443 ? to.host :
		    arena_printf(arena, "%.*s:%u", SPAN_ARG(to.host),
		    to.port);
		outcome = post(&to, &request, arena, reason, answer);
	} else {
		text_str(reason, "5.1.3 not a URL that can be posted to");
	}
	arena_free(&arena);
	return outcome;
}

/*
 * relay_token.c - questions about access tokens.
 *
 * One fiber takes them from the store, and one for each question asks and
 * reports; what is not reported the store asks again. The token is in the
 * body of the question alone, and wiped.
 */
#include "relay/relay_token.h"
#include "base/log.h"
#include "base/secret.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "ipc/wire.h"
#include "mail/encode.h"
#include "relay/relay.h"
#include "relay/relay_web.h"

#include <stdlib.h>

enum {
	ASKERS_MAX = 64,
	ANSWER_MAX = 64 << 10,
	WORK_MAX = 1 << 20,
	LOOK_TIME = 1000,		/* ms, where a note was lost */
};

static struct {
	struct text secret;
	struct timer look;
	size_t askers;
	bool taking, more, stopping;
} here = { .secret = { .limit = 1024 } };

struct asker {
	uint64_t id;
	struct text body;		/* holds the token */
};

void
relay_take_token_secret(struct span secret)
{
	text_wipe(&here.secret);
	here.secret = TEXT_INIT(1024);
	text_add(&here.secret, secret);
}

/* -- one question ----------------------------------------------------------- */

static void
add_escaped(struct text *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || strchr("-._~", c) != NULL)
			text_char(out, (char)c);
		else
			text_printf(out, "%%%02X", c);
	}
}

/* RFC 6749 2.3.1: both are escaped before they are joined. */
static void
add_authorization(struct text *out)
{
	const char *id = relay_settings()->oauth_client_id;
	struct text pair = TEXT_INIT(8192);

	if (*id != '\0') {
		text_str(out, "Basic ");
		add_escaped(&pair, span_str(id));
		text_char(&pair, ':');
		add_escaped(&pair, text_span(&here.secret));
		base64_add(out, text_span(&pair));
	} else if (here.secret.n > 0) {
		text_str(out, "Bearer ");
		text_add(out, text_span(&here.secret));
	}
	text_wipe(&pair);
}

/* The status, 0 when there was no answer. */
static unsigned
post(const struct http_url *url, struct span body, struct arena *arena,
    struct http_answer *said, struct text *why)
{
	struct tls_peer peer = { .name = arena_cstr(arena, url->host),
	    .check = TLS_CHECK_NAME };
	struct http_failure failure = { .why = TEXT_INIT(500) };
	struct text authorization = TEXT_INIT(8192);
	monotime_t deadline = clock_after(relay_settings()->oauth_timeout);
	struct http_request request = { .method = "POST", .path = url->path,
		.type = SPAN("application/x-www-form-urlencoded"),
		.accept = SPAN("application/json"), .body = body };
	unsigned status = 0;
	struct stream *s;

	request.host = url->port == 443 ? url->host :
	    arena_printf(arena, "%.*s:%u", SPAN_ARG(url->host), url->port);
	add_authorization(&authorization);
	request.authorization = text_span(&authorization);
	s = relay_web_open_any(url->host, url->port, &peer, deadline, arena,
	    &failure);
	if (s == NULL)
		text_add(why, text_span(&failure.why));
	else if (http_ask(s, &request, deadline, said) == 1)
		status = said->status;
	else
		text_str(why, said->why);
	stream_free(&s);
	text_wipe(&authorization);
	text_free(&failure.why);
	return status;
}

static void
report(uint64_t id, unsigned status, struct span answer, struct arena *arena)
{
	struct token_report_request request = { .id = id, .status = status,
		.answer = BLOB_OF(answer) };
	struct token_report_reply reply;

	if (call_token_report(relay_store(), arena, &request, &reply) != 1)
		log_event(LOG_LEVEL_WARNING, "relay.token_unreported");
}

static void
ask(void *arg)
{
	struct asker *a = arg;
	struct arena *arena = arena_new(WORK_MAX);
	struct text why = TEXT_INIT(500);
	struct http_answer said;
	struct http_url url;
	unsigned status = 0;

	http_answer_begin(&said, ANSWER_MAX);
	if (http_url_parse(span_str(relay_settings()->oauth_introspection),
	    &url) == 1)
		status = post(&url, text_span(&a->body), arena, &said, &why);
	else
		text_str(&why, "oauth.introspection is no https URL");
	if (status != 200)
		log_event(LOG_LEVEL_WARNING, "relay.token_server",
		    log_int("status", status),
		    log_text("error", text_span(&why)));
	report(a->id, status, status == 200 ? text_span(&said.body)
	    : SPAN_EMPTY, arena);
	http_answer_free(&said);
	text_free(&why);
	arena_free(&arena);
	text_wipe(&a->body);
	free(a);
	here.askers--;
	relay_token_ask();
}

/* -- taking them ------------------------------------------------------------ */

static void
begin(const struct token_question *q)
{
	struct asker *a = xcalloc(1, sizeof(*a));

	a->id = q->id;
	a->body = TEXT_INIT(64 << 10);
	text_str(&a->body, "token_type_hint=access_token&token=");
	add_escaped(&a->body, q->token);
	here.askers++;
	if (fiber_start(ask, a) == 1)
		return;
	here.askers--;
	text_wipe(&a->body);
	free(a);
}

static size_t
take_some(struct arena *arena)
{
	struct token_lease_request request = { 0 };
	struct token_lease_reply reply;
	struct token_question q;
	struct cursor rows;
	size_t count = 0;

	if (call_token_lease(relay_store(), arena, &request, &reply) != 1)
		return 0;
	rows = (struct cursor){ .rest = reply.questions.bytes };
	while (reply.result == RESULT_OK &&
	    token_question_get(&rows, &q) == 1) {
		begin(&q);
		count++;
	}
	blob_release(&reply.questions);
	return count;
}

static void
take(void *arg)
{
	struct arena *arena = arena_new(WORK_MAX);

	(void)arg;
	do {
		here.more = false;
		while (here.askers < ASKERS_MAX && take_some(arena) > 0)
			arena_reset(arena);
	} while (here.more && here.askers < ASKERS_MAX);
	arena_free(&arena);
	here.taking = false;
}

void
relay_token_ask(void)
{
	if (here.stopping || !link_up(relay_store()) ||
	    *relay_settings()->oauth_introspection == '\0')
		return;
	here.more = true;
	if (here.taking)
		return;
	here.taking = true;		/* it may end before we go on */
	if (fiber_start(take, NULL) != 1)
		here.taking = false;
}

static void
on_look(struct timer *t)
{
	relay_token_ask();
	timer_set(t, clock_after(LOOK_TIME));
}

void
relay_token_start(void)
{
	here.look.fn = on_look;
	on_look(&here.look);
}

void
relay_token_stop(void)
{
	here.stopping = true;
	timer_clear(&here.look);
}

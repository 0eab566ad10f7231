/*
 * smtp_client.c - a connection to another mail server, but for the mail.
 *
 * The greeting, EHLO and STARTTLS (RFC 5321 3.1 and 4.1.1.1, RFC 3207, RFC
 * 2033). What a server offers before TLS is forgotten when TLS begins.
 */
#include "smtp/smtp_client.h"

#include <stdlib.h>

#include "smtp/smtp_client_impl.h"

/* RFC 5321 4.5.3.2. */
const struct smtp_client_times smtp_client_standard_times = {
	.greeting = 300000, .hello = 300000, .starttls = 120000,
	.command = 300000, .data_start = 120000, .data_block = 180000,
	.data_end = 600000, .quit = 5000,
};

/* -- from beginning to end ---- */

struct smtp_client *
smtp_client_new(struct stream *stream, bool lmtp, const char *hostname,
    const struct smtp_client_times *times)
{
	struct smtp_client *c = xcalloc(1, sizeof(*c));

	c->stream = stream;
	c->lmtp = lmtp;
	c->hostname = xstrdup(hostname);
	c->times = *times;
	c->answers = arena_new(CLIENT_ANSWER_MEMORY);
	c->offered = arena_new(CLIENT_ANSWER_MEMORY);
	c->why = TEXT_INIT(1024);
	stream_set_write_timeout(stream, times->command);
	return c;
}

void
smtp_client_free(struct smtp_client **p)
{
	struct smtp_client *c = *p;

	if (c == NULL)
		return;
	*p = NULL;
	stream_free(&c->stream);
	arena_free(&c->answers);
	arena_free(&c->offered);
	text_free(&c->why);
	free(c->hostname);
	free(c);
}

const struct smtp_offers *
smtp_client_offers(const struct smtp_client *c)
{
	return &c->offers;
}

struct stream *
smtp_client_stream(struct smtp_client *c)
{
	return c->stream;
}

struct span
smtp_client_why(const struct smtp_client *c)
{
	return text_span(&c->why);
}

bool
smtp_client_idle_ok(struct smtp_client *c)
{
	return stream_input(c->stream).n == 0 && stream_park(c->stream);
}

/* -- answers ---- */

void
smtp_client_begin(struct smtp_client *c)
{
	arena_reset(c->answers);
	text_clear(&c->why);
}

int
smtp_client_lost(struct smtp_client *c, const char *where, bool closed)
{
	int error = errno;

	text_clear(&c->why);
	text_printf(&c->why, "%s: ", where);
	if (closed)
		text_str(&c->why, "the server closed the connection");
	else if (error == ETIMEDOUT)
		text_str(&c->why, "no answer in time");
	else
		text_printf(&c->why, "the connection was lost (%s)",
		    strerror(error));
	return -1;
}

int
smtp_client_confused(struct smtp_client *c, const char *where,
    const struct smtp_answer *answer)
{
	text_clear(&c->why);
	text_printf(&c->why, "%s: the server makes no sense", where);
	if (answer != NULL) {
		text_str(&c->why, ": ");
		smtp_answer_text(answer, &c->why);
	}
	return -1;
}

int
smtp_client_left(struct smtp_client *c, const char *where,
    const struct smtp_answer *answer)
{
	text_clear(&c->why);
	text_printf(&c->why, "%s: ", where);
	smtp_answer_text(answer, &c->why);
	return -1;
}

/* As stream_fill(); when it fails, what was said before is not lost. */
static int
fill(struct smtp_client *c, monotime_t deadline)
{
	size_t before = stream_input(c->stream).n;
	int status = stream_fill(c->stream, deadline), error = errno;

	if (status == -1 && stream_error(c->stream) != 0 &&
	    stream_salvage(c->stream) && stream_input(c->stream).n > before)
		return 1;
	errno = error;
	return status;
}

/* RFC 5321 3.8: whatever was asked, 421 says that the server is leaving. */
int
smtp_client_answer(struct smtp_client *c, const char *where, int64_t ms,
    struct arena *arena, struct smtp_answer *out)
{
	monotime_t deadline = clock_after(ms);
	size_t used;
	int status;

	*out = (struct smtp_answer){ 0 };
	while ((status = smtp_answer_parse(stream_input(c->stream), arena,
	    out, &used)) == 0) {
		status = fill(c, deadline);
		if (status != 1)
			return smtp_client_lost(c, where, status == 0);
	}
	if (status == -1)
		return smtp_client_confused(c, where, NULL);
	stream_take(c->stream, used);
	return out->code == 421 ? smtp_client_left(c, where, out) : 1;
}

/* One command, one answer: 1 it is 2xx, 0 not, -1. */
static int
ask(struct smtp_client *c, const char *command, int64_t ms,
    struct smtp_answer *answer)
{
	if (smtp_client_answer(c, command, ms, c->answers, answer) == -1)
		return -1;
	return answer->code / 100 == 2;
}

/* -- greetings ---- */

static int
hello(struct smtp_client *c, const char *verb, struct smtp_answer *answer)
{
	struct smtp_answer kept;

	stream_printf(c->stream, "%s %s\r\n", verb, c->hostname);
	arena_reset(c->offered);
	c->offers = (struct smtp_offers){ 0 };
	/* Offers point into the answer: that lives as long as they do. */
	if (smtp_client_answer(c, verb, c->times.hello, c->offered,
	    &kept) == -1) {
		*answer = kept;
		return -1;
	}
	*answer = kept;
	if (kept.code / 100 != 2)
		return 0;
	if (strcmp(verb, "HELO") != 0)
		smtp_offers_parse(&kept, c->offered, &c->offers);
	return 1;
}

/* RFC 5321 3.2: a server that does not know EHLO is greeted with HELO. */
static int
introduce(struct smtp_client *c, struct smtp_answer *answer)
{
	int status = hello(c, c->lmtp ? "LHLO" : "EHLO", answer);

	if (status != 0 || c->lmtp || answer->code / 100 != 5)
		return status;
	return hello(c, "HELO", answer);
}

int
smtp_client_greet(struct smtp_client *c, struct smtp_answer *answer)
{
	int status;

	smtp_client_begin(c);
	status = ask(c, "greeting", c->times.greeting, answer);
	return status == 1 ? introduce(c, answer) : status;
}

int
smtp_client_starttls(struct smtp_client *c, struct tls_client *tls,
    const struct tls_peer *peer, struct smtp_answer *answer)
{
	int status;

	smtp_client_begin(c);
	stream_str(c->stream, "STARTTLS\r\n");
	status = ask(c, "STARTTLS", c->times.starttls, answer);
	if (status != 1)
		return status;
	if (stream_start_tls_client(c->stream, tls, peer,
	    clock_after(c->times.starttls)) != 1) {
		text_printf(&c->why, "TLS: %.*s",
		    SPAN_ARG(stream_tls_info(c->stream)));
		return -1;
	}
	/* A no to EHLO now is not one to STARTTLS. */
	status = introduce(c, answer);
	return status == 0 ? smtp_client_left(c, "EHLO", answer) : status;
}

/* -- small things ---- */

int
smtp_client_rset(struct smtp_client *c, struct smtp_answer *answer)
{
	smtp_client_begin(c);
	c->reset_due = false;
	stream_str(c->stream, "RSET\r\n");
	return ask(c, "RSET", c->times.command, answer);
}

void
smtp_client_quit(struct smtp_client *c)
{
	struct smtp_answer answer;

	smtp_client_begin(c);
	stream_set_write_timeout(c->stream, c->times.quit);
	stream_str(c->stream, "QUIT\r\n");
	(void)ask(c, "QUIT", c->times.quit, &answer);
}

/*
 * test_smtp_login.c - STARTTLS and AUTH as a client, over a socket: against
 * our own TLS and libgsasl's server side, and against servers that lie.
 */
#include "smtp/smtp_client.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gsasl.h>

#include <cmocka.h>

#include "base/text.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "mail/encode.h"

static struct tls_server *tls_server;
static struct tls_client *tls_client;
static struct tls_key *key;
static struct text cert;

/* -- the server ---- */

enum lie { HONEST, NO_PROOF, TOO_MANY_ROUNDS, REFUSES_PLUS, NO_BASE64 };

struct server {
	struct stream *stream;
	const char *mechanisms;
	bool tls;
	enum lie lie;
	struct text heard;		/* AUTH lines and what follows */
	bool ended;
};

static int
server_property(Gsasl *context, Gsasl_session *session, Gsasl_property what)
{
	struct server *s = gsasl_session_hook_get(session);
	struct text bytes = TEXT_INIT(0);
	uint8_t raw[64];
	size_t n;
	int rc = GSASL_NO_CALLBACK;

	(void)context;
	if (what == GSASL_PASSWORD)
		return gsasl_property_set(session, what, "secret");
	if (what == GSASL_VALIDATE_SIMPLE)
		return strcmp(gsasl_property_fast(session, GSASL_AUTHID),
		    "ann") == 0 && strcmp(gsasl_property_fast(session,
		    GSASL_PASSWORD), "secret") == 0
		    ? GSASL_OK : GSASL_AUTHENTICATION_ERROR;
	if (what == GSASL_CB_TLS_EXPORTER &&
	    stream_channel_binding(s->stream, "tls-exporter", raw, &n) == 1) {
		base64_add(&bytes, span_of(raw, n));
		rc = gsasl_property_set_raw(session, what, bytes.p, bytes.n);
		text_free(&bytes);
	}
	return rc;
}

static bool
read_line(struct server *s, struct text *line)
{
	struct span l;

	text_clear(line);
	if (stream_line(s->stream, &l, 8000, MONOTIME_NEVER) != 1)
		return false;
	text_add(line, span_chomp(l));
	stream_take(s->stream, l.n);
	text_add(&s->heard, text_span(line));
	text_char(&s->heard, '\n');
	text_char(line, '\0');
	return true;
}

static void
challenge(struct server *s, const char *base64)
{
	stream_printf(s->stream, "334 %s\r\n", base64);
}

static void
dialogue(struct server *s, Gsasl_session *session, struct text *line,
    const char *initial)
{
	const char *in = initial;
	char *out = NULL;
	int rc;

	if (in == NULL)
		in = "";
	for (;;) {
		rc = gsasl_step64(session, in, &out);
		if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
			break;
		if (rc == GSASL_OK && (out == NULL || *out == '\0'))
			break;
		challenge(s, out);
		gsasl_free(out);
		out = NULL;
		if (!read_line(s, line))
			return;
		if (rc == GSASL_OK)
			break;
		in = line->p;
	}
	gsasl_free(out);
	stream_str(s->stream, rc == GSASL_OK ? "235 2.7.0 welcome\r\n"
	    : "535 5.7.8 no\r\n");
}

static void
lie(struct server *s, struct text *line)
{
	if (s->lie == NO_PROOF)
		stream_str(s->stream, "235 2.7.0 come in\r\n");
	if (s->lie == TOO_MANY_ROUNDS || s->lie == NO_BASE64) {
		challenge(s, s->lie == NO_BASE64 ? "%%%%"
		    : "cj14LHM9YWFhYSxpPTIwMDAwMDAwMDA=");
		read_line(s, line);
		stream_str(s->stream, "501 5.5.2 as you like\r\n");
	}
}

static void
authenticate(struct server *s, Gsasl *gsasl, struct text *line)
{
	Gsasl_session *session = NULL;
	char name[40] = "", initial[4000] = "";

	sscanf(line->p, "AUTH %39s %3999s", name, initial);
	if (s->lie == REFUSES_PLUS && strstr(name, "PLUS") != NULL) {
		stream_str(s->stream, "504 5.5.4 not that\r\n");
		return;
	}
	if (s->lie != HONEST && s->lie != REFUSES_PLUS) {
		lie(s, line);
		return;
	}
	assert_int_equal(gsasl_server_start(gsasl, name, &session), GSASL_OK);
	gsasl_session_hook_set(session, s);
	dialogue(s, session, line, *initial != '\0' ? initial : NULL);
	gsasl_finish(session);
}

static void
server_main(void *arg)
{
	struct server *s = arg;
	struct text line = TEXT_INIT(0);
	Gsasl *gsasl;

	assert_int_equal(gsasl_init(&gsasl), GSASL_OK);
	gsasl_callback_set(gsasl, server_property);
	if (s->tls)
		stream_start_tls(s->stream, tls_server, MONOTIME_NEVER);
	stream_str(s->stream, "220 hi\r\n");
	while (read_line(s, &line))
		if (strncmp(line.p, "AUTH", 4) == 0)
			authenticate(s, gsasl, &line);
		else if (strncmp(line.p, "EHLO", 4) == 0)
			stream_printf(s->stream, "250-hi\r\n250 AUTH %s\r\n",
			    s->mechanisms);
		else
			stream_str(s->stream, "221 bye\r\n");
	text_free(&line);
	gsasl_done(gsasl);
	stream_free(&s->stream);
	s->ended = true;
}

/* -- the client ---- */

struct visit {
	struct smtp_client *client;
	bool tls, done;
	const char *password;
	int status;
	unsigned code;
};

static void
client_main(void *arg)
{
	const struct tls_peer peer = { .name = "mail.test" };
	struct smtp_answer a = { 0 };
	struct visit *v = arg;

	if (v->tls)
		assert_int_equal(stream_start_tls_client(
		    smtp_client_stream(v->client), tls_client, &peer,
		    MONOTIME_NEVER), 1);
	assert_int_equal(smtp_client_greet(v->client, &a), 1);
	v->status = smtp_client_login(v->client, SPAN("ann"),
	    span_str(v->password), &a);
	v->code = a.code;
	smtp_client_free(&v->client);
	v->done = true;
}

/* What the server heard but EHLO: "AUTH PLAIN ...". */
static char heard[2000];

static int
login(const char *mechanisms, bool tls, enum lie how, const char *password,
    unsigned *code)
{
	struct server s = { .mechanisms = mechanisms, .tls = tls, .lie = how };
	struct visit v = { .tls = tls, .password = password };
	struct span rest, first;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	s.stream = stream_socket(pair[0]);
	v.client = smtp_client_new(stream_socket(pair[1]), false, "me.test",
	    &smtp_client_standard_times);
	fiber_start(server_main, &s);
	fiber_start(client_main, &v);
	for (int i = 0; i < 1000 && !(v.done && s.ended); i++)
		loop_turn(1000);
	assert_true(v.done && s.ended);
	rest = span_cut(text_span(&s.heard), '\n', &first);
	snprintf(heard, sizeof(heard), "%.*s", SPAN_ARG(rest));
	text_free(&s.heard);
	*code = v.code;
	return v.status;
}

/* -- tests ---- */

static void
every_mechanism(void **state)
{
	static const struct {
		const char *offered, *chosen;
		bool tls;
	} rows[] = {
		{ "PLAIN LOGIN", "AUTH PLAIN ", true },
		{ "LOGIN", "AUTH LOGIN\n", true },
		{ "LOGIN PLAIN SCRAM-SHA-1", "AUTH SCRAM-SHA-1 ", true },
		{ "SCRAM-SHA-1 SCRAM-SHA-256", "AUTH SCRAM-SHA-256 ", true },
		{ "SCRAM-SHA-1 SCRAM-SHA-256", "AUTH SCRAM-SHA-256 ", false },
		{ "SCRAM-SHA-256 SCRAM-SHA-256-PLUS PLAIN",
		    "AUTH SCRAM-SHA-256-PLUS ", true },
		{ "SCRAM-SHA-256-PLUS SCRAM-SHA-256",
		    "AUTH SCRAM-SHA-256 ", false },
		{ "scram-sha-256", "AUTH SCRAM-SHA-256 ", true },
	};
	unsigned code;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(login(rows[i].offered, rows[i].tls, HONEST,
		    "secret", &code), 1);
		assert_int_equal(code, 235);
		assert_true(span_starts(span_str(heard),
		    span_str(rows[i].chosen)));
		assert_int_equal(login(rows[i].offered, rows[i].tls, HONEST,
		    "Secret", &code), 0);
		assert_int_equal(code, 535);
	}
}

static void
nothing_in_the_clear(void **state)
{
	unsigned code;

	(void)state;
	assert_int_equal(login("PLAIN LOGIN", false, HONEST, "secret", &code),
	    0);
	assert_int_equal(code, 504);
	assert_string_equal(heard, "");
	assert_int_equal(login("CRAM-MD5 GSSAPI", true, HONEST, "secret",
	    &code), 0);
	assert_string_equal(heard, "");
}

static void
another_way_after_504(void **state)
{
	unsigned code;

	(void)state;
	assert_int_equal(login("SCRAM-SHA-256-PLUS PLAIN", true, REFUSES_PLUS,
	    "secret", &code), 1);
	assert_non_null(strstr(heard, "AUTH PLAIN "));
}

static void
servers_that_lie(void **state)
{
	unsigned code;

	(void)state;
	assert_int_equal(login("SCRAM-SHA-256", true, NO_PROOF, "secret",
	    &code), -1);
	assert_int_equal(login("SCRAM-SHA-256", true, TOO_MANY_ROUNDS,
	    "secret", &code), -1);
	assert_non_null(strstr(heard, "\n*\n"));
	assert_int_equal(login("SCRAM-SHA-256", true, NO_BASE64, "secret",
	    &code), -1);
	assert_non_null(strstr(heard, "\n*\n"));
}

/* -- STARTTLS ---- */

struct upgrade {
	struct stream *stream;
	const char *answer;		/* to STARTTLS */
	bool handshake, ended;
	bool rude;			/* no EHLO after TLS */
};

static void
upgrade_main(void *arg)
{
	struct upgrade *u = arg;
	struct span line;

	stream_str(u->stream, "220 hi\r\n");
	while (stream_line(u->stream, &line, 500, MONOTIME_NEVER) == 1) {
		if (span_starts(line, SPAN("STARTTLS"))) {
			stream_take(u->stream, line.n);
			stream_str(u->stream, u->answer);
			if (u->handshake && stream_start_tls(u->stream,
			    tls_server, MONOTIME_NEVER) != 1)
				break;
			continue;
		}
		if (span_starts(line, SPAN("QUIT")))
			stream_str(u->stream, "221 bye\r\n");
		else if (stream_is_tls(u->stream) && u->rude)
			stream_str(u->stream, "450 4.3.2 not now\r\n");
		else if (stream_is_tls(u->stream))
			stream_str(u->stream, "250-hi\r\n250 DSN\r\n");
		else
			stream_str(u->stream, "250-hi\r\n250-STARTTLS\r\n"
			    "250-SIZE 5\r\n250 AUTH PLAIN\r\n");
		stream_take(u->stream, line.n);
	}
	stream_flush(u->stream);
	stream_free(&u->stream);
	u->ended = true;
}

struct upgraded {
	struct smtp_client *client;
	struct tls_peer peer;
	struct smtp_offers offers;
	int status;
	unsigned code;
	char why[100], failure[40];
	bool done;
};

static void
upgraded_main(void *arg)
{
	struct upgraded *v = arg;
	struct smtp_answer a = { 0 };

	assert_int_equal(smtp_client_greet(v->client, &a), 1);
	assert_int_equal(smtp_client_offers(v->client)->bits,
	    OFFERS_STARTTLS | OFFERS_SIZE | OFFERS_AUTH);
	v->status = smtp_client_starttls(v->client, tls_client, &v->peer, &a);
	v->code = a.code;
	v->offers = *smtp_client_offers(v->client);
	snprintf(v->why, sizeof(v->why), "%.*s",
	    SPAN_ARG(smtp_client_why(v->client)));
	snprintf(v->failure, sizeof(v->failure), "%s",
	    stream_tls_failure(smtp_client_stream(v->client)));
	if (v->status != -1)
		smtp_client_quit(v->client);
	smtp_client_free(&v->client);
	v->done = true;
}

static struct upgraded
upgrade(const char *answer, bool handshake, enum tls_check check, bool rude)
{
	struct upgrade u = { .answer = answer, .handshake = handshake,
	    .rude = rude };
	struct upgraded v = { .peer = { .name = "mail.test",
	    .check = check } };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	u.stream = stream_socket(pair[0]);
	v.client = smtp_client_new(stream_socket(pair[1]), false, "me.test",
	    &smtp_client_standard_times);
	fiber_start(upgrade_main, &u);
	fiber_start(upgraded_main, &v);
	for (int i = 0; i < 1000 && !(v.done && u.ended); i++)
		loop_turn(1000);
	assert_true(v.done && u.ended);
	return v;
}

/* What was said before TLS is not believed, and what came with it neither. */
static void
starttls(void **state)
{
	static const char *const answers[] = { "220 go\r\n",
	    "220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n" };
	struct upgraded v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		v = upgrade(answers[i], true, TLS_CHECK_NONE, false);
		assert_int_equal(v.status, 1);
		assert_int_equal(v.offers.bits, OFFERS_DSN);
		assert_int_equal(v.offers.size, 0);
		assert_int_equal(v.offers.mechanisms.n, 0);
	}
}

static void
starttls_that_fails(void **state)
{
	struct upgraded v = upgrade("454 4.7.0 not now\r\n", false,
	    TLS_CHECK_NONE, false);

	(void)state;
	assert_int_equal(v.status, 0);
	assert_int_equal(v.code, 454);
	v = upgrade("220 go\r\n", true, TLS_CHECK_NAME, false);
	assert_int_equal(v.status, -1);
	assert_string_equal(v.why, "TLS: self-signed certificate");
	assert_string_equal(v.failure, "certificate-not-trusted");
	v = upgrade("220 go\r\n220 no\r\n", false, TLS_CHECK_NONE, false);
	assert_int_equal(v.status, -1);
	v = upgrade("hello\r\n", false, TLS_CHECK_NONE, false);
	assert_int_equal(v.status, -1);
	assert_string_equal(v.why, "STARTTLS: the server makes no sense");
	v = upgrade("220 go\r\n", true, TLS_CHECK_NONE, true);
	assert_int_equal(v.status, -1);
	assert_string_equal(v.why, "EHLO: 450 4.3.2 not now");
}

/* -- set up ---- */

static int
sign(void *arg, const uint8_t id[32], enum tls_signature signature,
    struct span message, uint8_t *out, size_t *n, size_t room)
{
	(void)arg, (void)id;
	return tls_key_sign(key, signature, message, out, n, room);
}

static int
open_all(void **state)
{
	static const char *const names[] = { "mail.test" };
	struct text pem = TEXT_INIT(0), why = TEXT_INIT(0);
	struct tls_options o = { .min_version = "1.2", .sign = sign };
	struct tls_client_options c = { 0 };

	(void)state;
	if (loop_open() != 1 ||
	    tls_make_self_signed(names, 1, 10, &cert, &pem) != 1)
		return -1;
	key = tls_key_new(text_span(&pem), &why);
	o.chain_pem = text_span(&cert);
	tls_server = tls_server_new(&o, &why);
	tls_client = tls_client_make(&c, &why);
	text_wipe(&pem);
	return key != NULL && tls_server != NULL && tls_client != NULL ? 0
	    : -1;
}

static int
close_all(void **state)
{
	(void)state;
	tls_server_free(&tls_server);
	tls_client_free(&tls_client);
	tls_key_free(&key);
	text_free(&cert);
	loop_close();
	return fiber_count() == 0 ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mechanism),
		cmocka_unit_test(nothing_in_the_clear),
		cmocka_unit_test(another_way_after_504),
		cmocka_unit_test(servers_that_lie),
		cmocka_unit_test(starttls),
		cmocka_unit_test(starttls_that_fails),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}

/*
 * smtp_client_login.c - AUTH as a client (RFC 4954), for a smarthost.
 *
 * SCRAM is libgsasl's: the server has to prove that it knows the password
 * too, and with -PLUS that nobody stands between us. PLAIN and LOGIN are
 * spoken under TLS alone. What was secret is wiped behind.
 */
#include <gsasl.h>

#include "base/secret.h"
#include "mail/encode.h"
#include "smtp/smtp_client_impl.h"

enum {
	STEPS_MAX = 8,
	ITERATIONS_MAX = 200000,	/* of SCRAM: no server keeps us busy */
	SECRET_MAX = 4096,
};

struct login {
	struct smtp_client *c;
	struct span user, password;
	struct smtp_answer *answer;
	Gsasl_session *scram;
	unsigned prompts;		/* of LOGIN, that were answered */
	bool proven;			/* the server is who it should be */
};

struct mechanism {
	const char *name;
	bool needs_tls;
	bool binds;			/* to the channel */
	/* The answer to a challenge; the first is empty. 1, -1. */
	int (*step)(struct login *, struct span challenge, struct text *out);
	bool speaks_first;
};

/* -- PLAIN (RFC 4616), LOGIN (as everybody has it) ---- */

static int
plain_step(struct login *l, struct span challenge, struct text *out)
{
	(void)challenge;
	text_char(out, '\0');
	text_add(out, l->user);
	text_char(out, '\0');
	text_add(out, l->password);
	l->proven = true;
	return 1;
}

static int
login_step(struct login *l, struct span challenge, struct text *out)
{
	(void)challenge;
	if (l->prompts == 2)
		return -1;
	text_add(out, l->prompts++ == 0 ? l->user : l->password);
	l->proven = true;
	return 1;
}

/* -- SCRAM (RFC 5802, RFC 7677) ---- */

/* The "i=" of the server's first message must be what we can do quickly. */
static bool
iterations_ok(struct span challenge)
{
	struct span attribute, rest = challenge;
	uint32_t n;

	while (rest.n > 0) {
		rest = span_cut(rest, ',', &attribute);
		if (span_starts(attribute, SPAN("i=")))
			return span_u32(span_from(attribute, 2), &n) == 1 &&
			    n <= ITERATIONS_MAX;
	}
	return true;
}

static int
scram_step(struct login *l, struct span challenge, struct text *out)
{
	char *bytes = NULL;
	size_t n = 0;
	int rc;

	if (!iterations_ok(challenge))
		return -1;
	rc = gsasl_step(l->scram, challenge.n > 0 ? challenge.p : "",
	    challenge.n, &bytes, &n);
	if (rc == GSASL_OK || rc == GSASL_NEEDS_MORE)
		text_add(out, span_of(bytes, n));
	if (bytes != NULL)
		secret_wipe(bytes, n);
	gsasl_free(bytes);
	l->proven = rc == GSASL_OK;
	return rc == GSASL_OK || rc == GSASL_NEEDS_MORE ? 1 : -1;
}

static int
on_property(Gsasl *context, Gsasl_session *session, Gsasl_property what)
{
	(void)context, (void)session, (void)what;
	return GSASL_NO_CALLBACK;
}

/* One for the process; it holds nothing of any login. */
static Gsasl *
library(void)
{
	static Gsasl *gsasl;

	if (gsasl == NULL && gsasl_init(&gsasl) == GSASL_OK)
		gsasl_callback_set(gsasl, on_property);
	return gsasl;
}

/* RFC 9266: the channel's own bytes, in base64. */
static int
bind_channel(struct login *l)
{
	struct text bytes = TEXT_INIT(0);
	uint8_t raw[64];
	size_t n;
	int rc = GSASL_NO_CB_TLS_EXPORTER;

	if (stream_channel_binding(l->c->stream, "tls-exporter", raw,
	    &n) == 1) {
		base64_add(&bytes, span_of(raw, n));
		rc = gsasl_property_set_raw(l->scram, GSASL_CB_TLS_EXPORTER,
		    bytes.p, bytes.n);
		text_free(&bytes);
	}
	return rc;
}

static int
scram_open(struct login *l, const struct mechanism *m)
{
	int rc;

	if (library() == NULL ||
	    gsasl_client_start(library(), m->name, &l->scram) != GSASL_OK)
		return -1;
	rc = gsasl_property_set_raw(l->scram, GSASL_AUTHID, l->user.p,
	    l->user.n);
	if (rc == GSASL_OK)
		rc = gsasl_property_set_raw(l->scram, GSASL_PASSWORD,
		    l->password.p, l->password.n);
	if (rc == GSASL_OK && m->binds)
		rc = bind_channel(l);
	return rc == GSASL_OK ? 1 : -1;
}

static void
scram_close(struct login *l)
{
	const char *password;

	if (l->scram == NULL)
		return;
	password = gsasl_property_fast(l->scram, GSASL_PASSWORD);
	if (password != NULL)
		secret_wipe((char *)(uintptr_t)password, strlen(password));
	gsasl_finish(l->scram);
	l->scram = NULL;
}

/* -- which ---- */

static const struct mechanism mechanisms[] = {
	{ "SCRAM-SHA-256-PLUS",	false,	true,	scram_step,	true },
	{ "SCRAM-SHA-1-PLUS",	false,	true,	scram_step,	true },
	{ "SCRAM-SHA-256",	false,	false,	scram_step,	true },
	{ "SCRAM-SHA-1",	false,	false,	scram_step,	true },
	{ "PLAIN",		true,	false,	plain_step,	true },
	{ "LOGIN",		true,	false,	login_step,	false },
};

static bool
is_offered(const struct smtp_client *c, const char *name)
{
	struct span word, rest = c->offers.mechanisms;

	while ((word = span_word(&rest)).n > 0)
		if (span_is_nocase(word, name))
			return true;
	return false;
}

static bool
is_possible(struct smtp_client *c, const struct mechanism *m)
{
	uint8_t bytes[64];
	size_t n;

	if (!is_offered(c, m->name) ||
	    (m->needs_tls && !stream_is_tls(c->stream)))
		return false;
	return !m->binds ||
	    stream_channel_binding(c->stream, "tls-exporter", bytes, &n) == 1;
}

/* -- the dialogue ---- */

static void
say_base64(struct smtp_client *c, struct span bytes)
{
	struct text line = TEXT_INIT(0);

	base64_add(&line, bytes);
	stream_write(c->stream, text_span(&line));
	text_wipe(&line);
}

static int
begin(struct login *l, const struct mechanism *m)
{
	struct stream *s = l->c->stream;
	struct text first = TEXT_INIT(SECRET_MAX);
	int status = 1;

	stream_printf(s, "AUTH %s", m->name);
	if (m->speaks_first)
		status = m->step(l, SPAN_EMPTY, &first);
	if (status == 1 && m->speaks_first) {
		stream_str(s, " ");
		say_base64(l->c, text_span(&first));
	}
	stream_str(s, "\r\n");
	text_wipe(&first);
	return status;
}

/* RFC 4954 4: "*" gives it up; the server's answer to that is no news. */
static int
give_up(struct login *l, const char *why)
{
	stream_str(l->c->stream, "*\r\n");
	(void)smtp_client_answer(l->c, "AUTH", l->c->times.command,
	    l->c->answers, l->answer);
	text_clear(&l->c->why);
	text_printf(&l->c->why, "AUTH: %s", why);
	return -1;
}

static int
respond(struct login *l, const struct mechanism *m)
{
	struct text challenge = TEXT_INIT(SECRET_MAX);
	struct text out = TEXT_INIT(SECRET_MAX);
	int status = base64_decode(span_trim(l->answer->text), &challenge);

	/* The words of LOGIN's prompts need not be base64. */
	if (status == 1 || m->step == login_step)
		status = m->step(l, text_span(&challenge), &out);
	if (status == 1) {
		say_base64(l->c, text_span(&out));
		stream_str(l->c->stream, "\r\n");
	}
	text_wipe(&out);
	text_free(&challenge);
	return status == 1 ? 1 : give_up(l, "the challenge is wrong");
}

static int
converse(struct login *l, const struct mechanism *m)
{
	int status = begin(l, m);

	for (int i = 0; status == 1 && i < STEPS_MAX; i++) {
		if (smtp_client_answer(l->c, "AUTH", l->c->times.command,
		    l->c->answers, l->answer) == -1)
			return -1;
		if (l->answer->code / 100 == 2 && !l->proven)
			return smtp_client_confused(l->c,
			    "AUTH: it did not prove that it is the server",
			    l->answer);
		if (l->answer->code != 334)
			return l->answer->code / 100 == 2;
		status = respond(l, m);
	}
	return status == 1 ? smtp_client_confused(l->c, "AUTH", l->answer)
	    : -1;
}

static int
try(struct login *l, const struct mechanism *m)
{
	int status;

	l->proven = false;
	l->prompts = 0;
	if (m->step == scram_step && scram_open(l, m) == -1) {
		scram_close(l);
		text_str(&l->c->why, "AUTH: the name or password cannot be "
		    "used");
		return -1;
	}
	status = converse(l, m);
	scram_close(l);
	return status;
}

int
smtp_client_login(struct smtp_client *c, struct span user,
    struct span password, struct smtp_answer *answer)
{
	struct login l = { .c = c, .user = user, .password = password,
	    .answer = answer };
	int status;

	smtp_client_begin(c);
	*answer = (struct smtp_answer){ .code = 504, .enhanced = SPAN("5.5.4"),
	    .text = SPAN("no common way to log in") };
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		if (!is_possible(c, &mechanisms[i]))
			continue;
		status = try(&l, &mechanisms[i]);
		/* RFC 4954 4: 504 is "not this way". */
		if (status != 0 || answer->code != 504)
			return status;
	}
	return 0;
}

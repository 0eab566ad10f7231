/*
 * login.c - one login for every protocol.
 *
 * Trusts nothing of the client's but its bytes; does not log. Every
 * buffer that saw a response is wiped before it is given back.
 */
#include "edge/login.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/secret.h"
#include "io/fiber.h"
#include "ipc/wire.h"
#include "mail/encode.h"

enum {
	LOGIN_MEMORY = 128 << 10,	/* of one exchange, bytes */
	BINDING_MAX = 64,		/* stream_channel_binding() */
	WAIT_FIRST = 5, WAIT_LONGEST = 200,	/* ms */
};

/* What a mechanism needs to be offered. */
static bool has_anything(const struct settings *, struct session *);
static bool has_binding(const struct settings *, struct session *);
static bool has_certificate(const struct settings *, struct session *);
static bool has_tokens(const struct settings *, struct session *);

/* What is offered, strongest first; -PLUS only where TLS gives a binding. */
static const struct mechanism {
	const char *name;
	bool (*offered)(const struct settings *, struct session *);
} mechanisms[] = {
	{ "EXTERNAL",           has_certificate },
	{ "SCRAM-SHA-512-PLUS", has_binding },
	{ "SCRAM-SHA-512",      has_anything },
	{ "SCRAM-SHA-256-PLUS", has_binding },
	{ "SCRAM-SHA-256",      has_anything },
	{ "SCRAM-SHA-1-PLUS",   has_binding },
	{ "SCRAM-SHA-1",        has_anything },
	{ "OAUTHBEARER",        has_tokens },
	{ "XOAUTH2",            has_tokens },
	{ "PLAIN",              has_anything },
	{ "LOGIN",              has_anything },
};

/* One exchange under way. */
struct exchange {
	struct session *session;
	struct link *store;
	struct arena *arena;
	struct text decoded;		/* the client's last response: secret */
	uint64_t dialogue;		/* of the store, 0: none */
};

static bool
has_anything(const struct settings *settings, struct session *session)
{
	(void)settings;
	(void)session;
	return true;
}

static bool
has_binding(const struct settings *settings, struct session *session)
{
	(void)settings;
	return stream_is_tls(session_stream(session));
}

static bool
has_certificate(const struct settings *settings, struct session *session)
{
	struct stream_proof proof;

	(void)settings;
	return stream_client_proof(session_stream(session), &proof);
}

static bool
has_tokens(const struct settings *settings, struct session *session)
{
	(void)session;
	return settings->oauth_keys[0] != '\0' ||
	    settings->oauth_introspection[0] != '\0';
}

bool
login_allowed(const struct settings *settings, struct session *session)
{
	return stream_is_tls(session_stream(session)) ||
	    !settings->auth_require_tls ||
	    (settings->auth_plaintext_on_loopback &&
	    session_peer(session)->loopback);
}

void
login_mechanisms(struct text *out, const struct settings *settings,
    struct session *session, const char *before)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		if (!mechanisms[i].offered(settings, session))
			continue;
		text_str(out, before);
		text_str(out, mechanisms[i].name);
	}
}

/* The name as the table writes it, or NULL where it is not offered. */
static const char *
mechanism_find(const struct settings *settings, struct session *session,
    struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (span_is_nocase(name, mechanisms[i].name) &&
		    mechanisms[i].offered(settings, session))
			return mechanisms[i].name;
	return NULL;
}

static enum login_result
result_to_login(enum result result)
{
	switch (result) {
	case RESULT_OK:
		return LOGIN_OK;
	case RESULT_LOCKED:
		return LOGIN_LOCKED;
	case RESULT_INVALID:
		return LOGIN_MALFORMED;
	case RESULT_NOT_LOCAL:
		return LOGIN_MOVED;
	case RESULT_TEMPORARY:
	case RESULT_FULL:
	case RESULT_DAMAGED:
		return LOGIN_TEMPORARY;
	default:
		return LOGIN_DENIED;
	}
}

static struct span
binding_of(struct exchange *x, const char *type, uint8_t room[BINDING_MAX])
{
	size_t n;

	return stream_channel_binding(session_stream(x->session), type, room,
	    &n) == 1 ? span_of(room, n) : SPAN_EMPTY;
}

/* What proves who has a client certificate, for EXTERNAL. */
static void
add_proof(struct exchange *x, struct text *out)
{
	struct stream_proof p;

	if (!stream_client_proof(session_stream(x->session), &p))
		return;
	client_proof_put(out, &(struct client_proof){ .chain = p.chain,
	    .scheme = p.scheme, .transcript = p.transcript,
	    .signature = p.signature });
}

static enum result
begin(struct exchange *x, enum protocol service, const char *mechanism,
    bool has_initial, struct sasl_step_reply *reply)
{
	uint8_t exporter[BINDING_MAX], unique[BINDING_MAX];
	struct sasl_start_request request = {
		.tls = stream_is_tls(session_stream(x->session)),
		.exporter = binding_of(x, "tls-exporter", exporter),
		.unique = binding_of(x, "tls-unique", unique),
		.service = (uint32_t)service,
		.mechanism = span_str(mechanism),
		.has_initial = has_initial,
		.initial = text_span(&x->decoded),
		.peer = span_str(session_peer(x->session)->address),
	};
	struct sasl_start_reply first;
	struct text evidence = TEXT_INIT(32 << 10);
	int status;

	if (strcmp(mechanism, "EXTERNAL") == 0)
		add_proof(x, &evidence);
	request.evidence = text_span(&evidence);
	status = call_sasl_start(x->store, x->arena, &request, &first);
	text_free(&evidence);
	if (status != 1)
		return RESULT_TEMPORARY;
	*reply = (struct sasl_step_reply){
		.result = first.result, .dialogue = first.dialogue,
		.challenge = first.challenge, .grant = first.grant,
		.login = first.login, .delay_ms = first.delay_ms,
		.wait = first.wait, .why = first.why,
	};
	return reply->result;
}

static enum result
step(struct exchange *x, struct sasl_step_reply *reply)
{
	struct sasl_step_request request = {
		.dialogue = x->dialogue,
		.response = text_span(&x->decoded),
	};

	if (call_sasl_step(x->store, x->arena, &request, reply) != 1)
		return RESULT_TEMPORARY;
	return reply->result;
}

static void
give_up(struct exchange *x)
{
	struct sasl_abort_request request = { .dialogue = x->dialogue };
	struct sasl_abort_reply reply;

	/* Unheard, the store lets the dialogue expire by itself. */
	if (x->dialogue != 0 &&
	    call_sasl_abort(x->store, x->arena, &request, &reply) != 1)
		return;
	x->dialogue = 0;
}

static void
send_challenge(const struct login_line *line, struct span challenge)
{
	struct text base64 = TEXT_INIT(0);

	base64_add(&base64, challenge);
	line->challenge(line->arg, text_span(&base64));
	text_free(&base64);
}

/* LOGIN_OK: a response was read and decoded. */
static enum login_result
read_response(struct exchange *x, const struct login_line *line)
{
	struct span text;
	int status = line->response(line->arg, &text);

	text_wipe(&x->decoded);
	x->decoded = TEXT_INIT(LOGIN_LINE_MAX);
	if (status < 0)
		return LOGIN_GONE;
	if (status == 0)
		return LOGIN_MALFORMED;
	if (span_is(text, "*"))
		return LOGIN_CANCELLED;
	return base64_decode(text, &x->decoded) == 1 ? LOGIN_OK :
	    LOGIN_MALFORMED;
}

/* Somebody else is asked: come again, soon at first. */
static enum result
come_again(struct exchange *x, struct sasl_step_reply *reply)
{
	enum result result = RESULT_CONTINUE;
	int64_t pause = WAIT_FIRST;

	text_clear(&x->decoded);
	while (result == RESULT_CONTINUE && reply->wait) {
		if (fiber_wait(clock_after(pause)) < 0) {
			give_up(x);
			return RESULT_TEMPORARY;
		}
		pause = MIN(pause * 2, WAIT_LONGEST);
		arena_reset(x->arena);
		result = step(x, reply);
	}
	return result;
}

/* Challenges and responses until the store has made up its mind. */
static enum login_result
converse(struct exchange *x, const struct login_line *line,
    enum result result, struct sasl_step_reply *reply)
{
	while (result == RESULT_CONTINUE) {
		enum login_result said;

		x->dialogue = reply->dialogue;
		if (reply->wait) {
			result = come_again(x, reply);
			continue;
		}
		send_challenge(line, reply->challenge);
		said = read_response(x, line);
		if (said != LOGIN_OK) {
			give_up(x);
			return said;
		}
		arena_reset(x->arena);
		result = step(x, reply);
	}
	x->dialogue = 0;
	return result_to_login(result);
}

/*
 * A last challenge that comes with success (SCRAM's server signature) goes
 * out as a challenge of its own, answered by an empty response (RFC 4954
 * section 4, RFC 3501 6.2.2).
 */
static enum login_result
finish(struct exchange *x, const struct login_line *line,
    const struct sasl_step_reply *reply, struct login *out)
{
	enum login_result said;

	if (reply->login.n >= sizeof(out->address))
		return LOGIN_TEMPORARY;
	out->grant = reply->grant;
	memcpy(out->address, reply->login.p, reply->login.n);
	out->address[reply->login.n] = '\0';
	if (reply->challenge.n == 0 || line == NULL)
		return LOGIN_OK;
	send_challenge(line, reply->challenge);
	said = read_response(x, line);
	if (said == LOGIN_OK && x->decoded.n > 0)
		said = LOGIN_MALFORMED;
	return said;
}

static void
hold_back(uint32_t ms)
{
	monotime_t until = clock_after(ms);

	if (ms > 0)
		while (fiber_wait(until) == 1)
			;
}

static enum login_result
run(struct exchange *x, enum protocol service, const char *mechanism,
    bool has_initial, const struct login_line *line, struct login *out)
{
	struct sasl_step_reply reply = { .result = RESULT_TEMPORARY };
	enum result first = begin(x, service, mechanism, has_initial, &reply);
	enum login_result result;

	*out = (struct login){ .address = "" };
	if (first == RESULT_CONTINUE && line == NULL) {
		x->dialogue = reply.dialogue;
		give_up(x);
		return LOGIN_TEMPORARY;
	}
	result = converse(x, line, first, &reply);
	if (result == LOGIN_OK)
		result = finish(x, line, &reply, out);
	else if (result != LOGIN_GONE) {
		memcpy(out->why, reply.why.p != NULL ? reply.why.p : "",
		    MIN(reply.why.n, sizeof(out->why) - 1));
		if (result == LOGIN_DENIED && reply.why.n > 0)
			result = LOGIN_REFUSED;
		hold_back(reply.delay_ms);
	}
	secret_wipe(&reply.grant, sizeof(reply.grant));
	return result;
}

enum login_result
login_sasl(struct session *session, const struct settings *settings,
    struct link *store, enum protocol service, struct span mechanism,
    const struct span *initial, const struct login_line *line,
    struct login *out)
{
	struct exchange x = { .session = session, .store = store,
		.decoded = TEXT_INIT(LOGIN_LINE_MAX) };
	const char *name = mechanism_find(settings, session, mechanism);
	enum login_result result;

	if (name == NULL)
		return LOGIN_NO_MECHANISM;
	if (initial != NULL && !span_is(*initial, "=") &&
	    base64_decode(*initial, &x.decoded) != 1)
		result = LOGIN_MALFORMED;
	else {
		x.arena = arena_new(LOGIN_MEMORY);
		result = run(&x, service, name, initial != NULL, line, out);
		arena_free(&x.arena);
	}
	text_wipe(&x.decoded);
	return result;
}

enum login_result
login_password(struct session *session, struct link *store,
    enum protocol service, struct span user, struct span password,
    struct login *out)
{
	struct exchange x = { .session = session, .store = store,
		.decoded = TEXT_INIT(LOGIN_LINE_MAX) };
	enum login_result result = LOGIN_DENIED;

	/* PLAIN (RFC 4616): a NUL inside could shift what is the password. */
	text_char(&x.decoded, '\0');
	text_add(&x.decoded, user);
	text_char(&x.decoded, '\0');
	text_add(&x.decoded, password);
	if (!text_full(&x.decoded) &&
	    span_find_char(user, '\0', 0) == SIZE_MAX &&
	    span_find_char(password, '\0', 0) == SIZE_MAX) {
		x.arena = arena_new(LOGIN_MEMORY);
		result = run(&x, service, "PLAIN", true, NULL, out);
		arena_free(&x.arena);
	}
	text_wipe(&x.decoded);
	return result;
}

/*
 * test_sasl.c - logging in: every mechanism against a client, wrong
 * passwords, unknown names, lockouts, and dialogues that are not one's own.
 */
#include "test_store.h"
#include "base/clock.h"
#include "base/secret.h"
#include "mail/encode.h"
#include "store/auth.h"

#include <gsasl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define BINDING "0123456789abcdef0123456789abcdef"

/* What the client says of itself. */
struct client {
	const char *name, *password, *authzid;
	const char *binding_type;	/* it and the server have */
	const char *binding;		/* of the client; NULL: BINDING */
	const char *peer;
	bool no_initial;
};

struct outcome {
	enum result result;
	struct grant grant;
	struct span login;
	uint32_t delay_ms;
};

static int
client_property(Gsasl *context, Gsasl_session *session, Gsasl_property what)
{
	const struct client *c = gsasl_session_hook_get(session);
	const char *binding = c->binding != NULL ? c->binding : BINDING;
	struct text out = TEXT_INIT(0);

	(void)context;
	switch (what) {
	case GSASL_AUTHID:
		return gsasl_property_set(session, what, c->name);
	case GSASL_PASSWORD:
		return gsasl_property_set(session, what, c->password);
	case GSASL_AUTHZID:
		if (c->authzid == NULL)
			return GSASL_NO_CALLBACK;
		return gsasl_property_set(session, what, c->authzid);
	case GSASL_CB_TLS_EXPORTER:
	case GSASL_CB_TLS_UNIQUE:
		if (c->binding_type == NULL ||
		    (what == GSASL_CB_TLS_EXPORTER) !=
		    (strcmp(c->binding_type, "tls-exporter") == 0))
			return GSASL_NO_CALLBACK;
		base64_add(&out, span_str(binding));
		gsasl_property_set_raw(session, what, out.p, out.n);
		text_free(&out);
		return GSASL_OK;
	default:
		return GSASL_NO_CALLBACK;
	}
}

static void
start(struct fixture *f, const char *mechanism, const struct client *c,
    const struct span *initial, struct sasl_step_reply *out)
{
	const char *type = c->binding_type != NULL ? c->binding_type : "";
	struct sasl_start_request req = {
		.service = PROTOCOL_IMAP, .mechanism = span_str(mechanism),
		.has_initial = initial != NULL,
		.initial = initial != NULL ? *initial : SPAN_EMPTY,
		/* Under TLS 1.2 both are there: the client chooses. */
		.exporter = type[0] != '\0' ? SPAN(BINDING) : SPAN_EMPTY,
		.unique = type[0] != '\0' ? SPAN(BINDING) : SPAN_EMPTY,
		.tls = 1,
		.peer = span_str(c->peer != NULL ? c->peer : "192.0.2.1"),
	};
	struct sasl_start_reply reply = { 0 };

	verb_sasl_start(f->store, &from_access, f->arena, &req, &reply);
	*out = (struct sasl_step_reply){ .result = reply.result,
	    .dialogue = reply.dialogue, .challenge = reply.challenge,
	    .grant = reply.grant, .login = reply.login,
	    .delay_ms = reply.delay_ms };
}

/* A whole dialogue between libgsasl's client and the store. */
static struct outcome
talk(struct fixture *f, const char *mechanism, const struct client *c)
{
	struct sasl_step_reply reply = { 0 };
	Gsasl *gsasl = NULL;
	Gsasl_session *session = NULL;
	struct span initial;
	char *out = NULL;
	size_t n = 0;
	bool server_first = strcmp(mechanism, "LOGIN") == 0;
	int rc = GSASL_NEEDS_MORE;

	assert_int_equal(gsasl_init(&gsasl), GSASL_OK);
	gsasl_callback_set(gsasl, client_property);
	assert_int_equal(gsasl_client_start(gsasl, mechanism, &session),
	    GSASL_OK);
	gsasl_session_hook_set(session, (void *)(uintptr_t)c);
	if (!server_first && !c->no_initial) {
		rc = gsasl_step(session, "", 0, &out, &n);
		assert_true(rc == GSASL_OK || rc == GSASL_NEEDS_MORE);
		initial = span_of(out, n);
		start(f, mechanism, c, &initial, &reply);
	} else {
		start(f, mechanism, c, NULL, &reply);
	}
	gsasl_free(out);
	while (reply.result == RESULT_CONTINUE) {
		struct sasl_step_request step = { .dialogue =
		    reply.dialogue };

		out = NULL;
		n = 0;
		if (rc == GSASL_NEEDS_MORE)
			rc = gsasl_step(session, reply.challenge.p != NULL
			    ? reply.challenge.p : "", reply.challenge.n, &out,
			    &n);
		assert_true(rc == GSASL_OK || rc == GSASL_NEEDS_MORE);
		step.response = span_of(out, n);
		reply = (struct sasl_step_reply){ 0 };
		verb_sasl_step(f->store, &from_access, f->arena, &step,
		    &reply);
		gsasl_free(out);
	}
	gsasl_finish(session);
	gsasl_done(gsasl);
	return (struct outcome){ reply.result, reply.grant, reply.login,
	    reply.delay_ms };
}

static void
setup(struct fixture *f)
{
	fixture_open(f, false);
	add_domain(f, "example.test");
	add_account(f, "Ann@example.test", "p\xc3\xa4ss word");
	add_account(f, "bob@example.test", "other");
}

static const struct client ann = {
	.name = "ann@example.test", .password = "p\xc3\xa4ss word"
};

static void
logs_in(struct fixture *f, const char *mechanism, const struct client *c)
{
	struct outcome o = talk(f, mechanism, c);
	struct holder holder;

	if (o.result != RESULT_OK)
		fail_msg("%s: %s", mechanism, result_name(o.result));
	assert_true(span_is(o.login, "Ann@example.test"));
	assert_int_equal(grant_check(f->store, &o.grant, &holder), 1);
	assert_int_equal(holder.service, PROTOCOL_IMAP);
	assert_false(holder.operator_acts);
}

static const char *const all[] = {
	"PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256",
	"SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS",
};

static void
test_mechanisms(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct client c = ann;

		if (strstr(all[i], "PLUS") != NULL)
			c.binding_type = "tls-exporter";
		logs_in(&f, all[i], &c);
		c.no_initial = true;
		logs_in(&f, all[i], &c);
		c.name = "Ann";			/* the default domain's */
		logs_in(&f, all[i], &c);
		if (c.binding_type != NULL)
			c.binding_type = "tls-unique";
		logs_in(&f, all[i], &c);
	}
	fixture_close(&f);
}

static void
test_wrong(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.settings.auth_lockout_failures = 1000;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct client c = ann;
		struct outcome o;

		if (strstr(all[i], "PLUS") != NULL)
			c.binding_type = "tls-exporter";
		c.password = "wrong";
		o = talk(&f, all[i], &c);
		assert_int_equal(o.result, RESULT_DENIED);
		assert_true(o.delay_ms >= 1000);
		c = (struct client){ .name = "nobody@example.test",
		    .password = "x", .binding_type = c.binding_type };
		assert_int_equal(talk(&f, all[i], &c).result, RESULT_DENIED);
		c.name = "nobody@example.org";
		assert_int_equal(talk(&f, all[i], &c).result, RESULT_DENIED);
	}
	fixture_close(&f);
}

static void
test_binding(void **state)
{
	struct fixture f;
	struct client c = ann;
	struct sasl_step_reply reply;
	struct span initial = SPAN("y,,n=ann,r=abcdef");

	(void)state;
	setup(&f);
	c.binding_type = "tls-exporter";
	c.binding = "another channel";
	assert_int_equal(talk(&f, "SCRAM-SHA-256-PLUS", &c).result,
	    RESULT_DENIED);
	/* Somebody took -PLUS out of what was offered (RFC 5802 6). */
	start(&f, "SCRAM-SHA-256", &c, &initial, &reply);
	assert_true(reply.result == RESULT_DENIED ||
	    reply.result == RESULT_INVALID);
	/* Without a binding there is no -PLUS. */
	c.binding_type = NULL;
	start(&f, "SCRAM-SHA-256-PLUS", &c, &initial, &reply);
	assert_int_equal(reply.result, RESULT_INVALID);
	fixture_close(&f);
}

static void
test_authzid(void **state)
{
	struct fixture f;
	struct client c = ann;

	(void)state;
	setup(&f);
	c.authzid = "ann";
	logs_in(&f, "PLAIN", &c);
	logs_in(&f, "SCRAM-SHA-256", &c);
	c.authzid = "bob@example.test";
	assert_int_equal(talk(&f, "PLAIN", &c).result, RESULT_DENIED);
	assert_int_equal(talk(&f, "SCRAM-SHA-256", &c).result,
	    RESULT_DENIED);
	fixture_close(&f);
}

static void
test_malformed(void **state)
{
	static const struct {
		const char *mechanism;
		struct span initial;
	} bad[] = {
		{ "PLAIN", { "ann", 3 } },
		{ "PLAIN", { "\0ann", 4 } },
		{ "PLAIN", { "\0\0\0", 3 } },
		{ "SCRAM-SHA-1", { "garbage", 7 } },
		{ "SCRAM-SHA-256", { "n,,n=,r=", 8 } },
		{ "SCRAM-SHA-256", { "n,,n=ann", 8 } },
		{ "CRAM-MD5", { "x", 1 } },
		{ "plain", { "\0a\0b", 4 } },
		{ "", { "", 0 } },
	};
	struct fixture f;
	struct sasl_step_reply reply;

	(void)state;
	setup(&f);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		start(&f, bad[i].mechanism, &ann, &bad[i].initial, &reply);
		assert_true(reply.result == RESULT_INVALID ||
		    reply.result == RESULT_DENIED);
	}
	fixture_close(&f);
}

/* The bytes before the proof do not tell whether a name exists. */
static void
test_unknown_looks_known(void **state)
{
	struct fixture f;
	struct span first = SPAN("n,,n=ann@example.test,r=nonce");
	struct span nobody = SPAN("n,,n=abc@example.test,r=nonce");
	struct sasl_step_reply a, b, again;
	size_t salt_a, salt_b;

	(void)state;
	setup(&f);
	start(&f, "SCRAM-SHA-256", &ann, &first, &a);
	start(&f, "SCRAM-SHA-256", &ann, &nobody, &b);
	start(&f, "SCRAM-SHA-256", &ann, &nobody, &again);
	assert_int_equal(a.result, RESULT_CONTINUE);
	assert_int_equal(b.result, RESULT_CONTINUE);
	assert_int_equal(a.challenge.n, b.challenge.n);
	salt_a = span_find(b.challenge, SPAN(",s="), 0);
	salt_b = span_find(again.challenge, SPAN(",s="), 0);
	assert_true(span_eq(span_from(b.challenge, salt_a),
	    span_from(again.challenge, salt_b)));
	/* And the same after a restart. */
	fixture_reopen(&f);
	start(&f, "SCRAM-SHA-256", &ann, &nobody, &a);
	salt_a = span_find(a.challenge, SPAN(",s="), 0);
	assert_true(span_eq(span_from(a.challenge, salt_a),
	    span_from(again.challenge, salt_b)));
	fixture_close(&f);
}

static void
test_dialogues_are_ones_own(void **state)
{
	struct fixture f;
	struct sasl_step_reply reply;
	struct sasl_step_request step = { .response = SPAN("x") };
	struct sasl_abort_reply aborted = { 0 };
	const struct caller other = { ACCESS, 1, 77 };
	uint64_t logins, failures, lockouts;
	size_t open;

	(void)state;
	setup(&f);
	start(&f, "PLAIN", &ann, NULL, &reply);
	assert_int_equal(reply.result, RESULT_CONTINUE);
	step.dialogue = reply.dialogue;
	verb_sasl_step(f.store, &other, f.arena, &step, &reply);
	assert_int_equal(reply.result, RESULT_INVALID);
	auth_count(f.store->auth, &logins, &failures, &lockouts, &open);
	assert_int_equal(open, 1);
	verb_sasl_abort(f.store, &from_access, f.arena,
	    &(struct sasl_abort_request){ .dialogue = step.dialogue },
	    &aborted);
	auth_count(f.store->auth, &logins, &failures, &lockouts, &open);
	assert_int_equal(open, 0);

	start(&f, "PLAIN", &ann, NULL, &reply);
	start(&f, "SCRAM-SHA-1", &ann, NULL, &reply);
	auth_link_gone(f.store->auth, from_access.link);
	auth_count(f.store->auth, &logins, &failures, &lockouts, &open);
	assert_int_equal(open, 0);

	clock_test_set((monotime_t){ 1000 }, clock_wall());
	start(&f, "PLAIN", &ann, NULL, &reply);
	step.dialogue = reply.dialogue;
	clock_test_set((monotime_t){ 1000 + DIALOGUE_MS }, clock_wall());
	reply = (struct sasl_step_reply){ 0 };
	verb_sasl_step(f.store, &from_access, f.arena, &step, &reply);
	assert_int_equal(reply.result, RESULT_TEMPORARY);
	clock_test_clear();
	fixture_close(&f);
}

static void
test_lockout(void **state)
{
	struct fixture f;
	struct client home = ann, guess = ann, nobody = ann;
	char password[16];
	struct outcome o;

	(void)state;
	setup(&f);
	clock_test_set((monotime_t){ 1000 }, clock_wall());
	home.peer = "198.51.100.7";
	logs_in(&f, "PLAIN", &home);
	guess.peer = "203.0.113.9";
	nobody.peer = "203.0.113.10";
	nobody.name = "nobody";

	/* The same wrong password again and again is one failure. */
	guess.password = "old";
	for (int i = 0; i < 30; i++)
		assert_int_equal(talk(&f, "PLAIN", &guess).result,
		    RESULT_DENIED);
	for (int i = 0; i < 9; i++) {
		snprintf(password, sizeof(password), "guess %d", i);
		guess.password = nobody.password = password;
		o = talk(&f, "PLAIN", &guess);
		assert_int_equal(o.result, RESULT_DENIED);
		assert_true(o.delay_ms <= 8000);
	}
	assert_int_equal(o.delay_ms, 8000);
	guess.password = ann.password;
	assert_int_equal(talk(&f, "PLAIN", &guess).result, RESULT_LOCKED);
	assert_int_equal(talk(&f, "SCRAM-SHA-256", &guess).result,
	    RESULT_LOCKED);
	/* The owner, where the owner was before, from the same network. */
	home.peer = "198.51.100.99";
	logs_in(&f, "PLAIN", &home);
	logs_in(&f, "SCRAM-SHA-1", &home);
	/* A name that is not there is locked just so. */
	for (int i = 0; i < 10; i++) {
		snprintf(password, sizeof(password), "guess %d", i);
		nobody.password = password;
		assert_int_equal(talk(&f, "PLAIN", &nobody).result,
		    RESULT_DENIED);
	}
	assert_int_equal(talk(&f, "PLAIN", &nobody).result, RESULT_LOCKED);
	/* It ends. */
	clock_test_set((monotime_t){ 1000 + f.settings.auth_lockout_time },
	    clock_wall());
	guess.peer = "203.0.113.11";
	logs_in(&f, "PLAIN", &guess);
	clock_test_clear();
	fixture_close(&f);
}

static void
test_address_lockout(void **state)
{
	struct fixture f;
	struct client c = { .peer = "2001:db8::1", .password = "x" };
	char name[32];

	(void)state;
	setup(&f);
	f.settings.auth_lockout_failures = 2;
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		c.name = name;
		assert_int_equal(talk(&f, "SCRAM-SHA-1", &c).result,
		    RESULT_DENIED);
	}
	c = ann;
	c.peer = "2001:db8::ffff";	/* the same /64 */
	assert_int_equal(talk(&f, "PLAIN", &c).result, RESULT_LOCKED);
	c.peer = "2001:db8:0:1::1";
	logs_in(&f, "PLAIN", &c);
	c.peer = "2001:db8::ffff";	/* known only from elsewhere */
	assert_int_equal(talk(&f, "PLAIN", &c).result, RESULT_LOCKED);
	fixture_close(&f);
}

/* A remembered login ends with the password. */
static void
test_new_password(void **state)
{
	struct fixture f;
	struct account_password_request req = {
		.address = SPAN("ann@example.test"), .password = SPAN("new")
	};
	struct account_password_reply reply = { 0 };
	struct client c = ann;
	struct outcome o;
	struct holder holder;

	(void)state;
	setup(&f);
	o = talk(&f, "PLAIN", &ann);
	logs_in(&f, "PLAIN", &ann);
	verb_account_password(f.store, &from_cli, f.arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	assert_int_equal(grant_check(f.store, &o.grant, &holder), 0);
	assert_int_equal(talk(&f, "PLAIN", &ann).result, RESULT_DENIED);
	assert_int_equal(talk(&f, "SCRAM-SHA-1", &ann).result,
	    RESULT_DENIED);
	c.password = "new";
	for (size_t i = 0; i < 4; i++)
		logs_in(&f, all[i], &c);
	req.password = SPAN("\xff\xfe");
	verb_account_password(f.store, &from_cli, f.arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_INVALID);
	req.password = SPAN_EMPTY;
	verb_account_password(f.store, &from_cli, f.arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_INVALID);
	fixture_close(&f);
}

/* Where every turn at the hash is taken, others are not kept waiting. */
static void
test_crowd(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.settings.store_threads = 2;
	assert_true(hash_begin(f.store->auth));
	assert_int_equal(talk(&f, "PLAIN", &ann).result, RESULT_TEMPORARY);
	logs_in(&f, "SCRAM-SHA-256", &ann);
	hash_end(f.store->auth);
	logs_in(&f, "PLAIN", &ann);
	/* Remembered now: no turn is needed. */
	assert_true(hash_begin(f.store->auth));
	logs_in(&f, "PLAIN", &ann);
	hash_end(f.store->auth);
	fixture_close(&f);
}

/* SASLprep: a soft hyphen is nothing, and U+2168 is "IX" (RFC 4013 3). */
static void
test_prepared(void **state)
{
	struct text out = TEXT_INIT(0), made = TEXT_INIT(0);
	struct settings s;

	(void)state;
	assert_int_equal(password_prepare(SPAN("I\xc2\xadX"), &out), 1);
	assert_true(span_is(text_span(&out), "IX"));
	text_clear(&out);
	assert_int_equal(password_prepare(SPAN("\x07"), &out), 0);
	assert_int_equal(password_prepare(span_of("a\0b", 3), &out), 0);
	settings_default(&s);
	s.auth_argon2_memory = 64 << 10;
	s.auth_argon2_passes = 1;
	assert_int_equal(password_make(&s, SPAN("\xe2\x85\xa8"), SPAN_EMPTY,
	    &made), 1);
	assert_int_equal(password_verify(text_span(&made), SPAN("IX")), 1);
	assert_int_equal(password_verify(text_span(&made), SPAN("IY")), 0);
	assert_int_equal(password_verify(text_span(&made), SPAN("")), 0);
	assert_int_equal(password_verify(span_sub(text_span(&made), 0, 20),
	    SPAN("IX")), -1);
	text_free(&out);
	text_free(&made);
}

static void
hmac(const EVP_MD *md, struct span key, const char *message, uint8_t *out)
{
	unsigned int n;

	assert_non_null(HMAC(md, key.p, (int)key.n,
	    (const unsigned char *)message, strlen(message), out, &n));
}

static void
check_vector(Gsasl_hash hash, const EVP_MD *md, size_t n,
    const char *salt64, const char *message, const char *proof64,
    const char *signature64)
{
	struct text salt = TEXT_INIT(0), proof = TEXT_INIT(0),
	    signature = TEXT_INIT(0);
	char salted[32], client[32], server[32], stored[32];
	uint8_t mac[32], key[32], digest[32];

	assert_int_equal(base64_decode(span_str(salt64), &salt), 1);
	assert_int_equal(base64_decode(span_str(proof64), &proof), 1);
	assert_int_equal(base64_decode(span_str(signature64), &signature),
	    1);
	assert_int_equal(gsasl_scram_secrets_from_password(hash, "pencil",
	    4096, salt.p, salt.n, salted, client, server, stored), GSASL_OK);
	/* StoredKey = H(ClientProof XOR HMAC(StoredKey, AuthMessage)) */
	hmac(md, span_of(stored, n), message, mac);
	for (size_t i = 0; i < n; i++)
		key[i] = mac[i] ^ (uint8_t)proof.p[i];
	assert_int_equal(EVP_Digest(key, n, digest, NULL, md, NULL), 1);
	assert_memory_equal(digest, stored, n);
	hmac(md, span_of(server, n), message, mac);
	assert_memory_equal(mac, signature.p, n);
	text_free(&salt);
	text_free(&proof);
	text_free(&signature);
}

/* The dialogues of RFC 5802 section 5 and RFC 7677 section 3. */
static void
test_rfc_vectors(void **state)
{
	(void)state;
	check_vector(GSASL_HASH_SHA1, EVP_sha1(), 20, "QSXCR+Q6sek8bf92",
	    "n=user,r=fyko+d2lbbFgONRv9qkxdawL,"
	    "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
	    "s=QSXCR+Q6sek8bf92,i=4096,"
	    "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
	    "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ=");
	check_vector(GSASL_HASH_SHA256, EVP_sha256(), 32,
	    "W22ZaJ0SNY7soEsUEjb6gQ==",
	    "n=user,r=rOprNGfwEbeRWgbNEkqO,"
	    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	    "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
	    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
	    "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	    "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mechanisms),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_binding),
		cmocka_unit_test(test_authzid),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_unknown_looks_known),
		cmocka_unit_test(test_dialogues_are_ones_own),
		cmocka_unit_test(test_lockout),
		cmocka_unit_test(test_address_lockout),
		cmocka_unit_test(test_new_password),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_prepared),
		cmocka_unit_test(test_rfc_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

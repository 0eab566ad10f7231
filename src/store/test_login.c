/*
 * test_login.c - what logs in beside passwords: codes, tokens, the strings
 * that bring them; and records of passwords that are older than we are.
 */
#include "test_store.h"
#include "base/clock.h"
#include "base/secret.h"
#include "ipc/wire.h"
#include "mail/encode.h"
#include "store/app_password.h"
#include "store/auth.h"
#include "store/jwt.h"
#include "store/login_rules.h"
#include "store/oauth.h"
#include "store/scram.h"

#include <stdio.h>

/* ---- codes ------------------------------------------------------------- */

/* RFC 6238 appendix B, the last six digits of its eight. */
static void
test_totp(void **state)
{
	static const struct {
		int64_t at;
		uint32_t code;
	} vectors[] = {
		{ 59, 287082 }, { 1111111109, 81804 }, { 1111111111, 50471 },
		{ 1234567890, 5924 }, { 2000000000, 279037 },
		{ 20000000000, 353130 },
	};
	const uint8_t *secret = (const uint8_t *)"12345678901234567890";
	char code[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		uint64_t step = (uint64_t)vectors[i].at / TOTP_STEP;

		assert_int_equal(totp_code(secret, step), vectors[i].code);
		snprintf(code, sizeof(code), "%06u", vectors[i].code);
		for (int64_t off = -TOTP_STEP; off <= TOTP_STEP;
		    off += TOTP_STEP)
			if (vectors[i].at + off > 2 * TOTP_STEP)
				assert_int_equal(totp_check(secret,
				    span_str(code), vectors[i].at + off),
				    step);
		assert_int_equal(totp_check(secret, span_str(code),
		    vectors[i].at + 3 * TOTP_STEP), 0);
		assert_int_equal(totp_check(secret, span_from(span_str(code),
		    1), vectors[i].at), 0);
	}
}

/* RFC 4648 10, without padding. */
static void
test_base32(void **state)
{
	static const char *const vectors[][2] = {
		{ "", "" }, { "f", "MY" }, { "fo", "MZXQ" },
		{ "foo", "MZXW6" }, { "foob", "MZXW6YQ" },
		{ "fooba", "MZXW6YTB" }, { "foobar", "MZXW6YTBOI" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct text out = TEXT_INIT(0);

		base32_add(&out, span_str(vectors[i][0]));
		assert_true(span_is(text_span(&out), vectors[i][1]));
		text_free(&out);
	}
}

/* ---- strings ----------------------------------------------------------- */

static void
test_strings(void **state)
{
	static const struct {
		const char *text;
		int rc;
		const char *user, *token;
	} bearers[] = {
		{ "n,a=ann=2Cx@a.test,\1host=h\1port=1\1auth=Bearer t\1\1", 1,
		    "ann,x@a.test", "t" },
		{ "n,,\1auth=bearer  t.~+/=\1\1", 1, "", "t.~+/=" },
		{ "y,,\1AUTH=BEARER t\1\1", 1, "", "t" },
		{ "n,,\1auth=Bearer t\1", 0, NULL, NULL },
		{ "n,,\1auth=Bearer t", 0, NULL, NULL },
		{ "n,,\1auth=Bearer t\1\1x", 0, NULL, NULL },
		{ "n,,\1auth=Bearer a b\1\1", 0, NULL, NULL },
		{ "n,,\1auth=Bearer t\1auth=Bearer u\1\1", 0, NULL, NULL },
		{ "n,,\1host\1auth=Bearer t\1\1", 0, NULL, NULL },
		{ "n,,\1\1", 0, NULL, NULL },
		{ "n,a=,\1auth=Bearer t\1\1", 0, NULL, NULL },
		{ "n,a==2D,\1auth=Bearer t\1\1", 0, NULL, NULL },
		{ "n,x=ann,\1auth=Bearer t\1\1", 0, NULL, NULL },
		{ "n,,,\1auth=Bearer t\1\1", 0, NULL, NULL },
		{ "p=x,,\1auth=Bearer t\1\1", 0, NULL, NULL },
		{ "n\1auth=Bearer t\1\1", 0, NULL, NULL },
		{ "", 0, NULL, NULL },
	};
	struct arena *arena = arena_new(64 << 10);
	struct oauth_string s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bearers); i++) {
		assert_int_equal(oauth_read_bearer(span_str(bearers[i].text),
		    arena, &s), bearers[i].rc);
		if (bearers[i].rc != 1)
			continue;
		assert_true(span_is(s.user, bearers[i].user));
		assert_true(span_is(s.token, bearers[i].token));
	}
	assert_int_equal(oauth_read_bearer(SPAN("\1"), arena, &s), 1);
	assert_true(s.dummy);
	assert_int_equal(oauth_read_xoauth2(
	    SPAN("user=ann\1auth=Bearer t\1\1"), &s), 1);
	assert_true(span_is(s.user, "ann") && span_is(s.token, "t"));
	assert_int_equal(oauth_read_xoauth2(SPAN("auth=Bearer t\1\1"), &s),
	    0);
	assert_int_equal(oauth_read_xoauth2(
	    SPAN("user=a\1user=b\1auth=Bearer t\1\1"), &s), 0);
	arena_free(&arena);
}

static void
test_scram_messages(void **state)
{
	static const char *const bad_firsts[] = {
		"", "n", "n,", "n,,", "n,,n=ann", "n,,n=,r=x", "n,,n=ann,r=",
		"n,,r=x,n=ann", "x,,n=ann,r=x", "p,,n=ann,r=x",
		"p=,,n=ann,r=x", "nn,,n=ann,r=x", "n,b=x,n=ann,r=x",
		"n,a=,n=ann,r=x", "n,,m=x,n=ann,r=x", "n,,n=a=ann,r=x",
		"n,,n=ann,r=a b",
	};
	static const char *const bad_finals[] = {
		"", "c=biws", "c=biws,r=x", "r=x,c=biws,p=AAAA",
		"c=!,r=x,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
		"c=biws,r=x,p=AAAA", "c=biws,r=x,p=",
	};
	struct arena *arena = arena_new(64 << 10);
	struct scram_first first;
	struct scram_final final;

	(void)state;
	assert_int_equal(scram_read_first(
	    SPAN("p=tls-exporter,a=b=3Db,n=a=2Cb,r=xyz,e=more"), arena,
	    &first), 1);
	assert_int_equal(first.flag, 'p');
	assert_true(span_is(first.binding, "tls-exporter"));
	assert_true(span_is(first.authzid, "b=b"));
	assert_true(span_is(first.user, "a,b"));
	assert_true(span_is(first.nonce, "xyz"));
	assert_true(span_is(first.header, "p=tls-exporter,a=b=3Db,"));
	assert_true(span_is(first.bare, "n=a=2Cb,r=xyz,e=more"));
	for (size_t i = 0; i < ARRAY_LEN(bad_firsts); i++)
		assert_int_equal(scram_read_first(span_str(bad_firsts[i]),
		    arena, &first), 0);
	assert_int_equal(scram_read_final(SPAN("c=biws,r=x,e=y,"
	    "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="), SCRAM_SHA1, arena, &final), 1);
	assert_true(span_is(final.without_proof, "c=biws,r=x,e=y"));
	assert_true(span_is(final.binding, "n,,"));
	for (size_t i = 0; i < ARRAY_LEN(bad_finals); i++)
		assert_int_equal(scram_read_final(span_str(bad_finals[i]),
		    SCRAM_SHA1, arena, &final), 0);
	arena_free(&arena);
}

/* ---- claims ------------------------------------------------------------ */

static void
test_claims(void **state)
{
	static const struct {
		const char *json;
		bool introspected;
		int rc;
	} rows[] = {
		{ "{\"email\":\"a@b\",\"exp\":1000}", false, 1 },
		{ "{\"email\":\"a@b\",\"exp\":941}", false, 1 },
		{ "{\"email\":\"a@b\",\"exp\":940}", false, 0 },
		{ "{\"email\":\"a@b\",\"exp\":1000.5}", false, 1 },
		{ "{\"email\":\"a@b\",\"exp\":\"1000\"}", false, 0 },
		{ "{\"email\":\"a@b\",\"exp\":-1}", false, 0 },
		{ "{\"email\":\"a@b\",\"exp\":1e300}", false, 1 },
		{ "{\"email\":\"a@b\"}", false, 0 },
		{ "{\"email\":\"a@b\",\"active\":true}", true, 1 },
		{ "{\"email\":\"a@b\",\"active\":\"true\"}", true, 0 },
		{ "{\"email\":\"a@b\",\"exp\":1000}", true, 0 },
		{ "{\"email\":\"a@b\",\"exp\":1,\"active\":true}", true, 0 },
		{ "{\"email\":\"a@b\",\"exp\":2000,\"nbf\":1060}", false, 1 },
		{ "{\"email\":\"a@b\",\"exp\":2000,\"nbf\":1061}", false, 0 },
		{ "{\"email\":\"a@b\",\"exp\":2000,\"nbf\":\"1\"}", false, 0 },
		{ "{\"email\":[\"a@b\"],\"exp\":2000}", false, 0 },
		{ "{\"email\":\"a@b\",\"email\":\"c@d\",\"exp\":2000}", false,
		    0 },
		{ "[]", false, 0 }, { "", false, 0 }, { "{", false, 0 },
	};
	struct arena *arena = arena_new(64 << 10);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct claims_wanted wanted = { .issuer = "", .audience = "",
		    .name = "email", .scope = "", .now = 1000, .leeway = 60,
		    .introspected = rows[i].introspected };
		struct claims claims;
		const char *why;
		int rc = claims_read(span_str(rows[i].json), &wanted, arena,
		    &claims, &why);

		if (rc != rows[i].rc)
			fail_msg("%s: %d", rows[i].json, rc);
		if (rc == 1)
			assert_true(span_is(claims.name, "a@b"));
	}
	arena_free(&arena);
}

/* ---- records that are older -------------------------------------------- */

/* As passwords were written before there was SHA-512: its part is cut off. */
static void
age_password(struct fixture *f, const char *address)
{
	struct account account;
	struct text old = TEXT_INIT(0);
	size_t sha512 = 4 + SCRAM_SALT + 2 * scram_size(SCRAM_SHA512);

	assert_int_equal(directory_login(f->store->directory,
	    span_str(address), f->arena, &account), 1);
	text_add(&old, span_sub(account.credentials, 0,
	    account.credentials.n - sha512));
	old.p[0] = 1;
	assert_int_equal(directory_account_password(f->store->directory,
	    span_str(address), text_span(&old)), RESULT_OK);
	text_free(&old);
}

static void
test_older_record(void **state)
{
	struct sasl_start_request ask = { .service = PROTOCOL_IMAP,
	    .mechanism = SPAN("PLAIN"), .has_initial = 1,
	    .initial = SPAN("\0ann@example.test\0secret"), .tls = 1,
	    .peer = SPAN("192.0.2.1") };
	struct sasl_start_reply said = { 0 }, nobody = { 0 };
	struct scram_keys keys;
	struct account account;
	struct fixture f;
	uint32_t epoch;

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "example.test");
	add_account(&f, "ann@example.test", "secret");
	age_password(&f, "ann@example.test");
	assert_int_equal(directory_login(f.store->directory,
	    SPAN("ann@example.test"), f.arena, &account), 1);
	assert_int_equal(password_scram(account.credentials, SCRAM_SHA256,
	    &keys), 1);
	assert_int_not_equal(keys.iterations, 0);
	assert_int_equal(password_scram(account.credentials, SCRAM_SHA512,
	    &keys), 1);
	assert_int_equal(keys.iterations, 0);
	/* It looks like a name that is not there. */
	ask.mechanism = SPAN("SCRAM-SHA-512");
	ask.initial = SPAN("n,,n=ann@example.test,r=nonce");
	verb_sasl_start(f.store, &from_access, f.arena, &ask, &said);
	ask.initial = SPAN("n,,n=abc@example.test,r=nonce");
	verb_sasl_start(f.store, &from_access, f.arena, &ask, &nobody);
	assert_int_equal(said.result, RESULT_CONTINUE);
	assert_int_equal(nobody.result, RESULT_CONTINUE);
	assert_int_equal(said.challenge.n, nobody.challenge.n);
	/* Who brings the password itself has the keys from then on. */
	ask.mechanism = SPAN("PLAIN");
	ask.initial = SPAN("\0ann@example.test\0secret");
	verb_sasl_start(f.store, &from_access, f.arena, &ask, &said);
	assert_int_equal(said.result, RESULT_OK);
	epoch = account.epoch;
	assert_int_equal(directory_login(f.store->directory,
	    SPAN("ann@example.test"), f.arena, &account), 1);
	assert_int_equal(account.epoch, epoch);
	assert_int_equal(password_scram(account.credentials, SCRAM_SHA512,
	    &keys), 1);
	assert_int_not_equal(keys.iterations, 0);
	assert_int_equal(password_verify(account.credentials,
	    SPAN("secret")), 1);
	fixture_close(&f);
}

/* ---- what goes with an account ----------------------------------------- */

static void
test_removed_account(void **state)
{
	struct app_password_add_request add = {
		.address = SPAN("ann@example.test"), .name = SPAN("phone"),
		.protocols = APP_ALL };
	struct app_password_add_reply added = { 0 };
	struct second_factor_request on = {
		.address = SPAN("ann@example.test"),
		.action = SECOND_FACTOR_ON };
	struct second_factor_reply is_on = { 0 };
	struct account_remove_request remove = {
		.address = SPAN("ann@example.test") };
	struct account_remove_reply removed = { 0 };
	struct app_password *list;
	struct login_rules rules;
	struct fixture f;
	size_t count;
	uint64_t ann;

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "example.test");
	ann = add_account(&f, "ann@example.test", "secret");
	verb_app_password_add(f.store, &from_cli, f.arena, &add, &added);
	assert_int_equal(added.result, RESULT_OK);
	verb_second_factor(f.store, &from_cli, f.arena, &on, &is_on);
	assert_int_equal(is_on.result, RESULT_OK);
	app_password_used(f.store, ann, added.id, PROTOCOL_IMAPS,
	    SPAN("192.0.2.1"));
	assert_int_equal(app_password_save(f.store), 1);
	assert_int_equal(app_password_holds(f.store, ann, added.id), 1);
	verb_account_remove(f.store, &from_cli, f.arena, &remove, &removed);
	assert_int_equal(removed.result, RESULT_OK);
	assert_int_equal(app_password_holds(f.store, ann, added.id), 0);
	assert_int_equal(app_passwords_of(f.store, ann, f.arena, &list,
	    &count), 1);
	assert_int_equal(count, 0);
	assert_int_equal(login_rules_of(f.store, ann, f.arena, &rules), 1);
	assert_false(rules.second_factor);
	fixture_close(&f);
}

static void
test_limit(void **state)
{
	struct app_password_add_request add = {
		.address = SPAN("ann@example.test"), .protocols = APP_IMAP };
	struct app_password_add_reply added = { 0 };
	struct fixture f;

	(void)state;
	fixture_open(&f, false);
	f.settings.limit_app_passwords_per_account = 2;
	add_domain(&f, "example.test");
	add_account(&f, "ann@example.test", "secret");
	for (int i = 0; i < 3; i++) {
		verb_app_password_add(f.store, &from_cli, f.arena, &add,
		    &added);
		assert_int_equal(added.result, i < 2 ? RESULT_OK
		    : RESULT_LIMIT);
		added = (struct app_password_add_reply){ 0 };
	}
	add.protocols = APP_ALL + 1;
	verb_app_password_add(f.store, &from_cli, f.arena, &add, &added);
	assert_int_equal(added.result, RESULT_INVALID);
	fixture_close(&f);
}

/* ---- questions about tokens -------------------------------------------- */

static void
lease(struct fixture *f, const struct caller *relay, struct token_question *q,
    int expected)
{
	struct token_lease_request ask = { 0 };
	struct token_lease_reply said = { 0 };
	struct cursor rows;

	verb_token_lease(f->store, relay, f->arena, &ask, &said);
	rows = (struct cursor){ .rest = said.questions.bytes };
	assert_int_equal(token_question_get(&rows, q), expected);
}

static void
test_questions(void **state)
{
	static const struct caller relay = { RELAY, 0, 5 };
	static const struct caller other = { RELAY, 0, 6 };
	struct oauth *o;
	struct token_question q = { 0 };
	struct token_report_request report = { .status = 200 };
	struct token_report_reply heard = { 0 };
	struct span name;
	const char *why;
	struct fixture f;

	(void)state;
	fixture_open(&f, false);
	o = f.store->auth->oauth;
	assert_int_equal(oauth_check(o, SPAN("t"), f.arena, &name, &why),
	    RESULT_DENIED);
	snprintf(f.settings.oauth_introspection,
	    sizeof(f.settings.oauth_introspection), "https://t.test/");
	assert_int_equal(oauth_check(o, SPAN("t"), f.arena, &name, &why),
	    RESULT_CONTINUE);
	lease(&f, &relay, &q, 1);
	assert_true(span_is(q.token, "t"));
	lease(&f, &relay, &q, 0);		/* it is being asked */
	report.id = q.id;
	report.answer = BLOB_OF(SPAN(
	    "{\"active\":true,\"email\":\"ann@example.test\"}"));
	/* Another process's question is nobody else's to answer. */
	verb_token_report(f.store, &other, f.arena, &report, &heard);
	assert_int_equal(heard.result, RESULT_NOT_FOUND);
	/* relay dies: the next one is told. */
	oauth_link_gone(o, relay.link);
	lease(&f, &other, &q, 1);
	heard = (struct token_report_reply){ 0 };
	verb_token_report(f.store, &other, f.arena, &report, &heard);
	assert_int_equal(heard.result, RESULT_OK);
	assert_int_equal(oauth_check(o, SPAN("t"), f.arena, &name, &why),
	    RESULT_OK);
	assert_true(span_is(name, "ann@example.test"));
	/* Nobody answers: it is over in time. */
	clock_test_set((monotime_t){ 1000 }, clock_wall());
	assert_int_equal(oauth_check(o, SPAN("u"), f.arena, &name, &why),
	    RESULT_CONTINUE);
	clock_test_set((monotime_t){ 1000 + f.settings.oauth_timeout },
	    clock_wall());
	assert_int_equal(oauth_check(o, SPAN("u"), f.arena, &name, &why),
	    RESULT_TEMPORARY);
	clock_test_clear();
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_totp),
		cmocka_unit_test(test_base32),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_scram_messages),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_older_record),
		cmocka_unit_test(test_removed_account),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_role_signer.c - what the signer signs, and for whom it does not.
 *
 * The role's own events, on this process's loop; mx and relay ask from a
 * fiber. Descriptor 3 is the role's line, at whose other end we listen.
 */
#include "base/clock.h"
#include "base/log.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "io/tls.h"
#include "ipc/call.h"
#include "ipc/codec.h"
#include "ipc/wire.h"
#include "role/control.h"
#include "role/dkim_pem.h"
#include "verify/dkim.h"

#include <setjmp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct link *mx, *relay;
static int line;		/* what the supervisor would hear */
static struct arena *arena;
static X509 *certificates[2];
static uint8_t ids[2][32];

/* RFC 8446 4.4.3: what a server signs in its CertificateVerify. */
static char handshake[64 + 33 + 1 + 32];

/* A key to sign with arrives, as the supervisor hands it over. */
static void
hand_over_a_key(int i)
{
	static const char *const names[] = { "mail.example.test" };
	struct text cert = TEXT_INIT(65536), key = TEXT_INIT(65536);
	struct text why = TEXT_INIT(1000);
	struct tls_key *k;
	BIO *bio;

	assert_int_equal(tls_make_self_signed(names, 1, 30, &cert, &key), 1);
	bio = BIO_new_mem_buf(cert.p, (int)cert.n);
	certificates[i] = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	k = tls_key_new(text_span(&key), &why);
	assert_non_null(k);
	tls_key_id(k, ids[i]);
	tls_key_free(&k);
	signer_events.private_key(memfd_sealed(text_span(&key)));
	text_free(&cert);
	text_wipe(&key);
	text_free(&why);
}

struct question {
	struct sign_request ask;
	struct sign_reply reply;
	int got;
};

static void
ask_on_fiber(void *arg)
{
	struct question *q = arg;

	q->got = call_sign(mx, arena, &q->ask, &q->reply);
	loop_stop();
}

static struct sign_reply
ask(const uint8_t *key, struct span message)
{
	struct question q = { .ask = { .key = span_of(key, 32),
	    .scheme = TLS_ECDSA_SHA256, .message = message } };

	assert_int_equal(fiber_start(ask_on_fiber, &q), 1);
	loop_run();
	assert_int_equal(q.got, 1);
	return q.reply;
}

static bool
verifies(X509 *cert, struct span message, struct span signature)
{
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	bool good = EVP_DigestVerifyInit(m, NULL, EVP_sha256(), NULL,
	    X509_get0_pubkey(cert)) == 1 && EVP_DigestVerify(m,
	    (const unsigned char *)signature.p, signature.n,
	    (const unsigned char *)message.p, message.n) == 1;

	EVP_MD_CTX_free(m);
	return good;
}

static int
setup(void **state)
{
	struct settings s;
	int ends[2];

	(void)state;
	memset(handshake, ' ', 64);
	memcpy(handshake + 64, "TLS 1.3, server CertificateVerify", 34);
	memset(handshake + 98, 'h', 32);
	settings_default(&s);
	arena = arena_new(1 << 20);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return -1;
	line = ends[1] == CONTROL_FD ? dup(ends[1]) : ends[1];
	if (ends[0] != CONTROL_FD && dup2(ends[0], CONTROL_FD) < 0)
		return -1;
	if (loop_open() != 1 || socketpair(AF_UNIX,
	    SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return -1;
	signer_events.settings(&s);
	mx = link_new(MX, SIGNER);
	signer_events.peer(MX, 0, ends[0]);
	link_attach(mx, ends[1]);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return -1;
	relay = link_new(RELAY, SIGNER);
	signer_events.peer(RELAY, 0, ends[0]);
	link_attach(relay, ends[1]);
	hand_over_a_key(0);
	return 0;
}

static void
a_handshake_is_signed(void **state)
{
	struct span message = span_of(handshake, sizeof(handshake));
	struct sign_reply r = ask(ids[0], message);

	(void)state;
	assert_int_equal(r.result, RESULT_OK);
	assert_true(verifies(certificates[0], message, r.signature));
}

/* A captured edge process gets no signature under anything else. */
static void
nothing_else_is_signed(void **state)
{
	char bent[sizeof(handshake)];

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	memcpy(bent, handshake, sizeof(bent));
	bent[70] ^= 1;
	assert_int_equal(ask(ids[0], span_of(bent, sizeof(bent))).result,
	    RESULT_DENIED);
	assert_int_equal(ask(ids[0], SPAN("DKIM-Signature: v=1")).result,
	    RESULT_DENIED);
	assert_int_equal(ask(ids[0], SPAN_EMPTY).result, RESULT_DENIED);
	/* A client's handshake is not ours to make. */
	memcpy(bent, handshake, sizeof(bent));
	memcpy(bent + 64 + 9, "client", 6);
	assert_int_equal(ask(ids[0], span_of(bent, sizeof(bent))).result,
	    RESULT_DENIED);
}

static void
an_older_key_stays_after_a_newer_came(void **state)
{
	struct span message = span_of(handshake, sizeof(handshake));
	struct sign_reply r;
	uint8_t unknown[32] = { 1 };

	(void)state;
	assert_int_equal(ask(unknown, message).result, RESULT_NOT_FOUND);
	hand_over_a_key(1);
	for (int i = 0; i < 2; i++) {
		r = ask(ids[i], message);
		assert_int_equal(r.result, RESULT_OK);
		assert_true(verifies(certificates[i], message, r.signature));
	}
}

/* ---- keys of domains ------------------------------------------------------ */

static struct text pems[DKIM_ALGORITHMS];

static void
put_secret(struct text *out, const char *domain, const char *selector,
    int64_t created, bool retired, struct span pem)
{
	struct dkim_secret row = { .domain = span_str(domain),
	    .selector = span_str(selector), .created = created,
	    .retired = retired, .pem = pem };

	dkim_secret_put(out, &row);
}

/* Two generations of a.test, of which one file is broken, and b.test. */
static void
hand_over_domains(void)
{
	struct text all = TEXT_INIT(0);

	for (unsigned i = 0; i < DKIM_ALGORITHMS; i++)
		if (pems[i].n == 0)
			assert_int_equal(dkim_pem_make((enum dkim_algorithm)i,
			    &pems[i]), 1);
	put_secret(&all, "a.test", "old", 100, true,
	    text_span(&pems[DKIM_RSA_SHA256]));
	put_secret(&all, "b.test", "one", 100, false,
	    text_span(&pems[DKIM_ED25519_SHA256]));
	put_secret(&all, "a.test", "new", 300, false,
	    text_span(&pems[DKIM_RSA_SHA256]));
	put_secret(&all, "a.test", "mid", 200, false,
	    text_span(&pems[DKIM_ED25519_SHA256]));
	put_secret(&all, "c.test", "bad", 1, false, SPAN("no key"));
	signer_events.dkim_secrets(text_span(&all));
	text_wipe(&all);
}

struct dkim_question {
	struct dkim_keys_request keys;
	struct dkim_sign_request sign;
	struct dkim_keys_reply known;
	struct dkim_sign_reply reply;
	int got;
};

static void
ask_keys_on_fiber(void *arg)
{
	struct dkim_question *q = arg;

	q->got = call_dkim_keys(relay, arena, &q->keys, &q->known);
	loop_stop();
}

static void
ask_signature_on_fiber(void *arg)
{
	struct dkim_question *q = arg;

	q->got = call_dkim_sign(relay, arena, &q->sign, &q->reply);
	loop_stop();
}

/* "selector algorithm retired;" each, or the result's name. */
static const char *
keys_known(const char *domain)
{
	struct dkim_question q = { .keys.domain = span_str(domain) };
	struct text t = TEXT_INIT(0);
	struct dkim_key_row row;
	struct cursor c;
	const char *words;

	assert_int_equal(fiber_start(ask_keys_on_fiber, &q), 1);
	loop_run();
	assert_int_equal(q.got, 1);
	c = (struct cursor){ .rest = q.known.keys.bytes };
	while (q.known.result == RESULT_OK &&
	    dkim_key_row_get(&c, &row) == 1) {
		assert_true(row.public_key.n > 40);
		text_printf(&t, "%.*s %u %u;", SPAN_ARG(row.selector),
		    row.algorithm, row.retired);
	}
	words = q.known.result != RESULT_OK ? result_name(q.known.result) :
	    arena_cstr(arena, text_span(&t));
	text_free(&t);
	return words;
}

static struct dkim_sign_reply
ask_dkim(const char *domain, const char *selector, struct span input)
{
	struct dkim_question q = { .sign = { .domain = span_str(domain),
	    .selector = span_str(selector), .input = BLOB_OF(input) } };

	assert_int_equal(fiber_start(ask_signature_on_fiber, &q), 1);
	loop_run();
	assert_int_equal(q.got, 1);
	return q.reply;
}

#define INPUT(algorithm, domain, selector, signature)			\
    "from:a@a.test\r\ndkim-signature:v=1; a=" algorithm		\
    "; c=relaxed/relaxed; d=" domain "; s=" selector "; h=From; "	\
    "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=" signature

static void
keys_of_a_domain_newest_first(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	assert_string_equal(keys_known("a.test"),
	    result_name(RESULT_NOT_FOUND));
	hand_over_domains();
	assert_string_equal(keys_known("a.test"), "new 0 0;mid 1 0;old 0 1;");
	assert_string_equal(keys_known("b.test"), "one 1 0;");
	assert_string_equal(keys_known("c.test"),
	    result_name(RESULT_NOT_FOUND));
	/* What is not among the next ones is forgotten. */
	signer_events.dkim_secrets(SPAN_EMPTY);
	assert_string_equal(keys_known("a.test"),
	    result_name(RESULT_NOT_FOUND));
	hand_over_domains();
}

/* What the supervisor hears: "domain selector", or "" nothing. */
static const char *
heard(void)
{
	static char buffer[FRAME_MAX];
	union any_message m;
	struct frame_in f;

	if (frame_receive(line, &f, buffer, false) != 1)
		return "";
	assert_int_equal(f.verb, VERB_dkim_used);
	assert_int_equal(codec_decode(&f, &m), 1);
	return arena_printf(arena, "%.*s %.*s",
	    SPAN_ARG(m.dkim_used_note.domain),
	    SPAN_ARG(m.dkim_used_note.selector)).p;
}

static void
a_header_is_signed(void **state)
{
	struct span rsa = SPAN(INPUT("rsa-sha256", "a.test", "new", ""));
	struct span ed = SPAN(INPUT("ed25519-sha256", "a.test", "mid", ""));
	struct text why = TEXT_INIT(0);
	struct dkim_sign_reply r;
	struct dkim_pem *k;
	uint8_t want[DKIM_SIGNATURE_MAX];
	size_t n;

	(void)state;
	hand_over_domains();
	for (int i = 0; i < 2; i++) {
		r = ask_dkim("a.test", i == 0 ? "new" : "mid",
		    i == 0 ? rsa : ed);
		assert_int_equal(r.result, RESULT_OK);
		k = dkim_pem_new(text_span(&pems[i]), &why);
		assert_int_equal(dkim_pem_sign(k, i == 0 ? rsa : ed, want,
		    &n), 1);
		assert_true(span_eq(r.signature, span_of(want, n)));
		dkim_pem_free(&k);
		/* Told once. */
		assert_string_equal(heard(), i == 0 ? "a.test new" :
		    "a.test mid");
		ask_dkim("a.test", i == 0 ? "new" : "mid", i == 0 ? rsa : ed);
		assert_string_equal(heard(), "");
	}
	text_free(&why);
}

/* A captured relay gets no signature under anything else. */
static void
no_other_text_is_signed_for_a_domain(void **state)
{
	static const char *const others[] = {
		"", "\n", "from:a@a.test\r\n", "a text without end",
		/* Another key's, domain's, algorithm's; one that is signed;
		 * a field behind it; another form. */
		INPUT("rsa-sha256", "a.test", "mid", ""),
		INPUT("rsa-sha256", "b.test", "new", ""),
		INPUT("ed25519-sha256", "a.test", "new", ""),
		INPUT("rsa-sha256", "a.test", "new", "AAAA"),
		INPUT("rsa-sha256", "a.test", "new", "") "\r\nto:x",
		INPUT("rsa-sha256", "a.test", "new", "") "\r\n",
		("dkim-signature:v=1; a=rsa-sha256; d=a.test; s=new; h=From; "
		    "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b="),
		"DKIM-Signature: v=1",
	};
	struct span handshake_now = span_of(handshake, sizeof(handshake));

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	hand_over_domains();
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_int_equal(ask_dkim("a.test", "new",
		    span_str(others[i])).result, RESULT_DENIED);
	assert_int_equal(ask_dkim("a.test", "new", handshake_now).result,
	    RESULT_DENIED);
	assert_int_equal(ask_dkim("a.test", "nobody", SPAN(INPUT(
	    "rsa-sha256", "a.test", "nobody", ""))).result,
	    RESULT_NOT_FOUND);
	assert_int_equal(ask_dkim("z.test", "new", SPAN_EMPTY).result,
	    RESULT_NOT_FOUND);
	assert_string_equal(heard(), "");
}

static int
teardown(void **state)
{
	(void)state;
	link_free(&mx);
	link_free(&relay);
	text_wipe(&pems[DKIM_RSA_SHA256]);
	text_wipe(&pems[DKIM_ED25519_SHA256]);
	signer_events.stop(0);
	X509_free(certificates[0]);
	X509_free(certificates[1]);
	arena_free(&arena);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handshake_is_signed),
		cmocka_unit_test(nothing_else_is_signed),
		cmocka_unit_test(an_older_key_stays_after_a_newer_came),
		cmocka_unit_test(keys_of_a_domain_newest_first),
		cmocka_unit_test(a_header_is_signed),
		cmocka_unit_test(no_other_text_is_signed_for_a_domain),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * test_role_signer.c - what the signer signs, and for whom it does not.
 *
 * The role's own events, on this process's loop; mx asks from a fiber.
 */
#include "base/clock.h"
#include "base/log.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "io/tls.h"
#include "ipc/call.h"
#include "ipc/wire.h"
#include "role/control.h"

#include <setjmp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct link *mx;
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
	if (loop_open() != 1 || socketpair(AF_UNIX,
	    SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return -1;
	signer_events.settings(&s);
	mx = link_new(MX, SIGNER);
	signer_events.peer(MX, 0, ends[0]);
	link_attach(mx, ends[1]);
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

static int
teardown(void **state)
{
	(void)state;
	link_free(&mx);
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
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

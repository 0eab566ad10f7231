/*
 * tls_proof.c - a client's certificate and its signature.
 *
 * OpenSSL shows each message of the handshake as it goes by; what was said up
 * to the client's CertificateVerify is what that signs, by its hash. With a
 * HelloRetryRequest the first ClientHello stands in it as a hash of its own
 * (RFC 8446 4.4.1).
 */
#include "io/tls_proof.h"

#include <stdlib.h>

#include <openssl/evp.h>

enum {
	HEADER = 4,			/* of a handshake message */
	CLIENT_HELLO = 1, SERVER_HELLO = 2, CERTIFICATE_VERIFY = 15,
	MESSAGE_HASH = 254,
	RANDOM_AT = HEADER + 2, RANDOM = 32,
	SAID_MAX = 256 << 10,
	CHAIN_MAX = 24 << 10,
};

struct tls_proof {
	struct text said;		/* until the signature comes */
	size_t first;			/* bytes of a first ClientHello */
	struct text chain;		/* DER, leaf first */
	struct text signature;
	uint32_t scheme;
	uint8_t transcript[EVP_MAX_MD_SIZE];
	unsigned transcript_n;		/* 0: no signature has come */
};

/* RFC 8446 4.1.3: this random makes a ServerHello a HelloRetryRequest. */
static bool
asks_again(struct span message)
{
	static const uint8_t retry[RANDOM] = {
		0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
		0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
		0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
		0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
	};

	return message.n >= RANDOM_AT + RANDOM && memcmp(message.p +
	    RANDOM_AT, retry, RANDOM) == 0;
}

static void
hash_said(struct tls_proof *p, const EVP_MD *md)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	struct span said = text_span(&p->said);
	uint8_t first[HEADER + EVP_MAX_MD_SIZE] = { MESSAGE_HASH };
	unsigned n = 0;

	must(c != NULL && EVP_DigestInit_ex(c, md, NULL) == 1);
	if (p->first > 0) {
		must(EVP_Digest(said.p, p->first, first + HEADER, &n, md,
		    NULL) == 1);
		first[HEADER - 1] = (uint8_t)n;
		must(EVP_DigestUpdate(c, first, HEADER + n) == 1);
		said = span_from(said, p->first);
	}
	must(EVP_DigestUpdate(c, said.p, said.n) == 1);
	must(EVP_DigestFinal_ex(c, p->transcript, &p->transcript_n) == 1);
	EVP_MD_CTX_free(c);
}

/* scheme, then the signature behind its length */
static void
take_signature(struct tls_proof *p, SSL *ssl, struct span message)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	const uint8_t *b = (const uint8_t *)message.p + HEADER;
	const EVP_MD *md;

	if (SSL_version(ssl) != TLS1_3_VERSION || cipher == NULL ||
	    message.n < HEADER + 4 || text_full(&p->said) ||
	    (md = SSL_CIPHER_get_handshake_digest(cipher)) == NULL)
		return;
	p->scheme = (uint32_t)b[0] << 8 | b[1];
	text_add(&p->signature, span_from(message, HEADER + 4));
	hash_said(p, md);
	text_free(&p->said);
	/* Who resumes proves nothing anew: no tickets for this one. */
	SSL_set_num_tickets(ssl, 0);
}

static void
on_message(int sent, int version, int type, const void *bytes, size_t n,
    SSL *ssl, void *arg)
{
	struct tls_proof *p = arg;
	struct span message = span_of(bytes, n);

	(void)version;
	if (type != SSL3_RT_HANDSHAKE || n < HEADER || p->transcript_n > 0)
		return;
	if (!sent && message.p[0] == CERTIFICATE_VERIFY) {
		take_signature(p, ssl, message);
		return;
	}
	if (sent && message.p[0] == SERVER_HELLO && asks_again(message))
		p->first = p->said.n;
	text_add(&p->said, message);
}

struct tls_proof *
tls_proof_new(SSL *ssl)
{
	struct tls_proof *p = xcalloc(1, sizeof(*p));

	p->said = TEXT_INIT(SAID_MAX);
	p->chain = TEXT_INIT(CHAIN_MAX);
	p->signature = TEXT_INIT(2048);
	SSL_set_msg_callback(ssl, on_message);
	SSL_set_msg_callback_arg(ssl, p);
	return p;
}

void
tls_proof_free(struct tls_proof **pp)
{
	struct tls_proof *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	text_free(&p->said);
	text_free(&p->chain);
	text_free(&p->signature);
	free(p);
}

static void
add_certificate(struct tls_proof *p, X509 *certificate)
{
	uint8_t *der = NULL;
	int n = i2d_X509(certificate, &der);

	if (n > 0)
		text_add(&p->chain, span_of(der, (size_t)n));
	OPENSSL_free(der);
}

bool
tls_proof_finish(struct tls_proof *p, SSL *ssl)
{
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);

	SSL_set_msg_callback(ssl, NULL);
	SSL_set_msg_callback_arg(ssl, NULL);
	text_free(&p->said);
	if (leaf == NULL || p->transcript_n == 0 ||
	    SSL_get_verify_result(ssl) != X509_V_OK)
		return false;
	add_certificate(p, leaf);
	for (int i = 0; i < sk_X509_num(chain); i++)
		add_certificate(p, sk_X509_value(chain, i));
	return !text_full(&p->chain) && !text_full(&p->signature);
}

void
tls_proof_show(const struct tls_proof *p, struct stream_proof *out)
{
	*out = (struct stream_proof){ .scheme = p->scheme,
	    .chain = text_span(&p->chain),
	    .transcript = span_of(p->transcript, p->transcript_n),
	    .signature = text_span(&p->signature) };
}

/*
 * client_certificate.c - chains and signatures of clients.
 */
#include "store/client_certificate.h"
#include "ipc/wire.h"

#include <pthread.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

enum { CHAIN_CERTIFICATES_MAX = 8, CONTEXT_BLANKS = 64 };

struct certificates {
	pthread_mutex_t lock;
	X509_STORE *trusted;		/* NULL: nobody */
};

struct certificates *
certificates_new(void)
{
	struct certificates *c = xcalloc(1, sizeof(*c));

	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void
certificates_free(struct certificates **cp)
{
	struct certificates *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	X509_STORE_free(c->trusted);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int
certificates_set(struct certificates *c, struct span pem, struct text *why)
{
	BIO *in = BIO_new_mem_buf(pem.p != NULL ? pem.p : "", (int)pem.n);
	X509_STORE *fresh = X509_STORE_new(), *old;
	size_t count = 0;
	X509 *one;

	must(in != NULL && fresh != NULL);
	while ((one = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
		must(X509_STORE_add_cert(fresh, one) == 1);
		X509_free(one);
		count++;
	}
	BIO_free(in);
	ERR_clear_error();
	if (count == 0) {
		X509_STORE_free(fresh);
		fresh = NULL;
		if (pem.n > 0)
			text_str(why, "no certificate can be read");
	}
	pthread_mutex_lock(&c->lock);
	old = c->trusted;
	c->trusted = fresh;
	pthread_mutex_unlock(&c->lock);
	X509_STORE_free(old);
	return pem.n == 0 || count > 0;
}

/* -- the signature --------------------------------------------------------- */

/* RFC 8446 4.2.3: those that a client may use in TLS 1.3. */
static const struct scheme {
	uint32_t number;
	const char *key;		/* its type */
	const EVP_MD *(*md)(void);	/* NULL: the key's own */
	bool pss;
} schemes[] = {
	{ 0x0403, "EC", EVP_sha256, false },
	{ 0x0503, "EC", EVP_sha384, false },
	{ 0x0603, "EC", EVP_sha512, false },
	{ 0x0804, "RSA", EVP_sha256, true },
	{ 0x0805, "RSA", EVP_sha384, true },
	{ 0x0806, "RSA", EVP_sha512, true },
	{ 0x0807, "ED25519", NULL, false },
	{ 0x0809, "RSA-PSS", EVP_sha256, true },
	{ 0x080a, "RSA-PSS", EVP_sha384, true },
	{ 0x080b, "RSA-PSS", EVP_sha512, true },
};

static const struct scheme *
find_scheme(uint32_t number, EVP_PKEY *key)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (schemes[i].number == number &&
		    EVP_PKEY_is_a(key, schemes[i].key) == 1)
			return &schemes[i];
	return NULL;
}

/* RFC 8446 4.4.3: blanks, what it is for, NUL, the hash of the handshake. */
static void
signed_text(struct text *out, struct span transcript)
{
	for (int i = 0; i < CONTEXT_BLANKS; i++)
		text_char(out, ' ');
	text_str(out, "TLS 1.3, client CertificateVerify");
	text_char(out, '\0');
	text_add(out, transcript);
}

static bool
signature_holds(EVP_PKEY *key, const struct client_proof *proof)
{
	const struct scheme *scheme = find_scheme(proof->scheme, key);
	struct text message = TEXT_INIT(0);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how = NULL;
	bool good;

	must(c != NULL);
	signed_text(&message, proof->transcript);
	good = scheme != NULL && proof->transcript.n >= 32 &&
	    EVP_DigestVerifyInit(c, &how, scheme->md != NULL ? scheme->md()
	    : NULL, NULL, key) == 1;
	if (good && scheme->pss)
		good = EVP_PKEY_CTX_set_rsa_padding(how,
		    RSA_PKCS1_PSS_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(how,
		    RSA_PSS_SALTLEN_DIGEST) == 1;
	good = good && EVP_DigestVerify(c,
	    (const uint8_t *)proof->signature.p, proof->signature.n,
	    (const uint8_t *)message.p, message.n) == 1;
	EVP_MD_CTX_free(c);
	text_free(&message);
	return good;
}

/* -- the chain ------------------------------------------------------------- */

static STACK_OF(X509) *
read_chain(struct span der)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	const uint8_t *p = (const uint8_t *)der.p;
	const uint8_t *end = p + der.n;

	must(chain != NULL);
	while (p < end && sk_X509_num(chain) < CHAIN_CERTIFICATES_MAX) {
		X509 *one = d2i_X509(NULL, &p, end - p);

		if (one == NULL)
			break;
		sk_X509_push(chain, one);
	}
	return chain;
}

static bool
chain_holds(struct certificates *c, STACK_OF(X509) *chain)
{
	X509_STORE_CTX *check = X509_STORE_CTX_new();
	bool good = false;

	must(check != NULL);
	pthread_mutex_lock(&c->lock);
	if (c->trusted != NULL && X509_STORE_CTX_init(check, c->trusted,
	    sk_X509_value(chain, 0), chain) == 1 &&
	    X509_STORE_CTX_set_purpose(check, X509_PURPOSE_SSL_CLIENT) == 1)
		good = X509_verify_cert(check) == 1;
	X509_STORE_CTX_free(check);
	pthread_mutex_unlock(&c->lock);
	return good;
}

/* -- names ----------------------------------------------------------------- */

static void
add_name(struct certificate_names *out, struct arena *arena,
    struct span name)
{
	struct span copy = arena_dup(arena, name);

	if (out->count < CERTIFICATE_NAMES_MAX && copy.n > 0 &&
	    copy.p != NULL && span_find_char(copy, '\0', 0) == SIZE_MAX)
		out->names[out->count++] = copy;
}

static void
add_addresses(X509 *leaf, struct arena *arena, struct certificate_names *out)
{
	STACK_OF(OPENSSL_STRING) *list = X509_get1_email(leaf);

	for (int i = 0; i < sk_OPENSSL_STRING_num(list); i++)
		add_name(out, arena,
		    span_str(sk_OPENSSL_STRING_value(list, i)));
	X509_email_free(list);
}

static void
add_common_names(X509 *leaf, struct arena *arena,
    struct certificate_names *out)
{
	X509_NAME *subject = X509_get_subject_name(leaf);
	int at = -1;

	while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName,
	    at)) >= 0) {
		uint8_t *utf8 = NULL;
		int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(
		    X509_NAME_get_entry(subject, at)));

		if (n > 0)
			add_name(out, arena, span_of(utf8, (size_t)n));
		OPENSSL_free(utf8);
	}
}

int
certificates_check(struct certificates *c, struct span record,
    bool common_name, struct arena *arena, struct certificate_names *out)
{
	struct cursor cursor = { record, false };
	struct client_proof proof;
	STACK_OF(X509) *chain;
	X509 *leaf;
	int rc = 0;

	*out = (struct certificate_names){ .count = 0 };
	if (client_proof_get(&cursor, &proof) != 1 || cursor.rest.n > 0)
		return 0;
	chain = read_chain(proof.chain);
	leaf = sk_X509_num(chain) > 0 ? sk_X509_value(chain, 0) : NULL;
	if (leaf != NULL && chain_holds(c, chain) &&
	    signature_holds(X509_get0_pubkey(leaf), &proof)) {
		if (common_name)
			add_common_names(leaf, arena, out);
		else
			add_addresses(leaf, arena, out);
		rc = out->count > 0;
	}
	sk_X509_pop_free(chain, X509_free);
	ERR_clear_error();
	return rc;
}

/*
 * dkim_pem.c - a private key that signs for a domain.
 */
#include "role/dkim_pem.h"
#include "mail/encode.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>

struct dkim_pem {
	EVP_PKEY *key;
	enum dkim_algorithm algorithm;
	struct text public;
};

static int
no_pass_phrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

/* RSA: SubjectPublicKeyInfo (RFC 6376 3.6.1); Ed25519: the bare 32 bytes
 * (RFC 8463 4). */
static int
write_public(struct dkim_pem *k)
{
	unsigned char raw[32], *der = NULL;
	size_t n = sizeof(raw);
	int length;

	if (k->algorithm == DKIM_ED25519_SHA256) {
		if (EVP_PKEY_get_raw_public_key(k->key, raw, &n) != 1)
			return -1;
		base64_add(&k->public, span_of(raw, n));
		return 1;
	}
	length = i2d_PUBKEY(k->key, &der);
	if (length <= 0)
		return -1;
	base64_add(&k->public, span_of(der, (size_t)length));
	OPENSSL_free(der);
	return 1;
}

/* What it is, if it is of use. */
static int
know_key(struct dkim_pem *k, struct text *why)
{
	int kind, bits;

	if (k->key == NULL) {
		text_str(why, "no private key in PEM (one with a password "
		    "cannot be used)");
		return 0;
	}
	kind = EVP_PKEY_get_base_id(k->key);
	bits = EVP_PKEY_get_bits(k->key);
	if (kind == EVP_PKEY_ED25519) {
		k->algorithm = DKIM_ED25519_SHA256;
	} else if (kind == EVP_PKEY_RSA && bits >= DKIM_RSA_LEAST &&
	    bits <= DKIM_RSA_MOST) {
		k->algorithm = DKIM_RSA_SHA256;
	} else {
		text_printf(why, "neither an Ed25519 key nor RSA of %d to %d "
		    "bits", DKIM_RSA_LEAST, DKIM_RSA_MOST);
		return 0;
	}
	return write_public(k);
}

struct dkim_pem *
dkim_pem_new(struct span pem, struct text *why)
{
	struct dkim_pem *k = xcalloc(1, sizeof(*k));
	BIO *in = BIO_new_mem_buf(pem.n > 0 ? pem.p : "",
	    (int)MIN(pem.n, (size_t)DKIM_PEM_MAX));

	must(in != NULL);
	k->key = PEM_read_bio_PrivateKey(in, NULL, no_pass_phrase, NULL);
	BIO_free(in);
	if (know_key(k, why) != 1)
		dkim_pem_free(&k);
	ERR_clear_error();
	return k;
}

void
dkim_pem_free(struct dkim_pem **p)
{
	if (*p == NULL)
		return;
	EVP_PKEY_free((*p)->key);
	text_free(&(*p)->public);
	free(*p);
	*p = NULL;
}

enum dkim_algorithm
dkim_pem_algorithm(const struct dkim_pem *k)
{
	return k->algorithm;
}

struct span
dkim_pem_public(const struct dkim_pem *k)
{
	return text_span(&k->public);
}

int
dkim_pem_sign(const struct dkim_pem *k, struct span input,
    uint8_t out[DKIM_SIGNATURE_MAX], size_t *n)
{
	bool rsa = k->algorithm == DKIM_RSA_SHA256;
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	unsigned char hash[32];
	int r;

	*n = DKIM_SIGNATURE_MAX;
	r = m != NULL && EVP_Digest(input.p, input.n, hash, NULL,
	    EVP_sha256(), NULL) == 1 && EVP_DigestSignInit(m, NULL,
	    rsa ? EVP_sha256() : NULL, NULL, k->key) == 1 &&
	    EVP_DigestSign(m, out, n, rsa ? (const unsigned char *)input.p :
	    hash, rsa ? input.n : sizeof(hash)) == 1;
	EVP_MD_CTX_free(m);
	ERR_clear_error();
	return r ? 1 : -1;
}

int
dkim_pem_make(enum dkim_algorithm algorithm, struct text *pem)
{
	EVP_PKEY *key = algorithm == DKIM_RSA_SHA256 ?
	    EVP_RSA_gen(DKIM_RSA_BITS) :
	    EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	BIO *out = BIO_new(BIO_s_secmem());
	char *p;
	long n;
	int made = key != NULL && out != NULL &&
	    PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL,
	    NULL) == 1;

	if (made) {
		n = BIO_get_mem_data(out, &p);
		text_add(pem, span_of(p, (size_t)n));
	}
	BIO_free(out);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return made && !text_full(pem) ? 1 : -1;
}

/*
 * tls_key.c - the signer's side: private keys and what they may sign.
 *
 * A private key signs for TLS handshakes only: tls_is_handshake() recognises
 * them by their fixed form, so that a captured edge role cannot have anything
 * else signed (a certificate request, a DKIM header, another protocol's
 * challenge). What it can have signed are handshakes, as long as it lasts.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/secret.h"
#include "io/tls_impl.h"

struct tls_key {
	EVP_PKEY *key;
	uint8_t id[32];
};

/* -- keys ---- */

/* A key behind a pass phrase is no use to a server that starts by itself. */
static int
no_pass_phrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

int
tls_public_id(EVP_PKEY *key, uint8_t out[32])
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	int done;

	if (n <= 0)
		return -1;
	done = EVP_Digest(der, (size_t)n, out, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	return done == 1 ? 1 : -1;
}

struct tls_key *
tls_key_new(struct span pem, struct text *why)
{
	struct tls_key *k = xcalloc(1, sizeof(*k));
	BIO *in;

	tls_library();
	must(pem.n <= INT32_MAX);
	in = BIO_new_mem_buf(pem.p, (int)pem.n);
	must(in != NULL);
	k->key = PEM_read_bio_PrivateKey(in, NULL, no_pass_phrase, NULL);
	BIO_free(in);
	if (k->key == NULL || tls_public_id(k->key, k->id) == -1) {
		tls_why(why, "the private key cannot be read");
		tls_key_free(&k);
	}
	return k;
}

void
tls_key_free(struct tls_key **p)
{
	if (*p != NULL)
		EVP_PKEY_free((*p)->key);
	free(*p);
	*p = NULL;
}

void
tls_key_id(const struct tls_key *k, uint8_t out[32])
{
	memcpy(out, k->id, 32);
}

/* -- signing ---- */

struct algorithm {
	enum tls_signature signature;
	const char *key;
	const EVP_MD *(*digest)(void);	/* NULL: part of the signature */
	bool pss;
};

static const struct algorithm algorithms[] = {
	{ TLS_RSA_PKCS1_SHA256, "RSA", EVP_sha256, false },
	{ TLS_RSA_PKCS1_SHA384, "RSA", EVP_sha384, false },
	{ TLS_RSA_PKCS1_SHA512, "RSA", EVP_sha512, false },
	{ TLS_ECDSA_SHA256, "EC", EVP_sha256, false },
	{ TLS_ECDSA_SHA384, "EC", EVP_sha384, false },
	{ TLS_ECDSA_SHA512, "EC", EVP_sha512, false },
	{ TLS_RSA_PSS_SHA256, "RSA", EVP_sha256, true },
	{ TLS_RSA_PSS_SHA384, "RSA", EVP_sha384, true },
	{ TLS_RSA_PSS_SHA512, "RSA", EVP_sha512, true },
	{ TLS_ED25519, "ED25519", NULL, false },
};

static const struct algorithm *
algorithm_of(enum tls_signature signature)
{
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
		if (algorithms[i].signature == signature)
			return &algorithms[i];
	return NULL;
}

/* RFC 8446 4.2.3: the salt is as long as the digest. */
static bool
set_padding(EVP_PKEY_CTX *ctx)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
}

int
tls_key_sign(struct tls_key *k, enum tls_signature signature,
    struct span message, uint8_t *out, size_t *n, size_t room)
{
	const struct algorithm *a = algorithm_of(signature);
	EVP_MD_CTX *md;
	EVP_PKEY_CTX *ctx = NULL;
	int done = -1;

	if (a == NULL || !EVP_PKEY_is_a(k->key, a->key))
		return -1;
	md = EVP_MD_CTX_new();
	must(md != NULL);
	*n = room;
	if (EVP_DigestSignInit(md, &ctx, a->digest != NULL ? a->digest()
	    : NULL, NULL, k->key) == 1 && (!a->pss || set_padding(ctx)) &&
	    EVP_DigestSign(md, out, n, (const void *)message.p,
	    message.n) == 1)
		done = 1;
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return done;
}

/* -- what TLS signs ---- */

/* RFC 8446 4.4.3: 64 spaces, the context, a zero, a transcript hash. */
static bool
is_certificate_verify(struct span m)
{
	static const char context[] = "TLS 1.3, server CertificateVerify";
	enum { PAD = 64 };
	const size_t head = PAD + sizeof(context);

	if (m.n != head + 32 && m.n != head + 48)
		return false;
	for (size_t i = 0; i < PAD; i++)
		if (m.p[i] != ' ')
			return false;
	return memcmp(m.p + PAD, context, sizeof(context)) == 0;
}

/*
 * RFC 5246 7.4.3, RFC 8422 5.4: two randoms, then a named curve (type 3) and
 * a point on it.
 */
static bool
is_key_exchange(struct span m)
{
	static const struct { unsigned curve; size_t point; } curves[] = {
		{ 23, 65 }, { 24, 97 }, { 25, 133 }, { 29, 32 }, { 30, 56 },
	};
	const uint8_t *p;

	if (m.n < 68)
		return false;
	p = (const uint8_t *)m.p + 64;
	if (p[0] != 3)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(curves); i++)
		if (((unsigned)p[1] << 8 | p[2]) == curves[i].curve)
			return p[3] == curves[i].point &&
			    m.n == 68 + curves[i].point;
	return false;
}

bool
tls_is_handshake(enum tls_signature signature, struct span message)
{
	const struct algorithm *a = algorithm_of(signature);

	if (a == NULL)
		return false;
	if (is_key_exchange(message))
		return true;
	/* TLS 1.3 has no use for PKCS #1 here. */
	return (strcmp(a->key, "RSA") != 0 || a->pss) &&
	    is_certificate_verify(message);
}

/* -- a certificate to begin with ---- */

static void
add_name(struct text *list, const char *name)
{
	uint8_t ip[16];
	bool is_ip = inet_pton(AF_INET, name, ip) == 1 ||
	    inet_pton(AF_INET6, name, ip) == 1;

	text_printf(list, "%s%s:%s", list->n > 0 ? "," : "",
	    is_ip ? "IP" : "DNS", name);
}

static bool
add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool added = e != NULL && X509_add_ext(cert, e, -1) == 1;

	X509_EXTENSION_free(e);
	return added;
}

static bool
set_serial(X509 *cert)
{
	ASN1_INTEGER *serial = X509_get_serialNumber(cert);

	return ASN1_INTEGER_set_uint64(serial, random_u64() >> 1) == 1;
}

/* The common name is at most 64 long (RFC 5280 A.1); clients read the rest. */
static bool
set_subject(X509 *cert, const char *name)
{
	X509_NAME *subject = X509_get_subject_name(cert);
	struct span cn = span_sub(span_str(name), 0, 64);

	return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
	    (const unsigned char *)cn.p, (int)cn.n, -1, 0) == 1 &&
	    X509_set_issuer_name(cert, subject) == 1;
}

static X509 *
make_certificate(EVP_PKEY *key, const char *subject, const char *names,
    int days)
{
	X509 *cert = X509_new();
	time_t now = (time_t)clock_wall_seconds();

	must(cert != NULL);
	if (X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
	    ASN1_TIME_set(X509_getm_notBefore(cert), now - 86400) != NULL &&
	    ASN1_TIME_set(X509_getm_notAfter(cert),
	    now + (time_t)days * 86400) != NULL &&
	    set_subject(cert, subject) &&
	    X509_set_pubkey(cert, key) == 1 &&
	    add_extension(cert, NID_subject_alt_name, names) &&
	    add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(cert, NID_key_usage, "critical,digitalSignature") &&
	    add_extension(cert, NID_ext_key_usage, "serverAuth") &&
	    X509_sign(cert, key, EVP_sha256()) > 0)
		return cert;
	X509_free(cert);
	return NULL;
}

static bool
bio_text(BIO *bio, struct text *out)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	if (n > 0)
		text_add(out, span_of(p, (size_t)n));
	return n > 0 && !text_full(out);
}

int
tls_make_self_signed(const char *const *names, size_t count, int days,
    struct text *cert_pem, struct text *key_pem)
{
	struct text list = TEXT_INIT(0);
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	BIO *cert_out, *key_out;
	int done = -1;

	must(count > 0);
	tls_library();
	cert_out = BIO_new(BIO_s_mem());
	key_out = BIO_new(BIO_s_secmem());
	must(cert_out != NULL && key_out != NULL);
	for (size_t i = 0; i < count; i++)
		add_name(&list, names[i]);
	text_char(&list, '\0');
	key = EVP_EC_gen("P-256");
	if (key != NULL)
		cert = make_certificate(key, names[0], list.p, days);
	if (cert != NULL && PEM_write_bio_X509(cert_out, cert) == 1 &&
	    PEM_write_bio_PKCS8PrivateKey(key_out, key, NULL, NULL, 0, NULL,
	    NULL) == 1 && bio_text(cert_out, cert_pem) &&
	    bio_text(key_out, key_pem))
		done = 1;
	X509_free(cert);
	EVP_PKEY_free(key);
	BIO_free(cert_out);
	BIO_free(key_out);
	text_free(&list);
	ERR_clear_error();
	return done;
}

/*
 * tls.c - OpenSSL, kept in one room: servers, and what we allow.
 *
 * TLS 1.2 and 1.3; key exchange over X25519 and P-256 only, so that every
 * session has forward secrecy; no renegotiation, no compression, no early
 * data. Resumption is by tickets alone, sealed with a key that all edge
 * processes share: no process keeps a session that is over.
 *
 * OpenSSL's configuration file is not read: what runs is what is written
 * here, and an edge role opens no file.
 */
#include "io/tls.h"

#include <pthread.h>
#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "io/tls_impl.h"

/*
 * All with an ephemeral key. 128 bits come first: nobody breaks them, and
 * SHA-256, which goes with them, makes cheaper handshakes than SHA-384.
 */
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:" \
	"TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS "ECDHE+AES128+AESGCM:ECDHE+AESGCM:ECDHE+CHACHA20:" \
	"ECDHE+AES128:ECDHE+AES256"
#define NEVER_CIPHERS ":!aNULL:!eNULL:!kRSA:!kDHE:!PSK:!SRP"
#define GROUPS "X25519:P-256"
/* Those that the signer makes (enum tls_signature). */
#define SIGNATURES "ECDSA+SHA256:ed25519:RSA-PSS+SHA256:RSA+SHA256:" \
	"ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA384:RSA-PSS+SHA512:" \
	"RSA+SHA384:RSA+SHA512"

struct tls_server {
	SSL_CTX *context;
	unsigned references;
	bool asks_clients;		/* for a certificate */
};

/* -- the library ---- */

static void
load_library(void)
{
	must(OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG |
	    OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
	    NULL) == 1);
}

void
tls_library(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load_library);
}

void
tls_why(struct text *why, const char *what)
{
	unsigned long error = ERR_peek_last_error();
	const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;

	text_str(why, what);
	if (reason != NULL)
		text_printf(why, ": %s", reason);
	ERR_clear_error();
}

/* What both sides have in common. NULL only without memory. */
SSL_CTX *
tls_context(const SSL_METHOD *method)
{
	SSL_CTX *c;

	tls_library();
	c = SSL_CTX_new(method);
	must(c != NULL);
	/* What was read may be a password: the library must not keep it. */
	SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION | SSL_OP_CLEANSE_PLAINTEXT);
	/* Buffers only while there is something in them; any may be given. */
	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* A record's header and body in one system call. */
	SSL_CTX_set_read_ahead(c, 1);
	must(SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1);
	must(SSL_CTX_set1_groups_list(c, GROUPS) == 1);
	return c;
}

/* -- servers ---- */

static bool
set_protocol(SSL_CTX *c, const struct tls_options *o, struct text *why)
{
	struct text ciphers = TEXT_INIT(0);
	bool done;

	if (o->min_version != NULL && strcmp(o->min_version, "1.3") == 0)
		SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
	must(SSL_CTX_set_ciphersuites(c, SUITES) == 1);
	text_printf(&ciphers, "%s" NEVER_CIPHERS "%c",
	    o->ciphers != NULL ? o->ciphers : CIPHERS, '\0');
	done = SSL_CTX_set_cipher_list(c, ciphers.p) == 1;
	text_free(&ciphers);
	if (!done)
		tls_why(why, "the list of ciphers");
	return done;
}

static void
set_resumption(SSL_CTX *c, const struct tls_options *o)
{
	static const unsigned char room[] = "postrider";
	uint8_t key[sizeof(o->ticket_key)];

	memcpy(key, o->ticket_key, sizeof(key));
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	must(SSL_CTX_set_session_id_context(c, room, sizeof(room) - 1) == 1);
	must(SSL_CTX_set_tlsext_ticket_keys(c, key, sizeof(key)) == 1);
	OPENSSL_cleanse(key, sizeof(key));
	must(SSL_CTX_set_num_tickets(c, 1) == 1);
	must(SSL_CTX_set_max_early_data(c, 0) == 1);
}

/* The leaf first, then the certificates between it and a root. */
static X509 *
read_chain(SSL_CTX *c, struct span pem)
{
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *leaf, *next;
	bool good = true;

	must(in != NULL);
	leaf = PEM_read_bio_X509(in, NULL, NULL, NULL);
	good = leaf != NULL && SSL_CTX_use_certificate(c, leaf) == 1;
	while (good && (next = PEM_read_bio_X509(in, NULL, NULL,
	    NULL)) != NULL)
		good = SSL_CTX_add0_chain_cert(c, next) == 1;
	BIO_free(in);
	if (!good) {
		X509_free(leaf);
		return NULL;
	}
	ERR_clear_error();	/* "no more PEM" is how it ends */
	return leaf;
}

static bool
set_certificate(SSL_CTX *c, const struct tls_options *o, struct text *why)
{
	EVP_PKEY *key = NULL;
	X509 *leaf;
	bool done = false;

	must(o->chain_pem.n <= INT32_MAX);
	leaf = read_chain(c, o->chain_pem);
	if (leaf == NULL) {
		tls_why(why, "the certificate chain cannot be read");
		return false;
	}
	key = tls_provider_key(X509_get0_pubkey(leaf), o->sign, o->sign_arg);
	if (key != NULL && SSL_CTX_use_PrivateKey(c, key) == 1)
		done = true;
	else
		tls_why(why, "the certificate's key is of no use for TLS");
	EVP_PKEY_free(key);
	X509_free(leaf);
	return done;
}

/* What is shown is judged by who lets it log in; nothing is refused here. */
static int
let_pass(int good, X509_STORE_CTX *c)
{
	(void)good;
	(void)c;
	return 1;
}

static bool
set_client_authorities(SSL_CTX *c, struct span pem, struct text *why)
{
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509_STORE *trusted = SSL_CTX_get_cert_store(c);
	X509 *one;
	int count = 0;

	must(in != NULL);
	while ((one = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
		must(X509_STORE_add_cert(trusted, one) == 1);
		must(SSL_CTX_add_client_CA(c, one) == 1);
		X509_free(one);
		count++;
	}
	BIO_free(in);
	ERR_clear_error();
	if (count == 0) {
		text_str(why, "no authority for clients can be read");
		return false;
	}
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, let_pass);
	return true;
}

struct tls_server *
tls_server_new(const struct tls_options *o, struct text *why)
{
	SSL_CTX *c = tls_context(TLS_server_method());
	struct tls_server *s;

	SSL_CTX_set_options(c, SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA);
	must(SSL_CTX_set1_sigalgs_list(c, SIGNATURES) == 1);
	set_resumption(c, o);
	if (!set_protocol(c, o, why) || !set_certificate(c, o, why) ||
	    (o->client_authorities_pem.n > 0 && !set_client_authorities(c,
	    o->client_authorities_pem, why))) {
		SSL_CTX_free(c);
		return NULL;
	}
	s = xcalloc(1, sizeof(*s));
	s->context = c;
	s->references = 1;
	s->asks_clients = o->client_authorities_pem.n > 0;
	return s;
}

struct tls_server *
tls_server_ref(struct tls_server *s)
{
	if (s != NULL)
		s->references++;
	return s;
}

void
tls_server_free(struct tls_server **p)
{
	struct tls_server *s = *p;

	*p = NULL;
	if (s == NULL || --s->references > 0)
		return;
	SSL_CTX_free(s->context);
	free(s);
}

bool
tls_server_asks_clients(const struct tls_server *s)
{
	return s->asks_clients;
}

SSL_CTX *
tls_server_context(struct tls_server *s)
{
	return s->context;
}

/*
 * tls_client.c - whom we speak to: certificates, TLSA records, sessions.
 *
 * Two contexts. Where nobody is checked, any TLS is better than none (RFC
 * 7435): old ciphers, short keys and foreign curves are taken. Where somebody
 * is, the library's usual standard holds.
 *
 * A session is resumed only under the same key and the same expectations
 * (check, names, records): what an easier check once let in never passes a
 * harder one.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/map.h"
#include "io/tls_impl.h"

#define ANY_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:DHE+AESGCM:" \
	"DHE+AES:RSA+AESGCM:RSA+AES:!aNULL:!eNULL:!PSK:!SRP:!DSS"
#define CHECKED_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:DHE+AESGCM:" \
	"!aNULL:!eNULL:!PSK:!SRP:!DSS"
#define CLIENT_GROUPS "X25519:P-256:X448:P-384:P-521"

enum {
	SESSION_AGE = 3600,		/* s; then a full handshake again */
	USAGE_TA = 2, USAGE_EE = 3,	/* RFC 6698 2.1.1 */
	SELECT_CERT = 0, SELECT_KEY = 1,
	MATCH_FULL = 0, MATCH_SHA256 = 1, MATCH_SHA512 = 2,
};

/*
 * A session kept, in its written form: that takes a quarter of what OpenSSL
 * makes of it.
 */
struct kept {
	struct kept *newer, *older;
	unsigned char *session;
	size_t session_n, key_n;
	char key[];
};

struct tls_client {
	SSL_CTX *any, *checked;
	unsigned references;
	size_t max_sessions;
	struct map *sessions;		/* key -> struct kept */
	struct kept *newest, *oldest;
};

struct tls_meeting {
	struct tls_client *client;
	enum tls_check check;
	struct text key;		/* of the session; empty: none */
};

/* -- sessions ---- */

static void
unlink_kept(struct tls_client *t, struct kept *k)
{
	*(k->newer != NULL ? &k->newer->older : &t->newest) = k->older;
	*(k->older != NULL ? &k->older->newer : &t->oldest) = k->newer;
}

static struct span
key_of(const struct kept *k)
{
	return span_of(k->key, k->key_n);
}

static void
forget(struct tls_client *t, struct span key)
{
	struct kept *k = map_remove(t->sessions, key);

	if (k == NULL)
		return;
	unlink_kept(t, k);
	OPENSSL_clear_free(k->session, k->session_n);
	free(k);
}

static void
keep(struct tls_client *t, struct span key, SSL_SESSION *session)
{
	struct kept *k;
	unsigned char *bytes = NULL;
	int n = i2d_SSL_SESSION(session, &bytes);

	if (n <= 0)
		return;
	forget(t, key);
	if (map_count(t->sessions) == t->max_sessions)
		forget(t, key_of(t->oldest));
	k = xcalloc(1, sizeof(*k) + key.n);
	k->session = bytes;
	k->session_n = (size_t)n;
	k->key_n = key.n;
	memcpy(k->key, key.p, key.n);
	k->older = t->newest;
	*(t->newest != NULL ? &t->newest->newer : &t->oldest) = k;
	t->newest = k;
	map_put(t->sessions, key, k);
}

/* OpenSSL has a new session; 0: the reference is still its own. */
static int
new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_meeting *m = SSL_get_app_data(ssl);

	if (m != NULL && m->key.n > 0)
		keep(m->client, text_span(&m->key), session);
	return 0;
}

static bool
try_session(SSL *ssl, const struct kept *k)
{
	const unsigned char *p = k->session;
	SSL_SESSION *session = d2i_SSL_SESSION(NULL, &p, (long)k->session_n);
	long age;
	bool done;

	if (session == NULL)
		return false;
	age = (long)time(NULL) - SSL_SESSION_get_time(session);
	done = age >= 0 && age <= SESSION_AGE &&
	    SSL_set_session(ssl, session) == 1;
	SSL_SESSION_free(session);
	return done;
}

static void
resume(struct tls_meeting *m, SSL *ssl)
{
	struct kept *k = map_get(m->client->sessions, text_span(&m->key));

	if (k != NULL && !try_session(ssl, k))
		forget(m->client, text_span(&m->key));
	ERR_clear_error();
}

size_t
tls_client_sessions(const struct tls_client *t)
{
	return map_count(t->sessions);
}

/* -- the client ---- */

static SSL_CTX *
client_context(const struct tls_client_options *o, const char *ciphers,
    int level)
{
	SSL_CTX *c = tls_context(TLS_client_method());

	SSL_CTX_set_security_level(c, level);
	must(SSL_CTX_set_cipher_list(c, ciphers) == 1);
	must(SSL_CTX_set1_groups_list(c, CLIENT_GROUPS) == 1);
	if (o->min_version != NULL && strcmp(o->min_version, "1.3") == 0)
		SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
	must(SSL_CTX_dane_enable(c) == 1);
	if (o->max_sessions > 0) {
		SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT |
		    SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(c, new_session);
	}
	return c;
}

/* One that cannot be read is passed over: the others are as good as before. */
static bool
add_authorities(SSL_CTX *c, struct span pem, struct text *why)
{
	X509_STORE *store = SSL_CTX_get_cert_store(c);
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	size_t count = 0;
	X509 *cert;

	must(in != NULL);
	while ((cert = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
		count += X509_STORE_add_cert(store, cert) == 1;
		X509_free(cert);
	}
	BIO_free(in);
	if (count == 0)
		tls_why(why, "no certificate authority can be read");
	ERR_clear_error();
	return count > 0;
}

struct tls_client *
tls_client_make(const struct tls_client_options *o, struct text *why)
{
	struct tls_client *t = xcalloc(1, sizeof(*t));

	must(o->authorities_pem.n <= INT32_MAX);
	t->references = 1;
	t->any = client_context(o, ANY_CIPHERS, 0);
	t->checked = client_context(o, CHECKED_CIPHERS, 1);
	t->max_sessions = o->max_sessions;
	t->sessions = map_new();
	if (o->authorities_pem.n > 0 &&
	    !add_authorities(t->checked, o->authorities_pem, why))
		tls_client_free(&t);
	return t;
}

void
tls_client_free(struct tls_client **p)
{
	struct tls_client *t = *p;

	*p = NULL;
	if (t == NULL || --t->references > 0)
		return;
	while (t->newest != NULL)
		forget(t, key_of(t->newest));
	map_free(&t->sessions);
	SSL_CTX_free(t->any);
	SSL_CTX_free(t->checked);
	free(t);
}

/* -- TLSA records ---- */

static bool
full_data_ok(const struct tls_record *r)
{
	const unsigned char *p = (const unsigned char *)r->data.p;
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;
	bool good;

	if (r->selector == SELECT_CERT)
		cert = d2i_X509(NULL, &p, (long)r->data.n);
	else
		key = d2i_PUBKEY(NULL, &p, (long)r->data.n);
	good = (cert != NULL || key != NULL) &&
	    p == (const unsigned char *)r->data.p + r->data.n;
	X509_free(cert);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return good;
}

bool
tls_record_usable(const struct tls_record *r)
{
	if ((r->usage != USAGE_TA && r->usage != USAGE_EE) ||
	    r->selector > SELECT_KEY)
		return false;
	tls_library();
	switch (r->matching) {
	case MATCH_FULL:
		return r->data.n <= UINT16_MAX && full_data_ok(r);
	case MATCH_SHA256:
		return r->data.n == 32;
	case MATCH_SHA512:
		return r->data.n == 64;
	default:
		return false;
	}
}

/* RFC 7671 5.1, RFC 7672 3.1.1: DANE-EE asks for the key, not for names. */
static bool
expect_records(SSL *ssl, const struct tls_peer *peer)
{
	const struct tls_record *r;
	size_t usable = 0;

	if (peer->name == NULL || SSL_dane_enable(ssl, peer->name) != 1)
		return false;
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	for (size_t i = 0; i < peer->record_count; i++) {
		r = &peer->records[i];
		if (tls_record_usable(r) && SSL_dane_tlsa_add(ssl, r->usage,
		    r->selector, r->matching,
		    (const unsigned char *)r->data.p, r->data.n) == 1)
			usable++;
	}
	return usable > 0;
}

/* -- names ---- */

static bool
is_address(const char *name)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, name, ip) == 1 ||
	    inet_pton(AF_INET6, name, ip) == 1;
}

/* To OpenSSL "" is no check at all, and ".x" is all that is below x. */
static bool
expect_host(SSL *ssl, const char *name)
{
	if (name == NULL || *name == '\0' || *name == '.')
		return false;
	return SSL_add1_host(ssl, name) == 1;
}

static bool
expect_names(SSL *ssl, const struct tls_peer *peer)
{
	const char *const *names = peer->names;
	size_t count = peer->name_count;

	if (count == 0 && peer->check == TLS_CHECK_NAME) {
		names = &peer->name;
		count = 1;
	}
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
	    (peer->check == TLS_CHECK_NAME
	    ? X509_CHECK_FLAG_NEVER_CHECK_SUBJECT : 0));
	if (peer->check == TLS_CHECK_NAME && count == 1 && names[0] != NULL &&
	    is_address(names[0]))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl),
		    names[0]) == 1;
	for (size_t i = 0; i < count; i++)
		if (!expect_host(ssl, names[i]))
			return false;
	return true;
}

/* -- a meeting ---- */

/* Everything a session's worth depends on. */
static void
write_key(struct text *key, const struct tls_peer *peer)
{
	const struct tls_record *r;

	text_printf(key, "%s%c%d%d%c%s%c", peer->session_key, '\0',
	    (int)peer->check, peer->tolerate, '\0',
	    peer->name != NULL ? peer->name : "", '\0');
	if (peer->check == TLS_CHECK_NONE)
		return;
	for (size_t i = 0; i < peer->name_count; i++)
		text_printf(key, "%s%c", peer->names[i], '\0');
	text_char(key, '\0');
	for (size_t i = 0; i < peer->record_count &&
	    peer->check == TLS_CHECK_DANE; i++) {
		r = &peer->records[i];
		text_printf(key, "%c%c%c%zu.", (char)r->usage,
		    (char)r->selector, (char)r->matching, r->data.n);
		text_add(key, r->data);
	}
}

/* Records are long: what stands in the map is a digest. */
static void
make_key(struct tls_meeting *m, const struct tls_peer *peer)
{
	struct text whole = TEXT_INIT(0);
	uint8_t digest[32];

	if (peer->session_key == NULL || m->client->max_sessions == 0)
		return;
	write_key(&whole, peer);
	must(EVP_Digest(whole.p, whole.n, digest, NULL, EVP_sha256(),
	    NULL) == 1);
	text_add(&m->key, span_of(digest, sizeof(digest)));
	text_free(&whole);
}

struct tls_meeting *
tls_meeting_new(struct tls_client *client, const struct tls_peer *peer)
{
	struct tls_meeting *m = xcalloc(1, sizeof(*m));

	m->client = client;
	client->references++;
	m->check = peer->check;
	make_key(m, peer);
	return m;
}

void
tls_meeting_free(struct tls_meeting **p)
{
	if (*p == NULL)
		return;
	tls_client_free(&(*p)->client);
	text_free(&(*p)->key);
	free(*p);
	*p = NULL;
}

/* Tell OpenSSL what is expected. NULL, or what can never be met. */
static const char *
expect(SSL *ssl, const struct tls_peer *peer)
{
	/* RFC 6066 3: no addresses in the server name. */
	if (peer->name != NULL && !is_address(peer->name) &&
	    SSL_set_tlsext_host_name(ssl, peer->name) != 1)
		return "validation-failure";
	if (peer->check == TLS_CHECK_NONE)
		return NULL;
	SSL_set_verify(ssl, peer->tolerate ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
	    NULL);
	if (peer->check == TLS_CHECK_DANE && !expect_records(ssl, peer))
		return "tlsa-invalid";
	return expect_names(ssl, peer) ? NULL : "certificate-host-mismatch";
}

SSL *
tls_meeting_ssl(struct tls_meeting *m, const struct tls_peer *peer,
    const char **failure)
{
	SSL *ssl = SSL_new(peer->check == TLS_CHECK_NONE ? m->client->any
	    : m->client->checked);

	must(ssl != NULL);
	*failure = expect(ssl, peer);
	ERR_clear_error();
	if (*failure != NULL) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_app_data(ssl, m);
	if (m->key.n > 0)
		resume(m, ssl);
	return ssl;
}

/* -- the verdict ---- */

static const struct {
	long error;
	const char *word;	/* RFC 8460 4.3 */
} words[] = {
	{ X509_V_ERR_HOSTNAME_MISMATCH, "certificate-host-mismatch" },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH, "certificate-host-mismatch" },
	{ X509_V_ERR_CERT_HAS_EXPIRED, "certificate-expired" },
	{ X509_V_ERR_DANE_NO_MATCH, "tlsa-invalid" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "certificate-not-trusted" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
	    "certificate-not-trusted" },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
	    "certificate-not-trusted" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "certificate-not-trusted" },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "certificate-not-trusted" },
	{ X509_V_ERR_CERT_UNTRUSTED, "certificate-not-trusted" },
	{ X509_V_ERR_CERT_REJECTED, "certificate-not-trusted" },
	{ X509_V_ERR_INVALID_CA, "certificate-not-trusted" },
	{ X509_V_ERR_CERT_REVOKED, "certificate-not-trusted" },
};

const char *
tls_meeting_verdict(struct tls_meeting *m, SSL *ssl, bool done)
{
	long result = m->check != TLS_CHECK_NONE ? SSL_get_verify_result(ssl)
	    : X509_V_OK;

	if (!done && m->key.n > 0)
		forget(m->client, text_span(&m->key));
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].error == result)
			return words[i].word;
	return done && result == X509_V_OK ? "" : "validation-failure";
}

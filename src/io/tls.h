/*
 * tls.h - OpenSSL, kept in one room.
 *
 * A tls_server is a certificate chain with a way to sign. The private key is
 * not here: signatures come from `sign`, which in the edge roles asks the
 * signer role and may wait on the fiber. (A small OpenSSL provider carries
 * the public key and calls `sign`.) Keys: RSA, ECDSA, Ed25519.
 *
 * Not thread-safe but for the making of keys and certificates: a tls_server
 * and its sessions belong to one thread.
 */
#ifndef IO_TLS_H
#define IO_TLS_H

#include "base/base.h"
#include "base/text.h"

/* What to sign, in TLS's terms (RFC 8446 4.4.3, RFC 5246 4.7). */
enum tls_signature {
	TLS_RSA_PKCS1_SHA256 = 0x0401, TLS_RSA_PKCS1_SHA384 = 0x0501,
	TLS_RSA_PKCS1_SHA512 = 0x0601,
	TLS_ECDSA_SHA256 = 0x0403, TLS_ECDSA_SHA384 = 0x0503,
	TLS_ECDSA_SHA512 = 0x0603,
	TLS_RSA_PSS_SHA256 = 0x0804, TLS_RSA_PSS_SHA384 = 0x0805,
	TLS_RSA_PSS_SHA512 = 0x0806,
	TLS_ED25519 = 0x0807,
};

/*
 * The whole bytes to be signed, not a digest: so the signer can see that they
 * are a TLS handshake's (tls_is_handshake). key is the SHA-256 of the
 * SubjectPublicKeyInfo. 1 and *n bytes at out, or -1.
 */
typedef int tls_sign_fn(void *arg, const uint8_t key[32],
    enum tls_signature, struct span message, uint8_t *out, size_t *n,
    size_t room);

struct tls_options {
	/* Whose certificates clients may log in with; "": none are asked for. */
	struct span client_authorities_pem;
	struct span chain_pem;		/* leaf first */
	const char *min_version;	/* "1.2" or "1.3" */
	const char *ciphers;		/* of TLS 1.2; NULL: ours */
	uint8_t ticket_key[80];		/* shared by the edge processes */
	tls_sign_fn *sign;
	void *sign_arg;
};

/* NULL: *why says it in words. Reference counted: sessions keep theirs. */
struct tls_server *tls_server_new(const struct tls_options *, struct text *why);
struct tls_server *tls_server_ref(struct tls_server *);
void tls_server_free(struct tls_server **);

/* The signer's side: a private key from PEM, and the signature itself. */
struct tls_key;
struct tls_key *tls_key_new(struct span pem, struct text *why);
void tls_key_free(struct tls_key **);
void tls_key_id(const struct tls_key *, uint8_t out[32]);
int  tls_key_sign(struct tls_key *, enum tls_signature, struct span message,
    uint8_t *out, size_t *n, size_t room);
/* Does it look like what TLS signs (RFC 8446 4.4.3; RFC 5246 7.4.3)? */
bool tls_is_handshake(enum tls_signature, struct span message);

/* A self-signed certificate for host names (ECDSA P-256), both as PEM. */
int tls_make_self_signed(const char *const *names, size_t count, int days,
    struct text *cert_pem, struct text *key_pem);

/*
 * Client side. A tls_client holds what certificates are checked against and
 * the sessions to resume; one serves many connections of one thread, and
 * lives on while one of them does.
 */
struct tls_client_options {
	struct span authorities_pem;	/* empty: none are known */
	const char *min_version;	/* "1.2"; NULL: that */
	size_t max_sessions;		/* kept for resumption; 0: none */
};
/* NULL: *why says it in words. */
struct tls_client *tls_client_make(const struct tls_client_options *,
    struct text *why);
void tls_client_free(struct tls_client **);
size_t tls_client_sessions(const struct tls_client *);	/* kept now */

enum tls_check {
	TLS_CHECK_NONE,		/* encrypt, whoever it is */
	TLS_CHECK_NAME,		/* an authority's certificate for a name */
	TLS_CHECK_DANE,		/* TLSA records (RFC 7672) */
};

struct tls_record {		/* a TLSA record */
	uint8_t usage, selector, matching;
	struct span data;
};
/*
 * May it be used for SMTP (RFC 7672 3.1: usages 2 and 3), and is its data of
 * the right form? Where none is, TLS_CHECK_NONE is what remains (2.2).
 */
bool tls_record_usable(const struct tls_record *);

/* Whom we expect at the other end, of one handshake. */
struct tls_peer {
	const char *name;	/* SNI; the TLSA base domain with DANE */
	enum tls_check check;
	bool tolerate;		/* a check that fails is told by
				   stream_tls_failure(), and ends nothing */
	/* Any of these must be in the certificate; they are names (one of
	 * them alone may be an address), not patterns. With DANE, next to
	 * `name`; with TLS_CHECK_NAME none means `name`. */
	const char *const *names;
	size_t name_count;
	const struct tls_record *records;
	size_t record_count;
	const char *session_key;	/* resume what was kept under it, by a
					   handshake checked in the same way;
					   NULL no */
};

#endif

/*
 * tls_impl.h - what the files that speak to OpenSSL share.
 */
#ifndef IO_TLS_IMPL_H
#define IO_TLS_IMPL_H

#include <openssl/evp.h>
#include <openssl/ssl.h>

#include "io/tls.h"

/* What OpenSSL needs once in a process; it reads no file. */
void tls_library(void);

/* "what: OpenSSL's reason", and the thread's error queue is empty again. */
void tls_why(struct text *why, const char *what);

/* SHA-256 of the key's SubjectPublicKeyInfo. 1, -1. */
int tls_public_id(EVP_PKEY *, uint8_t out[32]);

/*
 * tls_provider.c: a key that looks private to OpenSSL, and whose signatures
 * come from sign(). NULL: OpenSSL would not have it.
 */
EVP_PKEY *tls_provider_key(EVP_PKEY *public_key, tls_sign_fn *sign, void *arg);

SSL_CTX *tls_server_context(struct tls_server *);
bool tls_server_asks_clients(const struct tls_server *);
/* What servers and clients have in common. */
SSL_CTX *tls_context(const SSL_METHOD *);

/*
 * tls_client.c: a handshake as a client, and what came of it. The meeting
 * outlives its SSL; the peer need not outlive the calls.
 */
struct tls_meeting;
struct tls_meeting *tls_meeting_new(struct tls_client *,
    const struct tls_peer *);
void tls_meeting_free(struct tls_meeting **);
/* NULL: nobody could be that peer; *failure is RFC 8460's word for it. */
SSL *tls_meeting_ssl(struct tls_meeting *, const struct tls_peer *,
    const char **failure);
/* After the handshake: that word, "" when all was as it should be. */
const char *tls_meeting_verdict(struct tls_meeting *, SSL *, bool done);

#endif

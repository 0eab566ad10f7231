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
SSL_CTX *tls_client_context(struct tls_client *);
bool tls_client_verifies(const struct tls_client *);

#endif

/*
 * tls_proof.h - what a client proved with its certificate, kept so that
 * another process can check it: the chain, and its signature of the
 * handshake (RFC 8446 4.4.3). TLS 1.3 alone; between tls*.c and
 * stream_tls.c.
 */
#ifndef IO_TLS_PROOF_H
#define IO_TLS_PROOF_H

#include <openssl/ssl.h>

#include "base/text.h"
#include "io/stream.h"

struct tls_proof;

/* Listens to a handshake that is about to begin. */
struct tls_proof *tls_proof_new(SSL *);
void tls_proof_free(struct tls_proof **);
/* The handshake is done: false, nothing was proved (give it back). */
bool tls_proof_finish(struct tls_proof *, SSL *);
void tls_proof_show(const struct tls_proof *, struct stream_proof *);

#endif

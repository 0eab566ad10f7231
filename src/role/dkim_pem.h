/*
 * dkim_pem.h - a private key that signs for a domain: RSA or Ed25519, in PEM.
 *
 * Used where keys may be: by signer, by the supervisor and by the commands
 * that make and list them.
 */
#ifndef ROLE_DKIM_PEM_H
#define ROLE_DKIM_PEM_H

#include "base/text.h"
#include "ipc/contract.h"

enum {
	DKIM_PEM_MAX = 16384,
	DKIM_RSA_BITS = 2048,		/* of those we make (RFC 8301) */
	DKIM_RSA_LEAST = 1024, DKIM_RSA_MOST = 4096,
	DKIM_SIGNATURE_MAX = DKIM_RSA_MOST / 8,
};

struct dkim_pem;

/* Text before the PEM is passed over. NULL: *why. */
struct dkim_pem *dkim_pem_new(struct span pem, struct text *why);
void dkim_pem_free(struct dkim_pem **);
enum dkim_algorithm dkim_pem_algorithm(const struct dkim_pem *);
/* The p= of its record, base64. Lives as long as the key. */
struct span dkim_pem_public(const struct dkim_pem *);
/* RFC 6376 3.7; Ed25519 signs the hash (RFC 8463 3). 1, -1. */
int dkim_pem_sign(const struct dkim_pem *, struct span input,
    uint8_t out[DKIM_SIGNATURE_MAX], size_t *n);

/* A new one. 1, -1. */
int dkim_pem_make(enum dkim_algorithm, struct text *pem);

#endif

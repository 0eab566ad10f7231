/*
 * client_certificate.h - what a client's certificate proves to the store.
 *
 * The edge shows the chain, and the client's signature of the handshake. The
 * store checks both: without the private key nobody can make them. What it
 * cannot see is of which handshake the hash is that was signed: a process
 * that has seen a client log in could show the same again, as it could a
 * password. Any thread.
 */
#ifndef STORE_CLIENT_CERTIFICATE_H
#define STORE_CLIENT_CERTIFICATE_H

#include "base/arena.h"
#include "base/text.h"

struct certificates;

struct certificates *certificates_new(void);
void certificates_free(struct certificates **);
/* The authorities, in PEM; "" none. 1; 0 and *why: none then. */
int certificates_set(struct certificates *, struct span pem,
    struct text *why);

enum { CERTIFICATE_NAMES_MAX = 16 };
struct certificate_names {
	struct span names[CERTIFICATE_NAMES_MAX];	/* in the arena */
	size_t count;
};
/*
 * The names that a client_proof proves: addresses, or the common name. 1;
 * 0 it proves nothing.
 */
int certificates_check(struct certificates *, struct span proof,
    bool common_name, struct arena *, struct certificate_names *);

#endif

/*
 * scram.h - what SCRAM's messages say (RFC 5802 section 7), and the server's
 * arithmetic. Pure: spans point into what was given, or into the arena.
 */
#ifndef STORE_SCRAM_H
#define STORE_SCRAM_H

#include "base/arena.h"
#include "store/password.h"

enum { SCRAM_NONCE_MAX = 512 };		/* of the client */

/*
 * saslname: "=2C" is a comma, "=3D" an equals sign, "=" nothing else. 1, 0
 * malformed or empty, -1 the arena is full.
 */
int scram_read_name(struct span in, struct arena *, struct span *out);

struct scram_first {			/* "n,a=zid,n=user,r=nonce" */
	char flag;			/* n, y, or p: binds to `binding` */
	struct span binding;		/* "tls-exporter" */
	struct span authzid;		/* decoded; "" none */
	struct span header;		/* "n,a=zid," */
	struct span bare;		/* what follows it */
	struct span user;		/* decoded */
	struct span nonce;
};
/* 1, 0 malformed, -1 the arena is full. */
int scram_read_first(struct span message, struct arena *,
    struct scram_first *);

struct scram_final {			/* "c=biws,r=nonce,p=proof" */
	struct span binding;		/* decoded: header and binding data */
	struct span nonce;
	struct span without_proof;
	uint8_t proof[SCRAM_KEY_MAX];
};
int scram_read_final(struct span message, enum scram_hash, struct arena *,
    struct scram_final *);

/* Is it the proof of who knows the password behind these keys? */
bool scram_proves(enum scram_hash, const struct scram_keys *,
    struct span auth_message, const uint8_t proof[SCRAM_KEY_MAX]);
/* "v=...": that the server has the keys. */
void scram_add_verifier(enum scram_hash, const struct scram_keys *,
    struct span auth_message, struct text *out);

#endif

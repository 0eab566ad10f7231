/*
 * dkim.h - DomainKeys Identified Mail (RFC 6376, RFC 8463): what is hashed,
 * and how a signature and a key are written.
 *
 * For who signs and who verifies alike: the keys themselves, and the DNS, are
 * the caller's. Pure. A line ends in CRLF and nothing else; a bare CR or LF
 * is a byte like any other.
 */
#ifndef VERIFY_DKIM_H
#define VERIFY_DKIM_H

#include "base/arena.h"
#include "base/text.h"
#include "ipc/contract.h"

enum {
	DKIM_HASH = 32,			/* bytes of SHA-256 */
	DKIM_NAMES_MAX = 512,		/* in h= */
	DKIM_FIELDS_MAX = 4096,		/* of a header */
	DKIM_SELECTOR_MAX = 63,
	DKIM_INPUT_MAX = 256 << 10,
};
#define DKIM_WHOLE UINT64_MAX		/* no l= */

enum dkim_canon { DKIM_SIMPLE, DKIM_RELAXED };

/* ---- bodies (3.4.3, 3.4.4), in pieces as they come -------------------- */

typedef void dkim_sink(void *arg, struct span);

struct dkim_body {
	enum dkim_canon canon;
	uint64_t left;			/* of l= */
	dkim_sink *sink;
	void *arg;
	uint64_t line_ends;		/* CRLFs: perhaps the end */
	bool cr;			/* the last piece ended in one */
	bool blank;			/* relaxed: blanks not yet told */
	bool told;			/* anything but line ends, as yet */
	size_t held_n;
	char held[1024];
};

void dkim_body_begin(struct dkim_body *, enum dkim_canon, uint64_t length,
    dkim_sink *, void *arg);
void dkim_body_add(struct dkim_body *, struct span);
void dkim_body_end(struct dkim_body *);
/* All at once: the bh= of a body. */
void dkim_body_hash(struct span body, enum dkim_canon, uint64_t length,
    uint8_t out[DKIM_HASH]);

/* ---- headers (3.4.1, 3.4.2, 3.7) -------------------------------------- */

/* One field as it is hashed, with its CRLF. */
void dkim_field(struct span whole, enum dkim_canon, struct text *out);
/*
 * What is signed: the fields of `header` that `names` (h=, with or without
 * blanks) names, the last ones first, then `signature`, a DKIM-Signature
 * field, without what stands in its b= and without its CRLF. 1; 0 too much.
 */
int dkim_input(struct span header, struct span names, struct span signature,
    enum dkim_canon, struct arena *, struct text *out);
/*
 * Which fields we sign: the h= of our signatures. One more of each that
 * readers act upon than there are, so that none can be added later (8.15).
 */
void dkim_choose(struct span header, struct text *names);

/* ---- signatures (3.5) ------------------------------------------------- */

struct dkim_signature {
	enum dkim_algorithm algorithm;
	enum dkim_canon header, body;
	struct span domain, selector;	/* lower case when parsed */
	struct span names;		/* h=, blanks taken out */
	struct span identity;		/* i=, "" none */
	struct span hash;		/* bh=, decoded */
	struct span signature;		/* b=, decoded; may be empty */
	uint64_t length;		/* l=, DKIM_WHOLE */
	int64_t time, expires;		/* t=, x=; -1 none */
};

/* The value of a DKIM-Signature field. 1; 0 malformed, or of a version or
 * algorithm that nobody uses any more; -1 the arena is full. */
int dkim_parse(struct span value, struct arena *, struct dkim_signature *);
/* A whole field with its CRLF, folded before column 78. */
void dkim_write(const struct dkim_signature *, struct text *out);
const char *dkim_algorithm_name(enum dkim_algorithm);	/* "rsa-sha256" */

/* ---- key records (3.6.1) ---------------------------------------------- */

struct dkim_record {
	enum dkim_algorithm algorithm;
	struct span key;		/* p=, no blanks; "" revoked */
	bool testing;			/* t=y */
	bool mail;			/* s= allows mail, h= SHA-256 */
};

/* 1; 0 not a key record; -1 the arena is full. */
int dkim_record_parse(struct span txt, struct arena *, struct dkim_record *);
/* "v=DKIM1; k=rsa; p=..." */
void dkim_record_write(enum dkim_algorithm, struct span key,
    struct text *out);
/* Letters, digits and hyphens, perhaps in several labels (3.1). */
bool dkim_selector_ok(struct span);

#endif

/*
 * envelope.h - a message on its way: who sent it, who shall get it, and how
 * far it has come.
 *
 * The record of an envelope is what the queue keeps on disk. Encoding and
 * decoding are pure; a record is checked against every limit when it is read,
 * as if a stranger had written it.
 */
#ifndef QUEUE_ENVELOPE_H
#define QUEUE_ENVELOPE_H

#include "base/arena.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/text.h"
#include "ipc/contract.h"

enum {
	ENVELOPE_VERSION = 2,
	ENVELOPE_RECIPIENTS_MAX = 50000,
	ENVELOPE_RECORD_MAX = 1 << 20,
	QUEUE_ID_TOKEN = 10,		/* bytes of the token that make it */
	QUEUE_ID_CHARS = 16,
};

enum envelope_state {
	ENVELOPE_ACTIVE,		/* not tried yet, or being tried */
	ENVELOPE_DEFERRED,		/* a temporary failure: tried again */
	ENVELOPE_HELD,			/* nobody can be told: see reason */
	ENVELOPE_STATES
};
const char *envelope_state_name(enum envelope_state);

enum recipient_state {
	RECIPIENT_WAITING, RECIPIENT_DONE, RECIPIENT_FAILED, RECIPIENT_STATES
};

struct envelope_recipient {
	struct span address;
	struct span original;		/* ORCPT, decoded; "" none (RFC 3461) */
	uint32_t notify;		/* NOTIFY_*; 0: not said */
	enum recipient_state state;
	struct span reason;		/* of the last failure; "" none */
};

/*
 * A message whose recipients are in several places is one envelope for each:
 * those that are here, and those of each domain outside. They share the body
 * and the first QUEUE_ID_TOKEN bytes of the token, and so the queue id; the
 * first of them has the token the message was handed over with.
 */

struct envelope {
	struct token token;		/* its id; the queue id comes from it */
	struct token body;		/* the body's id in the engine */
	walltime_t arrived;
	uint64_t size;			/* of the body, the prefix included */
	uint32_t prefix;		/* bytes of Return-Path in front */
	uint32_t flags;			/* ENVELOPE_8BITMIME ... */
	uint64_t thread;
	uint64_t account;		/* who submitted it; 0: from outside */
	int64_t priority;		/* RFC 6710: -9 to 9 */
	int64_t deliver_by;		/* RFC 2852: seconds; 0 none */
	int64_t release_at;		/* RFC 4865: not before; 0 at once.
					   Its time here counts from then */
	enum envelope_state state;
	uint32_t attempts;		/* that have ended */
	bool warned;			/* the sender was told of the delay */
	int64_t next_attempt;		/* seconds since 1970 UTC */
	struct span domain;		/* of its recipients; "" here */
	struct span head;		/* fields sent before the message */
	struct span envid;		/* RFC 3461, decoded; "" none */
	struct span sender;		/* "" is the null sender */
	struct span message_id;		/* of the header, with its angles */
	struct span trace;		/* how it came: name=value fields */
	struct span delivered_to;	/* Delivered-To fields, one a line */
	struct span reason;		/* of its state; "" none */
	struct envelope_recipient *recipients;
	size_t count;
};

void envelope_encode(const struct envelope *, struct text *out);
/*
 * Spans point into `record`, recipients live in the arena. 1 done, 0 not a
 * record of this version or damaged, -1 the arena is full.
 */
int envelope_decode(struct span record, struct arena *, struct envelope *);

/*
 * The printable name of an envelope: 16 characters of [0-9a-z] without
 * i l o u, made of the first ten bytes of its token.
 */
void queue_id_of(const struct token *, char out[QUEUE_ID_CHARS + 1]);
/* Back to those bytes; upper case is taken too. 1 done, 0 not a queue id. */
int queue_id_parse(struct span, uint8_t out[QUEUE_ID_TOKEN]);

#endif

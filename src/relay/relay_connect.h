/*
 * relay_connect.h - a connection to a target: the first of its hosts that
 * answers, with the TLS that its policy asks for.
 *
 * A connection serves one destination and one class of messages: what they
 * demand of TLS (RFC 8689) is what it was made with.
 */
#ifndef RELAY_RELAY_CONNECT_H
#define RELAY_RELAY_CONNECT_H

#include "relay/relay_target.h"
#include "smtp/smtp_client.h"

struct relay_connection {
	/* relay_idle.c's: by age, and those of one destination. */
	struct relay_connection *older, *newer, *sibling;
	struct smtp_client *client;
	struct arena *arena;
	struct span destination;
	struct span remote;	/* "mx.example.org[192.0.2.1]:25" */
	struct span details;	/* fields for the trace: tls, policy, ms */
	uint32_t class;		/* relay_class() of what it may carry */
	bool lmtp;
	size_t messages;	/* that were offered over it */
	size_t accepted;
	int64_t pace;		/* us a message, about; 0: not known */
	monotime_t until;	/* it is kept so long for more */
};

/* Of an envelope's flags: what its connection must be. */
static inline uint32_t
relay_class(uint32_t flags)
{
	return flags & (ENVELOPE_REQUIRETLS | ENVELOPE_TLS_OPTIONAL);
}

/*
 * 1 connected; 0 not: *why says what becomes of the mail. `arena` is for
 * what is asked on the way and for *why. On a fiber.
 */
int  relay_connect(const struct relay_target *, struct span destination,
    uint32_t class, struct arena *, struct relay_connection **,
    struct relay_nowhere *why);
/* Says QUIT when the connection is still good. On a fiber. */
void relay_disconnect(struct relay_connection **, bool good);
size_t relay_connections(void);		/* open now, idle ones too */

/* -- pure: failures of hosts, of which one is told ---- */
enum failure_rank {			/* the later ones say more */
	FAILURE_NONE, FAILURE_LOOKUP, FAILURE_CONNECT, FAILURE_TLS,
	FAILURE_ANSWER,
};
struct relay_failures {
	enum failure_rank rank;
	bool temporary;		/* one of them may be over soon */
	struct relay_nowhere worst;
};
/* Permanent only as long as all are. */
void relay_failures_add(struct relay_failures *, enum failure_rank,
    const struct relay_nowhere *);
struct relay_nowhere relay_failures_sum(const struct relay_failures *,
    struct arena *);

#endif

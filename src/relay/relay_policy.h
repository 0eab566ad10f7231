/*
 * relay_policy.h - what a destination asks of TLS, and why.
 *
 * One answer for a destination, found before the first connection and kept
 * for a short while: by its route, DANE (RFC 7672), MTA-STS (RFC 8461), or
 * nothing. Then one for each host connected to. On a fiber.
 */
#ifndef RELAY_RELAY_POLICY_H
#define RELAY_RELAY_POLICY_H

#include "base/arena.h"
#include "base/routes.h"
#include "io/tls.h"
#include "verify/resolve.h"

enum policy_kind {
	POLICY_NONE,		/* no TLS at all: a route says so */
	POLICY_MAY,		/* if it can be had, whoever it is */
	POLICY_ENCRYPT,		/* always, whoever it is */
	POLICY_VERIFY,		/* always, a certificate for the host */
	POLICY_DANE,		/* the MX are validated: TLSA decides by host */
	POLICY_DANE_ONLY,	/* DANE or nothing: a route says so */
	POLICY_STS_ENFORCE, POLICY_STS_TESTING,
};

struct policy {
	enum policy_kind kind;
	bool require_tls;	/* some message needs RFC 8689 */
	struct span domain;
	struct span sts_id;
	struct span *sts_mx;	/* patterns of the policy */
	size_t sts_mx_count;
	struct span rua;	/* of _smtp._tls.DOMAIN, "" none */
	struct span reason;	/* in words, for the trace */
	bool temporary;		/* it could not be found out: try later */
};

/* What to do at one host. */
struct policy_host {
	bool allowed;		/* else: pass over it; reason says why */
	bool try_tls;		/* STARTTLS, if it is offered */
	bool need_tls;		/* no message without */
	bool fall_back;		/* when the handshake fails: again without */
	bool temporary;		/* TLSA lookup failed: this host later */
	struct tls_peer peer;	/* how the handshake is checked */
	struct span reason;	/* "dane: 2 usable TLSA records" */
};

void relay_policy_setup(struct link *store);
/*
 * mx_secure: the MX answer was validated. route NULL: none. ENVELOPE_
 * REQUIRETLS and _TLS_OPTIONAL of the messages in `flags`.
 */
void relay_policy_find(struct span domain, const struct route *,
    const char *standard_tls, bool mx_secure, uint32_t flags, struct arena *,
    struct policy *);
/* host's addresses are validated: host_secure. */
void relay_policy_host(const struct policy *, struct span host,
    bool host_secure, uint16_t port, uint32_t flags, struct arena *,
    struct policy_host *);

/* What came of a session, for the TLS report of the day (RFC 8460 4.3).
 * failure: "" good, "starttls-not-supported", stream_tls_failure(), ... */
void relay_policy_result(const struct policy *, const struct policy_host *,
    struct span host, struct span address, const char *failure);
/* Hand counts to the store; from a timer, and before the end. */
void relay_policy_flush(void);

#endif

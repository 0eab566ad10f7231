/*
 * relay_policy.h - what a destination asks of TLS, and why.
 *
 * One answer for a destination, found before the first connection and kept
 * for a short while: by its route, DANE (RFC 7672), MTA-STS (RFC 8461), or
 * nothing. Then one for each host connected to. On a fiber. Whom to ask and the
 * settings are in relay.h.
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
	enum policy_kind otherwise; /* DANE: at hosts without TLSA records */
	bool require_tls;	/* some message needs RFC 8689 */
	bool mx_secure;
	struct span domain;	/* the next hop's */
	struct span sts_id;
	struct span sts_text;	/* the policy as it was fetched */
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
	bool mismatch;		/* MTA-STS does not name the host */
	enum policy_kind kind;	/* what decided about it */
	struct span tlsa;	/* its records as text, one a line */
	struct tls_peer peer;	/* how the handshake is checked; everything
				   in it lives in the arena */
	struct span reason;	/* "dane: 2 usable TLSA records" */
};

/*
 * domain: of the recipients, or the HOST of a route. mx_secure: the MX answer
 * was validated, one that says there are none too; true for a route to
 * [HOST] itself. route NULL: none. ENVELOPE_REQUIRETLS and _TLS_OPTIONAL of
 * the messages in `flags`; such messages do not share a connection with
 * others, as the policy is another.
 */
void relay_policy_find(struct span domain, const struct route *,
    const char *standard_tls, bool mx_secure, uint32_t flags, struct arena *,
    struct policy *);
/*
 * host_secure: the answers with its addresses are validated. host may be an
 * address as text: then there is no DANE.
 */
void relay_policy_host(const struct policy *, struct span host,
    bool host_secure, uint16_t port, uint32_t flags, struct arena *,
    struct policy_host *);

/*
 * What came of a session, for the TLS report of the day (RFC 8460 4.3). Once
 * a session. failure: "" good, "starttls-not-supported",
 * stream_tls_failure(), ...; what failed for another reason (no connection,
 * a 421) is not told. remote, local: the ends' addresses as text, "" not
 * known.
 */
void relay_policy_result(const struct policy *, const struct policy_host *,
    struct span host, struct span remote, struct span local,
    const char *failure);
/* Hand counts to the store, on a fiber: once a minute, and before the end. */
void relay_policy_flush(void);

#endif

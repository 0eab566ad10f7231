/*
 * relay_target.h - where a destination's mail goes: from its name to hosts.
 *
 * A destination is named as in queue/dispatch.h: a domain, or a route with
 * what is behind it. Its hosts come from its MX records (RFC 5321 5.1, null
 * MX RFC 7505), or from the route, in the order in which they are tried.
 */
#ifndef RELAY_RELAY_TARGET_H
#define RELAY_RELAY_TARGET_H

#include "base/arena.h"
#include "base/routes.h"
#include "base/settings.h"
#include "ipc/contract.h"
#include "verify/resolve.h"

enum via_kind {
	VIA_MX,			/* the MX of `host`; "": of the domain */
	VIA_HOST,		/* `host` itself: a name or an address */
	VIA_UNIX,		/* `host` is the path of a socket */
	VIA_REFUSE,		/* `host` is what the sender is told */
};
struct relay_via {
	enum via_kind kind;
	bool lmtp;
	struct span host;
	uint16_t port;		/* 0: not said */
};
/* The `via` of a route. 1; 0 it is none. Pure. */
int relay_via_parse(struct span, struct relay_via *);
/* "192.0.2.1", "[192.0.2.1]", "[IPv6:2001:db8::1]". Pure. */
int relay_literal(struct span, struct ip_address *);

struct relay_host {
	struct span name;	/* "" where it is an address alone */
	struct ip_address ip;	/* of such; family 0: ask for the name's */
};

/* Why there is nowhere to go; outcome RELAY_SENT: there is. */
struct relay_nowhere {
	enum relay_outcome outcome;
	enum destination_state state;
	struct span reason;	/* "5.1.2 ..." */
	struct span remote, answer;	/* who said what; "" nobody */
};

struct relay_target {
	struct span domain;	/* whose policies count: the next hop */
	const struct route *route;	/* NULL: none */
	struct relay_via via;
	uint16_t port;
	bool given;		/* the host was named by a route */
	bool mx_secure;
	struct relay_host *hosts;	/* best first */
	size_t host_count;
	struct relay_nowhere nowhere;
};

/* Ask for it. On a fiber; everything lives in the arena. */
void relay_target_find(struct span destination, const struct routes *,
    const struct settings *, struct arena *, struct relay_target *);

/*
 * What an MX answer leaves to try: null MX, hosts that are ourselves and all
 * that are not better than these (RFC 5321 5.1) taken out. Pure.
 */
void relay_target_hosts(const struct dns_mx *, size_t count,
    struct span our_name, struct arena *, struct relay_target *);

/* The addresses of one host, families alternating, beginning with IPv6;
 * only_family 0: both. Pure. */
size_t relay_interleave(const struct ip_address *v6, size_t n6,
    const struct ip_address *v4, size_t n4, struct ip_address *out,
    size_t room);
/* May mail go there at all (relay.local_addresses)? */
bool relay_address_is_local(const struct ip_address *);

/* Is it one of ours, on a port where we listen? See relay_self.c. */
void relay_self_prepare(void);	/* before the sandbox: the interfaces */
bool relay_self(const struct settings *, const struct ip_address *,
    uint16_t port);
#endif

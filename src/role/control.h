/*
 * control.h - a role's line to the supervisor, and its life.
 *
 * The supervisor tells everything a role needs, in this order: where to log
 * and count, the settings, keys and certificates, sockets, peers, then start;
 * later again whatever changed, and at the end stop. All of it comes on the
 * role's own loop; what is NULL here is not for the role.
 *
 * When the line breaks, the supervisor is dead: the process ends at once.
 */
#ifndef ROLE_CONTROL_H
#define ROLE_CONTROL_H

#include "base/base.h"
#include "base/settings.h"
#include "ipc/contract.h"

struct control {			/* who we are */
	enum role_bit role;
	unsigned instance;
	struct settings settings;	/* the newest; overwritten in place */
};

/* Descriptors belong to whoever is told of them. */
struct role_events {
	void (*prepare)(void);		/* before the sandbox: warm up */
	void (*settings)(const struct settings *);
	void (*certificate)(struct span chain, struct span ticket_key);
	void (*private_key)(int pem);
	void (*dkim_secrets)(struct span keys);	/* dkim_secret */
	void (*grant_key)(struct span);
	void (*trust)(struct span authorities);
	void (*routes)(struct span encoded);	/* base/routes.h */
	/* Clients' certificates (PEM), keys of tokens (a JWK set). */
	void (*login_trust)(struct span authorities, struct span token_keys);
	void (*token_secret)(struct span);
	/* Files of the system, after each of the settings. */
	void (*dns_setup)(struct span resolv_conf, struct span trust_anchor,
	    struct span root_hints);
	void (*listen)(enum protocol, int socket);
	void (*peer)(enum role_bit, unsigned instance, int socket);
	void (*counters)(enum role_bit, unsigned instance, int memory);
	void (*start)(void);		/* begin, and say control_ready() */
	void (*stop)(int64_t grace_ms);	/* end, and say control_done() */
};
extern const struct role_events edge_events, store_events, signer_events,
    metrics_events, relay_events, resolver_events, index_events;

const struct control *control_self(void);
void control_ready(void);
void control_done(void);
void control_dkim_used(struct span domain, struct span selector);
/* It cannot go on: one line for the operator, then the end. */
_Noreturn void control_fail(const char *event, struct span why);

/* How control.c and the supervisor number a role's first descriptors. */
enum { CONTROL_FD = 3 };

#endif

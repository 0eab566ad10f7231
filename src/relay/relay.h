/*
 * relay.h - sending mail to other systems.
 *
 * A pool of fibers: each leases envelopes of one destination from the store,
 * finds a connection, sends, reports, and leases again. Nothing here outlives
 * the process: what is on its way when it dies, the store leases again.
 *
 * What all modules of relay share is here too: whom to ask, and what the
 * supervisor told. One thread, one relay.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include "base/base.h"
#include "base/routes.h"
#include "base/settings.h"
#include "io/tls.h"
#include "ipc/call.h"

struct relay_environment {
	struct link *store;
	const struct settings *(*settings)(void *);
	void *arg;
};

void relay_setup(const struct relay_environment *);
/* The newest word of the supervisor; what is under way keeps the older. */
void relay_take_authorities(struct span pem);
void relay_take_routes(struct span encoded);

void relay_start(void);		/* everything is there: begin */
void relay_ready(void);		/* the store says that something is due */
void relay_store_attached(void);
/* Finish what is being sent, within the grace; done() from the loop. */
void relay_stop(int64_t grace_ms, void (*done)(void *), void *arg);
void relay_gauges(void);

/* ---- for the modules ----------------------------------------------------- */

struct link *relay_store(void);
const struct settings *relay_settings(void);
/* With the authorities; NULL before they were told. Valid until the next
 * wait: a handshake holds its own reference. */
struct tls_client *relay_tls(void);
/* The routes of this moment, kept whole until they are dropped, although a
 * reload comes in between; routes NULL: there are none. */
struct relay_rules {
	struct routes *routes;
	size_t users;
};
struct relay_rules *relay_rules_take(void);
void relay_rules_drop(struct relay_rules **);

#endif

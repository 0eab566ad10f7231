/*
 * relay_web.h - connections to web servers: where MTA-STS policies are, and
 * where TLS reports go.
 */
#ifndef RELAY_RELAY_WEB_H
#define RELAY_RELAY_WEB_H

#include "base/arena.h"
#include "http/http_client.h"

/*
 * To any address of that name but those that lead back to this machine
 * (relay.local_addresses). NULL: see the failure. On a fiber.
 */
struct stream *relay_web_open_any(struct span host, uint16_t port,
    const struct tls_peer *, monotime_t deadline, struct arena *,
    struct http_failure *);		/* to this machine, too */
struct stream *relay_web_open(struct span host, uint16_t port,
    const struct tls_peer *, monotime_t deadline, struct arena *,
    struct http_failure *);

#endif

/*
 * dial.h - a connection to somebody else's socket.
 *
 * For the roles that may connect: relay. On a fiber; outside one it blocks
 * the thread.
 */
#ifndef IO_DIAL_H
#define IO_DIAL_H

#include "base/base.h"
#include "base/clock.h"

#include <sys/socket.h>

struct dial {
	struct sockaddr_storage to, from;
	socklen_t to_n, from_n;		/* from_n 0: the system chooses */
};

/* family AF_INET or AF_INET6, address as on the wire: 4 or 16 bytes. */
struct dial dial_ip(int family, const uint8_t *address, uint16_t port);
/* From an address of the same family; another one is not taken. */
void dial_from(struct dial *, int family, const uint8_t *address);
/* A Unix socket. 1; 0 the path is too long. */
int dial_unix(struct dial *, struct span path);

/* The connected socket: non-blocking, sends at once (no Nagle). -1: errno,
 * ETIMEDOUT at the deadline too. */
int dial(const struct dial *, monotime_t deadline);

#endif

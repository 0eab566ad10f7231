/*
 * session_proxy.h - reading a PROXY header off a new connection.
 *
 * Private to io. Not a byte behind it is taken: a TLS handshake may follow.
 */
#ifndef IO_SESSION_PROXY_H
#define IO_SESSION_PROXY_H

#include "base/clock.h"
#include "io/proxy.h"

/* On a fiber, before the stream was read. 1; 0 what came is no header, or
 * nothing came in time, or the connection is over. */
int session_proxy_read(int fd, struct proxy_header *, monotime_t deadline);

#endif

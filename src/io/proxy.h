/*
 * proxy.h - the PROXY protocol: for whom a connection was made.
 *
 * Versions 1 (a line) and 2 (binary) of HAProxy's proxy-protocol.txt. What
 * version 2 says behind the addresses (TLVs) is skipped unread. Pure.
 */
#ifndef IO_PROXY_H
#define IO_PROXY_H

#include <sys/socket.h>

#include "base/base.h"

/* As much as proxy_parse() wants to see: beyond it, it knows. */
enum { PROXY_SEEN_MAX = 232 };

struct proxy_header {
	bool has_client;	/* false: the connection is the proxy's own */
	struct sockaddr_storage client;
	size_t size;		/* bytes of the whole header, perhaps more
				   than were shown */
};

/*
 * The first bytes of a connection. 1 all of the header that matters is
 * there; 0 all of it belongs to the header and more is wanted; -1 it does
 * not begin with one.
 */
int proxy_parse(struct span, struct proxy_header *);

#endif

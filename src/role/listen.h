/*
 * listen.h - where to listen: "192.0.2.1:25 [2001:db8::1]:25 *:587", or
 * "unix:lmtp.sock" for programs on the same machine.
 */
#ifndef ROLE_LISTEN_H
#define ROLE_LISTEN_H

#include "base/base.h"
#include "base/text.h"

#include <sys/socket.h>

enum { LISTEN_MAX = 32 };		/* addresses in one list */

struct listen_address {
	struct sockaddr_storage a;
	socklen_t n;
	bool any;		/* made from "*": the system may lack it */
};

/*
 * Every port is raised by offset. With an offset somebody is trying things
 * out, and "*" means the loopback. 1 and *count; 0 and *why. Pure.
 */
int listen_parse(struct span, unsigned offset,
    struct listen_address[LISTEN_MAX], size_t *count, struct text *why);
bool listen_is_loopback(const struct listen_address *);
bool listen_is_local(const struct listen_address *);	/* a path */
void listen_write(const struct listen_address *, struct text *out);
/* A listening socket, close-on-exec; -1 and errno. A path that is relative
 * is below the directory; a socket that is left there makes way. */
int  listen_open(const struct listen_address *, int directory, int backlog);

#endif

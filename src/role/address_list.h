/*
 * address_list.h - where to listen: "192.0.2.1:25 [2001:db8::1]:25 *:587".
 */
#ifndef ROLE_ADDRESS_LIST_H
#define ROLE_ADDRESS_LIST_H

#include "base/base.h"
#include "base/text.h"

#include <sys/socket.h>

enum { ADDRESS_LIST_MAX = 32 };		/* addresses in one list */

struct listen_address {
	struct sockaddr_storage a;
	socklen_t n;
	bool any;		/* made from "*": the system may lack it */
};

/*
 * Every port is raised by offset. With an offset somebody is trying things
 * out, and "*" means the loopback. 1 and *count; 0 and *why. Pure.
 */
int address_list_parse(struct span, unsigned offset,
    struct listen_address[ADDRESS_LIST_MAX], size_t *count, struct text *why);
bool address_is_loopback(const struct listen_address *);
void address_write(const struct listen_address *, struct text *out);
/* A listening socket, close-on-exec; -1 and errno. */
int  address_listen(const struct listen_address *, int backlog);

#endif

/*
 * session_limit.h - how many sessions, in all and from one neighbourhood.
 *
 * Private to io. Counts are kept for each service of this process. An IPv6
 * address counts as its /64: whoever has one address there has them all.
 */
#ifndef IO_SESSION_LIMIT_H
#define IO_SESSION_LIMIT_H

#include "base/base.h"

struct service;
struct session_place;		/* what one session takes up */
struct sockaddr_storage;

/* A place, or NULL: the limits say no. A limit of 0 is none. */
struct session_place *session_place_take(const struct service *,
    const struct sockaddr_storage *, size_t max, size_t max_per_address);
void session_place_give(struct session_place *);
size_t session_place_count(const struct service *);	/* NULL: all */

#endif

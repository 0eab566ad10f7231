/*
 * session_impl.h - between session.c and listener.c.
 */
#ifndef IO_SESSION_IMPL_H
#define IO_SESSION_IMPL_H

#include <sys/socket.h>

#include "io/session.h"

/* fd is non-blocking and is ours from now on. As session_start(). */
int session_admit(const struct listener_options *, int fd,
    const struct sockaddr_storage *from, uint16_t local_port);
/* The port of a socket address; 0 where it has none. */
uint16_t session_port(const struct sockaddr_storage *);

/* No port is watched any more. */
void listener_pause_all(void);

#endif

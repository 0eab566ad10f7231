/*
 * smtp_xclient.h - XCLIENT: a proxy says for whom it speaks.
 *
 * Postfix's protocol (its XCLIENT_README): attributes with values as xtext,
 * "[UNAVAILABLE]" and "[TEMPUNAVAIL]" where there is none. Pure.
 */
#ifndef SMTP_SMTP_XCLIENT_H
#define SMTP_SMTP_XCLIENT_H

#include <sys/socket.h>

#include "base/arena.h"

struct smtp_xclient {
	bool has_name, has_address, has_port, has_helo;
	struct span name;		/* "": not to be had */
	struct span helo;
	struct sockaddr_storage address;	/* AF_UNSPEC: not to be had */
	uint16_t port;
};

/* 1, 0 an attribute that is not taken or a value that is none, -1 the
 * arena is full. */
int smtp_xclient_parse(struct span attributes, struct arena *,
    struct smtp_xclient *);

#endif

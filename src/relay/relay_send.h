/*
 * relay_send.h - one message over one connection.
 *
 * What the server lacks is made good where that can be (RFC 6152: 8-bit
 * parts become 7-bit ones), else its recipients fail with the code for it;
 * the message is signed as it will be sent.
 */
#ifndef RELAY_RELAY_SEND_H
#define RELAY_RELAY_SEND_H

#include "relay/relay_connect.h"
#include "relay/relay_report.h"

enum relay_sent {
	RELAY_GO_ON,		/* every recipient has its outcome */
	RELAY_BROKE,		/* likewise, and the connection is gone */
	RELAY_STALE,		/* it was gone already: take another one */
};

/* message: without its Return-Path. On a fiber. */
enum relay_sent relay_send(struct relay_connection *, const struct envelope *,
    struct span message, struct arena *, struct relay_report *);

#endif

/*
 * dns_message.h - a whole answer of the DNS (RFC 1035 section 4), taken
 * apart: along the CNAMEs to the records that were asked for.
 *
 * Pure: bytes and an arena in. What is malformed is refused whole.
 */
#ifndef VERIFY_DNS_MESSAGE_H
#define VERIFY_DNS_MESSAGE_H

#include "base/arena.h"
#include "base/base.h"

struct dns_message {
	uint32_t rcode;
	uint32_t ttl;			/* the least of all that led there */
	struct span canonical;		/* lower case, no final dot */
	struct span *answers;		/* RDATA, names not compressed */
	size_t count;
};

/* The answer to a question for this type, class IN. 1, 0 malformed. */
int dns_message_read(struct span packet, uint32_t type, struct arena *,
    struct dns_message *);

#endif

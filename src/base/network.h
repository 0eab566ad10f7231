/*
 * network.h - addresses and networks, as settings name them.
 *
 * "192.0.2.1", "192.0.2.0/24", "2001:db8::/32", with or without brackets
 * around IPv6. An IPv4 address that came as IPv6 (::ffff:192.0.2.1) is the
 * IPv4 address. Pure.
 */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H

#include "base/base.h"
#include "base/text.h"

struct network {
	bool ipv6;
	uint8_t b[16];		/* IPv4: the first four */
	unsigned bits;		/* that count */
};

/* 1, 0 not one. An address is a network of all its bits. */
int network_parse(struct span, struct network *);
bool network_has(const struct network *, const struct network *address);
/* Only the first bits remain; for what is counted by neighbourhood. */
struct network network_around(const struct network *, unsigned ipv4_bits,
    unsigned ipv6_bits);

/* Of a list with blanks between: 1 all are networks; 0, *why names it. */
int networks_check(struct span list, struct text *why);
bool networks_have(struct span list, struct span address);

#endif

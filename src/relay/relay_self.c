/*
 * relay_self.c - addresses that mail must not go to: our own, and those
 * that lead back to this machine.
 *
 * The interfaces are looked at once, before the sandbox closes; behind a
 * translator of addresses nobody can know (there Received headers end a
 * loop).
 */
#include "relay/relay_target.h"

#include <ifaddrs.h>
#include <netinet/in.h>

enum { SELF_MAX = 256 };

static struct ip_address self[SELF_MAX];
static size_t self_count;

static bool
is_v4_mapped(const struct ip_address *ip)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(ip->b, prefix, sizeof(prefix)) == 0;
}

static bool
is_local_v4(const uint8_t b[4])
{
	return b[0] == 127 || b[0] == 0 || b[0] >= 224 ||
	    (b[0] == 169 && b[1] == 254);
}

/* ::, ::1, fe80::/10, multicast, and IPv4 in disguise. */
static bool
is_local_v6(const struct ip_address *ip)
{
	static const uint8_t zero[15];

	if (is_v4_mapped(ip))
		return is_local_v4(ip->b + 12);
	return (memcmp(ip->b, zero, sizeof(zero)) == 0 && ip->b[15] <= 1) ||
	    (ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80) ||
	    ip->b[0] == 0xff;
}

bool
relay_address_is_local(const struct ip_address *ip)
{
	return ip->family == AF_INET ? is_local_v4(ip->b) : is_local_v6(ip);
}

static struct ip_address
address_of(const struct sockaddr *sa)
{
	struct ip_address ip = { .family = sa->sa_family };

	if (sa->sa_family == AF_INET)
		memcpy(ip.b, &((const struct sockaddr_in *)(const void *)
		    sa)->sin_addr, 4);
	else
		memcpy(ip.b, &((const struct sockaddr_in6 *)(const void *)
		    sa)->sin6_addr, 16);
	return ip;
}

void
relay_self_prepare(void)
{
	struct ifaddrs *all;

	if (getifaddrs(&all) != 0)
		return;
	for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
		struct ip_address ip;

		if (i->ifa_addr == NULL || self_count == SELF_MAX ||
		    (i->ifa_addr->sa_family != AF_INET &&
		    i->ifa_addr->sa_family != AF_INET6))
			continue;
		ip = address_of(i->ifa_addr);
		if (!relay_address_is_local(&ip))
			self[self_count++] = ip;
	}
	freeifaddrs(all);
}

/* Do we listen for mail on that port, at some address? */
static bool
we_listen(const struct settings *s, uint16_t port)
{
	struct span rest = span_str(s->listen_smtp), word;
	uint32_t n;

	while ((word = span_word(&rest)).n > 0) {
		size_t colon = word.n;

		while (colon > 0 && word.p[colon - 1] != ':')
			colon--;
		if (span_u32(span_from(word, colon), &n) == 1 && n == port)
			return true;
	}
	return false;
}

bool
relay_self(const struct settings *s, const struct ip_address *ip,
    uint16_t port)
{
	if (!we_listen(s, port))
		return false;
	for (size_t i = 0; i < self_count; i++)
		if (self[i].family == ip->family &&
		    memcmp(self[i].b, ip->b, ip->family == AF_INET ? 4 : 16)
		    == 0)
			return true;
	return false;
}

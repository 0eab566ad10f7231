/*
 * ip_address.c - addresses as people write them.
 */
#include "verify/resolve.h"

#include <arpa/inet.h>

int
ip_parse(struct span s, struct ip_address *out)
{
	char name[INET6_ADDRSTRLEN];
	struct ip_address ip = { .family = AF_INET };

	if (s.n == 0 || s.n >= sizeof(name) ||
	    span_find_char(s, '\0', 0) != SIZE_MAX)
		return 0;
	memcpy(name, s.p, s.n);
	name[s.n] = '\0';
	if (span_find_char(s, ':', 0) != SIZE_MAX)
		ip.family = AF_INET6;
	if (inet_pton(ip.family, name, ip.b) != 1)
		return 0;
	*out = ip;
	return 1;
}

void
ip_write(const struct ip_address *ip, struct text *out)
{
	char name[INET6_ADDRSTRLEN];

	must(inet_ntop(ip->family, ip->b, name, sizeof(name)) != NULL);
	text_str(out, name);
}

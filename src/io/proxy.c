/*
 * proxy.c - the PROXY protocol, read as its text says.
 */
#include "io/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

enum {
	LINE_MAX_V1 = 107,	/* with its CRLF */
	HEAD_V2 = 16,
	INET_V2 = 12, INET6_V2 = 36,	/* bytes of addresses and ports */
};

static const struct span signature =
    SPAN("\r\n\r\n\0\r\nQUIT\n");

/* ---- version 1 ---------------------------------------------------------- */

static struct span
word_of(struct span *rest)
{
	struct span word;

	*rest = span_cut(*rest, ' ', &word);
	return word;
}

static bool
read_host(struct span word, int family, void *out)
{
	char text[INET6_ADDRSTRLEN];

	if (word.n == 0 || word.n >= sizeof(text))
		return false;
	memcpy(text, word.p, word.n);
	text[word.n] = '\0';
	return inet_pton(family, text, out) == 1;
}

/* No leading zeros, up to 65535. */
static bool
read_port(struct span word, in_port_t *out)
{
	uint32_t port;

	if (span_u32(word, &port) != 1 || port > 65535 ||
	    (word.n > 1 && word.p[0] == '0'))
		return false;
	*out = htons((uint16_t)port);
	return true;
}

/* "192.0.2.1 198.51.100.1 56324 443"; the second of each is ours. */
static bool
read_addresses(struct span rest, int family, struct proxy_header *h)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct in6_addr ours;
	in_port_t our_port;
	bool six = family == AF_INET6;

	if (!read_host(word_of(&rest), family, six ?
	    (void *)&in6.sin6_addr : (void *)&in.sin_addr) ||
	    !read_host(word_of(&rest), family, &ours) ||
	    !read_port(word_of(&rest), six ? &in6.sin6_port : &in.sin_port) ||
	    !read_port(rest, &our_port))
		return false;
	h->has_client = true;
	if (six)
		memcpy(&h->client, &in6, sizeof(in6));
	else
		memcpy(&h->client, &in, sizeof(in));
	return true;
}

static int
parse_v1(struct span s, struct proxy_header *h)
{
	size_t end = span_find_char(s, '\n', 0);
	struct span rest, family;

	if (end == SIZE_MAX)
		return s.n < LINE_MAX_V1 ? 0 : -1;
	h->size = end + 1;
	if (h->size > LINE_MAX_V1 || end == 0 || s.p[end - 1] != '\r')
		return -1;
	rest = span_sub(s, 6, end - 1 - 6);
	family = word_of(&rest);
	if (span_is(family, "UNKNOWN"))
		return 1;
	if (span_is(family, "TCP4"))
		return read_addresses(rest, AF_INET, h) ? 1 : -1;
	if (span_is(family, "TCP6"))
		return read_addresses(rest, AF_INET6, h) ? 1 : -1;
	return -1;
}

/* ---- version 2 ------------------------------------------------------------ */

static void
read_v2(const char *p, int family, struct proxy_header *h)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	h->has_client = true;
	if (family == AF_INET) {
		memcpy(&in.sin_addr, p, 4);
		memcpy(&in.sin_port, p + 8, 2);
		memcpy(&h->client, &in, sizeof(in));
		return;
	}
	memcpy(&in6.sin6_addr, p, 16);
	memcpy(&in6.sin6_port, p + 32, 2);
	memcpy(&h->client, &in6, sizeof(in6));
}

/*
 * Command LOCAL is the proxy's own (a check that we live); what has no
 * internet address (UNSPEC, UNIX) is taken as coming from the proxy.
 * Datagrams do not come through a stream.
 */
static int
parse_v2(struct span s, struct proxy_header *h)
{
	unsigned command, family, transport;
	size_t n, need;

	if (s.n < HEAD_V2)
		return 0;
	command = (uint8_t)s.p[12];
	family = (uint8_t)s.p[13] >> 4;
	transport = (uint8_t)s.p[13] & 15;
	n = (size_t)(uint8_t)s.p[14] << 8 | (uint8_t)s.p[15];
	h->size = HEAD_V2 + n;
	if (command == 0x20)
		return 1;
	if (command != 0x21 || family > 3 || transport > 1)
		return -1;
	if (family == 0 || transport == 0 || family == 3)
		return 1;
	need = family == 1 ? INET_V2 : INET6_V2;
	if (n < need)
		return -1;
	if (s.n < HEAD_V2 + need)
		return 0;
	read_v2(s.p + HEAD_V2, family == 1 ? AF_INET : AF_INET6, h);
	return 1;
}

int
proxy_parse(struct span s, struct proxy_header *h)
{
	const struct span word = SPAN("PROXY ");

	*h = (struct proxy_header){ .size = 0 };
	if (span_starts(s, word))
		return parse_v1(s, h);
	if (span_starts(s, signature))
		return parse_v2(s, h);
	return span_starts(word, s) || span_starts(signature, s) ? 0 : -1;
}

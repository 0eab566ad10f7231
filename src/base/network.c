/*
 * network.c - addresses and networks, as settings name them.
 */
#include "base/network.h"

#include <arpa/inet.h>

enum { WORD_MAX = 64 };

static bool
is_mapped(const uint8_t b[16])
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(b, prefix, sizeof(prefix)) == 0;
}

/* Without "/bits". */
static int
parse_address(struct span s, struct network *n)
{
	char word[WORD_MAX];

	if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		s = span_sub(s, 1, s.n - 2);
	if (s.n == 0 || s.n >= sizeof(word) ||
	    span_find_char(s, '\0', 0) != SIZE_MAX)
		return 0;
	memcpy(word, s.p, s.n);
	word[s.n] = '\0';
	*n = (struct network){ .bits = 32 };
	if (inet_pton(AF_INET, word, n->b) == 1)
		return 1;
	if (inet_pton(AF_INET6, word, n->b) != 1)
		return 0;
	n->ipv6 = true;
	n->bits = 128;
	return 1;
}

static void
unmap(struct network *n)
{
	if (!n->ipv6 || !is_mapped(n->b) || n->bits < 96)
		return;
	memmove(n->b, n->b + 12, 4);
	memset(n->b + 4, 0, 12);
	n->ipv6 = false;
	n->bits -= 96;
}

int
network_parse(struct span s, struct network *n)
{
	struct span host, bits = span_cut(s, '/', &host);
	uint32_t count;

	if (parse_address(host, n) != 1)
		return 0;
	if (host.n < s.n) {
		if (span_u32(bits, &count) != 1 || count > n->bits)
			return 0;
		n->bits = count;
	}
	unmap(n);
	return 1;
}

bool
network_has(const struct network *n, const struct network *address)
{
	unsigned whole = n->bits / 8, rest = n->bits % 8;

	if (n->ipv6 != address->ipv6 || n->bits > address->bits)
		return false;
	if (memcmp(n->b, address->b, whole) != 0)
		return false;
	return rest == 0 ||
	    ((n->b[whole] ^ address->b[whole]) >> (8 - rest)) == 0;
}

struct network
network_around(const struct network *address, unsigned ipv4_bits,
    unsigned ipv6_bits)
{
	struct network n = *address;

	n.bits = MIN(n.bits, n.ipv6 ? ipv6_bits : ipv4_bits);
	for (unsigned i = 0; i < 16; i++) {
		if (i * 8 >= n.bits)
			n.b[i] = 0;
		else if (n.bits - i * 8 < 8)
			n.b[i] &= (uint8_t)(0xff << (8 - (n.bits - i * 8)));
	}
	return n;
}

int
networks_check(struct span list, struct text *why)
{
	struct network n;
	struct span word;

	while ((word = span_word(&list)).n > 0) {
		if (network_parse(word, &n) == 1)
			continue;
		text_printf(why, "not an address or network: %.*s",
		    SPAN_ARG(word));
		return 0;
	}
	return 1;
}

bool
networks_have(struct span list, struct span address)
{
	struct network one, n;
	struct span word;

	if (list.n == 0 || network_parse(address, &one) != 1)
		return false;
	while ((word = span_word(&list)).n > 0)
		if (network_parse(word, &n) == 1 && network_has(&n, &one))
			return true;
	return false;
}

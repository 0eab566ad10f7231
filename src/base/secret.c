/*
 * secret.c - equal time, wiping, randomness from the kernel.
 */
#include "base/secret.h"

#include <sys/random.h>

bool
secret_equal(struct span a, struct span b)
{
	volatile unsigned char differ = 0;

	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		differ = differ |
		    (unsigned char)((unsigned char)a.p[i] ^
		    (unsigned char)b.p[i]);
	return differ == 0;
}

void
secret_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}

void
random_bytes(void *p, size_t n)
{
	unsigned char *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		must(got > 0);
		at += got;
		n -= (size_t)got;
	}
}

uint64_t
random_u64(void)
{
	uint64_t v;

	random_bytes(&v, sizeof(v));
	return v;
}

/* Draws from the incomplete last run of n values are thrown away. */
uint32_t
random_below(uint32_t n)
{
	uint32_t v, uneven;

	must(n > 0);
	uneven = (uint32_t)-n % n;	/* 2^32 mod n */
	do {
		random_bytes(&v, sizeof(v));
	} while (v < uneven);
	return v % n;
}

void
hex_of(char *out, const void *p, size_t n)
{
	const unsigned char *in = p;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = "0123456789abcdef"[in[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[in[i] & 15];
	}
	out[2 * n] = '\0';
}

int
hex_digit(char c)
{
	c = ascii_lower(c);
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
hex_to(void *p, size_t n, struct span hex)
{
	unsigned char *out = p;

	if (n > SIZE_MAX / 2 || hex.n != 2 * n)
		return 0;
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(hex.p[2 * i]);
		int low = hex_digit(hex.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return 0;
		out[i] = (unsigned char)(high << 4 | low);
	}
	return 1;
}

/*
 * totp.c - RFC 6238 over RFC 4226.
 */
#include "store/totp.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { DIGITS = 6, CODES = 1000000, EITHER_SIDE = 1 };

uint32_t
totp_code(const uint8_t secret[TOTP_SECRET], uint64_t step)
{
	uint8_t counter[8], mac[20];
	unsigned int n = 0;
	size_t at;

	for (int i = 0; i < 8; i++)
		counter[i] = (uint8_t)(step >> (56 - 8 * i));
	must(HMAC(EVP_sha1(), secret, TOTP_SECRET, counter, sizeof(counter),
	    mac, &n) != NULL && n == sizeof(mac));
	at = mac[19] & 15;
	return ((uint32_t)(mac[at] & 0x7f) << 24 |
	    (uint32_t)mac[at + 1] << 16 | (uint32_t)mac[at + 2] << 8 |
	    mac[at + 3]) % CODES;
}

uint64_t
totp_check(const uint8_t secret[TOTP_SECRET], struct span code, int64_t now)
{
	uint64_t step = (uint64_t)(MAX(now, TOTP_STEP * 2)) / TOTP_STEP;
	uint64_t found = 0;
	uint32_t number;

	if (code.n != DIGITS || span_u32(code, &number) != 1)
		return 0;
	for (uint64_t s = step - EITHER_SIDE; s <= step + EITHER_SIDE; s++)
		if (totp_code(secret, s) == number)
			found = s;
	return found;
}

void
base32_add(struct text *out, struct span s)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint32_t bits = 0;
	unsigned held = 0;

	for (size_t i = 0; i < s.n; i++) {
		bits = (bits << 8 | (uint8_t)s.p[i]) & 0xfff;
		for (held += 8; held >= 5; held -= 5)
			text_char(out, letters[bits >> (held - 5) & 31]);
	}
	if (held > 0)
		text_char(out, letters[bits << (5 - held) & 31]);
}

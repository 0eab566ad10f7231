/*
 * srs.c - SRS0 and SRS1 addresses, as Mail::SRS writes them in its guarded
 * form:
 *
 *	SRS0=hash=day=domain=local@here		hash over day domain local
 *	SRS1=hash=first=rest@here		hash over first rest
 *
 * SRS1 wraps what the first forwarder, `first`, wrote: its way back is
 * SRS0rest@first, and the first forwarder knows the rest of it. So no chain
 * of forwarders makes an address longer than two of them do.
 *
 * The hash is an HMAC-SHA-1 (nothing here needs collisions to be hard), in
 * base64, cut; it and the day are compared without regard to case, since
 * there are servers that write local parts in their own. The day is two
 * digits of base 32, so days are counted modulo 1024.
 *
 * What a forwarder writes is often longer than the 64 bytes RFC 5321 4.5.3.1
 * asks for at least; like every other forwarder we send it all the same.
 */
#include "mail/srs.h"
#include "base/secret.h"
#include "mail/address.h"
#include "mail/encode.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { HASH_CHARS = 8, DAY_CHARS = 2, DAYS = 1024 };

static const char day_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* SRS0 or SRS1, and one of the separators in use: the digit, else 0. */
static char
srs_kind(struct span local)
{
	if (local.n < 5 || !span_starts_nocase(local, SPAN("SRS")) ||
	    strchr("=+-", local.p[4]) == NULL)
		return 0;
	return local.p[3] == '0' || local.p[3] == '1' ? local.p[3] : 0;
}

bool
srs_is(struct span local_part)
{
	return srs_kind(local_part) != 0;
}

/* -- hash and day -------------------------------------------------------- */

static void
add_lower(struct text *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		text_char(out, ascii_lower(s.p[i]));
}

static void
make_hash(struct span secret, struct span data, char out[HASH_CHARS])
{
	struct text lower = TEXT_INIT(0), base64 = TEXT_INIT(0);
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	add_lower(&lower, data);
	must(HMAC(EVP_sha1(), secret.p, (int)secret.n,
	    (const unsigned char *)lower.p, lower.n, mac, &n) != NULL);
	base64_add(&base64, span_of(mac, n));
	must(base64.n >= HASH_CHARS);
	memcpy(out, base64.p, HASH_CHARS);
	text_free(&lower);
	text_free(&base64);
}

static bool
hash_fits(struct span secret, struct span data, struct span hash)
{
	struct text given = TEXT_INIT(0), wanted = TEXT_INIT(0);
	char made[HASH_CHARS];
	bool fits;

	make_hash(secret, data, made);
	add_lower(&wanted, span_of(made, HASH_CHARS));
	add_lower(&given, hash);
	fits = secret_equal(text_span(&given), text_span(&wanted));
	text_free(&given);
	text_free(&wanted);
	return fits;
}

static void
make_day(int64_t day, char out[DAY_CHARS])
{
	uint32_t n = (uint32_t)((day % DAYS + DAYS) % DAYS);

	out[0] = day_digits[n >> 5];
	out[1] = day_digits[n & 31];
}

/* Days that have passed since the one that was written; -1: not a day. */
static int
day_age(struct span written, int64_t today)
{
	int32_t then = 0;

	if (written.n != DAY_CHARS)
		return -1;
	for (size_t i = 0; i < written.n; i++) {
		size_t digit = span_find_char(span_of(day_digits, 32),
		    ascii_upper(written.p[i]), 0);

		if (digit == SIZE_MAX)
			return -1;
		then = then << 5 | (int32_t)digit;
	}
	return ((int32_t)(today % DAYS) - then + 2 * DAYS) % DAYS;
}

/* -- out and back -------------------------------------------------------- */

/* The written form; 0 when it is longer than a path may be. */
static int
written(struct arena *arena, struct span local, struct span domain,
    struct span *out)
{
	struct address address = { .local = local, .domain = domain };

	if (local.p == NULL)
		return 0;
	*out = address_text(arena, &address);
	return out->p != NULL && out->n <= ADDRESS_PATH_MAX - 2;
}

/* "SRS1=hash=first=rest": first and rest stand in `data` as they are hashed. */
static int
wrap_again(struct span first, struct span rest, struct span domain,
    struct span secret, struct arena *arena, struct span *out)
{
	struct span data = arena_printf(arena, "%.*s%.*s", SPAN_ARG(first),
	    SPAN_ARG(rest));
	char hash[HASH_CHARS];

	if (data.p == NULL)
		return 0;
	make_hash(secret, data, hash);
	return written(arena, arena_printf(arena, "SRS1=%.*s=%.*s=%.*s",
	    HASH_CHARS, hash, SPAN_ARG(first), SPAN_ARG(rest)), domain, out);
}

static int
wrap_first(const struct address *sender, struct span domain,
    struct span secret, int64_t day, struct arena *arena, struct span *out)
{
	char hash[HASH_CHARS], when[DAY_CHARS];
	struct span data;

	make_day(day, when);
	data = arena_printf(arena, "%.*s%.*s%.*s", DAY_CHARS, when,
	    SPAN_ARG(sender->domain), SPAN_ARG(sender->local));
	if (data.p == NULL)
		return 0;
	make_hash(secret, data, hash);
	return written(arena, arena_printf(arena,
	    "SRS0=%.*s=%.*s=%.*s=%.*s", HASH_CHARS, hash, DAY_CHARS, when,
	    SPAN_ARG(sender->domain), SPAN_ARG(sender->local)), domain, out);
}

int
srs_forward(struct span sender, struct span domain, struct span secret,
    int64_t day, struct arena *arena, struct span *out)
{
	struct span hash, first, rest;
	struct address address;

	*out = SPAN_EMPTY;
	if (sender.n == 0)
		return 1;
	if (address_mailbox(sender, ADDRESS_ALLOW_UTF8, arena,
	    &address) != 1)
		return 0;
	/* A literal's tag: where it ends could not be told. */
	if (span_find_char(address.domain, '=', 0) != SIZE_MAX)
		return 0;
	switch (srs_kind(address.local)) {
	case '0':
		return wrap_again(address.domain, span_from(address.local, 4),
		    domain, secret, arena, out);
	case '1':
		rest = span_cut(span_from(address.local, 5), '=', &hash);
		rest = span_cut(rest, '=', &first);
		if (first.n > 0 && rest.n > 0)
			return wrap_again(first, rest, domain, secret, arena,
			    out);
		break;
	default:
		break;
	}
	return wrap_first(&address, domain, secret, day, arena, out);
}

static int
unwrap(struct span local, struct span domain, struct arena *arena,
    struct span *out)
{
	struct address address;
	struct span text;

	return local.n > 0 && written(arena, local, domain, &text) &&
	    address_mailbox(text, ADDRESS_ALLOW_UTF8, arena, &address) == 1 &&
	    written(arena, address.local, address.domain, out);
}

static int
reverse_again(struct span rest, struct span secret, struct arena *arena,
    struct span *out)
{
	struct span hash, first, data;

	rest = span_cut(rest, '=', &hash);
	rest = span_cut(rest, '=', &first);
	data = arena_printf(arena, "%.*s%.*s", SPAN_ARG(first),
	    SPAN_ARG(rest));
	if (data.p == NULL || !hash_fits(secret, data, hash))
		return 0;
	return unwrap(arena_printf(arena, "SRS0%.*s", SPAN_ARG(rest)), first,
	    arena, out);
}

static int
reverse_first(struct span rest, struct span secret, int64_t today,
    struct arena *arena, struct span *out)
{
	struct span hash, day, domain, data;
	int age;

	rest = span_cut(rest, '=', &hash);
	rest = span_cut(rest, '=', &day);
	rest = span_cut(rest, '=', &domain);
	data = arena_printf(arena, "%.*s%.*s%.*s", SPAN_ARG(day),
	    SPAN_ARG(domain), SPAN_ARG(rest));
	if (data.p == NULL || !hash_fits(secret, data, hash))
		return 0;
	age = day_age(day, today);
	if (age < 0 || age > SRS_DAYS)
		return 0;
	return unwrap(rest, domain, arena, out);
}

int
srs_reverse(struct span address, struct span secret, int64_t day,
    struct arena *arena, struct span *out)
{
	struct address a;
	struct span rest;

	*out = SPAN_EMPTY;
	if (address_mailbox(address, ADDRESS_ALLOW_UTF8, arena, &a) != 1 ||
	    srs_kind(a.local) == 0 || a.local.p[4] != '=')
		return 0;
	rest = span_from(a.local, 5);
	return srs_kind(a.local) == '0'
	    ? reverse_first(rest, secret, day, arena, out)
	    : reverse_again(rest, secret, arena, out);
}

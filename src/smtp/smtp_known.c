/*
 * smtp_known.c - a table of one look: a newer address takes an older one's
 * place. Bounded, and never wrong for longer than KNOWN_MS.
 */
#include "smtp/smtp_known.h"

#include "base/clock.h"
#include "base/map.h"

enum { SLOTS = 1024, ADDRESS_MAX = 104 };	/* longer ones are asked for */

static struct {
	monotime_t until;
	size_t n;
	char address[ADDRESS_MAX];
} slots[SLOTS];

bool
smtp_known(struct span address)
{
	size_t i = map_hash(address) % SLOTS;

	return slots[i].n > 0 &&
	    span_eq(address, span_of(slots[i].address, slots[i].n)) &&
	    mono_before(clock_mono(), slots[i].until);
}

void
smtp_know(struct span address)
{
	size_t i = map_hash(address) % SLOTS;

	if (address.n == 0 || address.n > ADDRESS_MAX)
		return;
	slots[i].n = address.n;
	memcpy(slots[i].address, address.p, address.n);
	slots[i].until = clock_after(KNOWN_MS);
}

void
smtp_know_nobody(void)
{
	memset(slots, 0, sizeof(slots));
}

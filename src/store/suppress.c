/*
 * suppress.c - addresses outside that do not exist.
 */
#include "store/suppress.h"

void
suppress_note(struct store *store, struct span address, struct span reason)
{
	(void)store, (void)address, (void)reason;
}

int
suppress_find(struct store *store, struct span address, struct arena *arena,
    struct span *why)
{
	(void)store, (void)address, (void)arena, (void)why;
	return 0;
}

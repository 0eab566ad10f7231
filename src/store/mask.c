/*
 * mask.c - masked addresses.
 */
#include "store/mask.h"

void
mask_used(struct store *store, struct span address)
{
	(void)store, (void)address;
}

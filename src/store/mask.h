/*
 * mask.h - masked addresses: random ones that an account makes, gives away
 * with a note of to whom, and kills when they are abused.
 *
 * The address is a name of the directory like any other; how often it was
 * used is counted in memory and written once a minute. Any thread.
 */
#ifndef STORE_MASK_H
#define STORE_MASK_H

#include "store/store.h"

struct masks;

struct masks *masks_new(struct store *);
void masks_free(struct masks **);

/* A message came to this recipient: counts if it is a mask. */
void mask_used(struct store *, struct span address);
/* What was counted, to disk. 1, -1. A chore of the keeper. */
int  mask_save(struct store *);

#endif

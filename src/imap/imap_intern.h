/*
 * imap_intern.h - strings that occur again and again, kept once.
 *
 * Each has a number, 0 is the empty one; ranks say how they sort. Pure.
 */
#ifndef IMAP_IMAP_INTERN_H
#define IMAP_IMAP_INTERN_H

#include "base/base.h"

struct imap_intern;

struct imap_intern *imap_intern_new(void);
void imap_intern_free(struct imap_intern **);
uint32_t imap_intern(struct imap_intern *, struct span);
struct span imap_intern_text(const struct imap_intern *, uint32_t number);
/* ranks[number]: strings in bytewise order. Good until the next new string. */
const uint32_t *imap_intern_ranks(struct imap_intern *);
size_t imap_intern_bytes(const struct imap_intern *);	/* memory held */

#endif

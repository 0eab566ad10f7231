/*
 * imap_collate.h - the collations of RFC 4790 that strings are compared by.
 *
 * A string becomes a key; two strings are equal, in order, or one within the
 * other, when their keys are, byte by byte. Pure.
 */
#ifndef IMAP_IMAP_COLLATE_H
#define IMAP_IMAP_COLLATE_H

#include "base/text.h"

enum imap_collation {
	IMAP_UNICODE_CASEMAP,		/* the default: RFC 5051 */
	IMAP_ASCII_CASEMAP, IMAP_OCTET,
	IMAP_COLLATIONS
};

const char *imap_collation_name(enum imap_collation);
/* May stand for it: its name, "default", or with * in it ("i;*"). */
bool imap_collation_fits(enum imap_collation, struct span wanted);
void imap_collate_add(enum imap_collation, struct text *key, struct span utf8);

#endif

/*
 * imap_body.h - BODYSTRUCTURE, and BODY[section] as it is answered.
 *
 * Pure: out of a decoded summary into a text.
 */
#ifndef IMAP_IMAP_BODY_H
#define IMAP_IMAP_BODY_H

#include "base/arena.h"
#include "base/text.h"
#include "imap/imap_envelope.h"
#include "mail/imap_section.h"
#include "mail/summary.h"

/* BODY (extended false) or BODYSTRUCTURE, with its outer parentheses. */
void imap_add_body(struct text *, const struct summary_part *root,
    bool extended, enum imap_text_mode);

/* "BODY[1.2.HEADER.FIELDS (From To)]<0>" as it stands in the answer. */
void imap_add_section(struct text *, const struct imap_section *);

#endif

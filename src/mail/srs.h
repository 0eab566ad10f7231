/*
 * srs.h - sender addresses for mail that is sent on (SRS).
 *
 * SPF asks whether the sending host may use the envelope sender's domain: who
 * forwards must use a domain of their own. The old address is packed into the
 * local part with a keyed hash and a day, so that notifications find their
 * way back for a while and nobody else can use us to send on. Pure.
 */
#ifndef MAIL_SRS_H
#define MAIL_SRS_H

#include "base/arena.h"
#include "base/text.h"

enum { SRS_DAYS = 21 };			/* how long the way back works */

/*
 * sender "ann@example.org" becomes "SRS0=HHHH=TT=example.org=ann@domain";
 * an SRS0 or SRS1 address of another forwarder becomes SRS1. "" stays.
 * day: days since 1970. 1; 0 it cannot be done (too long).
 */
int srs_forward(struct span sender, struct span domain, struct span secret,
    int64_t day, struct arena *, struct span *out);
/* The way back: 1 and the address; 0 not one of ours, or too old. */
int srs_reverse(struct span address, struct span secret, int64_t day,
    struct arena *, struct span *out);
bool srs_is(struct span local_part);

#endif

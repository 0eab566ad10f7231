/*
 * bounce.h - what a sender is told about a message that did not arrive.
 *
 * A delivery status notification: multipart/report of RFC 6522 with the
 * fields of RFC 3464; in the internationalised form of RFC 6533 where an
 * address cannot be written in ASCII. Pure: everything it says is given.
 */
#ifndef QUEUE_BOUNCE_H
#define QUEUE_BOUNCE_H

#include "base/base.h"
#include "base/text.h"
#include "queue/envelope.h"

enum { BOUNCE_HEADER_MAX = 64 << 10 };	/* of the message quoted in it */

enum bounce_kind {
	BOUNCE_FAILED,			/* recipients in RECIPIENT_FAILED */
	BOUNCE_DELAYED,			/* those still RECIPIENT_WAITING */
};

struct bounce {
	enum bounce_kind kind;
	struct span hostname;
	walltime_t now;
	int64_t retry_until;		/* seconds; when delayed */
	const struct envelope *envelope;
	struct span header;		/* of the message, as it came */
	struct token token;		/* of the notification itself */
};

/* Is there anybody the notification would be about? */
bool bounce_wanted(const struct envelope *, enum bounce_kind);
/*
 * Append the notification with its Return-Path: <> line; that line's length
 * is *prefix. Message-ID (with angles) goes to `message_id`.
 */
void bounce_build(const struct bounce *, struct text *out, uint32_t *prefix,
    struct text *message_id);

/*
 * Reasons begin with an enhanced status code (RFC 3463): "5.1.1 text". The
 * code, or "5.0.0" / "4.0.0" where there is none; *rest is what follows.
 */
struct span bounce_status(struct span reason, enum bounce_kind,
    struct span *rest);

#endif

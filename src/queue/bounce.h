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

enum {
	BOUNCE_HEADER_MAX = 64 << 10,	/* of the message quoted in it */
	BOUNCE_WHOLE_MAX = 1 << 20,	/* a larger one is not returned whole */
};

enum bounce_kind {
	BOUNCE_FAILED, BOUNCE_DELAYED,
	BOUNCE_SUCCESS,			/* asked for by NOTIFY=SUCCESS */
};

enum bounce_action {			/* RFC 3464 2.3.3 */
	BOUNCE_NOTHING,			/* no word about this recipient */
	BOUNCE_IS_FAILED, BOUNCE_IS_DELAYED, BOUNCE_IS_DELIVERED,
	BOUNCE_IS_RELAYED, BOUNCE_IS_EXPANDED,
	BOUNCE_ACTIONS
};

/* What became of a recipient; why is its reason in the envelope. */
struct bounce_fate {
	enum bounce_action action;
	struct span remote;		/* "mx.example.org[192.0.2.1]:25" */
	struct span answer;		/* what that server said */
};

struct bounce {
	enum bounce_kind kind;
	struct span hostname;
	walltime_t now;
	int64_t retry_until;		/* seconds; when delayed */
	const struct envelope *envelope;
	const struct bounce_fate *fates;	/* of each recipient */
	struct span original;		/* the message, or its header */
	bool whole;			/* return all of it (RET=FULL) */
	struct token token;		/* of the notification itself */
};

/*
 * Does the sender want to be told so of this recipient (RFC 3461 4.1)? Where
 * nothing was said: of failures and delays. The null sender: never.
 */
bool bounce_wanted(const struct envelope *, const struct envelope_recipient *,
    enum bounce_kind);
/*
 * Append the notification with its Return-Path: <> line; that line's length
 * is *prefix. Message-ID (with angles) goes to `message_id`.
 */
void bounce_build(const struct bounce *, struct text *out, uint32_t *prefix,
    struct text *message_id);

/*
 * Reasons begin with an enhanced status code (RFC 3463): "5.1.1 text". The
 * code, or "5.0.0" and the like where there is none; *rest is what follows.
 */
struct span bounce_status(struct span reason, enum bounce_action,
    struct span *rest);

#endif

/*
 * smtp_answer.h - the replies of an SMTP server, read. Pure.
 */
#ifndef SMTP_SMTP_ANSWER_H
#define SMTP_SMTP_ANSWER_H

#include "base/arena.h"
#include "base/base.h"
#include "base/text.h"

enum {
	ANSWER_LINE_MAX = 2048,		/* RFC 5321 4.5.3.1.5 says 512 */
	ANSWER_LINES_MAX = 128,
	ANSWER_TEXT_MAX = 8192,		/* of all lines, kept */
};

struct smtp_answer {
	unsigned code;			/* 200 to 599 */
	struct span enhanced;		/* "5.1.1" (RFC 2034), "" none */
	struct span text;		/* lines joined by LF, codes taken off,
					   control characters made blanks */
};

/*
 * A whole reply at the beginning of `in`: 1 and *used; 0 more is needed;
 * -1 this is no SMTP reply, or it is beyond the limits. Lines may end in a
 * bare LF; codes of one reply must agree.
 */
int smtp_answer_parse(struct span in, struct arena *, struct smtp_answer *,
    size_t *used);
/* "550 5.1.1 no such user", on one line. */
void smtp_answer_text(const struct smtp_answer *, struct text *out);

/* What EHLO's answer offers. */
enum {
	OFFERS_PIPELINING = 1 << 0, OFFERS_8BITMIME = 1 << 1,
	OFFERS_SMTPUTF8 = 1 << 2, OFFERS_CHUNKING = 1 << 3,
	OFFERS_BINARYMIME = 1 << 4, OFFERS_STARTTLS = 1 << 5,
	OFFERS_DSN = 1 << 6, OFFERS_SIZE = 1 << 7, OFFERS_AUTH = 1 << 8,
	OFFERS_REQUIRETLS = 1 << 9, OFFERS_DELIVERBY = 1 << 10,
	OFFERS_MT_PRIORITY = 1 << 11, OFFERS_LIMITS = 1 << 12,
	OFFERS_ENHANCED = 1 << 13,
};
struct smtp_offers {
	unsigned bits;			/* OFFERS_* */
	uint64_t size;			/* 0: no limit told */
	uint64_t deliver_by_min;	/* seconds (RFC 2852) */
	uint32_t mail_max, recipients_max, domains_max;	/* RFC 9422; 0 none */
	struct span mechanisms;		/* of AUTH, SP between */
};
void smtp_offers_parse(const struct smtp_answer *ehlo, struct arena *,
    struct smtp_offers *);

#endif

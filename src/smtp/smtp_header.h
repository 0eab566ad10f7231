/*
 * smtp_header.h - the header fields a receiving server adds.
 *
 * RFC 5321 4.4: Return-Path and Received; RFC 6409 section 8: Date and
 * Message-ID where a submitted message has none. Pure.
 */
#ifndef SMTP_SMTP_HEADER_H
#define SMTP_SMTP_HEADER_H

#include "base/text.h"
#include "mail/date.h"

/* How a message came. */
struct smtp_origin {
	struct span sender;	/* local@domain, "" for the null sender */
	struct span helo;	/* "" when the client's name is kept private */
	struct span address;	/* of the client, "" likewise */
	struct span name;	/* of that address, when it leads back to it */
	struct span hostname;	/* ours */
	struct span tls;	/* "TLSv1.3 TLS_...", "" without */
	struct span recipient;	/* the only one, or "" */
	struct span id;		/* the queue id */
	bool esmtp, lmtp, utf8, authenticated;
	int priority;		/* RFC 6710; 0 is not told */
	int64_t now;		/* seconds since 1970 UTC */
};

/* "ESMTPSA" and so on (RFC 3848, RFC 6531). */
void smtp_protocol_name(const struct smtp_origin *, struct text *out);
/* "Return-Path: <ann@example.test>" CRLF */
void smtp_return_path(const struct smtp_origin *, struct text *out);
void smtp_received(const struct smtp_origin *, struct text *out);

/*
 * What a submitted message lacks: `header` is its header section (with or
 * without the empty line). Where it begins with no field at all it is all
 * body, and the empty line is added too.
 */
void smtp_complete(const struct smtp_origin *, struct span header,
    struct text *out);

#endif

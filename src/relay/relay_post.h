/*
 * relay_post.h - a report that goes to a web server (RFC 8460 5.4).
 *
 * An envelope whose recipient is a URL ("https://host/path") and whose domain
 * is "https:host" holds a header of one field (Content-Type), an empty line
 * and the bytes to POST. Its TLS is what it can be: reports are sent even
 * where the receiver's certificate is the thing that is wrong.
 */
#ifndef RELAY_RELAY_POST_H
#define RELAY_RELAY_POST_H

#include "base/text.h"
#include "ipc/contract.h"

static inline bool
relay_post_is(struct span domain)
{
	return span_starts(domain, SPAN("https:"));
}

/*
 * message: without its Return-Path. *reason: "4.4.1 no connection" or empty,
 * *answer: "200 OK". On a fiber.
 */
enum relay_outcome relay_post(struct span url, struct span message,
    struct text *reason, struct text *answer);

#endif

/*
 * relay_text.h - the words for what became of a message: reasons with their
 * codes (RFC 3463), fields for the trace. Pure.
 */
#ifndef RELAY_RELAY_TEXT_H
#define RELAY_RELAY_TEXT_H

#include "base/text.h"
#include "ipc/contract.h"
#include "smtp/smtp_answer.h"
#include "verify/resolve.h"

enum { REASON_MAX = 900, DETAILS_MAX = 900, REMOTE_MAX = 300 };

/* Sent, deferred or failed, as the code says; no code: deferred. */
enum relay_outcome relay_outcome_of(const struct smtp_answer *);
/*
 * "5.1.1 mx.example.org[192.0.2.1]:25 said: 550 5.1.1 no such user". The
 * code in front is the server's own when it goes with its answer, else one
 * that says no more than the answer's class.
 */
void relay_reason(const struct smtp_answer *, struct span remote,
    struct text *out);
/* "mx.example.org[192.0.2.1]:25", "[2001:db8::1]:25". */
void relay_remote(struct span host, const struct ip_address *, uint16_t port,
    struct text *out);
/* name=value, behind a blank where something stands already. */
void relay_detail(struct text *, const char *name, struct span value);
void relay_detail_ms(struct text *, const char *name, int64_t ms);
/* What fits in REASON_MAX and is no more than one line. */
struct span relay_one_line(struct arena *, struct span);

#endif

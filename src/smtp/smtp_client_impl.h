/*
 * smtp_client_impl.h - what the files of the client share.
 */
#ifndef SMTP_SMTP_CLIENT_IMPL_H
#define SMTP_SMTP_CLIENT_IMPL_H

#include "base/text.h"
#include "smtp/smtp_client.h"

enum { CLIENT_ANSWER_MEMORY = 64 << 10 };

struct smtp_client {
	struct stream *stream;
	bool lmtp;
	bool reset_due;		/* a transaction was left half-way */
	char *hostname;
	struct smtp_client_times times;
	struct arena *answers;	/* until the next call */
	struct arena *offered;	/* what EHLO said */
	struct smtp_offers offers;
	struct text why;
};

/* Forget the last call's answer. */
void smtp_client_begin(struct smtp_client *);
/*
 * The next reply, within ms; `where` is what it answers, in words. 1; -1 the
 * connection is of no more use, *out is a 421 if that was said.
 */
int smtp_client_answer(struct smtp_client *, const char *where, int64_t ms,
    struct arena *, struct smtp_answer *out);
/* A reply that makes no sense there: -1, why is kept. */
int smtp_client_confused(struct smtp_client *, const char *where,
    const struct smtp_answer *);
/* The server said that, and it was its last word: -1, why is kept. */
int smtp_client_left(struct smtp_client *, const char *where,
    const struct smtp_answer *);
/* The stream failed, or the peer hung up (closed): -1, why is kept. */
int smtp_client_lost(struct smtp_client *, const char *where, bool closed);

/* The parameters of MAIL and RCPT, each with a blank in front. Pure. */
void smtp_client_mail_parameters(const struct smtp_client_message *,
    const struct smtp_offers *, struct text *out);
void smtp_client_rcpt_parameters(const struct smtp_client_message *,
    const struct smtp_client_recipient *, const struct smtp_offers *,
    struct text *out);
/* No byte in it could end the command. */
bool smtp_client_address_ok(struct span);

#endif

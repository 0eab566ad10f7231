/*
 * smtp_url.h - the IMAP URL (RFC 5092) of one message, as BURL gives it.
 *
 *	imap://ann%40example.org@mail.example.org/Drafts;UIDVALIDITY=7/;UID=3
 *
 * Pure. Names are decoded.
 */
#ifndef SMTP_SMTP_URL_H
#define SMTP_SMTP_URL_H

#include "base/arena.h"

struct smtp_url {
	struct span user;	/* "" none was given */
	struct span host;	/* as written */
	struct span mailbox;	/* UTF-8 */
	uint32_t uidvalidity;	/* 0: not given */
	uint32_t uid;
	bool has_part;		/* ;SECTION=, ;PARTIAL= */
	bool has_auth;		/* ;URLAUTH= (RFC 4467) */
};

/* 1, 0 it is not one, -1 the arena is full. */
int smtp_url_parse(struct span, struct arena *, struct smtp_url *);

#endif

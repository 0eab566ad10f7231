/*
 * imap_url.h - the IMAP URL (RFC 5092) of one message, or of a part of it.
 *
 *	imap://ann%40example.org@mail.example.org/Drafts;UIDVALIDITY=7/;UID=3
 *	    /;SECTION=1.2/;PARTIAL=0.100;EXPIRE=2030-01-01T00:00:00Z
 *	    ;URLAUTH=submit+ann:INTERNAL:91354a...
 *
 * Pure. Names are decoded; what is signed (the rump) is as it was written.
 */
#ifndef MAIL_IMAP_URL_H
#define MAIL_IMAP_URL_H

#include "base/arena.h"

enum { IMAP_URL_MAX = 8000 };

/* Who may use a URL that authorises (RFC 4467 section 3). */
enum imap_url_access {
	IMAP_URL_PLAIN,			/* it is no such URL */
	IMAP_URL_ANONYMOUS, IMAP_URL_AUTHUSER, IMAP_URL_USER, IMAP_URL_SUBMIT
};

struct imap_url {
	bool has_server;	/* imap://; else it is relative */
	struct span user;	/* "" none was given */
	struct span host;	/* as written */
	struct span mailbox;	/* UTF-8; "" of a relative one: the base's */
	uint32_t uidvalidity;	/* 0: not given */
	uint32_t uid;
	struct span section;	/* "1.2.MIME"; "" the whole message */
	bool is_partial;
	uint64_t at, count;	/* UINT64_MAX: to the end */
	int64_t expires;	/* INT64_MAX: never */
	enum imap_url_access access;
	struct span access_user;	/* of USER and SUBMIT */
	struct span mechanism, token;	/* p NULL: it is a rump */
	struct span rump;	/* the URL up to them */
};

/* 1, 0 it is not one, -1 the arena is full. */
int imap_url_parse(struct span, struct arena *, struct imap_url *);

#endif

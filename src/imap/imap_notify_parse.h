/*
 * imap_notify_parse.h - the arguments of NOTIFY (RFC 5465 section 8). Pure.
 */
#ifndef IMAP_IMAP_NOTIFY_PARSE_H
#define IMAP_IMAP_NOTIFY_PARSE_H

#include "imap/imap_parse.h"

enum imap_notify_event {
	NOTIFY_MESSAGE_NEW = 1 << 0, NOTIFY_MESSAGE_EXPUNGE = 1 << 1,
	NOTIFY_FLAG_CHANGE = 1 << 2, NOTIFY_ANNOTATION_CHANGE = 1 << 3,
	NOTIFY_MAILBOX_NAME = 1 << 4, NOTIFY_SUBSCRIPTION = 1 << 5,
	NOTIFY_MAILBOX_METADATA = 1 << 6, NOTIFY_SERVER_METADATA = 1 << 7,
	NOTIFY_OF_MESSAGES = NOTIFY_MESSAGE_NEW | NOTIFY_MESSAGE_EXPUNGE |
	    NOTIFY_FLAG_CHANGE | NOTIFY_ANNOTATION_CHANGE,
};

enum imap_notify_filter {
	NOTIFY_SELECTED, NOTIFY_SELECTED_DELAYED, NOTIFY_INBOXES,
	NOTIFY_PERSONAL, NOTIFY_SUBSCRIBED, NOTIFY_SUBTREE, NOTIFY_MAILBOXES,
	NOTIFY_FILTERS
};

enum { NOTIFY_GROUPS_MAX = 64, NOTIFY_NAMES_MAX = 1000 };

struct imap_notify_group {
	enum imap_notify_filter filter;
	unsigned events;		/* enum imap_notify_event */
	struct span *names;		/* as sent: of SUBTREE, MAILBOXES */
	size_t count;
	struct span fetch;		/* "(UID FLAGS)" of MessageNew; "" */
};

struct imap_notify_wish {
	bool none;			/* NOTIFY NONE */
	bool status;
	bool unknown;			/* an event that is none of ours */
	struct imap_notify_group *groups;
	size_t count;
};

/* From the space before SET or NONE on to the end. */
bool imap_parse_notify(struct imap_parser *, struct imap_notify_wish *);

#endif

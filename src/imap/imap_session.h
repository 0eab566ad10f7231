/*
 * imap_session.h - the IMAP server, as the role that runs it sees it.
 *
 * imap_service goes into struct listener_options, for 143 and for 993 alike.
 * imap_setup() comes first, once, when the link to the store is there (it
 * need not be attached yet). Sessions live through a restart of the store:
 * commands are then answered NO [UNAVAILABLE] until it is back.
 */
#ifndef IMAP_IMAP_SESSION_H
#define IMAP_IMAP_SESSION_H

#include "base/settings.h"
#include "io/session.h"
#include "ipc/call.h"

extern const struct service imap_service;

struct imap_environment {
	struct link *store;
	struct link *index;		/* NULL: searches do without */
	const char *hostname;		/* in the greeting; kept, not owned */
	/* The settings of this moment: asked at every command, so that a
	 * reload reaches the sessions that are open. */
	const struct settings *(*settings)(void *arg);
	void *arg;
};

/* Takes the link's note mailbox_changed for itself. */
void imap_setup(const struct imap_environment *);
/* To be called from link_on_attach() of that link, each time: the watches of
 * the open mailboxes are renewed, some at a time. */
void imap_store_attached(void);

#endif

/*
 * pop3_session.h - the POP3 server, as the role that runs it sees it.
 *
 * pop3_service goes into struct listener_options, for 110 and for 995 alike.
 * pop3_setup() comes first, once, when the link to the store is there (it
 * need not be attached yet).
 */
#ifndef POP3_POP3_SESSION_H
#define POP3_POP3_SESSION_H

#include "base/settings.h"
#include "io/session.h"
#include "ipc/call.h"

extern const struct service pop3_service;

struct pop3_environment {
	struct link *store;
	const char *hostname;		/* in the greeting; kept, not owned */
	/* The settings of this moment: asked at every command. */
	const struct settings *(*settings)(void *arg);
	void *arg;
};

void pop3_setup(const struct pop3_environment *);

#endif

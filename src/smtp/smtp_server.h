/*
 * smtp_server.h - the SMTP server, as the roles that run it see it.
 *
 * smtp_service is mx's: anybody's mail for our own recipients, port 25.
 * lmtp_service is mx's too: mail that another server has taken for them.
 * submission_service is access's, for 587 and for 465 alike: it wants a login
 * before MAIL. Both go into struct listener_options. smtp_setup() comes
 * first, once, when the link to the store is there (it need not be attached
 * yet: mail is answered 451 until it is).
 */
#ifndef SMTP_SMTP_SERVER_H
#define SMTP_SMTP_SERVER_H

#include "base/settings.h"
#include "io/session.h"
#include "ipc/call.h"

extern const struct service smtp_service;
extern const struct service lmtp_service;
extern const struct service submission_service;

struct smtp_environment {
	struct link *store;
	bool resolves;		/* resolve_setup() was called: mx */
	const char *hostname;	/* in greetings and Received; kept, not owned */
	/* The settings of this moment: asked at every command, so that a
	 * reload reaches the sessions that are open. */
	const struct settings *(*settings)(void *arg);
	void *arg;
};

void smtp_setup(const struct smtp_environment *);

#endif

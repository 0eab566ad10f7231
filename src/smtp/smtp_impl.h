/*
 * smtp_impl.h - the session, as the files of this folder share it.
 */
#ifndef SMTP_SMTP_IMPL_H
#define SMTP_SMTP_IMPL_H

#include "base/arena.h"
#include "base/settings.h"
#include "base/text.h"
#include "io/session.h"
#include "ipc/call.h"
#include "ipc/contract.h"
#include "smtp/smtp_command.h"
#include "smtp/smtp_reply.h"

struct smtp_message;

struct smtp {
	struct session *session;
	struct stream *stream;
	enum protocol protocol;		/* PROTOCOL_SMTP: mx */
	bool greeted;			/* EHLO or HELO was said */
	bool esmtp;			/* EHLO */
	bool closing;
	char *helo;
	unsigned errors, failures;
	uint64_t messages;
	struct grant grant;
	char *login;			/* the account's address; NULL: none */

	/* The transaction, from MAIL on. */
	bool in_mail;
	bool utf8;
	enum smtp_body body;
	struct text sender;		/* local@domain, "" for <> */
	struct text recipients;		/* recipient records */
	uint32_t recipient_count;
	struct smtp_message *chunks;	/* BDAT under way */

	struct arena *arena;		/* of the command that runs */
};

/* -- smtp_server.c */
const struct settings *smtp_settings(void);
struct link *smtp_store(void);
const char *smtp_hostname(void);
bool smtp_is_submission(const struct smtp *);
void smtp_say(struct smtp *, enum smtp_reply);
/* RSET: forget the transaction. */
void smtp_reset(struct smtp *);
/* May this verb be spoken now? REPLY_OK: yes. */
enum smtp_reply smtp_objection(const struct smtp *, enum smtp_verb);

/* -- smtp_receive.c */
void smtp_message_free(struct smtp_message **);

/* -- the commands: smtp_server.c, smtp_envelope.c, smtp_auth.c,
 * smtp_receive.c */
typedef enum smtp_reply smtp_handler(struct smtp *,
    const struct smtp_command *);
smtp_handler smtp_ehlo, smtp_mail, smtp_rcpt, smtp_data, smtp_bdat, smtp_rset,
    smtp_noop, smtp_quit, smtp_vrfy, smtp_help, smtp_auth, smtp_starttls,
    smtp_alien;

#endif

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
struct smtp_name;
struct header_survey;

struct smtp {
	struct session *session;
	struct stream *stream;
	enum protocol protocol;		/* PROTOCOL_SMTP: mx */
	bool greeted;			/* EHLO, LHLO or HELO was said */
	bool esmtp;			/* not HELO */
	bool closing;
	bool trusted;			/* no limits of a minute, no delays */
	bool proxy;			/* may speak for others: XCLIENT */
	char *helo;
	char *spoken_for;		/* what XCLIENT says of HELO; NULL */
	struct smtp_name *name;		/* of its address; NULL: not asked */
	unsigned errors, failures;
	uint64_t messages;
	struct grant grant;
	char *login;			/* the account's address; NULL: none */

	/* The transaction, from MAIL on. */
	bool in_mail;
	bool utf8;
	bool priority_changed;		/* less than was asked for */
	enum smtp_body body;
	uint32_t flags;			/* ENVELOPE_*: what MAIL asked for */
	uint64_t size;			/* as MAIL says; 0: it did not */
	int priority;			/* RFC 6710 */
	int64_t deliver_by, release_at;	/* seconds since 1970; 0 none */
	struct text envid;
	struct text sender;		/* local@domain, "" for <> */
	struct text recipients;		/* recipient records */
	uint32_t recipient_count;
	struct smtp_message *chunks;	/* BDAT or BURL under way */

	struct arena *arena;		/* of the command that runs */
};

/* -- smtp_server.c */
const struct settings *smtp_settings(void);
struct link *smtp_store(void);
const char *smtp_hostname(void);
/* Can the DNS be asked? */
bool smtp_resolves(void);
bool smtp_is_submission(const struct smtp *);
bool smtp_is_lmtp(const struct smtp *);
/* mx and not LMTP: anybody may speak here. */
bool smtp_is_open(const struct smtp *);
void smtp_greet(struct smtp *);
void smtp_say(struct smtp *, enum smtp_reply);
/* RSET: forget the transaction. */
void smtp_reset(struct smtp *);
/* After STARTTLS and XCLIENT: nothing is known of the client any more. */
void smtp_forget_client(struct smtp *);
/* May this verb be spoken now? REPLY_OK: yes. */
enum smtp_reply smtp_objection(const struct smtp *, enum smtp_verb);

/* -- smtp_receive.c */
void smtp_message_free(struct smtp_message **);
/* Bytes that were asked for and not sent: BURL. As those of BDAT. */
enum smtp_reply smtp_add_chunk(struct smtp *, struct span bytes, bool last);

/* -- smtp_envelope.c */
/* Parameters of MAIL and RCPT that are offered just now: SMTP_GIVEN_*. */
unsigned smtp_offered(const struct smtp *);

/* -- the commands: smtp_server.c, smtp_hello.c, smtp_envelope.c,
 * smtp_auth.c, smtp_receive.c, smtp_ask.c, smtp_burl.c, smtp_xclient.c */
typedef enum smtp_reply smtp_handler(struct smtp *,
    const struct smtp_command *);
smtp_handler smtp_ehlo, smtp_mail, smtp_rcpt, smtp_data, smtp_bdat, smtp_rset,
    smtp_noop, smtp_quit, smtp_vrfy, smtp_expn, smtp_help, smtp_auth,
    smtp_starttls, smtp_burl, smtp_etrn, smtp_xclient, smtp_alien;

#endif

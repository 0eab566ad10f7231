/*
 * smtp_command.h - which SMTP verbs exist, and what a command line says.
 *
 * RFC 5321 with SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531),
 * CHUNKING and BINARYMIME (RFC 3030), AUTH (RFC 4954), STARTTLS (RFC 3207),
 * DSN (RFC 3461), DELIVERBY (RFC 2852), FUTURERELEASE (RFC 4865), MT-PRIORITY
 * (RFC 6710), REQUIRETLS (RFC 8689), NO-SOLICITING (RFC 3865), BURL (RFC
 * 4468), ETRN (RFC 1985), LMTP (RFC 2033), XCLIENT.
 * Pure: a line and an arena in, a struct out. Whether a verb or a parameter
 * is offered to this client just now is not known here.
 */
#ifndef SMTP_SMTP_COMMAND_H
#define SMTP_SMTP_COMMAND_H

#include "base/arena.h"
#include "mail/address.h"

enum smtp_verb {
	SMTP_EHLO, SMTP_HELO, SMTP_MAIL, SMTP_RCPT, SMTP_DATA, SMTP_BDAT,
	SMTP_RSET, SMTP_NOOP, SMTP_QUIT, SMTP_VRFY, SMTP_EXPN, SMTP_HELP,
	SMTP_AUTH, SMTP_STARTTLS, SMTP_LHLO, SMTP_BURL, SMTP_ETRN,
	SMTP_XCLIENT,
	SMTP_ALIEN,		/* of another protocol: a browser was lured here */
	SMTP_VERBS
};

enum smtp_fault {
	SMTP_FINE,
	SMTP_BAD_BYTES,		/* a control character, or no CRLF at its end */
	SMTP_UNKNOWN,		/* no such verb */
	SMTP_BAD_SYNTAX,	/* arguments missing, or too many */
	SMTP_BAD_SENDER,	/* not a path */
	SMTP_BAD_RECIPIENT,
	SMTP_BAD_PARAMETER,	/* one we never offer */
	SMTP_BAD_VALUE,		/* of a parameter, or given twice */
	SMTP_NEEDS_UTF8,	/* an address beyond ASCII without SMTPUTF8 */
	SMTP_NO_MEMORY,
	SMTP_FAULTS
};

enum smtp_body { SMTP_7BIT, SMTP_8BITMIME, SMTP_BINARYMIME };

/* Parameters of MAIL and RCPT that are offered to some and not to others. */
enum {
	SMTP_GIVEN_SIZE = 1 << 0, SMTP_GIVEN_BODY = 1 << 1,
	SMTP_GIVEN_UTF8 = 1 << 2, SMTP_GIVEN_AUTH = 1 << 3,
	SMTP_GIVEN_RET = 1 << 4, SMTP_GIVEN_ENVID = 1 << 5,
	SMTP_GIVEN_BY = 1 << 6, SMTP_GIVEN_HOLD = 1 << 7,
	SMTP_GIVEN_PRIORITY = 1 << 8, SMTP_GIVEN_REQUIRETLS = 1 << 9,
	SMTP_GIVEN_SOLICIT = 1 << 10,
	SMTP_GIVEN_NOTIFY = 1 << 11, SMTP_GIVEN_ORCPT = 1 << 12,
};

struct smtp_command {
	enum smtp_verb verb;
	struct span argument;	/* EHLO's name, AUTH's mechanism, VRFY's string,
				   BURL's URL, what ETRN and XCLIENT name */
	struct span initial;	/* AUTH's initial response */
	bool has_initial;
	struct address path;	/* of MAIL and RCPT */
	bool utf8;		/* MAIL SMTPUTF8, VRFY SMTPUTF8 */
	bool has_size;
	uint64_t size;		/* MAIL SIZE=, BDAT's octets */
	enum smtp_body body;
	bool last;		/* BDAT LAST, BURL LAST */
	unsigned given;		/* SMTP_GIVEN_* */
	uint32_t flags;		/* ENVELOPE_*: of RET, BY, REQUIRETLS */
	struct span envid;	/* decoded */
	int64_t by;		/* BY=: seconds from now on, perhaps negative */
	int64_t hold_for;	/* HOLDFOR=: seconds */
	int64_t hold_until;	/* HOLDUNTIL=: seconds since 1970; 0 HOLDFOR */
	int priority;		/* -9 to 9 */
	struct span solicit;	/* classes, with commas */
	uint32_t notify;	/* NOTIFY_* */
	struct span original;	/* ORCPT, decoded: "rfc822;..." */
};

/*
 * A line with its CRLF. utf8: the transaction is under SMTPUTF8 (for RCPT).
 * The verb is set as soon as it is known, with a fault too.
 */
enum smtp_fault smtp_parse(struct span line, bool utf8, struct arena *,
    struct smtp_command *);

/* The verbs a HELP lists; NULL ends them. */
const char *smtp_verb_name(enum smtp_verb);	/* NULL: not for people */

#endif

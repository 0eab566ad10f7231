/*
 * smtp_command.h - which SMTP verbs exist, and what a command line says.
 *
 * RFC 5321 with SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531),
 * CHUNKING and BINARYMIME (RFC 3030), AUTH (RFC 4954), STARTTLS (RFC 3207).
 * Pure: a line and an arena in, a struct out.
 */
#ifndef SMTP_SMTP_COMMAND_H
#define SMTP_SMTP_COMMAND_H

#include "base/arena.h"
#include "mail/address.h"

enum smtp_verb {
	SMTP_EHLO, SMTP_HELO, SMTP_MAIL, SMTP_RCPT, SMTP_DATA, SMTP_BDAT,
	SMTP_RSET, SMTP_NOOP, SMTP_QUIT, SMTP_VRFY, SMTP_EXPN, SMTP_HELP,
	SMTP_AUTH, SMTP_STARTTLS,
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
	SMTP_BAD_PARAMETER,	/* one we never offered */
	SMTP_BAD_VALUE,		/* of a parameter, or given twice */
	SMTP_NEEDS_UTF8,	/* an address beyond ASCII without SMTPUTF8 */
	SMTP_NO_MEMORY,
	SMTP_FAULTS
};

enum smtp_body { SMTP_7BIT, SMTP_8BITMIME, SMTP_BINARYMIME };

struct smtp_command {
	enum smtp_verb verb;
	struct span argument;	/* EHLO's name, AUTH's mechanism, VRFY's string */
	struct span initial;	/* AUTH's initial response */
	bool has_initial;
	struct address path;	/* of MAIL and RCPT */
	bool utf8;		/* MAIL SMTPUTF8, VRFY SMTPUTF8 */
	bool has_size;
	uint64_t size;		/* MAIL SIZE=, BDAT's octets */
	enum smtp_body body;
	bool last;		/* BDAT LAST */
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

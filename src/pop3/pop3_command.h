/*
 * pop3_command.h - POP3 command lines: which there are, when each may come.
 *
 * Pure: a line in, a struct pointing into it out (RFC 1939 section 3, RFC
 * 2449 sections 4 and 8).
 */
#ifndef POP3_POP3_COMMAND_H
#define POP3_POP3_COMMAND_H

#include "base/base.h"

enum pop3_verb {
	POP3_APOP, POP3_AUTH, POP3_CAPA, POP3_DELE, POP3_LANG, POP3_LIST,
	POP3_NOOP, POP3_PASS, POP3_QUIT, POP3_RETR, POP3_RSET, POP3_STAT,
	POP3_STLS, POP3_TOP, POP3_UIDL, POP3_USER, POP3_UTF8,
	POP3_VERBS
};

enum pop3_state { POP3_AUTHORIZATION = 1, POP3_TRANSACTION = 2 };

enum pop3_fault {
	POP3_FINE,
	POP3_UNKNOWN,		/* no such command */
	POP3_NOT_NOW,		/* not in this state */
	POP3_BAD_ARGUMENTS,
	POP3_NO_SUCH_MESSAGE,	/* a number that names none: 0, or too large */
};

struct pop3_command {
	enum pop3_verb verb;
	/* What follows the verb: PASS's and USER's as it stands, blanks and
	 * all; AUTH's mechanism, LANG's tag. Empty when there was none. */
	struct span argument;
	struct span second;	/* AUTH's initial response; has_second */
	bool has_second;
	bool has_number;	/* of a message; LIST and UIDL may have one */
	uint32_t number;	/* from 1 */
	uint32_t lines;		/* TOP's */
};

/* line is without its CRLF. state: the one we are in. */
enum pop3_fault pop3_parse(struct span line, enum pop3_state state,
    struct pop3_command *);

#endif

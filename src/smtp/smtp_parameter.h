/*
 * smtp_parameter.h - what MAIL and RCPT say behind the path.
 *
 * Each parameter is a row: its name, whether it has a value, who takes it.
 * None may be given twice. Pure.
 */
#ifndef SMTP_SMTP_PARAMETER_H
#define SMTP_SMTP_PARAMETER_H

#include "smtp/smtp_command.h"

enum smtp_fault smtp_mail_parameters(struct smtp_command *, struct span,
    struct arena *);
/* utf8: the transaction is under SMTPUTF8. */
enum smtp_fault smtp_rcpt_parameters(struct smtp_command *, struct span,
    bool utf8, struct arena *);

/*
 * RFC 3461 section 4: xtext decoded. 1; 0 it is none, or holds more than
 * printable ASCII; -1 the arena is full.
 */
int smtp_xtext_decode(struct span, struct arena *, struct span *out);

/* RFC 3865 2.2: classes with commas between. */
bool smtp_solicit_ok(struct span classes);
/* Is one of these among those? */
bool smtp_solicit_meets(struct span these, struct span those);

#endif

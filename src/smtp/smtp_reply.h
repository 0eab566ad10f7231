/*
 * smtp_reply.h - the replies of the SMTP server.
 */
#ifndef SMTP_SMTP_REPLY_H
#define SMTP_SMTP_REPLY_H

#include "base/base.h"

enum smtp_reply {
#define REPLY(name, code, enhanced, text) REPLY_##name,
#include "smtp/smtp_reply.def"
#undef REPLY
	SMTP_REPLIES,
	REPLY_SAID,		/* the handler has answered by itself */
	REPLY_GONE,		/* the connection failed: nobody listens */
};

/* The whole line with its CRLF. */
struct span smtp_reply_line(enum smtp_reply);
int smtp_reply_code(enum smtp_reply);		/* 250; SAID and GONE: 0 */
/* 421 ends the session. */
bool smtp_reply_closes(enum smtp_reply);

#endif

/*
 * smtp_reply.c - the table of replies.
 */
#include "smtp/smtp_reply.h"

static const struct span lines[SMTP_REPLIES] = {
#define REPLY(name, code, enhanced, text)				\
	[REPLY_##name] = { code " " enhanced text "\r\n",		\
	    sizeof(code " " enhanced text "\r\n") - 1 },
#include "smtp/smtp_reply.def"
#undef REPLY
};

struct span
smtp_reply_line(enum smtp_reply r)
{
	must(r < SMTP_REPLIES);
	return lines[r];
}

int
smtp_reply_code(enum smtp_reply r)
{
	const char *p;

	if (r >= SMTP_REPLIES)
		return 0;
	p = lines[r].p;
	return (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
}

bool
smtp_reply_closes(enum smtp_reply r)
{
	return r == REPLY_GONE || r == REPLY_BYE || r == REPLY_TOO_EAGER ||
	    smtp_reply_code(r) == 421;
}

/*
 * pop3_text.h - a message as POP3 sends it: dots stuffed, lines counted.
 *
 * Pure and incremental: pieces of a message in, in order, bytes for the
 * wire out (RFC 1939 section 3). Line ends pass as they are; a message that
 * does not end in one gets it.
 */
#ifndef POP3_POP3_TEXT_H
#define POP3_POP3_TEXT_H

#include "base/base.h"

struct pop3_text {
	bool in_line;		/* the last byte was no LF */
	bool in_body;		/* the empty line has passed */
	bool line_empty;	/* nothing but CR in this line so far */
	bool limited;		/* TOP: `lines` of the body are left */
	bool done;		/* TOP has its lines */
	uint32_t lines;
};

struct pop3_text pop3_text_whole(void);
struct pop3_text pop3_text_top(uint32_t lines);

typedef void pop3_text_out(void *arg, struct span);
void pop3_text_add(struct pop3_text *, struct span piece, pop3_text_out *,
    void *arg);
/* The last line end when it lacks, and the final ".\r\n". */
void pop3_text_end(struct pop3_text *, pop3_text_out *, void *arg);

#endif

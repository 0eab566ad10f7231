/*
 * smtp_text.h - the text after DATA: where it ends, and what it says.
 *
 * RFC 5321 4.1.1.4 and 2.3.8 to the letter: it ends with CRLF "." CRLF and
 * with nothing else. A bare LF or CR, wherever it stands, ends nothing, makes
 * nothing a line, and spoils the message: so no two servers can disagree
 * about where one message ends and the next begins.
 */
#ifndef SMTP_SMTP_TEXT_H
#define SMTP_SMTP_TEXT_H

#include "base/base.h"

struct smtp_text {
	size_t max_line;	/* with its CRLF, the dot not counted */
	bool inside;		/* the line at hand did not begin here */
	bool bare;		/* what came before was no CRLF */
	bool has_bare;		/* a CR or LF alone was there */
	bool has_nul;
	bool has_long_line;
	bool done;		/* the end was seen */
};
#define SMTP_TEXT_INIT(max) ((struct smtp_text){ .max_line = (max) })

/*
 * Take the lines that are whole, give their bytes (dots taken off) to sink
 * in long runs. Returns how much of `in` was used: up to the end of the text
 * when `done`, otherwise the rest is to be shown again with more behind it.
 */
size_t smtp_text_take(struct smtp_text *, struct span in,
    void (*sink)(void *arg, struct span), void *arg);

/* The same checks for bytes that come counted (BDAT). `last` is carried from
 * one call to the next, beginning with 0. */
void smtp_text_check(struct smtp_text *, char *last, struct span);

#endif

/*
 * imap_envelope.h - the ENVELOPE of a message, and strings on the wire.
 *
 * Pure: out of a decoded summary into a text.
 */
#ifndef IMAP_IMAP_ENVELOPE_H
#define IMAP_IMAP_ENVELOPE_H

#include "base/text.h"
#include "mail/summary.h"

/*
 * How text is written. Without UTF8=ACCEPT nothing but ASCII leaves the
 * server outside literals: free text of 8 bits is sent as RFC 2047 words,
 * other strings as literals. With it, quoted strings may hold UTF-8.
 */
enum imap_text_mode { IMAP_TEXT_ASCII, IMAP_TEXT_UTF8 };

/* NIL for p == NULL; else quoted, or a literal where it must be. */
void imap_add_nstring(struct text *, struct span, enum imap_text_mode);
/* The same, never NIL. */
void imap_add_string(struct text *, struct span, enum imap_text_mode);
/* Free text (a subject, a name, a description): encoded when 8-bit. */
void imap_add_free_text(struct text *, struct span, enum imap_text_mode);
/* An atom where it can be, else a string. NIL is quoted. */
void imap_add_astring(struct text *, struct span, enum imap_text_mode);
/* Always a literal, "{n}\r\n" and the bytes; NUL bytes pass. */
void imap_add_literal(struct text *, struct span);

/* "(date subject from sender reply-to to cc bcc in-reply-to message-id)" */
void imap_add_envelope(struct text *, const struct summary_envelope *,
    enum imap_text_mode);

#endif

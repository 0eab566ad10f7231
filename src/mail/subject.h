/*
 * subject.h - the base subject of RFC 5256 2.1, for SORT and THREAD.
 */
#ifndef MAIL_SUBJECT_H
#define MAIL_SUBJECT_H

#include "base/text.h"

/*
 * From the raw value of a Subject field: words decoded, white space made
 * one blank, "Re:", "Fwd:", "[list]", "(fwd)" taken off. UTF-8 out.
 * *is_reply (may be NULL) tells whether something of a reply was removed.
 */
void subject_base(struct span raw, struct text *out, bool *is_reply);

#endif

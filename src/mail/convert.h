/*
 * convert.h - a message for a server that takes seven bits only.
 *
 * RFC 6152 section 3: every part with 8-bit bytes becomes quoted-printable,
 * or base64 where that is shorter or its lines are too long; headers get the
 * Content-Transfer-Encoding that fits. Signed and encrypted parts
 * (multipart/signed, multipart/encrypted; RFC 1847) cannot be changed.
 * Binary parts (RFC 3030) likewise become base64. What comes out has the same
 * parts, and each of them decodes to the same bytes. Pure.
 */
#ifndef MAIL_CONVERT_H
#define MAIL_CONVERT_H

#include "base/arena.h"
#include "base/text.h"

struct convert_survey {
	bool header_8bit;	/* in a header, of a part too: SMTPUTF8 */
	bool body_8bit;
	bool binary;		/* bare CR or LF, NUL, or lines over 998 */
};
void convert_survey(struct span message, struct convert_survey *);
/* 1 done; 0 it cannot be: a header is 8-bit, a signature would break, or a
 * part would not stay what it is (why says which); -1 no memory. */
int convert_to_7bit(struct span message, struct arena *, struct text *out,
    struct text *why);

#endif

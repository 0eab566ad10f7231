/*
 * words.h - text in header fields: RFC 2047 words and RFC 2231 parameters.
 */
#ifndef MAIL_WORDS_H
#define MAIL_WORDS_H

#include "base/arena.h"
#include "base/text.h"

/*
 * Unstructured text or a phrase, raw and folded, to UTF-8: encoded words are
 * decoded, the blanks between two of them dropped, a character that was cut
 * between two of the same charset joined. What is no encoded word passes as
 * is (8-bit bytes as UTF-8, else windows-1252); line ends are unfolded.
 */
void words_decode(struct span value, struct text *out);
bool words_any(struct span value);	/* "=?" stands in it */

/*
 * Text as encoded words of at most 75 characters, if it is not plain ASCII
 * (then as is): UTF-8 as such, other bytes as "unknown-8bit" (RFC 1428).
 */
void words_encode(struct span text, struct text *out);

/*
 * A structured field of the MIME kind: value *( ";" name "=" value ).
 * Names in lower case, continuations joined, charset decoded to UTF-8, RFC
 * 2047 in quoted values (wrong but common) decoded, comments dropped.
 */
struct words_param {
	struct span name;	/* lower case */
	struct span value;	/* UTF-8 */
	struct words_param *next;
};

struct words_field {
	struct span value;	/* "text/plain", "attachment": lower case */
	struct words_param *params;	/* in the order of first appearance */
};

/* At most `max` parameters. 1 done, 0 no value there, -1 arena full. */
int words_field(struct span raw, size_t max, struct arena *,
    struct words_field *out);
/* The value of one parameter, or the empty span. */
struct span words_param(const struct words_field *, const char *name);

#endif

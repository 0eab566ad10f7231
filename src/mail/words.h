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
/* Behind the encoded word that begins at `at`; `at` when none does. */
size_t words_skip(struct span, size_t at);

/*
 * Text as encoded words of at most 75 characters, if it is not plain ASCII
 * (then as is): UTF-8 as such, other bytes as "unknown-8bit" (RFC 1428).
 */
void words_encode(struct span text, struct text *out);

/*
 * A structured field of the MIME kind: value *( ";" name "=" value ).
 * Comments are dropped, continuations (RFC 2231 3) joined. A value in the
 * extended form (RFC 2231 4) stays in it, charset'language'%41%42, since
 * that is how IMAP passes it on; words_param_text makes UTF-8 of any.
 */
struct words_param {
	struct span name;	/* as written, without "*" and number */
	struct span value;	/* raw */
	bool extended;
	struct words_param *next;
};

struct words_field {
	struct span value;	/* "text/plain", "attachment": as written */
	struct words_param *params;	/* in the order of first appearance */
};

/*
 * At most `max` parameters (and as many segments) are read. 1 done, 0 no
 * value there (parameters may be), -1 the arena is full.
 */
int words_field(struct span raw, size_t max, struct arena *,
    struct words_field *out);
/* By name, without regard to case; NULL: not there. */
const struct words_param *words_param(const struct words_field *,
    const char *name);
/* Decoded to UTF-8; RFC 2047 within (wrong, but common) is decoded too. */
void words_param_text(const struct words_param *, struct text *out);

#endif

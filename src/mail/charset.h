/*
 * charset.h - every charset ICU knows, to and from UTF-8, and case folding.
 *
 * A decoder never fails: what cannot be converted becomes U+FFFD; a charset
 * nobody knows is read as UTF-8 where it is that, else as windows-1252,
 * which is what such mail turns out to be.
 */
#ifndef MAIL_CHARSET_H
#define MAIL_CHARSET_H

#include "base/text.h"

bool charset_known(struct span name);

/* The whole of `in` to UTF-8. 1 done, 0 the charset is unknown (guessed). */
int charset_to_utf8(struct span charset, struct span in, struct text *out);
/* Strict: 1 done, 0 unknown charset, -1 the bytes are not of that charset. */
int charset_to_utf8_strict(struct span charset, struct span in,
    struct text *out);

/*
 * Incremental. charset_open never returns NULL; the decoder is reusable
 * after charset_reset (the converter is kept when the name is the same).
 */
struct charset_decoder;
struct charset_decoder *charset_open(struct span charset);
void charset_reset(struct charset_decoder *, struct span charset);
void charset_add(struct charset_decoder *, struct span in, bool last,
    struct text *out);
void charset_close(struct charset_decoder **);

/*
 * i;unicode-casemap (RFC 5051): title case, then full decomposition. Two
 * strings are equal, or one is within the other, when their folded forms
 * are, byte by byte. ASCII costs one pass. Wrong UTF-8 folds to U+FFFD.
 */
void casemap_add(struct text *out, struct span utf8);
/*
 * Lower case for keys (Unicode's NFKC_Casefold): what people take for the
 * same name becomes the same bytes. Wrong UTF-8 folds to U+FFFD.
 */
void casefold_add(struct text *out, struct span utf8);

#endif

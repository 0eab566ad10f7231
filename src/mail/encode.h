/*
 * encode.h - the transfer encodings, UTF-8, and IMAP's modified UTF-7.
 *
 * Decoders of mail are tolerant and incremental: a struct, zero-initialised,
 * holds what a split left over. Decoders of protocol are strict and whole.
 * Everything is added to a text whose limit is the caller's.
 */
#ifndef MAIL_ENCODE_H
#define MAIL_ENCODE_H

#include "base/text.h"

/* base64 (RFC 4648 4): with padding, without line ends. */
void base64_add(struct text *, struct span);
/* The same in lines of 76 characters, each ended by CRLF. */
void base64_add_lines(struct text *, struct span);
/* Strict: one canonical string, no blanks. 1 done, 0 not base64. */
int base64_decode(struct span, struct text *out);

/* Tolerant (RFC 2045 6.8): what is not of the alphabet is skipped. */
struct base64_stream {
	uint32_t bits;
	unsigned count;		/* bits held: 0, 2, 4 or 6 */
};
void base64_stream_add(struct base64_stream *, struct span, struct text *out);

/* quoted-printable (RFC 2045 6.7). Broken escapes pass as they are. */
struct quoted_stream {
	char held[80];		/* "=", "=X", "= \r"; or blanks that may end
				   the line. More blanks pass as text */
	unsigned held_n;
};
void quoted_stream_add(struct quoted_stream *, struct span, struct text *out);
void quoted_stream_end(struct quoted_stream *, struct text *out);
/* Text in (CRLF or LF are line ends); lines of at most 76 out, CRLF. */
void quoted_add(struct text *, struct span);

/* UTF-8, strictly RFC 3629: no surrogates, nothing overlong. */
bool utf8_valid(struct span);
bool utf8_is_ascii(struct span);
size_t utf8_ascii_run(struct span);	/* bytes of ASCII in front */
/*
 * The character at *at, which moves behind it; -1 at a byte that begins
 * none (*at moves by one). *at must be below s.n.
 */
int32_t utf8_next(struct span s, size_t *at);
void utf8_add(struct text *, int32_t code);
/* The longest valid prefix of s not beyond `max` bytes; s is valid. */
struct span utf8_clip(struct span s, size_t max);
size_t utf8_count(struct span);			/* characters */
/* Each wrong byte becomes U+FFFD. */
void utf8_add_scrubbed(struct text *, struct span);

/*
 * Mailbox names (RFC 3501 5.1.3). Strict both ways: only the one right
 * encoding of a name is taken, so that a mailbox has one name.
 * 1 done, 0 not valid.
 */
int utf7_decode(struct span, struct text *out);	/* to UTF-8 */
int utf7_encode(struct span, struct text *out);	/* from UTF-8 */

#endif

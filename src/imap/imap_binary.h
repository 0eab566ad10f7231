/*
 * imap_binary.h - a part of a message without its transfer encoding
 * (RFC 3516), decoded in pieces: twice, where its length must be said first.
 */
#ifndef IMAP_IMAP_BINARY_H
#define IMAP_IMAP_BINARY_H

#include "imap/imap_body.h"
#include "imap/imap_message.h"

struct imap_binary {
	struct imap_extent extent;	/* of the bytes as they are kept */
	enum mime_encoding encoding;
	bool is_there;			/* there is such a part */
	bool is_known;			/* and its encoding is one we know */
	struct imap_extent part;	/* of what is decoded: <partial> */
	uint64_t size;			/* of all that is decoded */
	bool has_nul;			/* in `part` */
};

/* Find the part, and measure it. Statuses as in imap_message.h. */
int  imap_binary_measure(struct imap_message *, const struct imap_section *,
    struct imap_binary *);
/* The bytes of `part`. 1, or else fewer than `part.size` were written. */
int  imap_binary_write(struct imap_message *, const struct imap_binary *,
    struct stream *);

/* "BINARY[1.2]<0> " or "BINARY.SIZE[1.2] " as they stand in the answer. */
void imap_binary_add_name(struct text *, const char *name,
    const struct imap_section *);

#endif

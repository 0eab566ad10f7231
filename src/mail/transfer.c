/*
 * transfer.c - the body of a part without its transfer encoding.
 */
#include "mail/transfer.h"

struct span
transfer_decode(struct transfer *t, struct span piece, bool last,
    struct text *held)
{
	text_clear(held);
	switch (t->encoding) {
	case MIME_BASE64:
		base64_stream_add(&t->base64, piece, held);
		return text_span(held);
	case MIME_QUOTED:
		quoted_stream_add(&t->quoted, piece, held);
		if (last)
			quoted_stream_end(&t->quoted, held);
		return text_span(held);
	default:
		return piece;
	}
}

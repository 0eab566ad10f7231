/*
 * transfer.h - the body of a part without its transfer encoding.
 *
 * It comes piece by piece, split anywhere. As tolerant as the decoders of
 * mail/encode.h; a body of an encoding we do not know passes as it is.
 */
#ifndef MAIL_TRANSFER_H
#define MAIL_TRANSFER_H

#include "mail/encode.h"
#include "mail/mime.h"

struct transfer {
	enum mime_encoding encoding;
	struct base64_stream base64;
	struct quoted_stream quoted;
};

/*
 * What a piece stands for: the piece itself, or what is then in `held`. With
 * the last one comes what earlier ones left over.
 */
struct span transfer_decode(struct transfer *, struct span piece, bool last,
    struct text *held);

#endif

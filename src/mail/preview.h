/*
 * preview.h - the first words of a message, for a list of messages
 * (RFC 8970): one line of UTF-8 without controls.
 */
#ifndef MAIL_PREVIEW_H
#define MAIL_PREVIEW_H

#include "base/arena.h"
#include "base/text.h"
#include "mail/mime.h"

/* At most `max` characters, from the first text part that is to be read. */
void preview_add(struct text *out, const struct mime *, size_t max,
    struct arena *);

#endif

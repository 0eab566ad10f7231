/*
 * text.h - a growing run of bytes with a limit.
 *
 * Additions beyond the limit are dropped whole and remembered: build
 * everything, then ask text_full() once. A text with limit 0 has none.
 * Zero-initialise with TEXT_INIT(limit); release with text_free().
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/base.h"

struct text {
	char *p;
	size_t n;		/* bytes held */
	size_t room;		/* bytes allocated */
	size_t limit;
	bool full;
};

#define TEXT_INIT(limit_) ((struct text){ .limit = (limit_) })

void text_free(struct text *);
void text_wipe(struct text *);	/* overwrite, then free: for secrets */
void text_clear(struct text *);	/* keep the memory */

void text_add(struct text *, struct span);
void text_str(struct text *, const char *);
void text_char(struct text *, char);
void text_printf(struct text *, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_vprintf(struct text *, const char *fmt, va_list)
    __attribute__((format(printf, 2, 0)));
void text_u64(struct text *, uint64_t);		/* decimal; faster than printf */
/* Room for n more bytes; then text_grew(n). NULL: full. */
char *text_room(struct text *, size_t n);
void text_grew(struct text *, size_t n);

struct span text_span(const struct text *);
bool text_full(const struct text *);

#endif

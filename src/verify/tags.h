/*
 * tags.h - "name=value; name=value": DKIM signatures and keys, DMARC,
 * MTA-STS and TLS-RPT records (RFC 6376 3.2). Pure.
 */
#ifndef VERIFY_TAGS_H
#define VERIFY_TAGS_H

#include "base/text.h"

enum { TAGS_MAX = 64 };

struct tags {
	size_t count;
	struct {
		struct span name, value;	/* no blanks around them */
	} list[TAGS_MAX];
};

/* 1; 0 no such list: a bad name, one that stands twice, too many. */
int tags_parse(struct span, struct tags *);
/* Names differ by case (RFC 6376 3.2). 1 and *value, 0 not there. */
int tags_find(const struct tags *, const char *name, struct span *value);
/* The value without any blanks and folds in it (base64, lists). */
void tags_squeeze(struct span value, struct text *out);

#endif

/*
 * share.h - what an answer carries: small, it goes along; large, through a
 * file that is written as it comes, so that little is ever held and nothing
 * is copied twice.
 */
#ifndef STORE_SHARE_H
#define STORE_SHARE_H

#include "base/arena.h"
#include "base/text.h"
#include "ipc/contract.h"

struct share {
	struct text text;		/* not yet written: add to it */
	uint64_t written;
	int fd;				/* -1: none yet */
	int error;
};

void share_begin(struct share *);
/* Bytes there are so far. */
uint64_t share_size(const struct share *);
/* Now and then, behind what was added. */
void share_flush(struct share *);
/* Always, at the end. RESULT_OK and the answer; RESULT_TEMPORARY. */
enum result share_end(struct share *, struct arena *, struct blob *out);

#endif

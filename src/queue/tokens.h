/*
 * tokens.h - a set of things that begin with their token.
 *
 * For millions of them: a slot is a pointer, and nothing is copied. Tokens
 * come from strangers: the hash is keyed. Not shared between threads without
 * the owner's lock.
 */
#ifndef QUEUE_TOKENS_H
#define QUEUE_TOKENS_H

#include "base/base.h"
#include "ipc/contract.h"

struct tokens {
	struct token **slots;
	size_t n, room;
};

void tokens_free(struct tokens *);	/* the set, not the things */
/* NULL: it is not there. */
void *tokens_find(const struct tokens *, const struct token *);
/* The thing whose first member is this token; none of that token is there. */
void tokens_add(struct tokens *, struct token *);
void tokens_remove(struct tokens *, struct token *);	/* it is there */
/* A walk in no order: begin with *at == 0; NULL: the end. No changes. */
void *tokens_next(const struct tokens *, size_t *at);

#endif

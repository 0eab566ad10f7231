/*
 * url.h - reading what an IMAP URL stands for, piece by piece: for BURL,
 * CATENATE and URLFETCH.
 *
 * The store judges the URL; whether its host is ours is for the caller to say.
 */
#ifndef EDGE_URL_H
#define EDGE_URL_H

#include "base/text.h"
#include "ipc/call.h"
#include "ipc/contract.h"

struct url_reader {
	struct link *store;
	struct arena *arena;
	struct grant grant;
	struct span url;
	uint64_t base;
	uint64_t size, at;
	struct blob blob;
	bool has_blob;
	struct text chosen;		/* fields that the URL names */
	bool is_chosen;
};

/*
 * url stays until the end; base is the selected mailbox, or 0. 1: the size is
 * known, and url_close() ends it; 0 there is nothing behind that URL for this
 * account; -1 the store is away.
 */
int  url_open(struct url_reader *, struct link *store, struct arena *,
    const struct grant *, struct span url, uint64_t base);
/* The next piece, valid until the next call. 1, 0 the end, -1. */
int  url_next(struct url_reader *, struct span *piece);
void url_close(struct url_reader *);

/* Is it our own name, or one at or below the domain of the login? */
bool url_is_here(struct span host, struct span hostname, struct span login);

#endif

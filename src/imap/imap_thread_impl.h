/*
 * imap_thread_impl.h - the forest, between the files of threading.
 */
#ifndef IMAP_IMAP_THREAD_IMPL_H
#define IMAP_IMAP_THREAD_IMPL_H

#include "imap/imap_thread.h"

#define NOBODY UINT32_MAX		/* no parent, no child, no sibling */

/*
 * Nodes 0 to count - 1 are the messages; those behind them are dummies, for
 * messages that are not there.
 */
struct imap_thread {
	size_t count, nodes;
	uint32_t *parent, *first, *last, *next;	/* by node */
	uint32_t *numbers;			/* of the messages */
	uint32_t root, root_last;		/* the first and last thread */
	uint32_t at;				/* where writing stands */
};

/* A child at the end of its parent's, or a thread at the end of them. */
void imap_thread_append(struct imap_thread *, uint32_t parent, uint32_t node);
/* No node is anybody's child or a thread: children are appended anew. */
void imap_thread_detach(struct imap_thread *);

/*
 * RFC 5256 REFERENCES (1): parent[] of messages and dummies by their
 * references. Returns the number of nodes.
 */
size_t imap_thread_link(const struct imap_thread_message *messages,
    size_t count, const uint64_t *links, uint64_t secret, uint32_t **parent);

#endif

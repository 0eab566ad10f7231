/*
 * imap_thread.h - messages become threads (RFC 5256 3, and REFS).
 *
 * Pure: what is known of the messages in, a forest out. Nothing recurses,
 * whatever the references say: loops are not made, and a thread may be as
 * deep as there are messages.
 */
#ifndef IMAP_IMAP_THREAD_H
#define IMAP_IMAP_THREAD_H

#include "base/text.h"
#include "imap/imap_search_parse.h"

struct imap_thread_message {
	uint32_t number;		/* how the answer names it */
	uint32_t subject;		/* of equal base subjects; 0: empty */
	bool is_reply;
	uint32_t links;			/* references, the oldest first */
	uint64_t links_at;
	uint64_t id;			/* key of its Message-ID; 0: none */
	int64_t sent, arrived;
};

struct imap_thread;
/*
 * `messages` in the order of the mailbox, with their references in `links`;
 * `secret` keeps strangers from choosing where keys lie in a table. Both
 * arrays may go when it returns.
 */
struct imap_thread *imap_thread_build(enum imap_thread_kind,
    const struct imap_thread_message *messages, size_t count,
    const uint64_t *links, uint64_t secret);
void imap_thread_free(struct imap_thread **);
/*
 * Append the answer, "(2)(3 6 (4 23)(44 7 96))", from where the last call
 * ended, until about `enough` bytes are there. False: that was the last.
 */
bool imap_thread_write(struct imap_thread *, struct text *, size_t enough);

#endif

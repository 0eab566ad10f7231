/*
 * imap_message.h - one message while a command looks at it.
 *
 * Bytes, summary and parts are got from the store when they are first asked
 * for, unless the command got them for many messages at once and put them
 * here. Statuses: 1 there, 0 the message is gone, -1 the store is away or the
 * message is damaged.
 */
#ifndef IMAP_IMAP_MESSAGE_H
#define IMAP_IMAP_MESSAGE_H

#include "imap/imap_state.h"
#include "mail/summary.h"

enum {
	IMAP_MESSAGE_WHOLE = 64 << 10,	/* up to here got as a whole */
	IMAP_MESSAGE_CHUNK = 1 << 20,	/* larger ones in such pieces */
	IMAP_MESSAGE_AHEAD = 256 << 10,
	IMAP_MESSAGE_HEADER = 16 << 10,	/* a header is seldom larger */
};

struct imap_message {
	struct imap_task *task;
	struct arena *arena;		/* for as long as the message */
	const struct imap_mailbox *box;
	uint32_t uid;
	uint64_t size;
	bool read_ahead;		/* the next part will be asked for */
	struct span held;		/* bytes at hand, from held_at on */
	uint64_t held_at;
	struct blob blob;		/* what they lie in, if it is ours */
	bool has_blob;
	struct span record;		/* of the summary; empty: not known */
	struct text rebuilt;
	struct summary summary;
	bool has_summary;
	struct summary_part *root;
};

void imap_message_begin(struct imap_message *, struct imap_task *,
    const struct imap_mailbox *, struct arena *, const struct message_row *);
void imap_message_end(struct imap_message *);

/* These bytes, in one piece. They must lie in the message. */
int  imap_message_bytes(struct imap_message *, uint64_t at, uint64_t n,
    struct span *out);
/* Its header, the empty line included. */
int  imap_message_header(struct imap_message *, struct span *out);
int  imap_message_summary(struct imap_message *);
/* Is the summary, as it was kept, at hand without reading the message? */
bool imap_message_has_summary(struct imap_message *);
int  imap_message_parts(struct imap_message *);

/*
 * For many messages at once. details[i] and bodies[i] belong to uids[i]
 * (ascending); a detail without a uid, a body with p == NULL: not got. What
 * bodies point into is the blob, to be released (also when this fails).
 */
int  imap_get_details(const struct imap_mailbox *, struct arena *,
    const uint32_t *uids, size_t count, bool with_summary,
    struct message_detail *details);
int  imap_get_bodies(const struct imap_mailbox *, struct arena *,
    const uint32_t *uids, size_t count, struct span *bodies, struct blob *blob);

/*
 * The same for who has no session at hand. What the first answer carries is
 * not copied, and lies in the blob: to be released, also when this fails.
 */
int  imap_details_of(const struct grant *, uint64_t mailbox, struct arena *,
    const uint32_t *uids, size_t count, bool with_summary,
    struct message_detail *details, struct blob *blob);
int  imap_bodies_of(const struct grant *, uint64_t mailbox, struct arena *,
    const uint32_t *uids, size_t count, struct span *bodies, struct blob *blob);

/* RFC 8474: "M..." and "T..."; no thread: empty. */
void imap_add_email_id(struct text *, const struct message_detail *);
void imap_add_thread_id(struct text *, const struct message_detail *);

#endif

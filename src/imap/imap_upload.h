/*
 * imap_upload.h - messages that come with a command (APPEND, REPLACE).
 *
 * Everything that can be refused is refused before a message is sent, where
 * the client waits for that. The bytes go into a spool as they come; nothing
 * is kept of messages until all of them are there.
 */
#ifndef IMAP_IMAP_UPLOAD_H
#define IMAP_IMAP_UPLOAD_H

#include "imap/imap_state.h"
#include "io/spool.h"

struct imap_upload_message {
	struct imap_flags flags;
	int64_t date;			/* INT64_MIN: now */
	uint64_t at, size;		/* among the bytes of them all */
};

struct imap_upload {
	struct imap_task *t;
	struct arena *scratch;		/* for as long as one message comes */
	struct spool *spool;		/* all of them */
	struct imap_upload_message *messages;
	size_t count, room;
	/* The one that comes just now. */
	struct spool *aside;		/* it is looked at before it is kept */
	uint64_t size;
	bool has_nul;
};

/*
 * From the space before the first message's arguments to the end of the
 * command; `many`: more than one may come (RFC 3502). False: *why, with
 * task->literal_pending as the client left it. imap_upload_end() in any case.
 */
bool imap_upload(struct imap_upload *, struct imap_task *, bool many,
    struct imap_reply *why);
void imap_upload_end(struct imap_upload *);

/* All bytes, and the record of one message (mail/summary.h); 0: none. */
bool imap_upload_bytes(struct imap_upload *, struct span *all,
    struct imap_reply *why);
uint64_t imap_upload_summary(struct imap_upload *, struct span message,
    struct text *record);

/* Only the announcement of a literal is left of the line. */
bool imap_at_announcement(const struct imap_parser *);

/* -- for imap_catenate.c ---- */

/* More of the message that comes. False: *why. */
bool imap_upload_add(struct imap_upload *, struct span, struct imap_reply *why);
/* The literal that is announced, and the line behind it. */
bool imap_upload_literal(struct imap_upload *, struct imap_reply *why);
/* "CATENATE (...)", from behind its name on (RFC 4469). */
bool imap_catenate(struct imap_upload *, struct imap_reply *why);

#endif

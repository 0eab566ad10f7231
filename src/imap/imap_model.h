/*
 * imap_model.h - a mailbox as the store last told it, once for all sessions
 * of the process that look at it with the same login.
 *
 * The rows are those that are there now. What a session was not told yet is
 * in its struct imap_view, one for each: whatever is applied here is noted
 * there.
 *
 * Pure: no calls, no streams.
 */
#ifndef IMAP_IMAP_MODEL_H
#define IMAP_IMAP_MODEL_H

#include "base/text.h"
#include "imap/imap_uids.h"
#include "ipc/contract.h"

struct imap_view;

struct imap_model {
	struct message_row *rows;	/* ascending */
	uint32_t count, room;
	uint32_t uidvalidity, uidnext;
	uint32_t seen;			/* every row before it has \Seen */
	uint64_t modseq;		/* everything up to here is applied */
	struct text keywords;		/* names, bit FLAG_KEYWORD_0 first */
	size_t keyword_count;
	struct imap_view *views;
};

/* The fields that end every reply of a verb which changes messages. */
struct imap_changes {
	uint32_t uidnext, recent_from;
	uint64_t modseq;
	uint64_t since;			/* asked for; 0: does not matter */
	bool complete;
	bool as_asked;			/* see message_store: of `expected` */
	uint64_t bits;
	struct span keywords, rows, vanished;
};
#define IMAP_CHANGES(reply) ((struct imap_changes){			\
	.uidnext = (reply).uidnext, .recent_from = (reply).recent_from,	\
	.modseq = (reply).highestmodseq, .complete = (reply).complete != 0, \
	.keywords = (reply).keywords, .rows = (reply).rows.bytes,	\
	.vanished = (reply).vanished.bytes })

/*
 * What the client of `own` knows anyway: its command made these messages
 * so. A row that became just that is no news to it; any other is.
 */
struct imap_expected {
	const struct imap_uids *uids;
	enum store_mode mode;
	uint64_t flags;
	struct span keywords;
};

/* A new one. 1; 0 more than `max` messages; -1 malformed. */
int  imap_model_open(struct imap_model *, const struct mailbox_open_reply *,
    uint32_t max);
void imap_model_free(struct imap_model *);
/*
 * UIDs of rows and vanished ones ascend. An answer that came late, behind a
 * newer one, changes nothing. \Recent is for `own` alone. 1; 0 more than
 * `max` messages; -1 malformed: the model is of no use then.
 */
int  imap_model_apply(struct imap_model *, const struct imap_changes *,
    uint32_t max, struct imap_view *own, const struct imap_expected *);

/* The index of a uid, or of the first behind it; count when there is none. */
uint32_t imap_model_find(const struct imap_model *, uint32_t uid);
/* The bit of a keyword, by its name in any case; 0: no message has it. */
uint64_t imap_model_keyword(const struct imap_model *, struct span name);
/* The bits of several, SP between; those unknown are left out. */
uint64_t imap_model_keywords(const struct imap_model *, struct span names);
/* The first row without \Seen; count when there is none. */
uint32_t imap_model_unseen(struct imap_model *);
size_t imap_model_bytes(const struct imap_model *);

#endif

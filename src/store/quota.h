/*
 * quota.h - how much accounts and domains hold, and may hold (RFC 9208).
 *
 * Every mailbox keeps its own sums beside its messages, written in the batch
 * that changes them; an account's are these added up when it is first asked
 * for, and follow each change from then on. A domain's are counted while
 * there is a limit on it. So all are exact after a crash, and no message is
 * looked at. Any thread, and under the lock of a mailbox or of names.
 *
 * Two who add at the same time may both fit: a limit is not a reservation.
 */
#ifndef STORE_QUOTA_H
#define STORE_QUOTA_H

#include "store/store.h"

struct quotas;
struct mailbox;

struct quotas *quotas_new(struct store *);
void quotas_free(struct quotas **);

/* ---- what is told to it ----------------------------------------------- */

/* Messages came or went; the caller is in the mailbox. */
void quota_mailbox_changed(const struct mailbox *);
/* Does its record say what there is? Also when there is no record yet. */
bool quota_mailbox_is_right(const struct mailbox *);
void quota_mailbox_gone(struct store *, uint64_t account, uint64_t mailbox);
void quota_account_gone(struct store *, uint64_t account);
/* Limits or settings changed. */
void quota_forget(struct store *);

/* ---- is there room? RESULT_OK, RESULT_OVERQUOTA, RESULT_TEMPORARY ------ */

/* incoming: mail that is delivered, to which quota.grace applies. */
enum result quota_room(struct store *, uint64_t account, uint64_t bytes,
    uint64_t messages, bool incoming);
/* All in all so many. */
enum result quota_room_mailboxes(struct store *, uint64_t account,
    uint64_t count);
enum result quota_room_annotations(struct store *, uint64_t account,
    uint64_t bytes);
/* Is less than three quarters of every limit used, so much added? */
bool quota_is_far(struct store *, uint64_t account, uint64_t bytes);
/* What the sender of mail is told of RESULT_OVERQUOTA: "4.2.2 ...". */
const char *quota_text(const struct settings *);
bool quota_refuses(const struct settings *);	/* for good */

struct quota_sums {
	uint64_t messages, bytes;
};
enum result quota_usage(struct store *, uint64_t account,
    struct quota_sums *);

/* ---- limits ------------------------------------------------------------- */

/* UINT64_MAX: none. As set: also these. */
#define QUOTA_DEFAULT	UINT64_MAX		/* as the settings say */
#define QUOTA_NONE	(UINT64_MAX - 1)	/* no limit */
#define QUOTA_SAME	(UINT64_MAX - 2)	/* as it is */

struct quota_limits {
	uint64_t bytes, messages, mailboxes, annotations;
};

/* A chore of the keeper: mails about what is nearly full. 1, -1. */
int quota_maintain(struct store *);

#endif

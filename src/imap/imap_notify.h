/*
 * imap_notify.h - what a session wants to be told of beside its own mailbox:
 * NOTIFY (RFC 5465), and changes of annotations (RFC 5464 section 4.4.2).
 */
#ifndef IMAP_IMAP_NOTIFY_H
#define IMAP_IMAP_NOTIFY_H

#include "imap/imap_state.h"

/* Our name at the store for what we follow of the account; 0: nothing. */
uint64_t imap_notify_watch(const struct imap_session *);
/* ENABLE METADATA: follow annotations from now on. */
void imap_notify_metadata(struct imap_task *);
/* The session ends, or its login: nothing is followed any more. */
void imap_notify_end(struct imap_session *);

/*
 * Between two commands, and in IDLE: look and tell what NOTIFY asked for, of
 * the selected mailbox too. False: the session must end.
 */
bool imap_notify_catch_up(struct imap_session *);
/* At the end of a command. First, what is selected: imap_tell() with what
 * goes with new messages; then all else. */
void imap_notify_tell_selected(struct imap_task *, bool expunges,
    bool with_uid);
void imap_notify_answer(struct imap_task *);

/* Notes of the store. */
void imap_notify_mailbox_changed(uint64_t watch);
void imap_notify_account_changed(void *arg, const void *note);
/* The store is back, or notes were lost: all must be looked at again. */
void imap_notify_attached(void);
/* Does it wait to look? (After imap_notify_attached().) */
bool imap_notify_behind(const struct imap_session *);

/* Watches of NOTIFY have this bit, those of open mailboxes do not. */
#define IMAP_NOTIFY_WATCH	(UINT64_C(1) << 63)

#endif

/*
 * imap_notify_impl.h - what a session follows, between the files of NOTIFY.
 */
#ifndef IMAP_IMAP_NOTIFY_IMPL_H
#define IMAP_IMAP_NOTIFY_IMPL_H

#include "imap/imap_notify.h"
#include "imap/imap_notify_parse.h"

/* A mailbox that some group of events is about. */
struct imap_followed {
	struct imap_notify *owner;
	uint64_t mailbox;		/* 0: a name, subscribed to */
	uint64_t watch;			/* 0: its messages are not followed */
	unsigned events;
	bool subscribed;
	bool noted;			/* look at it */
	bool seen;			/* while names are compared */
	uint32_t messages, unseen, uidnext, uidvalidity;
	uint64_t modseq;
	char *name;
};

/* A change of an annotation, not told yet. */
struct imap_annotated {
	uint64_t mailbox;
	char *entry;
};

struct imap_notify {
	struct imap_session *s;
	uint64_t watch;			/* of the account */
	bool watching;			/* the store knows of it */
	struct imap_notify_group *groups;	/* names decoded; owned */
	size_t group_count;
	unsigned selected;		/* events of the selected mailbox */
	bool delayed;
	char *fetch;			/* "(UID FLAGS)" of new messages */
	struct imap_followed **at;
	size_t n, room;
	uint64_t *ids;			/* every mailbox there was, ascending */
	size_t id_count;
	bool names_noted;
	bool any_noted;			/* some followed one is */
	bool renew;			/* the store has forgotten us */
	bool lost;			/* changes nobody can name any more */
	struct imap_annotated *annotated;
	size_t annotated_n, annotated_room;
};

/* ---- imap_notify.c -------------------------------------------------------- */

/* Follow its messages from now on, or no more. 1; 0 we may not; -1. */
int  imap_follow(struct imap_task *, struct imap_followed *);
void imap_follow_end(struct imap_followed *, struct arena *);
struct imap_followed *imap_followed_add(struct imap_notify *,
    const struct imap_followed *, struct span name);
void imap_followed_drop(struct imap_notify *, size_t i, struct arena *);
/* "* STATUS name (...)" with what these events are about. */
void imap_say_followed(struct imap_task *, const struct imap_followed *,
    unsigned events);

/* ---- imap_notify_names.c -------------------------------------------------- */

/*
 * Read the list of mailboxes and compare it with what is followed; with
 * `say`, what became of them is told. 1; 0 there are more than one may
 * follow; -1 the store is away.
 */
int  imap_notify_names(struct imap_task *, struct imap_notify *, bool say);
/* Of the list alone: the name of a mailbox. 1, 0, -1. */
int  imap_notify_name_of(struct imap_task *, uint64_t mailbox,
    struct span *name);

#endif

/*
 * index.h - what the store does for the search index: it keeps the segments,
 * and knows what is to be done. The role index reads the mail and makes them.
 *
 * A mailbox in which messages came or went is noted in memory. After a start
 * all mailboxes are walked, a few at a time: the version that was indexed
 * last tells which have changed.
 *
 * A visit to a mailbox brings into the index what was there when it began, by
 * as many leases as that takes. Afterwards the mailbox rests a while, so that
 * mail that keeps coming makes a few segments and not one for each message.
 *
 * A piece of work is leased. A lease ends with its result, with the link or
 * with the next lease of it; who did not come back with a result may have died
 * of it, and gets less of it the next time: in the end a single message, and
 * that one without its bytes.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include "store/index_record.h"
#include "store/mailboxes.h"

/* A mailbox to look at. */
struct todo {
	uint64_t mailbox;
	struct todo *next, *before;	/* in its line */
	struct todo_line *line;		/* NULL: it is being looked at */
	bool begun;			/* a visit */
	bool again;			/* it was noted since */
	uint32_t end;			/* of the visit's uids; 0: not known */
	monotime_t rested;		/* when it may be visited again */
	monotime_t clean;		/* when to; 0: nothing to clean */
	unsigned failures;		/* leases without a result */
};

struct todo_line { struct todo *first, *last; };

struct index_lease {
	uint64_t id, link, mailbox;	/* id 0: none */
	enum index_step step;
	uint32_t first, last;
	uint64_t *segments;		/* MERGE: what it is made of */
	size_t segment_count;
	bool unread;			/* its message is not to be read */
};

struct indexing {
	struct store *store;
	pthread_mutex_t lock;		/* everything below */
	struct map *todos;		/* by mailbox */
	struct todo_line ready;
	struct todo_line resting;	/* the first one first */
	struct todo_line later;		/* to clean, the first one first */
	struct todo *leased;		/* whose lease it is */
	struct index_lease lease;
	uint64_t last_lease;
	uint64_t link;			/* who asked for work last */
	bool idle;			/* and was told that there is none */
	uint64_t walk;			/* mailboxes up to it were looked at */
	bool walked;
	uint64_t saved, messages;	/* counters since the start */
};

struct indexing *indexing_new(struct store *);
void indexing_free(struct indexing **);

/* ---- what is told to it: any thread, the mailbox may be locked ------- */

void index_note(struct store *, uint64_t mailbox);
/* The mailbox is gone: so is its index, at once. RESULT_OK, _TEMPORARY. */
enum result index_forget(struct store *, uint64_t mailbox);
void index_link_gone(struct store *, uint64_t link);
/* Is this lease that caller's, and of which mailbox? */
bool index_leased(struct store *, const struct caller *, uint64_t lease,
    struct arena *, uint64_t *mailbox);

/* ---- for leases ------------------------------------------------------ */

/* The next mailbox to look at; NULL none is due. It is the caller's until: */
struct todo *index_take(struct indexing *);
/* The visit is over; later it may be cleaned. */
void index_done(struct indexing *, struct todo *, bool dirty);
void index_again(struct indexing *, struct todo *);	/* it is not */
/* Mailboxes in which something is to be done. */
uint64_t index_waiting(struct indexing *);
/* Some more of the walk after the start. False: it is over. */
bool index_walk(struct indexing *);
void index_walk_again(struct indexing *);	/* from the beginning */
/* The mailbox, as it is under the caller's lock, is indexed. */
void index_settle(struct mailbox *);
/* How long nothing is due, at most `most` ms; from now on the link is told. */
uint32_t index_idle(struct indexing *, uint64_t link, uint32_t most);

/* ---- segments on disk ------------------------------------------------ */

/*
 * Those of a mailbox; records that cannot be read, or overlap, go. RESULT_OK,
 * RESULT_TEMPORARY.
 */
enum result index_entries_read(struct store *, uint64_t mailbox,
    struct index_entries *);
/*
 * These go, and the new one (NULL: none) comes, in one batch, with its body if
 * that is small (else it is there already). The caller is in the mailbox.
 */
enum result index_replace(struct store *, uint64_t mailbox,
    const struct index_entry *old, size_t n,
    const struct index_entry *fresh, struct span small_body);
/* A share of postrider check: segments whose bodies are not as they should
 * be. How many; those are dropped when `repair`. */
uint32_t index_check(struct store *, uint64_t mailbox, bool repair,
    struct text *report);

void index_metrics(struct store *, struct text *out);

#endif

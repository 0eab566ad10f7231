/*
 * imap_searches.h - what a session remembers of its searches.
 *
 * The result that "$" stands for (RFC 5182), the searches whose changes are
 * told (RFC 5267), the comparator (RFC 5255). Made when the first of them is
 * needed; the first two end with the selection of the mailbox.
 */
#ifndef IMAP_IMAP_SEARCHES_H
#define IMAP_IMAP_SEARCHES_H

#include "imap/imap_find.h"

struct imap_context;			/* imap_context.c */

struct imap_searches {
	struct imap_range *saved;	/* uids, ascending */
	size_t saved_count;
	struct imap_context *contexts;
	size_t context_count;
	enum imap_collation collation;
};

struct imap_searches *imap_searches(struct imap_session *);
enum imap_collation imap_collation(const struct imap_session *);
/* Another mailbox; and: nothing at all is remembered. */
void imap_searches_close(struct imap_session *);
void imap_searches_free(struct imap_session *);
/* "$" by UID, as long as nothing else is saved. */
struct imap_set imap_searches_saved(const struct imap_session *);
/* "$" is these messages from now on, ascending; or nothing. */
void imap_searches_save(struct imap_session *, const uint32_t *uids,
    size_t count);

/* -- imap_order.c ---- */

/*
 * Found messages in the order of the command's sort keys; indexes and scores
 * move together. 1, -1 the store is away.
 */
int  imap_order(struct imap_find *, const struct imap_search_command *);

/* -- imap_search_say.c ---- */

/* What a search found, and how it is told. */
struct imap_said {
	const struct imap_find *found;
	const struct imap_search_command *wish;
	bool by_uid, sorted;
	struct span mailbox;		/* of ESEARCH: its name as it is sent */
};
/* "* SEARCH" or "* SORT" with numbers; or "* ESEARCH". */
void imap_say_found(struct imap_task *, const struct imap_said *);
/* What RETURN (SAVE) keeps (RFC 5182 2.1, RFC 9394 3.2). */
void imap_save_found(struct imap_task *, const struct imap_said *);
/* Which of `count` results PARTIAL is: from *from on, this many. */
size_t imap_partial_of(const struct imap_partial *, size_t count,
    size_t *from);

/* -- imap_context.c ---- */

/*
 * Tell the changes of this search from now on (RETURN (UPDATE)). `args`: the
 * command's arguments. False: the client was told that they will not be.
 */
bool imap_context_add(struct imap_task *, const struct imap_said *,
    struct span args);
bool imap_context_known(const struct imap_session *, struct span tag);
/* Before messages are told to be gone, and after everything was told. */
void imap_contexts_before(struct imap_session *);
void imap_contexts_after(struct imap_session *);
void imap_contexts_free(struct imap_searches *);

#endif

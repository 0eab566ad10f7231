/*
 * imap_rows.h - FETCH responses of what every row knows, very fast.
 *
 * Mail programs ask for the flags of a whole mailbox when they open it. Such
 * lines are put together here without a detour: digits in place, and the
 * text of each combination of flags once.
 *
 * Pure.
 */
#ifndef IMAP_IMAP_ROWS_H
#define IMAP_IMAP_ROWS_H

#include "imap/imap_fetch.h"
#include "imap/imap_view.h"

enum { IMAP_ROWS_FLAGS = 16, IMAP_ROWS_ITEMS = 8 };

struct imap_rows {
	const struct imap_view *view;
	const struct imap_fetch_item *items;
	size_t count;
	bool uid_only;			/* RFC 9586 */
	bool flags_modseq;		/* MODSEQ goes with FLAGS */
	/* The texts of combinations of flags, where they hash to. */
	struct { uint64_t flags; struct text text; } flags[IMAP_ROWS_FLAGS];
};

/* Can these items be put together here? */
bool imap_rows_can(const struct imap_fetch *);
void imap_rows_begin(struct imap_rows *, const struct imap_view *,
    const struct imap_fetch *, bool uid_only, bool with_modseq);
void imap_rows_end(struct imap_rows *);
/* "* 4 FETCH (UID 9 FLAGS (\Seen))" and CRLF. */
void imap_rows_add(struct imap_rows *, struct text *,
    const struct message_row *, uint32_t number);

#endif

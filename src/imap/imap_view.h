/*
 * imap_view.h - a mailbox as one client believes it to be.
 *
 * Message number n is rows[n - 1], whatever happened in the store: changes
 * are applied to the view at once, but the numbers move only when the client
 * is told (RFC 3501 5.5, 7.4.1), which is when imap_view_next() is pulled until
 * it has nothing more to tell. A message that is gone keeps its row until then.
 *
 * Pure: no calls, no streams.
 */
#ifndef IMAP_IMAP_VIEW_H
#define IMAP_IMAP_VIEW_H

#include "base/arena.h"
#include "base/text.h"
#include "imap/imap_search.h"
#include "ipc/contract.h"

/* In row.modseq, beside the 62 bits of the number. */
#define IMAP_ROW_GONE		(UINT64_C(1) << 63)	/* expunged, not told */
#define IMAP_ROW_CHANGED	(UINT64_C(1) << 62)	/* flags not told */
#define IMAP_ROW_MARKS		(IMAP_ROW_GONE | IMAP_ROW_CHANGED)

struct imap_view {
	struct message_row *rows;	/* flags with IMAP_FLAG_RECENT */
	uint32_t count, room;
	uint32_t uidvalidity, uidnext;
	uint32_t recent;		/* rows with IMAP_FLAG_RECENT */
	uint64_t modseq;		/* everything up to here is applied */
	struct text keywords;		/* names, bit FLAG_KEYWORD_0 first */
	size_t keyword_count;
	/* What the client was not told yet. */
	uint32_t told_count, told_recent;
	bool tell_keywords;
	uint32_t gone;			/* rows with IMAP_ROW_GONE */
	uint32_t gone_from, gone_to;	/* where they lie */
	uint32_t expunge_at;		/* where telling them stands */
	uint32_t changed_from, changed_to;	/* where _CHANGED rows lie */
};

/* The fields that end every reply of a verb which changes messages. */
struct imap_changes {
	uint32_t uidnext, recent_from;
	uint64_t modseq;
	bool complete;
	struct span keywords, rows, vanished;
};
#define IMAP_CHANGES(reply) ((struct imap_changes){			\
	.uidnext = (reply).uidnext, .recent_from = (reply).recent_from,	\
	.modseq = (reply).highestmodseq, .complete = (reply).complete != 0, \
	.keywords = (reply).keywords, .rows = (reply).rows.bytes,	\
	.vanished = (reply).vanished.bytes })

/* A new view. 1; 0 more than `max` messages; -1 malformed. */
int  imap_view_open(struct imap_view *, const struct mailbox_open_reply *,
    uint32_t max);
void imap_view_free(struct imap_view *);
/* 1; 0 more than `max` messages; -1 malformed: the view is of no use then. */
int  imap_view_apply(struct imap_view *, const struct imap_changes *,
    uint32_t max);

enum imap_event_kind {
	IMAP_EVENT_EXPUNGE,	/* number: of the message, as it was */
	IMAP_EVENT_KEYWORDS,	/* there are new ones: say FLAGS again */
	IMAP_EVENT_EXISTS,	/* number */
	IMAP_EVENT_RECENT,	/* number */
	IMAP_EVENT_FETCH	/* number: whose flags changed */
};
struct imap_event {
	enum imap_event_kind kind;
	uint32_t number;
};
bool imap_view_news(const struct imap_view *);	/* is there any to tell? */
/* Pull until false. `expunges`: may the numbers move now? */
bool imap_view_next(struct imap_view *, bool expunges, struct imap_event *);
/* The client has just been told of this row's flags. */
void imap_view_told(struct imap_view *, uint32_t index);

/* Messages: those that are gone and not told so are counted. */
uint32_t imap_view_count(const struct imap_view *);
/* Are there any that are gone and not told so? */
bool imap_view_any_gone(const struct imap_view *);
/*
 * What the store said last of message number index + 1. NULL: it is gone.
 * Good until the fiber waits or the view changes.
 */
const struct message_row *imap_view_row(const struct imap_view *,
    uint32_t index);
uint32_t imap_view_uid(const struct imap_view *, uint32_t index);
/* The flags of a row, with this session's \Recent. */
uint64_t imap_view_flags(const struct imap_view *, const struct message_row *);
/* Did its flags change, and the client was not told? */
bool imap_view_changed(const struct imap_view *, uint32_t index);
/* Everything up to here is in the view. */
uint64_t imap_view_modseq(const struct imap_view *);

static inline uint64_t
imap_row_modseq(const struct message_row *row)
{
	return row->modseq & ~IMAP_ROW_MARKS;
}

/* The index of a uid, or of the first behind it; count when there is none. */
uint32_t imap_view_find(const struct imap_view *, uint32_t uid);
uint32_t imap_view_last_uid(const struct imap_view *);	/* 0: empty */
/* The bit of a keyword, by its name in any case; 0: no message has it. */
uint64_t imap_view_keyword(const struct imap_view *, struct span name);
/* The bits of several, SP between; those unknown are left out. */
uint64_t imap_view_keywords(const struct imap_view *, struct span names);

/*
 * The rows a set stands for, ascending, each once. 1; 0 the set holds a
 * message number that is not there; -1 arena full. UIDs that are not there are
 * passed over.
 */
struct imap_pick { uint32_t from, to; };	/* indexes, [from, to) */
struct imap_picks {
	struct imap_pick *picks;
	size_t count;
	uint32_t messages;
};
int  imap_view_pick(const struct imap_view *, const struct imap_set *,
    bool by_uid, struct arena *, struct imap_picks *);
/* All rows that are still in the store. */
struct imap_picks imap_view_all(const struct imap_view *, struct imap_pick *);

/* Numbers gathered into ranges: "1:3,5". */
struct imap_ranges {
	struct uid_range last;	/* first 0: none yet */
	bool any;
	struct text text;
};
void imap_ranges_add(struct imap_ranges *, uint32_t number);
void imap_ranges_end(struct imap_ranges *);
/* uid_range records as "1:3,5". */
int  imap_add_uid_ranges(struct text *, struct span records);

/* "\Seen \Answered Work", without parentheses. */
void imap_view_add_flags(const struct imap_view *, struct text *,
    uint64_t flags);
/* Every flag there can be: "\Answered ... Work". */
void imap_view_add_all_flags(const struct imap_view *, struct text *);

#endif

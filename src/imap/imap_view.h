/*
 * imap_view.h - a mailbox as one client believes it to be.
 *
 * What is there is in the model, which the sessions share; here is what this
 * client was not told yet. Its message numbers move only when it is told
 * (RFC 3501 5.5, 7.4.1), which is when imap_view_next() is pulled until it has
 * nothing more to tell: until then a message that is gone keeps its number.
 * Index n - 1 stands for message number n.
 *
 * Pure: no calls, no streams.
 */
#ifndef IMAP_IMAP_VIEW_H
#define IMAP_IMAP_VIEW_H

#include "base/arena.h"
#include "base/text.h"
#include "imap/imap_model.h"
#include "imap/imap_search.h"
#include "ipc/contract.h"

struct imap_view {
	struct imap_model *model;
	struct imap_view *next, *before;	/* of the model */
	struct imap_uids gone;		/* not told: they keep their numbers */
	struct imap_uids changed;	/* flags not told, and what lies by */
	uint64_t changed_after;		/* rows of an earlier modseq are told */
	struct imap_uids recent;	/* \Recent is this session's */
	uint32_t told_count, told_recent;
	bool tell_keywords;
	bool no_recent;			/* IMAP4rev2 knows of none */
};

/* The client sees the model as it is now; recent_from is the store's. */
void imap_view_attach(struct imap_view *, struct imap_model *,
    uint32_t recent_from);
void imap_view_detach(struct imap_view *);

/* What the model does to each view when it changes. */
void imap_view_note(struct imap_view *, const struct imap_uids *gone,
    const struct imap_uids *changed, uint64_t after, bool keywords);
void imap_view_note_recent(struct imap_view *, uint32_t first, uint32_t last);

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
/*
 * All that is gone at once, for VANISHED (RFC 7162 3.2.10): "3,7:9", of those
 * that the client knows; the numbers have moved. False: there are none.
 */
bool imap_view_vanish(struct imap_view *, struct text *uids);
/* The client has just been told of this row's flags; of these rows'. */
void imap_view_told(struct imap_view *, uint32_t index);
void imap_view_told_all(struct imap_view *, uint32_t from, uint32_t to);

/* Messages that the client was told of: those that are gone and not told so
 * are counted, those that came since are not. */
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
/* Rows that are \Recent for this session. */
uint32_t imap_view_recent(const struct imap_view *);

static inline uint64_t
imap_row_modseq(const struct message_row *row)
{
	return row->modseq;
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

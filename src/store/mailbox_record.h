/*
 * mailbox_record.h - what a mailbox is on disk: its keys and records. Pure.
 *
 * Per-message rows lie in chunks of CHUNK_UIDS neighbouring UIDs. A change is
 * one record in the tail, under its modseq; folding brings the tail into the
 * chunks. A change touches only rows with a lower modseq than its own, so
 * that reading a tail again over chunks which know it already alters nothing.
 */
#ifndef STORE_MAILBOX_RECORD_H
#define STORE_MAILBOX_RECORD_H

#include "base/base.h"
#include "base/text.h"
#include "ipc/contract.h"
#include "store/engine.h"
#include "store/schema.h"
#include "store/uids.h"

enum {
	CHUNK_UIDS = 1024,
	ROW_BYTES = 64,
	KEYWORD_NAME_MAX = 250,		/* 58 fit the contract's field */
	CHANGE_ROWS_MAX = 4096,		/* of one record in the tail */
	CHANGE_RANGES_MAX = 65536,
	TOMBSTONE_PAGE = 1024,		/* entries */
	SEEN_PAGE = 65536,		/* uids of one record */
	DONE_MAX = 256,			/* tokens remembered */
	DONE_RANGES_MAX = 65536,	/* source ranges of them all */
};

/* A message. In memory as on disk it takes one line of the cache. */
struct row {
	uint32_t uid, size;
	uint64_t flags, modseq;
	int64_t internal_date, save_date;	/* seconds since 1970 UTC */
	struct body_id body;			/* its EMAILID too */
	uint64_t thread;
};

struct mailbox_head {
	uint64_t account;
	uint32_t uidvalidity, uidnext;
	uint64_t modseq;		/* the tail up to here is folded in */
	uint64_t forgotten;		/* tombstones up to here are gone */
	size_t keyword_count;
	struct span keywords[KEYWORDS_MAX];
};

struct tombstone {
	uint32_t first, last;		/* uids */
	uint64_t modseq;
};

/* What a token was answered: so many messages from `first` on. */
struct done {
	struct token token;
	uint32_t first, count;
	struct uids sources;		/* of a copy, in the order of `first` */
};

enum change_kind {
	CHANGE_ADD = 1, CHANGE_FLAGS = 2, CHANGE_EXPUNGE = 3,
	CHANGE_SEEN = 4,		/* \\Seen, of one user who has their own */
};

struct change {
	enum change_kind kind;
	uint64_t modseq;		/* the key */
	struct token token;		/* zero: none; in the first record */
	uint64_t defined;		/* keyword bits that get these names */
	struct span names[KEYWORDS_MAX];
	struct row *rows;		/* ADD; modseq is the change's */
	size_t row_count;
	uint32_t total;			/* ADD: rows in all, of a token */
	enum store_mode mode;		/* FLAGS, SEEN */
	uint64_t flags;
	uint64_t user;			/* SEEN: whose */
	struct uids uids;		/* which; of an ADD: its sources */
};

/* ---- keys ------------------------------------------------------------ */

struct key {
	char b[24];
	size_t n;
};
struct span key_span(const struct key *);
struct key key_letter(char letter);
struct key key_letter_after(char letter);	/* ends the range of a letter */
struct key key_u64(char letter, uint64_t);
struct key key_token(char letter, const struct token *);
struct key key_chunk(uint32_t uid);
struct key key_chunk_after(uint32_t uid);	/* the next one's */
struct key key_tombstone(const struct tombstone *);
struct key key_seen(uint64_t user, uint32_t uid);	/* of its page */
int key_read_seen(struct span key, uint64_t *user, uint32_t *first_uid);
/* 1, 0 the key has another form. */
int key_read_u64(struct span key, uint64_t *);
int key_read_token(struct span key, struct token *);
int key_read_chunk(struct span key, uint32_t *first_uid);

/* Who links the body of a message. */
struct key message_holder(uint64_t mailbox, uint32_t uid);
int message_holder_read(struct span holder, uint64_t *mailbox, uint32_t *uid);

/* ---- records: x_decode gives 1, 0 damaged (or of a later version) ---- */

void chunk_encode(struct text *, const struct row *, size_t n);
/* Into room for CHUNK_UIDS rows, ascending, from first_uid on. */
int  chunk_decode(struct span, uint32_t first_uid, struct row *, size_t *n);

void head_encode(struct text *, const struct mailbox_head *);
int  head_decode(struct span, struct mailbox_head *);

void sums_encode(struct text *, uint64_t messages, uint64_t bytes);
int  sums_decode(struct span, uint64_t *messages, uint64_t *bytes);

void number_encode(struct text *, uint64_t);	/* a record of one number */
int  number_decode(struct span, uint64_t *);

void tombstones_encode(struct text *, const struct tombstone *, size_t n);
/* Into room for TOMBSTONE_PAGE of them. */
int  tombstones_decode(struct span, struct tombstone *, size_t *n);

void seen_encode(struct text *, const struct uids *);
/* Into an empty set: those of the page that begins at first_uid. */
int  seen_decode(struct span, uint32_t first_uid, struct uids *);

void done_encode(struct text *, const struct done *, size_t n);
/* Into room for DONE_MAX; the caller frees their sources. */
int  done_decode(struct span, struct done *, size_t *n);

void change_encode(struct text *, const struct change *);
/*
 * Names point into the span; rows and ranges are grown in *change, which may
 * have been used before: change_free() at the end.
 */
int  change_decode(struct span, uint64_t modseq, struct change *);
void change_free(struct change *);

bool token_is_zero(const struct token *);

#endif

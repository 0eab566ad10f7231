/*
 * mailboxes.h - open mailboxes and lists of names, between the files that
 * work on them.
 *
 * Locks: names before mailbox; of two mailboxes the one with the lower id
 * first; watches and maildrops have inner locks of their own. No lock is
 * held while the disk is awaited.
 */
#ifndef STORE_MAILBOXES_H
#define STORE_MAILBOXES_H

#include <pthread.h>

#include "base/map.h"
#include "store/acl.h"
#include "store/cache.h"
#include "store/digest.h"
#include "ipc/serve.h"
#include "store/mailbox_table.h"
#include "store/names_record.h"
#include "store/shelf.h"
#include "store/store.h"

struct mailboxes {
	struct store *store;
	struct shelf *open;		/* struct mailbox, by id */
	struct shelf *names;		/* struct names, by account */
	struct watches *watches;
	struct maildrops *maildrops;
	struct followers *followers;
	pthread_mutex_t work_lock;
	struct work *work;		/* for mailboxes_maintain() */
	size_t work_count, work_room;
	pthread_mutex_t walk_lock;	/* held by who walks */
	uint64_t walk;			/* accounts up to this were looked at */
	bool walked;
	uint64_t digest_walk;		/* the same, of mailboxes */
	bool digests_walked;
	pthread_mutex_t shares_lock;	/* held by who writes the index */
	struct cache *access;		/* account mailbox: owner, rights */
};

/* ---- mailbox.c: one open mailbox ------------------------------------- */

struct mailbox {
	struct shelved shelved;
	struct mailboxes *owner;
	pthread_mutex_t lock;		/* everything below */
	bool loaded;
	bool removed;			/* its name is gone */
	bool fold_wanted;
	uint64_t version;		/* of its partition */
	ticket_t structural;		/* of the last message added or gone */
	uint64_t quiet_link, quiet_watch;	/* learns by its answer */
	uint64_t user;			/* who is in it by mailbox_open_for() */
	uint32_t rights;		/* RIGHT_* of theirs */
	bool own_seen;			/* theirs; all three until it is left */
	size_t tail_bytes;
	struct table table;
	struct digest digest;
	struct map *delivered;		/* queue ids with a marker; or NULL */
	struct token *finished;		/* markers that may go */
	size_t finished_count, finished_room;
};

uint64_t mailbox_id(const struct mailbox *);
/*
 * Locked, read, and of this account; mailbox_leave() ends it. RESULT_OK,
 * RESULT_NOT_FOUND, RESULT_DAMAGED, RESULT_TEMPORARY.
 */
enum result mailbox_enter(struct mailboxes *, uint64_t account, uint64_t id,
    struct mailbox **);
/* Both, in the order of locking; the same mailbox twice is entered once. */
enum result mailbox_enter_two(struct mailboxes *, uint64_t account,
    uint64_t a, uint64_t b, struct mailbox *two[2]);
/* Whoever it belongs to, and whether or not it has a name. */
enum result mailbox_enter_any(struct mailboxes *, uint64_t id,
    struct mailbox **);
void mailbox_leave(struct mailbox **);

/* A batch on its partition that expects what we have in memory. */
struct batch *mailbox_batch(struct mailbox *);
/* Commits without a change. 1, -1. */
int mailbox_commit(struct mailbox *, struct batch *, ticket_t *);
/*
 * Commits the batch with these changes in the tail, applies them and tells
 * who watches. Their modseq is given here. `ticket` may be NULL.
 */
enum result mailbox_make(struct mailbox *, struct batch *, struct change *,
    size_t count, ticket_t *);
/* A new, empty partition for a mailbox. */
enum result mailbox_format(struct mailboxes *, uint64_t id, uint64_t account,
    uint32_t uidvalidity);

/* Write down what there is in it, anew. 1, -1. */
int mailbox_put_sums(struct mailbox *);
/* Messages and bytes of it, read anew and without any lock. 1, -1. */
int mailbox_count(struct mailboxes *, uint64_t id, uint64_t *messages,
    uint64_t *bytes);

enum result result_of_errno(void);	/* after -1 from the engine */
/* The answer may leave when this is on disk. */
enum result mailboxes_durable(struct mailboxes *, ticket_t);

/*
 * For verbs: a mailbox on which the grant's account has all the rights that
 * are needed (RIGHT_*; 0: any at all); and the end, when the answer waits for
 * what it tells (and for this ticket). An empty *mb is fine. Besides what
 * mailbox_enter() says, RESULT_FORBIDDEN: they know of it and may not; who
 * does not even know of it finds nothing.
 */
enum result mailbox_open_for(struct store *, const struct grant *,
    uint64_t id, uint32_t needs, struct mailbox **mb);
/* The same for two, in the order of locking; one mailbox is entered once. */
struct wanted_mailbox {
	uint64_t id;
	uint32_t needs;
};
enum result mailbox_open_two_for(struct store *, const struct grant *,
    const struct wanted_mailbox[2], struct mailbox *two[2]);
void mailbox_answer(struct mailbox **mb, ticket_t, enum result *);
void mailbox_answer_two(struct mailbox *two[2], ticket_t, enum result *);
/* The account of a grant. RESULT_OK, RESULT_DENIED. */
enum result grant_account(struct store *, const struct grant *,
    uint64_t *account);

/* Reads what is there; with `damage`, passes over what cannot be read. */
struct damage {
	struct text *report;		/* a line for each */
	uint32_t found;
	struct text keys;		/* of them, each as put_bytes() */
};
enum result mailbox_read(struct mailbox *, struct damage *);

/* ---- mailbox_deliver.c: markers of what the queue has delivered ------ */

void mailbox_delivery_note(struct mailbox *, const struct token *);
void mailbox_delivery_over(struct mailbox *, const struct token *);
/* Markers that may go leave with this batch; after its commit: swept. */
void mailbox_delivery_sweep(struct mailbox *, struct batch *);
void mailbox_delivery_swept(struct mailbox *);
/* All of them, in batches of their own. 1, -1. */
int mailbox_delivery_flush(struct mailbox *);

/* ---- mailbox_seen.c: whose flags, and who may set them ---------------- */

void mailbox_note_user(struct mailbox *, uint64_t user, uint32_t rights);
/* All of these for who is in it by mailbox_open_for(). */
bool mailbox_has_own_seen(const struct mailbox *);
uint64_t mailbox_flags(const struct mailbox *, const struct row *);
uint32_t mailbox_unseen(const struct mailbox *);
/* FLAG_* and keyword bits that they may change. */
uint64_t mailbox_may_set(const struct mailbox *);
/*
 * Rows that they add keep the flags that they may set. True: the change, to
 * be made behind them, says what they have seen of these. Free its uids.
 */
bool mailbox_admit_flags(const struct mailbox *, struct row *, size_t n,
    struct change *seen);
/* For reading and folding. */
int  mailbox_read_seen(struct mailbox *, struct span key, struct span value);
size_t mailbox_put_seen(const struct mailbox *, struct seen *,
    struct batch *, struct text *);

/* ---- mailbox_fold.c -------------------------------------------------- */

/* Bring the tail into the chunks. 1, -1. */
int mailbox_fold(struct mailbox *);
/* Write every chunk anew, and delete these keys (put_bytes() each). 1, -1. */
int mailbox_rewrite(struct mailbox *, struct span damaged);
/* After each change: now, later or not yet. */
void mailbox_fold_when_due(struct mailbox *);

/* ---- mailbox_names.c: the mailboxes of an account -------------------- */

struct listed {
	uint64_t mailbox;
	struct span name;		/* points into `own` */
	char *own;
	uint32_t use, uidvalidity;
	struct token token;
	struct acl acl;			/* its own */
};

struct subscribed {
	struct span name;		/* points into `own` */
	char *own;
};

struct names {
	struct shelved shelved;
	struct mailboxes *owner;
	pthread_mutex_t lock;		/* everything below */
	bool loaded;
	bool intents;			/* some could not be finished */
	ticket_t ticket;		/* of the last change */
	uint32_t last_uidvalidity;
	uint64_t inbox;
	struct listed *at;		/* in the order of names_compare() */
	size_t n, room;
	struct subscribed *subscribed;	/* in that order */
	size_t subscribed_n, subscribed_room;
	uint64_t annotations, annotation_bytes;	/* metadata.c */
};

extern const struct shelf_kind names_kind;
/* Locked and read, intents finished; names_leave() ends it. */
enum result names_enter(struct mailboxes *, uint64_t account,
    struct names **);
void names_leave(struct names **);
/* Leaves; the answer waits for what it tells. */
void names_answer(struct names **, enum result *);
uint64_t names_account(const struct names *);
struct partition names_partition(const struct names *);

/* '/' comes before every other byte: children follow their parent. */
int names_compare(struct span, struct span);
struct listed *names_find(const struct names *, struct span name);
struct listed *names_find_id(const struct names *, uint64_t mailbox);
/* Copies the name, takes the access control list over. */
void names_insert(struct names *, const struct listed *);
void names_move(struct names *, uint64_t mailbox, struct span name);
void names_remove(struct names *, uint64_t mailbox);
bool names_is_subscribed(const struct names *, struct span name);
void names_subscribe(struct names *, struct span name, bool on);
/*
 * The form in which a name is kept: valid UTF-8 without controls, INBOX in
 * capitals, no empty level. 1 and the name in the arena, 0.
 */
int names_normal(struct span, struct arena *, struct span *name);
bool names_is_inbox(struct span);
/* Does `name` lie below `parent`? */
bool names_is_below(struct span name, struct span parent);

/* Reads what is there; with `damage`, passes over what cannot be read. */
enum result names_read(struct names *, struct damage *);

/* ---- mailbox_access.c: whose mailbox, and who may what --------------- */

struct access {
	uint64_t owner;
	uint32_t rights;		/* RIGHT_* */
};
/* RESULT_OK, also with no rights at all; RESULT_NOT_FOUND. */
enum result access_of(struct mailboxes *, uint64_t account, uint64_t mailbox,
    struct access *);
/* The same of one in the list of its owner, whose names are entered. */
uint32_t access_rights(struct mailboxes *, uint64_t account,
    const struct names *, const struct listed *);
/* May they send mail in the owner's name? Who is anyone may not. */
bool access_may_post(struct mailboxes *, uint64_t account, uint64_t owner);
/* May they write to the owner? account 0: a stranger. */
bool access_may_write(struct mailboxes *, uint64_t account, uint64_t owner);
/* Something that others may have remembered rights by has changed. */
void access_forget(struct mailboxes *);
/* OK, or what to say to who lacks these rights. */
enum result access_check(uint32_t rights, uint32_t needs);

/* Where a name leads that an account gives. */
struct name_place {
	enum mailbox_place kind;
	uint64_t owner;
	struct span name;		/* among the owner's */
	struct span prefix;		/* what stands before it; with its '/' */
};
/* RESULT_OK, RESULT_NOT_FOUND, RESULT_INVALID (no name), RESULT_TEMPORARY. */
enum result place_named(struct mailboxes *, uint64_t account, struct span name,
    struct arena *, struct name_place *);
/* And back: how an account names what the owner has; sets all but name. */
enum result place_of_owner(struct mailboxes *, uint64_t account,
    uint64_t owner, struct arena *, struct name_place *);

/* ---- mailbox_acl.c: access control lists change ---------------------- */

/* The list as it is in `listed`, and an intent; its token. */
void acl_put(struct batch *, const struct listed *, struct token *);
/* After the commit: the index learns, and the intent goes. */
void acl_publish(struct names *, uint64_t mailbox, const struct token *);
/* Whoever watches it looks again, and finds what their rights are now. */
void mailbox_rights_changed(struct mailboxes *, uint64_t mailbox);
/* Of the owner's INBOX. */
enum result acl_change_inbox(struct mailboxes *, uint64_t owner,
    const struct acl_who *, uint32_t rights);
/* Somebody who is no more is in no list any more. */
enum result acl_forget_everywhere(struct mailboxes *, const struct acl_who *);

/* ---- mailbox_rows.c: what an account sees ---------------------------- */

/* The nearest name above it that is a mailbox, or NULL. */
const struct listed *names_above(const struct names *, struct span name);

/* ---- mailbox_list.c: the list changes -------------------------------- */

/* For repairs: a row comes; keys (put_bytes() each) go. */
enum result names_add(struct names *, const struct listed *);
enum result names_forget(struct names *, struct span keys);

/* ---- mailbox_intent.c: what spans two partitions --------------------- */

/* Before, in the account's partition; not durable by itself. */
enum result intent_write(struct mailboxes *, uint64_t account,
    const struct intent *);
enum result intent_forget(struct mailboxes *, uint64_t account,
    const struct token *);
void intent_put(struct batch *, const struct intent *);
/*
 * Finish what a killed process began; what takes long, the removals, is else
 * left for mailboxes_maintain(). 1, -1 something remains.
 */
int intents_replay(struct mailboxes *, uint64_t account, bool removals);
bool intents_left(struct mailboxes *, uint64_t account);

/* ---- message.c --------------------------------------------------------- */

/* A row's copy, for who may read it; the mailbox is let go again. What it
 * tells is durable with the ticket. */
enum result message_row_of(struct store *, const struct grant *,
    uint64_t mailbox, uint32_t uid, struct row *, ticket_t *);

/* ---- message_copy.c -------------------------------------------------- */

/* A copy or a move. */
struct transfer {
	struct token token;
	bool move;
	struct uids uids;		/* wanted; then: what was found */
	uint32_t first;			/* of the copies in the target */
	uint32_t count;
	ticket_t ticket;
};
enum { TRANSFER_MAX = 200000 };		/* messages: one batch holds them */
/* Both locked; may be the same. The token says what was done before. */
enum result mailbox_transfer(struct mailbox *source, struct mailbox *target,
    struct transfer *);

/* ---- message_expunge.c ----------------------------------------------- */

/* Those of the set that are there go. */
enum result mailbox_expunge(struct mailbox *, const struct uids *);

/* ---- mailbox_watch.c: who looks at a mailbox ------------------------- */

struct watches *watches_new(void);
void watches_free(struct watches **);
/* RESULT_OK, RESULT_LIMIT. Again: only `known` is noted. */
enum result watches_add(struct watches *, uint64_t mailbox, uint64_t link,
    uint64_t watch, uint64_t known);
void watches_remove(struct watches *, uint64_t mailbox, uint64_t link,
    uint64_t watch);
void watches_remove_link(struct watches *, uint64_t link);
/* Tell all that know less than modseq, but for the mailbox's quiet one. */
void watches_tell(struct mailbox *, uint64_t modseq);
/* This watch is the quiet one until the mailbox is left. */
void watch_by_answer(struct mailbox *, const struct caller *,
    uint64_t watch);
size_t watches_count(struct watches *);

/* ---- maildrop.c ------------------------------------------------------ */

struct maildrops *maildrops_new(void);
void maildrops_free(struct maildrops **);
void maildrops_remove_link(struct maildrops *, uint64_t link);

/* ---- account_watch.c: who follows an account -------------------------- */

enum { ACCOUNT_OF_ALL = 0 };		/* nobody's; everybody follows it */
struct followers *followers_new(void);
void followers_free(struct followers **);
void followers_remove_link(struct followers *, uint64_t link);
struct account_news {
	uint32_t what;			/* enum account_change */
	uint64_t mailbox;		/* of an annotation; 0: the server's */
	struct span entry;
	bool private;			/* to the account */
	uint64_t quiet_link, quiet_watch;	/* learns by its answer */
};
/* Tell all who follow the account. */
void account_changed(struct mailboxes *, uint64_t account,
    const struct account_news *);
void account_names_changed(struct mailboxes *, uint64_t account);

/* ---- mailbox_view.c: what a reply tells of changes ------------------- */

struct view {
	uint32_t uidnext, recent_from;
	uint64_t highestmodseq;
	uint32_t complete;
	struct span keywords, vanished;
	struct blob rows;		/* its file is the reply's to close */
};
/* RESULT_OK; RESULT_TEMPORARY: no memory, no file. */
enum result view_changes(const struct mailbox *, uint64_t since,
    struct arena *, struct view *);
/* The six fields at the end of a reply. */
#define VIEW_TO_REPLY(view, reply) do {					\
	(reply)->uidnext = (view)->uidnext;				\
	(reply)->recent_from = (view)->recent_from;			\
	(reply)->highestmodseq = (view)->highestmodseq;			\
	(reply)->complete = (view)->complete;				\
	(reply)->keywords = (view)->keywords;				\
	(reply)->rows = (view)->rows;					\
	(reply)->vanished = BLOB_OF((view)->vanished);			\
} while (0)

/* ---- mailbox_maintain.c: what can wait ------------------------------- */

enum work_kind { WORK_FOLD, WORK_SWEEP, WORK_INTENTS, WORK_DIGEST };
struct work {
	enum work_kind kind;
	uint64_t id;			/* mailbox; for intents account */
};
void work_add(struct mailboxes *, enum work_kind, uint64_t id);

#endif

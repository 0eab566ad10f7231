/*
 * store.h - the parts of the store as they see each other.
 *
 * Locks, in the order in which they may be taken: directory, account,
 * mailbox, queue; inside each module. No lock is held while waiting for
 * engine_sync(), except where a module's page says why.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "base/base.h"
#include "base/settings.h"
#include "ipc/contract.h"
#include "store/engine.h"
#include "store/schema.h"

struct store;
struct directory;		/* directory.c: domains, accounts, aliases */
struct mailboxes;		/* mailbox.c: open mailboxes, their arrays */
struct auth;			/* sasl.c: dialogues, cache, lockout */
struct queue;			/* queue.c over ../queue */
struct keeper;			/* keeper.c: what is done now and then */
struct quotas;			/* quota.c: what accounts hold, and may */
struct limits;			/* limit.c: what accounts have sent */
struct masks;			/* mask.c: how often masks were used */
struct app_passwords;		/* app_password.c: when they were used */
struct indexing;		/* index.c: what is to be indexed */
struct ids;			/* store.c: numbers never used again */
struct server;

struct store {
	struct engine *engine;
	const struct settings *settings;
	struct directory *directory;
	struct mailboxes *mailboxes;
	struct auth *auth;
	struct queue *queue;
	struct server *server;		/* store_server(); NULL in tests */
	struct quotas *quotas;		/* NULL in some tests: no limits */
	struct limits *limits;
	struct masks *masks;
	struct app_passwords *app_passwords;
	struct indexing *indexing;	/* NULL in some tests: no index */
	struct keeper *keeper;
	struct ids *ids;
	uint8_t grant_key[32];
	uint8_t secret[32];		/* of this store, kept in it */
	const char *data;		/* its directory; NULL in tests */
};

/* Open what is in `engine`; replays intents. NULL: *why. Closes nothing. */
struct store *store_new(struct engine *, const struct settings *,
    const uint8_t grant_key[32], struct text *why);
/* The same with its directory, which backups and free space need. The
 * string is the caller's and stays. */
struct store *store_open(struct engine *, const struct settings *,
    const uint8_t grant_key[32], const char *data, struct text *why);
void store_free(struct store **);
/* The contract's verbs, for server_new(); arg is the struct store. */
extern const struct handlers store_handlers;

/*
 * After a reload: these settings from now on. The struct is the caller's and
 * stays as long as the store does. store->settings is read through
 * store_settings(), as any thread may.
 */
void store_set_settings(struct store *, const struct settings *);
static inline const struct settings *
store_settings(const struct store *s)
{
	return __atomic_load_n(&s->settings, __ATOMIC_ACQUIRE);
}

struct routes;
/* From now on; the store's own. */
void store_set_routes(struct store *, struct routes *);

/*
 * Whose certificates (PEM) and tokens (a JWK set) log in, from now on; what
 * cannot be read is none, and an error in the log.
 */
void store_set_login_trust(struct store *, struct span authorities,
    struct span token_keys);

/* Where notices go; set when the store works already. */
static inline void
store_set_server(struct store *s, struct server *server)
{
	__atomic_store_n(&s->server, server, __ATOMIC_RELEASE);
}

static inline struct server *
store_server(const struct store *s)
{
	return __atomic_load_n(&s->server, __ATOMIC_ACQUIRE);
}

/*
 * How many threads serve the verbs: the setting, or enough that a crowd
 * logging in can wait for its turns at the password hash while others work.
 */
size_t store_worker_threads(const struct settings *);

/* Ids that are never used again: accounts, mailboxes. Durable when given. */
int store_next_id(struct store *, uint64_t *);

/* -- grant.c: who may --------------------------------------------------- */
struct holder {			/* what a valid grant says */
	uint64_t account;
	uint32_t epoch;		/* of the account's password */
	uint64_t app;		/* the app password's id; 0: their own */
	enum protocol service;
	bool operator_acts;	/* from account_grant */
};
void grant_make(const struct store *, const struct holder *, struct grant *);
/* 1; 0: forged, or the account is gone or its password was changed since. */
int  grant_check(struct store *, const struct grant *, struct holder *);

/* -- directory.c --------------------------------------------------------- */
/* The accounts behind an address, aliases followed, each once.
 * RESULT_OK, RESULT_NOT_FOUND, RESULT_NOT_LOCAL, RESULT_INVALID. */
enum result directory_resolve(struct directory *, struct span address,
    struct arena *, uint64_t **accounts, size_t *count);
/* 1 and the epoch when the account exists, else 0. From memory. */
int directory_account_epoch(struct directory *, uint64_t account, uint32_t *);

/* -- mailbox.c, mailbox_list.c, message.c -------------------------------- */
struct mailboxes *mailboxes_new(struct store *);
void mailboxes_free(struct mailboxes **);
/* INBOX, Drafts, Sent, Junk, Trash, Archive, with special use, subscribed. */
enum result mailboxes_make_defaults(struct mailboxes *, uint64_t account);
/* Every mailbox and message of it; bodies go when their last link does. */
enum result mailboxes_remove_account(struct mailboxes *, uint64_t account);

/* A delivery into INBOX: exactly once for a (queue id, account), however
 * often it is tried. Applied on return; durable after engine_sync(ticket). */
struct delivery {
	struct token queue;		/* the envelope's id */
	struct body_id body;		/* linked by this call */
	uint64_t size, thread;
	walltime_t arrived;
};
enum result mailbox_deliver(struct mailboxes *, uint64_t account,
    const struct delivery *, ticket_t *);
/* The envelope is finished: the marker that made it exactly-once may go. */
void mailbox_delivery_done(struct mailboxes *, uint64_t account,
    const struct token *queue);
/* Links that died with an access process: watches and maildrops. */
void mailboxes_link_gone(struct mailboxes *, uint64_t link);
/* Messages and bytes of an account, from memory where possible. */
enum result mailboxes_usage(struct mailboxes *, uint64_t account,
    uint64_t *messages, uint64_t *bytes);
/* What is due now, folds above all; the keeper calls it every second. */
void mailboxes_maintain(struct mailboxes *);
/* A share of postrider check: see check_step in contract.def. */
enum result mailboxes_check(struct mailboxes *, uint64_t account, bool repair,
    struct text *report, uint32_t *found, uint32_t *repaired);

#endif

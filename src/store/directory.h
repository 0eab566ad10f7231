/*
 * directory.h - domains, accounts and aliases, for the rest of the store.
 *
 * Reads go through small caches to the engine; nothing is loaded whole, so
 * that millions of accounts cost what the few in use do. Changes are made
 * one at a time and are durable when they are answered. Any thread.
 */
#ifndef STORE_DIRECTORY_H
#define STORE_DIRECTORY_H

#include "store/store.h"

enum {
	ALIAS_DEPTH_MAX = 10,		/* aliases of aliases */
	ALIAS_NAMES_MAX = 1000,		/* names one address may stand for */
};

struct account {
	uint64_t id;
	uint32_t epoch;			/* raised with every new password */
	int64_t created;		/* seconds since 1970 UTC */
	struct span address;		/* as it was given */
	struct span credentials;	/* password.h */
	uint64_t max_messages;		/* it may send in a day; UINT64_MAX: */
	uint64_t max_recipients;	/* as the settings say */
};

struct directory *directory_new(struct store *);
void directory_free(struct directory **);
/* Forget what was looked up: settings have changed. */
void directory_forget(struct directory *);
/* Removals a crash has cut short, at start. 1, -1. */
int  directory_replay(struct directory *);

/* The account of a login name; without a domain, in the default one.
 * 1, 0 nobody, -1 the store failed. */
int  directory_login(struct directory *, struct span login, struct arena *,
    struct account *);
/* The compare form of a login name, with its domain; empty: it has none. */
struct span directory_login_key(struct directory *, struct span login,
    struct arena *);
int  directory_account(struct directory *, uint64_t id, struct arena *,
    struct account *);
/* Is the account among those behind the address? */
enum result directory_owns(struct directory *, uint64_t account,
    struct span address, struct arena *);
/* The accounts behind it, no matter where their mail goes. */
enum result directory_owners(struct directory *, struct span address,
    struct arena *, uint64_t **accounts, size_t *count);
/* Is the account one of the group's, or of a group's in it? */
bool directory_is_member(struct directory *, uint64_t account,
    struct span group);
/* The form of a group's address by which it is known; 0 no group, -1. */
int  directory_group_key(struct directory *, struct span address,
    struct arena *, struct span *key);
/* A shared account: nobody logs in to it. 1, 0, -1. */
int  directory_is_shared(struct directory *, const struct account *);
/* Whose masked address it is. 1, 0 it is none, -1. */
int  directory_mask_owner(struct directory *, struct span address,
    struct arena *, struct account *);
/* The lowest account above `after`: 1, 0 no more, -1. */
int  directory_next_account(struct directory *, uint64_t after,
    uint64_t *id);

enum result directory_domain_add(struct directory *, struct span domain);
enum result directory_domain_remove(struct directory *, struct span domain);
enum result directory_account_add(struct directory *, struct span address,
    struct span credentials, uint64_t *id);
/* The same for an account whose mailboxes others share. */
enum result directory_shared_add(struct directory *, struct span address,
    struct span credentials, uint64_t *id);
enum result directory_account_remove(struct directory *,
    struct span address);
enum result directory_account_password(struct directory *,
    struct span address, struct span credentials);
/* The same password in a record of today's form: nobody's session ends. Only
 * where the account is still of that epoch. */
enum result directory_account_renew(struct directory *,
    const struct account *, struct span credentials);
enum result directory_alias_add(struct directory *, struct span address,
    struct span targets, struct arena *, struct span *bad_target);
enum result directory_alias_remove(struct directory *, struct span address);
/*
 * What an address leads to: aliases, groups, forwarding, masks and the way
 * back of SRS followed. RESULT_OK: at least one account or address outside;
 * RESULT_NOT_FOUND our domain, nobody there; RESULT_NOT_LOCAL not our domain;
 * RESULT_INVALID no address; RESULT_DENIED a masked address that was killed
 * (5.1.6); RESULT_TEMPORARY.
 *
 * What goes outside goes with `new_sender` as its sender (RFC 5321 3.9: a
 * list's owner, or SRS so that SPF holds) and with a field "Delivered-To:
 * delivered_to" on top. A message that came with such a field already goes
 * round in circles: it fails, 5.4.6.
 */
struct expansion {
	uint64_t *accounts;		/* each once */
	size_t account_count;
	struct span *outside;		/* addresses, each once */
	size_t outside_count;
	struct span new_sender;		/* "" the null sender */
	struct span delivered_to;	/* "": nothing goes outside */
	bool is_list;			/* a group (RFC 3461 5.2.7.3) */
	bool restricted;		/* not everybody may write to it */
	bool is_mask;			/* call mask_used() when it got mail */
	struct span why;		/* RESULT_DENIED: "5.1.6 ..." */
};
enum result directory_expand(struct directory *, struct span address,
    struct span sender, struct arena *, struct expansion *);
/*
 * May they write to it, as far as groups have a say? account 0: a stranger.
 * RESULT_OK or RESULT_DENIED (5.7.2), else as directory_expand(); always
 * RESULT_OK when the expansion is not restricted.
 */
enum result directory_may_write(struct directory *, struct span address,
    struct span sender, uint64_t account, struct arena *);
#define DIRECTORY_NOT_FOR_SENDER					\
	"5.7.2 not everybody may write to this address"
/* Does a message with these Delivered-To fields, one a line, go in circles,
 * or has it been sent on too often? "5.4.6 ..." or NULL. */
const char *directory_loop(struct directory *, const struct expansion *,
    struct span delivered_to);

/* Where the account's mail goes, with a copy in its mailbox if `keep`;
 * targets "": nowhere else. */
enum result directory_forward(struct directory *, struct span address,
    struct span targets, bool keep, struct arena *, struct span *bad_target);
/* UINT64_MAX: as the settings say. */
enum result directory_limit(struct directory *, struct span address,
    uint64_t messages, uint64_t recipients);
/* Make a group (*made), or change it; members "": remove it. */
enum result directory_group_set(struct directory *, struct span address,
    struct span members, uint32_t who, struct arena *, bool *made,
    struct span *bad_target);
/* VRFY and EXPN: RESULT_OK one account, or RESULT_CONTINUE and the names it
 * stands for, one a line. account 0: a stranger asks. */
enum result directory_names(struct directory *, struct span address,
    uint64_t account, struct arena *, struct span *names);

/* directory_row records, at most `room` bytes, behind the name `after`. */
enum result directory_rows(struct directory *, uint32_t kind,
    struct span domain, struct span after, struct text *rows, size_t room,
    bool *more);
/* Dangling names, missing accounts: a share of `postrider check`. */
enum result directory_check(struct directory *, bool repair,
    struct text *report, uint32_t *found, uint32_t *repaired);

/* Where an account logged in from: up to DIRECTORY_KNOWN_MAX networks. */
enum { DIRECTORY_KNOWN_MAX = 16, NETWORK_MAX = 17 };
struct known {
	uint8_t network[NETWORK_MAX];	/* family and its leading bytes */
	int64_t seen;			/* seconds since 1970 UTC */
};
int  directory_known(struct directory *, uint64_t account,
    struct known out[DIRECTORY_KNOWN_MAX], size_t *count);
int  directory_know(struct directory *, uint64_t account,
    const struct known *, int64_t keep_seconds);

#endif

/*
 * directory_impl.h - keys and records of the directory, between its files.
 */
#ifndef STORE_DIRECTORY_IMPL_H
#define STORE_DIRECTORY_IMPL_H

#include <pthread.h>

#include "mail/address.h"
#include "store/cache.h"
#include "store/directory.h"

enum {
	DIRECTORY_RECORD = 2,		/* version of every record here */
	ADDRESS_LIMIT = 512,
	TARGETS_LIMIT = 65536,
	CREDENTIALS_LIMIT = 4096,
};

static const struct partition directory_partition = {
	PARTITION_DIRECTORY, 0
};

struct directory {
	struct store *store;
	struct cache *resolved;		/* directory_expand.c */
	struct cache *epochs;		/* account: its epoch */
	pthread_mutex_t change;		/* one change at a time */
};

/* An address taken apart: what its keys are made of. */
struct name {
	struct address address;
	struct span domain;
	struct span local;		/* folded; "": the catch-all */
	struct span text;		/* as given, canonical domain */
};

struct domain_record {
	int64_t created;
	uint64_t first_account;		/* postmaster's last resort; 0 none */
};

enum name_kind {
	NAME_ACCOUNT = 1, NAME_ALIAS = 2, NAME_GROUP = 3, NAME_MASK = 4
};
enum { NAME_FORWARD_KEEP = 1, NAME_SHARED = 2, NAME_MASK_ACTIVE = 1 };

struct name_record {
	enum name_kind kind;
	int64_t created;
	struct span text;		/* the address as it was given */
	uint64_t account;		/* of an account or a mask */
	struct span targets;		/* of an alias or a group, or where an
					   account's mail is sent on to: one
					   a line */
	uint32_t flags;			/* account, mask: NAME_*; group: who
					   may write (GROUP_*) */
};

/* 1; 0 not an address; -1 the arena is full. "@domain" too when `all`. */
int name_parse(struct span address, bool all, struct arena *, struct name *);

/* "local@domain" in the form that is compared; p NULL: the arena is full. */
struct span name_group_key(const struct name *, struct arena *);

void key_domain(struct text *, struct span domain);
void key_name(struct text *, struct span domain, struct span local);
void key_id(struct text *, enum directory_key, uint64_t id);
/* The end of a range that begins with `prefix`. */
void key_after(struct text *, struct span prefix);

void domain_encode(struct text *, const struct domain_record *);
void name_encode(struct text *, const struct name_record *);
void account_encode(struct text *, const struct account *);
int  name_decode(struct span, struct name_record *);	/* 1, 0 damaged */
int  account_decode(struct span, struct account *);	/* not its id */
int  domain_decode(struct span, struct domain_record *);

/* 1, 0 not there, -1 the store failed or the record is damaged. */
int read_domain(struct directory *, struct span domain, struct arena *,
    struct domain_record *);
int read_name(struct directory *, struct span domain, struct span local,
    struct arena *, struct name_record *);
/* The setting, else the first domain added; empty: there is none yet. */
struct span default_domain(struct directory *, struct arena *);

/*
 * How many places the targets lead to, as if they stood behind `pretend`
 * (NULL: nobody). The first that is nobody ends it, and is *bad_target.
 * RESULT_CONFLICT: the way came back to `pretend`.
 */
enum result expand_targets(struct directory *, const struct name *pretend,
    struct span targets, size_t *places, struct span *bad_target);

/* -- directory_change.c: for what else changes the directory ------------- */
/* A batch being built, and what its records are made of. */
struct directory_change {
	struct directory *directory;
	struct arena *arena;
	struct batch *batch;
	struct text key, record;
};
/* Takes the lock. */
void change_begin(struct directory_change *, struct directory *);
/* Commit when `result` is fine; release everything; the result of it all. */
enum result change_end(struct directory_change *, enum result);
void put_name(struct directory_change *, const struct name *,
    const struct name_record *);
void put_account(struct directory_change *, const struct account *);
/* An answer to a read, when the thing should be there. */
enum result wanted(int rc);
/* A name that may be made: parsed, in a domain of ours, not there yet. */
enum result free_name(struct directory_change *, struct span address, bool all,
    struct name *, struct domain_record *);
/* The account behind exactly this name. */
enum result named_account(struct directory_change *, struct span address,
    struct name *, struct account *);
/* The targets in their written form, one a line. */
enum result clean_targets(struct directory_change *, struct span targets,
    struct text *out, struct span *bad);

/*
 * The same, checked: each leads somewhere, and none back to `name`. *bad is
 * the one that does not.
 */
enum result checked_targets(struct directory_change *, const struct name *,
    struct span targets, struct text *out, struct span *bad);

/* -- mask.c -------------------------------------------------------------- */
/* The masks of an account that is going away: into the batch. 1, -1. */
int masks_drop(struct directory_change *, uint64_t account);

#endif

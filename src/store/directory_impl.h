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
	DIRECTORY_RECORD = 1,		/* version of every record here */
	ADDRESS_LIMIT = 512,
	TARGETS_LIMIT = 65536,
	CREDENTIALS_LIMIT = 4096,
};

static const struct partition directory_partition = {
	PARTITION_DIRECTORY, 0
};

struct directory {
	struct store *store;
	struct cache *resolved;		/* address: result and accounts */
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

enum name_kind { NAME_ACCOUNT = 1, NAME_ALIAS = 2 };

struct name_record {
	enum name_kind kind;
	int64_t created;
	struct span text;		/* the address as it was given */
	uint64_t account;		/* of an account */
	struct span targets;		/* of an alias: one a line */
};

/* 1; 0 not an address; -1 the arena is full. "@domain" too when `all`. */
int name_parse(struct span address, bool all, struct arena *, struct name *);

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
 * The accounts behind a name, as if `pretend` (NULL: none) stood at the end
 * of its alias. RESULT_CONFLICT: the expansion came back to `pretend`.
 */
enum result expand_targets(struct directory *, const struct name *pretend,
    struct span targets, struct arena *, size_t *accounts,
    struct span *bad_target);

#endif

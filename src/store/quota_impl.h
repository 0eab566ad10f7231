/*
 * quota_impl.h - what the files of the quota share.
 */
#ifndef STORE_QUOTA_IMPL_H
#define STORE_QUOTA_IMPL_H

#include <pthread.h>

#include "base/map.h"
#include "store/quota.h"
#include "store/shelf.h"

enum { QUOTA_WARNINGS_MAX = 10000 };

struct quota_warning {
	uint64_t account;
	unsigned percent;		/* that was passed */
	bool of_messages;
};

struct quotas {
	struct store *store;
	struct shelf *usages;		/* struct usage, by account */
	uint64_t generation;		/* of limits; atomic */
	pthread_mutex_t lock;		/* everything below */
	struct map *domains;		/* struct domain_usage, by name */
	size_t counted;			/* domains that are */
	struct map *missed;		/* accounts that changed, unread */
	struct quota_warning *warnings;
	size_t warning_count, warning_room;
};

/* An account. Its lock comes before that of struct quotas. */
struct usage {
	struct shelved shelved;
	struct quotas *owner;
	pthread_mutex_t lock;		/* everything below */
	bool loaded;
	unsigned loading;		/* threads that add up */
	struct map *mailboxes;		/* struct quota_sums, by id */
	struct quota_sums sum;
	char *domain;			/* "": not known */
	uint64_t generation;		/* of `limits`; 0: not asked yet */
	struct quota_limits limits;	/* in effect */
	unsigned told[2];		/* percent: of bytes, of messages */
};

struct domain_usage {
	bool counted;			/* `accounts` is kept */
	bool complete;
	struct map *accounts;		/* struct quota_sums, by id */
	struct quota_sums sum;
	uint64_t generation;
	struct quota_limits limits;	/* in effect */
};

/* ---- quota.c ------------------------------------------------------------ */

/* The account, read and held; usage_close() ends it. NULL: not now. */
struct usage *usage_open(struct store *, uint64_t account);
void usage_close(struct usage **);
/* A domain's sums; 1, -1. Counts it when need be. */
int domain_sums(struct quotas *, const char *domain, struct quota_sums *);

/* ---- quota_limit.c ------------------------------------------------------ */

/* As they are set; 1, 0 nothing is (all QUOTA_DEFAULT), -1. */
int  quota_read_account(struct store *, uint64_t account,
    struct quota_limits *);
int  quota_read_domain(struct store *, struct span domain,
    struct quota_limits *);
/* What that means. */
void quota_account_effect(const struct settings *, struct quota_limits *);
void quota_domain_effect(const struct settings *, struct quota_limits *);
/* The domain's in effect, from memory when it can be. 1, -1. */
int  quota_domain_limits(struct quotas *, const char *domain,
    struct quota_limits *);
/* For batches that remove an account or a domain. */
void quota_key_account(struct text *, uint64_t account);
void quota_key_domain(struct text *, struct span domain);

/* ---- quota_warn.c ------------------------------------------------------- */

/* The highest of the settings' percentages that is reached, or 0. */
unsigned quota_level(const struct settings *, uint64_t used, uint64_t max);
/* Under the usage's lock, after its sum has changed. */
void quota_notice(struct usage *);
/* What has been reached already is not news. */
void quota_notice_begin(struct usage *);

#endif

/*
 * test_store.h - a store in memory or on disk, for the tests of its parts.
 */
#ifndef STORE_TEST_STORE_H
#define STORE_TEST_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "store/directory.h"
#include "store/queue.h"
#include "store/verbs.h"

struct fixture {
	struct settings settings;
	struct engine *engine;
	struct store *store;
	struct arena *arena;
	char path[64];			/* of the engine on disk; "" memory */
	uint8_t key[32];
};

extern const struct caller from_mx, from_access, from_cli;

/* Settings that make hashes cheap. On disk when `disk`. */
void fixture_open(struct fixture *, bool disk);
/* The store ends and begins again on what is there. */
void fixture_reopen(struct fixture *);
void fixture_close(struct fixture *);	/* and remove what is on disk */

void add_domain(struct fixture *, const char *domain);
uint64_t add_account(struct fixture *, const char *address,
    const char *password);
/* The result; `targets` one a line. */
enum result add_alias(struct fixture *, const char *address,
    const char *targets);
/* A message from `sender` (mx) to addresses parted by blanks. */
enum result send_mail(struct fixture *, const char *sender,
    const char *recipients, const struct token *, const char *body);
/* How many messages are in the account's mailboxes. */
uint64_t messages_of(struct fixture *, uint64_t account);
/* The grant of an account, as the operator gets it. */
struct grant grant_of(struct fixture *, const char *address);

#endif

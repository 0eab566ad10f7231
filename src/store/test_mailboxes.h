/*
 * test_mailboxes.h - mailboxes over an engine, without the rest of the store:
 * a grant is the account's number, ids are counted. The engine can be told
 * to die at a commit; what was committed before is then all there is.
 */
#ifndef STORE_TEST_MAILBOXES_H
#define STORE_TEST_MAILBOXES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "store/mailboxes.h"
#include "store/verbs.h"

struct fixture {
	struct settings settings;
	struct engine *engine;
	struct store store;
	struct arena *arena;
	char path[64];			/* of the engine on disk; "" memory */
};

enum { ACCOUNT = 7 };

void fixture_open(struct fixture *, bool disk);
void fixture_close(struct fixture *);
/* The process ends and begins again on what is there. */
void fixture_restart(struct fixture *);
/* Commits fail after n more, until the next restart. -1: never. */
void fixture_die_after(struct fixture *, long n);
long fixture_commits(void);		/* so far, of every fixture */

/* Setup and teardown for cmocka. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

struct grant grant_for(uint64_t account);
extern const struct caller tester;

/* ---- verbs, shortened; replies live until test_reset() --------------- */

struct got {				/* what a reply told of a mailbox */
	enum result result;
	struct message_row *rows;
	size_t n;
	struct uids vanished;
	uint32_t uidvalidity, uidnext, recent_from, complete;
	uint64_t highestmodseq;
	struct span keywords;
};
void got_free(struct got *);

uint64_t mailbox_named(struct fixture *, const char *name);
enum result create(struct fixture *, const char *name, uint64_t *id);
enum result append(struct fixture *, uint64_t mailbox, const char *body,
    uint64_t flags, const char *keywords, const struct token *,
    uint32_t *uid);
struct got open_mailbox(struct fixture *, uint64_t mailbox, bool claim);
struct got changes(struct fixture *, uint64_t mailbox, uint64_t since);
struct got store_flags(struct fixture *, uint64_t mailbox, const char *uids,
    enum store_mode, uint64_t flags, const char *keywords,
    uint64_t unchanged_since, struct uids *modified);
struct got expunge(struct fixture *, uint64_t mailbox, const char *uids,
    bool only_deleted);
struct copied {
	enum result result;
	uint32_t uidvalidity;
	struct uids sources, targets;
};
struct copied copy(struct fixture *, uint64_t from, const char *uids,
    uint64_t to, bool move, const struct token *);
void copied_free(struct copied *);
enum result deliver(struct fixture *, uint64_t account,
    const struct token *queue, const char *body);
/* What an answer carries, in the arena; its file is closed. */
struct span blob_bytes(struct fixture *, struct blob *);
/* The body's bytes, or NULL: RESULT_NOT_FOUND. In the arena. */
const char *body_of(struct fixture *, uint64_t mailbox, uint32_t uid);

/* "1:3,7" to a set and back (in the arena). */
struct uids set_of(const char *);
const char *text_of(struct fixture *, const struct uids *);
void check_clean(struct fixture *);	/* mailboxes_check finds nothing */

#endif

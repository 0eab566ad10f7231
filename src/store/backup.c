/*
 * backup.c - a consistent copy made online, and the store checked online.
 *
 * A backup is a checkpoint of the engine below the data directory: made at
 * once, of hard links where the engine can, copied away by the command at its
 * leisure, then removed. What a command left behind goes when the store
 * starts.
 */
#include "base/clock.h"
#include "base/text.h"
#include "store/directory.h"
#include "store/queue.h"
#include "store/trace.h"
#include "store/keeper.h"
#include "store/verbs.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	REPORT_MAX = 1 << 20,
	CHECK_SHARE_MS = 1000,		/* how long one step takes, about */
};

/* -- backups --------------------------------------------------------------- */

/* A plain file name: no way out of the directory. */
static bool
name_ok(struct span name)
{
	if (name.n == 0 || name.p[0] == '.')
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!ascii_is_alnum(name.p[i]) && name.p[i] != '-' &&
		    name.p[i] != '_' && name.p[i] != '.')
			return false;
	return true;
}

static int
remove_one(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
remove_tree(const char *path)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0)
		return 1;
	return errno == ENOENT ? 0 : -1;
}

void
backup_clear(struct store *store)
{
	struct text path = TEXT_INIT(0);

	if (store->data == NULL)
		return;
	text_printf(&path, "%s/backup", store->data);
	text_char(&path, '\0');
	remove_tree(path.p);
	text_free(&path);
}

void
verb_backup_begin(void *arg, const struct caller *caller,
    struct arena *arena, const struct backup_begin_request *req,
    struct backup_begin_reply *reply)
{
	struct store *store = arg;
	struct text path = TEXT_INIT(0), why = TEXT_INIT(4096);

	(void)caller;
	if (store->data == NULL || !name_ok(req->name)) {
		reply->result = RESULT_INVALID;
		return;
	}
	text_printf(&path, "%s/backup", store->data);
	text_char(&path, '\0');
	if (mkdir(path.p, 0700) == -1 && errno != EEXIST)
		reply->result = RESULT_TEMPORARY;
	path.n--;
	text_printf(&path, "/%.*s", SPAN_ARG(req->name));
	text_char(&path, '\0');
	if (reply->result == RESULT_OK && access(path.p, F_OK) == 0)
		reply->result = RESULT_EXISTS;
	if (reply->result == RESULT_OK && engine_checkpoint(store->engine,
	    path.p, &why) != 1)
		reply->result = errno == ENOSPC ? RESULT_FULL
		    : RESULT_TEMPORARY;
	/* We stand in the folder `store` of the data directory. */
	reply->path = arena_printf(arena, "store/backup/%.*s",
	    SPAN_ARG(req->name));
	text_free(&path);
	text_free(&why);
}

void
verb_backup_end(void *arg, const struct caller *caller, struct arena *arena,
    const struct backup_end_request *req, struct backup_end_reply *reply)
{
	struct store *store = arg;
	struct text path = TEXT_INIT(0);
	int rc;

	(void)caller;
	(void)arena;
	serve_may_block();
	if (store->data == NULL || !name_ok(req->name)) {
		reply->result = RESULT_INVALID;
		return;
	}
	text_printf(&path, "%s/backup/%.*s", store->data,
	    SPAN_ARG(req->name));
	text_char(&path, '\0');
	rc = remove_tree(path.p);
	reply->result = rc == 1 ? RESULT_OK :
	    rc == 0 ? RESULT_NOT_FOUND : RESULT_TEMPORARY;
	text_free(&path);
}

/* -- check ----------------------------------------------------------------- */

/*
 * The steps: 0 verifies the files and the directory; n > 0 checks accounts
 * from n on; the last one checks the queue and sweeps up.
 */
struct check {
	struct store *store;
	bool repair;
	struct text report;
	uint32_t found, repaired;
};

static enum result
check_files(struct check *c)
{
	struct text why = TEXT_INIT(4096);
	int rc = engine_verify(c->store->engine, NULL, NULL, &why);

	if (rc != 1) {
		c->found++;
		text_printf(&c->report, "files: %.*s\n",
		    SPAN_ARG(text_span(&why)));
	}
	text_free(&why);
	return directory_check(c->store->directory, c->repair, &c->report,
	    &c->found, &c->repaired);
}

/* The next account at or above `from`, whether by its record or its mail. */
static int
next_account(struct store *store, uint64_t from, uint64_t *id)
{
	uint64_t named = UINT64_MAX, mail = UINT64_MAX;
	int a = directory_next_account(store->directory, from - 1, &named);
	int b = engine_next_partition(store->engine, PARTITION_ACCOUNT,
	    from - 1, &mail);

	if (a == -1 || b == -1)
		return -1;
	*id = MIN(named, mail);
	return a == 1 || b == 1;
}

static enum result
check_account(struct check *c, uint64_t id)
{
	struct arena *arena = arena_new(1 << 20);
	struct account account;
	enum result result = RESULT_OK;
	int rc = directory_account(c->store->directory, id, arena, &account);

	arena_free(&arena);
	if (rc == 1)
		return mailboxes_check(c->store->mailboxes, id, c->repair,
		    &c->report, &c->found, &c->repaired);
	if (rc == -1) {
		c->found++;
		text_printf(&c->report, "account %" PRIu64 ": its record "
		    "cannot be read\n", id);
		return RESULT_OK;
	}
	c->found++;
	text_printf(&c->report, "account %" PRIu64 ": mail of an account "
	    "that is not in the directory\n", id);
	if (c->repair) {
		result = mailboxes_remove_account(c->store->mailboxes, id);
		c->repaired += result == RESULT_OK;
	}
	return result;
}

static enum result
check_accounts(struct check *c, uint64_t from, uint64_t *next)
{
	monotime_t end = clock_after(CHECK_SHARE_MS);
	enum result result = RESULT_OK;
	int rc;

	*next = 0;
	while (result == RESULT_OK) {
		rc = next_account(c->store, from, &from);
		if (rc == -1)
			return RESULT_TEMPORARY;
		if (rc == 0)
			return RESULT_OK;
		result = check_account(c, from++);
		*next = from;
		if (!mono_before(clock_mono(), end) || text_full(&c->report))
			return result;
		*next = 0;
	}
	return result;
}

static enum result
check_queue(struct check *c)
{
	struct scan *scan = scan_open(c->store->engine, queue_partition,
	    SPAN("e"), SPAN("f"));
	struct arena *arena = arena_new(16 << 20);
	struct span key, value;
	int rc = scan == NULL ? -1 : 1;

	while (rc == 1 && (rc = scan_next(scan, &key, &value)) == 1) {
		struct envelope e;
		struct body_id body;
		uint64_t size;

		arena_reset(arena);
		if (envelope_decode(value, arena, &e) != 1) {
			c->found++;
			text_printf(&c->report, "queue: an envelope cannot "
			    "be read\n");
			continue;
		}
		memcpy(body.b, e.body.b, sizeof(body.b));
		if (engine_body_size(c->store->engine, body, &size) != 1) {
			char id[QUEUE_ID_CHARS + 1];

			queue_id_of(&e.token, id);
			c->found++;
			text_printf(&c->report, "queue: %s: its message is "
			    "missing\n", id);
		}
	}
	scan_close(&scan);
	arena_free(&arena);
	if (rc == 0 && c->repair)
		engine_collect(c->store->engine, true, KEEPER_ORPHAN_MS);
	return rc == 0 ? RESULT_OK : RESULT_TEMPORARY;
}

void
verb_check_step(void *arg, const struct caller *caller, struct arena *arena,
    const struct check_step_request *req, struct check_step_reply *reply)
{
	struct check c = { .store = arg, .repair = req->repair != 0,
	    .report = TEXT_INIT(REPORT_MAX) };

	(void)caller;
	reply->total = store_ids(c.store);
	if (req->from == 0) {
		reply->result = check_files(&c);
		reply->next = 1;
	} else {
		reply->result = check_accounts(&c, req->from, &reply->next);
		if (reply->result == RESULT_OK && reply->next == 0)
			reply->result = check_queue(&c);
	}
	reply->done = reply->next == 0 ? reply->total
	    : MIN(reply->next, reply->total);
	reply->found = c.found;
	reply->repaired = c.repaired;
	c.report.full = false;
	reply->report = BLOB_OF(arena_dup(arena, text_span(&c.report)));
	text_free(&c.report);
}

/*
 * test_mailboxes.c - see test_mailboxes.h.
 */
#include "store/test_mailboxes.h"
#include "store/engine_impl.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

const struct caller tester = { .role = ACCESS, .instance = 1, .link = 1 };

/* ---- what the rest of the store would do ----------------------------- */

static _Atomic uint64_t next_id = 100;

int
store_next_id(struct store *store, uint64_t *id)
{
	(void)store;
	*id = next_id++;
	return 1;
}

int
grant_check(struct store *store, const struct grant *grant,
    struct holder *holder)
{
	(void)store;
	*holder = (struct holder){ 0 };
	memcpy(&holder->account, grant->b, sizeof(holder->account));
	return holder->account != 0;
}

struct grant
grant_for(uint64_t account)
{
	struct grant grant = { { 0 } };

	memcpy(grant.b, &account, sizeof(account));
	return grant;
}

/* ---- an engine that dies --------------------------------------------- */

static struct engine_ops mortal;
static const struct engine_ops *immortal;
static _Atomic long commits, lives = -1;

static int
mortal_commit(struct engine *e, struct batch *b, ticket_t *ticket,
    uint64_t *version)
{
	if (lives == 0) {
		errno = EIO;
		return -1;
	}
	if (lives > 0)
		lives--;
	commits++;
	return immortal->commit(e, b, ticket, version);
}

static int
mortal_drop(struct engine *e, struct partition where, ticket_t *ticket)
{
	if (lives == 0) {
		errno = EIO;
		return -1;
	}
	return immortal->drop(e, where, ticket);
}

void
fixture_die_after(struct fixture *f, long n)
{
	(void)f;
	lives = n;
}

long
fixture_commits(void)
{
	return commits;
}

static struct engine *
open_on_disk(struct fixture *f)
{
	struct engine_options options = { .cache_size = 8 << 20,
	    .write_buffer = 4 << 20, .create = true };
	struct text why = TEXT_INIT(0);
	struct engine *engine;

	snprintf(f->path, sizeof(f->path), "/tmp/test_mailboxes.XXXXXX");
	assert_non_null(mkdtemp(f->path));
	engine = engine_rocksdb_open(f->path, &options, &why);
	assert_non_null(engine);
	text_free(&why);
	return engine;
}

static void
remove_from_disk(struct fixture *f)
{
	char command[96];

	if (f->path[0] == '\0')
		return;
	snprintf(command, sizeof(command), "rm -rf %s", f->path);
	assert_int_equal(system(command), 0);
}

void
fixture_open(struct fixture *f, bool disk)
{
	*f = (struct fixture){ 0 };
	settings_default(&f->settings);
	f->engine = disk ? open_on_disk(f) : engine_memory_open();
	immortal = f->engine->ops;
	mortal = *immortal;
	mortal.commit = mortal_commit;
	mortal.drop = mortal_drop;
	f->engine->ops = &mortal;
	f->arena = arena_new((size_t)1 << 30);
	f->store.engine = f->engine;
	f->store.settings = &f->settings;
	f->store.mailboxes = mailboxes_new(&f->store);
	assert_int_equal(mailboxes_make_defaults(f->store.mailboxes, ACCOUNT),
	    RESULT_OK);
}

void
fixture_restart(struct fixture *f)
{
	lives = -1;
	mailboxes_free(&f->store.mailboxes);
	f->store.mailboxes = mailboxes_new(&f->store);
}

void
fixture_close(struct fixture *f)
{
	lives = -1;
	mailboxes_free(&f->store.mailboxes);
	engine_close(&f->engine);
	arena_free(&f->arena);
	remove_from_disk(f);
}

int
fixture_setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	fixture_open(f, false);
	*state = f;
	return 0;
}

int
fixture_teardown(void **state)
{
	struct fixture *f = *state;

	fixture_close(f);
	free(f);
	return 0;
}

/* ---- sets ------------------------------------------------------------ */

struct uids
set_of(const char *text)
{
	struct uids u = { 0 };
	char *end;

	while (*text != '\0') {
		uint32_t first = (uint32_t)strtoul(text, &end, 10);
		uint32_t last = first;

		if (*end == ':')
			last = (uint32_t)strtoul(end + 1, &end, 10);
		uids_add(&u, first, last);
		text = *end == ',' ? end + 1 : end;
	}
	return u;
}

const char *
text_of(struct fixture *f, const struct uids *u)
{
	struct text t = TEXT_INIT(0);
	char *s;

	for (size_t i = 0; i < u->n; i++) {
		text_printf(&t, "%s%" PRIu32, i > 0 ? "," : "",
		    u->at[i].first);
		if (u->at[i].last != u->at[i].first)
			text_printf(&t, ":%" PRIu32, u->at[i].last);
	}
	s = arena_cstr(f->arena, text_span(&t));
	text_free(&t);
	return s;
}

static struct blob
blob_of_set(struct fixture *f, const char *text)
{
	struct uids u = set_of(text);
	struct span records;

	assert_int_equal(uids_write(&u, f->arena, &records), 1);
	uids_free(&u);
	return BLOB_OF(records);
}

/* ---- replies --------------------------------------------------------- */

void
got_free(struct got *got)
{
	free(got->rows);
	uids_free(&got->vanished);
	*got = (struct got){ 0 };
}

/* As the other side has them, whose the file is then. */
static void
take_file(struct blob *b)
{
	if (b->bytes.p != NULL || b->bytes.n == 0)
		return;
	b->map = mmap(NULL, b->bytes.n, PROT_READ, MAP_SHARED, b->fd, 0);
	assert_ptr_not_equal(b->map, MAP_FAILED);
	b->map_n = b->bytes.n;
	b->bytes.p = b->map;
	close(b->fd);
}

static void
got_rows(struct got *got, struct blob *rows)
{
	struct cursor c = { 0 };

	take_file(rows);
	c.rest = rows->bytes;
	got->rows = xcalloc(rows->bytes.n / 32 + 1, sizeof(*got->rows));
	while (message_row_get(&c, &got->rows[got->n]) == 1) {
		if (got->n > 0)
			assert_true(got->rows[got->n].uid >
			    got->rows[got->n - 1].uid);
		got->n++;
	}
	assert_false(c.bad);
	blob_release(rows);
}

#define GOT(reply) got_reply((reply)->result, (reply)->uidnext,		\
    (reply)->recent_from, (reply)->highestmodseq, (reply)->complete,	\
    (reply)->keywords, &(reply)->rows, (reply)->vanished.bytes)

static struct got
got_reply(enum result result, uint32_t uidnext, uint32_t recent,
    uint64_t modseq, uint32_t complete, struct span keywords,
    struct blob *rows, struct span vanished)
{
	struct got got = { .result = result, .uidnext = uidnext,
	    .recent_from = recent, .highestmodseq = modseq,
	    .complete = complete, .keywords = keywords };

	if (result != RESULT_OK)
		return got;
	got_rows(&got, rows);
	assert_int_equal(uids_read(&got.vanished, vanished), 1);
	return got;
}

/* ---- verbs ----------------------------------------------------------- */

uint64_t
mailbox_named(struct fixture *f, const char *name)
{
	struct mailbox_list_request req = { .grant = grant_for(ACCOUNT) };
	struct mailbox_list_reply reply = { 0 };
	struct mailbox_row row;
	struct cursor c;

	verb_mailbox_list(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	c.rest = reply.rows.bytes;
	c.bad = false;
	while (mailbox_row_get(&c, &row) == 1)
		if (span_is(row.name, name))
			return row.mailbox;
	return 0;
}

enum result
create(struct fixture *f, const char *name, uint64_t *id)
{
	struct mailbox_create_request req = { .grant = grant_for(ACCOUNT),
	    .token = token_new(), .name = span_str(name) };
	struct mailbox_create_reply reply = { 0 };

	verb_mailbox_create(&f->store, &tester, f->arena, &req, &reply);
	if (id != NULL)
		*id = reply.mailbox;
	return reply.result;
}

enum result
append(struct fixture *f, uint64_t mailbox, const char *body, uint64_t flags,
    const char *keywords, const struct token *token, uint32_t *uid)
{
	struct message_append_request req = { .grant = grant_for(ACCOUNT),
	    .token = token != NULL ? *token : token_new(),
	    .mailbox = mailbox, .flags = flags,
	    .keywords = span_str(keywords), .internal_date = INT64_MIN,
	    .body = BLOB_OF(span_str(body)), .summary = { .fd = -1 } };
	struct message_append_reply reply = { 0 };

	verb_message_append(&f->store, &tester, f->arena, &req, &reply);
	if (uid != NULL)
		*uid = reply.uid;
	return reply.result;
}

struct got
open_mailbox(struct fixture *f, uint64_t mailbox, bool claim)
{
	struct mailbox_open_request req = { .grant = grant_for(ACCOUNT),
	    .mailbox = mailbox, .claim_recent = claim };
	struct mailbox_open_reply reply = { 0 };
	struct got got;

	verb_mailbox_open(&f->store, &tester, f->arena, &req, &reply);
	got = got_reply(reply.result, reply.uidnext, reply.recent_from,
	    reply.highestmodseq, 1, reply.keywords, &reply.rows,
	    SPAN_EMPTY);
	got.uidvalidity = reply.uidvalidity;
	return got;
}

struct got
changes(struct fixture *f, uint64_t mailbox, uint64_t since)
{
	struct mailbox_changes_request req = { .grant = grant_for(ACCOUNT),
	    .mailbox = mailbox, .since = since };
	struct mailbox_changes_reply reply = { 0 };

	verb_mailbox_changes(&f->store, &tester, f->arena, &req, &reply);
	return GOT(&reply);
}

struct got
store_flags(struct fixture *f, uint64_t mailbox, const char *uids,
    enum store_mode mode, uint64_t flags, const char *keywords,
    uint64_t unchanged_since, struct uids *modified)
{
	struct message_store_request req = { .grant = grant_for(ACCOUNT),
	    .mailbox = mailbox, .uids = blob_of_set(f, uids), .mode = mode,
	    .flags = flags, .keywords = span_str(keywords),
	    .unchanged_since = unchanged_since };
	struct message_store_reply reply = { 0 };

	verb_message_store(&f->store, &tester, f->arena, &req, &reply);
	if (modified != NULL && reply.result == RESULT_OK)
		assert_int_equal(uids_read(modified,
		    reply.modified.bytes), 1);
	return GOT(&reply);
}

struct got
expunge(struct fixture *f, uint64_t mailbox, const char *uids,
    bool only_deleted)
{
	struct message_expunge_request req = { .grant = grant_for(ACCOUNT),
	    .mailbox = mailbox, .uids = blob_of_set(f, uids),
	    .only_deleted = only_deleted };
	struct message_expunge_reply reply = { 0 };

	verb_message_expunge(&f->store, &tester, f->arena, &req, &reply);
	return GOT(&reply);
}

struct copied
copy(struct fixture *f, uint64_t from, const char *uids, uint64_t to,
    bool move, const struct token *token)
{
	struct message_copy_request req = { .grant = grant_for(ACCOUNT),
	    .token = token != NULL ? *token : token_new(), .mailbox = from,
	    .uids = blob_of_set(f, uids), .target = to, .move = move };
	struct message_copy_reply reply = { 0 };
	struct copied copied = { 0 };

	verb_message_copy(&f->store, &tester, f->arena, &req, &reply);
	copied.result = reply.result;
	copied.uidvalidity = reply.target_uidvalidity;
	if (reply.result == RESULT_OK) {
		assert_int_equal(uids_read(&copied.sources,
		    reply.sources.bytes), 1);
		assert_int_equal(uids_read(&copied.targets,
		    reply.targets.bytes), 1);
	}
	return copied;
}

void
copied_free(struct copied *copied)
{
	uids_free(&copied->sources);
	uids_free(&copied->targets);
}

/* As the queue does: the body is there before, held by the envelope. */
enum result
deliver(struct fixture *f, uint64_t account, const struct token *queue,
    const char *body)
{
	struct delivery d = { .queue = *queue, .size = strlen(body),
	    .arrived = 1000000 };
	struct partition where = { PARTITION_QUEUE, 0 };
	struct batch *b = batch_new(where);
	enum result result;
	ticket_t ticket;
	int status;

	memcpy(d.body.b, queue->b, sizeof(d.body.b));
	batch_body(b, d.body, span_str(body), SPAN_EMPTY, SPAN_EMPTY);
	batch_link(b, d.body, SPAN("queue"));
	status = engine_commit(f->engine, b, NULL);
	batch_free(&b);
	if (status != 1)
		return RESULT_TEMPORARY;
	result = mailbox_deliver(f->store.mailboxes, account, &d, &ticket);
	if (result == RESULT_OK && engine_sync(f->engine, ticket) != 1)
		return RESULT_TEMPORARY;
	return result;
}

struct span
blob_bytes(struct fixture *f, struct blob *b)
{
	char *p = arena_alloc(f->arena, b->bytes.n + 1);

	if (b->fd < 0)
		return b->bytes;
	assert_non_null(p);
	assert_int_equal(pread(b->fd, p, b->bytes.n, 0), b->bytes.n);
	assert_int_equal(close(b->fd), 0);
	b->fd = -1;
	return span_of(p, b->bytes.n);
}

const char *
body_of(struct fixture *f, uint64_t mailbox, uint32_t uid)
{
	struct message_body_request req = { .grant = grant_for(ACCOUNT),
	    .mailbox = mailbox, .uid = uid, .count = UINT64_MAX };
	struct message_body_reply reply = { .data = { .fd = -1 } };

	verb_message_body(&f->store, &tester, f->arena, &req, &reply);
	if (reply.result == RESULT_NOT_FOUND)
		return NULL;
	assert_int_equal(reply.result, RESULT_OK);
	assert_int_equal(reply.size, reply.data.bytes.n);
	assert_int_equal(reply.data.fd, -1);
	return arena_cstr(f->arena, reply.data.bytes);
}

void
check_clean(struct fixture *f)
{
	struct text report = TEXT_INIT(0);
	uint32_t found = 0, repaired = 0;

	assert_int_equal(mailboxes_check(f->store.mailboxes, ACCOUNT, false,
	    &report, &found, &repaired), RESULT_OK);
	text_char(&report, '\0');
	if (found != 0)
		print_error("%s", report.p);
	assert_int_equal(found, 0);
	text_free(&report);
}

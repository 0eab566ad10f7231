/*
 * test_admin.c - the operator's verbs: a backup that can be opened, a check
 * that finds what was damaged, numbers; and a disk that is full for a while.
 */
#include "test_store.h"
#include "base/clock.h"
#include "ipc/wire.h"

#include <stdio.h>
#include <unistd.h>

static struct token
token_of(unsigned n)
{
	struct token token;

	memset(&token, 0, sizeof(token));
	memcpy(token.b, &n, sizeof(n));
	return token;
}

/* -- backups ------------------------------------------------------------- */

static enum result
backup(struct fixture *f, const char *name)
{
	struct backup_begin_request req = { .name = span_str(name) };
	struct backup_begin_reply reply = { 0 };

	verb_backup_begin(f->store, &from_cli, f->arena, &req, &reply);
	return reply.result;
}

static enum result
backup_over(struct fixture *f, const char *name)
{
	struct backup_end_request req = { .name = span_str(name) };
	struct backup_end_reply reply = { 0 };

	verb_backup_end(f->store, &from_cli, f->arena, &req, &reply);
	return reply.result;
}

/* The copy is of that moment, whatever came after. */
static void
check_copy(struct fixture *f, const char *path, const char *there,
    const char *not_there)
{
	struct engine_options options = { .cache_size = 1 << 20,
	    .write_buffer = 1 << 20 };
	struct text why = TEXT_INIT(0);
	struct engine *engine = engine_rocksdb_open(path, &options, &why);
	struct store *store;
	uint64_t *accounts;
	size_t count;

	assert_non_null(engine);
	store = store_open(engine, &f->settings, f->key, NULL, &why);
	assert_non_null(store);
	assert_int_equal(directory_resolve(store->directory,
	    span_str(there), f->arena, &accounts, &count), RESULT_OK);
	assert_int_equal(directory_resolve(store->directory,
	    span_str(not_there), f->arena, &accounts, &count),
	    RESULT_NOT_FOUND);
	store_free(&store);
	engine_close(&engine);
	text_free(&why);
}

static void
test_backup(void **state)
{
	struct fixture f;
	char path[128];

	(void)state;
	fixture_open(&f, true);
	add_domain(&f, "example.test");
	add_account(&f, "ann@example.test", "secret");
	assert_int_equal(backup(&f, "../out"), RESULT_INVALID);
	assert_int_equal(backup(&f, ".."), RESULT_INVALID);
	assert_int_equal(backup(&f, ""), RESULT_INVALID);
	assert_int_equal(backup(&f, "one"), RESULT_OK);
	assert_int_equal(backup(&f, "one"), RESULT_EXISTS);
	add_account(&f, "bob@example.test", "secret");
	snprintf(path, sizeof(path), "%s/backup/one", f.path);
	check_copy(&f, path, "ann@example.test", "bob@example.test");
	assert_int_equal(backup_over(&f, "one"), RESULT_OK);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(backup_over(&f, "one"), RESULT_NOT_FOUND);
	/* What a command left behind is gone after a restart. */
	assert_int_equal(backup(&f, "two"), RESULT_OK);
	fixture_reopen(&f);
	assert_int_equal(backup(&f, "two"), RESULT_OK);
	fixture_close(&f);
}

/* -- check ---------------------------------------------------------------- */

static uint32_t
check(struct fixture *f, bool repair, uint32_t *repaired)
{
	struct check_step_request req = { .repair = repair };
	uint32_t found = 0;

	*repaired = 0;
	do {
		struct check_step_reply reply = { 0 };

		verb_check_step(f->store, &from_cli, f->arena, &req, &reply);
		assert_int_equal(reply.result, RESULT_OK);
		assert_true(reply.done <= reply.total);
		assert_true(reply.next == 0 || reply.next > req.from);
		found += reply.found;
		*repaired += reply.repaired;
		req.from = reply.next;
	} while (req.from != 0);
	return found;
}

/* A record of an account is lost: its name dangles, its mail is nobody's. */
static void
lose_account(struct fixture *f, uint64_t account)
{
	struct batch *batch = batch_new((struct partition){
	    PARTITION_DIRECTORY, 0 });
	char key[9] = { DIRECTORY_ACCOUNT };

	for (int i = 0; i < 8; i++)
		key[8 - i] = (char)(uint8_t)(account >> (8 * i));
	batch_delete(batch, span_of(key, sizeof(key)));
	assert_int_equal(engine_commit(f->engine, batch, NULL), 1);
	batch_free(&batch);
	directory_forget(f->store->directory);
}

static void
test_check(void **state)
{
	struct fixture f;
	uint64_t ann;
	uint32_t repaired;

	(void)state;
	fixture_open(&f, true);
	add_domain(&f, "example.test");
	ann = add_account(&f, "ann@example.test", "secret");
	add_account(&f, "bob@example.test", "secret");
	assert_int_equal(check(&f, false, &repaired), 0);
	lose_account(&f, ann);
	assert_int_equal(check(&f, false, &repaired), 2);
	assert_int_equal(repaired, 0);
	assert_int_equal(check(&f, true, &repaired), 2);
	assert_int_equal(repaired, 2);
	assert_int_equal(check(&f, false, &repaired), 0);
	add_account(&f, "ann@example.test", "secret");
	fixture_close(&f);
}

/* -- a removal that was cut short ----------------------------------------- */

static void
test_removal_is_finished(void **state)
{
	struct fixture f;
	uint64_t ann, id;
	struct batch *batch;
	char key[9] = { DIRECTORY_REMOVED };
	uint32_t repaired;

	(void)state;
	fixture_open(&f, true);
	add_domain(&f, "example.test");
	ann = add_account(&f, "ann@example.test", "secret");
	lose_account(&f, ann);
	batch = batch_new((struct partition){ PARTITION_DIRECTORY, 0 });
	for (int i = 0; i < 8; i++)
		key[8 - i] = (char)(uint8_t)(ann >> (8 * i));
	batch_put(batch, span_of(key, sizeof(key)), SPAN("x"));
	batch_delete(batch, SPAN("nexample.test\0ann"));
	assert_int_equal(engine_commit(f.engine, batch, NULL), 1);
	batch_free(&batch);
	fixture_reopen(&f);
	assert_int_equal(engine_next_partition(f.engine, PARTITION_ACCOUNT,
	    0, &id), 0);
	assert_int_equal(check(&f, false, &repaired), 0);
	fixture_close(&f);
}

/* -- numbers --------------------------------------------------------------- */

static bool
status_says(struct fixture *f, const char *line)
{
	struct store_status_request req = { 0 };
	struct store_status_reply reply = { 0 };

	verb_store_status(f->store, &from_cli, f->arena, &req, &reply);
	return span_find(reply.metrics.bytes, span_str(line), 0) != SIZE_MAX;
}

static void
test_status(void **state)
{
	struct fixture f;
	struct token token = token_of(1);

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "example.test");
	add_account(&f, "ann@example.test", "secret");
	assert_int_equal(send_mail(&f, "", "ann@example.test", &token,
	    "Subject: x\r\n\r\n"), RESULT_OK);
	queue_settle(f.store->queue);
	assert_true(status_says(&f, "\npostrider_queue_accepted_total 1\n"));
	assert_true(status_says(&f, "\npostrider_queue_delivered_total 1\n"));
	assert_true(status_says(&f, "# TYPE postrider_logins_total counter"));
	fixture_close(&f);
}

/* -- a disk that is full for a while --------------------------------------- */

static bool disk_full;

static int
full_here(const char *where)
{
	return __atomic_load_n(&disk_full, __ATOMIC_SEQ_CST) &&
	    strcmp(where, "commit.write") == 0 ? ENOSPC : 0;
}

static void
open_with_fault(struct fixture *f)
{
	struct engine_options options = { .cache_size = 1 << 20,
	    .write_buffer = 4 << 20, .create = true, .fault = full_here };
	struct text why = TEXT_INIT(0);
	char path[80];

	store_free(&f->store);
	engine_close(&f->engine);
	snprintf(path, sizeof(path), "%s/engine", f->path);
	f->engine = engine_rocksdb_open(path, &options, &why);
	assert_non_null(f->engine);
	f->store = store_open(f->engine, &f->settings, f->key, f->path, &why);
	assert_non_null(f->store);
	text_free(&why);
}

static void
test_full_disk(void **state)
{
	struct fixture f;
	uint64_t ann;
	struct token one = token_of(1), two = token_of(2);
	size_t active, waiting;

	(void)state;
	fixture_open(&f, true);
	add_domain(&f, "example.test");
	ann = add_account(&f, "ann@example.test", "secret");
	open_with_fault(&f);
	/* Delivery stops before acceptance does: one waits in the queue. */
	queue_stop(f.store->queue);
	assert_int_equal(send_mail(&f, "", "ann@example.test", &one,
	    "Subject: x\r\n\r\n"), RESULT_OK);
	__atomic_store_n(&disk_full, true, __ATOMIC_SEQ_CST);
	assert_int_equal(send_mail(&f, "", "ann@example.test", &two,
	    "Subject: x\r\n\r\n"), RESULT_FULL);
	assert_int_equal(directory_domain_add(f.store->directory,
	    SPAN("other.test")), RESULT_FULL);
	f.store->queue->stopping = false;
	queue_start(f.store->queue);
	queue_settle(f.store->queue);
	queue_counts(f.store->queue, &active, &waiting);
	assert_int_equal(waiting, 1);
	__atomic_store_n(&disk_full, false, __ATOMIC_SEQ_CST);
	queue_flush(f.store->queue);
	queue_counts(f.store->queue, &active, &waiting);
	assert_int_equal(waiting, 0);
	assert_int_equal(messages_of(&f, ann), 1);
	assert_int_equal(send_mail(&f, "", "ann@example.test", &two,
	    "Subject: x\r\n\r\n"), RESULT_OK);
	queue_settle(f.store->queue);
	assert_int_equal(messages_of(&f, ann), 2);
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backup),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_removal_is_finished),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

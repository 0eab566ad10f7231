/*
 * test_queue.c - accepted once, delivered once: with two engines, with every
 * step killed, and what the sender and the operator are told.
 */
#include "test_store.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "ipc/wire.h"
#include "store/keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define BODY "Return-Path: <carl@example.org>\r\nSubject: hi\r\n\r\nhello\r\n"

static struct token
token_of(unsigned n)
{
	struct token token;

	memset(&token, 0, sizeof(token));
	memcpy(token.b, &n, sizeof(n));
	token.b[15] = 1;
	return token;
}

static enum result
send_numbered(struct fixture *f, unsigned n, const char *recipients)
{
	struct token token = token_of(n);

	return send_mail(f, "carl@example.org", recipients, &token, BODY);
}

/* ann, bob and both@. */
static void
people(struct fixture *f, uint64_t *ann, uint64_t *bob)
{
	add_domain(f, "example.test");
	*ann = add_account(f, "ann@example.test", "secret");
	*bob = add_account(f, "bob@example.test", "secret");
	assert_int_equal(add_alias(f, "both@example.test",
	    "ann@example.test\nbob@example.test"), RESULT_OK);
}

static void
delivers(bool disk)
{
	struct fixture f;
	uint64_t ann, bob;

	fixture_open(&f, disk);
	people(&f, &ann, &bob);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(send_numbered(&f, i, "ann@example.test "
		    "both@example.test ann+x@example.test"), RESULT_OK);
	queue_settle(f.store->queue);
	assert_int_equal(messages_of(&f, ann), 100);
	assert_int_equal(messages_of(&f, bob), 100);
	/* The edge asks again: the answer is the same, the mail is not. */
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(send_numbered(&f, i, "ann@example.test"),
		    RESULT_OK);
	fixture_reopen(&f);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(send_numbered(&f, i, "ann@example.test"),
		    RESULT_OK);
	queue_settle(f.store->queue);
	assert_int_equal(messages_of(&f, ann), 100);
	assert_int_equal(messages_of(&f, bob), 100);
	keeper_do_all(f.store);
	assert_int_equal(messages_of(&f, bob), 100);
	fixture_close(&f);
}

static void
test_memory(void **state)
{
	(void)state;
	delivers(false);
}

static void
test_disk(void **state)
{
	(void)state;
	delivers(true);
}

static void
test_refused(void **state)
{
	struct fixture f;
	uint64_t ann, bob;
	struct token token = token_of(1);

	(void)state;
	fixture_open(&f, false);
	people(&f, &ann, &bob);
	assert_int_equal(send_numbered(&f, 1, "nobody@example.test"),
	    RESULT_NOT_FOUND);
	assert_int_equal(send_numbered(&f, 1, "ann@example.org"),
	    RESULT_NOT_LOCAL);
	assert_int_equal(send_numbered(&f, 1,
	    "ann@example.test x@example.org"), RESULT_NOT_LOCAL);
	assert_int_equal(send_numbered(&f, 1, "garbage"), RESULT_INVALID);
	assert_int_equal(send_numbered(&f, 1, ""), RESULT_INVALID);
	assert_int_equal(send_mail(&f, "no address", "ann@example.test",
	    &token, BODY), RESULT_INVALID);
	assert_int_equal(send_mail(&f, "a@b.test>\r\nDATA",
	    "ann@example.test", &token, BODY), RESULT_INVALID);
	queue_set_disk_full(f.store->queue, true);
	assert_int_equal(send_numbered(&f, 1, "ann@example.test"),
	    RESULT_FULL);
	queue_set_disk_full(f.store->queue, false);
	queue_settle(f.store->queue);
	assert_int_equal(messages_of(&f, ann), 0);
	/* Refused is not accepted: the same token may come again. */
	assert_int_equal(send_mail(&f, "", "ann@example.test", &token, BODY),
	    RESULT_OK);
	queue_settle(f.store->queue);
	assert_int_equal(messages_of(&f, ann), 1);
	fixture_close(&f);
}

/* Submission: with a grant, and only with one's own addresses. */
static void
test_submission(void **state)
{
	struct fixture f;
	uint64_t ann, bob;
	struct text to = TEXT_INIT(0);
	struct queue_commit_request req = { .sender =
	    SPAN("ann@example.test"), .body = BLOB_OF(SPAN(BODY)),
	    .summary = BLOB_OF(SPAN_EMPTY) };
	struct queue_commit_reply reply = { 0 };

	(void)state;
	fixture_open(&f, false);
	people(&f, &ann, &bob);
	recipient_put(&to, &(struct recipient){
	    .address = SPAN("bob@example.test") });
	req.recipients = BLOB_OF(text_span(&to));
	verb_queue_commit(f.store, &from_access, f.arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_DENIED);
	req.grant = grant_of(&f, "bob@example.test");
	verb_queue_commit(f.store, &from_access, f.arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_DENIED);
	req.grant = grant_of(&f, "ann@example.test");
	verb_queue_commit(f.store, &from_access, f.arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	assert_int_equal(reply.queue_id.n, QUEUE_ID_CHARS);
	req.token = token_of(2);
	req.sender = SPAN("both+tag@example.test");
	verb_queue_commit(f.store, &from_access, f.arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	queue_settle(f.store->queue);
	assert_int_equal(messages_of(&f, bob), 2);
	text_free(&to);
	fixture_close(&f);
}

/* -- what cannot be delivered -------------------------------------------- */

/* An envelope on disk, to be found at the next start. */
static void
plant_envelope(struct fixture *f, struct envelope *e)
{
	struct submission s = { .envelopes = &e, .count = 1,
	    .rest = SPAN(BODY) };
	struct batch *batch = batch_new(queue_partition);

	e->size = strlen(BODY);
	e->state = ENVELOPE_DEFERRED;
	e->next_attempt = clock_wall_seconds() + 3600;
	e->message_id = SPAN("<p@test>");
	random_bytes(e->body.b, sizeof(e->body.b));
	assert_int_equal(queue_put(f->store, batch, &s), 1);
	assert_int_equal(engine_commit(f->engine, batch, NULL), 1);
	batch_free(&batch);
}

static void
plant_for(struct fixture *f, unsigned n, const char *sender, const char *to,
    walltime_t arrived)
{
	struct envelope_recipient one = { .address = span_str(to) };
	struct envelope e = { .token = token_of(n), .arrived = arrived,
	    .sender = span_str(sender), .recipients = &one, .count = 1 };

	plant_envelope(f, &e);
}

/* For bob, and for somebody who is gone. */
static void
plant(struct fixture *f, unsigned n, const char *sender, walltime_t arrived)
{
	struct envelope_recipient to[] = {
		{ .address = SPAN("gone@example.test") },
		{ .address = SPAN("bob@example.test") },
	};
	struct envelope e = { .token = token_of(n), .arrived = arrived,
	    .sender = span_str(sender), .recipients = to, .count = 2 };

	plant_envelope(f, &e);
}

static size_t
trace_rows(struct fixture *f, const char *id, struct trace_row rows[8])
{
	struct trace_find_request req = { .id = span_str(id) };
	struct trace_find_reply reply = { 0 };
	struct cursor c;
	size_t n = 0;

	verb_trace_find(f->store, &from_cli, f->arena, &req, &reply);
	if (reply.result != RESULT_OK)
		return 0;
	c = (struct cursor){ reply.rows.bytes, false };
	while (n < 8 && trace_row_get(&c, &rows[n]) == 1)
		n++;
	assert_false(c.bad);
	return n;
}

static size_t
queue_rows(struct fixture *f, struct queue_row *last)
{
	struct queue_list_request req = { .count = 1 };
	struct queue_list_reply reply;
	size_t n = 0;

	do {
		struct cursor c;

		memset(&reply, 0, sizeof(reply));
		verb_queue_list(f->store, &from_cli, f->arena, &req, &reply);
		assert_int_equal(reply.result, RESULT_OK);
		c = (struct cursor){ reply.rows.bytes, false };
		while (queue_row_get(&c, last) == 1) {
			n++;
		}
		assert_false(c.bad);
		req.after = reply.next;
	} while (reply.next.n > 0);
	return n;
}

static void
test_returned(void **state)
{
	struct fixture f;
	uint64_t ann, bob;
	struct queue_row row;
	struct trace_find_request find = { .id = SPAN("p@test") };
	struct trace_find_reply found = { 0 };

	(void)state;
	fixture_open(&f, false);
	people(&f, &ann, &bob);
	plant(&f, 1, "ann@example.test", clock_wall());
	fixture_reopen(&f);
	assert_int_equal(queue_rows(&f, &row), 1);
	queue_flush(f.store->queue);
	/* bob has it, ann has the notification, the queue is empty. */
	assert_int_equal(messages_of(&f, bob), 1);
	assert_int_equal(messages_of(&f, ann), 1);
	assert_int_equal(queue_rows(&f, &row), 0);
	verb_trace_find(f.store, &from_cli, f.arena, &find, &found);
	assert_int_equal(found.result, RESULT_OK);
	assert_true(span_find(found.rows.bytes, SPAN("returned"), 0) !=
	    SIZE_MAX);
	fixture_close(&f);
}

/* A sender elsewhere is told there; the null sender never. */
static void
test_not_here(void **state)
{
	struct fixture f;
	uint64_t ann, bob;
	struct queue_row row;
	struct trace_row rows[8];

	(void)state;
	fixture_open(&f, false);
	people(&f, &ann, &bob);
	plant(&f, 1, "carl@example.org", clock_wall());
	fixture_reopen(&f);
	queue_flush(f.store->queue);
	assert_int_equal(messages_of(&f, bob), 1);
	assert_int_equal(queue_rows(&f, &row), 1);
	assert_int_equal(row.sender.n, 0);
	assert_true(span_starts(row.recipients, SPAN("<carl@example.org>")));
	assert_true(span_is(row.destination, "example.org"));
	assert_int_equal(dispatch_waiting(f.store->queue->dispatch), 1);

	plant(&f, 2, "", clock_wall());
	fixture_reopen(&f);
	queue_flush(f.store->queue);
	assert_int_equal(messages_of(&f, bob), 2);
	assert_int_equal(queue_rows(&f, &row), 1);
	assert_int_equal(trace_rows(&f, "p@test", rows), 8);
	assert_true(span_is(rows[7].event, "dropped"));
	fixture_close(&f);
}

/* c0 leads to bob, c1 to c0, ... */
static void
chain(struct fixture *f, char c, int length)
{
	char name[40], target[40] = "bob@example.test";

	for (int i = 0; i < length; i++) {
		snprintf(name, sizeof(name), "%c%d@example.test", c, i);
		assert_int_equal(add_alias(f, name, target), RESULT_OK);
		strcpy(target, name);
	}
}

static void
test_late(void **state)
{
	struct fixture f;
	uint64_t ann, bob;
	struct queue_row row;
	struct token token = token_of(1);
	walltime_t now = clock_wall();

	(void)state;
	fixture_open(&f, false);
	clock_test_set((monotime_t){ 1 }, now);
	people(&f, &ann, &bob);
	/* Two chains, each short enough, that became one which is not. */
	chain(&f, 'x', 9);
	chain(&f, 'y', 6);
	assert_int_equal(directory_alias_remove(f.store->directory,
	    SPAN("y0@example.test")), RESULT_OK);
	assert_int_equal(send_mail(&f, "ann@example.test",
	    "bob@example.test", &token, BODY), RESULT_OK);
	queue_settle(f.store->queue);
	plant_for(&f, 2, "ann@example.test", "y5@example.test", now);
	assert_int_equal(add_alias(&f, "y0@example.test", "x8@example.test"),
	    RESULT_OK);
	fixture_reopen(&f);
	queue_flush(f.store->queue);
	assert_int_equal(queue_rows(&f, &row), 1);
	assert_true(span_is(row.state, "deferred"));
	assert_true(row.next_attempt > now / 1000000);
	assert_true(row.next_attempt <= now / 1000000 + 60);
	assert_int_equal(messages_of(&f, ann), 0);

	/* The sender hears of the delay, once. */
	now += f.settings.queue_delay_warning * 1000;
	clock_test_set((monotime_t){ 1 }, now);
	queue_flush(f.store->queue);
	queue_flush(f.store->queue);
	assert_int_equal(messages_of(&f, ann), 1);
	assert_int_equal(queue_rows(&f, &row), 1);

	/* And of the end. */
	now += f.settings.queue_lifetime * 1000;
	clock_test_set((monotime_t){ 1 }, now);
	queue_flush(f.store->queue);
	assert_int_equal(messages_of(&f, ann), 2);
	assert_int_equal(messages_of(&f, bob), 1);
	assert_int_equal(queue_rows(&f, &row), 0);
	clock_test_clear();
	fixture_close(&f);
}

static void
test_delete(void **state)
{
	struct fixture f;
	uint64_t ann, bob;
	struct queue_row row;
	struct trace_row rows[8];
	struct token token = token_of(1);

	(void)state;
	fixture_open(&f, false);
	people(&f, &ann, &bob);
	plant(&f, 1, "carl@example.org", clock_wall());
	fixture_reopen(&f);
	assert_int_equal(queue_rows(&f, &row), 1);
	assert_int_equal(queue_act(f.store->queue, &token, QUEUE_DELETE),
	    RESULT_OK);
	assert_int_equal(queue_act(f.store->queue, &token, QUEUE_DELETE),
	    RESULT_NOT_FOUND);
	assert_int_equal(queue_rows(&f, &row), 0);
	assert_int_equal(trace_rows(&f, "p@test", rows), 2);
	assert_true(span_is(rows[1].event, "deleted"));
	fixture_reopen(&f);
	queue_flush(f.store->queue);
	assert_int_equal(messages_of(&f, bob), 0);
	fixture_close(&f);
}

/* -- the trace ----------------------------------------------------------- */

static void
test_trace(void **state)
{
	struct fixture f;
	uint64_t ann, bob;
	char id[QUEUE_ID_CHARS + 1];
	struct token token = token_of(7);
	struct trace_row rows[8];

	(void)state;
	fixture_open(&f, true);
	people(&f, &ann, &bob);
	assert_int_equal(send_numbered(&f, 7,
	    "ann@example.test bob@example.test"), RESULT_OK);
	queue_settle(f.store->queue);
	queue_id_of(&token, id);
	fixture_reopen(&f);
	assert_int_equal(trace_rows(&f, id, rows), 3);
	assert_true(span_is(rows[0].event, "accepted"));
	assert_true(span_is(rows[0].queue_id, id));
	assert_true(span_find(rows[0].text, SPAN("client=192.0.2.1"), 0) !=
	    SIZE_MAX);
	assert_true(span_is(rows[2].event, "delivered"));
	assert_true(span_is(rows[2].text, "to=<bob@example.test>"));
	assert_int_equal(trace_rows(&f, "<1@test>", rows), 3);
	assert_int_equal(trace_rows(&f, "1@test", rows), 3);
	assert_int_equal(trace_rows(&f, "2@test", rows), 0);

	clock_test_set((monotime_t){ 1 },
	    clock_wall() + INT64_C(32) * 86400 * 1000000);
	keeper_do_all(f.store);
	assert_int_equal(trace_rows(&f, "1@test", rows), 0);
	clock_test_clear();
	fixture_close(&f);
}

/* -- killed at every step ------------------------------------------------ */

enum { CRASH_MESSAGES = 3 };
#define CRASH_TO "both@example.test away@example.test"

static int crash_countdown;

static int
crash_here(const char *where)
{
	(void)where;
	if (__atomic_sub_fetch(&crash_countdown, 1, __ATOMIC_SEQ_CST) == 0)
		_exit(9);
	return 0;
}

/*
 * A process of its own (test_queue crash PATH STEP): sends and delivers, and
 * dies at that step. Says on standard output what was accepted.
 */
static int
crash_child(const char *path, const char *step)
{
	struct engine_options options = { .cache_size = 1 << 20,
	    .write_buffer = 4 << 20, .fault = crash_here };
	struct text why = TEXT_INIT(0);
	struct fixture f = { .arena = arena_new(64 << 20) };
	char engine[80];

	settings_default(&f.settings);
	f.settings.queue_min_free_space = 0;
	log_set_level(LOG_LEVEL_ERROR);
	snprintf(engine, sizeof(engine), "%s/engine", path);
	crash_countdown = atoi(step);
	f.engine = engine_rocksdb_open(engine, &options, &why);
	if (f.engine != NULL)
		f.store = store_open(f.engine, &f.settings, f.key, path,
		    &why);
	if (f.store == NULL)
		_exit(2);
	for (unsigned i = 0; i < CRASH_MESSAGES; i++)
		if (send_numbered(&f, i, CRASH_TO) == RESULT_OK)
			(void)!write(STDOUT_FILENO, "+", 1);
	queue_settle(f.store->queue);
	_exit(0);
}

/* 1 it was killed, 0 it came to its end. */
static int
crash_once(struct fixture *f, int step, size_t *accepted)
{
	char number[16], said[CRASH_MESSAGES];
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	store_free(&f->store);
	engine_close(&f->engine);
	snprintf(number, sizeof(number), "%d", step);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execl("/proc/self/exe", "test_queue", "crash", f->path,
		    number, (char *)NULL);
		_exit(3);
	}
	close(ends[1]);
	*accepted = 0;
	while ((n = read(ends[0], said, sizeof(said))) > 0)
		*accepted += (size_t)n;
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0);
	return WEXITSTATUS(status) == 9;
}

static void
test_crash(void **state)
{
	int step = 1, killed = 1;

	(void)state;
	for (; killed; step += step < 20 ? 1 : 3) {
		struct fixture f;
		uint64_t ann, bob;
		size_t accepted;

		fixture_open(&f, true);
		people(&f, &ann, &bob);
		assert_int_equal(add_alias(&f, "away@example.test",
		    "x@one.test"), RESULT_OK);
		killed = crash_once(&f, step, &accepted);
		fixture_reopen(&f);
		queue_flush(f.store->queue);
		assert_true(messages_of(&f, ann) >= accepted);
		assert_true(messages_of(&f, ann) <= CRASH_MESSAGES);
		assert_int_equal(messages_of(&f, ann),
		    messages_of(&f, bob));
		/* What goes on to another system is there once. */
		assert_int_equal(messages_of(&f, ann),
		    dispatch_waiting(f.store->queue->dispatch));
		for (unsigned i = 0; i < CRASH_MESSAGES; i++)
			assert_int_equal(send_numbered(&f, i, CRASH_TO),
			    RESULT_OK);
		queue_settle(f.store->queue);
		assert_int_equal(dispatch_waiting(f.store->queue->dispatch),
		    CRASH_MESSAGES);
		assert_int_equal(messages_of(&f, ann), CRASH_MESSAGES);
		assert_int_equal(messages_of(&f, bob), CRASH_MESSAGES);
		fixture_close(&f);
	}
	assert_true(step > 10);
}

/* -- many at once -------------------------------------------------------- */

enum { SENDERS = 4, EACH = 50 };

struct sender {
	struct fixture *fixture;
	unsigned first;
	pthread_t thread;
	int refused;
};

static void *
send_many(void *arg)
{
	struct sender *s = arg;
	struct text to = TEXT_INIT(0);
	struct arena *arena = arena_new(1 << 20);

	recipient_put(&to, &(struct recipient){
	    .address = SPAN("both@example.test") });
	for (unsigned i = 0; i < EACH; i++) {
		struct queue_commit_request req = {
			.token = token_of(s->first + i),
			.sender = SPAN("carl@example.org"),
			.body = BLOB_OF(SPAN(BODY)),
			.summary = BLOB_OF(SPAN_EMPTY),
			.recipients = BLOB_OF(text_span(&to)),
		};
		struct queue_commit_reply reply = { 0 };

		verb_queue_commit(s->fixture->store, &from_mx, arena, &req,
		    &reply);
		s->refused += reply.result != RESULT_OK;
		arena_reset(arena);
	}
	arena_free(&arena);
	text_free(&to);
	return NULL;
}

static void
test_many(void **state)
{
	struct fixture f;
	struct sender senders[SENDERS];
	uint64_t ann, bob;

	(void)state;
	fixture_open(&f, true);
	people(&f, &ann, &bob);
	/* Every second sender repeats the first one's tokens. */
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ .fixture = &f,
		    .first = i / 2 * EACH };
		assert_int_equal(pthread_create(&senders[i].thread, NULL,
		    send_many, &senders[i]), 0);
	}
	for (unsigned i = 0; i < SENDERS; i++) {
		pthread_join(senders[i].thread, NULL);
		assert_int_equal(senders[i].refused, 0);
	}
	queue_settle(f.store->queue);
	assert_int_equal(messages_of(&f, ann), SENDERS / 2 * EACH);
	assert_int_equal(messages_of(&f, bob), SENDERS / 2 * EACH);
	fixture_close(&f);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_submission),
		cmocka_unit_test(test_returned),
		cmocka_unit_test(test_not_here),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_trace),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_many),
	};

	if (argc == 4 && strcmp(argv[1], "crash") == 0)
		return crash_child(argv[2], argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_mailbox_threads.c - many threads on few mailboxes.
 *
 * Nothing is lost, nothing is there twice, a session that only asks for
 * changes has the right view in the end. Run under TSan it shows that no
 * lock is forgotten; with next to no memory mailboxes come and go meanwhile.
 */
#include "store/test_mailboxes.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 6, ROUNDS = 300 };

struct worker {
	pthread_t thread;
	struct fixture mine;		/* the store, an arena of its own */
	uint64_t inbox, other;
	int number;
};

static atomic_int added;

static void
must_be(enum result got, enum result wanted)
{
	/* cmocka's assertions are for the main thread. */
	must(got == wanted);
}

static void
add_one(struct worker *w)
{
	struct token token = token_new();

	if (w->number % 2 == 0) {
		must_be(deliver(&w->mine, ACCOUNT, &token, "mail"),
		    RESULT_OK);
		mailbox_delivery_done(w->mine.store.mailboxes, ACCOUNT,
		    &token);
	} else {
		must_be(append(&w->mine, w->inbox, "mail", 0, "", &token,
		    NULL), RESULT_OK);
	}
	added++;
}

static void
look(struct worker *w, uint64_t *since)
{
	struct got got = changes(&w->mine, w->inbox, *since);

	must_be(got.result, RESULT_OK);
	must(got.highestmodseq >= *since);
	*since = got.highestmodseq;
	got_free(&got);
}

static void
change_one(struct worker *w, int round)
{
	struct copied copied;
	struct got got;
	char uids[16];

	snprintf(uids, sizeof(uids), "%d", 1 + round * THREADS / 2);
	got = store_flags(&w->mine, w->inbox, uids, round % 2 == 0
	    ? STORE_ADD : STORE_REMOVE, FLAG_SEEN, "word", UINT64_MAX, NULL);
	must_be(got.result, RESULT_OK);
	got_free(&got);
	copied = copy(&w->mine, w->inbox, uids, w->other, true, NULL);
	must_be(copied.result, RESULT_OK);
	copied_free(&copied);
	copied = copy(&w->mine, w->other, uids, w->inbox, true, NULL);
	must_be(copied.result, RESULT_OK);
	copied_free(&copied);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	uint64_t since = 0;

	for (int round = 0; round < ROUNDS; round++) {
		arena_reset(w->mine.arena);
		add_one(w);
		if (round % 3 == w->number % 3)
			change_one(w, round);
		if (round % 4 == 0)
			look(w, &since);
		if (round % 50 == w->number)
			mailboxes_maintain(w->mine.store.mailboxes);
		if (round % 64 == w->number)
			must(mailbox_named(&w->mine, "INBOX") == w->inbox);
	}
	return NULL;
}

static void
run_workers(struct fixture *f)
{
	struct worker workers[THREADS];
	uint64_t inbox = mailbox_named(f, "INBOX");
	uint64_t other = mailbox_named(f, "Archive");
	struct got a, b;

	added = 0;
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .mine = *f, .inbox = inbox,
		    .other = other, .number = i };
		workers[i].mine.arena = arena_new(64 << 20);
		assert_int_equal(pthread_create(&workers[i].thread, NULL,
		    work, &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		arena_free(&workers[i].mine.arena);
	}
	a = open_mailbox(f, inbox, false);
	b = open_mailbox(f, other, false);
	assert_int_equal(a.n + b.n, added);
	got_free(&a);
	got_free(&b);
	check_clean(f);
}

static void
test_threads(void **state)
{
	run_workers(*state);
}

static void
test_threads_without_memory(void **state)
{
	struct fixture *f = *state;

	shelf_set_limit(f->store.mailboxes->open, 1);
	shelf_set_limit(f->store.mailboxes->names, 1);
	f->settings.store_mailbox_cache = 1;
	run_workers(f);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_threads, fixture_setup,
		    fixture_teardown),
		cmocka_unit_test_setup_teardown(test_threads_without_memory,
		    fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

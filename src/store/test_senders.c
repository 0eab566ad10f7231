/*
 * test_senders.c - what our senders may: how much in a day, and to whom not.
 */
#include "test_store.h"
#include "base/clock.h"
#include "ipc/wire.h"
#include "store/limit.h"
#include "store/suppress.h"

#include <stdio.h>

#define HOUR_US INT64_C(3600000000)

/* A moment in the middle of an hour, so that hours can be counted. */
static walltime_t
at_hour(int64_t hours)
{
	const walltime_t noon = INT64_C(480000) * HOUR_US + HOUR_US / 2;

	return noon + hours * HOUR_US;
}

static void
set_clock(int64_t hours)
{
	clock_test_set((monotime_t){ 1000 + hours * 3600000 },
	    at_hour(hours));
}

static void
limit(struct fixture *f, const char *address, uint64_t messages,
    uint64_t recipients, enum result wanted)
{
	assert_int_equal(directory_limit(f->store->directory,
	    span_str(address), messages, recipients), wanted);
}

static struct limit_state
state_of(struct fixture *f, uint64_t account)
{
	struct limit_state s = { 0 };

	assert_int_equal(limit_state(f->store, account, &s), RESULT_OK);
	return s;
}

/* -- limits -------------------------------------------------------------- */

static void
test_take(void **state)
{
	struct fixture f;
	uint64_t ann, bob;

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "here.test");
	ann = add_account(&f, "ann@here.test", "secret");
	bob = add_account(&f, "bob@here.test", "secret");
	f.settings.limit_messages_per_day = 3;
	f.settings.limit_recipients_per_day = 10;
	set_clock(0);
	assert_true(limit_take(f.store, ann, 4));
	assert_true(limit_take(f.store, ann, 6));
	/* To people here it may still write, and a refusal is not counted. */
	assert_false(limit_take(f.store, ann, 1));
	assert_int_equal(state_of(&f, ann).messages, 2);
	assert_true(limit_take(f.store, ann, 0));
	assert_false(limit_take(f.store, ann, 0));
	assert_int_equal(state_of(&f, ann).messages, 3);
	assert_int_equal(state_of(&f, ann).recipients, 10);
	assert_true(limit_take(f.store, bob, 10));
	assert_false(limit_take(f.store, bob, SIZE_MAX));

	limit(&f, "ann@here.test", LIMIT_NONE, LIMIT_SAME, RESULT_OK);
	assert_true(limit_take(f.store, ann, 0));
	assert_false(limit_take(f.store, ann, 1));
	limit(&f, "ann@here.test", LIMIT_SAME, 11, RESULT_OK);
	assert_true(limit_take(f.store, ann, 1));
	limit(&f, "ann@here.test", 0, LIMIT_NONE, RESULT_OK);
	assert_false(limit_take(f.store, ann, 0));
	limit(&f, "ann@here.test", LIMIT_DEFAULT, LIMIT_DEFAULT, RESULT_OK);
	assert_int_equal(state_of(&f, ann).max_messages, 3);
	f.settings.limit_messages_per_day = 0;
	f.settings.limit_recipients_per_day = 0;
	assert_true(limit_take(f.store, ann, 1000));
	limit(&f, "no@here.test", 1, 1, RESULT_NOT_FOUND);
	clock_test_clear();
	fixture_close(&f);
}

static void
test_hours_pass(void **state)
{
	struct fixture f;
	uint64_t ann;

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "here.test");
	ann = add_account(&f, "ann@here.test", "secret");
	f.settings.limit_messages_per_day = 5;
	for (int64_t hour = 0; hour < 5; hour++) {
		set_clock(hour);
		assert_true(limit_take(f.store, ann, 1));
	}
	set_clock(23);
	assert_false(limit_take(f.store, ann, 1));
	/* One hour after the other is a day ago. */
	for (int64_t hour = 0; hour < 5; hour++) {
		set_clock(24 + hour);
		assert_int_equal(state_of(&f, ann).messages, 4);
		assert_true(limit_take(f.store, ann, 1));
		assert_false(limit_take(f.store, ann, 1));
	}
	/* A clock that was set back by an hour counts on; by days, anew. */
	set_clock(27);
	assert_false(limit_take(f.store, ann, 1));
	set_clock(-100);
	assert_true(limit_take(f.store, ann, 1));
	set_clock(100000);
	assert_int_equal(state_of(&f, ann).messages, 0);
	clock_test_clear();
	fixture_close(&f);
}

static void
test_counts_survive(void **state)
{
	struct fixture f;
	uint64_t ann;

	(void)state;
	fixture_open(&f, true);
	add_domain(&f, "here.test");
	ann = add_account(&f, "ann@here.test", "secret");
	for (int i = 0; i < 7; i++)
		assert_true(limit_take(f.store, ann, 3));
	fixture_reopen(&f);
	assert_int_equal(state_of(&f, ann).messages, 7);
	assert_int_equal(state_of(&f, ann).recipients, 21);
	assert_int_equal(limit_save(f.store), 1);
	/* What is a day old is nowhere any more. */
	clock_test_set(clock_mono(), clock_wall() + 25 * HOUR_US);
	assert_int_equal(limit_expire(f.store), 1);
	assert_int_equal(state_of(&f, ann).messages, 0);
	clock_test_clear();
	fixture_reopen(&f);
	assert_int_equal(state_of(&f, ann).messages, 0);
	fixture_close(&f);
}

/* Held mail is told of once a day, to who is postmaster. */
static void
test_postmaster_is_told(void **state)
{
	struct fixture f;
	uint64_t ann, bob;

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "here.test");
	ann = add_account(&f, "ann@here.test", "secret");
	bob = add_account(&f, "bob@here.test", "secret");
	assert_int_equal(add_alias(&f, "postmaster@here.test",
	    "bob@here.test"), RESULT_OK);
	f.settings.limit_messages_per_day = 1;
	assert_true(limit_take(f.store, ann, 1));
	for (int i = 0; i < 5; i++)
		assert_false(limit_take(f.store, ann, 1));
	queue_settle(f.store->queue);
	assert_int_equal(messages_of(&f, bob), 1);
	assert_int_equal(messages_of(&f, ann), 0);
	fixture_close(&f);
}

/* -- suppression --------------------------------------------------------- */

static bool
is_suppressed(struct fixture *f, const char *address)
{
	struct span why;
	int rc = suppress_find(f->store, span_str(address), f->arena, &why);

	assert_int_not_equal(rc, -1);
	if (rc == 1)
		assert_true(span_starts(why, SPAN("5.1.1 ")));
	return rc == 1;
}

static void
note(struct fixture *f, const char *address, const char *reason)
{
	suppress_note(f->store, span_str(address), span_str(reason));
}

static enum result
set_suppressed(struct fixture *f, const char *address, bool on)
{
	struct suppressed_set_request req = { .address = span_str(address),
	    .reason = SPAN("by hand"), .on = on };
	struct suppressed_set_reply reply = { 0 };

	verb_suppressed_set(f->store, &from_cli, f->arena, &req, &reply);
	return reply.result;
}

static size_t
count_suppressed(struct fixture *f)
{
	char after[64] = "";
	bool more = true;
	size_t count = 0;

	while (more) {
		struct suppressed_list_request req = {
			.after = span_str(after) };
		struct suppressed_list_reply reply = { 0 };
		struct suppressed_row row;
		struct cursor c;

		verb_suppressed_list(f->store, &from_cli, f->arena, &req,
		    &reply);
		assert_int_equal(reply.result, RESULT_OK);
		c = (struct cursor){ reply.rows.bytes, false };
		while (suppressed_row_get(&c, &row) == 1) {
			snprintf(after, sizeof(after), "%.*s",
			    SPAN_ARG(row.address));
			count++;
		}
		more = reply.more;
		arena_reset(f->arena);
	}
	return count;
}

static void
test_suppress(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "here.test");
	add_account(&f, "ann@here.test", "secret");
	note(&f, "Eve@There.test", "5.1.1 no such user");
	assert_true(is_suppressed(&f, "eve@there.test"));
	assert_true(is_suppressed(&f, "EVE@there.test"));
	assert_false(is_suppressed(&f, "eve@far.test"));
	assert_false(is_suppressed(&f, "eve"));
	assert_false(is_suppressed(&f, "not an address"));
	/* Only what says that nobody is there; and never one of ours. */
	note(&f, "a@there.test", "5.7.1 we do not like you");
	note(&f, "a@there.test", "5.2.2 mailbox full");
	note(&f, "a@there.test", "4.1.1 perhaps later");
	note(&f, "a@there.test", "no code at all");
	assert_false(is_suppressed(&f, "a@there.test"));
	note(&f, "a@there.test", "5.1.10 null MX");
	assert_true(is_suppressed(&f, "a@there.test"));
	note(&f, "ann@here.test", "5.1.1 no such user");
	assert_false(is_suppressed(&f, "ann@here.test"));
	assert_int_equal(set_suppressed(&f, "ann@here.test", true),
	    RESULT_CONFLICT);

	assert_int_equal(set_suppressed(&f, "b@there.test", true),
	    RESULT_OK);
	assert_int_equal(count_suppressed(&f), 3);
	assert_int_equal(set_suppressed(&f, "A@there.test", false),
	    RESULT_OK);
	assert_int_equal(set_suppressed(&f, "A@there.test", false),
	    RESULT_NOT_FOUND);
	assert_int_equal(set_suppressed(&f, "there.test", false),
	    RESULT_INVALID);
	assert_false(is_suppressed(&f, "a@there.test"));
	assert_int_equal(count_suppressed(&f), 2);

	/* Their time is over; what was added by hand stays. */
	clock_test_set(clock_mono(), clock_wall() +
	    (f.settings.limit_suppress_time + 1000) * 1000);
	assert_false(is_suppressed(&f, "eve@there.test"));
	assert_true(is_suppressed(&f, "b@there.test"));
	assert_int_equal(suppress_expire(f.store), 1);
	clock_test_clear();
	assert_false(is_suppressed(&f, "eve@there.test"));
	assert_int_equal(count_suppressed(&f), 1);

	f.settings.limit_suppress_time = 0;
	note(&f, "eve@there.test", "5.1.1 no such user");
	assert_false(is_suppressed(&f, "eve@there.test"));
	fixture_close(&f);
}

static void
test_many_suppressed(void **state)
{
	struct fixture f;
	char address[64], reason[600];

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "here.test");
	snprintf(reason, sizeof(reason), "5.1.1 %0*d", 500, 0);
	for (int i = 0; i < 3000; i++) {
		snprintf(address, sizeof(address), "x%d@there.test", i);
		note(&f, address, reason);
	}
	assert_int_equal(count_suppressed(&f), 3000);
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_hours_pass),
		cmocka_unit_test(test_counts_survive),
		cmocka_unit_test(test_postmaster_is_told),
		cmocka_unit_test(test_suppress),
		cmocka_unit_test(test_many_suppressed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

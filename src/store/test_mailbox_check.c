/*
 * test_mailbox_check.c - what is damaged is found, told and mended.
 */
#include "store/test_mailboxes.h"

#include <stdlib.h>

enum { N = 3000 };

static const char note[] = "a body";

static void
add(struct fixture *f, uint64_t mailbox, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(append(f, mailbox, note, FLAG_SEEN, "", NULL,
		    NULL), RESULT_OK);
}

static void
fold(struct fixture *f, uint64_t mailbox)
{
	struct mailbox *mb;

	assert_int_equal(mailbox_enter(f->store.mailboxes, ACCOUNT, mailbox,
	    &mb), RESULT_OK);
	assert_int_equal(mailbox_fold(mb), 1);
	mailbox_leave(&mb);
}

static void
write_record(struct fixture *f, struct partition where, struct span key,
    struct span value)
{
	struct batch *b = batch_new(where);

	batch_put(b, key, value);
	assert_int_equal(engine_commit(f->engine, b, NULL), 1);
	batch_free(&b);
}

static void
damage(struct fixture *f, uint64_t mailbox, struct key key)
{
	write_record(f, (struct partition){ PARTITION_MAILBOX, mailbox },
	    key_span(&key), SPAN("\xff nothing"));
	fixture_restart(f);
}

static void
remove_key(struct fixture *f, struct partition where, struct key key)
{
	struct batch *b = batch_new(where);

	batch_delete(b, key_span(&key));
	assert_int_equal(engine_commit(f->engine, b, NULL), 1);
	batch_free(&b);
	fixture_restart(f);
}

static uint32_t
check(struct fixture *f, bool repair, uint32_t *repaired)
{
	struct text report = TEXT_INIT(0);
	uint32_t found = 0;

	*repaired = 0;
	assert_int_equal(mailboxes_check(f->store.mailboxes, ACCOUNT, repair,
	    &report, &found, repaired), RESULT_OK);
	assert_int_equal(found > 0, report.n > 0);
	text_free(&report);
	return found;
}

/* Found, left alone, repaired, and gone. */
static void
check_and_repair(struct fixture *f)
{
	uint32_t repaired, found = check(f, false, &repaired);

	assert_true(found > 0);
	assert_int_equal(repaired, 0);
	fixture_restart(f);
	assert_true(check(f, true, &repaired) >= found);
	assert_true(repaired >= found);
	check_clean(f);
	fixture_restart(f);
	check_clean(f);
}

static size_t
count_in(struct fixture *f, uint64_t mailbox)
{
	struct got got = open_mailbox(f, mailbox, false);
	size_t n = got.n;

	assert_int_equal(got.result, RESULT_OK);
	got_free(&got);
	return n;
}

static void
test_chunk(void **state)
{
	struct fixture *f = *state;
	uint64_t box = mailbox_named(f, "INBOX");
	struct got got;

	add(f, box, N);
	fold(f, box);
	damage(f, box, key_chunk(1024));
	got = open_mailbox(f, box, false);
	assert_int_equal(got.result, RESULT_DAMAGED);
	got_free(&got);
	check_and_repair(f);
	got = open_mailbox(f, box, false);
	assert_int_equal(got.n, N);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(got.rows[i].size, sizeof(note) - 1);
	/* Flags of the others are as they were. */
	assert_int_equal(got.rows[0].flags, FLAG_SEEN);
	assert_int_equal(got.rows[1500].flags, 0);
	got_free(&got);
	assert_string_equal(body_of(f, box, 1500), note);
	add(f, box, 1);
	assert_int_equal(count_in(f, box), N + 1);
}

static void
test_head(void **state)
{
	struct fixture *f = *state;
	uint64_t box = mailbox_named(f, "INBOX");
	struct got got, before;

	add(f, box, 10);
	before = open_mailbox(f, box, false);
	damage(f, box, key_letter(MAILBOX_HEAD));
	check_and_repair(f);
	got = open_mailbox(f, box, false);
	assert_int_equal(got.n, 10);
	assert_int_equal(got.uidvalidity, before.uidvalidity);
	assert_true(got.uidnext >= before.uidnext);
	assert_true(got.highestmodseq > before.highestmodseq);
	got_free(&got);
	got_free(&before);
	remove_key(f, (struct partition){ PARTITION_MAILBOX, box },
	    key_letter(MAILBOX_HEAD));
	check_and_repair(f);
	assert_int_equal(count_in(f, box), 10);
}

static void
test_tail(void **state)
{
	struct fixture *f = *state;
	uint64_t box = mailbox_named(f, "INBOX");

	add(f, box, 10);
	damage(f, box, key_u64(MAILBOX_TAIL, 5));
	check_and_repair(f);
	assert_int_equal(count_in(f, box), 10);
}

static void
test_others(void **state)
{
	struct fixture *f = *state;
	uint64_t box = mailbox_named(f, "INBOX");
	struct token token = token_new();
	static const char letters[] = { MAILBOX_DONE, MAILBOX_RECENT,
	    MAILBOX_EXPUNGED, 'Z' };

	add(f, box, 10);
	fold(f, box);
	for (size_t i = 0; i < sizeof(letters); i++) {
		damage(f, box, key_letter(letters[i]));
		check_and_repair(f);
		assert_int_equal(count_in(f, box), 10);
	}
	damage(f, box, key_token(MAILBOX_DELIVERED, &token));
	check_and_repair(f);
}

static struct body_id
body_id_of(struct fixture *f, uint64_t mailbox, uint32_t uid)
{
	struct mailbox *mb;
	struct body_id id;

	assert_int_equal(mailbox_enter(f->store.mailboxes, ACCOUNT, mailbox,
	    &mb), RESULT_OK);
	id = table_find(&mb->table, uid)->body;
	mailbox_leave(&mb);
	return id;
}

static void
test_body(void **state)
{
	struct fixture *f = *state;
	uint64_t box = mailbox_named(f, "INBOX");
	struct body_id body;
	struct key holder = message_holder(box, 2);
	struct batch *b;

	add(f, box, 3);
	body = body_id_of(f, box, 2);
	b = batch_new((struct partition){ PARTITION_QUEUE, 0 });
	batch_unlink(b, body, key_span(&holder));
	assert_int_equal(engine_commit(f->engine, b, NULL), 1);
	/* Not yet collected: the link is made anew. */
	check_and_repair(f);
	assert_int_equal(engine_collect(f->engine, true, 0), 0);
	assert_int_equal(count_in(f, box), 3);
	/* Collected: the row goes. */
	assert_int_equal(engine_commit(f->engine, b, NULL), 1);
	batch_free(&b);
	assert_int_equal(engine_collect(f->engine, false, 0), 1);
	check_and_repair(f);
	assert_int_equal(count_in(f, box), 2);
	assert_null(body_of(f, box, 2));
}

static void
test_name(void **state)
{
	struct fixture *f = *state;
	uint64_t box = mailbox_named(f, "INBOX"), other;
	struct partition account = { PARTITION_ACCOUNT, ACCOUNT };
	struct key key;

	assert_int_equal(create(f, "other", &other), RESULT_OK);
	add(f, other, 3);
	key = key_u64(ACCOUNT_MAILBOX, other);
	write_record(f, account, key_span(&key), SPAN("\xff"));
	fixture_restart(f);
	check_and_repair(f);
	assert_int_equal(count_in(f, other), 3);
	assert_int_equal(mailbox_named(f, "other"), 0);
	key = key_u64(ACCOUNT_MAILBOX, box);
	add(f, box, 4);
	write_record(f, account, key_span(&key), SPAN("\x01\x02"));
	fixture_restart(f);
	check_and_repair(f);
	assert_int_equal(mailbox_named(f, "INBOX"), box);
	assert_int_equal(count_in(f, box), 4);
}

static void
test_intent(void **state)
{
	struct fixture *f = *state;
	struct token token = token_new();
	struct key key = key_token(ACCOUNT_INTENT, &token);

	write_record(f, (struct partition){ PARTITION_ACCOUNT, ACCOUNT },
	    key_span(&key), SPAN("\xff"));
	fixture_restart(f);
	check_and_repair(f);
	assert_false(intents_left(f->store.mailboxes, ACCOUNT));
}

int
main(void)
{
#define TEST(name)							\
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_chunk),
		TEST(test_head),
		TEST(test_tail),
		TEST(test_others),
		TEST(test_body),
		TEST(test_name),
		TEST(test_intent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

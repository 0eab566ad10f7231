/*
 * test_quota.c - what accounts and domains hold, told exactly whatever
 * happens; limits; annotations.
 */
#include "base/log.h"
#include "ipc/wire.h"
#include "store/metadata_record.h"
#include "store/quota_impl.h"
#include "store/test_mailboxes.h"

#include <stdio.h>
#include <stdlib.h>

static void
begin_counting(struct fixture *f)
{
	quotas_free(&f->store.quotas);
	f->store.quotas = quotas_new(&f->store);
}

static int
setup(void **state)
{
	fixture_setup(state);
	begin_counting(*state);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	quotas_free(&f->store.quotas);
	return fixture_teardown(state);
}

static void
expect(struct fixture *f, uint64_t messages, uint64_t bytes)
{
	struct quota_sums sums;

	assert_int_equal(quota_usage(&f->store, ACCOUNT, &sums), RESULT_OK);
	assert_int_equal(sums.messages, messages);
	assert_int_equal(sums.bytes, bytes);
	/* And so it is when everything is read anew. */
	begin_counting(f);
	assert_int_equal(quota_usage(&f->store, ACCOUNT, &sums), RESULT_OK);
	assert_int_equal(sums.messages, messages);
	assert_int_equal(sums.bytes, bytes);
}

static void
follows_every_change(void **state)
{
	struct fixture *f = *state;
	uint64_t inbox = mailbox_named(f, "INBOX");
	uint64_t sent = mailbox_named(f, "Sent"), other;
	struct token token = token_new();
	struct copied copied;
	struct got got;

	expect(f, 0, 0);
	assert_int_equal(append(f, inbox, "12345", 0, "", NULL, NULL), 0);
	assert_int_equal(append(f, inbox, "1234567", FLAG_DELETED, "", NULL,
	    NULL), 0);
	expect(f, 2, 12);
	assert_int_equal(deliver(f, ACCOUNT, &token, "123"), RESULT_OK);
	/* The same once more is no second one. */
	assert_int_equal(deliver(f, ACCOUNT, &token, "123"), RESULT_OK);
	expect(f, 3, 15);
	copied = copy(f, inbox, "1:2", sent, false, NULL);
	copied_free(&copied);
	expect(f, 5, 27);
	copied = copy(f, inbox, "1", sent, true, NULL);
	copied_free(&copied);
	expect(f, 5, 27);
	got = expunge(f, inbox, "1:99", true);
	got_free(&got);
	expect(f, 4, 20);
	got = expunge(f, sent, "1", false);
	got_free(&got);
	expect(f, 3, 15);
	assert_int_equal(create(f, "Other", &other), RESULT_OK);
	assert_int_equal(append(f, other, "1", 0, "", NULL, NULL), 0);
	expect(f, 4, 16);
	assert_int_equal(mailboxes_remove_account(f->store.mailboxes,
	    ACCOUNT), RESULT_OK);
	quota_account_gone(&f->store, ACCOUNT);
	expect(f, 0, 0);
}

/* Whenever the process dies, what is told after is what is there. */
static void
is_exact_after_a_crash(void **state)
{
	struct fixture *f = *state;
	uint64_t inbox = mailbox_named(f, "INBOX");
	uint64_t messages, bytes;
	struct quota_sums sums;
	struct copied copied;
	struct got got;

	for (long n = 0; n < 12; n++) {
		fixture_die_after(f, n);
		append(f, inbox, "1234", FLAG_DELETED, "", NULL, NULL);
		copied = copy(f, inbox, "1:99", mailbox_named(f, "Junk"),
		    n % 2 == 0, NULL);
		copied_free(&copied);
		got = expunge(f, inbox, "1:2", false);
		got_free(&got);
		quotas_free(&f->store.quotas);
		fixture_restart(f);
		f->store.quotas = NULL;
		inbox = mailbox_named(f, "INBOX");
		assert_int_equal(mailboxes_usage(f->store.mailboxes, ACCOUNT,
		    &messages, &bytes), RESULT_OK);
		begin_counting(f);
		assert_int_equal(quota_usage(&f->store, ACCOUNT, &sums),
		    RESULT_OK);
		assert_int_equal(sums.messages, messages);
		assert_int_equal(sums.bytes, bytes);
		check_clean(f);
	}
}

/* A store of an earlier version has no sums: they are counted. */
static void
counts_what_was_there(void **state)
{
	struct fixture *f = *state;
	uint64_t inbox = mailbox_named(f, "INBOX");
	struct key key = key_letter(MAILBOX_SUMS);
	struct partition p = { PARTITION_MAILBOX, inbox };
	struct batch *b = batch_new(p);

	assert_int_equal(append(f, inbox, "123456789", 0, "", NULL, NULL),
	    RESULT_OK);
	batch_delete(b, key_span(&key));
	assert_int_equal(engine_commit(f->engine, b, NULL), 1);
	batch_free(&b);
	expect(f, 1, 9);
}

static void
check_finds_wrong_sums(void **state)
{
	struct fixture *f = *state;
	uint64_t inbox = mailbox_named(f, "INBOX");
	struct key key = key_letter(MAILBOX_SUMS);
	struct batch *b = batch_new((struct partition){ PARTITION_MAILBOX,
	    inbox });
	struct text t = TEXT_INIT(0), report = TEXT_INIT(0);
	uint32_t found = 0, repaired = 0;

	assert_int_equal(append(f, inbox, "123456789", 0, "", NULL, NULL),
	    RESULT_OK);
	sums_encode(&t, 5, 500);
	batch_put(b, key_span(&key), text_span(&t));
	assert_int_equal(engine_commit(f->engine, b, NULL), 1);
	batch_free(&b);
	assert_int_equal(mailboxes_check(f->store.mailboxes, ACCOUNT, true,
	    &report, &found, &repaired), RESULT_OK);
	assert_int_equal(found, 1);
	assert_int_equal(repaired, 1);
	expect(f, 1, 9);
	check_clean(f);
	text_free(&t);
	text_free(&report);
}

static void
refuses_what_is_too_much(void **state)
{
	struct fixture *f = *state;
	uint64_t inbox = mailbox_named(f, "INBOX"), id;
	struct token token = token_new();
	struct copied copied;

	f->settings.quota_storage = 10;
	f->settings.quota_messages = 3;
	f->settings.quota_mailboxes = 7;
	f->settings.quota_grace = 0;
	quota_forget(&f->store);
	assert_int_equal(append(f, inbox, "12345678901", 0, "", NULL, NULL),
	    RESULT_OVERQUOTA);
	assert_int_equal(append(f, inbox, "12345", 0, "", NULL, NULL),
	    RESULT_OK);
	assert_int_equal(append(f, inbox, "123456", 0, "", NULL, NULL),
	    RESULT_OVERQUOTA);
	assert_int_equal(deliver(f, ACCOUNT, &token, "123456"),
	    RESULT_OVERQUOTA);
	/* Mail that comes may go beyond, when it begins within. */
	f->settings.quota_grace = 2;
	assert_int_equal(deliver(f, ACCOUNT, &token, "123456"), RESULT_OK);
	assert_int_equal(deliver(f, ACCOUNT, &token, "123456"), RESULT_OK);
	token = token_new();
	assert_int_equal(deliver(f, ACCOUNT, &token, "1"), RESULT_OVERQUOTA);
	copied = copy(f, inbox, "1", mailbox_named(f, "Junk"), false, NULL);
	assert_int_equal(copied.result, RESULT_OVERQUOTA);
	copied_free(&copied);
	copied = copy(f, inbox, "1", mailbox_named(f, "Junk"), true, NULL);
	assert_int_equal(copied.result, RESULT_OK);
	copied_free(&copied);
	assert_int_equal(create(f, "a/b", &id), RESULT_OVERQUOTA);
	assert_int_equal(create(f, "a", &id), RESULT_OK);
	assert_int_equal(create(f, "b", &id), RESULT_OVERQUOTA);
	f->settings.quota_storage = 0;
	quota_forget(&f->store);
	assert_int_equal(append(f, inbox, "1", 0, "", NULL, NULL), RESULT_OK);
	assert_int_equal(append(f, inbox, "1", 0, "", NULL, NULL),
	    RESULT_OVERQUOTA);
}

static void
levels(void **state)
{
	struct settings s;

	(void)state;
	settings_default(&s);
	snprintf(s.quota_warn, sizeof(s.quota_warn), "95 80 x");
	assert_int_equal(quota_level(&s, 79, 100), 0);
	assert_int_equal(quota_level(&s, 80, 100), 80);
	assert_int_equal(quota_level(&s, 94, 100), 80);
	assert_int_equal(quota_level(&s, 1000, 100), 95);
	assert_int_equal(quota_level(&s, 1000, UINT64_MAX), 0);
	assert_int_equal(quota_level(&s, UINT64_MAX / 2, UINT64_MAX / 2 + 9),
	    95);
	assert_int_equal(quota_level(&s, 1, 0), 0);
	s.quota_warn[0] = '\0';
	assert_int_equal(quota_level(&s, 99, 100), 0);
}

/* ---- annotations ------------------------------------------------------- */

static void
names_of_entries(void **state)
{
	static const struct { const char *given, *name; } good[] = {
		{ "/shared/comment", "/shared/comment" },
		{ "/PRIVATE/Comment", "/private/comment" },
		{ "/private", "/private" },
		{ "/private/vendor/a b/c", "/private/vendor/a b/c" },
	};
	static const char *const bad[] = { "", "/", "comment", "/other/x",
	    "/privatex", "/private/", "/private//x", "/private/a*",
	    "/private/%", "/private/\xc3\xa4", "/private/\x01", "//private" };
	struct arena *arena = arena_new(1 << 20);
	struct span name;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(metadata_name(span_str(good[i].given),
		    arena, &name), 1);
		assert_true(span_is(name, good[i].name));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(metadata_name(span_str(bad[i]), arena,
		    &name), 0);
	assert_true(metadata_can_hold(SPAN("/shared/x")));
	assert_false(metadata_can_hold(SPAN("/shared")));
	assert_true(metadata_matches(SPAN("/private/a"), SPAN("/private/a"),
	    0));
	assert_false(metadata_matches(SPAN("/private/a/b"),
	    SPAN("/private/a"), 0));
	assert_true(metadata_matches(SPAN("/private/a/b"),
	    SPAN("/private/a"), 1));
	assert_false(metadata_matches(SPAN("/private/a/b/c"),
	    SPAN("/private/a"), 1));
	assert_true(metadata_matches(SPAN("/private/a/b/c"),
	    SPAN("/private/a"), METADATA_DEPTH_ALL));
	assert_false(metadata_matches(SPAN("/private/ab"),
	    SPAN("/private/a"), METADATA_DEPTH_ALL));
	arena_free(&arena);
}

static enum result
set_entry(struct fixture *f, uint64_t account, uint64_t mailbox,
    const char *entry, const char *value)
{
	struct text rows = TEXT_INIT(0);
	struct metadata_set_request req = { .grant = grant_for(account),
	    .mailbox = mailbox };
	struct metadata_set_reply reply = { 0 };

	metadata_row_put(&rows, &(struct metadata_row){
	    .entry = span_str(entry), .exists = value != NULL,
	    .value = span_str(value) });
	req.rows = BLOB_OF(text_span(&rows));
	verb_metadata_set(&f->store, &tester, f->arena, &req, &reply);
	text_free(&rows);
	return reply.result;
}

/* "" there is none. */
static struct span
get_entry(struct fixture *f, uint64_t account, uint64_t mailbox,
    const char *entry)
{
	struct metadata_get_request req = { .grant = grant_for(account),
	    .mailbox = mailbox, .entries = span_str(entry),
	    .max_size = UINT64_MAX };
	struct metadata_get_reply reply = { 0 };
	struct metadata_row row = { 0 };
	struct cursor at;

	verb_metadata_get(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	at = (struct cursor){ .rest = reply.rows.bytes };
	assert_int_equal(metadata_row_get(&at, &row), 1);
	return row.value;
}

static void
annotations_are_kept_and_counted(void **state)
{
	struct fixture *f = *state;
	uint64_t inbox = mailbox_named(f, "INBOX"), box;
	struct names *names;

	assert_int_equal(create(f, "Box", &box), RESULT_OK);
	assert_int_equal(set_entry(f, ACCOUNT, inbox, "/private/a", "1"), 0);
	assert_int_equal(set_entry(f, ACCOUNT, box, "/shared/a", "22"), 0);
	assert_int_equal(set_entry(f, ACCOUNT, 0, "/private/a", "333"), 0);
	assert_int_equal(set_entry(f, ACCOUNT, 0, "/shared/a", "4"),
	    RESULT_FORBIDDEN);
	assert_true(span_is(get_entry(f, ACCOUNT, box, "/shared/a"), "22"));
	assert_true(span_is(get_entry(f, ACCOUNT, 0, "/private/a"), "333"));
	quotas_free(&f->store.quotas);
	fixture_restart(f);
	begin_counting(f);
	assert_true(span_is(get_entry(f, ACCOUNT, inbox, "/private/a"), "1"));
	assert_int_equal(names_enter(f->store.mailboxes, ACCOUNT, &names), 0);
	assert_int_equal(names->annotations, 3);
	assert_int_equal(names->annotation_bytes, 3 * 10 + 6 - 1);
	names_leave(&names);
	assert_int_equal(set_entry(f, ACCOUNT, inbox, "/private/a", NULL), 0);
	assert_int_equal(get_entry(f, ACCOUNT, inbox, "/private/a").n, 0);
	assert_int_equal(names_enter(f->store.mailboxes, ACCOUNT, &names), 0);
	assert_int_equal(names->annotations, 2);
	names_leave(&names);
	/* Of others there is nothing to be seen. */
	assert_int_equal(set_entry(f, ACCOUNT + 1, inbox, "/private/a", "x"),
	    RESULT_NOT_FOUND);
	assert_int_equal(get_entry(f, ACCOUNT + 1, 0, "/private/a").n, 0);
	check_clean(f);
}

static void
records(void **state)
{
	struct text t = TEXT_INIT(0);
	uint64_t messages, bytes, mailbox;
	struct span value, name;

	(void)state;
	sums_encode(&t, 3, UINT64_MAX);
	assert_int_equal(sums_decode(text_span(&t), &messages, &bytes), 1);
	assert_int_equal(messages, 3);
	assert_true(bytes == UINT64_MAX);
	for (size_t i = 0; i < t.n; i++)
		assert_int_equal(sums_decode(span_sub(text_span(&t), 0, i),
		    &messages, &bytes), 0);
	text_clear(&t);
	metadata_encode(&t, SPAN("x"));
	assert_int_equal(metadata_decode(text_span(&t), &value), 1);
	assert_true(span_is(value, "x"));
	t.p[0] = 99;			/* of a later version */
	assert_int_equal(metadata_decode(text_span(&t), &value), 0);
	assert_int_equal(metadata_decode(SPAN_EMPTY, &value), 0);
	metadata_key(&t, 77, SPAN("/private/x"));
	assert_int_equal(metadata_key_read(text_span(&t), &mailbox, &name),
	    1);
	assert_int_equal(mailbox, 77);
	assert_true(span_is(name, "/private/x"));
	assert_int_equal(metadata_key_read(SPAN("e1234567"), &mailbox,
	    &name), 0);
	text_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(follows_every_change, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(is_exact_after_a_crash,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(counts_what_was_there, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(check_finds_wrong_sums,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_is_too_much,
		    setup, teardown),
		cmocka_unit_test(levels),
		cmocka_unit_test(names_of_entries),
		cmocka_unit_test_setup_teardown(
		    annotations_are_kept_and_counted, setup, teardown),
		cmocka_unit_test(records),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

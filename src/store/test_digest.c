/*
 * test_digest.c - pages of summaries: they say what the bodies say, and
 * nothing of what is gone.
 */
#include "store/test_mailboxes.h"

#include <stdio.h>
#include <stdlib.h>

enum { N = 1000 };

static uint64_t
inbox(struct fixture *f)
{
	return mailbox_named(f, "INBOX");
}

/* Each with a summary of its own: "first 1", "first 2" ... */
static void
add(struct fixture *f, uint64_t mailbox, size_t from, size_t to)
{
	for (size_t i = from; i <= to; i++) {
		char summary[32];
		struct message_append_request req = {
		    .grant = grant_for(ACCOUNT), .token = token_new(),
		    .mailbox = mailbox, .internal_date = 1,
		    .body = BLOB_OF(SPAN("body")) };
		struct message_append_reply reply = { 0 };

		snprintf(summary, sizeof(summary), "first %zu", i);
		req.summary = BLOB_OF(span_str(summary));
		verb_message_append(&f->store, &tester, f->arena, &req,
		    &reply);
		assert_int_equal(reply.result, RESULT_OK);
		assert_int_equal(reply.uid, i);
		arena_reset(f->arena);
	}
}

static void
save(struct fixture *f, uint64_t mailbox, uint32_t uid, const char *summary)
{
	struct summary_save_request req = { .grant = grant_for(ACCOUNT),
	    .mailbox = mailbox, .uid = uid,
	    .summary = BLOB_OF(span_str(summary)) };
	struct summary_save_reply reply = { 0 };

	verb_summary_save(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
}

/* These uids, and no others, with the summary of each. */
static void
assert_details(struct fixture *f, uint64_t mailbox, const char *wanted,
    const char *word)
{
	struct message_details_request req = { .grant = grant_for(ACCOUNT),
	    .mailbox = mailbox, .with_summary = 1 };
	struct message_details_reply reply = { 0 };
	struct message_detail detail;
	struct uids uids = set_of(wanted);
	struct span records;
	struct cursor c = { 0 };
	uint64_t left = uids_count(&uids);

	assert_int_equal(uids_write(&uids, f->arena, &records), 1);
	req.uids = BLOB_OF(records);
	verb_message_details(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	assert_int_equal(reply.next, 0);
	c.rest = blob_bytes(f, &reply.details);
	for (; left > 0; left--) {
		char summary[32];

		assert_int_equal(message_detail_get(&c, &detail), 1);
		assert_true(uids_have(&uids, detail.uid));
		snprintf(summary, sizeof(summary), "%s %" PRIu32, word,
		    detail.uid);
		assert_true(span_is(detail.summary, summary));
	}
	assert_int_equal(message_detail_get(&c, &detail), 0);
	uids_free(&uids);
	arena_reset(f->arena);
}

/* Every page, its summaries as text. */
static struct span
pages(struct fixture *f, uint64_t mailbox, size_t *count)
{
	struct scan *scan = scan_open(f->engine, (struct partition){
	    PARTITION_DIGEST, mailbox }, SPAN("p"), SPAN("q"));
	struct text t = TEXT_INIT(0);
	struct span key, value, all;

	*count = 0;
	while (scan_next(scan, &key, &value) == 1) {
		text_add(&t, value);
		++*count;
	}
	scan_close(&scan);
	all = arena_dup(f->arena, text_span(&t));
	text_free(&t);
	return all;
}

static bool
is_in(struct span all, const char *summary)
{
	return memmem(all.p, all.n, summary, strlen(summary)) != NULL;
}

static void
maintain(struct fixture *f)
{
	mailboxes_maintain(f->store.mailboxes);
}

static void
test_made(void **state)
{
	struct fixture *f = *state;
	size_t count;

	add(f, inbox(f), 1, N);
	assert_details(f, inbox(f), "1:1000", "first");
	maintain(f);
	/* The last page waits until it is full. */
	pages(f, inbox(f), &count);
	assert_int_equal(count, N / DIGEST_UIDS);
	assert_details(f, inbox(f), "1:1000", "first");
	assert_details(f, inbox(f), "1,3,63:66,130:133,300:302,400:999",
	    "first");
	assert_details(f, inbox(f), "1000", "first");
	add(f, inbox(f), N + 1, N + 100);
	maintain(f);
	pages(f, inbox(f), &count);
	assert_int_equal(count, (N + 100) / DIGEST_UIDS);
	assert_details(f, inbox(f), "1:1100", "first");
}

/* That they are read at all: a page that says something else is believed. */
static void
test_read(void **state)
{
	struct fixture *f = *state;
	struct key key = key_u64(DIGEST_PAGE, 0);
	struct batch *b;
	struct text page = TEXT_INIT(0);
	char summary[32];

	add(f, inbox(f), 1, 100);
	maintain(f);
	put_u8(&page, 1);
	for (uint32_t uid = 1; uid < DIGEST_UIDS; uid++) {
		put_u32(&page, uid);
		snprintf(summary, sizeof(summary), "other %" PRIu32, uid);
		put_bytes(&page, span_str(summary));
	}
	b = batch_new((struct partition){ PARTITION_DIGEST, inbox(f) });
	batch_put(b, key_span(&key), text_span(&page));
	assert_int_equal(engine_commit(f->engine, b, NULL), 1);
	batch_free(&b);
	text_free(&page);
	assert_details(f, inbox(f), "1:63", "other");
	/* Few are read by themselves. */
	assert_details(f, inbox(f), "7", "first");
	assert_details(f, inbox(f), "64:100", "first");
}

/* A page that cannot be read is none, and is made again. */
static void
test_damaged(void **state)
{
	struct fixture *f = *state;
	struct key key = key_u64(DIGEST_PAGE, 64);
	struct batch *b;
	struct span all;
	size_t count;

	add(f, inbox(f), 1, 200);
	maintain(f);
	b = batch_new((struct partition){ PARTITION_DIGEST, inbox(f) });
	batch_put(b, key_span(&key), SPAN("\001\001\377\377\377"));
	assert_int_equal(engine_commit(f->engine, b, NULL), 1);
	batch_free(&b);
	assert_details(f, inbox(f), "1:200", "first");
	maintain(f);
	all = pages(f, inbox(f), &count);
	assert_int_equal(count, 3);
	assert_true(is_in(all, "first 100"));
}

static void
test_expunged(void **state)
{
	struct fixture *f = *state;
	struct span all;
	struct got got;
	size_t count;

	add(f, inbox(f), 1, 300);
	maintain(f);
	assert_true(is_in(pages(f, inbox(f), &count), "first 100"));
	got = expunge(f, inbox(f), "100:101,128:191", false);
	assert_int_equal(got.result, RESULT_OK);
	got_free(&got);
	maintain(f);
	all = pages(f, inbox(f), &count);
	assert_false(is_in(all, "first 100"));
	assert_false(is_in(all, "first 150"));
	assert_true(is_in(all, "first 102"));
	assert_int_equal(count, 3);
	assert_details(f, inbox(f), "1:99,102:127,192:300", "first");
}

/* The process ends before the pages are made again. */
static void
test_expunged_and_killed(void **state)
{
	struct fixture *f = *state;
	struct got got;
	size_t count;

	add(f, inbox(f), 1, 300);
	maintain(f);
	got = expunge(f, inbox(f), "100", false);
	got_free(&got);
	fixture_restart(f);
	got = open_mailbox(f, inbox(f), false);
	got_free(&got);
	maintain(f);
	assert_false(is_in(pages(f, inbox(f), &count), "first 100"));
	assert_int_equal(count, 4);
	assert_details(f, inbox(f), "1:99,101:300", "first");
}

static void
test_saved(void **state)
{
	struct fixture *f = *state;
	size_t count;

	add(f, inbox(f), 1, 100);
	maintain(f);
	for (uint32_t uid = 1; uid <= 100; uid++) {
		char summary[32];

		snprintf(summary, sizeof(summary), "second %" PRIu32, uid);
		save(f, inbox(f), uid, summary);
	}
	maintain(f);
	assert_true(is_in(pages(f, inbox(f), &count), "second 9"));
	assert_false(is_in(pages(f, inbox(f), &count), "first"));
	assert_details(f, inbox(f), "1:100", "second");
}

/* What an earlier version left has none: they are made without being asked. */
static void
test_of_old(void **state)
{
	struct fixture *f = *state;
	uint64_t box = inbox(f);
	size_t count;

	add(f, box, 1, 300);
	maintain(f);
	assert_int_equal(digest_forget(f->engine, box), 1);
	fixture_restart(f);
	maintain(f);		/* finds it */
	maintain(f);
	pages(f, box, &count);
	assert_int_equal(count, 4);
	assert_details(f, box, "1:300", "first");
}

/* One turn makes a part of a large mailbox, the next ones the rest. */
static void
test_in_turns(void **state)
{
	struct fixture *f = *state;
	uint64_t box;
	size_t count;

	add(f, inbox(f), 1, N);
	assert_int_equal(create(f, "box", &box), RESULT_OK);
	for (int i = 0; i < 40; i++) {
		struct copied c = copy(f, inbox(f), "1:1000", box, false,
		    NULL);

		assert_int_equal(c.result, RESULT_OK);
		copied_free(&c);
		arena_reset(f->arena);
	}
	maintain(f);
	pages(f, box, &count);
	assert_true(count < 40 * N / DIGEST_UIDS);
	maintain(f);
	arena_reset(f->arena);
	pages(f, box, &count);
	assert_int_equal(count, 40 * N / DIGEST_UIDS);
	pages(f, inbox(f), &count);
	assert_int_equal(count, N / DIGEST_UIDS);
}

static void
test_removed(void **state)
{
	struct fixture *f = *state;
	uint64_t box, version;
	size_t count;

	assert_int_equal(create(f, "box", &box), RESULT_OK);
	add(f, box, 1, 200);
	maintain(f);
	pages(f, box, &count);
	assert_int_equal(count, 3);
	verb_mailbox_delete(&f->store, &tester, f->arena,
	    &(struct mailbox_delete_request){ .grant = grant_for(ACCOUNT),
	    .name = SPAN("box") },
	    &(struct mailbox_delete_reply){ 0 });
	maintain(f);
	pages(f, box, &count);
	assert_int_equal(count, 0);
	assert_int_equal(engine_version(f->engine, (struct partition){
	    PARTITION_DIGEST, box }, &version), 1);
	assert_int_equal(version, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, \
    fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_made),
		TEST(test_read),
		TEST(test_damaged),
		TEST(test_expunged),
		TEST(test_expunged_and_killed),
		TEST(test_saved),
		TEST(test_of_old),
		TEST(test_in_turns),
		TEST(test_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

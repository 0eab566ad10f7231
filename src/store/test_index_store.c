/*
 * test_index_store.c - what the store does for the search index: leases, and
 * segments that come, are merged, cleaned, and go.
 */
#include "test_store.h"
#include "store/index.h"
#include "store/mailboxes.h"

#include <stdlib.h>

static const struct caller from_index = { INDEX, 0, 77 };
static const struct caller another = { INDEX, 1, 78 };

struct world {
	struct fixture f;
	struct grant grant;
	uint64_t inbox;
	struct arena *arena;
};

static uint64_t
inbox_of(struct world *w)
{
	struct mailbox_list_request q = { .grant = w->grant };
	struct mailbox_list_reply r = { 0 };
	struct mailbox_row row;
	struct cursor c = { 0 };

	verb_mailbox_list(w->f.store, &from_access, w->arena, &q, &r);
	c.rest = r.rows.bytes;
	while (mailbox_row_get(&c, &row) == 1)
		if (span_is(row.name, "INBOX"))
			return row.mailbox;
	return 0;
}

static int
setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	fixture_open(&w->f, false);
	w->f.settings.index_clean_after = w->f.settings.index_gather = 0;
	w->arena = arena_new(256 << 20);
	add_domain(&w->f, "example.test");
	add_account(&w->f, "ann@example.test", "secret");
	w->grant = grant_of(&w->f, "ann@example.test");
	w->inbox = inbox_of(w);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	fixture_close(&w->f);
	arena_free(&w->arena);
	free(w);
	return 0;
}

/* ---- verbs ----------------------------------------------------------- */

static struct blob
one_range(struct world *w, uint32_t first, uint32_t last)
{
	struct text t = TEXT_INIT(0);
	struct span s;

	uid_range_put(&t, &(struct uid_range){ first, last });
	s = arena_dup(w->arena, text_span(&t));
	text_free(&t);
	return BLOB_OF(s);
}

static void
append(struct world *w, const char *text)
{
	struct message_append_request q = { .grant = w->grant,
		.token = token_new(), .mailbox = w->inbox,
		.internal_date = INT64_MIN, .body = BLOB_OF(span_str(text)),
		.summary = BLOB_OF(SPAN_EMPTY) };
	struct message_append_reply r = { 0 };

	verb_message_append(w->f.store, &from_access, w->arena, &q, &r);
	assert_int_equal(r.result, RESULT_OK);
}

static void
expunge(struct world *w, uint32_t first, uint32_t last)
{
	struct message_expunge_request q = { .grant = w->grant,
		.mailbox = w->inbox, .uids = one_range(w, first, last),
		.since = UINT64_MAX };
	struct message_expunge_reply r = { 0 };

	verb_message_expunge(w->f.store, &from_access, w->arena, &q, &r);
	assert_int_equal(r.result, RESULT_OK);
}

static struct index_lease_reply
lease(struct world *w, uint32_t work, uint32_t first, uint32_t last)
{
	struct index_lease_request q = { .room = 1 << 20 };
	struct index_lease_reply r = { 0 };

	verb_index_lease(w->f.store, &from_index, w->arena, &q, &r);
	assert_int_equal(r.result, RESULT_OK);
	assert_int_equal(r.work, work);
	if (work != INDEX_NOTHING) {
		assert_int_equal(r.mailbox, w->inbox);
		assert_int_equal(r.first, first);
		assert_int_equal(r.last, last);
	}
	return r;
}

static enum result
save(struct world *w, uint64_t id, uint32_t last, uint32_t messages,
    struct span bytes)
{
	struct index_save_request q = { .lease = id, .last = last,
		.messages = messages, .segment = BLOB_OF(bytes) };
	struct index_save_reply r = { 0 };

	verb_index_save(w->f.store, &from_index, w->arena, &q, &r);
	return r.result;
}

/* How many there are; the last one in *row. */
static size_t
segments(struct world *w, struct index_segment *row)
{
	struct index_segments_request q = { .grant = w->grant,
		.mailbox = w->inbox };
	struct index_segments_reply r = { 0 };
	struct cursor c = { 0 };
	size_t n = 0;

	verb_index_segments(w->f.store, &from_index, w->arena, &q, &r);
	assert_int_equal(r.result, RESULT_OK);
	c.rest = r.segments.bytes;
	while (index_segment_get(&c, row) == 1)
		n++;
	return n;
}

static enum result
read_bytes(struct world *w, uint64_t segment, uint64_t from, uint64_t count,
    struct span *bytes)
{
	struct index_read_request q = { .grant = w->grant,
		.mailbox = w->inbox };
	struct index_read_reply r = { 0 };
	struct text t = TEXT_INIT(0);

	index_range_put(&t, &(struct index_range){ segment, from, count });
	q.ranges = BLOB_OF(text_span(&t));
	verb_index_read(w->f.store, &from_index, w->arena, &q, &r);
	text_free(&t);
	*bytes = r.data.bytes;
	return r.result;
}

/* The texts of a lease's messages, a bar behind each. */
static const char *
messages(struct world *w, uint64_t id, uint32_t from, uint64_t limit,
    uint32_t *next)
{
	struct index_messages_request q = { .lease = id, .from = from,
		.limit = limit };
	struct index_messages_reply r = { 0 };
	struct message_bytes m;
	struct cursor c = { 0 };
	struct text t = TEXT_INIT(0);
	const char *all;

	verb_index_messages(w->f.store, &from_index, w->arena, &q, &r);
	assert_int_equal(r.result, RESULT_OK);
	c.rest = r.bodies.bytes;
	while (message_bytes_get(&c, &m) == 1)
		text_printf(&t, "%u:%.*s|", m.uid, SPAN_ARG(m.data));
	*next = r.next;
	all = arena_cstr(w->arena, text_span(&t));
	text_free(&t);
	return all;
}

/* ---- the way of a segment -------------------------------------------- */

static void
built_and_read(void **state)
{
	struct world *w = *state;
	struct index_lease_reply l;
	struct index_segment row;
	struct span bytes;
	uint32_t next;

	lease(w, INDEX_NOTHING, 0, 0);
	append(w, "one");
	append(w, "two");
	append(w, "three");
	l = lease(w, INDEX_BUILD, 1, 3);
	assert_string_equal(messages(w, l.lease, 1, 6, &next),
	    "1:one|2:two|");
	assert_int_equal(next, 3);
	assert_string_equal(messages(w, l.lease, next, 1, &next), "3:three|");
	assert_int_equal(next, 0);
	assert_int_equal(save(w, l.lease, 4, 3, SPAN("bytes")),
	    RESULT_INVALID);
	assert_int_equal(save(w, l.lease, 2, 2, SPAN("bytes")), RESULT_OK);
	assert_int_equal(save(w, l.lease, 2, 2, SPAN("bytes")),
	    RESULT_NOT_FOUND);
	assert_int_equal(segments(w, &row), 1);
	assert_int_equal(row.first, 1);
	assert_int_equal(row.last, 2);
	assert_int_equal(row.messages, 2);
	assert_int_equal(row.size, 5);
	assert_int_equal(read_bytes(w, row.segment, 1, 3, &bytes), RESULT_OK);
	assert_true(span_is(bytes, "yte"));
	assert_int_equal(read_bytes(w, row.segment, 1, 5, &bytes),
	    RESULT_INVALID);
	assert_int_equal(read_bytes(w, row.segment + 1, 0, 1, &bytes),
	    RESULT_NOT_FOUND);
	l = lease(w, INDEX_BUILD, 3, 3);
	assert_int_equal(save(w, l.lease, 3, 1, SPAN("more")), RESULT_OK);
	lease(w, INDEX_NOTHING, 0, 0);
}

static void
a_large_segment(void **state)
{
	struct world *w = *state;
	struct index_lease_reply l;
	struct index_segment row;
	struct span bytes;
	size_t n = 3 << 20;
	char *p = xcalloc(n, 1);

	p[n - 1] = 'z';
	append(w, "one");
	l = lease(w, INDEX_BUILD, 1, 1);
	assert_int_equal(save(w, l.lease, 1, 1, span_of(p, n)), RESULT_OK);
	assert_int_equal(segments(w, &row), 1);
	assert_int_equal(read_bytes(w, row.segment, n - 2, 2, &bytes),
	    RESULT_OK);
	assert_memory_equal(bytes.p, "\0z", 2);
	free(p);
}

static void
build_one(struct world *w, uint32_t uid)
{
	struct index_lease_reply l;

	append(w, "text");
	l = lease(w, INDEX_BUILD, uid, uid);
	assert_int_equal(save(w, l.lease, uid, 1, SPAN("segment")),
	    RESULT_OK);
}

static void
many_are_merged(void **state)
{
	struct world *w = *state;
	struct index_lease_reply l;
	struct index_segment row;
	struct uid_range range;
	struct cursor c = { 0 };

	for (uint32_t uid = 1; uid <= 4; uid++)
		build_one(w, uid);
	expunge(w, 2, 2);
	/* What is gone altogether goes at once; the others become one. */
	append(w, "text");
	l = lease(w, INDEX_BUILD, 5, 5);
	assert_int_equal(save(w, l.lease, 5, 1, SPAN("segment")), RESULT_OK);
	l = lease(w, INDEX_MERGE, 1, 5);
	assert_int_equal(segments(w, &row), 4);
	c.rest = l.present.bytes;
	assert_int_equal(uid_range_get(&c, &range), 1);
	assert_int_equal(range.last, 1);
	assert_int_equal(uid_range_get(&c, &range), 1);
	assert_int_equal(range.first, 3);
	assert_int_equal(range.last, 5);
	assert_int_equal(uid_range_get(&c, &range), 0);
	assert_int_equal(save(w, l.lease, 4, 4, SPAN("merged")),
	    RESULT_INVALID);
	assert_int_equal(save(w, l.lease, 5, 4, SPAN("merged")), RESULT_OK);
	assert_int_equal(segments(w, &row), 1);
	assert_int_equal(row.messages, 4);
	lease(w, INDEX_NOTHING, 0, 0);
}

/* ---- mail that keeps coming ------------------------------------------ */

static void
set_clock(int64_t ms)
{
	clock_test_set((monotime_t){ ms }, clock_wall());
}

static void
mail_is_gathered(void **state)
{
	struct world *w = *state;
	struct index_lease_reply l;

	lease(w, INDEX_NOTHING, 0, 0);
	w->f.settings.index_gather = 3000;
	set_clock(5000);
	append(w, "one");
	l = lease(w, INDEX_BUILD, 1, 1);
	append(w, "two");
	assert_int_equal(save(w, l.lease, 1, 1, SPAN("1")), RESULT_OK);
	l = lease(w, INDEX_NOTHING, 0, 0);
	assert_int_equal(l.pause_ms, 3000);
	assert_int_equal(index_waiting(w->f.store->indexing), 1);
	append(w, "three");
	set_clock(7999);
	l = lease(w, INDEX_NOTHING, 0, 0);
	assert_int_equal(l.pause_ms, 20);
	set_clock(8000);
	l = lease(w, INDEX_BUILD, 2, 3);
	assert_int_equal(save(w, l.lease, 3, 2, SPAN("2")), RESULT_OK);
	lease(w, INDEX_NOTHING, 0, 0);
	assert_int_equal(index_waiting(w->f.store->indexing), 0);
	clock_test_clear();
}

/* What came since the visit began is found after a start, too. */
static void
gathered_over_a_start(void **state)
{
	struct world *w = *state;
	struct index_lease_reply l;

	lease(w, INDEX_NOTHING, 0, 0);
	w->f.settings.index_gather = 3000;
	append(w, "one");
	l = lease(w, INDEX_BUILD, 1, 1);
	append(w, "two");
	assert_int_equal(save(w, l.lease, 1, 1, SPAN("1")), RESULT_OK);
	lease(w, INDEX_NOTHING, 0, 0);
	indexing_free(&w->f.store->indexing);
	w->f.store->indexing = indexing_new(w->f.store);
	lease(w, INDEX_BUILD, 2, 2);
}

/* The bodies of segments that nothing links to are gone. */
static uint64_t
bodies(struct world *w)
{
	struct engine_stats stats;

	assert_true(engine_collect(w->f.engine, false, 0) >= 0);
	engine_stats(w->f.engine, &stats);
	return stats.bodies;
}

static void
expunged_words_leave(void **state)
{
	struct world *w = *state;
	struct index_lease_reply l;
	struct index_segment row;

	append(w, "one");
	append(w, "two");
	l = lease(w, INDEX_BUILD, 1, 2);
	assert_int_equal(save(w, l.lease, 2, 2, SPAN("both")), RESULT_OK);
	lease(w, INDEX_NOTHING, 0, 0);
	expunge(w, 1, 1);
	l = lease(w, INDEX_MERGE, 1, 2);
	assert_int_equal(save(w, l.lease, 2, 1, SPAN("the other")),
	    RESULT_OK);
	assert_int_equal(segments(w, &row), 1);
	assert_int_equal(row.size, 9);
	lease(w, INDEX_NOTHING, 0, 0);
	expunge(w, 2, 2);
	lease(w, INDEX_NOTHING, 0, 0);
	assert_int_equal(segments(w, &row), 0);
	assert_int_equal(bodies(w), 0);
}

static void
gone_with_the_mailbox(void **state)
{
	struct world *w = *state;
	struct mailbox_create_request made = { .grant = w->grant,
		.token = token_new(), .name = SPAN("box") };
	struct mailbox_create_reply box = { 0 };
	struct mailbox_delete_request gone = { .grant = w->grant,
		.name = SPAN("box") };
	struct mailbox_delete_reply deleted = { 0 };
	uint64_t id = 0;

	verb_mailbox_create(w->f.store, &from_access, w->arena, &made, &box);
	w->inbox = box.mailbox;
	build_one(w, 1);
	build_one(w, 2);
	verb_mailbox_delete(w->f.store, &from_access, w->arena, &gone,
	    &deleted);
	assert_int_equal(deleted.result, RESULT_OK);
	mailboxes_maintain(w->f.store->mailboxes);
	assert_int_equal(engine_next_partition(w->f.engine, PARTITION_INDEX,
	    box.mailbox - 1, &id) == 1 && id == box.mailbox, 0);
	assert_int_equal(bodies(w), 0);
	lease(w, INDEX_NOTHING, 0, 0);
}

/* ---- what does not come back ----------------------------------------- */

static void
what_nobody_came_back_from(void **state)
{
	struct world *w = *state;
	struct index_lease_reply l;
	uint32_t next;

	for (int i = 0; i < 20; i++)
		append(w, "poison");
	lease(w, INDEX_BUILD, 1, 20);
	lease(w, INDEX_BUILD, 1, 20);
	lease(w, INDEX_BUILD, 1, 16);
	lease(w, INDEX_BUILD, 1, 1);
	index_link_gone(w->f.store, from_index.link);
	l = lease(w, INDEX_BUILD, 1, 1);
	assert_string_equal(messages(w, l.lease, 1, 1000, &next), "1:poison|");
	l = lease(w, INDEX_BUILD, 1, 1);
	assert_string_equal(messages(w, l.lease, 1, 1000, &next), "1:|");
	assert_int_equal(save(w, l.lease, 1, 1, SPAN("unread")), RESULT_OK);
	l = lease(w, INDEX_BUILD, 2, 20);
	assert_int_equal(save(w, l.lease, 20, 19, SPAN("read")), RESULT_OK);
	lease(w, INDEX_NOTHING, 0, 0);
}

static void
too_large_to_read(void **state)
{
	struct world *w = *state;
	struct index_lease_reply l;
	uint32_t next;

	w->f.settings.index_max_message = 10;
	append(w, "this is too long");
	append(w, "short");
	l = lease(w, INDEX_BUILD, 1, 2);
	assert_string_equal(messages(w, l.lease, 1, 1000, &next),
	    "1:|2:short|");
}

static void
a_lease_is_of_one(void **state)
{
	struct world *w = *state;
	struct index_messages_request q = { .from = 1, .limit = 1000 };
	struct index_messages_reply r = { 0 };
	struct index_save_request s = { .last = 1, .messages = 1,
		.segment = BLOB_OF(SPAN("forged")) };
	struct index_save_reply saved = { 0 };
	struct index_lease_reply l;

	append(w, "one");
	l = lease(w, INDEX_BUILD, 1, 1);
	q.lease = s.lease = l.lease;
	verb_index_messages(w->f.store, &another, w->arena, &q, &r);
	assert_int_equal(r.result, RESULT_NOT_FOUND);
	verb_index_save(w->f.store, &another, w->arena, &s, &saved);
	assert_int_equal(saved.result, RESULT_NOT_FOUND);
	q.lease++;
	verb_index_messages(w->f.store, &from_index, w->arena, &q, &r);
	assert_int_equal(r.result, RESULT_NOT_FOUND);
}

/* ---- starts, repairs ------------------------------------------------- */

static void
after_a_start(void **state)
{
	struct world *w = *state;
	struct index_lease_reply l;
	struct index_segment row;

	append(w, "one");
	l = lease(w, INDEX_BUILD, 1, 1);
	assert_int_equal(save(w, l.lease, 1, 1, SPAN("one")), RESULT_OK);
	lease(w, INDEX_NOTHING, 0, 0);
	fixture_reopen(&w->f);
	w->grant = grant_of(&w->f, "ann@example.test");
	lease(w, INDEX_NOTHING, 0, 0);
	append(w, "two");
	fixture_reopen(&w->f);
	w->grant = grant_of(&w->f, "ann@example.test");
	l = lease(w, INDEX_BUILD, 2, 2);
	assert_int_equal(save(w, l.lease, 2, 1, SPAN("two")), RESULT_OK);
	assert_int_equal(segments(w, &row), 2);
}

static void
rebuilt_by_wish(void **state)
{
	struct world *w = *state;
	struct index_rebuild_request q = { .grant = w->grant,
		.mailbox = w->inbox };
	struct index_rebuild_reply r = { 0 };
	struct index_status_request ask = { .after = 0 };
	struct index_status_reply told = { 0 };
	struct index_segment row;

	build_one(w, 1);
	verb_index_status(w->f.store, &from_cli, w->arena, &ask, &told);
	assert_int_equal(told.messages, 1);
	assert_int_equal(told.indexed, 1);
	assert_int_equal(told.segments, 1);
	assert_int_equal(told.bytes, 7);
	verb_index_rebuild(w->f.store, &from_cli, w->arena, &q, &r);
	assert_int_equal(r.result, RESULT_OK);
	assert_int_equal(segments(w, &row), 0);
	lease(w, INDEX_BUILD, 1, 1);
}

static void
damage_is_built_anew(void **state)
{
	struct world *w = *state;
	struct partition p = { PARTITION_INDEX, w->inbox };
	struct batch *b = batch_new(p);
	struct key key = index_key(5);
	struct index_segment row;
	struct index_drop_request q = { .grant = w->grant,
		.mailbox = w->inbox };
	struct index_drop_reply r = { 0 };

	build_one(w, 1);
	batch_put(b, key_span(&key), SPAN("\xff nonsense"));
	assert_int_equal(engine_commit(w->f.engine, b, NULL), 1);
	batch_free(&b);
	assert_int_equal(segments(w, &row), 1);
	q.segment = row.segment;
	verb_index_drop(w->f.store, &from_index, w->arena, &q, &r);
	assert_int_equal(r.result, RESULT_OK);
	assert_int_equal(segments(w, &row), 0);
	lease(w, INDEX_BUILD, 1, 1);
}

/* A body that is lost is found by the check. */
static void
checked_and_repaired(void **state)
{
	struct world *w = *state;
	struct index_entry e = { .segment = 9, .body = { { 9 } }, .first = 1,
		.last = 1, .messages = 1, .size = 4 };
	struct partition p = { PARTITION_INDEX, w->inbox };
	struct batch *b = batch_new(p);
	struct key key = index_key(9);
	struct text t = TEXT_INIT(0), report = TEXT_INIT(0);
	struct index_segment row;

	append(w, "one");
	index_encode(&t, &e);
	batch_put(b, key_span(&key), text_span(&t));
	assert_int_equal(engine_commit(w->f.engine, b, NULL), 1);
	batch_free(&b);
	assert_int_equal(segments(w, &row), 1);
	assert_int_equal(index_check(w->f.store, w->inbox, false, &report), 1);
	assert_int_equal(segments(w, &row), 1);
	assert_int_equal(index_check(w->f.store, w->inbox, true, &report), 1);
	assert_int_equal(segments(w, &row), 0);
	assert_int_equal(index_check(w->f.store, w->inbox, true, &report), 0);
	lease(w, INDEX_BUILD, 1, 1);
	text_free(&t);
	text_free(&report);
}

static void
turned_off(void **state)
{
	struct world *w = *state;

	w->f.settings.index_enabled = false;
	append(w, "one");
	lease(w, INDEX_NOTHING, 0, 0);
	/* What came meanwhile is found when it is turned on. */
	w->f.settings.index_enabled = true;
	lease(w, INDEX_BUILD, 1, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(built_and_read),
		TEST(a_large_segment),
		TEST(many_are_merged),
		TEST(mail_is_gathered),
		TEST(gathered_over_a_start),
		TEST(expunged_words_leave),
		TEST(gone_with_the_mailbox),
		TEST(what_nobody_came_back_from),
		TEST(too_large_to_read),
		TEST(a_lease_is_of_one),
		TEST(after_a_start),
		TEST(rebuilt_by_wish),
		TEST(damage_is_built_anew),
		TEST(checked_and_repaired),
		TEST(turned_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_mailbox_record.c - sets of UIDs, keys, records and the arrays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "store/mailbox_table.h"
#include "store/names_record.h"

#include <stdlib.h>

/* ---- sets ------------------------------------------------------------ */

static void
test_uids(void **state)
{
	struct uids u = { 0 }, back = { 0 };
	struct text t = TEXT_INIT(0);
	struct cursor c = { 0 };

	(void)state;
	uids_add(&u, 3, 5);
	uids_add(&u, 6, 6);
	uids_add(&u, 6, 9);
	uids_add(&u, 20, 20);
	uids_add(&u, UINT32_MAX - 1, UINT32_MAX);
	assert_int_equal(u.n, 3);
	assert_int_equal(uids_count(&u), 7 + 1 + 2);
	assert_true(uids_have(&u, 3) && uids_have(&u, 9));
	assert_true(uids_have(&u, UINT32_MAX));
	assert_false(uids_have(&u, 2) || uids_have(&u, 10));
	uids_put(&t, &u);
	assert_true(t.n <= uids_put_max(u.n));
	c.rest = text_span(&t);
	uids_get(&c, &back);
	assert_false(c.bad);
	assert_int_equal(c.rest.n, 0);
	assert_int_equal(back.n, 3);
	assert_memory_equal(back.at, u.at, 3 * sizeof(*u.at));
	for (size_t cut = 0; cut < t.n; cut++) {
		c = (struct cursor){ .rest = span_of(t.p, cut) };
		uids_get(&c, &back);
		assert_true(c.bad);
	}
	uids_free(&u);
	uids_free(&back);
	text_free(&t);
}

static void
test_uids_of_the_contract(void **state)
{
	static const struct uid_range given[] = {
		{ 9, 12 }, { 1, 1 }, { 11, 30 }, { 2, 4 }, { 40, 40 },
	};
	struct text t = TEXT_INIT(0);
	struct arena *arena = arena_new(10000);
	struct uids u = { 0 };
	struct span records;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(given); i++)
		uid_range_put(&t, &given[i]);
	assert_int_equal(uids_read(&u, text_span(&t)), 1);
	assert_int_equal(u.n, 3);
	assert_int_equal(u.at[0].last, 4);
	assert_int_equal(u.at[1].first, 9);
	assert_int_equal(u.at[1].last, 30);
	assert_int_equal(uids_write(&u, arena, &records), 1);
	assert_int_equal(records.n, 24);
	assert_int_equal(uids_read(&u, span_sub(records, 0, 23)), 0);
	text_clear(&t);
	uid_range_put(&t, &(struct uid_range){ 0, 4 });
	assert_int_equal(uids_read(&u, text_span(&t)), 0);
	text_clear(&t);
	uid_range_put(&t, &(struct uid_range){ 5, 4 });
	assert_int_equal(uids_read(&u, text_span(&t)), 0);
	uids_free(&u);
	text_free(&t);
	arena_free(&arena);
}

/* ---- keys ------------------------------------------------------------ */

static void
test_keys(void **state)
{
	struct key a = key_u64(MAILBOX_TAIL, 255);
	struct key b = key_u64(MAILBOX_TAIL, 256);
	struct token token = token_new(), back;
	struct key k;
	uint64_t v;
	uint32_t uid;

	(void)state;
	assert_true(span_compare(key_span(&a), key_span(&b)) < 0);
	assert_int_equal(key_read_u64(key_span(&b), &v), 1);
	assert_int_equal(v, 256);
	assert_int_equal(key_read_u64(SPAN("t1234567"), &v), 0);
	k = key_token(MAILBOX_DELIVERED, &token);
	assert_int_equal(key_read_token(key_span(&k), &back), 1);
	assert_memory_equal(&token, &back, sizeof(token));
	k = key_chunk(5000);
	assert_int_equal(key_read_chunk(key_span(&k), &uid), 1);
	assert_int_equal(uid, 5000 / CHUNK_UIDS * CHUNK_UIDS);
	k = key_chunk(UINT32_MAX);
	assert_int_equal(key_read_chunk(key_span(&k), &uid), 1);
	assert_int_equal(key_read_chunk(SPAN("c\xff\xff\xff\xff"), &uid), 0);
	k = message_holder(77, 88);
	assert_int_equal(message_holder_read(key_span(&k), &v, &uid), 1);
	assert_int_equal(v, 77);
	assert_int_equal(uid, 88);
	assert_int_equal(message_holder_read(SPAN("queue"), &v, &uid), 0);
}

/* ---- records: cut anywhere they are refused -------------------------- */

typedef int decode_fn(struct span);

static void
cut_anywhere(const struct text *t, decode_fn *decode)
{
	struct span s = text_span(t);
	char later[1];

	for (size_t cut = 0; cut < s.n; cut++)
		assert_int_equal(decode(span_sub(s, 0, cut)), 0);
	/* A later version is not ours to read. */
	later[0] = t->p[0];
	t->p[0]++;
	assert_int_equal(decode(s), 0);
	t->p[0] = later[0];
	assert_int_equal(decode(s), 1);
}

static int
decode_chunk(struct span s)
{
	struct row rows[CHUNK_UIDS];
	size_t n;

	return chunk_decode(s, 1024, rows, &n);
}

static void
test_chunk(void **state)
{
	struct row rows[3], back[CHUNK_UIDS];
	struct text t = TEXT_INIT(0);
	size_t n;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		memset(&rows[i], (int)(i + 1), sizeof(rows[i]));
		rows[i].uid = (uint32_t)(1024 + i * 500);
	}
	chunk_encode(&t, rows, 3);
	assert_int_equal(chunk_decode(text_span(&t), 1024, back, &n), 1);
	assert_int_equal(n, 3);
	assert_memory_equal(back, rows, sizeof(rows));
	assert_int_equal(chunk_decode(text_span(&t), 0, back, &n), 0);
	cut_anywhere(&t, decode_chunk);
	rows[2].uid = rows[1].uid;
	text_clear(&t);
	chunk_encode(&t, rows, 3);
	assert_int_equal(decode_chunk(text_span(&t)), 0);
	text_free(&t);
}

/* Whatever numbers there are, in as few bytes as they need. */
static void
test_chunk_columns(void **state)
{
	static struct row rows[CHUNK_UIDS], back[CHUNK_UIDS];
	struct text t = TEXT_INIT(0);
	size_t n;

	(void)state;
	for (uint32_t i = 0; i < CHUNK_UIDS; i++)
		rows[i] = (struct row){ .uid = 2048 + i, .modseq = 70000 + i,
		    .size = 5000 + i % 256, .save_date = -5 };
	chunk_encode(&t, rows, CHUNK_UIDS);
	assert_int_equal(t.n, 5 + 7 * 9 + CHUNK_UIDS * (1 + 16));
	assert_int_equal(chunk_decode(text_span(&t), 2048, back, &n), 1);
	assert_int_equal(n, CHUNK_UIDS);
	assert_memory_equal(back, rows, sizeof(rows));
	for (uint64_t i = 0; i < CHUNK_UIDS; i++) {
		uint64_t wide = (i + 1) << i % 64;

		rows[i].size = (uint32_t)~wide;
		rows[i].flags = wide;
		rows[i].modseq = ~wide;
		rows[i].internal_date = (int64_t)(i % 2 == 0 ? wide : ~wide);
		rows[i].save_date = i % 2 == 0 ? INT64_MIN : INT64_MAX;
		rows[i].thread = wide * UINT64_C(0x9e3779b97f4a7c15);
		rows[i].body.b[i % 16] = (unsigned char)i;
	}
	for (n = CHUNK_UIDS; n > 0; n /= 2) {
		size_t found;

		text_clear(&t);
		chunk_encode(&t, rows, n);
		assert_int_equal(chunk_decode(text_span(&t), 2048, back,
		    &found), 1);
		assert_int_equal(found, n);
		assert_memory_equal(back, rows, n * sizeof(rows[0]));
	}
	text_free(&t);
}

/* As the first stores have it. */
static void
test_chunk_of_rows(void **state)
{
	struct row rows[CHUNK_UIDS];
	struct text t = TEXT_INIT(0);
	size_t n;

	(void)state;
	put_u8(&t, 1);
	put_u32(&t, 2);
	for (uint32_t i = 1; i <= 2; i++) {
		put_u32(&t, 1024 * i - i);	/* uid: 1023, 2046 */
		put_u32(&t, 100 * i);
		for (uint64_t v = 3; v <= 6; v++)
			put_u64(&t, v * i);
		put_raw(&t, "0123456789abcdef", 16);
		put_u64(&t, 7 * i);
	}
	assert_int_equal(chunk_decode(text_span(&t), 1024, rows, &n), 0);
	t.p[5] = 0;
	t.p[6] = 4;				/* uid 1024 */
	assert_int_equal(chunk_decode(text_span(&t), 1024, rows, &n), 1);
	assert_int_equal(n, 2);
	assert_int_equal(rows[0].uid, 1024);
	assert_int_equal(rows[1].uid, 2046);
	assert_int_equal(rows[1].size, 200);
	assert_int_equal(rows[1].flags, 6);
	assert_int_equal(rows[1].modseq, 8);
	assert_int_equal(rows[1].save_date, 12);
	assert_int_equal(rows[1].thread, 14);
	assert_memory_equal(rows[1].body.b, "0123456789abcdef", 16);
	text_free(&t);
}

static int
decode_head(struct span s)
{
	struct mailbox_head head;

	return head_decode(s, &head);
}

static void
test_head(void **state)
{
	struct mailbox_head head = { .account = 1, .uidvalidity = 2,
	    .uidnext = 3, .modseq = 4, .forgotten = 5, .keyword_count = 2,
	    .keywords = { SPAN("blue"), SPAN("green") } }, back;
	struct text t = TEXT_INIT(0);

	(void)state;
	head_encode(&t, &head);
	assert_int_equal(head_decode(text_span(&t), &back), 1);
	assert_int_equal(back.account, 1);
	assert_int_equal(back.uidvalidity, 2);
	assert_int_equal(back.uidnext, 3);
	assert_int_equal(back.modseq, 4);
	assert_int_equal(back.forgotten, 5);
	assert_true(span_is(back.keywords[1], "green"));
	cut_anywhere(&t, decode_head);
	text_free(&t);
}

static int
decode_stones(struct span s)
{
	struct tombstone stones[TOMBSTONE_PAGE];
	size_t n;

	return tombstones_decode(s, stones, &n);
}

static int
decode_done(struct span s)
{
	struct done done[DONE_MAX];
	size_t n;
	int status = done_decode(s, done, &n);

	for (size_t i = 0; i < n; i++)
		uids_free(&done[i].sources);
	return status;
}

static void
test_stones_and_tokens(void **state)
{
	static const struct tombstone stones[2] = { { 1, 5, 7 }, { 3, 3, 9 } };
	struct done done[2] = { { .first = 4, .count = 2 }, { .first = 9 } };
	struct text t = TEXT_INIT(0);

	(void)state;
	tombstones_encode(&t, stones, 2);
	cut_anywhere(&t, decode_stones);
	text_clear(&t);
	uids_add(&done[0].sources, 5, 6);
	done_encode(&t, done, 2);
	cut_anywhere(&t, decode_done);
	uids_free(&done[0].sources);
	text_free(&t);
}

static int
decode_change(struct span s)
{
	struct change change = { 0 };
	int status = change_decode(s, 5, &change);

	change_free(&change);
	return status;
}

static void
test_changes(void **state)
{
	struct row rows[2] = { { .uid = 4 }, { .uid = 9, .size = 3 } };
	struct change change = { .kind = CHANGE_ADD, .rows = rows,
	    .row_count = 2, .total = 2, .token = token_new(),
	    .defined = UINT64_C(3) << FLAG_KEYWORD_0,
	    .names = { SPAN("a"), SPAN("b") } }, back = { 0 };
	struct text t = TEXT_INIT(0);

	(void)state;
	uids_add(&change.uids, 100, 200);
	change_encode(&t, &change);
	assert_int_equal(change_decode(text_span(&t), 8, &back), 1);
	assert_int_equal(back.row_count, 2);
	assert_int_equal(back.rows[1].uid, 9);
	assert_int_equal(back.rows[1].modseq, 8);
	assert_int_equal(back.total, 2);
	assert_true(span_is(back.names[1], "b"));
	assert_int_equal(back.uids.at[0].last, 200);
	cut_anywhere(&t, decode_change);
	text_clear(&t);
	change.kind = CHANGE_FLAGS;
	change.mode = STORE_REMOVE;
	change.flags = 77;
	change_encode(&t, &change);
	/* The same struct takes the next. */
	assert_int_equal(change_decode(text_span(&t), 9, &back), 1);
	assert_int_equal(back.mode, STORE_REMOVE);
	assert_int_equal(back.flags, 77);
	assert_int_equal(back.row_count, 0);
	cut_anywhere(&t, decode_change);
	uids_free(&change.uids);
	change_free(&back);
	text_free(&t);
}

static int
decode_name(struct span s)
{
	struct mailbox_name name;

	return mailbox_name_decode(s, &name);
}

static int
decode_intent(struct span s)
{
	struct intent intent = { 0 };
	int status = intent_decode(s, &intent);

	uids_free(&intent.uids);
	return status;
}

static void
test_names(void **state)
{
	struct mailbox_name name = { .name = SPAN("a/b"), .use = USE_SENT,
	    .uidvalidity = 12 };
	struct intent intent = { .kind = INTENT_MOVE, .source = 1,
	    .target = 2 };
	struct text t = TEXT_INIT(0);

	(void)state;
	mailbox_name_encode(&t, &name);
	cut_anywhere(&t, decode_name);
	text_clear(&t);
	uids_add(&intent.uids, 5, 9);
	intent_encode(&t, &intent);
	cut_anywhere(&t, decode_intent);
	uids_free(&intent.uids);
	text_free(&t);
}

/* ---- the arrays ------------------------------------------------------ */

static void
apply_all(struct table *t, struct change *changes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		table_apply(t, &changes[i]);
}

/* A tail read over what knows it already alters nothing. */
static void
test_apply_twice(void **state)
{
	struct row rows[5];
	struct uid_range all = { 1, 5 }, two = { 2, 3 }, one = { 3, 3 };
	struct change changes[] = {
		{ .kind = CHANGE_ADD, .modseq = 2, .rows = rows,
		    .row_count = 5, .total = 5 },
		{ .kind = CHANGE_FLAGS, .modseq = 3, .mode = STORE_ADD,
		    .flags = FLAG_SEEN | FLAG_DELETED,
		    .uids = { .at = &all, .n = 1 } },
		{ .kind = CHANGE_FLAGS, .modseq = 4, .mode = STORE_REMOVE,
		    .flags = FLAG_DELETED, .uids = { .at = &two, .n = 1 } },
		{ .kind = CHANGE_EXPUNGE, .modseq = 5,
		    .uids = { .at = &one, .n = 1 } },
	};
	struct mailbox_head head = { .account = 1, .uidvalidity = 1,
	    .uidnext = 1, .modseq = 1 };
	struct table t = { 0 }, again = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		rows[i] = (struct row){ .uid = i + 1, .size = 10,
		    .modseq = 2 };
	table_set_head(&t, &head);
	apply_all(&t, changes, ARRAY_LEN(changes));
	assert_int_equal(t.n, 4);
	assert_int_equal(t.unseen, 0);
	assert_int_equal(t.deleted, 3);
	assert_int_equal(t.bytes, 40);
	assert_int_equal(t.uidnext, 6);
	/* Chunks written, the head not: as a fold that was cut short. */
	memcpy(table_room(&again, t.n), t.rows, t.n * sizeof(*t.rows));
	assert_int_equal(table_added(&again, t.n), 1);
	table_set_head(&again, &head);
	assert_int_equal(table_ready(&again), 1);
	apply_all(&again, changes, ARRAY_LEN(changes));
	assert_int_equal(again.n, t.n);
	assert_memory_equal(again.rows, t.rows, t.n * sizeof(*t.rows));
	assert_int_equal(again.deleted, 3);
	assert_int_equal(again.modseq, 5);
	table_free(&t);
	table_free(&again);
}

static void
test_touched(void **state)
{
	struct table t = { 0 };
	struct mailbox_head head = { .uidvalidity = 1, .uidnext = 1 };
	struct row row = { 0 };
	struct change change = { .kind = CHANGE_ADD, .rows = &row,
	    .row_count = 1, .total = 1 };
	struct uids uids = { 0 };

	(void)state;
	table_set_head(&t, &head);
	for (uint32_t i = 1; i <= 5000; i++) {
		row.uid = i;
		row.modseq = change.modseq = i;
		table_apply(&t, &change);
	}
	table_changed(&t, 5000, &uids);
	assert_int_equal(uids.n, 0);
	table_changed(&t, 4998, &uids);
	assert_int_equal(uids.n, 1);
	assert_int_equal(uids.at[0].first, 4999);
	assert_int_equal(uids.at[0].last, 5000);
	table_changed(&t, 100, &uids);
	assert_int_equal(uids.at[0].first, 1);
	assert_int_equal(uids.at[0].last, UINT32_MAX);
	uids_free(&uids);
	table_free(&t);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uids),
		cmocka_unit_test(test_uids_of_the_contract),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_chunk),
		cmocka_unit_test(test_chunk_columns),
		cmocka_unit_test(test_chunk_of_rows),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_stones_and_tokens),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_apply_twice),
		cmocka_unit_test(test_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

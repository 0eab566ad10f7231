/*
 * test_imap_uids.c - runs of UIDs against a plain table of them; the lines
 * that are made in place against those made of texts; QRESYNC's parameter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imap/imap_resync.h"
#include "imap/imap_rows.h"
#include "imap/imap_uids.h"
#include "ipc/wire.h"

enum { HIGHEST = 60 };

static unsigned seed;

static unsigned
chance(unsigned n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % n;
}

/* -- runs ---- */

static void
same(const struct imap_uids *u, const bool *have)
{
	uint32_t below = 0, last = 0;

	for (uint32_t uid = 1; uid <= HIGHEST; uid++) {
		assert_int_equal(imap_uids_have(u, uid), have[uid]);
		assert_int_equal(imap_uids_below(u, uid), below);
		if (have[uid]) {
			below++;
			last = uid;
		}
	}
	assert_int_equal(imap_uids_count(u), below);
	assert_int_equal(imap_uids_last(u), last);
	for (uint32_t i = u->from; i + 1 < u->to; i++)
		assert_true(u->runs[i].last + 1 < u->runs[i + 1].first);
}

static struct imap_uids
some(bool *have)
{
	struct imap_uids u = { .runs = NULL };

	memset(have, 0, HIGHEST + 1);
	for (uint32_t uid = 1; uid <= HIGHEST; uid++)
		if (chance(3) == 0) {
			have[uid] = true;
			imap_uids_append(&u, uid, uid);
		}
	return u;
}

static void
change(struct imap_uids *u, bool *have)
{
	bool others[HIGHEST + 1];
	struct imap_uids more = some(others);
	uint32_t first = 1 + chance(HIGHEST), last = first + chance(8);
	unsigned what = chance(4);

	if (what == 0)
		imap_uids_merge(u, &more);
	else if (what == 1)
		imap_uids_subtract(u, &more);
	else
		imap_uids_remove(u, what == 2 ? first : 1, last);
	for (uint32_t uid = 1; uid <= HIGHEST; uid++) {
		if (what == 0)
			have[uid] = have[uid] || others[uid];
		else if (what == 1)
			have[uid] = have[uid] && !others[uid];
		else if (uid <= last && (what == 3 || uid >= first))
			have[uid] = false;
	}
	imap_uids_free(&more);
}

static void
test_runs(void **state)
{
	bool have[HIGHEST + 1];

	(void)state;
	for (seed = 1; seed < 400; seed += 2) {
		unsigned at = seed;
		struct imap_uids u = some(have);

		for (int i = 0; i < 20; i++) {
			same(&u, have);
			change(&u, have);
		}
		same(&u, have);
		imap_uids_free(&u);
		seed = at;
	}
}

/* Coarser is more, and never less. */
static void
test_coarser(void **state)
{
	struct imap_uids u = { .runs = NULL };
	struct text text = TEXT_INIT(0);

	(void)state;
	for (uint32_t uid = 2; uid <= 40; uid += 2)
		imap_uids_append(&u, uid, uid);
	imap_uids_coarsen(&u, 20);
	assert_int_equal(u.to - u.from, 20);
	imap_uids_coarsen(&u, 3);
	imap_uids_add(&u, &text);
	assert_true(span_is(text_span(&text), "2:14,16:28,30:40"));
	text_free(&text);
	imap_uids_free(&u);
}

/* -- lines ---- */

static void
test_lines(void **state)
{
	static const uint64_t flags[] = { 0, FLAG_SEEN, FLAG_SEEN |
	    FLAG_DELETED, UINT64_C(1) << FLAG_KEYWORD_0, 0 };
	static const char *const expected =
	    "* 1 FETCH (UID 7 FLAGS () MODSEQ (1))\r\n"
	    "* 2 FETCH (UID 8 FLAGS (\\Seen \\Recent) MODSEQ (2))\r\n"
	    "* 3 FETCH (UID 9 FLAGS (\\Deleted \\Seen \\Recent) MODSEQ (3))\r\n"
	    "* 4 FETCH (UID 10 FLAGS (\\Recent Work) MODSEQ (4))\r\n"
	    "* 5 FETCH (UID 4294967294 FLAGS (\\Recent) "
	    "MODSEQ (4611686018427387904))\r\n";
	struct imap_fetch_item items[] = { { .kind = IMAP_FETCH_UID },
	    { .kind = IMAP_FETCH_FLAGS } };
	struct imap_fetch fetch = { .items = items, .count = 2,
	    .shows_flags = true };
	struct mailbox_open_reply open = { .uidnext = UINT32_MAX,
	    .highestmodseq = 1, .keywords = SPAN("Work") };
	struct text rows = TEXT_INIT(0), out = TEXT_INIT(0);
	struct imap_model m;
	struct imap_view v;
	struct imap_rows r;

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(flags); i++)
		message_row_put(&rows, &(struct message_row){
		    .uid = i < 4 ? 7 + i : UINT32_MAX - 1, .size = 99,
		    .flags = flags[i],
		    .modseq = i < 4 ? i + 1 : UINT64_C(1) << 62 });
	open.rows = BLOB_OF(text_span(&rows));
	assert_int_equal(imap_model_open(&m, &open, 100), 1);
	imap_view_attach(&v, &m, 8);
	assert_true(imap_rows_can(&fetch));
	imap_rows_begin(&r, &v, &fetch, false, true);
	for (uint32_t i = 0; i < ARRAY_LEN(flags); i++)
		imap_rows_add(&r, &out, imap_view_row(&v, i), i + 1);
	assert_true(span_is(text_span(&out), expected));
	imap_rows_end(&r);

	text_clear(&out);
	items[0].kind = IMAP_FETCH_SIZE;
	imap_rows_begin(&r, &v, &fetch, true, false);
	imap_rows_add(&r, &out, imap_view_row(&v, 1), 2);
	assert_true(span_is(text_span(&out),
	    "* 8 UIDFETCH (RFC822.SIZE 99 FLAGS (\\Seen \\Recent))\r\n"));
	imap_rows_end(&r);
	items[0].kind = IMAP_FETCH_ENVELOPE;
	assert_false(imap_rows_can(&fetch));
	imap_view_detach(&v);
	imap_model_free(&m);
	text_free(&rows);
	text_free(&out);
}

/* -- QRESYNC (...) ---- */

static bool
parses(const char *words, struct imap_resync *r, struct arena *arena)
{
	struct imap_parser in = imap_parser(span_str(words), arena);

	return imap_parse_resync(&in, r) && imap_parse_peek(&in) == '.';
}

static void
test_resync(void **state)
{
	static const char *const wrong[] = { "", ".", " .", " (1).", " (1 2",
	    " (0 2).", " (1 x).", " (1 9223372036854775808).", " (1 2 ).",
	    " (1 2 *).", " (1 2 1:*).", " (1 2 $).", " (1 2 1,).",
	    " (1 2 1 2).", " (1 2 1:5 (1:2 1:3)).", " (1 2 (1)).",
	    " (1 2 (2,1 5,6)).", " (1 2 (1,2 6,5)).", " (1 2 (1 1)",
	    " (1 2 (1:2 3:* )).", " (1 2 1 (1 1) 1)." };
	struct arena *arena = arena_new(1 << 16);
	struct imap_resync r;

	(void)state;
	assert_true(parses(" (67890007 20050715194045000).", &r, arena));
	assert_int_equal(r.uidvalidity, 67890007);
	assert_int_equal(r.modseq, 20050715194045000);
	assert_false(r.has_known || r.has_match);
	assert_true(parses(" (1 2 41,43:211).", &r, arena));
	assert_true(r.has_known && !r.has_match);
	assert_int_equal(r.known.count, 2);
	assert_true(parses(" (1 2 41:211 (1,4:5 41,44:45)).", &r, arena));
	assert_true(r.has_known && r.has_match);
	assert_true(parses(" (1 2 (1:3 7,9:10)).", &r, arena));
	assert_true(!r.has_known && r.has_match);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(parses(wrong[i], &r, arena));
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_coarser),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_resync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

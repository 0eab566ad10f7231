/*
 * test_imap_view.c - what the client believes always equals the view.
 *
 * A store and a client as plain arrays; the store changes at random, the view
 * gets the changes, the client hears the events, with expunges allowed or
 * not. Whatever the order, the client's numbers, flags and counts are
 * those of the view, and after a full telling those of the store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imap/imap_view.h"
#include "ipc/wire.h"

enum { MESSAGES = 400 };

struct store {
	struct message_row rows[MESSAGES];
	size_t count;
	uint32_t uidnext;
	uint64_t modseq;
	struct uid_range gone[MESSAGES];
	uint64_t gone_at[MESSAGES];
	size_t gone_count;
};

struct client {
	uint32_t uids[MESSAGES];	/* 0: exists, not looked at yet */
	uint64_t flags[MESSAGES];
	uint32_t count, recent;
};

static unsigned seed;

static unsigned
chance(unsigned n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % n;
}

static void
store_append(struct store *s)
{
	if (s->uidnext == MESSAGES)
		return;
	s->rows[s->count++] = (struct message_row){ .uid = s->uidnext++,
	    .modseq = ++s->modseq };
}

static void
store_flag(struct store *s)
{
	size_t i;

	if (s->count == 0)
		return;
	i = chance((unsigned)s->count);
	s->rows[i].flags ^= UINT64_C(1) << chance(5);
	s->rows[i].modseq = ++s->modseq;
}

static void
store_expunge(struct store *s)
{
	size_t i;

	if (s->count == 0)
		return;
	i = chance((unsigned)s->count);
	s->gone_at[s->gone_count] = ++s->modseq;
	s->gone[s->gone_count++] = (struct uid_range){ s->rows[i].uid,
	    s->rows[i].uid };
	memmove(&s->rows[i], &s->rows[i + 1],
	    (--s->count - i) * sizeof(s->rows[0]));
}

/* What the store answers to "what changed since". */
static void
sync_view(struct store *s, struct imap_view *v, bool complete)
{
	struct text rows = TEXT_INIT(0), vanished = TEXT_INIT(0);
	struct imap_changes c = { .uidnext = s->uidnext, .modseq = s->modseq,
	    .recent_from = UINT32_MAX, .complete = complete };

	for (size_t i = 0; i < s->count; i++)
		if (!complete || s->rows[i].modseq > v->modseq)
			message_row_put(&rows, &s->rows[i]);
	for (size_t i = 0; complete && i < s->gone_count; i++)
		if (s->gone_at[i] > v->modseq)
			uid_range_put(&vanished, &s->gone[i]);
	c.rows = text_span(&rows);
	c.vanished = text_span(&vanished);
	assert_int_equal(imap_view_apply(v, &c, MESSAGES), 1);
	text_free(&rows);
	text_free(&vanished);
}

static void
client_hears(struct client *c, const struct imap_view *v,
    const struct imap_event *e)
{
	switch (e->kind) {
	case IMAP_EVENT_EXPUNGE:
		assert_in_range(e->number, 1, c->count);
		memmove(&c->uids[e->number - 1], &c->uids[e->number],
		    (c->count - e->number) * sizeof(c->uids[0]));
		memmove(&c->flags[e->number - 1], &c->flags[e->number],
		    (c->count - e->number) * sizeof(c->flags[0]));
		c->count--;
		break;
	case IMAP_EVENT_EXISTS:
		assert_true(e->number >= c->count);
		for (; c->count < e->number; c->count++)
			c->uids[c->count] = 0;
		break;
	case IMAP_EVENT_RECENT:
		c->recent = e->number;
		break;
	case IMAP_EVENT_KEYWORDS:
		break;
	case IMAP_EVENT_FETCH:
		assert_in_range(e->number, 1, c->count);
		c->flags[e->number - 1] = v->rows[e->number - 1].flags;
		break;
	}
}

static void
tell(struct imap_view *v, struct client *c, bool expunges)
{
	struct imap_event event;

	while (imap_view_next(v, expunges, &event)) {
		assert_true(expunges || event.kind != IMAP_EVENT_EXPUNGE);
		client_hears(c, v, &event);
	}
	assert_int_equal(c->count, v->count);
	for (uint32_t i = 0; i < c->count; i++) {
		if (c->uids[i] == 0) {	/* new: the client looks at it */
			c->uids[i] = v->rows[i].uid;
			c->flags[i] = v->rows[i].flags;
		}
		assert_int_equal(c->uids[i], v->rows[i].uid);
		if (imap_view_row(v, i) != NULL)
			assert_int_equal(c->flags[i], v->rows[i].flags);
	}
}

static void
run(unsigned from)
{
	struct store s = { .uidnext = 1, .modseq = 1 };
	struct client c = { .count = 0 };
	struct imap_view v;
	struct mailbox_open_reply open = { .uidnext = 1, .highestmodseq = 1 };

	seed = from;
	assert_int_equal(imap_view_open(&v, &open, MESSAGES), 1);
	for (int i = 0; i < 400; i++) {
		switch (chance(8)) {
		case 0: case 1: case 2:
			store_append(&s);
			break;
		case 3: case 4:
			store_flag(&s);
			break;
		case 5:
			store_expunge(&s);
			break;
		case 6:
			sync_view(&s, &v, chance(4) != 0);
			break;
		case 7:
			tell(&v, &c, chance(2) == 0);
			break;
		}
	}
	sync_view(&s, &v, chance(2) == 0);
	tell(&v, &c, false);
	tell(&v, &c, true);
	assert_false(imap_view_news(&v));
	assert_int_equal(v.count, s.count);
	for (size_t i = 0; i < s.count; i++) {
		assert_int_equal(c.uids[i], s.rows[i].uid);
		assert_int_equal(c.flags[i], s.rows[i].flags);
	}
	imap_view_free(&v);
}

static void
test_model(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 500; i++)
		run(i);
}

/* -- a fixed view: uids 2 4 6 8 10 ---- */

static void
open_five(struct imap_view *v, uint32_t recent_from)
{
	struct text rows = TEXT_INIT(0);
	struct mailbox_open_reply open = { .uidnext = 11, .uidvalidity = 7,
	    .recent_from = recent_from, .highestmodseq = 50,
	    .keywords = SPAN("Work $Junk") };

	for (uint32_t i = 1; i <= 5; i++)
		message_row_put(&rows, &(struct message_row){ .uid = 2 * i,
		    .modseq = i });
	open.rows = BLOB_OF(text_span(&rows));
	assert_int_equal(imap_view_open(v, &open, 1000), 1);
	text_free(&rows);
}

static void
pick_is(const struct imap_view *v, struct imap_range range, bool by_uid,
    int status, uint32_t from, uint32_t to)
{
	struct arena *arena = arena_new(1 << 16);
	struct imap_set set = { &range, 1 };
	struct imap_picks picks;

	assert_int_equal(imap_view_pick(v, &set, by_uid, arena, &picks),
	    status);
	if (status == 1) {
		assert_int_equal(picks.messages, to - from);
		assert_int_equal(picks.count, to > from);
		if (to > from) {
			assert_int_equal(picks.picks[0].from, from);
			assert_int_equal(picks.picks[0].to, to);
		}
	}
	arena_free(&arena);
}

static void
test_pick(void **state)
{
	const uint32_t star = IMAP_RANGE_STAR;
	struct imap_view v, empty = { 0 };

	(void)state;
	open_five(&v, 99);
	pick_is(&v, (struct imap_range){ 1, 5 }, false, 1, 0, 5);
	pick_is(&v, (struct imap_range){ 2, star }, false, 1, 1, 5);
	pick_is(&v, (struct imap_range){ star, star }, false, 1, 4, 5);
	pick_is(&v, (struct imap_range){ 5, 6 }, false, 0, 0, 0);
	pick_is(&v, (struct imap_range){ 6, star }, false, 0, 0, 0);
	pick_is(&v, (struct imap_range){ 1, star }, true, 1, 0, 5);
	pick_is(&v, (struct imap_range){ 3, 8 }, true, 1, 1, 4);
	pick_is(&v, (struct imap_range){ 5, 5 }, true, 1, 2, 2);
	pick_is(&v, (struct imap_range){ star, star }, true, 1, 4, 5);
	/* RFC 3501 section 9: 559:* holds the last message, always. */
	pick_is(&v, (struct imap_range){ 559, star }, true, 1, 4, 5);
	pick_is(&empty, (struct imap_range){ 1, star }, false, 1, 0, 0);
	pick_is(&empty, (struct imap_range){ 1, star }, true, 1, 0, 0);
	pick_is(&empty, (struct imap_range){ 1, 1 }, false, 0, 0, 0);
	imap_view_free(&v);
}

static void
test_pick_joins(void **state)
{
	struct imap_range ranges[] = { { 4, 5 }, { 1, 2 }, { 2, 3 }, { 5, 5 } };
	struct imap_set set = { ranges, 4 };
	struct arena *arena = arena_new(1 << 16);
	struct imap_picks picks;
	struct imap_view v;

	(void)state;
	open_five(&v, 99);
	assert_int_equal(imap_view_pick(&v, &set, false, arena, &picks), 1);
	assert_int_equal(picks.messages, 5);
	assert_int_equal(picks.count, 1);
	arena_free(&arena);
	imap_view_free(&v);
}

static void
test_flags(void **state)
{
	struct text text = TEXT_INIT(0);
	struct imap_view v;

	(void)state;
	open_five(&v, 8);
	assert_int_equal(v.recent, 2);
	assert_int_equal(imap_view_keyword(&v, SPAN("$junk")),
	    UINT64_C(1) << (FLAG_KEYWORD_0 + 1));
	assert_int_equal(imap_view_keyword(&v, SPAN("none")), 0);
	assert_int_equal(imap_view_keywords(&v, SPAN("WORK none $Junk")),
	    UINT64_C(3) << FLAG_KEYWORD_0);
	imap_view_add_flags(&v, &text, FLAG_SEEN | IMAP_FLAG_RECENT |
	    UINT64_C(2) << FLAG_KEYWORD_0);
	assert_true(span_is(text_span(&text), "\\Seen \\Recent $Junk"));
	text_clear(&text);
	imap_view_add_flags(&v, &text, 0);
	assert_int_equal(text.n, 0);
	imap_view_add_all_flags(&v, &text);
	assert_true(span_is(text_span(&text), "\\Answered \\Flagged \\Deleted "
	    "\\Seen \\Draft Work $Junk"));
	text_free(&text);
	imap_view_free(&v);
}

static void
test_ranges(void **state)
{
	static const uint32_t numbers[] = { 1, 2, 3, 5, 7, 8 };
	struct imap_ranges ranges = { .any = false };
	struct text records = TEXT_INIT(0), out = TEXT_INIT(0);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		imap_ranges_add(&ranges, numbers[i]);
	imap_ranges_end(&ranges);
	assert_true(span_is(text_span(&ranges.text), "1:3,5,7:8"));
	text_free(&ranges.text);
	uid_range_put(&records, &(struct uid_range){ 4, 4 });
	uid_range_put(&records, &(struct uid_range){ 6, 9 });
	assert_int_equal(imap_add_uid_ranges(&out, text_span(&records)), 1);
	assert_true(span_is(text_span(&out), "4,6:9"));
	text_free(&records);
	text_free(&out);
}

/* A damaged or too large mailbox is refused. */
static void
test_refusals(void **state)
{
	struct text rows = TEXT_INIT(0);
	struct mailbox_open_reply open = { .uidnext = 9 };
	struct imap_view v;

	(void)state;
	message_row_put(&rows, &(struct message_row){ .uid = 2 });
	message_row_put(&rows, &(struct message_row){ .uid = 2 });
	open.rows = BLOB_OF(text_span(&rows));
	assert_int_equal(imap_view_open(&v, &open, 100), -1);
	imap_view_free(&v);
	assert_int_equal(imap_view_open(&v, &open, 1), 0);
	imap_view_free(&v);
	open.rows.bytes.n--;
	assert_int_equal(imap_view_open(&v, &open, 100), -1);
	imap_view_free(&v);
	text_free(&rows);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_pick),
		cmocka_unit_test(test_pick_joins),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

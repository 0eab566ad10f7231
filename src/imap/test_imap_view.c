/*
 * test_imap_view.c - what each client believes always equals its view.
 *
 * A store, a model of it with several views, and a client behind each, as
 * plain arrays. The store changes at random, the model gets the changes (late,
 * twice, or as a whole listing), the clients hear the events, with expunges
 * allowed or not, one by one or as VANISHED. Whatever the order, a client's
 * numbers, flags and counts are those of its view, and after a full
 * telling those of the store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imap/imap_parse.h"
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
/* What the store says to who knows everything up to `since`. */
struct answer {
	struct text rows, vanished;
	struct imap_changes changes;
};

static void
ask(const struct store *s, uint64_t since, bool complete, struct answer *a)
{
	*a = (struct answer){ .rows = TEXT_INIT(0), .vanished = TEXT_INIT(0) };
	for (size_t i = 0; i < s->count; i++)
		if (!complete || s->rows[i].modseq > since)
			message_row_put(&a->rows, &s->rows[i]);
	for (uint32_t uid = 1; uid < s->uidnext; uid++)
		for (size_t i = 0; i < s->gone_count; i++)
			if (s->gone[i].first == uid && s->gone_at[i] > since)
				uid_range_put(&a->vanished, &s->gone[i]);
	a->changes = (struct imap_changes){ .uidnext = s->uidnext,
	    .recent_from = s->uidnext, .modseq = s->modseq, .since = since,
	    .complete = complete, .keywords = SPAN("a b"),
	    .rows = text_span(&a->rows),
	    .vanished = complete ? text_span(&a->vanished) : SPAN_EMPTY };
}

static void
give(struct imap_model *m, struct answer *a, struct imap_view *own)
{
	assert_int_equal(imap_model_apply(m, &a->changes, MESSAGES, own,
	    NULL), 1);
	text_free(&a->rows);
	text_free(&a->vanished);
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
		assert_true(e->number > c->count);
		memset(&c->uids[c->count], 0, (e->number - c->count) *
		    sizeof(c->uids[0]));
		c->count = e->number;
		break;
	case IMAP_EVENT_RECENT:
		c->recent = e->number;
		break;
	case IMAP_EVENT_FETCH:
		assert_in_range(e->number, 1, c->count);
		c->flags[e->number - 1] = imap_view_row(v,
		    e->number - 1)->flags;
		break;
	case IMAP_EVENT_KEYWORDS:
		break;
	}
}

/* "3,7:9": each of them is one that the client knows. */
static void
client_loses(struct client *c, struct span uids)
{
	struct imap_parser in;
	struct arena *arena = arena_new(1 << 16);
	struct imap_set set;
	uint32_t to = 0;

	in = imap_parser(uids, arena);
	assert_true(imap_parse_set(&in, &set));
	for (size_t r = 0; r < set.count; r++)
		for (uint32_t u = set.ranges[r].first;
		    u <= set.ranges[r].last; u++, to++) {
			size_t i = 0;

			while (i < c->count && c->uids[i] != u)
				i++;
			assert_true(i < c->count);
			client_hears(c, NULL, &(struct imap_event){
			    IMAP_EVENT_EXPUNGE, (uint32_t)i + 1 });
		}
	assert_true(to > 0);
	arena_free(&arena);
}

/* A client looks at what it was told is there. */
static void
client_looks(struct client *c, const struct imap_view *v)
{
	for (uint32_t i = 0; i < c->count; i++) {
		const struct message_row *row = imap_view_row(v, i);

		assert_int_equal(imap_view_find(v, imap_view_uid(v, i)), i);
		if (c->uids[i] == 0) {
			c->uids[i] = imap_view_uid(v, i);
			c->flags[i] = row == NULL ? 0 : row->flags;
		}
		assert_int_equal(c->uids[i], imap_view_uid(v, i));
		if (row == NULL)
			continue;
		assert_int_equal(row->uid, c->uids[i]);
		if (!imap_view_changed(v, i))
			assert_int_equal(c->flags[i], row->flags);
	}
}

static void
tell(struct imap_view *v, struct client *c, bool expunges)
{
	struct text gone = TEXT_INIT(0);
	struct imap_event event;

	if (expunges && chance(2) == 0 && imap_view_vanish(v, &gone))
		client_loses(c, text_span(&gone));
	text_free(&gone);
	while (imap_view_next(v, expunges, &event)) {
		client_hears(c, v, &event);
		if (event.kind == IMAP_EVENT_EXISTS)
			client_looks(c, v);
		if (chance(20) == 0)
			return;		/* the rest the next time */
	}
	assert_int_equal(c->count, imap_view_count(v));
	client_looks(c, v);
}

enum { VIEWS = 3 };

struct bench {
	struct store s;
	struct imap_model m;
	struct imap_view v[VIEWS];
	struct client c[VIEWS];
	struct answer late;		/* rows.n or changes.modseq: there is */
};

static void
attach(struct bench *b, unsigned i)
{
	imap_view_detach(&b->v[i]);
	b->c[i] = (struct client){ .count = b->m.count };
	imap_view_attach(&b->v[i], &b->m, UINT32_MAX);
	client_looks(&b->c[i], &b->v[i]);
}

static void
bring(struct bench *b)
{
	struct answer a;
	struct imap_view *own = chance(3) == 0 ? NULL : &b->v[chance(VIEWS)];

	if (b->late.changes.modseq == 0 && chance(4) == 0) {
		ask(&b->s, b->m.modseq, chance(4) != 0, &b->late);
		return;
	}
	ask(&b->s, b->m.modseq, chance(4) != 0, &a);
	give(&b->m, &a, own);
	if (b->late.changes.modseq != 0 && chance(2) == 0) {
		give(&b->m, &b->late, own);
		b->late.changes.modseq = 0;
	}
}

static void
step(struct bench *b)
{
	unsigned i = chance(VIEWS);

	switch (chance(9)) {
	case 0: case 1: case 2:
		store_append(&b->s);
		break;
	case 3: case 4:
		store_flag(&b->s);
		break;
	case 5:
		store_expunge(&b->s);
		break;
	case 6:
		bring(b);
		break;
	case 7:
		tell(&b->v[i], &b->c[i], chance(2) == 0);
		break;
	case 8:
		if (chance(8) == 0)
			attach(b, i);
		break;
	}
}

static void
finish(struct bench *b, unsigned i)
{
	struct imap_event event;

	client_looks(&b->c[i], &b->v[i]);
	while (imap_view_next(&b->v[i], true, &event))
		client_hears(&b->c[i], &b->v[i], &event);
	client_looks(&b->c[i], &b->v[i]);
	assert_false(imap_view_news(&b->v[i]));
	assert_int_equal(imap_view_count(&b->v[i]), b->s.count);
	for (size_t n = 0; n < b->s.count; n++) {
		assert_int_equal(b->c[i].uids[n], b->s.rows[n].uid);
		assert_int_equal(b->c[i].flags[n], b->s.rows[n].flags);
	}
}

static void
run(unsigned from)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct mailbox_open_reply open = { .uidnext = 1, .highestmodseq = 1 };
	struct answer a;

	b->s = (struct store){ .uidnext = 1, .modseq = 1 };
	seed = from;
	assert_int_equal(imap_model_open(&b->m, &open, MESSAGES), 1);
	for (unsigned i = 0; i < VIEWS; i++)
		attach(b, i);
	for (int i = 0; i < 600; i++)
		step(b);
	ask(&b->s, b->m.modseq, chance(2) == 0, &a);
	give(&b->m, &a, NULL);
	if (b->late.changes.modseq != 0)
		give(&b->m, &b->late, NULL);
	for (unsigned i = 0; i < VIEWS; i++) {
		finish(b, i);
		imap_view_detach(&b->v[i]);
	}
	imap_model_free(&b->m);
	free(b);
}

static void
test_random(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 500; i++)
		run(i);
}

/* -- what a command made so is no news to its client ---- */

static void
test_expected(void **state)
{
	struct store s = { .uidnext = 1, .modseq = 1 };
	struct mailbox_open_reply open = { .uidnext = 1, .highestmodseq = 1 };
	struct imap_uids set = { .runs = NULL };
	struct imap_expected expected = { .uids = &set, .mode = STORE_ADD,
	    .flags = FLAG_SEEN };
	struct imap_model m;
	struct imap_view mine = { .model = NULL }, other = { .model = NULL };
	struct answer a;

	(void)state;
	assert_int_equal(imap_model_open(&m, &open, MESSAGES), 1);
	for (int i = 0; i < 5; i++)
		store_append(&s);
	ask(&s, m.modseq, true, &a);
	give(&m, &a, NULL);
	imap_view_attach(&mine, &m, UINT32_MAX);
	imap_view_attach(&other, &m, UINT32_MAX);
	for (int i = 0; i < 5; i++)
		s.rows[i] = (struct message_row){ .uid = s.rows[i].uid,
		    .flags = FLAG_SEEN, .modseq = ++s.modseq };
	s.rows[1].flags |= FLAG_FLAGGED;	/* somebody else, meanwhile */
	imap_uids_append(&set, 1, 4);		/* 5 was not in the command */
	ask(&s, m.modseq, true, &a);
	assert_int_equal(imap_model_apply(&m, &a.changes, MESSAGES, &mine,
	    &expected), 1);
	for (uint32_t i = 0; i < 5; i++) {
		assert_true(imap_view_changed(&other, i));
		assert_int_equal(imap_view_changed(&mine, i),
		    i == 1 || i == 4);
	}
	text_free(&a.rows);
	text_free(&a.vanished);
	imap_uids_free(&set);
	imap_view_detach(&mine);
	imap_view_detach(&other);
	imap_model_free(&m);
}

/* A store that went back in time cannot be followed. */
static void
test_back_in_time(void **state)
{
	struct store s = { .uidnext = 1, .modseq = 5 };
	struct mailbox_open_reply open = { .uidnext = 1, .highestmodseq = 9 };
	struct imap_model m;
	struct answer a;

	(void)state;
	assert_int_equal(imap_model_open(&m, &open, MESSAGES), 1);
	ask(&s, m.modseq, false, &a);
	assert_int_equal(imap_model_apply(&m, &a.changes, MESSAGES, NULL,
	    NULL), -1);
	text_free(&a.rows);
	text_free(&a.vanished);
	imap_model_free(&m);
}

/* -- a fixed view: uids 2 4 6 8 10 ---- */

static void
open_five(struct imap_model *m, struct imap_view *v, uint32_t recent_from)
{
	struct text rows = TEXT_INIT(0);
	struct mailbox_open_reply open = { .uidnext = 11, .uidvalidity = 7,
	    .recent_from = recent_from, .highestmodseq = 50,
	    .keywords = SPAN("Work $Junk") };

	for (uint32_t i = 1; i <= 5; i++)
		message_row_put(&rows, &(struct message_row){ .uid = 2 * i,
		    .modseq = i });
	open.rows = BLOB_OF(text_span(&rows));
	assert_int_equal(imap_model_open(m, &open, 1000), 1);
	text_free(&rows);
	imap_view_attach(v, m, recent_from);
}

static void
pick_is(const struct imap_view *v, struct imap_range range, bool by_uid,
    int status, uint32_t from, uint32_t to)
{
	struct arena *arena = arena_new(1 << 16);
	struct imap_set set = { .ranges = &range, .count = 1 };
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
	struct imap_view v, empty;
	struct imap_model m, nothing = { .rows = NULL };

	(void)state;
	open_five(&m, &v, 99);
	imap_view_attach(&empty, &nothing, 1);
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
	imap_view_detach(&empty);
	imap_view_detach(&v);
	imap_model_free(&m);
}

static void
test_pick_joins(void **state)
{
	struct imap_range ranges[] = { { 4, 5 }, { 1, 2 }, { 2, 3 }, { 5, 5 } };
	struct imap_set set = { .ranges = ranges, .count = 4 };
	struct arena *arena = arena_new(1 << 16);
	struct imap_picks picks;
	struct imap_model m;
	struct imap_view v;

	(void)state;
	open_five(&m, &v, 99);
	assert_int_equal(imap_view_pick(&v, &set, false, arena, &picks), 1);
	assert_int_equal(picks.messages, 5);
	assert_int_equal(picks.count, 1);
	arena_free(&arena);
	imap_view_detach(&v);
	imap_model_free(&m);
}

static void
test_flags(void **state)
{
	struct text text = TEXT_INIT(0);
	struct imap_model m;
	struct imap_view v;

	(void)state;
	open_five(&m, &v, 8);
	assert_int_equal(imap_view_recent(&v), 2);
	assert_int_equal(imap_view_flags(&v, imap_view_row(&v, 3)),
	    IMAP_FLAG_RECENT);
	assert_int_equal(imap_view_flags(&v, imap_view_row(&v, 2)), 0);
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
	imap_view_detach(&v);
	imap_model_free(&m);
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
	struct imap_model m;

	(void)state;
	message_row_put(&rows, &(struct message_row){ .uid = 2 });
	message_row_put(&rows, &(struct message_row){ .uid = 2 });
	open.rows = BLOB_OF(text_span(&rows));
	assert_int_equal(imap_model_open(&m, &open, 100), -1);
	imap_model_free(&m);
	assert_int_equal(imap_model_open(&m, &open, 1), 0);
	imap_model_free(&m);
	open.rows.bytes.n--;
	assert_int_equal(imap_model_open(&m, &open, 100), -1);
	imap_model_free(&m);
	text_free(&rows);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_expected),
		cmocka_unit_test(test_back_in_time),
		cmocka_unit_test(test_pick),
		cmocka_unit_test(test_pick_joins),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

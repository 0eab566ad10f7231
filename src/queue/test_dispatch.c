/* test_dispatch.c - who goes next, on a clock of the test's own. */
#include "queue/dispatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { MANY = 100000 };

static const struct dispatch_limits usual = { .window_first = 2,
    .window_max = 20, .retry_first = 60000, .retry_longest = 3600000 };
static const struct dispatch_limits one_by_one = { .window_first = 1,
    .window_max = 1, .retry_first = 60000, .retry_longest = 3600000 };

struct item {
	struct dispatch_item item;	/* first */
	uint64_t flow;
	unsigned number;
	bool taken;
};

static struct dispatch *d;
static monotime_t now, wake;
static struct destination *at;
static struct item *items;

static int
setup(void **state)
{
	(void)state;
	d = dispatch_new();
	now = (monotime_t){ 1000000 };
	items = calloc(MANY + 1000, sizeof(*items));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dispatch_free(&d);
	free(items);
	return 0;
}

static void
put(struct item *i, const char *destination, uint64_t flow, int priority,
    const struct dispatch_limits *limits)
{
	i->flow = flow;
	dispatch_add(d, &i->item, span_str(destination), limits, flow,
	    priority);
}

/* One, of any destination or of this; NULL: none. */
static struct item *
take(const char *prefer)
{
	struct dispatch_item *out;

	if (dispatch_take(d, span_str(prefer), now, &out, 1, &at, &wake) == 0)
		return NULL;
	assert_false(((struct item *)out)->taken);
	((struct item *)out)->taken = true;
	return (struct item *)out;
}

static void
done(enum destination_state state)
{
	dispatch_done(d, at, 1, state, SPAN("4.4.1 no way"), now);
}

/* All that can be taken now, at most that many. */
static size_t
take_all(size_t max)
{
	size_t n = 0;

	while (n < max && take("") != NULL)
		n++;
	return n;
}

static struct destination_view
view(const char *name)
{
	struct destination_view v = { 0 };
	struct destination *found = dispatch_find(d, span_str(name));

	if (found != NULL)
		dispatch_view(found, &v);
	return v;
}

static void
first_in_first_out(void **state)
{
	struct dispatch_item *out[4];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		put(&items[i], "example.org", 1, 0, &usual);
	assert_int_equal(dispatch_take(d, SPAN_EMPTY, now, out, 4, &at, &wake),
	    2);
	assert_ptr_equal(out[0], &items[0].item);
	assert_ptr_equal(out[1], &items[1].item);
	assert_null(take(""));
	dispatch_done(d, at, 2, DESTINATION_FINE, SPAN_EMPTY, now);
	assert_ptr_equal(take(""), &items[2]);
	assert_int_equal(dispatch_waiting(d), 0);
	assert_int_equal(view("example.org").busy, 1);
}

/* One's 100 000 are one message away from another's single one. */
static void
fair_at_a_destination(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		put(&items[i], "example.org", 1, 0, &one_by_one);
	for (int i = 0; i < 10; i++) {
		assert_non_null(take(""));
		done(DESTINATION_FINE);
	}
	put(&items[MANY], "example.org", 2, 0, &one_by_one);
	for (int i = 0; i < 2; i++) {
		assert_non_null(take(""));
		done(DESTINATION_FINE);
	}
	assert_true(items[MANY].taken);
}

/* The same when each of them goes elsewhere, and to one in their midst. */
static void
fair_among_destinations(void **state)
{
	char name[32];

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "d%u.test", i);
		put(&items[i], name, 1, 0, &one_by_one);
	}
	for (int i = 0; i < 10; i++)
		assert_non_null(take(""));
	put(&items[MANY], "alone.test", 2, 0, &one_by_one);
	put(&items[MANY + 1], "d50000.test", 3, 0, &one_by_one);
	put(&items[MANY + 2], "d50000.test", 3, 0, &one_by_one);
	for (int i = 0; i < 8; i++) {
		assert_non_null(take(""));
		done(DESTINATION_FINE);
	}
	assert_true(items[MANY].taken);
	assert_true(items[MANY + 1].taken);
	assert_true(items[MANY + 2].taken);
}

/* A thousand senders at one place with one slot: each in its turn. */
static void
everybody_in_turn(void **state)
{
	enum { SENDERS = 1000, EACH = 5 };

	(void)state;
	for (unsigned i = 0; i < SENDERS * EACH; i++)
		put(&items[i], "example.org", 1 + i / EACH, 0, &one_by_one);
	for (unsigned round = 0; round < EACH; round++) {
		bool seen[SENDERS + 1] = { false };

		for (unsigned i = 0; i < SENDERS; i++) {
			struct item *one = take("");

			assert_non_null(one);
			done(DESTINATION_FINE);
			assert_false(seen[one->flow]);
			seen[one->flow] = true;
		}
	}
	assert_null(take(""));
}

static void
slow_start(void **state)
{
	static const uint32_t windows[] = { 2, 4, 8, 16, 20, 20 };

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		put(&items[i], "example.org", 1, 0, &usual);
	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		size_t n = take_all(100);

		assert_int_equal(view("example.org").window, windows[i]);
		assert_int_equal(n, windows[i]);
		dispatch_done(d, at, n, DESTINATION_FINE, SPAN_EMPTY, now);
	}
	/* Busy: half; once for all that was under way. Then one by one. */
	assert_int_equal(take_all(100), 20);
	for (int i = 0; i < 20; i++)
		done(DESTINATION_BUSY);
	assert_int_equal(view("example.org").window, 10);
	assert_int_equal(take_all(100), 10);
	dispatch_done(d, at, 10, DESTINATION_FINE, SPAN_EMPTY, now);
	assert_int_equal(view("example.org").window, 11);
	/* It answered, and took nothing: no change. */
	assert_int_equal(take_all(100), 11);
	dispatch_done(d, at, 11, DESTINATION_UNSURE, SPAN_EMPTY, now);
	assert_int_equal(view("example.org").window, 11);
}

/* Down: one attempt now and then, however much waits. */
static void
closes_and_probes(void **state)
{
	int64_t last = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		put(&items[i], "dead.test", 1 + i % 7, 0, &usual);
	assert_int_equal(take_all(10), 2);
	done(DESTINATION_DOWN);
	done(DESTINATION_DOWN);
	for (int probe = 0; probe < 10; probe++) {
		int64_t wait;

		assert_null(take(""));
		assert_null(take("dead.test"));
		wait = wake.ms - now.ms;
		assert_true(wait > last * 3 / 4 && wait <= 3600000);
		assert_true(wait >= 45000);
		last = MIN(wait, 1800000);
		now.ms = wake.ms - 1;
		assert_null(take(""));
		now.ms++;
		assert_non_null(take(""));
		assert_null(take(""));
		done(DESTINATION_DOWN);
	}
	assert_true(span_is(view("dead.test").reason, "4.4.1 no way"));
	assert_int_equal(view("dead.test").waiting, 1000 - 12);
	/* It is back, and begins anew. */
	now.ms = view("dead.test").down_until.ms;
	assert_non_null(take(""));
	done(DESTINATION_FINE);
	assert_int_equal(view("dead.test").down_until.ms, 0);
	assert_int_equal(take_all(100), view("dead.test").window);
	assert_true(view("dead.test").window <= 3);
}

static void
retry_at_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		put(&items[i], "dead.test", 1, 0, &one_by_one);
	assert_non_null(take(""));
	done(DESTINATION_DOWN);
	assert_null(take(""));
	dispatch_retry(d, dispatch_find(d, SPAN("dead.test")));
	assert_non_null(take(""));
	done(DESTINATION_DOWN);
	assert_null(take(""));
	dispatch_retry(d, NULL);
	assert_non_null(take(""));
	/* Lost with its taker: nothing is known, it may be tried again. */
	dispatch_lost(d, at, 1);
	assert_non_null(take(""));
}

/* Always busy is as good as down. */
static void
busy_for_long(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		put(&items[i], "busy.test", 1, 0, &usual);
	for (int i = 0; i < 10 && take("") != NULL; i++)
		done(DESTINATION_BUSY);
	assert_true(view("busy.test").waiting >= 94);
	assert_true(view("busy.test").down_until.ms > now.ms);
}

/* Dead destinations cost the live ones nothing. */
static void
dead_among_the_living(void **state)
{
	enum { PLACES = 1000, DEAD = 100, EACH = 20 };
	size_t n = 0, dead = 0;
	char name[32];

	(void)state;
	for (unsigned i = 0; i < PLACES * EACH; i++) {
		snprintf(name, sizeof(name), "%s%u.test", i % PLACES < DEAD ?
		    "dead" : "live", i % PLACES);
		put(&items[i], name, 1, 0, &usual);
	}
	while (take("") != NULL) {
		struct destination_view v;

		dispatch_view(at, &v);
		if (span_starts(v.name, SPAN("dead"))) {
			done(DESTINATION_DOWN);
			dead++;
		} else {
			done(DESTINATION_FINE);
			n++;
		}
	}
	assert_int_equal(n, (PLACES - DEAD) * EACH);
	assert_true(dead <= 2 * DEAD);
	assert_int_equal(dispatch_waiting(d), DEAD * EACH - dead);
}

static void
rates(void **state)
{
	struct dispatch_limits slow = usual;
	size_t n = 0;
	int64_t end;

	(void)state;
	slow.rate = 60;			/* one a second */
	slow.window_first = 20;
	for (unsigned i = 0; i < 1000; i++)
		put(&items[i], "slow.test", 1, 0, &slow);
	for (end = now.ms + 60000; now.ms < end;) {
		while (take("") != NULL) {
			done(DESTINATION_FINE);
			n++;
		}
		assert_true(wake.ms > now.ms && wake.ms <= now.ms + 1000);
		now = wake;
	}
	assert_true(n >= 60 && n <= 61);
}

/* A connection that is open is used, but nobody is passed over for it. */
static void
preferred(void **state)
{
	unsigned others = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		put(&items[i], "big.test", 1, 0, &usual);
	put(&items[1000], "small.test", 2, 0, &usual);
	/* Alone in its place it may go on; others get their turn. */
	for (int i = 0; i < 200; i++) {
		struct item *one = take("big.test");

		assert_non_null(one);
		others += one->flow == 2;
		done(DESTINATION_FINE);
	}
	assert_int_equal(others, 1);
	assert_true(items[1000].taken);
	/* Nobody else is there: the connection serves on and on. */
	for (int i = 0; i < 500; i++) {
		assert_non_null(take("big.test"));
		done(DESTINATION_FINE);
	}
	assert_non_null(take("nowhere.test"));
	done(DESTINATION_FINE);
}

static void
urgent_first(void **state)
{
	unsigned urgent = 0, bulk = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		put(&items[i], "example.org", 1, -4, &one_by_one);
	for (unsigned i = 0; i < 1000; i++)
		put(&items[1000 + i], "example.org", 2, 6, &one_by_one);
	for (int i = 0; i < 160; i++) {
		struct item *one = take("");

		assert_non_null(one);
		urgent += one->flow == 2;
		bulk += one->flow == 1;
		done(DESTINATION_FINE);
	}
	assert_true(urgent > 100);
	assert_true(bulk > 10);		/* but not never */
}

static void
removed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		put(&items[i], "example.org", 1 + i % 2, 0, &one_by_one);
	assert_ptr_equal(dispatch_at(&items[3].item),
	    dispatch_find(d, SPAN("example.org")));
	for (unsigned i = 0; i < 10; i += 2)
		dispatch_remove(d, &items[i].item);
	dispatch_remove(d, &items[0].item);
	assert_null(dispatch_at(&items[0].item));
	for (unsigned i = 1; i < 10; i += 2) {
		assert_ptr_equal(take(""), &items[i]);
		done(DESTINATION_FINE);
	}
	assert_null(take(""));
	for (unsigned i = 10; i < 20; i++)
		put(&items[i], "other.test", i, 0, &one_by_one);
	for (unsigned i = 10; i < 20; i++)
		assert_non_null(dispatch_empty(d));
	assert_null(dispatch_empty(d));
	assert_int_equal(dispatch_waiting(d), 0);
}

/* What relay says it has in hand counts, and is settled like the rest. */
static void
claimed(void **state)
{
	struct destination *claim = dispatch_claim(d, SPAN("example.org"),
	    &one_by_one);

	(void)state;
	put(&items[0], "example.org", 1, 0, &one_by_one);
	assert_null(take(""));
	dispatch_done(d, claim, 1, DESTINATION_FINE, SPAN_EMPTY, now);
	assert_non_null(take(""));
}

static void
count_one(void *arg, const struct destination_view *v)
{
	(void)v;
	++*(size_t *)arg;
}

/* Destinations nobody needs are forgotten, those that failed later. */
static void
forgotten(void **state)
{
	char name[32];
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "d%u.test", i);
		put(&items[i], name, i, 0, &usual);
		assert_non_null(take(""));
		done(i < 10 ? DESTINATION_DOWN : DESTINATION_FINE);
	}
	dispatch_walk(d, count_one, &n);
	assert_int_equal(n, 100);
	now.ms += 11 * 60 * 1000;
	for (int i = 0; i < 100; i++)
		assert_null(take(""));
	n = 0;
	dispatch_walk(d, count_one, &n);
	assert_int_equal(n, 10);
	now.ms += 3 * 3600000;
	for (int i = 0; i < 100; i++)
		assert_null(take(""));
	n = 0;
	dispatch_walk(d, count_one, &n);
	assert_int_equal(n, 0);
}

/*
 * Anything in any order: nothing is lost, nothing is taken twice, no window
 * is overrun, and whatever is left goes when all is well again.
 */
static void
anything(void **state)
{
	enum { STEPS = 200000, PLACES = 40, FLOWS = 30, ITEMS = 3000 };
	struct { struct destination *at; struct item *item; } busy[4000];
	size_t n = 0;
	char name[32];

	(void)state;
	srand(11);
	for (int step = 0; step < STEPS; step++) {
		struct item *one = &items[rand() % ITEMS];

		now.ms += rand() % 50;
		switch (rand() % 6) {
		case 0: case 1: case 2:
			if (one->item.cell != NULL || one->taken)
				break;
			snprintf(name, sizeof(name), "d%d", rand() % PLACES);
			put(one, name, (uint64_t)(rand() % FLOWS),
			    rand() % 3 - 1, rand() % 2 ? &usual :
			    &one_by_one);
			break;
		case 3:
			one = take(rand() % 2 ? "d7" : "");
			if (one != NULL) {
				busy[n].at = at;
				busy[n++].item = one;
			}
			break;
		case 4:
			if (n == 0)
				break;
			at = busy[--n].at;
			busy[n].item->taken = false;
			if (rand() % 20 == 0)
				dispatch_lost(d, at, 1);
			else
				done((enum destination_state)(rand() %
				    DESTINATION_STATES));
			break;
		case 5:
			if (rand() % 4 == 0)
				dispatch_remove(d, &one->item);
			break;
		}
		if (n > 0) {
			struct destination_view v;

			dispatch_view(busy[n - 1].at, &v);
			assert_true(v.busy <= 20);
		}
	}
	while (n > 0) {
		at = busy[--n].at;
		busy[n].item->taken = false;
		done(DESTINATION_FINE);
	}
	for (size_t i = 0; i < ITEMS; i++)
		n += items[i].item.cell != NULL;
	assert_int_equal(dispatch_waiting(d), n);
	for (int i = 0; n > 0 && i < 200000; i++) {
		if (take("") == NULL) {
			assert_true(wake.ms > now.ms && wake.ms < INT64_MAX);
			now = wake;
			continue;
		}
		done(DESTINATION_FINE);
		n--;
	}
	assert_int_equal(n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_in_first_out),
		TEST(fair_at_a_destination),
		TEST(fair_among_destinations),
		TEST(everybody_in_turn),
		TEST(slow_start),
		TEST(closes_and_probes),
		TEST(retry_at_once),
		TEST(busy_for_long),
		TEST(dead_among_the_living),
		TEST(rates),
		TEST(preferred),
		TEST(urgent_first),
		TEST(removed),
		TEST(claimed),
		TEST(forgotten),
		TEST(anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

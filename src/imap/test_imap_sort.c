/* test_imap_sort.c - sorting, strings by number, sets and hints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "imap/imap_collate.h"
#include "imap/imap_hint.h"
#include "imap/imap_intern.h"
#include "imap/imap_sort.h"
#include "ipc/wire.h"

enum { MANY = 5000 };

/* The same order as a comparison with the place as the last criterion. */
static void
check_order(const uint64_t *keys, size_t n, bool reverse)
{
	uint32_t *order = calloc(n, sizeof(*order));
	uint32_t *scratch = calloc(n, sizeof(*scratch));

	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	imap_sort_by(order, n, keys, reverse, scratch);
	for (size_t i = 1; i < n; i++) {
		uint64_t a = keys[order[i - 1]], b = keys[order[i]];

		assert_true(reverse ? a >= b : a <= b);
		assert_true(a != b || order[i - 1] < order[i]);
	}
	free(order);
	free(scratch);
}

static void
test_sort(void **state)
{
	static const uint64_t masks[] = { 0, 1, 0xff, 0xff00ff, UINT64_MAX };
	uint64_t *keys = calloc(MANY, sizeof(*keys));

	(void)state;
	srandom(1);
	for (size_t m = 0; m < ARRAY_LEN(masks); m++) {
		for (size_t i = 0; i < MANY; i++)
			keys[i] = (((uint64_t)random() << 33) ^
			    (uint64_t)random()) & masks[m];
		check_order(keys, MANY, false);
		check_order(keys, MANY, true);
		check_order(keys, 1, true);
	}
	assert_true(imap_sort_signed(-5) < imap_sort_signed(3));
	assert_true(imap_sort_signed(INT64_MIN) < imap_sort_signed(-5));
	free(keys);
}

static void
test_intern(void **state)
{
	struct imap_intern *in = imap_intern_new();
	uint32_t numbers[MANY];
	const uint32_t *ranks;
	struct span last, now;
	char name[32];

	(void)state;
	assert_int_equal(imap_intern(in, SPAN("")), 0);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "a common start %d",
		    i * 7919 % MANY);
		numbers[i] = imap_intern(in, span_str(name));
		assert_true(span_is(imap_intern_text(in, numbers[i]), name));
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "a common start %d",
		    i * 7919 % MANY);
		assert_int_equal(imap_intern(in, span_str(name)), numbers[i]);
	}
	ranks = imap_intern_ranks(in);
	assert_int_equal(ranks[0], 0);
	for (uint32_t i = 1; i < MANY; i++)
		for (uint32_t j = i + 1; j < MIN(i + 5, MANY); j++) {
			last = imap_intern_text(in, i);
			now = imap_intern_text(in, j);
			assert_int_equal(ranks[i] < ranks[j],
			    span_compare(last, now) < 0);
		}
	assert_true(imap_intern_bytes(in) > MANY * 15);
	imap_intern_free(&in);
}

static void
test_collate(void **state)
{
	struct text key = TEXT_INIT(0);

	(void)state;
	assert_true(imap_collation_fits(IMAP_UNICODE_CASEMAP,
	    SPAN("default")));
	assert_true(imap_collation_fits(IMAP_OCTET, SPAN("i;*")));
	assert_true(imap_collation_fits(IMAP_ASCII_CASEMAP, SPAN("*casemap")));
	assert_true(imap_collation_fits(IMAP_ASCII_CASEMAP, SPAN("I;A*I-*P")));
	assert_false(imap_collation_fits(IMAP_OCTET, SPAN("default")));
	assert_false(imap_collation_fits(IMAP_OCTET, SPAN("i;octe")));
	assert_false(imap_collation_fits(IMAP_OCTET, SPAN("cz;*")));
	imap_collate_add(IMAP_ASCII_CASEMAP, &key, SPAN("aZ\xc3\xa4"));
	imap_collate_add(IMAP_OCTET, &key, SPAN("aZ"));
	assert_true(span_is(text_span(&key), "AZ\xc3\xa4" "aZ"));
	text_clear(&key);
	imap_collate_add(IMAP_UNICODE_CASEMAP, &key, SPAN("\xc3\xa4"));
	assert_true(span_is(text_span(&key), "A\xcc\x88"));
	text_free(&key);
}

static void
test_settle(void **state)
{
	static const struct imap_range ranges[] = { { 9, 12 }, { 3, 3 },
	    { 4, 5 }, { 11, IMAP_RANGE_STAR }, { 30, IMAP_RANGE_STAR } };
	struct imap_set set = { .ranges = ranges, .count = 5 }, settled = set;
	struct arena *arena = arena_new(4096);

	(void)state;
	assert_true(imap_set_settle(&settled, 20, arena));
	assert_int_equal(settled.count, 2);
	for (uint32_t n = 0; n < 40; n++)
		assert_int_equal(imap_set_has(&set, n, 20),
		    imap_set_has(&settled, n, 0));
	set = (struct imap_set){ .count = 0 };
	assert_true(imap_set_settle(&set, 0, arena));
	assert_false(imap_set_has(&set, 1, 0));
	arena_free(&arena);
}

/* -- hints ---- */

static struct text
records(const char *bits)
{
	struct text out = TEXT_INIT(0);

	for (uint32_t i = 0; bits[i] != '\0'; i++)
		if (bits[i] != '.')
			uid_range_put(&out, &(struct uid_range){ .first = i + 1,
			    .last = i + 1 });
	return out;
}

/* Asked in every order the answers are the same. */
static void
test_hints(void **state)
{
	struct text known = records("xxxx.xxxx"), sure = records("x.x...x..");
	struct text maybe = records(".x...x...");
	struct index_answer answer = { .sure = text_span(&sure),
	    .maybe = text_span(&maybe), .scores = SPAN("\x0a\x14\x1e") };
	static const int want[] = { 1, -1, 1, 0, -1, -1, 1, 0, 0, -1 };
	struct arena *arena = arena_new(4096);
	struct imap_hint hint;

	(void)state;
	srandom(2);
	assert_int_equal(imap_hint_make(&answer, true, arena, &hint), 1);
	assert_int_equal(imap_hint_list(text_span(&known), arena,
	    &hint.known), 1);
	for (int i = 0; i < 2000; i++) {
		uint32_t uid = (uint32_t)(i < 10 ? i : random() % 10) + 1;

		assert_int_equal(imap_hint_ask(&hint, uid), want[uid - 1]);
	}
	assert_int_equal(imap_hint_score(&hint, 1), 10);
	assert_int_equal(imap_hint_score(&hint, 7), 30);
	assert_int_equal(imap_hint_score(&hint, 2), 0);
	hint.exact = false;
	assert_int_equal(imap_hint_ask(&hint, 1), -1);
	/* What is no ascending list of ranges, or has too few scores. */
	assert_int_equal(imap_hint_list(span_sub(text_span(&known), 0, 9),
	    arena, &hint.known), 0);
	answer.sure = SPAN("\2\0\0\0\1\0\0\0");
	assert_int_equal(imap_hint_make(&answer, true, arena, &hint), 0);
	answer.sure = SPAN("\1\0\0\0\xff\xff\xff\xff");
	assert_int_equal(imap_hint_make(&answer, true, arena, &hint), 0);
	arena_free(&arena);
	text_free(&known);
	text_free(&sure);
	text_free(&maybe);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_intern),
		cmocka_unit_test(test_collate),
		cmocka_unit_test(test_settle),
		cmocka_unit_test(test_hints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_map.c - a hash table from bytes to a pointer. */
#include "base/map.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

/* The vector of the SipHash paper, appendix A. */
static void
hash_is_siphash(void **state)
{
	const uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	char in[15];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (char)i;
	assert_true(map_siphash(key, span_of(in, sizeof(in))) ==
	    0xa129ca6149be45e5);
	assert_true(map_hash(SPAN("a")) == map_hash(SPAN("a")));
	assert_true(map_hash(SPAN("a")) != map_hash(SPAN("b")));
}

static struct span
key_of(char buf[16], unsigned i)
{
	return span_of(buf, (size_t)snprintf(buf, 16, "key%u", i));
}

static void
put_get_remove(void **state)
{
	struct map *m = map_new();
	static int values[2000];
	char buf[16];

	(void)state;
	for (unsigned i = 0; i < 2000; i++)
		assert_null(map_put(m, key_of(buf, i), &values[i]));
	assert_int_equal(map_count(m), 2000);
	assert_ptr_equal(map_put(m, SPAN("key7"), &values[0]), &values[7]);
	assert_ptr_equal(map_put(m, SPAN("key7"), &values[7]), &values[0]);
	for (unsigned i = 0; i < 2000; i += 2)
		assert_ptr_equal(map_remove(m, key_of(buf, i)), &values[i]);
	assert_null(map_remove(m, SPAN("key0")));
	for (unsigned i = 0; i < 2000; i++)
		assert_ptr_equal(map_get(m, key_of(buf, i)),
		    i % 2 == 0 ? NULL : &values[i]);
	assert_int_equal(map_count(m), 1000);
	map_free(&m);
	assert_null(m);
}

static void
keys_are_any_bytes(void **state)
{
	struct map *m = map_new();
	int a, b, c;

	(void)state;
	map_put(m, SPAN_EMPTY, &a);
	map_put(m, SPAN("\0"), &b);
	map_put(m, SPAN("\0\0"), &c);
	assert_ptr_equal(map_get(m, SPAN("")), &a);
	assert_ptr_equal(map_get(m, SPAN("\0")), &b);
	assert_ptr_equal(map_get(m, SPAN("\0\0")), &c);
	map_free(&m);
}

static void
coming_and_going_stays_small(void **state)
{
	struct map *m = map_new();
	char buf[16];
	int v;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		assert_null(map_put(m, key_of(buf, i), &v));
		if (i >= 5)
			assert_ptr_equal(map_remove(m, key_of(buf, i - 5)), &v);
	}
	assert_int_equal(map_count(m), 5);
	map_free(&m);
}

static void
walking_removes(void **state)
{
	struct map *m = map_new();
	static int values[500];
	char buf[16];
	struct span key;
	size_t at = 0;
	void *value;

	(void)state;
	for (unsigned i = 0; i < 500; i++)
		map_put(m, key_of(buf, i), &values[i]);
	while (map_next(m, &at, &key, &value)) {
		(*(int *)value)++;
		map_remove(m, key);
	}
	assert_int_equal(map_count(m), 0);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(values[i], 1);
	map_free(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_is_siphash),
		cmocka_unit_test(put_get_remove),
		cmocka_unit_test(keys_are_any_bytes),
		cmocka_unit_test(coming_and_going_stays_small),
		cmocka_unit_test(walking_removes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

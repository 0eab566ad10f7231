/* test_secret.c - equal time, wiping, randomness. */
#include "base/secret.h"

#include <setjmp.h>

#include <cmocka.h>

static void
equality(void **state)
{
	(void)state;
	assert_true(secret_equal(SPAN("s3cret"), SPAN("s3cret")));
	assert_false(secret_equal(SPAN("s3cret"), SPAN("s3creT")));
	assert_false(secret_equal(SPAN("t3cret"), SPAN("s3cret")));
	assert_false(secret_equal(SPAN("s3cret"), SPAN("s3cret\0")));
	assert_true(secret_equal(SPAN_EMPTY, SPAN("")));
}

static void
wiping(void **state)
{
	char s[] = "s3cret";

	(void)state;
	secret_wipe(s, sizeof(s));
	assert_memory_equal(s, "\0\0\0\0\0\0\0", 7);
	secret_wipe(NULL, 0);
}

static void
randomness_is_bounded_and_reaches_all(void **state)
{
	unsigned seen = 0;

	(void)state;
	assert_true(random_u64() != random_u64());
	assert_int_equal(random_below(1), 0);
	for (int i = 0; i < 10000 && seen != 0x7f; i++) {
		uint32_t v = random_below(7);

		assert_true(v < 7);
		seen |= 1u << v;
	}
	assert_int_equal(seen, 0x7f);
}

static void
hexadecimal(void **state)
{
	const unsigned char in[] = { 0x00, 0x9a, 0xff };
	unsigned char back[3];
	char out[7];

	(void)state;
	hex_of(out, in, 3);
	assert_string_equal(out, "009aff");
	assert_int_equal(hex_to(back, 3, SPAN("009AfF")), 1);
	assert_memory_equal(in, back, 3);
	assert_int_equal(hex_to(back, 3, SPAN("009aF")), 0);
	assert_int_equal(hex_to(back, 3, SPAN("009aFg")), 0);
	assert_int_equal(hex_to(back, 0, SPAN("")), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equality),
		cmocka_unit_test(wiping),
		cmocka_unit_test(randomness_is_bounded_and_reaches_all),
		cmocka_unit_test(hexadecimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

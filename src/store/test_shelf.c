/*
 * test_shelf.c - what stays on a shelf, and what goes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "store/shelf.h"

#include <stdlib.h>

struct thing {
	struct shelved shelved;
	bool fixed;
};

static int made, ended;

static struct shelved *
make(void *arg, uint64_t key)
{
	struct thing *thing = xcalloc(1, sizeof(*thing));

	assert_ptr_equal(arg, &made);
	thing->fixed = key == 1000;
	made++;
	return &thing->shelved;
}

static bool
may_go(struct shelved *s)
{
	return !((struct thing *)s)->fixed;
}

static void
end(struct shelved *s)
{
	ended++;
	free(s);
}

static const struct shelf_kind kind = { make, may_go, end };

static void
use(struct shelf *s, uint64_t key, size_t bytes)
{
	shelf_put(s, shelf_take(s, key), bytes, true);
}

static void
test_oldest_goes(void **state)
{
	struct shelf *s = shelf_new(&kind, &made, 100);

	(void)state;
	made = ended = 0;
	for (uint64_t key = 0; key < 10; key++)
		use(s, key, 10);
	assert_int_equal(ended, 0);
	use(s, 0, 10);			/* now 1 is the oldest */
	use(s, 10, 10);
	assert_int_equal(ended, 1);
	assert_int_equal(made, 11);
	use(s, 0, 10);
	assert_int_equal(made, 11);
	use(s, 1, 10);
	assert_int_equal(made, 12);
	assert_int_equal(shelf_bytes(s), 100);
	assert_int_equal(shelf_count(s), 10);
	shelf_free(&s);
	assert_int_equal(ended, made);
}

static void
test_taken_stays(void **state)
{
	struct shelf *s = shelf_new(&kind, &made, 0);
	struct shelved *a, *b;

	(void)state;
	made = ended = 0;
	a = shelf_take(s, 7);
	b = shelf_take(s, 7);
	assert_ptr_equal(a, b);
	shelf_put(s, a, 50, true);
	use(s, 8, 10);
	assert_int_equal(ended, 1);
	assert_int_equal(shelf_bytes(s), 50);
	shelf_put(s, b, 60, true);
	assert_int_equal(shelf_count(s), 0);
	assert_int_equal(shelf_bytes(s), 0);
	use(s, 1000, 10);		/* may not go yet */
	use(s, 9, 10);
	assert_int_equal(shelf_count(s), 1);
	shelf_free(&s);
	assert_int_equal(ended, made);
}

static void
test_not_kept(void **state)
{
	struct shelf *s = shelf_new(&kind, &made, 1000);
	struct shelved *a, *b;

	(void)state;
	made = ended = 0;
	a = shelf_take(s, 7);
	b = shelf_take(s, 7);
	shelf_put(s, a, 10, false);
	assert_int_equal(ended, 0);
	shelf_put(s, b, 10, false);
	assert_int_equal(ended, 1);
	assert_int_equal(shelf_bytes(s), 0);
	shelf_free(&s);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oldest_goes),
		cmocka_unit_test(test_taken_stays),
		cmocka_unit_test(test_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

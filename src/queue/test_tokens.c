/* test_tokens.c - a set of things by token, against a plain array. */
#include "queue/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum { THINGS = 5000, STEPS = 100000 };

struct thing {
	struct token token;
	bool in;
};

static struct thing things[THINGS];

static void
check_all(const struct tokens *t, size_t n)
{
	size_t at = 0, seen = 0;
	struct thing *thing;

	assert_int_equal(t->n, n);
	while ((thing = tokens_next(t, &at)) != NULL) {
		assert_true(thing->in);
		seen++;
	}
	assert_int_equal(seen, n);
	for (size_t i = 0; i < THINGS; i++)
		assert_ptr_equal(tokens_find(t, &things[i].token),
		    things[i].in ? &things[i] : NULL);
}

static void
test_model(void **state)
{
	struct tokens t = { 0 };
	unsigned seed = 7;
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; i < THINGS; i++)
		memcpy(things[i].token.b, &i, sizeof(i));
	check_all(&t, 0);
	for (size_t step = 0; step < STEPS; step++) {
		struct thing *one;

		seed = seed * 1103515245 + 12345;
		one = &things[seed / 65536 % THINGS];
		/* Filled first, emptied later. */
		if (one->in && (step > STEPS / 2 || seed % 4096 < 512)) {
			tokens_remove(&t, &one->token);
			one->in = false;
			n--;
		} else if (!one->in && step < STEPS / 2) {
			tokens_add(&t, &one->token);
			one->in = true;
			n++;
		}
		if (step % 10000 == 0)
			check_all(&t, n);
	}
	check_all(&t, n);
	for (size_t i = 0; i < THINGS; i++)
		if (things[i].in) {
			tokens_remove(&t, &things[i].token);
			things[i].in = false;
		}
	check_all(&t, 0);
	assert_true(t.room <= 128);
	tokens_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

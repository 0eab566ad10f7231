/* test_arena.c - what dies together is allocated together. */
#include "base/arena.h"

#include <setjmp.h>

#include <cmocka.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#endif
#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#endif

static void
allocations_are_aligned_and_apart(void **state)
{
	struct arena *a = arena_new(1 << 20);
	char *p[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		p[i] = arena_alloc(a, i);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % _Alignof(max_align_t), 0);
		memset(p[i], (int)i, i);
	}
	for (size_t i = 0; i < ARRAY_LEN(p); i++)
		for (size_t j = 0; j < i; j++)
			assert_int_equal((unsigned char)p[i][j], i & 255);
	arena_free(&a);
	assert_null(a);
	arena_free(&a);
}

static void
the_limit_holds(void **state)
{
	struct arena *a = arena_new(1000);

	(void)state;
	assert_null(arena_alloc(a, 1001));
	assert_true(arena_full(a));
	assert_null(arena_alloc(a, SIZE_MAX));
	assert_non_null(arena_alloc(a, 512));
	assert_non_null(arena_alloc(a, 400));
	assert_null(arena_alloc(a, 200));
	assert_true(arena_used(a) <= 1000);
	arena_reset(a);
	assert_false(arena_full(a));
	assert_int_equal(arena_used(a), 0);
	assert_non_null(arena_zalloc(a, 900));
	arena_free(&a);
}

static void
growing(void **state)
{
	struct arena *a = arena_new(100000);
	char *p = NULL, *q;

	(void)state;
	for (size_t n = 0; n < 5000; n += 100) {
		p = arena_grow(a, p, n, n + 100);
		assert_non_null(p);
		memset(p + n, (int)(n / 100), 100);
	}
	for (size_t i = 0; i < 5000; i++)
		assert_int_equal(p[i], i / 100);
	q = arena_alloc(a, 10);
	assert_non_null(q);
	memset(q, 'q', 10);
	assert_null(arena_grow(a, p, 5000, 200000));
	assert_int_equal(p[4999], 49);
	p = arena_grow(a, p, 5000, 6000);
	assert_int_equal(p[4999], 49);
	assert_memory_equal(q, "qqqqqqqqqq", 10);
	arena_free(&a);
}

static void
growing_in_place_counts_once(void **state)
{
	struct arena *a = arena_new(600);
	char *p = arena_alloc(a, 100), *q;

	(void)state;
	q = arena_grow(a, p, 100, 500);
	assert_ptr_equal(p, q);
	assert_int_equal(arena_used(a), 512);
	arena_free(&a);
}

static void
copies(void **state)
{
	struct arena *a = arena_new(4096);
	struct span s = arena_dup(a, SPAN("ann\0bob"));

	(void)state;
	assert_int_equal(s.n, 7);
	assert_memory_equal(s.p, "ann\0bob", 8);
	assert_string_equal(arena_cstr(a, s), "ann");
	assert_string_equal(arena_cstr(a, SPAN_EMPTY), "");
	assert_non_null(arena_dup(a, SPAN_EMPTY).p);
	s = arena_printf(a, "%d <%s>", 42, "ann@example.test");
	assert_true(span_is(s, "42 <ann@example.test>"));
	assert_null(arena_printf(a, "%5000d", 1).p);
	assert_true(arena_full(a));
	arena_trim(a);
	assert_int_equal(arena_used(a), 0);
	assert_true(span_is(arena_dup(a, SPAN("again")), "again"));
	arena_free(&a);
}

#ifdef HAVE_ASAN
static void
stray_bytes_are_poisoned(void **state)
{
	struct arena *a = arena_new(4096);
	char *p = arena_alloc(a, 13);

	(void)state;
	assert_false(__asan_address_is_poisoned(p + 12));
	assert_true(__asan_address_is_poisoned(p + 13));
	arena_alloc(a, 1);
	assert_true(__asan_address_is_poisoned(p + 13));
	arena_reset(a);
	assert_true(__asan_address_is_poisoned(p));
	arena_free(&a);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocations_are_aligned_and_apart),
		cmocka_unit_test(the_limit_holds),
		cmocka_unit_test(growing),
		cmocka_unit_test(growing_in_place_counts_once),
		cmocka_unit_test(copies),
#ifdef HAVE_ASAN
		cmocka_unit_test(stray_bytes_are_poisoned),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

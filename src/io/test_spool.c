/* test_spool.c - a message on its way in. */
#include "io/spool.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char pattern[300000];

static int
fill_pattern(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char)(i * 31 + i / 251);
	return 0;
}

static struct spool *
filled(size_t size, size_t piece)
{
	struct spool *s = spool_new(sizeof(pattern));
	size_t n;

	for (size_t at = 0; at < size; at += n) {
		n = MIN(piece, size - at);
		assert_int_equal(spool_add(s, span_of(pattern + at, n)), 1);
	}
	return s;
}

static void
holds_what_was_added(void **state)
{
	const size_t sizes[] = { 0, 1, 4096, 4097, SPOOL_INLINE - 1,
	    SPOOL_INLINE, SPOOL_INLINE + 1, 2 * SPOOL_INLINE, 300000 };
	const size_t pieces[] = { 7, 1000, 65536, 300000 };
	struct spool *s;
	struct span all;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		for (size_t j = 0; j < ARRAY_LEN(pieces); j++) {
			s = filled(sizes[i], pieces[j]);
			assert_int_equal(spool_size(s), sizes[i]);
			assert_int_equal(spool_finish(s, &all), 1);
			assert_true(span_eq(all, span_of(pattern, sizes[i])));
			assert_int_equal(spool_fd(s) != -1,
			    sizes[i] > SPOOL_INLINE);
			spool_free(&s);
			assert_null(s);
		}
}

static void
file_is_sealed(void **state)
{
	struct spool *s = filled(100000, 1000);
	struct span all;
	char back[100000];
	int fd;

	(void)state;
	assert_int_equal(spool_finish(s, &all), 1);
	fd = spool_fd(s);
	assert_int_equal(pread(fd, back, sizeof(back), 0), 100000);
	assert_memory_equal(back, pattern, sizeof(back));
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 10), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, 0), -1);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	spool_free(&s);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void
too_large_is_dead(void **state)
{
	struct spool *s = spool_new(10);
	struct span all;

	(void)state;
	assert_int_equal(spool_add(s, SPAN("0123456789")), 1);
	assert_int_equal(spool_add(s, SPAN_EMPTY), 1);
	assert_int_equal(spool_add(s, SPAN("x")), 0);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(spool_size(s), 0);
	assert_int_equal(spool_add(s, SPAN("y")), 0);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(spool_finish(s, &all), -1);
	assert_int_equal(spool_fd(s), -1);
	spool_free(&s);
}

static void
total_is_bounded_and_given_back(void **state)
{
	struct spool *a, *b, *c;

	(void)state;
	spool_set_total(150000);
	a = filled(100000, 1000);
	b = filled(50000, 1000);
	assert_int_equal(spool_add(b, SPAN("x")), 0);
	assert_int_equal(errno, ENOSPC);
	c = filled(50000, 50000);
	spool_free(&a);
	assert_int_equal(spool_add(c, span_of(pattern, 100000)), 1);
	assert_int_equal(spool_add(c, SPAN("x")), 0);
	spool_free(&b);
	spool_free(&c);
	a = filled(150000, 150000);
	spool_free(&a);
	spool_set_total(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_what_was_added),
		cmocka_unit_test(file_is_sealed),
		cmocka_unit_test(too_large_is_dead),
		cmocka_unit_test(total_is_bounded_and_given_back),
	};

	return cmocka_run_group_tests(tests, fill_pattern, NULL);
}

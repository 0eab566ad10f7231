/* test_metric.c - numbers about a process. */
#include "base/metric.h"
#include "base/log.h"

#include <setjmp.h>
#include <pthread.h>
#include <stdio.h>

#include <cmocka.h>

static _Alignas(64) char memory[METRIC_MEMORY];

static int
setup(void **state)
{
	(void)state;
	memset(memory, 0, sizeof(memory));
	metric_open(memory);
	return 0;
}

static int64_t
value_of(const char *wanted, enum metric_kind kind_wanted)
{
	enum metric_kind kind;
	char name[64];
	uint64_t value;
	size_t at = 0;

	while (metric_next(memory, &at, &kind, name, &value))
		if (strcmp(name, wanted) == 0 && kind == kind_wanted)
			return (int64_t)value;
	return -1;
}

static void
counting(void **state)
{
	(void)state;
	metric_event("smtp.accepted");
	metric_event("smtp.accepted");
	metric_set("sessions.imap", 7);
	metric_set("sessions.imap", 5);
	assert_int_equal(value_of("smtp.accepted", METRIC_EVENT), 2);
	assert_int_equal(value_of("sessions.imap", METRIC_GAUGE), 5);
	assert_int_equal(value_of("nothing", METRIC_EVENT), -1);
	log_set_level(LOG_LEVEL_ERROR);
	log_event(LOG_LEVEL_DEBUG, "imap.login", log_int("n", 1));
	assert_int_equal(value_of("imap.login", METRIC_EVENT), 1);
	log_set_level(LOG_LEVEL_INFO);
}

static void
a_full_table_drops_names(void **state)
{
	char name[64];

	(void)state;
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "event.number_%d", i);
		metric_event(name);
	}
	assert_int_equal(value_of("event.number_7", METRIC_EVENT), 1);
	assert_int_equal(value_of("event.number_299", METRIC_EVENT), -1);
	memset(name, 'x', 63);
	name[63] = '\0';
	metric_event(name);
	assert_int_equal(value_of(name, METRIC_EVENT), -1);
}

static void
foreign_memory_is_not_trusted(void **state)
{
	enum metric_kind kind;
	char name[64];
	uint64_t value;
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(memory); i++)
		memory[i] = (char)(i * 7);
	while (metric_next(memory, &at, &kind, name, &value))
		for (const char *p = name; *p != '\0'; p++)
			assert_true(ascii_is_alnum(*p) || *p == '.' ||
			    *p == '_');
	assert_int_equal(at, 256);
	memset(memory, 0, sizeof(memory));
}

static void *
count_many(void *arg)
{
	for (int i = 0; i < 10000; i++)
		metric_event(i % 2 == 0 ? "even" : "odd");
	return arg;
}

static void
threads_lose_nothing(void **state)
{
	pthread_t t[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count_many,
		    NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(value_of("even", METRIC_EVENT), 20000);
	assert_int_equal(value_of("odd", METRIC_EVENT), 20000);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		TEST(counting),
		TEST(a_full_table_drops_names),
		TEST(foreign_memory_is_not_trusted),
		TEST(threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_imap_progress.c - how far a long command is, now and then. */
#include "imap/imap_state.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static struct settings settings;

static const struct settings *
now(void *arg)
{
	(void)arg;
	return &settings;
}

static void
at(int64_t ms)
{
	clock_test_set((monotime_t){ ms }, clock_wall());
}

static struct link *store;		/* one for all: imap_setup() keeps it */

static void
setup(struct imap_session *s, struct imap_task *t)
{
	struct imap_environment env = { .hostname = "mail.example.test",
	    .settings = now };

	if (store == NULL)
		store = link_new(ACCESS, STORE);
	env.store = store;
	settings_default(&settings);
	settings.imap_progress_time = 10000;
	imap_setup(&env);
	*s = (struct imap_session){ .stream = stream_memory(SPAN_EMPTY, 0) };
	*t = (struct imap_task){ .s = s, .tag = SPAN("A001") };
}

static void
now_and_then(void **state)
{
	struct imap_session s;
	struct imap_task t;

	(void)state;
	setup(&s, &t);
	at(1000);
	imap_progress(&t, 0, 1000);
	at(10999);
	imap_progress(&t, 453, 1000);
	assert_int_equal(stream_memory_output(s.stream).n, 0);
	at(11000);
	imap_progress(&t, 454, 1000);
	imap_progress(&t, 455, 1000);
	at(20999);
	imap_progress(&t, 700, 1000);
	assert_true(span_is(stream_memory_output(s.stream),
	    "* OK [INPROGRESS (\"A001\" 454 1000)] Still working\r\n"));
	stream_free(&s.stream);
	clock_test_clear();
}

/* RFC 9585 4: NIL for what is not known; never more than there is. */
static void
without_a_goal(void **state)
{
	struct imap_session s;
	struct imap_task t;

	(void)state;
	setup(&s, &t);
	at(1);
	imap_progress(&t, 5, 0);
	at(20000);
	imap_progress(&t, 6, 0);
	at(40000);
	imap_progress(&t, 7, 6);
	assert_true(span_is(stream_memory_output(s.stream),
	    "* OK [INPROGRESS (\"A001\" NIL NIL)] Still working\r\n"
	    "* OK [INPROGRESS (\"A001\" NIL NIL)] Still working\r\n"));
	stream_free(&s.stream);
	clock_test_clear();
}

static void
never(void **state)
{
	struct imap_session s;
	struct imap_task t;

	(void)state;
	setup(&s, &t);
	settings.imap_progress_time = 0;
	at(1);
	imap_progress(&t, 5, 10);
	at(INT32_MAX);
	imap_progress(&t, 6, 10);
	assert_int_equal(stream_memory_output(s.stream).n, 0);
	stream_free(&s.stream);
	clock_test_clear();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(now_and_then),
		cmocka_unit_test(without_a_goal),
		cmocka_unit_test(never),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

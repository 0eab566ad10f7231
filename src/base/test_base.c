/* test_base.c - allocation, and the end of a process. */
#include "base/base.h"

#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void
allocation_works(void **state)
{
	char *p = xmalloc(0), *q = xcalloc(3, 5), *s = xstrdup("postrider");

	(void)state;
	assert_non_null(p);
	p = xrealloc(p, 100);
	memset(p, 1, 100);
	for (size_t i = 0; i < 15; i++)
		assert_int_equal(q[i], 0);
	assert_string_equal(s, "postrider");
	free(p);
	free(q);
	free(s);
}

static void
must_aborts_and_says_where(void **state)
{
	int ends[2], status;
	char said[256];
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		must(1 + 1 == 3);
		_exit(0);
	}
	close(ends[1]);
	n = read(ends[0], said, sizeof(said) - 1);
	assert_true(n > 0);
	said[n] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(said, "test_base.c"));
	assert_non_null(strstr(said, "must(1 + 1 == 3)"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocation_works),
		cmocka_unit_test(must_aborts_and_says_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

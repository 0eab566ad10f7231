/* test_listen.c - where to listen. */
#include "role/listen.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* The list as the program understood it, or "!" and why it did not. */
static const char *
understood(const char *list, unsigned offset)
{
	static char said[2048];
	struct listen_address all[LISTEN_MAX];
	struct text t = TEXT_INIT(2000), why = TEXT_INIT(1000);
	size_t n;

	if (listen_parse(span_str(list), offset, all, &n, &why) == 1) {
		for (size_t i = 0; i < n; i++) {
			text_str(&t, i > 0 ? " " : "");
			listen_write(&all[i], &t);
			text_str(&t, listen_is_loopback(&all[i]) ? "(lo)" :
			    "");
		}
	} else {
		text_char(&t, '!');
		text_add(&t, text_span(&why));
	}
	snprintf(said, sizeof(said), "%.*s", SPAN_ARG(text_span(&t)));
	text_free(&t);
	text_free(&why);
	return said;
}

static void
lists(void **state)
{
	(void)state;
	assert_string_equal(understood("", 0), "");
	assert_string_equal(understood(" 192.0.2.1:25\t[2001:db8::1]:587 ", 0),
	    "192.0.2.1:25 [2001:db8::1]:587");
	assert_string_equal(understood("*:25", 0), "0.0.0.0:25 [::]:25");
	assert_string_equal(understood("127.0.0.1:25 [::1]:25 127.9.9.9:1", 0),
	    "127.0.0.1:25(lo) [::1]:25(lo) 127.9.9.9:1(lo)");
}

static void
an_offset_raises_ports_and_stays_home(void **state)
{
	(void)state;
	assert_string_equal(understood("*:25 192.0.2.1:587", 10000),
	    "127.0.0.1:10025(lo) [::1]:10025(lo) 192.0.2.1:10587");
	assert_string_equal(understood("*:25", 65511),
	    "!not an address and port: *:25");
}

static void
nonsense_is_refused(void **state)
{
	static const char *const bad[] = { "25", "*", ":25", "1.2.3:25",
	    "1.2.3.4:0", "1.2.3.4:65536", "::1:25", "[::1]", "[1.2.3.4]:25",
	    "[*]:25", "localhost:25", "1.2.3.4:25x",
	    "[fe80::1%lo]:25", "*:25,*:26" };
	char said[128], many[400] = "";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(said, sizeof(said), "!not an address and port: %s",
		    bad[i]);
		assert_string_equal(understood(bad[i], 0), said);
	}
	for (int i = 0; i < 20; i++)
		strcat(many, "*:25 ");
	assert_string_equal(understood(many, 0), "!too many addresses");
}

static void
paths(void **state)
{
	struct listen_address all[LISTEN_MAX], at = { .n = 0 };
	struct text why = TEXT_INIT(100), t = TEXT_INIT(200);
	char home[] = "/tmp/postrider-listen-XXXXXX", path[200], name[200];
	int directory, fd, again;
	struct stat st;
	size_t n;

	(void)state;
	memset(name, 'x', sizeof(name));
	memcpy(name, "unix:/", 6);
	assert_int_equal(listen_parse(SPAN("unix:"), 0, all, &n, &why), 0);
	assert_int_equal(listen_parse(span_of(name, 83), 0, all, &n, &why), 0);
	assert_int_equal(listen_parse(SPAN("127.0.0.1:1 unix:a.sock"), 11000,
	    all, &n, &why), 1);
	assert_int_equal(n, 2);
	assert_true(listen_is_local(&all[1]) && !listen_is_local(&all[0]));
	at = all[1];
	listen_write(&at, &t);
	assert_true(span_is(text_span(&t), "unix:a.sock"));
	assert_non_null(mkdtemp(home));
	directory = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = listen_open(&at, directory, 5);
	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "%s/a.sock", home);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0666);
	again = listen_open(&at, directory, 5);	/* what is left makes way */
	assert_true(again >= 0);
	close(fd);
	close(again);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(listen_open(&at, directory, 5), -1);
	assert_int_equal(errno, EADDRINUSE);	/* a file does not */
	assert_int_equal(stat(path, &st), 0);
	close(fd);
	close(directory);
	unlink(path);
	rmdir(home);
	text_free(&t);
	text_free(&why);
}

static void
sockets_listen(void **state)
{
	struct listen_address all[LISTEN_MAX], here = { .n = 0 };
	struct text why = TEXT_INIT(100), t = TEXT_INIT(100);
	size_t n;
	int fd, again;

	(void)state;
	assert_int_equal(listen_parse(SPAN("127.0.0.1:1"), 0, all, &n,
	    &why), 1);
	((struct sockaddr *)&all[0].a)->sa_data[0] = 0;	/* any free port */
	((struct sockaddr *)&all[0].a)->sa_data[1] = 0;
	fd = listen_open(&all[0], -1, 5);
	assert_true(fd >= 0);
	here.n = sizeof(here.a);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&here.a, &here.n),
	    0);
	listen_write(&here, &t);
	assert_true(span_starts(text_span(&t), SPAN("127.0.0.1:")));
	again = listen_open(&here, -1, 5);
	assert_int_equal(again, -1);
	assert_int_equal(errno, EADDRINUSE);
	close(fd);
	text_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(an_offset_raises_ports_and_stays_home),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(paths),
		cmocka_unit_test(sockets_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

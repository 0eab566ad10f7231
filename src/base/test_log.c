/* test_log.c - one event, one line. */
#include "base/clock.h"
#include "base/log.h"

#include <setjmp.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int ends[2];	/* datagrams: one write is one line */
static char line[32768];

static int
setup(void **state)
{
	(void)state;
	clock_test_set((monotime_t){ 0 }, 1700000000123456);
	return socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
}

static int
teardown(void **state)
{
	(void)state;
	clock_test_clear();
	close(ends[0]);
	close(ends[1]);
	log_set_level(LOG_LEVEL_INFO);
	log_open(STDERR_FILENO, LOG_FORMAT_TEXT, "postrider");
	return 0;
}

/* The next line, without its newline. */
static struct span
next_line(void)
{
	ssize_t n = recv(ends[0], line, sizeof(line) - 1, MSG_DONTWAIT);

	assert_true(n > 0);
	assert_int_equal(line[n - 1], '\n');
	line[n - 1] = '\0';
	return span_of(line, (size_t)n - 1);
}

static const char *
after(const char *mark)
{
	const char *p = strstr(next_line().p, mark);

	assert_non_null(p);
	return p + strlen(mark);
}

static void
text_lines(void **state)
{
	char head[128];

	(void)state;
	log_open(ends[1], LOG_FORMAT_TEXT, "mx");
	log_event(LOG_LEVEL_INFO, "smtp.accepted", log_str("queue_id", "a1"),
	    log_int("size", -5), log_text("helo", SPAN("a b")));
	snprintf(head, sizeof(head), "time=2023-11-14T22:13:20.123Z level=info"
	    " role=mx pid=%d event=smtp.accepted queue_id=a1 size=-5"
	    " helo=\"a b\"", (int)getpid());
	assert_string_equal(next_line().p, head);
	log_event(LOG_LEVEL_ERROR, "x.y");
	assert_string_equal(after("event="), "x.y");
}

static void
values_cannot_forge(void **state)
{
	(void)state;
	log_open(ends[1], LOG_FORMAT_TEXT, "mx");
	log_event(LOG_LEVEL_INFO, "e", log_text("v",
	    SPAN("a\r\nb\"c\\d\x1b[2J\0\x7f\xc3\xa4\xff\xe2\x80\xae")));
	assert_string_equal(after(" v="), "\"a\\r\\nb\\\"c\\\\d\\x1b[2J"
	    "\\x00\\x7f\xc3\xa4\\xff\\xe2\\x80\\xae\"");
	log_event(LOG_LEVEL_INFO, "e", log_str("v", "x=y"), log_str("w", ""));
	assert_string_equal(after(" v="), "\"x=y\" w=\"\"");
	/* Overlong and surrogate forms are no characters. */
	log_event(LOG_LEVEL_INFO, "e",
	    log_text("v", SPAN("\xc0\x8a\xed\xa0\x80\xc2")));
	assert_string_equal(after(" v="),
	    "\"\\xc0\\x8a\\xed\\xa0\\x80\\xc2\"");
}

static void
json_lines(void **state)
{
	(void)state;
	log_open(ends[1], LOG_FORMAT_JSON, "store");
	log_event(LOG_LEVEL_WARNING, "e", log_text("v", SPAN("a\n\x01\"\xff")),
	    log_int("n", INT64_MIN));
	next_line();
	assert_non_null(strstr(line, "{\"time\":\"2023-11-14T22:13:20.123Z\","
	    "\"level\":\"warning\",\"role\":\"store\",\"pid\":"));
	assert_non_null(strstr(line, ",\"event\":\"e\",\"v\":\"a\\n\\u0001\\\""
	    "\\u00ff\",\"n\":-9223372036854775808}"));
}

static void
long_lines_are_cut_and_closed(void **state)
{
	static char much[100000];
	struct span s;

	(void)state;
	memset(much, '\1', sizeof(much));
	for (int f = LOG_FORMAT_TEXT; f <= LOG_FORMAT_JSON; f++) {
		log_open(ends[1], (enum log_format)f, "mx");
		for (size_t n = 0; n < 1100; n++) {
			struct span v = span_of(much, n);

			log_event(LOG_LEVEL_INFO, "e", log_text("a", v),
			    log_text("b", v), log_text("c", v),
			    log_text("d", v), log_int("last", 1));
			s = next_line();
			assert_true(s.n < PIPE_BUF);
			assert_true(span_ends(s, f == LOG_FORMAT_JSON ?
			    SPAN("}") : n == 0 ? SPAN("1") : SPAN("\"")) ||
			    span_ends(s, SPAN("last=1")));
		}
	}
	log_event(LOG_LEVEL_INFO, "e",
	    log_text("a", span_of(much, sizeof(much))));
	assert_non_null(strstr(next_line().p, "...\"}"));
}

static void
levels_filter(void **state)
{
	(void)state;
	log_open(ends[1], LOG_FORMAT_TEXT, "mx");
	log_event(LOG_LEVEL_DEBUG, "hidden");
	assert_int_equal(recv(ends[0], line, sizeof(line), MSG_DONTWAIT), -1);
	log_set_level(LOG_LEVEL_DEBUG);
	assert_true(log_enabled(LOG_LEVEL_DEBUG));
	assert_int_equal(log_level_named("error"), LOG_LEVEL_ERROR);
	assert_int_equal(log_level_named("debug"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_named("loud"), LOG_LEVEL_INFO);
	log_event(LOG_LEVEL_DEBUG, "seen");
	assert_string_equal(after("event="), "seen");
}

static void
errno_is_named_and_kept(void **state)
{
	(void)state;
	log_open(ends[1], LOG_FORMAT_TEXT, "mx");
	errno = ENOENT;
	log_event(LOG_LEVEL_INFO, "e", log_errno());
	assert_int_equal(errno, ENOENT);
	assert_string_equal(after("error="), "\"No such file or directory\"");
}

static bool
has(struct span s, struct span part)
{
	return span_find(s, part, 0) != SIZE_MAX;
}

static void
journal_fields(void **state)
{
	ssize_t n;
	struct span s;

	(void)state;
	log_open(ends[1], LOG_FORMAT_JOURNAL, "mx");
	log_event(LOG_LEVEL_ERROR, "smtp.refused",
	    log_text("helo", SPAN("a\nPRIORITY=0")), log_int("n", 42));
	n = recv(ends[0], line, sizeof(line), 0);
	assert_true(n > 0);
	s = span_of(line, (size_t)n);
	assert_true(has(s, SPAN("PRIORITY\n\1\0\0\0\0\0\0\0" "3\n")));
	assert_true(has(s, SPAN("POSTRIDER_ROLE\n\2\0\0\0\0\0\0\0mx\n")));
	assert_true(has(s,
	    SPAN("POSTRIDER_HELO\n\14\0\0\0\0\0\0\0a\nPRIORITY=0\n")));
	assert_true(has(s, SPAN("POSTRIDER_N\n\2\0\0\0\0\0\0\0" "42\n")));
	assert_true(span_starts(s, SPAN("MESSAGE\n")));
	assert_true(has(s,
	    SPAN("smtp.refused helo=\"a\\nPRIORITY=0\" n=42\n")));
}

static void *
write_many(void *arg)
{
	for (int i = 0; i < 50; i++)
		log_event(LOG_LEVEL_INFO, "thread", log_str("who", arg));
	return NULL;
}

static void
threads_do_not_mix(void **state)
{
	static char a[] = "aaaa", b[] = "bbbb";
	pthread_t t[2];

	(void)state;
	log_open(ends[1], LOG_FORMAT_TEXT, "store");
	assert_int_equal(pthread_create(&t[0], NULL, write_many, a), 0);
	assert_int_equal(pthread_create(&t[1], NULL, write_many, b), 0);
	for (int i = 0; i < 100; i++) {
		ssize_t n = recv(ends[0], line, sizeof(line) - 1, 0);
		struct span s = span_of(line, (size_t)MAX(n, 0));

		assert_true(span_ends(s, SPAN("event=thread who=aaaa\n")) ||
		    span_ends(s, SPAN("event=thread who=bbbb\n")));
	}
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(text_lines),
		TEST(values_cannot_forge),
		TEST(json_lines),
		TEST(long_lines_are_cut_and_closed),
		TEST(levels_filter),
		TEST(errno_is_named_and_kept),
		TEST(journal_fields),
		TEST(threads_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_settings.c - every setting of Postrider. */
#include "base/settings.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct settings s, t;
static struct text why = { .limit = 4096 };

static int
setup(void **state)
{
	(void)state;
	settings_default(&s);
	text_clear(&why);
	return 0;
}

static void
defaults_are_in_range(void **state)
{
	(void)state;
	assert_int_equal(s.smtp_max_size, 50 << 20);
	assert_int_equal(s.imap_idle_timeout, 30 * 60 * 1000);
	assert_true(s.auth_require_tls);
	assert_string_equal(s.listen_smtp, "*:25");
	assert_string_equal(s.tls_min_version, "1.2");
	for (size_t i = 0; i < settings_count(); i++) {
		const struct param *p = settings_row(i);
		size_t n = strlen(p->about);

		assert_true(strlen(p->name) < PARAM_NAME_MAX);
		assert_ptr_equal(settings_find(span_str(p->name)), p);
		assert_true(n > 10 && p->about[n - 1] == '.');
	}
}

static void
encoding_comes_back(void **state)
{
	struct text one = TEXT_INIT(1 << 20), two = TEXT_INIT(1 << 20);

	(void)state;
	assert_int_equal(settings_set(&s, SPAN("hostname"),
	    SPAN("mail.example.test"), &why), 1);
	assert_int_equal(settings_set(&s, SPAN("smtp.banner"),
	    SPAN("a=b # c"), &why), 1);
	assert_int_equal(settings_set(&s, SPAN("pop3.login_delay"),
	    SPAN("90s"), &why), 1);
	settings_encode(&s, &one);
	assert_int_equal(settings_decode(&t, text_span(&one), &why), 1);
	assert_memory_equal(&s, &t, sizeof(s));
	settings_encode(&t, &two);
	assert_true(span_eq(text_span(&one), text_span(&two)));
	text_free(&one);
	text_free(&two);
}

static void
a_bad_file_changes_nothing(void **state)
{
	(void)state;
	t = s;
	assert_int_equal(settings_parse(&s,
	    SPAN("smtp { max_size = 1M }\nsmtp.max_colour = 3"), &why), 0);
	assert_true(span_is(text_span(&why),
	    "line 2: there is no setting \"smtp.max_colour\""));
	assert_memory_equal(&s, &t, sizeof(s));
	text_clear(&why);
	assert_int_equal(settings_parse(&s,
	    SPAN("smtp.max_size=1M;\nsmtp { max_size = 2M }"), &why), 0);
	assert_true(span_is(text_span(&why),
	    "line 2: smtp.max_size was set on line 1 already"));
	text_clear(&why);
	assert_int_equal(settings_decode(&s, SPAN("hostname\n"), &why), 1);
	assert_int_equal(settings_decode(&s, SPAN("nothing=1\n"), &why), 0);
}

static void
networks_are_looked_at(void **state)
{
	(void)state;
	assert_int_equal(settings_parse(&s, SPAN("smtp { trusted = "
	    "\"192.0.2.0/24 ::1\"; }"), &why), 1);
	assert_string_equal(s.smtp_trusted, "192.0.2.0/24 ::1");
	assert_int_equal(settings_parse(&s, SPAN("listen { proxy_from = "
	    "\"::1 localhost\"; }"), &why), 0);
	assert_true(span_find(text_span(&why), SPAN("not an address or "
	    "network: localhost (listen.proxy_from)"), 0) != SIZE_MAX);
}

static void
files_are_read_over_the_defaults(void **state)
{
	char path[] = "/tmp/test_settings.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_true(dprintf(fd, "imap { max_line = 128K; }\n") > 0);
	s.smtp_max_size = 7;
	assert_int_equal(settings_load(&s, path, &why), 1);
	assert_int_equal(s.imap_max_line, 128 << 10);
	assert_int_equal(s.smtp_max_size, 50 << 20);
	assert_true(dprintf(fd, "imap.max_line = 1;") > 0);
	assert_int_equal(settings_load(&s, path, &why), 0);
	assert_true(span_starts(text_span(&why), span_str(path)));
	assert_true(span_ends(text_span(&why),
	    SPAN(": line 2: imap.max_line was set on line 1 already")));
	close(fd);
	unlink(path);
	assert_int_equal(settings_load(&s, path, &why), -1);
	assert_int_equal(settings_load(&s, "/", &why), -1);
	assert_int_equal(s.imap_max_line, 128 << 10);
}

static void
the_manual_has_every_row(void **state)
{
	struct text m = TEXT_INIT(0);
	struct span rest, line;
	size_t rows = 0;

	(void)state;
	settings_write_manual(&m);
	rest = text_span(&m);
	while (rest.n > 0) {
		rest = span_cut(rest, '\n', &line);
		assert_true(line.n > 0);
		if (line.p[0] != '.')
			continue;
		assert_true(span_is(line, ".TP") ||
		    span_starts(line, SPAN(".B ")) ||
		    span_starts(line, SPAN(".SS ")));
		rows += span_is(line, ".TP");
	}
	assert_int_equal(rows, settings_count());
	text_free(&m);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		TEST(defaults_are_in_range),
		TEST(encoding_comes_back),
		TEST(a_bad_file_changes_nothing),
		TEST(networks_are_looked_at),
		TEST(files_are_read_over_the_defaults),
		TEST(the_manual_has_every_row),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	text_free(&why);
	return failed;
}

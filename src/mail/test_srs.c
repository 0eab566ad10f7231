/*
 * test_srs.c - senders of mail that is sent on, and their way back; read and
 * written by Mail::SRS too, where that is installed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mail/address.h"
#include "mail/srs.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TODAY = 20000 };			/* the day "RA" */

static const struct span secret = { "a secret", 8 };

static struct span
forward(struct arena *a, const char *sender, const char *domain, int64_t day)
{
	struct span out;

	assert_int_equal(srs_forward(span_str(sender), span_str(domain),
	    secret, day, a, &out), 1);
	return out;
}

static void
comes_back(struct arena *a, struct span address, int64_t day,
    const char *wanted)
{
	struct span out;
	int rc = srs_reverse(address, secret, day, a, &out);

	if (rc != (wanted != NULL) || (rc == 1 && !span_is(out, wanted)))
		fail_msg("%.*s leads to <%.*s>", SPAN_ARG(address),
		    SPAN_ARG(out));
}

static void
test_there_and_back(void **state)
{
	static const char *const senders[] = {
		"ann@example.org", "Ann.Example+tag@example.org",
		"a=b=c@example.org", "=@x.org", "\"a b\"@example.org",
		"ann@[192.0.2.1]", "\xc3\xa4nn@example.org", "a@b",
		"bounces+123456-abcd-somebody=example.net@em42.mailer.test",
	};
	struct arena *a = arena_new(1 << 20);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
		struct span out = forward(a, senders[i], "here.test", TODAY);
		struct address parsed;

		assert_true(span_ends(out, SPAN("@here.test")));
		assert_int_equal(address_mailbox(out, ADDRESS_ALLOW_UTF8, a,
		    &parsed), 1);
		assert_true(srs_is(parsed.local));
		comes_back(a, out, TODAY, senders[i]);
		comes_back(a, out, TODAY + SRS_DAYS, senders[i]);
		comes_back(a, out, TODAY + SRS_DAYS + 1, NULL);
		comes_back(a, out, TODAY - 1, NULL);
	}
	arena_free(&a);
}

static void
test_form(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct span out, again;

	(void)state;
	out = forward(a, "ann@example.org", "here.test", TODAY);
	assert_true(span_starts(out, SPAN("SRS0=")));
	assert_true(span_ends(out, SPAN("=RA=example.org=ann@here.test")));
	assert_int_equal(out.n, strlen("SRS0=hhhhhhhh=RA=example.org=ann"
	    "@here.test"));
	/* The null sender is nobody's to rewrite. */
	assert_int_equal(forward(a, "", "here.test", TODAY).n, 0);

	/* A chain of forwarders: two of them are in the address, no more. */
	again = forward(a, "SRS0=HH=TT=example.org=ann@first.test",
	    "second.test", TODAY);
	assert_true(span_starts(again, SPAN("SRS1=")));
	assert_true(span_ends(again,
	    SPAN("=first.test==HH=TT=example.org=ann@second.test")));
	comes_back(a, again, TODAY, "SRS0=HH=TT=example.org=ann@first.test");
	again = forward(a, arena_cstr(a, again), "third.test", TODAY);
	assert_true(span_ends(again,
	    SPAN("=first.test==HH=TT=example.org=ann@third.test")));
	comes_back(a, again, TODAY, "SRS0=HH=TT=example.org=ann@first.test");
	/* Another's separator stays as it is. */
	again = forward(a, "srs0+HH=TT=example.org=ann@first.test",
	    "second.test", TODAY);
	comes_back(a, again, TODAY, "SRS0+HH=TT=example.org=ann@first.test");
	arena_free(&a);
}

/* Nothing that was changed comes back; but for its case, which some change. */
static void
test_forged(void **state)
{
	struct arena *a = arena_new(8 << 20);
	char good[128], bad[128];
	struct span out;
	size_t at;

	(void)state;
	snprintf(good, sizeof(good), "%s", arena_cstr(a,
	    forward(a, "ann@example.org", "here.test", TODAY)));
	for (at = 5; good[at] != '@'; at++) {
		/* Where the domain ends may be said otherwise: see the hash. */
		if (good[at] == '=')
			continue;
		strcpy(bad, good);
		bad[at] = bad[at] == 'x' ? 'y' : 'x';
		if (srs_reverse(span_str(bad), secret, TODAY, a, &out) == 1)
			fail_msg("%s", bad);
	}
	assert_int_equal(srs_reverse(span_str(good), SPAN("another"), TODAY,
	    a, &out), 0);
	for (at = 0; good[at] != '\0'; at++)
		bad[at] = ascii_upper(good[at]);
	bad[at] = '\0';
	comes_back(a, span_str(bad), TODAY, "ANN@example.org");
	for (at = 0; good[at] != '\0'; at++)
		bad[at] = ascii_lower(good[at]);
	comes_back(a, span_str(bad), TODAY, "ann@example.org");
	arena_free(&a);
}

static void
test_nonsense(void **state)
{
	static const char *const bad[] = {
		"", "ann@example.org", "SRS0@here.test", "SRS0=@here.test",
		"SRS0==@here.test", "SRS0====@here.test",
		"SRS0=a=RA=example.org=ann@here.test",
		"SRS0=aaaaaaaa=RA=example.org@here.test",
		"SRS0+aaaaaaaa=RA=example.org=ann@here.test",
		"SRS1=aaaaaaaa=first.test@here.test",
		"SRS1=aaaaaaaa=first.test==x@here.test", "SRS1=@here.test",
		"SRS2=aaaaaaaa=RA=example.org=ann@here.test",
	};
	struct arena *a = arena_new(1 << 20);
	char local[260];
	struct span out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		comes_back(a, span_str(bad[i]), TODAY, NULL);
	assert_false(srs_is(SPAN("SRS0")));
	assert_false(srs_is(SPAN("srsx=")));
	assert_true(srs_is(SPAN("srs1-x")));
	/* A path has at most 256 bytes, with its angles. */
	for (size_t n = 1; n < 240; n++) {
		memset(local, 'a', n);
		strcpy(local + n, "@example.org");
		assert_int_equal(srs_forward(span_str(local),
		    SPAN("here.test"), secret, TODAY, a, &out),
		    strlen("SRS0=hhhhhhhh=RA=example.org=@here.test") + n <=
		    254);
		arena_reset(a);
	}
	arena_free(&a);
}

/* A line of what a program says; false: there is no such program. */
static bool
ask_perl(const char *what, struct span address, char *line, size_t room)
{
	char command[1024];
	FILE *pipe;
	bool said;

	snprintf(command, sizeof(command), "perl -MMail::SRS -e '$s = "
	    "Mail::SRS->new(Secret => \"a secret\", HashLength => 8, "
	    "HashMin => 8, MaxAge => %d); print $s->%s'", SRS_DAYS, what);
	setenv("SRS_ADDRESS", address.p, 1);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	said = fgets(line, (int)room, pipe) != NULL;
	return pclose(pipe) == 0 && said;
}

static void
test_mail_srs(void **state)
{
	static const char *const senders[] = {
		"ann@example.org", "Ann+x@Example.org", "a=b@example.org",
		"SRS0=HH=TT=example.org=ann@first.test",
		"SRS1=HHHH=first.test==HH=TT=example.org=ann@second.test",
	};
	struct arena *a = arena_new(1 << 20);
	int64_t today = time(NULL) / 86400;
	char line[512];
	struct span ours, theirs;

	(void)state;
	if (system("perl -MMail::SRS -e 1 2>/dev/null") != 0)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
		assert_true(ask_perl("forward($ENV{SRS_ADDRESS}, "
		    "\"here.test\")", span_str(senders[i]), line,
		    sizeof(line)));
		assert_int_equal(srs_reverse(span_str(line), secret, today, a,
		    &theirs), 1);
		ours = forward(a, senders[i], "here.test", today);
		assert_true(ask_perl("reverse($ENV{SRS_ADDRESS})", ours, line,
		    sizeof(line)));
		/* They keep the case of a domain, we do not. */
		assert_true(span_eq_nocase(span_str(line), theirs));
		comes_back(a, ours, today, arena_cstr(a, theirs));
	}
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_mail_srs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

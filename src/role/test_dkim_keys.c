/*
 * test_dkim_keys.c - keys made, read, taken over from, and deleted by the
 * clock, in a directory of its own.
 */
#include "role/dkim_keys.h"
#include "base/arena.h"
#include "ipc/wire.h"
#include "verify/dkim.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOVEMBER	INT64_C(1795273200)	/* 2026-11-21 */
#define DAY		86400

static char path[] = "/tmp/test_dkim_keys.XXXXXX";
static int data;
static struct text why;

/* What is there, "selector[ retired];" each, newest first. */
static bool
note_key(void *arg, const struct dkim_file *f)
{
	text_printf(arg, "%.*s%s;", SPAN_ARG(f->selector),
	    f->retired != 0 ? " retired" : "");
	return true;
}

static void
note_bad(void *arg, const char *file, struct span reason)
{
	(void)reason;
	text_printf(arg, "bad %s;", file);
}

static bool
there_is(const char *domain, const char *want)
{
	struct text t = TEXT_INIT(0);
	bool same;

	assert_int_equal(dkim_keys_each(data, span_str(domain), note_key,
	    note_bad, &t, &why), 1);
	same = span_is(text_span(&t), want);
	if (!same)
		print_message("%.*s\n", SPAN_ARG(text_span(&t)));
	text_free(&t);
	return same;
}

static void
make(const char *domain, int64_t now, const char *want)
{
	struct text selector = TEXT_INIT(0);

	assert_int_equal(dkim_keys_make(data, span_str(domain), now,
	    &selector, &why), 1);
	assert_true(span_is(text_span(&selector), want));
	text_free(&selector);
}

static void
put(const char *name, const char *bytes)
{
	int fd = openat(data, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, strlen(bytes)),
	    (ssize_t)strlen(bytes));
	close(fd);
}

/* ---- tests ------------------------------------------------------------ */

static void
keys_are_made_for_their_owner(void **state)
{
	struct stat st;

	(void)state;
	assert_true(there_is("a.test", ""));
	make("a.test", NOVEMBER, "pr202611a");
	assert_true(there_is("a.test",
	    "pr202611a-rsa;pr202611a-ed25519;"));
	assert_int_equal(fstatat(data, "dkim/a.test/pr202611a-rsa.pem", &st,
	    0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fstatat(data, "dkim/a.test", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	make("a.test", NOVEMBER + 60, "pr202611b");
	make("a.test", NOVEMBER + 40 * DAY, "pr202612a");
	assert_true(there_is("a.test", "pr202612a-rsa;pr202612a-ed25519;"
	    "pr202611b-rsa;pr202611b-ed25519;"
	    "pr202611a-rsa;pr202611a-ed25519;"));
	assert_int_equal(dkim_keys_remove(data, SPAN("a.test"), &why), 1);
	assert_true(there_is("a.test", ""));
	assert_int_equal(dkim_keys_remove(data, SPAN("a.test"), &why), 1);
}

static void
keys_sign_and_say_what_they_are(void **state)
{
	struct text pem = TEXT_INIT(0);
	uint8_t signature[DKIM_SIGNATURE_MAX];
	struct dkim_pem *k;
	size_t n;

	(void)state;
	for (unsigned a = 0; a < DKIM_ALGORITHMS; a++) {
		text_clear(&pem);
		text_str(&pem, "Created: whenever\n");
		assert_int_equal(dkim_pem_make((enum dkim_algorithm)a, &pem),
		    1);
		k = dkim_pem_new(text_span(&pem), &why);
		assert_non_null(k);
		assert_int_equal(dkim_pem_algorithm(k), a);
		assert_int_equal(dkim_pem_public(k).n,
		    a == DKIM_RSA_SHA256 ? 392 : 44);
		assert_int_equal(dkim_pem_sign(k, SPAN("x"), signature, &n),
		    1);
		assert_int_equal(n, a == DKIM_RSA_SHA256 ? 256 : 64);
		dkim_pem_free(&k);
	}
	text_wipe(&pem);
}

static void
a_key_that_is_none_is_left_out(void **state)
{
	struct text t = TEXT_INIT(0);

	(void)state;
	make("bad.test", NOVEMBER, "pr202611a");
	put("dkim/bad.test/own.pem", "this is no key\n");
	put("dkim/bad.test/notes.txt", "neither is this\n");
	put("dkim/bad.test/..pem", "nor this\n");
	assert_true(there_is("bad.test", "bad dkim/bad.test/own.pem;"
	    "pr202611a-rsa;pr202611a-ed25519;"));
	assert_int_equal(dkim_keys_pack(data, NULL, NULL, &t, &why), 1);
	assert_true(dkim_keys_has(text_span(&t), SPAN("bad.test"),
	    SPAN("pr202611a-rsa")));
	assert_false(dkim_keys_has(text_span(&t), SPAN("bad.test"),
	    SPAN("notes")));
	assert_false(dkim_keys_has(text_span(&t), SPAN("other.test"),
	    SPAN("pr202611a-rsa")));
	text_wipe(&t);
	assert_int_equal(dkim_keys_remove(data, SPAN("bad.test"), &why), 1);
}

static void
who_takes_over_retires_its_own_kind(void **state)
{
	(void)state;
	make("b.test", NOVEMBER, "pr202611a");
	make("b.test", NOVEMBER + DAY, "pr202611b");
	assert_int_equal(dkim_keys_took_over(data, SPAN("b.test"),
	    SPAN("pr202611b-rsa"), NOVEMBER + 2 * DAY, &why), 1);
	assert_true(there_is("b.test", "pr202611b-rsa;pr202611b-ed25519;"
	    "pr202611a-rsa retired;pr202611a-ed25519;"));
	/* Again, an older one, an unknown one: nothing. */
	assert_int_equal(dkim_keys_took_over(data, SPAN("b.test"),
	    SPAN("pr202611b-rsa"), NOVEMBER + 3 * DAY, &why), 0);
	assert_int_equal(dkim_keys_took_over(data, SPAN("b.test"),
	    SPAN("pr202611a-ed25519"), NOVEMBER, &why), 0);
	assert_int_equal(dkim_keys_took_over(data, SPAN("b.test"),
	    SPAN("nobody"), NOVEMBER, &why), 0);
	assert_int_equal(dkim_keys_remove(data, SPAN("b.test"), &why), 1);
}

static struct text events;

static void
on_made(struct span domain, struct span selector)
{
	text_printf(&events, "made %.*s %.*s;", SPAN_ARG(domain),
	    SPAN_ARG(selector));
}

static void
on_deleted(struct span domain, struct span selector)
{
	text_printf(&events, "deleted %.*s %.*s;", SPAN_ARG(domain),
	    SPAN_ARG(selector));
}

static void
on_failed(struct span domain, struct span reason)
{
	text_printf(&events, "failed %.*s: %.*s;", SPAN_ARG(domain),
	    SPAN_ARG(reason));
}

/* What was done at that time. */
static bool
keeping(int64_t now, int64_t rotate, const char *want)
{
	struct dkim_schedule s = { .now = now, .rotate = rotate,
	    .retire = 14 * DAY, .made = on_made, .deleted = on_deleted,
	    .failed = on_failed };
	bool more = false, changed, same;

	text_clear(&events);
	changed = dkim_keys_keep(data, &s, &more);
	same = span_is(text_span(&events), want) &&
	    changed == (*want != '\0') && !more;
	if (!same)
		print_message("%.*s\n", SPAN_ARG(text_span(&events)));
	return same;
}

static void
keys_are_kept_by_the_clock(void **state)
{
	(void)state;
	make("c.test", NOVEMBER, "pr202611a");
	assert_true(keeping(NOVEMBER + 400 * DAY, 0, ""));
	assert_true(keeping(NOVEMBER + 29 * DAY, 30 * DAY, ""));
	assert_true(keeping(NOVEMBER + 30 * DAY, 30 * DAY,
	    "made c.test pr202612a;"));
	/* Nobody has published it yet: the old one stays, and is enough. */
	assert_true(keeping(NOVEMBER + 300 * DAY, 30 * DAY, ""));
	assert_int_equal(dkim_keys_took_over(data, SPAN("c.test"),
	    SPAN("pr202612a-rsa"), NOVEMBER + 300 * DAY, &why), 1);
	assert_true(keeping(NOVEMBER + 300 * DAY, 30 * DAY, ""));
	assert_int_equal(dkim_keys_took_over(data, SPAN("c.test"),
	    SPAN("pr202612a-ed25519"), NOVEMBER + 301 * DAY, &why), 1);
	assert_true(keeping(NOVEMBER + 314 * DAY, 0,
	    "deleted c.test pr202611a-rsa;"));
	assert_true(there_is("c.test", "pr202612a-rsa;pr202612a-ed25519;"
	    "pr202611a-ed25519 retired;"));
	assert_true(keeping(NOVEMBER + 315 * DAY, 0,
	    "deleted c.test pr202611a-ed25519;"));
	assert_int_equal(dkim_keys_remove(data, SPAN("c.test"), &why), 1);
}

/* An RSA key takes time: of many domains only some are served at once. */
static void
many_are_made_in_turns(void **state)
{
	struct dkim_schedule s = { .now = NOVEMBER + 50 * DAY,
	    .rotate = 30 * DAY, .retire = DAY, .made = on_made,
	    .deleted = on_deleted, .failed = on_failed };
	char domain[32];
	bool more;

	(void)state;
	for (int i = 0; i < DKIM_MADE_AT_ONCE + 1; i++) {
		snprintf(domain, sizeof(domain), "d%d.test", i);
		make(domain, NOVEMBER, "pr202611a");
	}
	assert_true(dkim_keys_keep(data, &s, &more));
	assert_true(more);
	assert_true(dkim_keys_keep(data, &s, &more));
	assert_false(more);
	assert_false(dkim_keys_keep(data, &s, &more));
	for (int i = 0; i < DKIM_MADE_AT_ONCE + 1; i++) {
		snprintf(domain, sizeof(domain), "d%d.test", i);
		assert_int_equal(dkim_keys_remove(data, span_str(domain),
		    &why), 1);
	}
}

/* An owner's key that has no date is as old as its file. */
static void
a_key_of_somebody_elses_making(void **state)
{
	struct timespec times[2] = { { NOVEMBER - DAY, 0 },
	    { NOVEMBER - DAY, 0 } };
	struct text pem = TEXT_INIT(0);

	(void)state;
	make("e.test", NOVEMBER, "pr202611a");
	assert_int_equal(dkim_pem_make(DKIM_RSA_SHA256, &pem), 1);
	text_char(&pem, '\0');
	put("dkim/e.test/mail.2020.pem", pem.p);
	assert_int_equal(utimensat(data, "dkim/e.test/mail.2020.pem", times,
	    0), 0);
	assert_true(there_is("e.test", "pr202611a-rsa;pr202611a-ed25519;"
	    "mail.2020;"));
	assert_int_equal(dkim_keys_took_over(data, SPAN("e.test"),
	    SPAN("pr202611a-rsa"), NOVEMBER, &why), 1);
	assert_true(there_is("e.test", "pr202611a-rsa;pr202611a-ed25519;"
	    "mail.2020 retired;"));
	text_wipe(&pem);
	assert_int_equal(dkim_keys_remove(data, SPAN("e.test"), &why), 1);
}

static int
setup(void **state)
{
	(void)state;
	why = TEXT_INIT(4096);
	events = TEXT_INIT(0);
	data = mkdtemp(path) == NULL ? -1 : open(path,
	    O_RDONLY | O_DIRECTORY);
	return data < 0 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlinkat(data, DKIM_DIRECTORY, AT_REMOVEDIR);
	close(data);
	rmdir(path);
	text_free(&why);
	text_free(&events);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_made_for_their_owner),
		cmocka_unit_test(keys_sign_and_say_what_they_are),
		cmocka_unit_test(a_key_that_is_none_is_left_out),
		cmocka_unit_test(who_takes_over_retires_its_own_kind),
		cmocka_unit_test(keys_are_kept_by_the_clock),
		cmocka_unit_test(many_are_made_in_turns),
		cmocka_unit_test(a_key_of_somebody_elses_making),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

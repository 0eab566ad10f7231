/* test_header.c - fields found, told apart, taken out and put in. */
#include "mail/header.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static const char message[] =
    "Received: from a\r\n"
    "\tby b; Sat, 21 Nov 2026 03:10:05 +0100\r\n"
    "received : second\r\n"
    "this is garbage\r\n"
    "From: Ann <ann@example.test>\r\n"
    "To: bob@example.test,\r\n"
    " carl@example.test\r\n"
    "Subject:\r\n"
    "DATE:  now \r\n"
    "\r\n"
    "From: the body\r\n";

/* The same with LF alone. */
static struct text
with_lf(void)
{
	struct text t = TEXT_INIT(0);
	const char *p;

	for (p = message; *p != '\0'; p++) {
		if (*p != '\r')
			text_char(&t, *p);
	}
	return t;
}

static void
check_fields(struct span s)
{
	static const char *const names[] = {
		"Received", "received", "", "From", "To", "Subject", "DATE"
	};
	struct header_field f;
	size_t at = 0, i = 0;

	while (header_next(s, &at, &f)) {
		assert_true(i < ARRAY_LEN(names));
		assert_true(span_is(f.name, names[i]));
		i++;
	}
	assert_int_equal(i, ARRAY_LEN(names));
	assert_true(span_starts(span_from(s, at), SPAN("From: the body")));
	assert_int_equal(at, header_end(s));
	assert_int_equal(header_find(s, "date", &f), 1);
	assert_true(span_is(f.value, "now"));
	assert_int_equal(header_find(s, "subject", &f), 1);
	assert_int_equal(f.value.n, 0);
	assert_int_equal(header_find(s, "bcc", &f), 0);
	assert_int_equal(header_count(s, "RECEIVED"), 2);
}

static void
test_fields(void **state)
{
	struct text lf = with_lf();

	(void)state;
	check_fields(span_str(message));
	check_fields(text_span(&lf));
	text_free(&lf);
}

static void
test_unfold(void **state)
{
	struct arena *a = arena_new(4096);
	struct header_field f;
	struct text t = TEXT_INIT(0);

	(void)state;
	assert_int_equal(header_find(span_str(message), "to", &f), 1);
	assert_true(span_is(header_unfold(a, f.value),
	    "bob@example.test, carl@example.test"));
	header_unfold_add(&t, f.value);
	assert_true(span_is(text_span(&t),
	    "bob@example.test, carl@example.test"));
	text_free(&t);
	arena_free(&a);
}

/* At every cut of a message the fields still are all of the bytes. */
static void
test_every_cut(void **state)
{
	struct span s = span_str(message), part;
	struct header_field f;
	size_t cut, at, sum, end;

	(void)state;
	for (cut = 0; cut <= s.n; cut++) {
		part = span_sub(s, 0, cut);
		for (at = 0, sum = 0; header_next(part, &at, &f); )
			sum += f.whole.n;
		end = header_end(part);
		assert_int_equal(at, end);
		assert_true(sum == end || sum + 2 == end || sum + 1 == end);
	}
}

static void
test_odd_ones(void **state)
{
	struct header_field f;
	size_t at = 0;

	(void)state;
	assert_int_equal(header_end(SPAN("")), 0);
	assert_int_equal(header_end(SPAN("\r\nbody")), 2);
	assert_int_equal(header_end(SPAN("\nbody")), 1);
	assert_int_equal(header_end(SPAN("A: b\n\r\nbody")), 7);
	assert_int_equal(header_end(SPAN("A: b")), 4);
	assert_false(header_next(SPAN("\r\nA: b"), &at, &f));
	assert_int_equal(at, 2);
	at = 0;
	assert_true(header_next(SPAN(" A: b\r\n"), &at, &f));
	assert_int_equal(f.name.n, 0);
	at = 0;
	assert_true(header_next(SPAN("A B: c\r\n"), &at, &f));
	assert_int_equal(f.name.n, 0);
	assert_true(span_is(f.value, "A B: c"));
	at = 0;
	assert_true(header_next(SPAN(": c\r\n"), &at, &f));
	assert_int_equal(f.name.n, 0);
	at = 0;
	assert_true(header_next(SPAN("A:\0b\r\n"), &at, &f));
	assert_int_equal(f.value.n, 2);
	/* a colon on a continuation line is no name */
	at = 0;
	assert_true(header_next(SPAN("A\r\n B: c\r\n"), &at, &f));
	assert_int_equal(f.name.n, 0);
	assert_false(header_name_ok(SPAN("")));
	assert_false(header_name_ok(SPAN("a:b")));
	assert_false(header_name_ok(SPAN("a\xc3\xa9")));
	assert_true(header_name_ok(SPAN("X-Any_thing!")));
}

static void
test_survey(void **state)
{
	struct text values = TEXT_INIT(100);
	struct header_survey s;

	(void)state;
	header_survey(span_str(message), &s);
	assert_int_equal(s.received, 2);
	assert_int_equal(s.garbage, 1);
	assert_int_equal(s.fields, 7);
	assert_int_equal(s.from, 1);
	assert_int_equal(s.to, 1);
	assert_int_equal(s.date, 1);
	assert_int_equal(s.message_id, 0);
	assert_true(span_is(s.first_from, "Ann <ann@example.test>"));
	assert_true(span_is(s.first_date, "now"));
	assert_false(s.has_8bit);
	assert_int_equal(s.size, header_end(span_str(message)));
	header_survey(SPAN("From: a\nFrom: \xc3\xa9\nDelivered-To: x@y\n\n"),
	    &s);
	assert_int_equal(s.from, 2);
	assert_true(span_is(s.first_from, "a"));
	assert_true(s.has_8bit);
	assert_int_equal(s.delivered_to, 1);
	assert_true(header_delivered_to(SPAN("Delivered-To: x@Y\n"),
	    SPAN("x@y")));
	header_values(SPAN("delivered-to: a@x \r\nTo: b\r\nDelivered-To:\r\n"
	    " c@x\r\nDelivered-To: d@x\r\n e@x\r\nDelivered-To: f@x\r\n"
	    "\r\nDelivered-To: g@x\r\n"), "Delivered-To", 10, &values);
	assert_true(span_is(text_span(&values), "a@x\nc@x\nf@x\n"));
	text_clear(&values);
	header_values(SPAN("A: 12345\nA: 1234\n\n"), "A", 4, &values);
	assert_true(span_is(text_span(&values), "1234\n"));
	text_free(&values);
	assert_false(header_delivered_to(SPAN("Delivered-To: x@yz\n"),
	    SPAN("x@y")));
}

static void
test_without(void **state)
{
	static const char *const names[] = { "received", "TO", NULL };
	struct text t = TEXT_INIT(0);

	(void)state;
	header_without(span_str(message), names, &t);
	assert_true(span_is(text_span(&t), "this is garbage\r\n"
	    "From: Ann <ann@example.test>\r\nSubject:\r\nDATE:  now \r\n"));
	text_free(&t);
}

static void
test_add(void **state)
{
	struct text t = TEXT_INIT(0);
	struct header_field f;
	size_t at = 0;
	int i;

	(void)state;
	header_add(&t, "X", SPAN("a\r\nBcc: b\0"));
	assert_true(span_is(text_span(&t), "X: a  Bcc: b \r\n"));
	text_clear(&t);
	header_add(&t, "Empty", SPAN("  "));
	assert_true(span_is(text_span(&t), "Empty:\r\n"));
	text_clear(&t);
	for (i = 0; i < 40; i++) {
		struct text v = TEXT_INIT(0), back = TEXT_INIT(0);
		int j;

		for (j = 0; j <= i; j++)
			text_str(&v, "word ");
		text_clear(&t);
		header_add(&t, "Name", text_span(&v));
		at = 0;
		assert_true(header_next(text_span(&t), &at, &f));
		assert_int_equal(at, t.n);
		assert_true(span_find(text_span(&t), SPAN("\r\n"), 0) <= 78);
		header_unfold_add(&back, f.value);
		assert_true(span_eq(text_span(&back),
		    span_trim(text_span(&v))));
		text_free(&v);
		text_free(&back);
	}
	text_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_unfold),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_odd_ones),
		cmocka_unit_test(test_survey),
		cmocka_unit_test(test_without),
		cmocka_unit_test(test_add),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

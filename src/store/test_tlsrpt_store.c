/* test_tlsrpt_store.c - policies that are kept; counts that become reports. */
#include "test_store.h"
#include "base/clock.h"
#include "queue/tlsrpt.h"
#include "store/keeper.h"
#include "store/tls_kept.h"

#include <stdio.h>

enum { DAY = 86400 };
static const int64_t midnight = 20000 * (int64_t)DAY;

static void
set_clock(int64_t seconds)
{
	clock_test_set((monotime_t){ 1000 }, seconds * 1000000);
}

/* -- MTA-STS ------------------------------------------------------------- */

static enum result
save(struct fixture *f, const char *domain, const char *id, int64_t expires)
{
	struct sts_save_request req = { .domain = span_str(domain),
	    .id = span_str(id), .policy = SPAN("version: STSv1\n"),
	    .fetched = 5, .expires = expires };
	struct sts_save_reply reply = { 0 };

	verb_sts_save(f->store, &from_mx, f->arena, &req, &reply);
	return reply.result;
}

static struct sts_find_reply
find(struct fixture *f, const char *domain)
{
	struct sts_find_request req = { .domain = span_str(domain) };
	struct sts_find_reply reply = { 0 };

	verb_sts_find(f->store, &from_mx, f->arena, &req, &reply);
	return reply;
}

static void
policies(void **state)
{
	struct fixture f;
	struct sts_find_reply r;

	(void)state;
	set_clock(midnight);
	fixture_open(&f, true);
	assert_int_equal(find(&f, "a.example").result, RESULT_NOT_FOUND);
	assert_int_equal(save(&f, "a.example", "1", midnight + 100),
	    RESULT_OK);
	assert_int_equal(save(&f, "B.example", "2", midnight + 1000),
	    RESULT_OK);
	assert_int_equal(save(&f, "a.example", "3", midnight + 100),
	    RESULT_OK);
	assert_int_equal(save(&f, "", "3", midnight), RESULT_INVALID);
	fixture_reopen(&f);
	r = find(&f, "a.example");
	assert_int_equal(r.result, RESULT_OK);
	assert_true(span_is(r.id, "3"));
	assert_true(span_is(r.policy, "version: STSv1\n"));
	assert_int_equal(r.fetched, 5);
	assert_int_equal(r.expires, midnight + 100);
	assert_int_equal(find(&f, "b.EXAMPLE").result, RESULT_OK);

	/* Its time is over: not found, and then gone. */
	set_clock(midnight + 100);
	assert_int_equal(find(&f, "a.example").result, RESULT_NOT_FOUND);
	assert_int_equal(sts_expire(f.store), 1);
	set_clock(midnight);
	assert_int_equal(find(&f, "a.example").result, RESULT_NOT_FOUND);
	assert_int_equal(find(&f, "b.example").result, RESULT_OK);
	fixture_close(&f);
	clock_test_clear();
}

/* -- reports ------------------------------------------------------------- */

static enum result
add(struct fixture *f, uint8_t token, const struct tlsrpt_row *rows, size_t n)
{
	struct tlsrpt *t = tlsrpt_new(100, 1 << 20);
	struct text bytes = TEXT_INIT(0);
	struct tlsrpt_add_request req = { .token = { { token } } };
	struct tlsrpt_add_reply reply = { 0 };

	for (size_t i = 0; i < n; i++)
		tlsrpt_count(t, &rows[i]);
	tlsrpt_encode(t, &bytes);
	req.rows = BLOB_OF(text_span(&bytes));
	verb_tlsrpt_add(f->store, &from_mx, f->arena, &req, &reply);
	tlsrpt_free(&t);
	text_free(&bytes);
	return reply.result;
}

static struct tlsrpt_row
row(uint32_t day, const char *domain, const char *rua, const char *result)
{
	return (struct tlsrpt_row){ .day = day, .domain = span_str(domain),
	    .rua = span_str(rua), .type = TLSRPT_NO_POLICY,
	    .result = span_str(result), .count = 1 };
}

struct found {
	struct fixture *f;
	size_t count;
	char recipients[10][64], domains[10][64];
	struct text body;
};

static bool
look(void *arg, const struct envelope *e)
{
	struct found *found = arg;
	struct body_id id;

	assert_true(found->count < 10);
	assert_int_equal(e->count, 1);
	assert_int_equal(e->sender.n, 0);
	assert_true(e->flags & ENVELOPE_OURS);
	assert_true(e->flags & ENVELOPE_TLS_OPTIONAL);
	assert_int_equal(e->recipients[0].notify, NOTIFY_NEVER);
	snprintf(found->recipients[found->count], 64, "%.*s",
	    SPAN_ARG(e->recipients[0].address));
	snprintf(found->domains[found->count++], 64, "%.*s",
	    SPAN_ARG(e->domain));
	memcpy(id.b, e->body.b, sizeof(id.b));
	text_clear(&found->body);
	assert_int_equal(engine_body_read(found->f->engine, id, e->prefix,
	    UINT64_MAX, &found->body), 1);
	return true;
}

static struct found
queued(struct fixture *f)
{
	struct found found = { .f = f, .body = TEXT_INIT(0) };

	assert_int_equal(queue_walk(f->store, NULL, look, &found), 1);
	return found;
}

static size_t
days(struct fixture *f)
{
	uint64_t day = 0;
	size_t n = 0;

	while (engine_next_partition(f->engine, PARTITION_TLSRPT, day, &day)
	    == 1)
		n++;
	return n;
}

static void
reports(void **state)
{
	struct tlsrpt_row rows[] = {
		row(20000, "a.example", "mailto:tls@b.example,https://c.example"
		    "/post", ""),
		row(20000, "a.example", "mailto:tls@b.example,https://c.example"
		    "/post", "certificate-expired"),
		row(20000, "z.example", "ftp://x,mailto:bad", ""),
		row(20001, "a.example", "mailto:tls@b.example", ""),
		row(30000, "a.example", "mailto:tls@b.example", ""),
	};
	struct fixture f;
	struct found found;

	(void)state;
	set_clock(midnight + 3600);
	fixture_open(&f, true);
	add_domain(&f, "ours.example");
	assert_int_equal(add(&f, 1, rows, ARRAY_LEN(rows)), RESULT_OK);
	assert_int_equal(days(&f), 2);	/* not the one of another age */
	/* The same again counts nothing. */
	assert_int_equal(add(&f, 1, rows, ARRAY_LEN(rows)), RESULT_OK);
	assert_int_equal(add(&f, 2, rows, 1), RESULT_OK);
	assert_int_equal(tlsrpt_send(f.store), 1);
	found = queued(&f);
	assert_int_equal(found.count, 0);

	/* The day is over. Late, all reports are due. */
	fixture_reopen(&f);
	set_clock(midnight + DAY + 5 * 3600);
	assert_int_equal(tlsrpt_send(f.store), 1);
	found = queued(&f);
	assert_int_equal(found.count, 2);
	for (size_t i = 0; i < 2; i++)
		if (strcmp(found.domains[i], "b.example") == 0)
			assert_string_equal(found.recipients[i],
			    "tls@b.example");
		else {
			assert_string_equal(found.domains[i],
			    "https:c.example");
			assert_string_equal(found.recipients[i],
			    "https://c.example/post");
		}
	assert_int_equal(days(&f), 1);
	assert_int_equal(tlsrpt_send(f.store), 1);
	text_free(&found.body);
	found = queued(&f);
	assert_int_equal(found.count, 2);

	/* Nobody wants to send any. */
	f.settings.relay_tls_reports = false;
	set_clock(midnight + 2 * DAY + 5 * 3600);
	assert_int_equal(tlsrpt_send(f.store), 1);
	assert_int_equal(days(&f), 0);
	text_free(&found.body);
	found = queued(&f);
	assert_int_equal(found.count, 2);
	text_free(&found.body);
	fixture_close(&f);
	clock_test_clear();
}

/* A receiver here gets its report as mail from postmaster. */
static void
report_here(void **state)
{
	struct tlsrpt_row r = row(20000, "a.example", "mailto:tls@ours.example",
	    "");
	struct fixture f;
	struct found found;
	struct span mail;

	(void)state;
	set_clock(midnight + 3600);
	fixture_open(&f, false);
	add_domain(&f, "ours.example");
	assert_int_equal(add(&f, 1, &r, 1), RESULT_OK);
	set_clock(midnight + DAY + 5 * 3600);
	assert_int_equal(tlsrpt_send(f.store), 1);
	found = queued(&f);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.domains[0], "");
	mail = text_span(&found.body);
	assert_true(span_starts(mail, SPAN("Date: ")));
	assert_true(span_find(mail, SPAN("\nFrom: <postmaster@ours.example>"),
	    0) != SIZE_MAX);
	assert_true(span_find(mail, SPAN("\nTLS-Report-Domain: a.example\r"),
	    0) != SIZE_MAX);
	text_free(&found.body);
	fixture_close(&f);
	clock_test_clear();
}

static void
damaged(void **state)
{
	struct tlsrpt_row r = row(20000, "a.example", "mailto:a@b", "");
	struct text bytes = TEXT_INIT(0);
	struct tlsrpt_add_request req = { .token = { { 1 } } };
	struct tlsrpt_add_reply reply = { 0 };
	struct fixture f;

	(void)state;
	set_clock(midnight);
	fixture_open(&f, false);
	tlsrpt_row_put(&bytes, &r);
	req.rows = BLOB_OF(span_sub(text_span(&bytes), 0, bytes.n - 1));
	verb_tlsrpt_add(f.store, &from_mx, f.arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_INVALID);
	assert_int_equal(days(&f), 0);
	text_free(&bytes);
	fixture_close(&f);
	clock_test_clear();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policies),
		cmocka_unit_test(reports),
		cmocka_unit_test(report_here),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

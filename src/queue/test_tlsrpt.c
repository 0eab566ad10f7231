/* test_tlsrpt.c - counts, records of who asks, the report's two forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <zlib.h>

#include "mail/encode.h"
#include "queue/tlsrpt.h"

static struct tlsrpt_row
row(const char *result, const char *host, uint64_t count)
{
	return (struct tlsrpt_row){ .day = 20000,
	    .domain = SPAN("example.org"), .rua = SPAN("mailto:a@b.example"),
	    .type = TLSRPT_STS,
	    .policy = SPAN("version: STSv1\nmode: enforce\nmx: *.example.org"),
	    .mx = SPAN("*.example.org"), .result = span_str(result),
	    .host = span_str(host), .count = count };
}

static void
counts(void **state)
{
	struct tlsrpt *t = tlsrpt_new(3, 100000), *u = tlsrpt_new(10, 100000);
	struct text out = TEXT_INIT(0), again = TEXT_INIT(0);
	struct cursor c;
	struct tlsrpt_row r = row("", "", 2);
	size_t rows = 0;
	uint64_t total = 0;

	(void)state;
	tlsrpt_count(t, &r);
	tlsrpt_count(t, &r);
	assert_int_equal(tlsrpt_rows(t), 1);
	for (int i = 0; i < 10; i++) {
		char host[16];

		snprintf(host, sizeof(host), "mx%d", i);
		r = row("certificate-expired", host, 1);
		tlsrpt_count(t, &r);
	}
	/* Two with their hosts, the other eight without. */
	assert_int_equal(tlsrpt_rows(t), 4);
	tlsrpt_encode(t, &out);
	c = (struct cursor){ text_span(&out), false };
	while (tlsrpt_row_get(&c, &r) == 1) {
		rows++;
		total += r.count;
		tlsrpt_count(u, &r);
	}
	assert_false(c.bad);
	assert_int_equal(rows, 4);
	assert_int_equal(total, 14);
	tlsrpt_encode(u, &again);
	assert_true(span_eq(text_span(&out), text_span(&again)));
	/* Cut anywhere, it is refused or a shorter list; nothing else. */
	for (size_t cut = 0; cut < out.n; cut++) {
		int rc;

		c = (struct cursor){ span_sub(text_span(&out), 0, cut),
		    false };
		for (rows = 0; (rc = tlsrpt_row_get(&c, &r)) == 1; )
			rows++;
		assert_true(rows < 4);
		assert_true(rc == -1 || c.rest.n == 0);
	}
	tlsrpt_clear(t);
	assert_int_equal(tlsrpt_rows(t), 0);
	text_free(&out);
	text_free(&again);
	tlsrpt_free(&t);
	tlsrpt_free(&u);
}

static void
long_words_are_cut(void **state)
{
	struct tlsrpt *t = tlsrpt_new(3, 100000);
	struct text out = TEXT_INIT(0), word = TEXT_INIT(0);
	struct tlsrpt_row r = row("x", "h", 1);
	struct cursor c;

	(void)state;
	while (word.n < 70000)
		text_char(&word, 'x');
	r.domain = r.rua = r.policy = r.mx = r.result = r.host = r.remote =
	    r.local = text_span(&word);
	tlsrpt_count(t, &r);
	tlsrpt_encode(t, &out);
	assert_true(out.n <= TLSRPT_ROW_MAX);
	c = (struct cursor){ text_span(&out), false };
	assert_int_equal(tlsrpt_row_get(&c, &r), 1);
	assert_int_equal(tlsrpt_row_get(&c, &r), 0);
	/* No room for a second one. */
	tlsrpt_free(&t);
	t = tlsrpt_new(3, out.n + 100);
	tlsrpt_count(t, &r);
	r.host = SPAN("another");
	tlsrpt_count(t, &r);
	assert_int_equal(tlsrpt_rows(t), 1);
	text_free(&out);
	text_free(&word);
	tlsrpt_free(&t);
}

static void
records(void **state)
{
	static const struct { const char *one, *two, *rua; } cases[] = {
		{ "v=TLSRPTv1; rua=mailto:a@b", "", "mailto:a@b" },
		{ "v=TLSRPTv1;rua=mailto:a@b,https://c/d;", "",
		    "mailto:a@b,https://c/d" },
		{ "v=TLSRPTv1 ; x=y; rua=mailto:a@b ;", "", "mailto:a@b" },
		{ "v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@b", "mailto:a@b" },
		{ "v=TLSRPTv1; rua=mailto:a@b", "v=TLSRPTv1; rua=mailto:c@d",
		    NULL },
		{ "v=TLSRPTv1", "", NULL },
		{ "v=TLSRPTv1; rua=", "", NULL },
		{ "v=TLSRPTv1;", "", NULL },
		{ "v=TLSRPTv2; rua=mailto:a@b", "", NULL },
		{ "rua=mailto:a@b; v=TLSRPTv1", "", NULL },
		{ "", "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span txt[2] = { span_str(cases[i].one),
		    span_str(cases[i].two) };
		struct span rua = SPAN_EMPTY;
		int rc = tlsrpt_record(txt, 2, &rua);

		assert_int_equal(rc, cases[i].rua != NULL);
		if (rc == 1)
			assert_true(span_is(rua, cases[i].rua));
	}
}

static void
addresses(void **state)
{
	struct span rua = SPAN("mailto:a@b.example , ,https://c/d,"
	    "mailto:x%2cy@z?subject=q");
	static const char *const uris[] = { "mailto:a@b.example",
	    "https://c/d", "mailto:x%2cy@z?subject=q" };
	static const struct { const char *uri, *address; } mailtos[] = {
		{ "mailto:a@b.example", "a@b.example" },
		{ "MAILTO:a@b", "a@b" },
		{ "mailto:x%2cy@z?subject=q", "x,y@z" },
		{ "mailto:%40", "@" },
		{ "mailto:a%0d@b", NULL },
		{ "mailto:a%4@b", NULL },
		{ "mailto:a%g0@b", NULL },
		{ "mailto:a", NULL },
		{ "mailto:a%20b@c", NULL },
		{ "https://a@b/", NULL },
	};
	struct text out = TEXT_INIT(320);
	struct span uri;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(uris); i++) {
		assert_true(tlsrpt_next_uri(&rua, &uri));
		assert_true(span_is(uri, uris[i]));
	}
	assert_false(tlsrpt_next_uri(&rua, &uri));
	for (size_t i = 0; i < ARRAY_LEN(mailtos); i++) {
		assert_int_equal(tlsrpt_mailto(span_str(mailtos[i].uri), &out),
		    mailtos[i].address != NULL);
		if (mailtos[i].address != NULL)
			assert_true(span_is(text_span(&out),
			    mailtos[i].address));
	}
	text_free(&out);
}

static struct tlsrpt_report
make_report(struct text *rows)
{
	struct tlsrpt *t = tlsrpt_new(100, 100000);
	struct tlsrpt_row r = row("", "", 5326);

	tlsrpt_count(t, &r);
	r = row("certificate-expired", "mx\xff.example.org", 100);
	r.local = SPAN("2001:db8::1");
	tlsrpt_count(t, &r);
	r = row("starttls-not-supported", "mx2.example.org", 200);
	r.remote = SPAN("203.0.113.56");
	tlsrpt_count(t, &r);
	r = row("", "", 7);
	r.type = TLSRPT_NO_POLICY;
	r.policy = r.mx = SPAN_EMPTY;
	tlsrpt_count(t, &r);
	tlsrpt_encode(t, rows);
	tlsrpt_free(&t);
	return (struct tlsrpt_report){
		.organization = SPAN("Ours"), .submitter = SPAN("ours.example"),
		.contact = SPAN("postmaster@ours.example"),
		.id = SPAN("20000.1@ours.example"),
		.domain = SPAN("example.org"), .day = 20000,
		.rows = text_span(rows),
	};
}

static const char *
string_at(json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static json_int_t
sum_at(json_t *p, const char *key)
{
	return json_integer_value(json_object_get(json_object_get(p,
	    "summary"), key));
}

static void
json(void **state)
{
	struct text rows = TEXT_INIT(0), out = TEXT_INIT(0);
	struct tlsrpt_report report = make_report(&rows);
	json_t *root, *range, *policies, *sts, *details;

	(void)state;
	assert_int_equal(tlsrpt_json(&report, &out), 1);
	root = json_loadb(out.p, out.n, 0, NULL);
	assert_non_null(root);
	range = json_object_get(root, "date-range");
	assert_string_equal(string_at(range, "start-datetime"),
	    "2024-10-04T00:00:00Z");
	assert_string_equal(string_at(range, "end-datetime"),
	    "2024-10-04T23:59:59Z");
	assert_string_equal(string_at(root, "organization-name"), "Ours");
	policies = json_object_get(root, "policies");
	assert_int_equal(json_array_size(policies), 2);
	sts = json_array_get(policies, 0);
	assert_string_equal(string_at(json_object_get(sts, "policy"),
	    "policy-type"), "sts");
	assert_int_equal(json_array_size(json_object_get(json_object_get(sts,
	    "policy"), "policy-string")), 3);
	assert_int_equal(sum_at(sts, "total-successful-session-count"), 5326);
	assert_int_equal(sum_at(sts, "total-failure-session-count"), 300);
	details = json_object_get(sts, "failure-details");
	assert_int_equal(json_array_size(details), 2);
	assert_string_equal(string_at(json_array_get(details, 0),
	    "sending-mta-ip"), "2001:db8::1");
	assert_int_equal(sum_at(json_array_get(policies, 1),
	    "total-successful-session-count"), 7);
	json_decref(root);

	/* Damaged rows make no report. */
	text_clear(&out);
	report.rows.n--;
	assert_int_equal(tlsrpt_json(&report, &out), 0);
	text_free(&rows);
	text_free(&out);
}

static void
mail(void **state)
{
	static const char part[] = "!example.org!1728000000!1728086399.json.gz"
	    "\"\r\n\r\n";
	struct text rows = TEXT_INIT(0), js = TEXT_INIT(0),
	    gz = TEXT_INIT(0), out = TEXT_INIT(0), raw = TEXT_INIT(0);
	struct tlsrpt_report report = make_report(&rows);
	struct base64_stream b64 = { 0 };
	char back[8192];
	z_stream z = { .next_out = (Bytef *)back, .avail_out = sizeof(back) };
	struct span all, rest;
	uint32_t prefix;
	size_t at;

	(void)state;
	assert_int_equal(tlsrpt_json(&report, &js), 1);
	tlsrpt_gzip(text_span(&js), &gz);
	tlsrpt_mail(&report, text_span(&gz), SPAN("rua@example.net"), "=b",
	    1728090000, &out, &prefix);
	all = text_span(&out);
	assert_true(span_starts(all, SPAN("Return-Path: <>\r\nDate: ")));
	assert_int_equal(prefix, 17);
	assert_true(span_find(all, SPAN("\r\nTLS-Required: No\r\n"), 0) !=
	    SIZE_MAX);
	at = span_find(all, span_str(part), 0);
	assert_true(at != SIZE_MAX);
	rest = span_from(all, at + sizeof(part) - 1);
	rest = span_sub(rest, 0, span_find(rest, SPAN("\r\n--="), 0));
	base64_stream_add(&b64, rest, &raw);
	assert_true(span_eq(text_span(&raw), text_span(&gz)));
	z.next_in = (Bytef *)raw.p;
	z.avail_in = (uInt)raw.n;
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_true(span_eq(span_of(back, z.total_out), text_span(&js)));
	inflateEnd(&z);
	text_free(&rows);
	text_free(&js);
	text_free(&gz);
	text_free(&out);
	text_free(&raw);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts),
		cmocka_unit_test(long_words_are_cut),
		cmocka_unit_test(records),
		cmocka_unit_test(addresses),
		cmocka_unit_test(json),
		cmocka_unit_test(mail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

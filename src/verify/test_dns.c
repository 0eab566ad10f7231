/* test_dns.c - answers of the DNS, as they are on the wire. */
#include "base/text.h"
#include "verify/dns_message.h"
#include "verify/resolve.h"

#include <setjmp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { TYPE_SOA = 6, TYPE_RRSIG = 46 };

/* ---- building messages ------------------------------------------------- */

static void
put16(struct text *t, unsigned n)
{
	text_char(t, (char)(n >> 8));
	text_char(t, (char)n);
}

/* "mx.a.test" as labels; "" the root. */
static void
put_name(struct text *t, const char *name)
{
	struct span rest = span_str(name), label;

	while (rest.n > 0) {
		rest = span_cut(rest, '.', &label);
		text_char(t, (char)label.n);
		text_add(t, label);
	}
	text_char(t, '\0');
}

static void
begin(struct text *t, const char *name, unsigned type, unsigned rcode,
    unsigned answers, unsigned authorities)
{
	text_clear(t);
	put16(t, 7);
	put16(t, 0x8180 | rcode);
	put16(t, 1);
	put16(t, answers);
	put16(t, authorities);
	put16(t, 0);
	put_name(t, name);
	put16(t, type);
	put16(t, 1);
}

/* owner "*" points to the question's name. */
static void
record(struct text *t, const char *owner, unsigned type, unsigned ttl,
    struct span data)
{
	if (strcmp(owner, "*") == 0)
		put16(t, 0xc00c);
	else
		put_name(t, owner);
	put16(t, type);
	put16(t, 1);
	put16(t, ttl >> 16);
	put16(t, ttl & 0xffff);
	put16(t, (unsigned)data.n);
	text_add(t, data);
}

static void
record_name(struct text *t, const char *owner, unsigned type, unsigned ttl,
    const char *name)
{
	struct text data = TEXT_INIT(300);

	put_name(&data, name);
	record(t, owner, type, ttl, text_span(&data));
	text_free(&data);
}

struct context {
	struct arena *arena;
	struct text t;
	struct dns_message m;
};

static void
open_context(struct context *c)
{
	c->arena = arena_new(4 << 20);
	c->t = TEXT_INIT(100000);
}

static void
close_context(struct context *c)
{
	arena_free(&c->arena);
	text_free(&c->t);
}

static int
parse(struct context *c, uint32_t type)
{
	return dns_message_read(text_span(&c->t), type, c->arena, &c->m);
}

/* ---- messages ---------------------------------------------------------- */

static void
plain_answers(void **state)
{
	struct context c;

	(void)state;
	open_context(&c);
	begin(&c.t, "MX.a.Test", DNS_A, 0, 3, 0);
	record(&c.t, "*", DNS_A, 300, SPAN("\x7f\x00\x02\x01"));
	record(&c.t, "mx.A.test", DNS_A, 200, SPAN("\x7f\x00\x02\x02"));
	record(&c.t, "other.test", DNS_A, 1, SPAN("\x7f\x00\x02\x03"));
	assert_int_equal(parse(&c, DNS_A), 1);
	assert_int_equal(c.m.rcode, 0);
	assert_int_equal(c.m.count, 2);
	assert_int_equal(c.m.ttl, 200);
	assert_true(span_is(c.m.canonical, "mx.a.test"));
	assert_memory_equal(c.m.answers[1].p, "\x7f\x00\x02\x02", 4);
	assert_int_equal(parse(&c, DNS_AAAA), 0);	/* not the question */
	close_context(&c);
}

static void
aliases_are_followed(void **state)
{
	struct context c;

	(void)state;
	open_context(&c);
	begin(&c.t, "www.a.test", DNS_A, 0, 4, 0);
	/* In no order: RFC 1034 promises none. */
	record(&c.t, "real.b.test", DNS_A, 300, SPAN("\x7f\x00\x02\x01"));
	record_name(&c.t, "Alias.b.test", DNS_CNAME, 20, "real.B.test");
	record(&c.t, "*", TYPE_RRSIG, 5, SPAN("\x00\x01"));
	record_name(&c.t, "*", DNS_CNAME, 60, "alias.b.test");
	assert_int_equal(parse(&c, DNS_A), 1);
	assert_int_equal(c.m.count, 1);
	assert_int_equal(c.m.ttl, 20);
	assert_true(span_is(c.m.canonical, "real.b.test"));

	begin(&c.t, "www.a.test", DNS_CNAME, 0, 1, 0);
	record_name(&c.t, "*", DNS_CNAME, 60, "Alias.b.test");
	assert_int_equal(parse(&c, DNS_CNAME), 1);
	assert_int_equal(c.m.count, 1);
	assert_true(span_is(c.m.canonical, "www.a.test"));
	close_context(&c);
}

static void
circles_end(void **state)
{
	struct context c;

	(void)state;
	open_context(&c);
	begin(&c.t, "a.test", DNS_A, 0, 2, 0);
	record_name(&c.t, "a.test", DNS_CNAME, 60, "b.test");
	record_name(&c.t, "b.test", DNS_CNAME, 60, "a.test");
	assert_int_equal(parse(&c, DNS_A), 0);

	/* A name that points at itself, and one that points ahead. */
	begin(&c.t, "a.test", DNS_A, 0, 1, 0);
	put16(&c.t, 0xc000 | (unsigned)c.t.n);
	assert_int_equal(parse(&c, DNS_A), 0);
	begin(&c.t, "a.test", DNS_A, 0, 1, 0);
	put16(&c.t, 0xc000 | (unsigned)(c.t.n + 2));
	put_name(&c.t, "a.test");
	assert_int_equal(parse(&c, DNS_A), 0);
	close_context(&c);
}

static void
negative_answers(void **state)
{
	struct context c;
	struct text soa = TEXT_INIT(300);

	(void)state;
	open_context(&c);
	put_name(&soa, "ns.a.test");
	put_name(&soa, "hostmaster.a.test");
	text_add(&soa, SPAN("\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\x3c"));
	begin(&c.t, "nx.a.test", DNS_MX, 3, 0, 1);
	record(&c.t, "a.test", TYPE_SOA, 300, text_span(&soa));
	assert_int_equal(parse(&c, DNS_MX), 1);
	assert_int_equal(c.m.rcode, 3);
	assert_int_equal(c.m.count, 0);
	assert_int_equal(c.m.ttl, 60);
	assert_true(span_is(c.m.canonical, "nx.a.test"));

	begin(&c.t, "nx.a.test", DNS_MX, 0, 0, 0);
	assert_int_equal(parse(&c, DNS_MX), 1);
	assert_int_equal(c.m.ttl, 0);
	text_free(&soa);
	close_context(&c);
}

static void
names_in_data_are_expanded(void **state)
{
	struct context c;
	struct text mx = TEXT_INIT(300);
	struct dns_mx out;

	(void)state;
	open_context(&c);
	put16(&mx, 10);
	text_add(&mx, SPAN("\2mx\xc0\x0c"));
	begin(&c.t, "a.test", DNS_MX, 0, 1, 0);
	record(&c.t, "*", DNS_MX, 60, text_span(&mx));
	assert_int_equal(parse(&c, DNS_MX), 1);
	assert_int_equal(c.m.count, 1);
	assert_int_equal(c.m.answers[0].n, 2 + 11);
	assert_int_equal(dns_read_mx(c.m.answers[0], c.arena, &out), 1);
	assert_int_equal(out.preference, 10);
	assert_true(span_is(out.host, "mx.a.test"));

	/* With a byte too many, the whole is malformed. */
	text_char(&mx, 'x');
	begin(&c.t, "a.test", DNS_MX, 0, 1, 0);
	record(&c.t, "*", DNS_MX, 60, text_span(&mx));
	assert_int_equal(parse(&c, DNS_MX), 0);
	text_free(&mx);
	close_context(&c);
}

static void
a_part_is_no_message(void **state)
{
	struct context c;

	(void)state;
	open_context(&c);
	begin(&c.t, "www.a.test", DNS_A, 0, 2, 0);
	record_name(&c.t, "*", DNS_CNAME, 60, "b.test");
	record(&c.t, "b.test", DNS_A, 60, SPAN("\x7f\x00\x02\x01"));
	for (size_t n = 0; n < c.t.n; n++) {
		char *copy = malloc(n + 1);	/* so that asan sees its end */

		memcpy(copy, c.t.p, n);
		assert_int_equal(dns_message_read(span_of(copy, n), DNS_A,
		    c.arena, &c.m), 0);
		free(copy);
	}
	assert_int_equal(parse(&c, DNS_A), 1);
	close_context(&c);
}

/* ---- data -------------------------------------------------------------- */

static void
names(void **state)
{
	static const struct {
		struct span in;
		const char *out;	/* NULL: malformed */
		size_t rest;
	} rows[] = {
		{ SPAN("\0"), "", 0 },
		{ SPAN("\2Mx\4tEst\0more"), "mx.test", 4 },
		{ SPAN("\4_25."), NULL, 0 },
		{ SPAN(""), NULL, 0 },
		{ SPAN("\2mx"), NULL, 0 },
		{ SPAN("\2mx\4tes"), NULL, 0 },
		{ SPAN("\3a.b\0"), NULL, 0 },
		{ SPAN("\3a b\0"), NULL, 0 },
		{ SPAN("\3a\\b\0"), NULL, 0 },
		{ SPAN("\3a\0b\0"), NULL, 0 },
		{ SPAN("\2\xc3\xa4\0"), NULL, 0 },
		{ SPAN("\xc0\x0c"), NULL, 0 },
		{ SPAN("\4_dmx\5_test\0"), "_dmx._test", 0 },
	};
	struct arena *a = arena_new(1 << 20);
	struct span name, rest;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int r = dns_read_name(rows[i].in, a, &name, &rest);

		assert_int_equal(r, rows[i].out != NULL);
		if (r != 1)
			continue;
		assert_true(span_is(name, rows[i].out));
		assert_int_equal(rest.n, rows[i].rest);
	}
	arena_free(&a);
}

/* 255 bytes on the wire are the most (RFC 1035 3.1). */
static void
long_names(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct text t = TEXT_INIT(1000);
	struct span name, rest;

	(void)state;
	for (unsigned last = 60; last <= 63; last++) {
		text_clear(&t);
		for (int i = 0; i < 3; i++) {
			text_char(&t, 63);
			for (int k = 0; k < 63; k++)
				text_char(&t, 'x');
		}
		text_char(&t, (char)last);
		for (unsigned k = 0; k < last; k++)
			text_char(&t, 'y');
		text_char(&t, '\0');
		assert_int_equal(dns_read_name(text_span(&t), a, &name,
		    &rest), t.n <= 255);
		if (t.n <= 255)
			assert_int_equal(name.n, t.n - 2);
	}
	text_free(&t);
	arena_free(&a);
}

static void
data_of_types(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct dns_mx mx;
	struct dns_tlsa tlsa;
	struct span txt;

	(void)state;
	assert_int_equal(dns_read_mx(SPAN("\0\0\0"), a, &mx), 1);
	assert_int_equal(mx.preference, 0);
	assert_int_equal(mx.host.n, 0);
	assert_int_equal(dns_read_mx(SPAN("\1\2\1a\0"), a, &mx), 1);
	assert_int_equal(mx.preference, 258);
	assert_int_equal(dns_read_mx(SPAN("\1\2\1a\0x"), a, &mx), 0);
	assert_int_equal(dns_read_mx(SPAN("\1\2"), a, &mx), 0);

	assert_int_equal(dns_read_tlsa(SPAN("\3\1\1abc"), &tlsa), 1);
	assert_int_equal(tlsa.usage, 3);
	assert_int_equal(tlsa.selector, 1);
	assert_int_equal(tlsa.matching, 1);
	assert_true(span_is(tlsa.data, "abc"));
	assert_int_equal(dns_read_tlsa(SPAN("\3\1\1"), &tlsa), 0);

	assert_int_equal(dns_read_txt(SPAN("\3v=x\0\2yz"), a, &txt), 1);
	assert_true(span_is(txt, "v=xyz"));
	assert_int_equal(dns_read_txt(SPAN("\0"), a, &txt), 1);
	assert_int_equal(txt.n, 0);
	assert_int_equal(dns_read_txt(SPAN(""), a, &txt), 0);
	assert_int_equal(dns_read_txt(SPAN("\3v="), a, &txt), 0);
	arena_free(&a);
}

static void
addresses(void **state)
{
	static const char *const good[][2] = {
		{ "192.0.2.1", "192.0.2.1" }, { "0.0.0.0", "0.0.0.0" },
		{ "2001:DB8:0::1", "2001:db8::1" }, { "::", "::" },
		{ "::ffff:192.0.2.1", "::ffff:192.0.2.1" },
	};
	static const char *const bad[] = { "", "192.0.2", "192.0.2.256",
		"192.0.2.1 ", "192.0.2.1.", "[::1]", "fe80::1%eth0", ":",
		"a", "1", "192.0.2.1/32",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000" };
	struct text t = TEXT_INIT(100);
	struct ip_address ip;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		text_clear(&t);
		assert_int_equal(ip_parse(span_str(good[i][0]), &ip), 1);
		ip_write(&ip, &t);
		assert_true(span_is(text_span(&t), good[i][1]));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ip_parse(span_str(bad[i]), &ip), 0);
	assert_int_equal(ip_parse(SPAN("1.2.3.4\0x"), &ip), 0);
	text_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_answers),
		cmocka_unit_test(aliases_are_followed),
		cmocka_unit_test(circles_end),
		cmocka_unit_test(negative_answers),
		cmocka_unit_test(names_in_data_are_expanded),
		cmocka_unit_test(a_part_is_no_message),
		cmocka_unit_test(names),
		cmocka_unit_test(long_names),
		cmocka_unit_test(data_of_types),
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_address.c - paths strictly, lists tolerantly. */
#include "mail/address.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ANY = ADDRESS_ALLOW_NULL | ADDRESS_ALLOW_UTF8 };

static int
path(struct arena *a, const char *in, unsigned allow, struct address *out,
    size_t *used)
{
	size_t n;

	return address_path(span_str(in), allow, a, out,
	    used != NULL ? used : &n);
}

static void
test_paths(void **state)
{
	/* in, local, domain, written again */
	static const char *const rows[][4] = {
		{ "<ann@example.test>", "ann", "example.test",
		    "ann@example.test" },
		{ "<Ann.B@EXAMPLE.Test>", "Ann.B", "example.test",
		    "Ann.B@example.test" },
		{ "<\"a b\"@example.test>", "a b", "example.test",
		    "\"a b\"@example.test" },
		{ "<\"a\\\"\\\\@b\"@x>", "a\"\\@b", "x",
		    "\"a\\\"\\\\@b\"@x" },
		{ "<\"plain\"@x.y>", "plain", "x.y", "plain@x.y" },
		{ "<@one.test,@two.test:ann@example.test>", "ann",
		    "example.test", "ann@example.test" },
		{ "<ann@[192.0.2.1]>", "ann", "[192.0.2.1]",
		    "ann@[192.0.2.1]" },
		{ "<ann@[ipv6:2001:DB8:0::1]>", "ann", "[IPv6:2001:db8::1]",
		    "ann@[IPv6:2001:db8::1]" },
		{ "<ann@[X-Tag:dcontent!]>", "ann", "[x-tag:dcontent!]",
		    "ann@[x-tag:dcontent!]" },
		{ "<a!#$%&'*+-/=?^_`{|}~@x-1.y_z>", "a!#$%&'*+-/=?^_`{|}~",
		    "x-1.y_z", "a!#$%&'*+-/=?^_`{|}~@x-1.y_z" },
		{ "<ann@b\xc3\xbc" "cher.test>", "ann", "xn--bcher-kva.test",
		    "ann@xn--bcher-kva.test" },
		{ "<ann@B\xc3\x9c" "CHER.test>", "ann", "xn--bcher-kva.test",
		    "ann@xn--bcher-kva.test" },
		{ "<ann@XN--BCHER-KVA.test>", "ann", "xn--bcher-kva.test",
		    "ann@xn--bcher-kva.test" },
		{ "<\xce\xb4\xce\xbf@x>", "\xce\xb4\xce\xbf", "x",
		    "\xce\xb4\xce\xbf@x" },
		{ "<>", "", "", "" },
	};
	struct arena *a = arena_new(1 << 16);
	struct address out;
	struct text t = TEXT_INIT(0);
	size_t i, used;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(path(a, rows[i][0], ANY, &out, &used), 1);
		assert_int_equal(used, strlen(rows[i][0]));
		assert_true(span_is(out.local, rows[i][1]));
		assert_true(span_is(out.domain, rows[i][2]));
		assert_true(span_is(address_text(a, &out), rows[i][3]));
		text_clear(&t);
		text_printf(&t, "<%s>", rows[i][3]);
		assert_true(span_eq(address_path_text(a, &out),
		    text_span(&t)));
	}
	text_free(&t);
	arena_free(&a);
}

static void
test_paths_refused(void **state)
{
	static const char *const rows[] = {
		"", "<", "ann@x", "<ann", "<ann>", "<ann@>", "<@x>",
		"<ann@x", "<ann@x y>", "< ann@x>", "<ann @x>", "<ann@ x>",
		"<.ann@x>", "<ann.@x>", "<a..b@x>", "<a b@x>", "<a@b@c>",
		"<\"\"@x>", "<\"a@x>", "<\"a\"b@x>", "<\"a\r\n\"@x>",
		"<\"a\\\r\"@x>", "<a@-x>", "<a@x->", "<a@x..y>", "<a@.x>",
		"<a@x.>", "<a@[192.0.2]>", "<a@[192.0.2.256]>",
		"<a@[2001:db8::1]>", "<a@[IPv6:1:2]>", "<a@[]>", "<a@[x:]>",
		"<a@[tag:a b]>", "<a@[192.0.2.1>", "<@one:>", "<@one,x:a@b>",
		"<a@b\x01>", "<a\x7f@b>", "<a@x\xff>", "<\xff@x>",
		"<a@x!y>", "<(c)a@x>", "<a,b@x>",
	};
	struct arena *a = arena_new(1 << 16);
	struct address out;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		if (path(a, rows[i], ANY, &out, NULL) != 0)
			print_error("taken: %s\n", rows[i]);
		assert_int_equal(path(a, rows[i], ANY, &out, NULL), 0);
	}
	/* what must be asked for */
	assert_int_equal(path(a, "<>", 0, &out, NULL), 0);
	assert_int_equal(path(a, "<\xc3\xa9@x>", 0, &out, NULL), 0);
	assert_int_equal(path(a, "<a@\xc3\xa9>", 0, &out, NULL), 0);
	assert_int_equal(path(a, "<postmaster>", ADDRESS_ALLOW_BARE, &out,
	    NULL), 1);
	assert_int_equal(out.domain.n, 0);
	assert_int_equal(path(a, "a@b SIZE=1", ADDRESS_ALLOW_NO_ANGLES, &out,
	    NULL), 1);
	/* a NUL is no character of anything */
	assert_int_equal(address_mailbox(SPAN("a\0@b"), ANY, a, &out), 0);
	assert_int_equal(address_mailbox(SPAN("a@b\0"), ANY, a, &out), 0);
	assert_int_equal(address_mailbox(SPAN("a@[192.0.2.1\0]"), ANY, a,
	    &out), 0);
	arena_free(&a);
}

static void
test_lengths(void **state)
{
	struct arena *a = arena_new(1 << 16);
	struct text t = TEXT_INIT(0);
	struct address out;
	size_t local, i;

	(void)state;
	/* The 64 bytes of a local part are what must be taken at least. */
	for (local = 60; local <= 260; local += 64) {
		text_clear(&t);
		for (i = 0; i < local; i++)
			text_char(&t, 'a');
		text_str(&t, "@x");
		assert_int_equal(address_mailbox(text_span(&t), 0, a, &out),
		    local + 2 <= 254);
	}
	for (local = 63; local <= 64; local++) {
		text_clear(&t);
		text_str(&t, "x@");
		for (i = 0; i < local; i++)
			text_char(&t, 'a');
		assert_int_equal(address_mailbox(text_span(&t), 0, a, &out),
		    local <= 63);
	}
	text_clear(&t);
	text_str(&t, "x@");
	while (t.n < 254)
		text_str(&t, "ab.");
	text_grew(&t, 0);
	assert_int_equal(address_mailbox(span_sub(text_span(&t), 0, 253), 0,
	    a, &out), 1);
	text_str(&t, "abcdef");
	assert_int_equal(address_mailbox(text_span(&t), 0, a, &out), 0);
	text_free(&t);
	arena_free(&a);
}

/* Every beginning of a path is refused, and none is read beyond its end. */
static void
test_every_cut(void **state)
{
	static const char in[] =
	    "<@one.test,@two.test:\"a\\b c\"@[IPv6:2001:db8::1]>";
	struct arena *a = arena_new(1 << 16);
	struct address out;
	size_t cut, used;
	char *copy;

	(void)state;
	for (cut = 0; cut < sizeof(in) - 1; cut++) {
		copy = xmalloc(cut + 1);
		memcpy(copy, in, cut);
		assert_int_equal(address_path(span_of(copy, cut), ANY, a,
		    &out, &used), 0);
		free(copy);
	}
	arena_free(&a);
}

static void
test_keys(void **state)
{
	struct arena *a = arena_new(1 << 16);
	struct address x, y;

	(void)state;
	path(a, "<Ann@Example.TEST>", ANY, &x, NULL);
	path(a, "<ann@example.test>", ANY, &y, NULL);
	assert_true(address_equal(&x, &y));
	assert_true(span_is(address_key(a, &x), "ann@example.test"));
	path(a, "<\xc3\x89va@x>", ANY, &x, NULL);
	path(a, "<e\xcc\x81VA@x>", ANY, &y, NULL);
	assert_true(address_equal(&x, &y));
	assert_true(x.is_utf8);
	assert_true(span_eq(address_key(a, &x), address_key(a, &y)));
	path(a, "<>", ANY, &y, NULL);
	assert_false(address_equal(&x, &y));
	assert_true(y.is_null);
	path(a, "<\"Two Words\"@x>", ANY, &y, NULL);
	assert_true(span_is(address_key(a, &y), "\"two words\"@x"));
	arena_free(&a);
}

static void
test_subaddress(void **state)
{
	struct span user, tag;

	(void)state;
	assert_true(address_subaddress(SPAN("ann+a+b"), '+', &user, &tag));
	assert_true(span_is(user, "ann"));
	assert_true(span_is(tag, "a+b"));
	assert_true(address_subaddress(SPAN("ann+"), '+', &user, &tag));
	assert_int_equal(tag.n, 0);
	assert_false(address_subaddress(SPAN("+ann"), '+', &user, &tag));
	assert_true(span_is(user, "+ann"));
	assert_false(address_subaddress(SPAN("ann"), '+', &user, &tag));
}

static void
test_domains(void **state)
{
	struct arena *a = arena_new(1 << 16);
	struct span out;

	(void)state;
	assert_int_equal(address_domain(SPAN("Example.TEST"), a, &out), 1);
	assert_true(span_is(out, "example.test"));
	assert_int_equal(address_domain(SPAN(""), a, &out), 0);
	assert_int_equal(address_domain(SPAN("a b"), a, &out), 0);
	assert_int_equal(address_domain(SPAN("xn--bcher-kva.test"), a, &out),
	    1);
	assert_true(span_is(address_domain_display(a, out),
	    "b\xc3\xbc" "cher.test"));
	assert_true(span_is(address_domain_display(a, SPAN("plain.test")),
	    "plain.test"));
	assert_true(span_is(address_domain_display(a,
	    SPAN("xn--0.test")), "xn--0.test"));
	assert_true(address_is_literal(SPAN("[192.0.2.1]")));
	assert_true(address_is_literal(SPAN("[IPv6:::1]")));
	assert_false(address_is_literal(SPAN("192.0.2.1")));
	assert_false(address_is_literal(SPAN("[]")));
	arena_free(&a);
}

/* ---- lists --------------------------------------------------------------- */

/* "name|route|local|domain;" for each entry, "-" for what is missing. */
static struct span
shown(struct arena *a, struct span in, size_t max)
{
	struct address_entry *e;
	struct text t = TEXT_INIT(0);
	struct span out, parts[4];
	size_t i;

	assert_int_equal(address_list(in, max, a, &e), 1);
	for (; e != NULL; e = e->next) {
		if (e->kind == ADDRESS_GROUP)
			text_str(&t, "group ");
		if (e->kind == ADDRESS_GROUP_END)
			text_str(&t, "end ");
		parts[0] = e->name;
		parts[1] = e->route;
		parts[2] = e->local;
		parts[3] = e->domain;
		for (i = 0; i < 4; i++) {
			text_add(&t, parts[i].p == NULL ? SPAN("-") :
			    parts[i]);
			text_str(&t, i < 3 ? "|" : ";");
		}
	}
	out = arena_dup(a, text_span(&t));
	text_free(&t);
	return out;
}

static void
test_lists(void **state)
{
	static const char *const rows[][2] = {
		{ "", "" }, { " , ,; ", "" },
		{ "ann@example.test", "-|-|ann|example.test;" },
		{ "<ann@example.test>", "-|-|ann|example.test;" },
		/* RFC 5322 appendix A */
		{ "John Doe <jdoe@machine.example>",
		    "John Doe|-|jdoe|machine.example;" },
		{ "\"Joe Q. Public\" <john.q.public@example.com>",
		    "Joe Q. Public|-|john.q.public|example.com;" },
		{ "Mary Smith <mary@x.test>, jdoe@example.org, Who? "
		    "<one@y.test>", "Mary Smith|-|mary|x.test;"
		    "-|-|jdoe|example.org;Who?|-|one|y.test;" },
		{ "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" "
		    "<sysservices@example.net>", "-|-|boss|nil.test;"
		    "Giant; \"Big\" Box|-|sysservices|example.net;" },
		{ "A Group:Ed Jones <c@a.test>,joe@where.test,John "
		    "<jdoe@one.test>;", "group A Group|-|-|-;"
		    "Ed Jones|-|c|a.test;-|-|joe|where.test;"
		    "John|-|jdoe|one.test;end -|-|-|-;" },
		{ "Undisclosed recipients:;",
		    "group Undisclosed recipients|-|-|-;end -|-|-|-;" },
		{ "Pete(A nice \\) chap) <pete(his account)@silly.test"
		    "(his host)>", "Pete|-|pete|silly.test;" },
		{ "A Group(Some people)\r\n     :Chris Jones <c@(Chris's "
		    "host.)public.example>,\r\n         joe@example.org,\r\n"
		    "  John <jdoe@one.test> (my dear friend); (the end of "
		    "the group)", "group A Group|-|-|-;"
		    "Chris Jones|-|c|public.example;-|-|joe|example.org;"
		    "John|-|jdoe|one.test;end -|-|-|-;" },
		{ "(Empty list)(start)Hidden recipients  :(nobody(that I "
		    "know))  ;", "group Hidden recipients|-|-|-;"
		    "end -|-|-|-;" },
		/* obsolete forms */
		{ "Joe Q. Public <john.q.public@example.com>",
		    "Joe Q. Public|-|john.q.public|example.com;" },
		{ "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . "
		    "example", "Mary Smith|@node.test|mary|example.net;"
		    "-|-|jdoe|test.example;" },
		{ "<@a,@b:c@d>", "-|@a,@b|c|d;" },
		{ "john . doe @ example . test (John Doe)",
		    "John Doe|-|john.doe|example.test;" },
		{ "\"a b\".c@d", "-|-|a b.c|d;" },
		{ "a@[192.0.2.1]", "-|-|a|[192.0.2.1];" },
		/* broken, but seen */
		{ "Ann", "-|-|Ann|-;" },
		{ "ann@example.test <ann@example.test>",
		    "ann@example.test|-|ann|example.test;" },
		{ "=?utf-8?q?Smith,_Ann?= <a@b>",
		    "=?utf-8?q?Smith,_Ann?=|-|a|b;" },
		{ "Ann <a@b, Bob <c@d>", "Ann|-|a|b;Bob|-|c|d;" },
		{ "a@b c@d, e@f", "-|-|a|b;-|-|e|f;" },
		{ "\"never closed <a@b>", "-|-|never closed <a@b>|-;" },
		{ "list: a@b, c@d", "group list|-|-|-;-|-|a|b;-|-|c|d;"
		    "end -|-|-|-;" },
		{ "x: y: a@b;", "group x|-|-|-;-|-|a|b;end -|-|-|-;" },
		{ "@b", "-|-||b;" }, { "a@", "-|-|a|;" },
		{ "<>", "" }, { "Ann <>", "Ann|-||-;" },
		{ ">>> a@b", "-|-|a|b;" },
		{ "caf\xc3\xa9 <a@b>", "caf\xc3\xa9|-|a|b;" },
	};
	struct arena *a = arena_new(1 << 20);
	struct span got;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		got = shown(a, span_str(rows[i][0]), 100);
		if (!span_is(got, rows[i][1]))
			print_error("%s\n -> %.*s\n", rows[i][0],
			    SPAN_ARG(got));
		assert_true(span_is(got, rows[i][1]));
	}
	/* the bound holds, and a group is closed nevertheless */
	assert_true(span_is(shown(a, SPAN("g: a@b, c@d, e@f; h@i"), 2),
	    "group g|-|-|-;-|-|a|b;end -|-|-|-;"));
	arena_free(&a);
}

static void
test_list_every_cut(void **state)
{
	static const char in[] = "A (x(y)\\)z) \"q\\\"\": =?a?q?b?= "
	    "<@r,@s:l . m@[1]>,\r\n \"a b\" . c @ d . e (n);, f:;";
	struct arena *a = arena_new(1 << 20);
	struct address_entry *e;
	size_t from, cut;
	char *copy;

	(void)state;
	for (from = 0; from < sizeof(in); from += 7) {
		for (cut = 0; from + cut < sizeof(in); cut++) {
			copy = xmalloc(cut + 1);
			memcpy(copy, in + from, cut);
			assert_int_equal(address_list(span_of(copy, cut), 50,
			    a, &e), 1);
			free(copy);
		}
	}
	arena_free(&a);
}

static void
test_list_hostile(void **state)
{
	static const char *const pieces[] = {
		"(", "<", "\"", "@", ":", ";", ",", "a@b,", "<@", "=?x?q?",
		"a:;", "\\", "[", " ", "a ", ". ", ">",
	};
	struct arena *a;
	struct address_entry *e;
	struct text t = TEXT_INIT(0);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(pieces); i++) {
		text_clear(&t);
		while (t.n < 300000)
			text_str(&t, pieces[i]);
		a = arena_new(1 << 26);
		assert_int_equal(address_list(text_span(&t), 1000, a, &e), 1);
		arena_free(&a);
	}
	a = arena_new(200);
	assert_int_equal(address_list(SPAN("a@b,c@d,e@f,g@h,i@j"), 99, a,
	    &e), -1);
	arena_free(&a);
	text_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_paths_refused),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_subaddress),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_list_every_cut),
		cmocka_unit_test(test_list_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

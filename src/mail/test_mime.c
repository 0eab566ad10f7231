/* test_mime.c - trees of messages, good ones and hostile ones. */
#include "mail/mime.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

/* One line a part: depth, number, kind, type, body in brackets, lines. */
static void
show(struct text *t, struct span message, const struct mime_limits *limits)
{
	static const char kinds[] = "LXM";
	struct arena *a = arena_new(64 << 20);
	struct mime_part *p;
	struct mime m;
	struct span body;

	assert_int_equal(mime_parse(message, limits, a, &m), 1);
	for (p = m.root; p != NULL; p = mime_next(p)) {
		body = mime_body(&m, p);
		text_printf(t, "%u.%u %c %.*s/%.*s", p->depth, p->number,
		    kinds[p->kind], SPAN_ARG(p->type), SPAN_ARG(p->subtype));
		if (p->kind == MIME_LEAF)
			text_printf(t, " [%.*s]", SPAN_ARG(body));
		text_printf(t, " %d\n", (int)p->body_lines);
	}
	arena_free(&a);
}

static void
check(const char *message, const char *want)
{
	struct mime_limits limits = MIME_LIMITS_DEFAULT;
	struct text t = TEXT_INIT(0), lf = TEXT_INIT(0);
	const char *p;

	show(&t, span_str(message), &limits);
	if (!span_is(text_span(&t), want))
		print_error("got:\n%.*s", SPAN_ARG(text_span(&t)));
	assert_true(span_is(text_span(&t), want));
	/* LF alone makes no difference but for the leaves' own line ends */
	for (p = message; *p != '\0'; p++) {
		if (*p != '\r')
			text_char(&lf, *p);
	}
	text_clear(&t);
	show(&t, text_span(&lf), &limits);
	if (strstr(want, "\r\n") == NULL)
		assert_true(span_is(text_span(&t), want));
	text_free(&t);
	text_free(&lf);
}

static void
test_simple(void **state)
{
	(void)state;
	check("Subject: x\r\n\r\nhello\r\n",
	    "0.1 L text/plain [hello\r\n] 1\n");
	check("Subject: x\r\n\r\nhello", "0.1 L text/plain [hello] 0\n");
	check("", "0.1 L text/plain [] 0\n");
	check("\r\nhello", "0.1 L text/plain [hello] 0\n");
	check("Subject: x", "0.1 L text/plain [] 0\n");
	check("Content-Type: garbage\r\n\r\nx", "0.1 L text/plain [x] 0\n");
	check("Content-Type: (c) image / (d) PNG ; x=y\r\n\r\nx",
	    "0.1 L image/PNG [x] 0\n");
}

static void
test_multipart(void **state)
{
	(void)state;
	/* RFC 2046 5.1.1 */
	check("Content-type: multipart/mixed; boundary=\"simple boundary\"\r\n"
	    "\r\n"
	    "This is the preamble.\r\n"
	    "--simple boundary\r\n"
	    "\r\n"
	    "This is implicitly typed.\r\n"
	    "It does NOT end with a linebreak.\r\n"
	    "--simple boundary\r\n"
	    "Content-type: text/x-y; charset=us-ascii\r\n"
	    "\r\n"
	    "With a linebreak.\r\n"
	    "\r\n"
	    "--simple boundary--\r\n"
	    "\r\n"
	    "This is the epilogue.\r\n"
	    "--simple boundary\r\n",
	    "0.1 X multipart/mixed 14\n"
	    "1.1 L text/plain [This is implicitly typed.\r\n"
	    "It does NOT end with a linebreak.] 1\n"
	    "1.2 L text/x-y [With a linebreak.\r\n] 1\n");
	check("Content-Type: multipart/digest; boundary=d\r\n\r\n"
	    "--d\r\n\r\nFrom: a\r\n\r\none\r\n"
	    "--d  \r\nContent-Type: text/plain\r\n\r\ntwo\r\n--d--",
	    "0.1 X multipart/digest 9\n"
	    "1.1 M message/rfc822 2\n"
	    "2.1 L text/plain [one] 0\n"
	    "1.2 L text/plain [two] 0\n");
	/* no boundary ever, or none named */
	check("Content-Type: multipart/mixed; boundary=b\r\n\r\nno parts",
	    "0.1 X multipart/mixed 0\n");
	check("Content-Type: multipart/mixed\r\n\r\nno parts",
	    "0.1 L multipart/mixed [no parts] 0\n");
	/* the last one is never closed */
	check("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx",
	    "0.1 X multipart/mixed 2\n1.1 L text/plain [x] 0\n");
	/* empty parts, headers cut short */
	check("Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	    "--b\r\n--b\r\n\r\n--b\r\nContent-Type: a/b\r\n--b--\r\n",
	    "0.1 X multipart/mixed 6\n"
	    "1.1 L text/plain [] 0\n1.2 L text/plain [] 0\n"
	    "1.3 L a/b [] 0\n");
}

static void
test_nested(void **state)
{
	(void)state;
	check("Content-Type: multipart/mixed; boundary=outer\r\n\r\n"
	    "--outer\r\n"
	    "Content-Type: multipart/alternative; boundary=outer-in\r\n\r\n"
	    "--outer-in\r\n\r\nplain\r\n"
	    "--outer-in\r\nContent-Type: text/html\r\n\r\nhtml\r\n"
	    "--outer-in--\r\n"
	    "--outer\r\nContent-Type: message/rfc822\r\n\r\n"
	    "Subject: in\r\n"
	    "Content-Type: multipart/mixed; boundary=\"x\"\r\n\r\n"
	    "--x\r\n\r\ndeep\r\n"		/* never closed */
	    "--outer\r\n\r\nlast\r\n"
	    "--outer--\r\n",
	    "0.1 X multipart/mixed 24\n"
	    "1.1 X multipart/alternative 7\n"
	    "2.1 L text/plain [plain] 0\n"
	    "2.2 L text/html [html] 0\n"
	    "1.2 M message/rfc822 5\n"
	    "2.1 X multipart/mixed 2\n"
	    "3.1 L text/plain [deep] 0\n"
	    "1.3 L text/plain [last] 0\n");
	/* a message ends with the boundary, within its header too */
	check("Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n"
	    "--b\r\nContent-Type: message/global\r\n\r\n"
	    "--b--\r\n",
	    "0.1 X multipart/mixed 8\n"
	    "1.1 M message/rfc822 1\n2.1 L text/plain [] 0\n"
	    "1.2 M message/global 0\n2.1 L text/plain [] 0\n");
	/* an encoded message cannot be looked into */
	check("Content-Type: message/rfc822\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\nRnJvbTo=",
	    "0.1 L message/rfc822 [RnJvbTo=] 0\n");
}

static void
test_offsets(void **state)
{
	static const char in[] =
	    "Content-Type: multipart/mixed; boundary=b\r\n"
	    "Content-ID: <1>\r\ncontent-id: <2>\r\n\r\n"
	    "--b\r\nContent-Transfer-Encoding: Base64\r\n"
	    "Content-Type: text/plain; charset=\"UTF-8\"\r\n\r\nYQ==\r\n"
	    "--b--\r\n";
	struct arena *a = arena_new(1 << 16);
	struct mime m;
	struct mime_part *p;

	(void)state;
	assert_int_equal(mime_parse(span_str(in), &MIME_LIMITS_DEFAULT, a, &m),
	    1);
	assert_int_equal(m.parts, 2);
	assert_false(m.cut);
	assert_true(span_is(m.root->content_id, "<1>"));
	assert_int_equal(m.root->header_lines, 4);
	p = m.root->first;
	assert_true(span_starts(mime_header(&m, p), SPAN("Content-Tr")));
	assert_true(span_ends(mime_header(&m, p), SPAN("\r\n\r\n")));
	assert_true(span_is(mime_body(&m, p), "YQ=="));
	assert_int_equal(p->encoding, MIME_BASE64);
	assert_true(span_is(mime_charset(p, a), "UTF-8"));
	assert_true(span_is(mime_charset(m.root, a), "us-ascii"));
	assert_int_equal(mime_encoding_of(SPAN("x-uuencode")), MIME_OTHER);
	assert_int_equal(mime_encoding_of(SPAN(" (c) 8BIT ")), MIME_8BIT);
	arena_free(&a);
}

/* What no message may break: parts lie within their parents, in order. */
static void
check_tree(struct span s)
{
	struct mime_limits limits = { 5, 20 };
	struct arena *a = arena_new(1 << 22);
	struct mime_part *p, *up;
	struct mime m;
	uint64_t end, n = 0;

	assert_int_equal(mime_parse(s, &limits, a, &m), 1);
	for (p = m.root; p != NULL; p = mime_next(p), n++) {
		end = p->body_at + p->body_size;
		assert_true(p->body_at == p->header_at + p->header_size);
		assert_true(end <= s.n && end >= p->body_at);
		assert_true(p->depth <= limits.depth);
		up = p->parent;
		if (up == NULL)
			continue;
		assert_true(p->header_at >= up->body_at);
		assert_true(end <= up->body_at + up->body_size);
		assert_true(p->next == NULL || p->next->header_at >= end);
		assert_true(up->kind != MIME_MESSAGE || (up->first == p &&
		    p->next == NULL && p->header_at == up->body_at));
	}
	assert_true(n == m.parts && n <= limits.parts + 1);
	arena_free(&a);
}

static void
test_every_cut(void **state)
{
	static const char in[] =
	    "Content-Type: multipart/mixed; boundary=aa\r\n\r\n"
	    "--aa\r\nContent-Type: multipart/mixed; boundary=aab\r\n\r\n"
	    "--aab\r\nContent-Type: message/rfc822\r\n\r\n"
	    "Content-Type: multipart/x; boundary=aa\r\n\r\n--aa\r\n\r\nx\r\n"
	    "--aa--\r\n--aab--\r\n--aa\r\nContent-Type: message/rfc822\n\n"
	    "--aa--\r\n\r\nend";
	size_t cut;
	char *copy;

	(void)state;
	for (cut = 0; cut < sizeof(in); cut++) {
		copy = xmalloc(cut + 1);
		memcpy(copy, in, cut);
		check_tree(span_of(copy, cut));
		free(copy);
	}
}

static void
test_limits(void **state)
{
	struct mime_limits limits = { 100, 3 };
	struct text t = TEXT_INIT(0);

	(void)state;
	show(&t, SPAN("Content-Type: multipart/m; boundary=b\n\n"
	    "--b\n\n1\n--b\n\n2\n--b\n\n3\n--b\n\n4\n--b--\n"), &limits);
	assert_true(span_is(text_span(&t), "0.1 X multipart/m 13\n"
	    "1.1 L text/plain [1] 0\n1.2 L text/plain [2] 0\n"
	    "1.3 L text/plain [3\n--b\n\n4\n--b--\n] 5\n"));
	text_clear(&t);
	limits = (struct mime_limits){ 1, 100 };
	show(&t, SPAN("Content-Type: message/rfc822\n\n"
	    "Content-Type: message/rfc822\n\nSubject: x\n\n"), &limits);
	assert_true(span_is(text_span(&t), "0.1 M message/rfc822 4\n"
	    "1.1 L message/rfc822 [Subject: x\n\n] 2\n"));
	text_free(&t);
}

static void
repeat(struct text *t, const char *s, int n)
{
	while (n-- > 0)
		text_str(t, s);
}

static void
test_hostile(void **state)
{
	struct mime_limits limits = MIME_LIMITS_DEFAULT;
	struct arena *a;
	struct text t = TEXT_INIT(0);
	struct mime m;
	int i;

	(void)state;
	for (i = 0; i < 6; i++) {
		text_clear(&t);
		switch (i) {
		case 0:		/* nested messages */
			repeat(&t, "Content-Type: message/rfc822\n\n",
			    100000);
			break;
		case 1:		/* nested multiparts of one boundary */
			repeat(&t, "Content-Type: multipart/x; boundary=b\n\n"
			    "--b\n", 100000);
			break;
		case 2:		/* of many boundaries */
			for (int k = 0; k < 100000; k++)
				text_printf(&t, "Content-Type: multipart/x; "
				    "boundary=b%d\n\n--b%d\n", k, k);
			break;
		case 3:		/* siblings */
			text_str(&t, "Content-Type: multipart/x; "
			    "boundary=b\n\n");
			repeat(&t, "--b\n\n\n", 100000);
			break;
		case 4:		/* fields */
			repeat(&t, "Content-Type: a/b\n", 100000);
			break;
		case 5:		/* siblings that each open one */
			text_str(&t, "Content-Type: multipart/x; "
			    "boundary=b\n\n");
			repeat(&t, "--b\nContent-Type: multipart/x; "
			    "boundary=c\n\n--c\n--c--\n", 50000);
			break;
		}
		a = arena_new(16 << 20);
		assert_int_equal(mime_parse(text_span(&t), &limits, a, &m),
		    1);
		assert_true(m.parts <= limits.parts + 1);
		assert_int_equal(m.cut, i != 4);
		arena_free(&a);
	}
	a = arena_new(2000);
	assert_int_equal(mime_parse(text_span(&t), &limits, a, &m), -1);
	arena_free(&a);
	text_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_multipart),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

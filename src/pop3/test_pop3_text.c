/* test_pop3_text.c - dots and TOP, on every split of the message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/text.h"
#include "pop3/pop3_text.h"

static void
add(void *arg, struct span bytes)
{
	text_add(arg, bytes);
}

/* The same bytes in two pieces, cut everywhere, give the same answer. */
static void
expect(struct pop3_text start, const char *message, const char *wire)
{
	struct span all = span_str(message);

	for (size_t cut = 0; cut <= all.n; cut++) {
		struct pop3_text t = start;
		struct text out = TEXT_INIT(0);

		pop3_text_add(&t, span_sub(all, 0, cut), add, &out);
		pop3_text_add(&t, span_from(all, cut), add, &out);
		pop3_text_end(&t, add, &out);
		assert_int_equal(out.n, strlen(wire));
		assert_memory_equal(out.p, wire, out.n);
		text_free(&out);
	}
}

static void
dots(void **state)
{
	(void)state;
	expect(pop3_text_whole(), "", ".\r\n");
	expect(pop3_text_whole(), "a\r\n", "a\r\n.\r\n");
	expect(pop3_text_whole(), "a", "a\r\n.\r\n");
	expect(pop3_text_whole(), ".", "..\r\n.\r\n");
	expect(pop3_text_whole(), ".a\r\n.\r\n..\r\nb.c\r\n",
	    "..a\r\n..\r\n...\r\nb.c\r\n.\r\n");
	expect(pop3_text_whole(), "a\n.b\n", "a\n..b\n.\r\n");
}

static void
top(void **state)
{
	static const char message[] =
	    "H: 1\r\n J: 2\r\n\r\none\r\n.two\r\n\r\nthree\r\n";

	(void)state;
	expect(pop3_text_top(0), message, "H: 1\r\n J: 2\r\n\r\n.\r\n");
	expect(pop3_text_top(1), message,
	    "H: 1\r\n J: 2\r\n\r\none\r\n.\r\n");
	expect(pop3_text_top(2), message,
	    "H: 1\r\n J: 2\r\n\r\none\r\n..two\r\n.\r\n");
	expect(pop3_text_top(3), message,
	    "H: 1\r\n J: 2\r\n\r\none\r\n..two\r\n\r\n.\r\n");
	expect(pop3_text_top(UINT32_MAX), message,
	    "H: 1\r\n J: 2\r\n\r\none\r\n..two\r\n\r\nthree\r\n.\r\n");
	expect(pop3_text_top(5), "H: 1\r\n", "H: 1\r\n.\r\n");
	expect(pop3_text_top(1), "\nx\ny\n", "\nx\n.\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dots),
		cmocka_unit_test(top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

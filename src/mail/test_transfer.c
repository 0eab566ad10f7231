/* test_transfer.c - bodies without their transfer encoding, at every split. */
#include "mail/transfer.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

/* The same in two pieces as in one, wherever it is split. */
static void
decodes(enum mime_encoding encoding, const char *in, const char *want)
{
	struct text held = TEXT_INIT(0), out = TEXT_INIT(0);
	struct span s = span_str(in);

	for (size_t i = 0; i <= s.n; i++) {
		struct transfer t = { .encoding = encoding };

		text_clear(&out);
		text_add(&out, transfer_decode(&t, span_sub(s, 0, i), false,
		    &held));
		text_add(&out, transfer_decode(&t, span_from(s, i), true,
		    &held));
		assert_true(span_is(text_span(&out), want));
	}
	text_free(&held);
	text_free(&out);
}

static void
test_encodings(void **state)
{
	(void)state;
	decodes(MIME_BASE64, "cG9z\r\ndHJpZGVy\r\n", "postrider");
	decodes(MIME_QUOTED, "caf=C3=A9 =\r\nau lait  \r\n",
	    "caf\xc3\xa9 au lait\r\n");
	decodes(MIME_7BIT, "=41", "=41");
	decodes(MIME_BINARY, "=41", "=41");
	decodes(MIME_OTHER, "QUJD", "QUJD");
}

/* What may yet become something is held until the last piece. */
static void
test_left_over(void **state)
{
	struct transfer t = { .encoding = MIME_QUOTED };
	struct text held = TEXT_INIT(0);

	(void)state;
	assert_true(span_is(transfer_decode(&t, SPAN("a="), false, &held),
	    "a"));
	assert_true(span_is(transfer_decode(&t, SPAN("4"), true, &held),
	    "=4"));
	text_free(&held);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_left_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

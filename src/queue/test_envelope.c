/*
 * test_envelope.c - a record comes back as it went; damage is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/secret.h"
#include "queue/envelope.h"

static struct envelope_recipient two[] = {
	{ .address = { "ann@example.test", 16 }, .state = RECIPIENT_WAITING,
	    .reason = { NULL, 0 } },
	{ .address = { "bob@example.test", 16 }, .state = RECIPIENT_FAILED,
	    .reason = { "5.1.1 gone", 10 } },
};

static struct envelope
sample(void)
{
	struct envelope e = {
		.arrived = 1795229525000000, .size = 4096, .prefix = 33,
		.flags = ENVELOPE_8BITMIME, .thread = 77, .account = 5,
		.state = ENVELOPE_DEFERRED, .attempts = 3, .warned = true,
		.next_attempt = 1795229600,
		.sender = SPAN("carl@example.org"),
		.message_id = SPAN("<1@example.org>"),
		.trace = SPAN("client=192.0.2.1"),
		.reason = SPAN("4.3.1 the disk is full"),
		.recipients = two, .count = 2,
	};

	memset(e.token.b, 0xa5, sizeof(e.token.b));
	memset(e.body.b, 0x5a, sizeof(e.body.b));
	return e;
}

static void
test_round_trip(void **state)
{
	struct envelope in = sample(), out;
	struct arena *arena = arena_new(1 << 16);
	struct text record = TEXT_INIT(0), again = TEXT_INIT(0);

	(void)state;
	envelope_encode(&in, &record);
	assert_int_equal(envelope_decode(text_span(&record), arena, &out), 1);
	assert_int_equal(out.count, 2);
	assert_int_equal(out.state, ENVELOPE_DEFERRED);
	assert_true(span_eq(out.sender, in.sender));
	assert_true(span_is(out.recipients[1].reason, "5.1.1 gone"));
	envelope_encode(&out, &again);
	assert_true(span_eq(text_span(&record), text_span(&again)));
	text_free(&record);
	text_free(&again);
	arena_free(&arena);
}

/* Every prefix of a record is damaged, and so is one with more behind it. */
static void
test_damage(void **state)
{
	struct envelope in = sample(), out;
	struct arena *arena = arena_new(1 << 20);
	struct text record = TEXT_INIT(0);

	(void)state;
	envelope_encode(&in, &record);
	for (size_t n = 0; n < record.n; n++)
		assert_int_equal(envelope_decode(span_of(record.p, n), arena,
		    &out), 0);
	text_char(&record, 'x');
	assert_int_equal(envelope_decode(text_span(&record), arena, &out), 0);
	record.n--;
	record.p[0] = ENVELOPE_VERSION + 1;
	assert_int_equal(envelope_decode(text_span(&record), arena, &out), 0);
	text_free(&record);
	arena_free(&arena);
}

static void
test_arena_full(void **state)
{
	struct envelope in = sample(), out;
	struct arena *arena = arena_new(8);
	struct text record = TEXT_INIT(0);

	(void)state;
	envelope_encode(&in, &record);
	assert_int_equal(envelope_decode(text_span(&record), arena, &out),
	    -1);
	text_free(&record);
	arena_free(&arena);
}

static void
test_queue_id(void **state)
{
	struct token token;
	char id[QUEUE_ID_CHARS + 1];
	uint8_t back[QUEUE_ID_TOKEN];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		random_bytes(&token, sizeof(token));
		queue_id_of(&token, id);
		assert_int_equal(strlen(id), QUEUE_ID_CHARS);
		assert_int_equal(queue_id_parse(span_str(id), back), 1);
		assert_memory_equal(back, token.b, QUEUE_ID_TOKEN);
	}
	memset(&token, 0, sizeof(token));
	queue_id_of(&token, id);
	assert_string_equal(id, "0000000000000000");
	assert_int_equal(queue_id_parse(SPAN("ZZZZZZZZZZZZZZZZ"), back), 1);
	assert_int_equal(back[0], 0xff);
	assert_int_equal(queue_id_parse(SPAN("000000000000000i"), back), 0);
	assert_int_equal(queue_id_parse(SPAN("000000000000000"), back), 0);
	assert_int_equal(queue_id_parse(SPAN_EMPTY, back), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_arena_full),
		cmocka_unit_test(test_queue_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_deflate.c - compression as a layer: every flush, every split. */
#include "io/stream.h"

#include <setjmp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/secret.h"
#include "base/text.h"
#include "io/fiber.h"
#include "io/loop.h"

static const monotime_t never = { INT64_MAX };

/* The peer: one deflate stream for what it says, one for what it hears. */
struct peer {
	z_stream out, in;
};

static void
peer_open(struct peer *p)
{
	memset(p, 0, sizeof(*p));
	assert_int_equal(deflateInit2(&p->out, 9, Z_DEFLATED, -15, 9,
	    Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(inflateInit2(&p->in, -15), Z_OK);
}

static void
peer_close(struct peer *p)
{
	deflateEnd(&p->out);
	inflateEnd(&p->in);
}

static void
peer_say(struct peer *p, struct span plain, int how, struct text *out)
{
	char piece[512];

	p->out.next_in = (Bytef *)(uintptr_t)plain.p;
	p->out.avail_in = (uInt)plain.n;
	do {
		p->out.next_out = (Bytef *)piece;
		p->out.avail_out = sizeof(piece);
		(void)deflate(&p->out, how);
		text_add(out, span_of(piece, sizeof(piece) -
		    p->out.avail_out));
	} while (p->out.avail_out == 0);
}

static void
peer_hear(struct peer *p, struct span bytes, struct text *out)
{
	char piece[512];
	int rc;

	p->in.next_in = (Bytef *)(uintptr_t)bytes.p;
	p->in.avail_in = (uInt)bytes.n;
	do {
		p->in.next_out = (Bytef *)piece;
		p->in.avail_out = sizeof(piece);
		rc = inflate(&p->in, Z_SYNC_FLUSH);
		assert_true(rc == Z_OK || rc == Z_BUF_ERROR);
		text_add(out, span_of(piece, sizeof(piece) -
		    p->in.avail_out));
	} while (p->in.avail_out == 0);
	assert_int_equal(p->in.avail_in, 0);
}

static void
expect_line(struct stream *s, const char *want)
{
	struct span line;

	assert_int_equal(stream_line(s, &line, 4096, never), 1);
	assert_true(span_is(line, want));
	stream_take(s, line.n);
}

/* -- reading ---- */

static void
lines_in_every_split_and_flush(void **state)
{
	static const int flushes[] = { Z_SYNC_FLUSH, Z_PARTIAL_FLUSH,
	    Z_FULL_FLUSH, Z_BLOCK, Z_FINISH };

	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(flushes); f++) {
		struct text wire = TEXT_INIT(0);
		struct peer p;

		peer_open(&p);
		peer_say(&p, SPAN("a NOOP\r\n"), Z_SYNC_FLUSH, &wire);
		peer_say(&p, SPAN("b NOOP\r\na NOOP\r\n"), flushes[f], &wire);
		if (flushes[f] == Z_BLOCK)	/* may hold back some bits */
			peer_say(&p, SPAN_EMPTY, Z_SYNC_FLUSH, &wire);
		for (size_t piece = 0; piece <= wire.n; piece++) {
			struct stream *s = stream_memory(text_span(&wire),
			    piece);

			stream_start_deflate(s);
			assert_true(stream_is_deflate(s));
			expect_line(s, "a NOOP\r\n");
			expect_line(s, "b NOOP\r\n");
			expect_line(s, "a NOOP\r\n");
			assert_int_equal(stream_fill(s, never), 0);
			stream_free(&s);
		}
		peer_close(&p);
		text_free(&wire);
	}
}

/* What had come before there was a layer is compressed, too. */
static void
input_at_hand_is_taken_along(void **state)
{
	struct text wire = TEXT_INIT(0);
	struct stream *s;
	struct peer p;

	(void)state;
	peer_open(&p);
	text_str(&wire, "x COMPRESS DEFLATE\r\n");
	peer_say(&p, SPAN("a NOOP\r\n"), Z_SYNC_FLUSH, &wire);
	s = stream_memory(text_span(&wire), 0);
	expect_line(s, "x COMPRESS DEFLATE\r\n");
	stream_start_deflate(s);
	expect_line(s, "a NOOP\r\n");
	stream_free(&s);
	peer_close(&p);
	text_free(&wire);
}

static void
garbage_fails(void **state)
{
	struct stream *s = stream_memory(SPAN("\xff\xff\xff\xff"), 0);
	struct span line;

	(void)state;
	stream_start_deflate(s);
	assert_int_equal(stream_line(s, &line, 100, never), -1);
	assert_int_equal(stream_error(s), EPROTO);
	stream_free(&s);
}

/* 64 MiB of one letter in 64 KiB: as much memory as any other input. */
static void
a_bomb_is_only_input(void **state)
{
	enum { SIZE = 64 << 20 };
	struct text wire = TEXT_INIT(0);
	char *zeros = calloc(1, SIZE);
	uint64_t got = 0;
	struct stream *s;
	struct peer p;

	(void)state;
	assert_non_null(zeros);
	peer_open(&p);
	peer_say(&p, span_of(zeros, SIZE), Z_SYNC_FLUSH, &wire);
	assert_true(wire.n < SIZE / 900);
	s = stream_memory(text_span(&wire), 0);
	stream_start_deflate(s);
	while (stream_fill(s, never) == 1) {
		assert_true(stream_input(s).n <= STREAM_INPUT_MAX);
		got += stream_input(s).n;
		stream_take(s, stream_input(s).n);
	}
	assert_int_equal(got, SIZE);
	stream_free(&s);
	free(zeros);
	peer_close(&p);
	text_free(&wire);
}

/* -- writing ---- */

static void
each_flush_can_be_read(void **state)
{
	struct text heard = TEXT_INIT(0), big = TEXT_INIT(0);
	struct stream *s = stream_memory(SPAN_EMPTY, 0);
	size_t seen = 0;
	struct peer p;

	(void)state;
	peer_open(&p);
	stream_start_deflate(s);
	for (int i = 0; i < 100; i++) {
		stream_printf(s, "* %d EXISTS\r\n", i);
		text_printf(&big, "* %d EXISTS\r\n", i);
		assert_int_equal(stream_flush(s), 1);
		peer_hear(&p, span_from(stream_memory_output(s), seen),
		    &heard);
		seen = stream_memory_output(s).n;
		assert_true(span_eq(text_span(&heard), text_span(&big)));
		/* Nothing new: nothing is sent. */
		assert_int_equal(stream_flush(s), 1);
		assert_int_equal(stream_memory_output(s).n, seen);
	}
	stream_free(&s);
	peer_close(&p);
	text_free(&heard);
	text_free(&big);
}

/* Bytes that cannot be compressed, in amounts around every buffer. */
static void
large_output_comes_whole(void **state)
{
	static const size_t sizes[] = { 1, 16383, 16384, 16385, 100000,
	    1 << 20 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct stream *s = stream_memory(SPAN_EMPTY, 0);
		struct text heard = TEXT_INIT(0);
		char *noise = malloc(sizes[i]);
		struct peer p;

		peer_open(&p);
		random_bytes(noise, sizes[i]);
		stream_start_deflate(s);
		stream_write(s, span_of(noise, sizes[i]));
		assert_int_equal(stream_flush(s), 1);
		peer_hear(&p, stream_memory_output(s), &heard);
		assert_true(span_eq(text_span(&heard),
		    span_of(noise, sizes[i])));
		stream_free(&s);
		text_free(&heard);
		free(noise);
		peer_close(&p);
	}
}

/* -- parking ---- */

static void
send_all(int fd, struct text *wire)
{
	assert_int_equal(write(fd, wire->p, wire->n), (ssize_t)wire->n);
	text_clear(wire);
}

static void
hear_some(int fd, struct peer *p, struct text *heard)
{
	char bytes[65536];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	assert_true(n > 0);
	peer_hear(p, span_of(bytes, (size_t)n), heard);
}

/*
 * Between any two commands the stream is parked, and each may refer to all
 * that was said before, far back; however the peer flushes.
 */
static void
park_and_go_on(int flush)
{
	struct text wire = TEXT_INIT(0), heard = TEXT_INIT(0);
	struct text expected = TEXT_INIT(0), long_line = TEXT_INIT(0);
	struct stream *s;
	struct peer p;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	s = stream_socket(pair[0]);
	peer_open(&p);
	stream_start_deflate(s);
	for (int i = 0; i < 60; i++) {
		text_clear(&long_line);
		text_printf(&long_line, "a%d SEARCH SUBJECT \"", i % 7);
		for (int j = 0; j < i * 10; j++)
			text_printf(&long_line, "%d ", j * (i % 5 + 1));
		text_str(&long_line, "\"\r\n");
		peer_say(&p, text_span(&long_line), flush, &wire);
		send_all(pair[1], &wire);
		text_char(&long_line, '\0');
		expect_line(s, long_line.p);
		stream_printf(s, "* SEARCH %d %d\r\n", i, i * 7);
		text_printf(&expected, "* SEARCH %d %d\r\n", i, i * 7);
		assert_true(stream_park(s));
		hear_some(pair[1], &p, &heard);
		assert_true(span_eq(text_span(&heard), text_span(&expected)));
	}
	stream_free(&s);
	close(pair[1]);
	peer_close(&p);
	text_free(&wire);
	text_free(&heard);
	text_free(&expected);
	text_free(&long_line);
}

static void
parked_streams_go_on(void **state)
{
	(void)state;
	park_and_go_on(Z_SYNC_FLUSH);
	park_and_go_on(Z_FULL_FLUSH);
	park_and_go_on(Z_PARTIAL_FLUSH);
}

/* Half of a block is there: it is no less parked. */
static void
a_half_is_kept(void **state)
{
	struct text wire = TEXT_INIT(0);
	struct stream *s;
	struct peer p;
	int pair[2];

	(void)state;
	peer_open(&p);
	peer_say(&p, SPAN("a NOOP\r\nb NOOP\r\n"), Z_SYNC_FLUSH, &wire);
	for (size_t at = 1; at < wire.n; at++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		s = stream_socket(pair[0]);
		stream_start_deflate(s);
		assert_int_equal(write(pair[1], wire.p, at), (ssize_t)at);
		if (stream_park(s))
			assert_true(stream_park(s));
		assert_int_equal(write(pair[1], wire.p + at, wire.n - at),
		    (ssize_t)(wire.n - at));
		expect_line(s, "a NOOP\r\n");
		expect_line(s, "b NOOP\r\n");
		stream_free(&s);
		close(pair[1]);
	}
	peer_close(&p);
	text_free(&wire);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_in_every_split_and_flush),
		cmocka_unit_test(input_at_hand_is_taken_along),
		cmocka_unit_test(garbage_fails),
		cmocka_unit_test(a_bomb_is_only_input),
		cmocka_unit_test(each_flush_can_be_read),
		cmocka_unit_test(large_output_comes_whole),
		cmocka_unit_test(parked_streams_go_on),
		cmocka_unit_test(a_half_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

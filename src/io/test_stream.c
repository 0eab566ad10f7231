/* test_stream.c - bytes in and out with deadlines. */
#include "io/stream.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "io/fiber.h"
#include "io/loop.h"

static const monotime_t never = { INT64_MAX };

/* -- memory: reading ---- */

static void
lines_in_every_split(void **state)
{
	const struct span input = SPAN("one\r\n\ntwo\nrest");
	struct span line;
	struct stream *s;

	(void)state;
	for (size_t piece = 0; piece <= input.n; piece++) {
		s = stream_memory(input, piece);
		assert_int_equal(stream_line(s, &line, 100, never), 1);
		assert_true(span_is(line, "one\r\n"));
		assert_int_equal(stream_line(s, &line, 100, never), 1);
		assert_true(span_is(line, "one\r\n"));
		stream_take(s, line.n);
		assert_int_equal(stream_line(s, &line, 100, never), 1);
		assert_true(span_is(line, "\n"));
		stream_take(s, line.n);
		assert_int_equal(stream_line(s, &line, 4, never), 1);
		assert_true(span_is(line, "two\n"));
		stream_take(s, line.n);
		assert_int_equal(stream_line(s, &line, 100, never), 0);
		assert_true(span_is(stream_input(s), "rest"));
		assert_int_equal(stream_error(s), 0);
		stream_free(&s);
		assert_null(s);
	}
}

static void
long_lines_are_refused_and_skipped(void **state)
{
	struct span line;
	struct stream *s;

	(void)state;
	for (size_t piece = 0; piece < 12; piece++) {
		s = stream_memory(SPAN("0123456789\nok\n0123"), piece);
		assert_int_equal(stream_line(s, &line, 10, never), -1);
		assert_int_equal(errno, EMSGSIZE);
		assert_int_equal(stream_skip_line(s, 11, never), 1);
		assert_int_equal(stream_line(s, &line, 10, never), 1);
		assert_true(span_is(line, "ok\n"));
		stream_take(s, line.n);
		assert_int_equal(stream_skip_line(s, 4, never), 0);
		stream_free(&s);
		s = stream_memory(SPAN("0123456789\n"), piece);
		assert_int_equal(stream_skip_line(s, 10, never), -1);
		assert_int_equal(errno, EMSGSIZE);
		assert_int_equal(stream_error(s), 0);
		stream_free(&s);
	}
}

static void
input_is_bounded(void **state)
{
	enum { SIZE = STREAM_INPUT_MAX + 1000 };
	char *big = malloc(SIZE);
	struct span line;
	struct stream *s;

	(void)state;
	memset(big, 'x', SIZE);
	big[SIZE - 1] = '\n';
	s = stream_memory(span_of(big, SIZE), 777);
	while (stream_fill(s, never) == 1)
		;
	assert_int_equal(errno, ENOBUFS);
	assert_int_equal(stream_input(s).n, STREAM_INPUT_MAX);
	assert_int_equal(stream_line(s, &line, SIZE_MAX, never), -1);
	assert_int_equal(errno, EMSGSIZE);
	stream_take(s, 1000);
	assert_int_equal(stream_line(s, &line, SIZE_MAX, never), 1);
	assert_int_equal(line.n, SIZE - 1000);
	stream_discard_input(s);
	assert_int_equal(stream_input(s).n, 0);
	assert_int_equal(stream_fill(s, never), 0);
	stream_free(&s);
	free(big);
}

/* -- memory: writing ---- */

static void
writing_gathers_everything(void **state)
{
	struct stream *s = stream_memory(SPAN_EMPTY, 0);
	struct text want = TEXT_INIT(0);
	char longer[2000];

	(void)state;
	memset(longer, 'y', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	for (int i = 0; i < 100; i++) {
		stream_printf(s, "%d %s.", i, longer);
		stream_str(s, "\r\n");
		text_printf(&want, "%d %s.\r\n", i, longer);
	}
	stream_write(s, text_span(&want));
	assert_int_equal(stream_flush(s), 1);
	assert_int_equal(stream_memory_output(s).n, want.n * 2);
	assert_memory_equal(stream_memory_output(s).p, want.p, want.n);
	assert_memory_equal(stream_memory_output(s).p + want.n, want.p,
	    want.n);
	text_free(&want);
	stream_free(&s);
}

static void
file_is_written_in_pieces(void **state)
{
	enum { SIZE = 100000 };
	struct stream *s = stream_memory(SPAN_EMPTY, 0);
	char *bytes = malloc(SIZE);
	int fd = memfd_create("test", MFD_CLOEXEC);

	(void)state;
	for (int i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 7);
	assert_int_equal(write(fd, bytes, SIZE), SIZE);
	stream_str(s, "<");
	stream_write_fd(s, fd, 10, SIZE - 20);
	stream_str(s, ">");
	assert_int_equal(stream_memory_output(s).n, SIZE - 18);
	assert_memory_equal(stream_memory_output(s).p + 1, bytes + 10,
	    SIZE - 20);
	assert_int_equal(stream_error(s), 0);
	stream_write_fd(s, fd, SIZE - 5, 6);
	assert_int_equal(stream_error(s), EIO);
	stream_str(s, "never seen");
	assert_int_equal(stream_flush(s), -1);
	assert_int_equal(stream_fill(s, never), -1);
	close(fd);
	free(bytes);
	stream_free(&s);
}

/* -- sockets on fibers ---- */

struct side {
	struct stream *stream;
	struct fiber *fiber;
	monotime_t deadline;
	int result;
	int error;
	int steps;
	size_t bytes;
};

static int peer;		/* the other end */

static int
open_side(void **state)
{
	static struct side side;
	int fds[2];

	side = (struct side){ .deadline = { INT64_MAX } };
	/* The clock stands: no fiber yields for having run long. */
	clock_test_set((monotime_t){ 100 }, 0);
	if (loop_open() != 1 || socketpair(AF_UNIX, SOCK_STREAM |
	    SOCK_NONBLOCK, 0, fds) == -1)
		return -1;
	side.stream = stream_socket(fds[0]);
	peer = fds[1];
	*state = &side;
	return 0;
}

static int
close_side(void **state)
{
	struct side *side = *state;

	stream_free(&side->stream);
	if (peer != -1)
		close(peer);
	assert_int_equal(fiber_count(), 0);
	clock_test_clear();
	loop_close();
	return 0;
}

static void
read_a_line(void *arg)
{
	struct side *side = arg;
	struct span line;

	side->fiber = fiber_self();
	side->result = stream_line(side->stream, &line, 100, side->deadline);
	side->error = errno;
	if (side->result == 1) {
		side->bytes = line.n;
		stream_take(side->stream, line.n);
	}
	side->steps++;
}

static void
a_line_comes_in_parts(void **state)
{
	struct side *side = *state;

	fiber_start(read_a_line, side);
	assert_int_equal(write(peer, "ab", 2), 2);
	loop_turn(1000);
	assert_int_equal(side->steps, 0);
	assert_int_equal(write(peer, "c\nde", 4), 4);
	loop_turn(1000);
	assert_int_equal(side->steps, 1);
	assert_int_equal(side->bytes, 4);
	assert_true(span_is(stream_input(side->stream), "de"));
}

static void
deadline_leaves_the_stream_usable(void **state)
{
	struct side *side = *state;
	char buf[10];

	side->deadline = (monotime_t){ 200 };
	fiber_start(read_a_line, side);
	clock_test_set((monotime_t){ 200 }, 0);
	loop_turn(0);
	assert_int_equal(side->steps, 1);
	assert_int_equal(side->result, -1);
	assert_int_equal(side->error, ETIMEDOUT);
	stream_str(side->stream, "bye");
	assert_int_equal(stream_flush(side->stream), 1);
	assert_int_equal(read(peer, buf, sizeof(buf)), 3);
}

static void
cancel_ends_the_wait(void **state)
{
	struct side *side = *state;

	fiber_start(read_a_line, side);
	fiber_cancel(side->fiber);
	loop_turn(0);
	assert_int_equal(side->result, -1);
	assert_int_equal(side->error, ECANCELED);
	assert_int_equal(stream_error(side->stream), 0);
}

static void
half_closed_peer_is_read_to_the_end(void **state)
{
	struct side *side = *state;

	fiber_start(read_a_line, side);
	assert_int_equal(write(peer, "a\nb\nc", 5), 5);
	shutdown(peer, SHUT_WR);
	loop_turn(1000);
	assert_int_equal(side->result, 1);
	fiber_start(read_a_line, side);
	assert_int_equal(side->result, 1);
	fiber_start(read_a_line, side);
	loop_turn(0);
	assert_int_equal(side->steps, 3);
	assert_int_equal(side->result, 0);
	assert_true(span_is(stream_input(side->stream), "c"));
}

static void
vanished_peer_fails_the_stream(void **state)
{
	struct side *side = *state;

	close(peer);
	peer = -1;
	stream_str(side->stream, "hello");
	assert_int_equal(stream_flush(side->stream), -1);
	assert_int_equal(stream_error(side->stream), EPIPE);
}

static void
write_much(void *arg)
{
	struct side *side = arg;
	char block[1000] = "";

	side->fiber = fiber_self();
	for (int i = 0; i < 4000; i++)
		stream_write(side->stream, span_of(block, sizeof(block)));
	side->result = stream_flush(side->stream);
	side->error = stream_error(side->stream);
	side->steps++;
}

static void
writer_waits_for_the_reader(void **state)
{
	struct side *side = *state;
	char buf[65536];
	ssize_t n;

	fiber_start(write_much, side);
	while (side->steps == 0 || side->bytes < 4000000) {
		while ((n = read(peer, buf, sizeof(buf))) > 0)
			side->bytes += (size_t)n;
		loop_turn(0);
	}
	assert_int_equal(side->result, 1);
	assert_int_equal(side->bytes, 4000000);
}

static void
peer_that_reads_nothing_is_given_up(void **state)
{
	struct side *side = *state;

	stream_set_write_timeout(side->stream, 1000);
	fiber_start(write_much, side);
	loop_turn(0);
	assert_int_equal(side->steps, 0);
	clock_test_set((monotime_t){ 1100 }, 0);
	loop_turn(0);
	assert_int_equal(side->steps, 1);
	assert_int_equal(side->result, -1);
	assert_int_equal(side->error, ETIMEDOUT);
}

static void
answers_go_out_before_waiting(void **state)
{
	struct side *side = *state;
	char buf[10];

	stream_str(side->stream, "ready?");
	fiber_start(read_a_line, side);
	assert_int_equal(read(peer, buf, sizeof(buf)), 6);
	assert_int_equal(write(peer, "yes\n", 4), 4);
	loop_turn(1000);
	assert_int_equal(side->result, 1);
}

static void
fill_and_answer(void *arg)
{
	struct side *side = arg;

	stream_str(side->stream, "an answer");
	read_a_line(side);
}

/* Nothing to read, then nothing can be written, then there is input. */
static void
input_that_comes_while_flushing(void **state)
{
	struct side *side = *state;
	char buf[4096] = "";

	while (send(stream_fd(side->stream), buf, sizeof(buf), 0) > 0)
		;
	fiber_start(fill_and_answer, side);
	loop_turn(0);
	assert_int_equal(write(peer, "x\n", 2), 2);
	loop_turn(0);
	assert_int_equal(side->steps, 0);
	while (read(peer, buf, sizeof(buf)) > 0)
		;
	for (int i = 0; i < 3; i++)
		loop_turn(0);
	assert_int_equal(side->steps, 1);
	assert_int_equal(side->result, 1);
	assert_int_equal(read(peer, buf, sizeof(buf)), 9);
}

static void
answers_are_gathered_while_input_is_at_hand(void **state)
{
	struct side *side = *state;
	char buf[10];

	assert_int_equal(write(peer, "1\n2\n", 4), 4);
	fiber_start(read_a_line, side);
	stream_str(side->stream, "a");
	fiber_start(read_a_line, side);
	assert_int_equal(side->steps, 2);
	assert_int_equal(read(peer, buf, sizeof(buf)), -1);
	stream_str(side->stream, "b");
	assert_int_equal(stream_flush(side->stream), 1);
	assert_int_equal(read(peer, buf, sizeof(buf)), 2);
}

static void
parking_sees_what_is_at_hand(void **state)
{
	struct side *side = *state;
	struct stream *s = side->stream;

	assert_true(stream_park(s));
	assert_int_equal(write(peer, "1\n2\n", 4), 4);
	assert_false(stream_park(s));
	fiber_start(read_a_line, side);
	assert_false(stream_park(s));
	fiber_start(read_a_line, side);
	assert_int_equal(side->steps, 2);
	assert_true(stream_park(s));
	assert_true(stream_fd(s) >= 0);
	shutdown(peer, SHUT_WR);
	assert_false(stream_park(s));
}

/* Without a fiber the thread waits. */
static void
blocking_use(void **state)
{
	struct side *side = *state;
	struct span line;

	clock_test_clear();
	assert_int_equal(stream_line(side->stream, &line, 10,
	    clock_after(1)), -1);
	assert_int_equal(errno, ETIMEDOUT);
	assert_int_equal(write(peer, "x\n", 2), 2);
	assert_int_equal(stream_line(side->stream, &line, 10, never), 1);
	assert_int_equal(line.n, 2);
}

/* What a peer says before it hangs up is there, though we cannot answer. */
static void
last_words_are_not_lost(void **state)
{
	struct side *side = *state;

	assert_false(stream_salvage(side->stream));
	assert_int_equal(write(peer, "421 bye\r\n", 9), 9);
	close(peer);
	peer = -1;
	stream_str(side->stream, "hello");
	assert_int_equal(stream_flush(side->stream), -1);
	assert_int_equal(stream_input(side->stream).n, 0);
	assert_true(stream_salvage(side->stream));
	assert_true(span_is(stream_input(side->stream), "421 bye\r\n"));
	/* It is no better for that. */
	assert_int_equal(stream_error(side->stream), EPIPE);
	assert_int_equal(stream_fill(side->stream, never), -1);
	stream_take(side->stream, 9);
	assert_false(stream_salvage(side->stream));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_side, close_side)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_in_every_split),
		cmocka_unit_test(long_lines_are_refused_and_skipped),
		cmocka_unit_test(input_is_bounded),
		cmocka_unit_test(writing_gathers_everything),
		cmocka_unit_test(file_is_written_in_pieces),
		TEST(a_line_comes_in_parts),
		TEST(deadline_leaves_the_stream_usable),
		TEST(cancel_ends_the_wait),
		TEST(half_closed_peer_is_read_to_the_end),
		TEST(vanished_peer_fails_the_stream),
		TEST(writer_waits_for_the_reader),
		TEST(peer_that_reads_nothing_is_given_up),
		TEST(answers_go_out_before_waiting),
		TEST(input_that_comes_while_flushing),
		TEST(answers_are_gathered_while_input_is_at_hand),
		TEST(parking_sees_what_is_at_hand),
		TEST(last_words_are_not_lost),
		TEST(blocking_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * fuzz_pop3.c - POP3's command lines, and messages on their way out.
 *
 * What comes back from the wire form of a message must be the message: the
 * client takes one dot off each line that begins with one.
 */
#include <stdlib.h>

#include "base/text.h"
#include "pop3/pop3_command.h"
#include "pop3/pop3_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
add(void *arg, struct span bytes)
{
	text_add(arg, bytes);
}

static void
check_round_trip(struct span message, size_t cut)
{
	struct text wire = TEXT_INIT(0), back = TEXT_INIT(0);
	struct pop3_text t = pop3_text_whole();
	struct span rest, line;

	pop3_text_add(&t, span_sub(message, 0, cut), add, &wire);
	pop3_text_add(&t, span_from(message, cut), add, &wire);
	pop3_text_end(&t, add, &wire);
	rest = text_span(&wire);
	while (rest.n > 0) {
		size_t end = span_find_char(rest, '\n', 0);

		must(end != SIZE_MAX);
		line = span_sub(rest, 0, end + 1);
		rest = span_from(rest, end + 1);
		if (rest.n == 0) {
			must(span_is(line, ".\r\n"));
			break;
		}
		must(!span_is(line, ".\r\n"));
		text_add(&back, line.p[0] == '.' ? span_from(line, 1) : line);
	}
	must(span_starts(text_span(&back), message));
	must(back.n - message.n <= 2);
	text_free(&wire);
	text_free(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span all = span_of(data, n);
	struct pop3_command command;

	for (int state = POP3_AUTHORIZATION; state <= POP3_TRANSACTION; state++)
		if (pop3_parse(all, (enum pop3_state)state, &command) ==
		    POP3_FINE)
			must(command.verb < POP3_VERBS &&
			    (!command.has_number || command.number > 0));
	if (n > 0)
		check_round_trip(span_from(all, 1), data[0] % n);
	return 0;
}

/*
 * fuzz_thread.c - threads of messages with any references. A message is four
 * bytes, its id, subject and whether it replies, date, and number of
 * references, which follow. Whatever they say, every message is told once,
 * and every parenthesis is closed.
 */
#include "imap/imap_thread.h"

#include <stdlib.h>

enum { MESSAGES_MAX = 4096, HEAD = 4, LINKS = 15 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static size_t
read_messages(struct imap_thread_message *m, uint64_t *links,
    const uint8_t *data, size_t n)
{
	size_t count = 0, link = 0;

	for (size_t at = 0; n - at >= HEAD && count < MESSAGES_MAX;) {
		size_t have = data[at + 3] % (LINKS + 1);

		have = MIN(have, n - at - HEAD);
		m[count] = (struct imap_thread_message){
			.number = (uint32_t)count + 1, .id = data[at],
			.subject = data[at + 1] >> 1,
			.is_reply = (data[at + 1] & 1) != 0,
			.sent = (int8_t)data[at + 2], .arrived = data[at],
			.links_at = link, .links = (uint32_t)have };
		for (at += HEAD; have > 0; have--)
			links[link++] = data[at++];
		count++;
	}
	return count;
}

static void
check(struct span out, size_t count)
{
	uint8_t *seen = xcalloc(count + 1, 1);
	size_t depth = 0, told = 0, number = 0;

	for (size_t i = 0; i < out.n; i++) {
		if (ascii_is_digit(out.p[i])) {
			number = number * 10 + (size_t)(out.p[i] - '0');
			if (i + 1 < out.n && ascii_is_digit(out.p[i + 1]))
				continue;
			must(number > 0 && number <= count && depth > 0);
			must(seen[number]++ == 0);
			told++;
			number = 0;
		} else if (out.p[i] == '(') {
			depth++;
		} else if (out.p[i] == ')') {
			must(depth-- > 0 && out.p[i - 1] != '(');
		}
	}
	must(depth == 0 && told == count);
	free(seen);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct imap_thread_message *m = xcalloc(MESSAGES_MAX, sizeof(*m));
	uint64_t *links = xcalloc(MESSAGES_MAX * LINKS, sizeof(*links));
	size_t count = read_messages(m, links, data, n);

	for (int kind = IMAP_THREAD_ORDERED_SUBJECT; kind <= IMAP_THREAD_REFS;
	    kind++) {
		struct imap_thread *t = imap_thread_build(
		    (enum imap_thread_kind)kind, m, count, links, n);
		struct text out = TEXT_INIT(0);

		while (imap_thread_write(t, &out, out.n + 64))
			;
		check(text_span(&out), count);
		text_free(&out);
		imap_thread_free(&t);
	}
	free(m);
	free(links);
	return 0;
}

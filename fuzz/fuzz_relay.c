/*
 * fuzz_relay.c - what is told of a server's words: it fits, stays on one line
 * and in its field; and where a route leads.
 */
#include "relay/relay_target.h"
#include "relay/relay_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
on_one_line(struct span s)
{
	must(s.n <= REASON_MAX);
	for (size_t i = 0; i < s.n; i++)
		must((unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7f);
}

/* name="...": every quote and backslash inside has one before it. */
static void
in_its_field(struct span value)
{
	struct text t = TEXT_INIT(0);
	bool quoted = false;

	relay_detail(&t, "a", value);
	for (size_t i = 0; i < t.n; i++) {
		if (quoted && t.p[i] == '\\')
			i++;
		else if (t.p[i] == '"')
			quoted = !quoted;
		else
			must(quoted || t.p[i] != ' ');
	}
	must(!quoted);
	text_free(&t);
}

static void
an_answer(struct span in, struct arena *arena)
{
	struct text reason = TEXT_INIT(REASON_MAX);
	struct smtp_answer a;
	size_t used;

	if (smtp_answer_parse(in, arena, &a, &used) != 1)
		return;
	relay_reason(&a, SPAN("mx.example.org[192.0.2.1]:25"), &reason);
	must(!text_full(&reason) && reason.n > 5 && reason.p[1] == '.');
	must(a.code < 400 || (reason.p[0] == '5') ==
	    (relay_outcome_of(&a) == RELAY_FAILED));
	on_one_line(relay_one_line(arena, text_span(&reason)));
	text_free(&reason);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct arena *arena = arena_new(1 << 20);
	struct span in = span_of(p, n);
	struct relay_via via;
	struct ip_address ip;

	an_answer(in, arena);
	on_one_line(relay_one_line(arena, in));
	in_its_field(in);
	if (relay_via_parse(in, &via) == 1)
		must(via.host.n > 0 || via.kind == VIA_MX ||
		    via.kind == VIA_REFUSE);
	(void)relay_literal(in, &ip);
	arena_free(&arena);
	return 0;
}

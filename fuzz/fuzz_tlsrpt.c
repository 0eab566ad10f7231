/*
 * fuzz_tlsrpt.c - TLS reports: who asks for them, counts as the store gets
 * them, and the JSON that is made of these.
 */
#include <stdlib.h>

#include "queue/tlsrpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_record(struct span record)
{
	struct text address = TEXT_INIT(320);
	struct span rua = SPAN_EMPTY, uri;

	if (tlsrpt_record(&record, 1, &rua) == 1)
		must(rua.n > 0 && rua.n <= TLSRPT_RUA_MAX);
	while (tlsrpt_next_uri(&rua, &uri)) {
		must(uri.n > 0);
		if (tlsrpt_mailto(uri, &address) == 1)
			for (size_t i = 0; i < address.n; i++)
				must(address.p[i] > 0x20);
	}
	text_free(&address);
}

/* What was read, counted and written is read and counted again. */
static void
check_rows(struct span rows)
{
	struct tlsrpt *t = tlsrpt_new(50, 1 << 20);
	struct tlsrpt *u = tlsrpt_new(200, 1 << 20);
	struct text first = TEXT_INIT(0), second = TEXT_INIT(0);
	struct cursor c = { rows, false };
	struct tlsrpt_row r;

	while (tlsrpt_row_get(&c, &r) == 1)
		tlsrpt_count(t, &r);
	tlsrpt_encode(t, &first);
	c = (struct cursor){ text_span(&first), false };
	while (tlsrpt_row_get(&c, &r) == 1)
		tlsrpt_count(u, &r);
	must(!c.bad && c.rest.n == 0);
	tlsrpt_encode(u, &second);
	must(span_eq(text_span(&first), text_span(&second)));
	tlsrpt_free(&t);
	tlsrpt_free(&u);
	text_free(&first);
	text_free(&second);
}

static void
check_report(struct span rows)
{
	struct tlsrpt_report report = { .organization = rows,
	    .submitter = SPAN("a.example"), .contact = SPAN("p@a.example"),
	    .id = SPAN("1@a.example"), .domain = rows, .day = 20000,
	    .rows = rows };
	struct text json = TEXT_INIT(0);

	if (tlsrpt_json(&report, &json) == 1)
		must(json.n > 0 && json.p[0] == '{');
	text_free(&json);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span all = span_of(data, n);

	check_record(all);
	check_rows(all);
	check_report(all);
	return 0;
}

/*
 * relay_policy_report.c - counts of sessions, until the store has them.
 *
 * Bounded; what does not fit is not told. A hand-over that fails is made
 * again with the same token, so that nothing is counted twice.
 */
#include "base/clock.h"
#include "relay/relay_policy_impl.h"

enum {
	ROWS_MAX = 2000, BYTES_MAX = 1000 << 10,
	DAY = 86400,
};

static struct {
	struct tlsrpt *counts;
	struct text handed;		/* on its way; empty: nothing is */
	struct token token;
	bool busy;
} report = { .handed = TEXT_INIT(0) };

struct span
relay_report_rua(struct span domain, struct arena *arena)
{
	struct span *txt, rua = SPAN_EMPTY;
	size_t n;
	struct span name = arena_printf(arena, "_smtp._tls.%.*s",
	    SPAN_ARG(domain));

	return resolve_txt(name, arena, &txt, &n).status == RESOLVE_OK &&
	    tlsrpt_record(txt, n, &rua) == 1 ? rua : SPAN_EMPTY;
}

/* Lines without their CR, none that is empty. */
static void
add_lines(struct text *out, struct span s)
{
	while (s.n > 0) {
		struct span line;

		s = span_cut(s, '\n', &line);
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n == 0)
			continue;
		text_str(out, out->n > 0 ? "\n" : "");
		text_add(out, line);
	}
}

void
relay_report_count(const struct policy *p, enum tlsrpt_type type,
    struct span policy_text, const struct tlsrpt_row *of)
{
	struct text policy = TEXT_INIT(TLSRPT_POLICY_MAX);
	struct text mx = TEXT_INIT(TLSRPT_POLICY_MAX);
	struct tlsrpt_row row = *of;

	if (p->rua.n == 0)
		return;
	if (report.counts == NULL)
		report.counts = tlsrpt_new(ROWS_MAX, BYTES_MAX);
	add_lines(&policy, policy_text);
	for (size_t i = 0; type == TLSRPT_STS && i < p->sts_mx_count; i++)
		add_lines(&mx, p->sts_mx[i]);
	row.day = (uint32_t)(clock_wall_seconds() / DAY);
	row.domain = p->domain;
	row.rua = p->rua;
	row.type = type;
	row.policy = text_span(&policy);
	row.mx = text_span(&mx);
	row.count = 1;
	tlsrpt_count(report.counts, &row);
	text_free(&policy);
	text_free(&mx);
}

void
relay_policy_flush(void)
{
	if (report.busy || report.counts == NULL)
		return;
	if (report.handed.n == 0 && tlsrpt_rows(report.counts) > 0) {
		tlsrpt_encode(report.counts, &report.handed);
		tlsrpt_clear(report.counts);
		report.token = token_new();
	}
	if (report.handed.n == 0)
		return;
	report.busy = true;
	if (relay_report_hand_over(&report.token, text_span(&report.handed)))
		text_free(&report.handed);
	report.busy = false;
}

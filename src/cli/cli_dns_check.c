/*
 * cli_dns_check.c - what the DNS says of a domain, judged in plain words.
 *
 * A running server's resolver asks, so that what is judged is what this
 * server's own validation sees; what others see should be the same.
 */
#include <stdio.h>

#include "cli/cli_dns_check.h"

static const struct {
	enum level level;
	const char *name, *good, *bad, *cost;
} table[JUDGEMENT_COUNT] = {
#define JUDGE(id, level, name, good, bad, cost)				\
	[J_##id] = { level, name, good, bad, cost },
	JUDGEMENTS(JUDGE)
#undef JUDGE
};

static const char *const levels[] = {
	[BETTER] = "better", [WRONG] = "WRONG",
};

static void
show(struct check *c, enum judgement id, const char *verdict,
    const char *sentence, struct span found, const char *cost)
{
	json_t *row = json_pack("{s:s, s:s, s:s, s:o}", "check",
	    table[id].name, "verdict", verdict, "says", sentence, "found",
	    cli_json(found));

	if (cost != NULL)
		json_object_set_new(row, "cost", json_string(cost));
	json_array_append_new(c->rows, row);
	if (c->cli->json)
		return;
	found = cli_shown(c->cli, found);
	printf("%-8s %s%s%.*s.\n", verdict, sentence,
	    found.n > 0 ? ": " : "", SPAN_ARG(found));
	if (cost != NULL)
		printf("%-8s Cost: %s.\n", "", cost);
}

bool
judge(struct check *c, enum judgement id, bool good, const char *fmt, ...)
{
	struct text found = TEXT_INIT(4096);
	va_list args;

	va_start(args, fmt);
	text_vprintf(&found, fmt, args);
	va_end(args);
	if (!good)
		c->counts[table[id].level]++;
	show(c, id, good ? "ok" : levels[table[id].level],
	    good ? table[id].good : table[id].bad, text_span(&found),
	    good ? NULL : table[id].cost);
	text_free(&found);
	return good;
}

bool
answered(struct check *c, enum judgement id, const struct resolve_answer *a)
{
	switch (a->status) {
	case RESOLVE_OK:
	case RESOLVE_NONE:
	case RESOLVE_NXDOMAIN:
		return true;
	case RESOLVE_BOGUS:
		if (!c->bogus)
			judge(c, J_BOGUS, false, "%.*s", SPAN_ARG(a->why));
		c->bogus = true;
		return false;
	default:
		c->unknown++;
		show(c, id, "unknown", "The DNS does not answer just now",
		    a->why.n > 0 ? a->why : span_str(table[id].name), NULL);
		return false;
	}
}

static int
sum_up(struct check *c)
{
	if (!c->cli->json)
		printf("\n%u wrong, %u could be better%s\n", c->counts[WRONG],
		    c->counts[BETTER], c->unknown > 0 ?
		    "; not everything could be asked" : "");
	if (c->counts[WRONG] > 0)
		return 1;
	return c->unknown > 0 ? EX_TEMPFAIL : EX_OK;
}

static void
ask_everything(struct check *c)
{
	static void (*const all[])(struct check *) = {
		check_mx, check_host, check_ptr, check_spf, check_dkim,
		check_dmarc, check_tlsa, check_sts, check_tlsrpt,
		check_services,
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		all[i](c);
		arena_reset(c->arena);
	}
}

int
cli_check_domain(struct cli *cli)
{
	struct dns_facts *f = arena_alloc(cli->arena, sizeof(*f));
	struct check c = { .cli = cli, .facts = f };
	int status = cli_open(cli);

	if (status == EX_OK)
		status = dns_find_facts(cli, f);
	if (status == EX_OK)
		status = cli_domain_is_ours(cli, f->domain);
	if (status == EX_OK)
		status = cli_open_resolver(cli);
	if (status != EX_OK)
		return status;
	c.rows = json_array();
	c.arena = arena_new((size_t)64 << 20);
	ask_everything(&c);
	arena_free(&c.arena);
	status = sum_up(&c);
	cli_print_json(cli, json_pack("{s:o, s:o, s:i, s:i, s:i}", "domain",
	    cli_json(f->domain), "checks", c.rows, "wrong",
	    (int)c.counts[WRONG], "better", (int)c.counts[BETTER], "unknown",
	    (int)c.unknown));
	return status;
}

/*
 * cli_tls_report.c - how TLS with other systems went, as their reports will
 * tell them (RFC 8460).
 */
#include <stdio.h>

#include "cli/cli_impl.h"

static const char *
word(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static void
show_failure(const struct cli *cli, json_t *f)
{
	struct span host = span_str(word(f, "receiving-mx-hostname"));

	printf("        %-28s %8" JSON_INTEGER_FORMAT "  %.*s %s\n",
	    word(f, "result-type"), json_integer_value(json_object_get(f,
	    "failed-session-count")), SPAN_ARG(cli_shown(cli, host)),
	    word(f, "receiving-ip"));
}

static void
show_policy(const struct cli *cli, json_t *p)
{
	json_t *sums = json_object_get(p, "summary"), *f;
	size_t i;

	printf("    %-16s %8" JSON_INTEGER_FORMAT " good %8"
	    JSON_INTEGER_FORMAT " failed\n",
	    word(json_object_get(p, "policy"), "policy-type"),
	    json_integer_value(json_object_get(sums,
	    "total-successful-session-count")),
	    json_integer_value(json_object_get(sums,
	    "total-failure-session-count")));
	json_array_foreach(json_object_get(p, "failure-details"), i, f)
		show_failure(cli, f);
}

static void
show_report(const struct cli *cli, json_t *report)
{
	json_t *policies = json_object_get(report, "policies"), *p;
	const char *domain = word(json_object_get(json_array_get(policies, 0),
	    "policy"), "policy-domain");
	size_t i;

	printf("%.*s  %.10s\n", SPAN_ARG(cli_shown(cli, span_str(domain))),
	    word(json_object_get(report, "date-range"), "start-datetime"));
	json_array_foreach(policies, i, p)
		show_policy(cli, p);
}

/* The reports stand one behind another. */
static json_t *
read_all(struct span text)
{
	json_t *all = json_array(), *one;
	json_error_t where;

	while (text.n > 0 && (one = json_loadb(text.p, text.n,
	    JSON_DISABLE_EOF_CHECK, &where)) != NULL) {
		json_array_append_new(all, one);
		text = span_from(text, (size_t)where.position + 1);
	}
	return all;
}

int
cli_tls_report(struct cli *cli)
{
	struct tlsrpt_show_request request = {
		.domain = span_str(cli->count > 0 ? cli->words[0] : ""),
		.send = cli->now };
	struct tlsrpt_show_reply reply;
	json_t *all, *one;
	size_t i;
	int status = cli_open(cli);

	if (status != EX_OK)
		return status;
	if (call_tlsrpt_show(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	if (reply.result != RESULT_NOT_FOUND)
		status = cli_result(reply.result, "TLS reports");
	all = read_all(reply.reports.bytes);
	blob_release(&reply.reports);
	if (!cli->json && json_array_size(all) == 0)
		printf("Nothing was counted: nobody was sent mail who asks "
		    "for reports.\n");
	if (!cli->json)
		json_array_foreach(all, i, one)
			show_report(cli, one);
	if (!cli->json && cli->now)
		printf("%u sent\n", reply.sent);
	cli_print_json(cli, all);
	return status;
}

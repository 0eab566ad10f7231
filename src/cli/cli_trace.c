/*
 * cli_trace.c - what happened to a message, and how the store is.
 */
#include <stdio.h>

#include "cli/cli_impl.h"
#include "mail/date.h"

/* ---- trace --------------------------------------------------------------------- */

static json_t *
show_step(const struct cli *cli, const struct trace_row *row)
{
	struct span text = cli_shown(cli, row->text);
	struct text at = TEXT_INIT(64);
	json_t *value;

	if (!cli->json)
		printf("%s.%03d  %.*s  %-12.*s %.*s\n",
		    cli_time(row->at / 1000000),
		    (int)(row->at / 1000 % 1000), SPAN_ARG(row->queue_id),
		    SPAN_ARG(row->event), SPAN_ARG(text));
	date_add_rfc3339(&at, (struct date){ .seconds = row->at / 1000000 });
	value = json_pack("{s:o, s:I, s:o, s:o, s:o}", "at",
	    cli_json(text_span(&at)), "microseconds",
	    (json_int_t)(row->at % 1000000), "queue_id",
	    cli_json(row->queue_id), "event", cli_json(row->event), "text",
	    cli_json(row->text));
	text_free(&at);
	return value;
}

int
cli_trace(struct cli *cli)
{
	struct trace_find_request request = { .id = span_str(cli->words[0]) };
	struct trace_find_reply reply;
	struct trace_row row;
	struct cursor rows;
	json_t *all;
	int status = cli_open(cli);

	if (status != EX_OK)
		return status;
	if (call_trace_find(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, cli->words[0]);
	all = json_array();
	rows = (struct cursor){ .rest = reply.rows.bytes };
	while (status == EX_OK && trace_row_get(&rows, &row) == 1)
		json_array_append_new(all, show_step(cli, &row));
	blob_release(&reply.rows);
	if (status == EX_OK && json_array_size(all) == 0)
		status = cli_say(EX_DATAERR, "%s: nothing is known of it",
		    cli->words[0]);
	cli_print_json(cli, all);
	return status;
}

/* ---- status --------------------------------------------------------------------- */

/* A metric's HELP line says in words what its number is. */
struct metric {
	struct span help, name, value;
};

/* The next sample of a Prometheus text; HELP lines are kept on the way. */
static bool
next_metric(struct span *rest, struct metric *m)
{
	struct span line;

	while (rest->n > 0) {
		*rest = span_cut(*rest, '\n', &line);
		if (span_starts(line, SPAN("# HELP "))) {
			line = span_from(line, 7);
			span_word(&line);	/* the name */
			m->help = line;
			continue;
		}
		if (line.n == 0 || line.p[0] == '#')
			continue;
		m->name = span_word(&line);
		m->value = line;
		return true;
	}
	return false;
}

static json_t *
show_metrics(const struct cli *cli, struct span text)
{
	json_t *all = json_object();
	struct metric m = { .help = SPAN_EMPTY };

	while (next_metric(&text, &m)) {
		char *name = arena_cstr(cli->arena, m.name);
		char *value = arena_cstr(cli->arena, m.value);
		json_t *number = json_loads(value, JSON_DECODE_ANY, NULL);

		if (!cli->json)
			printf("  %-52.*s %s\n", SPAN_ARG(m.help.n > 0 &&
			    span_find_char(m.name, '{', 0) == SIZE_MAX ?
			    m.help : m.name), value);
		json_object_set_new(all, name, number != NULL ? number :
		    json_string(value));
	}
	return all;
}

int
cli_status(struct cli *cli)
{
	struct store_status_request request = { 0 };
	struct store_status_reply reply;
	json_t *metrics;
	int status = cli_open(cli);

	if (status != EX_OK)
		return status;
	if (call_store_status(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, "status");
	if (!cli->json && cli->running)
		printf("Postrider serves %s (process %d). Its store and "
		    "queue:\n", cli->data, (int)cli->server);
	else if (!cli->json)
		printf("No server runs on %s. Its store and queue:\n",
		    cli->data);
	metrics = show_metrics(cli, reply.metrics.bytes);
	cli_print_json(cli, json_pack("{s:b, s:i, s:s, s:o}", "running",
	    cli->running, "process", (int)cli->server, "data", cli->data,
	    "metrics", metrics));
	blob_release(&reply.metrics);
	return status;
}

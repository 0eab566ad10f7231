/*
 * cli_queue.c - what waits, what happened, how the store is.
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli_impl.h"
#include "mail/date.h"
#include "mail/encode.h"

enum { PAGE = 1000 };

/* ---- queue ------------------------------------------------------------------- */

static json_t *
json_lines(struct span text)
{
	json_t *lines = json_array();
	struct span line;

	while (text.n > 0) {
		text = span_cut(text, '\n', &line);
		if (line.n > 0)
			json_array_append_new(lines, cli_json(line));
	}
	return lines;
}

static json_t *
json_queue_row(const struct queue_row *r)
{
	return json_pack("{s:o, s:o, s:o, s:I, s:o, s:o, s:i, s:o, s:o}",
	    "queue_id", cli_json(r->queue_id), "sender", cli_json(r->sender),
	    "recipients", json_lines(r->recipients), "size",
	    (json_int_t)r->size, "arrived", cli_json_time(r->arrived),
	    "next_attempt", cli_json_time(r->next_attempt), "attempts",
	    (int)r->attempts, "state", cli_json(r->state), "reason",
	    cli_json(r->reason));
}

static void
print_queue_row(const struct cli *cli, const struct queue_row *r)
{
	struct span sender = cli_shown(cli, r->sender);
	struct span reason = cli_shown(cli, r->reason);
	struct span rest = r->recipients, line;

	printf("%-20.*s %9s  %s  %.*s  from <%.*s>\n", SPAN_ARG(r->queue_id),
	    cli_bytes(r->size), cli_time(r->arrived), SPAN_ARG(r->state),
	    SPAN_ARG(sender));
	while (rest.n > 0) {
		rest = span_cut(rest, '\n', &line);
		line = cli_shown(cli, line);
		if (line.n > 0)
			printf("    to %.*s\n", SPAN_ARG(line));
	}
	if (reason.n > 0)
		printf("    %.*s\n", SPAN_ARG(reason));
}

static int
queue_page(struct cli *cli, struct text *after, json_t *all, uint64_t *total,
    int *status)
{
	struct queue_list_request request = {
		.after = text_span(after), .count = PAGE };
	struct queue_list_reply reply;
	struct queue_row row;
	struct cursor rows;

	if (call_queue_list(cli->store, cli->arena, &request, &reply) != 1) {
		*status = cli_no_answer();
		return 0;
	}
	*status = cli_result(reply.result, "queue");
	*total = reply.total;
	rows = (struct cursor){ .rest = reply.rows.bytes };
	while (*status == EX_OK && queue_row_get(&rows, &row) == 1) {
		if (cli->json)
			json_array_append_new(all, json_queue_row(&row));
		else
			print_queue_row(cli, &row);
	}
	text_clear(after);
	text_add(after, reply.next);
	blob_release(&reply.rows);
	return *status == EX_OK && reply.next.n > 0 && !rows.bad;
}

int
cli_queue_list(struct cli *cli)
{
	struct text after = TEXT_INIT(64);
	json_t *all = json_array();
	uint64_t total = 0;
	int status = cli_open(cli);

	if (status == EX_OK)
		while (queue_page(cli, &after, all, &total, &status) == 1)
			arena_reset(cli->arena);
	if (status == EX_OK && !cli->json)
		printf("%" PRIu64 " message%s in the queue\n", total,
		    total == 1 ? "" : "s");
	if (status == EX_OK)
		cli_print_json(cli, all);
	else
		json_decref(all);
	text_free(&after);
	return status;
}

static void
show_body(const struct cli *cli, const struct queue_row *row,
    struct span body)
{
	struct text base64 = TEXT_INIT(0);
	json_t *value;

	if (!cli->json) {
		print_queue_row(cli, row);
		putchar('\n');
		fwrite(body.p, 1, body.n, stdout);
		return;
	}
	value = json_queue_row(row);
	base64_add(&base64, body);
	json_object_set_new(value, "message_base64",
	    cli_json(text_span(&base64)));
	cli_print_json(cli, value);
	text_free(&base64);
}

int
cli_queue_show(struct cli *cli)
{
	struct queue_show_request request = {
		.queue_id = span_str(cli->words[0]) };
	struct queue_show_reply reply;
	struct queue_row row;
	struct cursor rows;
	int status = cli_open(cli);

	if (status != EX_OK)
		return status;
	if (call_queue_show(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, cli->words[0]);
	rows = (struct cursor){ .rest = reply.row.bytes };
	if (status == EX_OK && queue_row_get(&rows, &row) == 1)
		show_body(cli, &row, reply.body.bytes);
	blob_release(&reply.row);
	blob_release(&reply.body);
	return status;
}

int
cli_queue_delete(struct cli *cli)
{
	json_t *deleted = json_array();
	int status = cli_open(cli), worst = status;

	for (size_t i = 0; i < cli->count && status == EX_OK; i++) {
		struct queue_delete_request request = {
			.queue_id = span_str(cli->words[i]) };
		struct queue_delete_reply reply;
		int one;

		if (call_queue_delete(cli->store, cli->arena, &request,
		    &reply) != 1) {
			worst = status = cli_no_answer();
			break;
		}
		one = cli_result(reply.result, cli->words[i]);
		if (one != EX_OK)
			worst = one;
		else
			json_array_append_new(deleted,
			    json_string(cli->words[i]));
		if (one == EX_OK && !cli->json)
			printf("%s: deleted\n", cli->words[i]);
	}
	cli_print_json(cli, deleted);
	return worst;
}

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

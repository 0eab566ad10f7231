/*
 * cli_trace.c - what happened to a message, and how the store is.
 */
#include <stdio.h>

#include "cli/cli_impl.h"
#include "mail/date.h"

/* ---- trace ------------------------------------------------------------- */

/* name=value of a step: its text is made of these. */
struct field {
	struct span name, value;
};

enum { FIELDS_MAX = 64 };

/* "name=" stands here: its length with the sign, else 0. */
static size_t
name_length(struct span s)
{
	size_t n = 0;

	while (n < s.n && ((s.p[n] >= 'a' && s.p[n] <= 'z') ||
	    s.p[n] == '_'))
		n++;
	return n > 0 && n < s.n && s.p[n] == '=' ? n + 1 : 0;
}

/* What other servers said may hold anything: it goes to the end. */
static size_t
open_length(struct span name, struct span rest)
{
	size_t n = rest.n;

	if (span_is(name, "reason"))
		n = span_find(rest, SPAN(" answer="), 0);
	return MIN(n, rest.n);
}

static size_t
value_length(struct span name, struct span rest)
{
	size_t n = 1;

	if (span_is(name, "reason") || span_is(name, "answer"))
		return open_length(name, rest);
	if (rest.n > 0 && rest.p[0] == '"') {
		while (n < rest.n && rest.p[n] != '"')
			n += rest.p[n] == '\\' ? 2 : 1;
		return MIN(n + 1, rest.n);
	}
	if (rest.n > 0 && rest.p[0] == '<')
		n = span_find(rest, SPAN("> "), 0);
	else
		n = span_find_char(rest, ' ', 0);
	if (n == SIZE_MAX)
		return rest.n;
	return rest.p[0] == '<' ? n + 1 : n;
}

/* A text that is not made of fields is one without a name. */
static size_t
split_fields(struct span text, struct field out[FIELDS_MAX])
{
	size_t count = 0;

	while (text.n > 0 && count < FIELDS_MAX) {
		size_t n = name_length(text);
		struct field *f = &out[count++];

		f->name = span_sub(text, 0, n > 0 ? n - 1 : 0);
		text = span_from(text, n);
		n = n > 0 ? value_length(f->name, text) : text.n;
		f->value = span_sub(text, 0, n);
		text = span_trim(span_from(text, n));
	}
	return count;
}

/* What an attempt was like stands below it, by what it tells. */
static const char *const lines[][5] = {
	{ "via" }, { "tls", "cipher", "verified", "plain" }, { "policy" },
	{ "reason" }, { "answer" },
};

static bool
is_one_of(struct span name, const char *const names[5])
{
	for (size_t i = 0; i < 5 && names[i] != NULL; i++)
		if (span_is(name, names[i]))
			return true;
	return false;
}

static bool
has_own_line(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		if (is_one_of(name, lines[i]))
			return true;
	return span_starts(name, SPAN("ms_"));
}

static void
print_below(const struct field *fields, size_t count,
    const char *const names[5])
{
	const char *before = "\n    ";

	for (size_t i = 0; i < count; i++) {
		const struct field *f = &fields[i];

		if (names != NULL ? !is_one_of(f->name, names) :
		    !span_starts(f->name, SPAN("ms_")))
			continue;
		printf("%s%.*s=%.*s", before, SPAN_ARG(f->name),
		    SPAN_ARG(f->value));
		before = " ";
	}
}

static void
print_fields(struct span text)
{
	struct field fields[FIELDS_MAX];
	size_t count = split_fields(text, fields);

	for (size_t i = 0; i < count; i++)
		if (!has_own_line(fields[i].name))
			printf(" %.*s%s%.*s", SPAN_ARG(fields[i].name),
			    fields[i].name.n > 0 ? "=" : "",
			    SPAN_ARG(fields[i].value));
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		print_below(fields, count, lines[i]);
	print_below(fields, count, NULL);
	putchar('\n');
}

static json_t *
json_fields(struct span text)
{
	struct field fields[FIELDS_MAX];
	size_t count = split_fields(text, fields);
	json_t *all = json_object();

	for (size_t i = 0; i < count; i++)
		if (fields[i].name.n > 0)
			json_object_setn_new(all, fields[i].name.p,
			    fields[i].name.n, cli_json(fields[i].value));
	return all;
}

static json_t *
show_step(const struct cli *cli, const struct trace_row *row)
{
	struct text at = TEXT_INIT(64);
	json_t *value;

	if (!cli->json) {
		printf("%s.%03d  %.*s  %-10.*s", cli_time(row->at / 1000000),
		    (int)(row->at / 1000 % 1000), SPAN_ARG(row->queue_id),
		    SPAN_ARG(row->event));
		print_fields(cli_shown(cli, row->text));
	}
	date_add_rfc3339(&at, (struct date){ .seconds = row->at / 1000000 });
	value = json_pack("{s:o, s:I, s:o, s:o, s:o, s:o}", "at",
	    cli_json(text_span(&at)), "microseconds",
	    (json_int_t)(row->at % 1000000), "queue_id",
	    cli_json(row->queue_id), "event", cli_json(row->event), "text",
	    cli_json(row->text), "fields", json_fields(row->text));
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

/* ---- status ------------------------------------------------------------ */

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

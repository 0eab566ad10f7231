/*
 * cli_queue.c - what waits, and where to.
 */
#include <stdio.h>

#include "base/clock.h"
#include "cli/cli_impl.h"
#include "cli/cli_queue.h"
#include "mail/encode.h"

enum { PAGE = 1000, AGES = 8 };

/* ---- which messages ---------------------------------------------------- */

/* A number with a unit; seconds without one. */
static bool
read_age(const char *text, int64_t *out)
{
	static const struct {
		const char *name;
		int64_t seconds;
	} units[] = {
		{ "", 1 }, { "s", 1 }, { "min", 60 }, { "m", 60 },
		{ "h", 3600 }, { "d", 86400 }, { "w", 604800 },
	};
	size_t digits = strspn(text, "0123456789");
	uint64_t n;

	if (span_u64(span_of(text, digits), &n) != 1 || n > INT32_MAX)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strcmp(text + digits, units[i].name) == 0) {
			*out = (int64_t)n * units[i].seconds;
			return true;
		}
	return false;
}

int
cli_queue_filter(const struct cli *cli, struct cli_filter *f)
{
	*f = (struct cli_filter){
		.sender = span_str(cli->sender),
		.recipient = span_str(cli->recipient),
		.destination = span_str(cli->destination),
		.state = span_str(cli->state),
	};
	if (cli->older_than != NULL && !read_age(cli->older_than,
	    &f->older_than))
		return cli_say(EX_USAGE, "%s: not a time like 90min, 12h or "
		    "2d", cli->older_than);
	return EX_OK;
}

/* ---- rows -------------------------------------------------------------- */

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
	return json_pack("{s:o, s:o, s:o, s:I, s:o, s:o, s:i, s:o, s:o, "
	    "s:o, s:I, s:o}",
	    "queue_id", cli_json(r->queue_id), "sender", cli_json(r->sender),
	    "recipients", json_lines(r->recipients), "size",
	    (json_int_t)r->size, "arrived", cli_json_time(r->arrived),
	    "next_attempt", cli_json_time(r->next_attempt), "attempts",
	    (int)r->attempts, "state", cli_json(r->state), "reason",
	    cli_json(r->reason), "destination", r->destination.n > 0 ?
	    cli_json(r->destination) : json_string("local"), "priority",
	    (json_int_t)r->priority, "expires", cli_json_time(r->expires));
}

static void
print_queue_row(const struct cli *cli, const struct queue_row *r)
{
	struct span sender = cli_shown(cli, r->sender);
	struct span reason = cli_shown(cli, r->reason);
	struct span destination = cli_shown(cli, r->destination);
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
	if (destination.n > 0)
		printf("    by way of %.*s\n", SPAN_ARG(destination));
	if (r->next_attempt > clock_wall_seconds())
		printf("    next attempt %s (attempt %u)\n",
		    cli_time(r->next_attempt), r->attempts + 1);
	if (reason.n > 0)
		printf("    %.*s\n", SPAN_ARG(reason));
}

/* ---- list -------------------------------------------------------------- */

struct listing {
	struct cli *cli;
	struct cli_filter filter;
	struct text after;
	json_t *all;
	uint64_t shown, total;
};

/* 1 there are more. */
static int
queue_page(struct listing *l, int *status)
{
	struct queue_list_request request = { .count = PAGE,
	    .after = text_span(&l->after), .sender = l->filter.sender,
	    .recipient = l->filter.recipient, .state = l->filter.state,
	    .destination = l->filter.destination,
	    .older_than = l->filter.older_than };
	struct queue_list_reply reply;
	struct queue_row row;
	struct cursor rows;

	if (call_queue_list(l->cli->store, l->cli->arena, &request,
	    &reply) != 1) {
		*status = cli_no_answer();
		return 0;
	}
	*status = cli_result(reply.result, "queue");
	l->total = reply.total;
	rows = (struct cursor){ .rest = reply.rows.bytes };
	while (*status == EX_OK && queue_row_get(&rows, &row) == 1) {
		l->shown++;
		if (l->cli->json)
			json_array_append_new(l->all, json_queue_row(&row));
		else
			print_queue_row(l->cli, &row);
	}
	text_clear(&l->after);
	text_add(&l->after, reply.next);
	blob_release(&reply.rows);
	return *status == EX_OK && l->after.n > 0 && !rows.bad;
}

int
cli_queue_list(struct cli *cli)
{
	struct listing l = { .cli = cli, .after = TEXT_INIT(64) };
	int status = cli_queue_filter(cli, &l.filter);

	if (status == EX_OK)
		status = cli_open(cli);
	l.all = json_array();
	if (status == EX_OK)
		while (queue_page(&l, &status) == 1)
			arena_reset(cli->arena);
	if (status == EX_OK && !cli->json && l.shown != l.total)
		printf("%" PRIu64 " of ", l.shown);
	if (status == EX_OK && !cli->json)
		printf("%" PRIu64 " message%s in the queue\n", l.total,
		    l.total == 1 ? "" : "s");
	text_free(&l.after);
	return cli_print_rows(cli, status, l.all);
}

/* ---- show -------------------------------------------------------------- */

static void
show_body(const struct cli *cli, json_t *places, struct span body)
{
	struct text base64 = TEXT_INIT(0);

	if (!cli->json) {
		putchar('\n');
		fwrite(body.p, 1, body.n, stdout);
		json_decref(places);
		return;
	}
	base64_add(&base64, body);
	cli_print_json(cli, json_pack("{s:o, s:o}", "places", places,
	    "message_base64", cli_json(text_span(&base64))));
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
	json_t *places;
	int status = cli_open(cli);

	if (status != EX_OK)
		return status;
	if (call_queue_show(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, cli->words[0]);
	rows = (struct cursor){ .rest = reply.rows.bytes };
	places = json_array();
	while (status == EX_OK && queue_row_get(&rows, &row) == 1) {
		json_array_append_new(places, json_queue_row(&row));
		if (!cli->json)
			print_queue_row(cli, &row);
	}
	if (status == EX_OK)
		show_body(cli, places, reply.body.bytes);
	else
		json_decref(places);
	blob_release(&reply.rows);
	blob_release(&reply.body);
	return status;
}

/* ---- table ------------------------------------------------------------- */

static const char *const columns[AGES] = {
	"5", "10", "20", "40", "80", "160", "320", "320+",
};

static void
print_table_row(const struct cli *cli, const struct queue_table_row *r,
    const uint64_t ages[AGES])
{
	struct span name = cli_shown(cli, r->destination);
	struct span reason = cli_shown(cli, r->reason);

	printf("%-32.*s %8" PRIu64, SPAN_ARG(name.n > 0 ? name :
	    SPAN("local")), r->messages);
	for (size_t i = 0; i < AGES; i++)
		printf(" %6" PRIu64, ages[i]);
	printf(" %6" PRIu64 " %4u/%u\n", r->held, r->busy, r->window);
	if (r->retry_at != 0)
		printf("    down; tried again %s: %.*s\n",
		    cli_time(r->retry_at), SPAN_ARG(reason));
}

static json_t *
show_table_row(const struct cli *cli, const struct queue_table_row *r)
{
	struct cursor c = { .rest = r->ages };
	json_t *json_ages = json_object();
	uint64_t ages[AGES];

	for (size_t i = 0; i < AGES; i++) {
		ages[i] = get_u64(&c);
		json_object_set_new(json_ages, columns[i],
		    json_integer((json_int_t)ages[i]));
	}
	if (!cli->json)
		print_table_row(cli, r, ages);
	return json_pack("{s:o, s:I, s:o, s:I, s:I, s:I, s:o, s:o}",
	    "destination", r->destination.n > 0 ? cli_json(r->destination) :
	    json_string("local"), "messages", (json_int_t)r->messages,
	    "minutes", json_ages, "held", (json_int_t)r->held, "sending",
	    (json_int_t)r->busy, "window", (json_int_t)r->window,
	    "down_until", cli_json_time(r->retry_at), "reason",
	    cli_json(r->reason));
}

int
cli_queue_table(struct cli *cli)
{
	struct queue_table_request request = { 0 };
	struct queue_table_reply reply;
	struct queue_table_row row;
	struct cursor rows;
	json_t *all;
	int status = cli_open(cli);

	if (status != EX_OK)
		return status;
	if (call_queue_table(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, "queue");
	rows = (struct cursor){ .rest = reply.rows.bytes };
	all = json_array();
	if (status == EX_OK && !cli->json) {
		printf("%-32s %8s", "destination", "messages");
		for (size_t i = 0; i < AGES; i++)
			printf(" %6s", columns[i]);
		printf(" %6s %s\n", "held", "sending");
	}
	while (status == EX_OK && queue_table_row_get(&rows, &row) == 1)
		json_array_append_new(all, show_table_row(cli, &row));
	blob_release(&reply.rows);
	cli_print_json(cli, all);
	return status;
}

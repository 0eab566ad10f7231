/*
 * cli_mask.c - masked addresses, and addresses that are suppressed.
 */
#include <stdio.h>

#include "cli/cli_impl.h"

/* ---- masks ------------------------------------------------------------- */

int
cli_mask_add(struct cli *cli)
{
	struct mask_add_request request = {
		.note = span_str(cli->note != NULL ? cli->note : "") };
	struct mask_add_reply reply;
	struct account_mail m;
	int status = cli_open(cli);

	if (status == EX_OK)
		status = mail_open(&m, cli, cli->words[0]);
	if (status != EX_OK)
		return status;
	request.grant = m.grant;
	if (call_mask_add(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, cli->words[0]);
	if (status != EX_OK)
		return status;
	if (!cli->json)
		printf("%.*s\n", SPAN_ARG(reply.address));
	cli_print_json(cli, json_pack("{s:o}", "address",
	    cli_json(reply.address)));
	return EX_OK;
}

static json_t *
show_mask(const struct cli *cli, const struct mask_row *row)
{
	struct span note = cli_shown(cli, row->note);

	if (!cli->json)
		printf("%-40.*s %-6s %6" PRIu64 " messages, last %s  %.*s\n",
		    SPAN_ARG(row->address), row->active ? "active" : "killed",
		    row->messages, cli_time(row->last_used), SPAN_ARG(note));
	return json_pack("{s:o, s:o, s:b, s:I, s:o, s:o}", "address",
	    cli_json(row->address), "note", cli_json(row->note), "active",
	    (int)row->active, "messages", (json_int_t)row->messages,
	    "last_used", cli_json_time(row->last_used), "created",
	    cli_json_time(row->created));
}

static int
mask_page(struct cli *cli, const struct grant *grant, struct text *after,
    json_t *all, int *status)
{
	struct mask_list_request request = { .grant = *grant,
	    .after = text_span(after) };
	struct mask_list_reply reply;
	struct mask_row row;
	struct cursor rows;

	if (call_mask_list(cli->store, cli->arena, &request, &reply) != 1) {
		*status = cli_no_answer();
		return 0;
	}
	*status = cli_result(reply.result, cli->words[0]);
	rows = (struct cursor){ .rest = reply.rows.bytes };
	while (*status == EX_OK && mask_row_get(&rows, &row) == 1) {
		json_array_append_new(all, show_mask(cli, &row));
		text_clear(after);
		text_add(after, row.address);
	}
	blob_release(&reply.rows);
	return *status == EX_OK && reply.more && !rows.bad;
}

int
cli_mask_list(struct cli *cli)
{
	struct text after = TEXT_INIT(512);
	json_t *all = json_array();
	struct account_mail m;
	int status = cli_open(cli);

	if (status == EX_OK)
		status = mail_open(&m, cli, cli->words[0]);
	if (status == EX_OK)
		while (mask_page(cli, &m.grant, &after, all, &status) == 1)
			arena_reset(cli->arena);
	text_free(&after);
	return cli_print_rows(cli, status, all);
}

/* The grant of whoever the mask belongs to. */
static int
set_mask(struct cli *cli, bool active)
{
	struct mask_set_request request = {
		.address = span_str(cli->words[0]), .active = active };
	struct account_mail m;
	int status = cli_open(cli);

	if (status == EX_OK)
		status = mail_open(&m, cli, cli->words[0]);
	if (status != EX_OK)
		return status;
	request.grant = m.grant;
	status = CLI_SIMPLE(cli, mask_set, &request, cli->words[0]);
	return cli_did(cli, status, active ? "revived" : "killed",
	    cli->words[0]);
}

int
cli_mask_kill(struct cli *cli)
{
	return set_mask(cli, false);
}

int
cli_mask_revive(struct cli *cli)
{
	return set_mask(cli, true);
}

/* ---- suppression ------------------------------------------------------- */

static int
set_suppressed(struct cli *cli, bool on)
{
	struct suppressed_set_request request = {
		.address = span_str(cli->words[0]), .on = on,
		.reason = span_str(cli->reason != NULL ? cli->reason :
		    "by the operator") };
	int status = cli_open(cli);

	if (status == EX_OK)
		status = CLI_SIMPLE(cli, suppressed_set, &request,
		    cli->words[0]);
	return cli_did(cli, status, on ? "suppressed" : "lifted",
	    cli->words[0]);
}

int
cli_suppress_add(struct cli *cli)
{
	return set_suppressed(cli, true);
}

int
cli_suppress_remove(struct cli *cli)
{
	return set_suppressed(cli, false);
}

static json_t *
show_suppressed(const struct cli *cli, const struct suppressed_row *row)
{
	struct span address = cli_shown(cli, row->address);
	struct span reason = cli_shown(cli, row->reason);

	if (!cli->json)
		printf("%-40.*s since %s until %s  %.*s\n", SPAN_ARG(address),
		    cli_time(row->since), row->until == 0 ? "it is lifted" :
		    cli_time(row->until), SPAN_ARG(reason));
	return json_pack("{s:o, s:o, s:o, s:o}", "address",
	    cli_json(row->address), "reason", cli_json(row->reason),
	    "since", cli_json_time(row->since), "until",
	    cli_json_time(row->until));
}

static int
suppressed_page(struct cli *cli, struct text *after, json_t *all,
    int *status)
{
	struct suppressed_list_request request = {
		.after = text_span(after) };
	struct suppressed_list_reply reply;
	struct suppressed_row row;
	struct cursor rows;

	if (call_suppressed_list(cli->store, cli->arena, &request,
	    &reply) != 1) {
		*status = cli_no_answer();
		return 0;
	}
	*status = cli_result(reply.result, "list");
	rows = (struct cursor){ .rest = reply.rows.bytes };
	while (*status == EX_OK && suppressed_row_get(&rows, &row) == 1) {
		json_array_append_new(all, show_suppressed(cli, &row));
		text_clear(after);
		text_add(after, row.address);
	}
	blob_release(&reply.rows);
	return *status == EX_OK && reply.more && !rows.bad;
}

int
cli_suppress_list(struct cli *cli)
{
	struct text after = TEXT_INIT(512);
	json_t *all = json_array();
	int status = cli_open(cli);

	if (status == EX_OK)
		while (suppressed_page(cli, &after, all, &status) == 1)
			arena_reset(cli->arena);
	text_free(&after);
	return cli_print_rows(cli, status, all);
}

/*
 * cli_acl.c - shared accounts, and who may do what with a mailbox.
 */
#include <stdio.h>

#include "cli/cli_impl.h"
#include "ipc/rights.h"

/* ---- shared accounts --------------------------------------------------- */

int
cli_shared_add(struct cli *cli)
{
	struct shared_add_request request = {
		.address = span_str(cli->words[0]) };
	int status = cli_open(cli);

	if (status == EX_OK)
		status = CLI_SIMPLE(cli, shared_add, &request, cli->words[0]);
	return cli_did(cli, status, "added", cli->words[0]);
}

struct search {
	struct span address;
	bool found;
};

static void
compare(void *arg, const struct directory_row *row)
{
	struct search *search = arg;

	search->found |= span_eq_nocase(row->name, search->address);
}

/* An account of a person is not removed by a slip of the tongue. */
int
cli_shared_remove(struct cli *cli)
{
	struct search search = { .address = span_str(cli->words[0]) };
	struct account_remove_request request = { .address = search.address };
	int status = cli_open(cli);

	if (status == EX_OK)
		status = cli_directory_rows(cli, DIRECTORY_SHARED, "",
		    compare, &search);
	if (status == EX_OK && !search.found)
		status = cli_result(RESULT_NOT_FOUND, cli->words[0]);
	if (status == EX_OK)
		status = CLI_SIMPLE(cli, account_remove, &request,
		    cli->words[0]);
	return cli_did(cli, status, "removed", cli->words[0]);
}

struct shared_list {
	const struct cli *cli;
	json_t *all;
};

static void
show_shared(void *arg, const struct directory_row *row)
{
	struct shared_list *list = arg;

	if (!list->cli->json)
		printf("%-40.*s %8" PRIu64 " messages %10s  since %s\n",
		    SPAN_ARG(row->name), row->messages,
		    cli_bytes(row->bytes), cli_time(row->created));
	json_array_append_new(list->all, json_pack("{s:o, s:I, s:I, s:o}",
	    "address", cli_json(row->name), "messages",
	    (json_int_t)row->messages, "bytes", (json_int_t)row->bytes,
	    "created", cli_json_time(row->created)));
}

int
cli_shared_list(struct cli *cli)
{
	struct shared_list list = { cli, json_array() };
	int status = cli_open(cli);

	if (status == EX_OK)
		status = cli_directory_rows(cli, DIRECTORY_SHARED,
		    cli->count > 0 ? cli->words[0] : "", show_shared, &list);
	return cli_print_rows(cli, status, list.all);
}

/* ---- rights ------------------------------------------------------------ */

static struct span
letters(struct cli *cli, uint32_t rights)
{
	struct text t = TEXT_INIT(0);
	struct span out;

	rights_put(&t, rights, false);
	out = arena_dup(cli->arena, text_span(&t));
	text_free(&t);
	return out;
}

static void
show_entry(struct cli *cli, struct span mailbox, const struct acl_row *row,
    json_t *all)
{
	struct span rights = letters(cli, row->rights);

	if (!cli->json)
		printf("%-24.*s %-40.*s %.*s\n",
		    SPAN_ARG(cli_shown(cli, mailbox)),
		    SPAN_ARG(cli_shown(cli, row->identifier)),
		    SPAN_ARG(rights));
	json_array_append_new(all, json_pack("{s:o, s:o, s:o}", "mailbox",
	    cli_json(mailbox), "identifier", cli_json(row->identifier),
	    "rights", cli_json(rights)));
}

static int
show_mailbox(struct cli *cli, const struct grant *grant, struct span mailbox,
    json_t *all)
{
	struct acl_get_request request = { .grant = *grant,
	    .mailbox = mailbox };
	struct acl_get_reply reply;
	struct acl_row row;
	struct cursor rows;
	int status;

	if (call_acl_get(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, arena_cstr(cli->arena, mailbox));
	rows = (struct cursor){ .rest = reply.rows.bytes };
	while (status == EX_OK && acl_row_get(&rows, &row) == 1)
		show_entry(cli, mailbox, &row, all);
	blob_release(&reply.rows);
	return status;
}

/* Every mailbox that is the account's own. */
static int
show_all(struct cli *cli, const struct grant *grant, json_t *all)
{
	struct mailbox_list_request request = { .grant = *grant };
	struct mailbox_list_reply reply;
	struct mailbox_row row;
	struct cursor rows;
	int status;

	if (call_mailbox_list(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, cli->words[0]);
	rows = (struct cursor){ .rest = reply.rows.bytes };
	while (status == EX_OK && mailbox_row_get(&rows, &row) == 1)
		if (row.mailbox != 0 && row.place == PLACE_OWN)
			status = show_mailbox(cli, grant, row.name, all);
	blob_release(&reply.rows);
	return status;
}

int
cli_acl(struct cli *cli)
{
	json_t *all = json_array();
	struct account_mail m;
	int status = cli_open(cli);

	if (status == EX_OK)
		status = mail_open(&m, cli, cli->words[0]);
	if (status == EX_OK && cli->count > 1)
		status = show_mailbox(cli, &m.grant,
		    span_str(cli->words[1]), all);
	else if (status == EX_OK)
		status = show_all(cli, &m.grant, all);
	return cli_print_rows(cli, status, all);
}

/* "lrs", "+w", "-t" */
static int
take_rights(const char *word, struct acl_set_request *request)
{
	struct span given = span_str(word);

	request->mode = STORE_SET;
	if (span_starts(given, SPAN("+")))
		request->mode = STORE_ADD;
	else if (span_starts(given, SPAN("-")))
		request->mode = STORE_REMOVE;
	if (request->mode != STORE_SET)
		given = span_from(given, 1);
	if (given.n > 0 && rights_get(given, &request->rights) == 1)
		return EX_OK;
	return cli_say(EX_USAGE, "%s: rights are letters of lrswipkxtea",
	    word);
}

static int
change(struct cli *cli, struct acl_set_request *request, const char *did)
{
	struct account_mail m;
	int status = cli_open(cli);

	if (status == EX_OK)
		status = mail_open(&m, cli, cli->words[0]);
	if (status != EX_OK)
		return status;
	request->grant = m.grant;
	request->mailbox = span_str(cli->words[1]);
	request->identifier = span_str(cli->words[2]);
	status = CLI_SIMPLE(cli, acl_set, request, cli->words[1]);
	return cli_did(cli, status, did, cli->words[1]);
}

int
cli_acl_set(struct cli *cli)
{
	struct acl_set_request request = { .mode = STORE_SET };
	int status = take_rights(cli->words[3], &request);

	return status == EX_OK ? change(cli, &request, "changed") : status;
}

int
cli_acl_remove(struct cli *cli)
{
	struct acl_set_request request = { .mode = STORE_SET };

	return change(cli, &request, "removed");
}

/*
 * cli_login.c - app passwords, second factors, accounts that have moved.
 */
#include <stdio.h>

#include "base/secret.h"
#include "cli/cli_impl.h"

static const struct {
	const char *name;
	uint32_t bit;
} protocols[] = {
	{ "imap", APP_IMAP }, { "pop3", APP_POP3 }, { "smtp", APP_SMTP },
};

/* ---- app passwords ------------------------------------------------------- */

/* "imap,smtp"; 0: a word of it is none. */
static uint32_t
read_protocols(const char *list)
{
	struct span rest = span_str(list), word;
	uint32_t all = 0, bit;

	while (rest.n > 0) {
		rest = span_cut(rest, ',', &word);
		bit = 0;
		for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
			if (span_is(span_trim(word), protocols[i].name))
				bit = protocols[i].bit;
		if (bit == 0)
			return 0;
		all |= bit;
	}
	return all;
}

static int
add_app(struct cli *cli)
{
	struct app_password_add_request request = {
		.address = span_str(cli->words[1]),
		.name = span_str(cli->note != NULL ? cli->note : ""),
		.protocols = cli->protocols == NULL ? APP_ALL :
		    read_protocols(cli->protocols),
	};
	struct app_password_add_reply reply;
	int status;

	if (request.protocols == 0)
		return cli_say(EX_USAGE, "--for: imap, pop3, smtp");
	if (call_app_password_add(cli->store, cli->arena, &request,
	    &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, cli->words[1]);
	if (status != EX_OK)
		return status;
	if (!cli->json)
		printf("%.*s\n", SPAN_ARG(reply.password));
	cli_print_json(cli, json_pack("{s:I, s:o}", "id",
	    (json_int_t)reply.id, "password", cli_json(reply.password)));
	return EX_OK;
}

static json_t *
show_app(const struct cli *cli, const struct app_password_row *row)
{
	struct span name = cli_shown(cli, row->name);
	json_t *words = json_array();

	if (!cli->json)
		printf("%-6" PRIu64, row->id);
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if ((row->protocols & protocols[i].bit) != 0) {
			json_array_append_new(words,
			    json_string(protocols[i].name));
			if (!cli->json)
				printf(" %s", protocols[i].name);
		}
	if (!cli->json)
		printf("  last used %s", cli_time(row->last_used));
	if (!cli->json && row->last_used != 0)
		printf(" (%.*s, %.*s)", SPAN_ARG(row->last_protocol),
		    SPAN_ARG(row->last_peer));
	if (!cli->json)
		printf("  %.*s\n", SPAN_ARG(name));
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
	    (json_int_t)row->id, "note", cli_json(row->name), "for", words,
	    "created", cli_json_time(row->created), "last_used",
	    cli_json_time(row->last_used), "last_protocol",
	    cli_json(row->last_protocol), "last_peer",
	    cli_json(row->last_peer));
}

static int
list_apps(struct cli *cli)
{
	struct app_password_list_request request = {
		.address = span_str(cli->words[1]) };
	struct app_password_list_reply reply;
	struct app_password_row row;
	json_t *all = json_array();
	struct cursor rows;
	int status;

	if (call_app_password_list(cli->store, cli->arena, &request,
	    &reply) != 1)
		return cli_print_rows(cli, cli_no_answer(), all);
	status = cli_result(reply.result, cli->words[1]);
	rows = (struct cursor){ .rest = reply.rows.bytes };
	while (status == EX_OK && app_password_row_get(&rows, &row) == 1)
		json_array_append_new(all, show_app(cli, &row));
	blob_release(&reply.rows);
	return cli_print_rows(cli, status, all);
}

static int
revoke_app(struct cli *cli)
{
	struct app_password_revoke_request request = {
		.address = span_str(cli->words[1]) };
	int status;

	if (cli->count < 3 || span_u64(span_str(cli->words[2]),
	    &request.id) != 1)
		return cli_say(EX_USAGE, "give the password's number, as "
		    "`account app-password list` shows it");
	status = CLI_SIMPLE(cli, app_password_revoke, &request,
	    cli->words[2]);
	return cli_did(cli, status, "revoked", cli->words[2]);
}

/* The first word says which of them. */
struct action {
	const char *name;
	cli_command *run;
};

static int
act(struct cli *cli, const struct action *actions, size_t count)
{
	int status;

	for (size_t i = 0; i < count; i++) {
		if (strcmp(cli->words[0], actions[i].name) != 0)
			continue;
		status = cli_open(cli);
		return status == EX_OK ? actions[i].run(cli) : status;
	}
	return cli_say(EX_USAGE, "%s: there is no such action",
	    cli->words[0]);
}

int
cli_app_password(struct cli *cli)
{
	static const struct action actions[] = {
		{ "add", add_app }, { "list", list_apps },
		{ "revoke", revoke_app },
	};

	return act(cli, actions, ARRAY_LEN(actions));
}

/* ---- second factors ------------------------------------------------------ */

static int
factor_on(struct cli *cli)
{
	struct second_factor_request request = {
		.address = span_str(cli->words[1]),
		.action = SECOND_FACTOR_ON };
	struct second_factor_reply reply;
	int status;

	if (call_second_factor(cli->store, cli->arena, &request,
	    &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, cli->words[1]);
	if (status != EX_OK)
		return status;
	if (!cli->json)
		printf("%.*s\n", SPAN_ARG(reply.url));
	cli_print_json(cli, json_pack("{s:o}", "url", cli_json(reply.url)));
	return EX_OK;
}

static int
factor_off(struct cli *cli)
{
	struct second_factor_request request = {
		.address = span_str(cli->words[1]),
		.action = SECOND_FACTOR_OFF };

	return cli_did(cli, CLI_SIMPLE(cli, second_factor, &request,
	    cli->words[1]), "off", cli->words[1]);
}

static int
factor_verify(struct cli *cli)
{
	struct second_factor_request request = {
		.address = span_str(cli->words[1]),
		.action = SECOND_FACTOR_VERIFY };

	if (cli->count < 3)
		return cli_say(EX_USAGE, "give the code");
	request.code = span_str(cli->words[2]);
	return cli_did(cli, CLI_SIMPLE(cli, second_factor, &request,
	    cli->words[1]), "verified", cli->words[1]);
}

int
cli_second_factor(struct cli *cli)
{
	static const struct action actions[] = {
		{ "on", factor_on }, { "off", factor_off },
		{ "verify", factor_verify },
	};

	return act(cli, actions, ARRAY_LEN(actions));
}

/* ---- referrals ----------------------------------------------------------- */

int
cli_account_referral(struct cli *cli)
{
	struct account_referral_request request = {
		.address = span_str(cli->words[0]),
		.url = span_str(cli->count > 1 ? cli->words[1] : "") };
	int status = cli_open(cli);

	if (status == EX_OK)
		status = CLI_SIMPLE(cli, account_referral, &request,
		    cli->words[0]);
	return cli_did(cli, status, cli->count > 1 ? "moved" : "here",
	    cli->words[0]);
}

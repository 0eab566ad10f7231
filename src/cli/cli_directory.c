/*
 * cli_directory.c - domains, accounts, aliases.
 */
#include <fcntl.h>
#include <stdio.h>

#include "base/secret.h"
#include "cli/cli_impl.h"

/* ---- lists ------------------------------------------------------------- */

/* A page of the list; *after becomes the last name. 1 there are more. */
static int
list_page(struct cli *cli, uint32_t kind, const char *domain,
    struct text *after, void (*fn)(void *, const struct directory_row *),
    void *arg, int *status)
{
	struct directory_list_request request = { .kind = kind,
	    .after = text_span(after), .domain = span_str(domain) };
	struct directory_list_reply reply;
	struct directory_row row;
	struct cursor rows;

	if (call_directory_list(cli->store, cli->arena, &request,
	    &reply) != 1) {
		*status = cli_no_answer();
		return 0;
	}
	*status = cli_result(reply.result, "list");
	rows = (struct cursor){ .rest = reply.rows.bytes };
	while (*status == EX_OK && directory_row_get(&rows, &row) == 1) {
		fn(arg, &row);
		text_clear(after);
		text_add(after, row.name);
	}
	blob_release(&reply.rows);
	return *status == EX_OK && reply.more && !rows.bad;
}

int
cli_directory_rows(struct cli *cli, uint32_t kind, const char *domain,
    void (*fn)(void *, const struct directory_row *), void *arg)
{
	struct text after = TEXT_INIT(4096);
	int status = EX_OK;

	while (list_page(cli, kind, domain, &after, fn, arg, &status) == 1)
		arena_reset(cli->arena);
	text_free(&after);
	return status;
}

typedef json_t *row_fn(const struct cli *, const struct directory_row *);

static json_t *
show_domain(const struct cli *cli, const struct directory_row *row)
{
	if (!cli->json)
		printf("%.*s\n", SPAN_ARG(row->name));
	return json_pack("{s:o, s:o}", "domain", cli_json(row->name),
	    "created", cli_json_time(row->created));
}

static json_t *
show_targets(const struct cli *cli, const struct directory_row *row,
    const char *mark)
{
	json_t *targets = json_array();
	struct span rest = row->targets, line;

	while (rest.n > 0) {
		rest = span_cut(rest, '\n', &line);
		if (line.n == 0)
			continue;
		json_array_append_new(targets, cli_json(line));
		if (!cli->json)
			printf("%.*s %s %.*s\n", SPAN_ARG(row->name), mark,
			    SPAN_ARG(line));
	}
	return targets;
}

static json_t *
json_limit(uint64_t limit)
{
	return limit < INT64_MAX ? json_integer((json_int_t)limit)
	    : json_null();
}

static json_t *
show_account(const struct cli *cli, const struct directory_row *row)
{
	json_t *targets;

	if (!cli->json)
		printf("%-40.*s %8" PRIu64 " messages %10s  sent today %"
		    PRIu64 "  since %s\n", SPAN_ARG(row->name),
		    row->messages, cli_bytes(row->bytes), row->sent_messages,
		    cli_time(row->created));
	targets = show_targets(cli, row, (row->flags & 1) != 0 ?
	    "  keeps, and sends on to" : "  sends on to");
	return json_pack("{s:o, s:I, s:I, s:o, s:I, s:I, s:o, s:o, s:o, s:b}",
	    "address", cli_json(row->name), "messages",
	    (json_int_t)row->messages, "bytes", (json_int_t)row->bytes,
	    "created", cli_json_time(row->created), "sent_messages",
	    (json_int_t)row->sent_messages, "sent_recipients",
	    (json_int_t)row->sent_recipients, "max_messages",
	    json_limit(row->max_messages), "max_recipients",
	    json_limit(row->max_recipients), "forward", targets, "keeps",
	    row->targets.n == 0 || (row->flags & 1) != 0);
}

static json_t *
show_alias(const struct cli *cli, const struct directory_row *row)
{
	return json_pack("{s:o, s:o}", "address", cli_json(row->name),
	    "targets", show_targets(cli, row, "->"));
}

struct shown {
	struct cli *cli;
	row_fn *show;
	json_t *all;
};

static void
show_row(void *arg, const struct directory_row *row)
{
	struct shown *s = arg;

	json_array_append_new(s->all, s->show(s->cli, row));
}

static int
list(struct cli *cli, uint32_t kind, row_fn *show)
{
	struct shown s = { cli, show, json_array() };
	int status = cli_open(cli);

	if (status == EX_OK)
		status = cli_directory_rows(cli, kind, cli->count > 0 ?
		    cli->words[0] : "", show_row, &s);
	return cli_print_rows(cli, status, s.all);
}

int
cli_domain_list(struct cli *cli)
{
	return list(cli, DIRECTORY_DOMAINS, show_domain);
}

int
cli_account_list(struct cli *cli)
{
	return list(cli, DIRECTORY_ACCOUNTS, show_account);
}

int
cli_alias_list(struct cli *cli)
{
	return list(cli, DIRECTORY_ALIASES, show_alias);
}

/* ---- domains ----------------------------------------------------------- */

int
cli_domain_add(struct cli *cli)
{
	struct domain_add_request request = {
		.domain = span_str(cli->words[0]) };
	struct span domain;
	int status = cli_open(cli);

	if (status == EX_OK)
		status = CLI_SIMPLE(cli, domain_add, &request, cli->words[0]);
	if (status == EX_OK)
		status = cli_domain_word(cli, cli->words[0], &domain);
	if (status == EX_OK)
		status = cli_dkim_begin(cli, domain);
	return cli_did(cli, status, "added", cli->words[0]);
}

int
cli_domain_remove(struct cli *cli)
{
	struct domain_remove_request request = {
		.domain = span_str(cli->words[0]) };
	struct span domain;
	int status = cli_open(cli);

	if (status == EX_OK)
		status = CLI_SIMPLE(cli, domain_remove, &request,
		    cli->words[0]);
	if (status == EX_OK)
		status = cli_domain_word(cli, cli->words[0], &domain);
	if (status == EX_OK)
		status = cli_dkim_end(cli, domain);
	return cli_did(cli, status, "removed", cli->words[0]);
}

/* ---- accounts ---------------------------------------------------------- */

static int
add_account(struct cli *cli, const char *address, struct span password)
{
	struct account_add_request request = {
		.address = span_str(address), .password = password };

	return CLI_SIMPLE(cli, account_add, &request, address);
}

/*
 * One field of RFC 4180: plain, or in quotes with "" for a quote. 1 and the
 * field; 0 broken. *rest moves behind the comma or the line's end.
 */
static int
csv_field(struct span *rest, struct text *out)
{
	struct span s = *rest;
	size_t i = 0;

	text_clear(out);
	if (s.n > 0 && s.p[0] == '"') {
		for (i = 1; i < s.n; i++) {
			if (s.p[i] == '"' && (i + 1 == s.n ||
			    s.p[i + 1] != '"'))
				break;
			i += s.p[i] == '"';
			text_char(out, s.p[i]);
		}
		if (i++ >= s.n)
			return 0;
	} else
		for (; i < s.n && !strchr(",\r\n", s.p[i]); i++)
			text_char(out, s.p[i]);
	if (i < s.n && s.p[i] == ',')
		i++;
	else if (i < s.n && s.p[i] != '\r' && s.p[i] != '\n')
		return 0;
	*rest = span_from(s, i);
	return 1;
}

static struct span
csv_line_end(struct span rest)
{
	while (rest.n > 0 && (rest.p[0] == '\r' || rest.p[0] == '\n'))
		rest = span_from(rest, 1);
	return rest;
}

static int
add_csv_rows(struct cli *cli, struct span all, struct progress *progress,
    unsigned *added)
{
	struct text address = TEXT_INIT(512), password = TEXT_INIT(1024);
	struct span rest = csv_line_end(all);
	unsigned line = 0;
	int status = EX_OK;

	while (rest.n > 0 && status == EX_OK) {
		line++;
		if (csv_field(&rest, &address) != 1 ||
		    csv_field(&rest, &password) != 1 || address.n == 0 ||
		    password.n == 0 || text_full(&address) ||
		    text_full(&password) || (rest.n > 0 && rest.p[0] != '\r' &&
		    rest.p[0] != '\n')) {
			status = cli_say(EX_DATAERR, "%s: row %u is not "
			    "address,password", cli->csv, line);
			break;
		}
		text_char(&address, '\0');
		status = add_account(cli, address.p, text_span(&password));
		*added += status == EX_OK;
		rest = csv_line_end(rest);
		progress_set(progress, all.n - rest.n);
		arena_reset(cli->arena);
	}
	text_wipe(&password);
	text_free(&address);
	return status;
}

static int
add_from_csv(struct cli *cli)
{
	struct text all = TEXT_INIT(0);
	struct progress progress;
	unsigned added = 0;
	int status = cli_open(cli);

	if (status != EX_OK)
		return status;
	if (file_read(AT_FDCWD, cli->csv, (size_t)1 << 30, &all) != 1) {
		text_wipe(&all);
		return cli_say(EX_NOINPUT, "%s: %s", cli->csv,
		    strerror(errno));
	}
	progress_begin(&progress, cli, "adding", all.n);
	status = add_csv_rows(cli, text_span(&all), &progress, &added);
	progress_end(&progress);
	text_wipe(&all);
	cli_print_json(cli, json_pack("{s:i}", "added", (int)added));
	if (!cli->json)
		printf("%u accounts added\n", added);
	return status;
}

int
cli_account_add(struct cli *cli)
{
	struct text password;
	int status;

	if ((cli->csv != NULL) == (cli->count > 0))
		return cli_say(EX_USAGE, "give an address, or --csv FILE");
	if (cli->csv != NULL)
		return add_from_csv(cli);
	status = cli_open(cli);
	if (status != EX_OK)
		return status;
	status = cli_password(cli, &password);
	if (status == EX_OK)
		status = add_account(cli, cli->words[0], text_span(&password));
	text_wipe(&password);
	return cli_did(cli, status, "added", cli->words[0]);
}

int
cli_account_remove(struct cli *cli)
{
	struct account_remove_request request = {
		.address = span_str(cli->words[0]) };
	int status = cli_open(cli);

	if (status == EX_OK)
		status = CLI_SIMPLE(cli, account_remove, &request,
		    cli->words[0]);
	return cli_did(cli, status, "removed", cli->words[0]);
}

int
cli_account_password(struct cli *cli)
{
	struct account_password_request request = {
		.address = span_str(cli->words[0]) };
	struct text password;
	int status = cli_open(cli);

	if (status != EX_OK)
		return status;
	status = cli_password(cli, &password);
	request.password = text_span(&password);
	if (status == EX_OK)
		status = CLI_SIMPLE(cli, account_password, &request,
		    cli->words[0]);
	text_wipe(&password);
	return cli_did(cli, status, "new password", cli->words[0]);
}

/* ---- aliases ----------------------------------------------------------- */

int
cli_alias_add(struct cli *cli)
{
	struct text targets = TEXT_INIT(65536);
	struct alias_add_request request = {
		.address = span_str(cli->words[0]) };
	struct alias_add_reply reply;
	int status = cli_open(cli);

	cli_lines(cli, 1, &targets);
	request.targets = text_span(&targets);
	if (status == EX_OK && call_alias_add(cli->store, cli->arena,
	    &request, &reply) != 1)
		status = cli_no_answer();
	else if (status == EX_OK)
		status = cli_target_result(cli, reply.result,
		    reply.bad_target, cli->words[0]);
	text_free(&targets);
	return cli_did(cli, status, "added", cli->words[0]);
}

int
cli_alias_remove(struct cli *cli)
{
	struct alias_remove_request request = {
		.address = span_str(cli->words[0]) };
	int status = cli_open(cli);

	if (status == EX_OK)
		status = CLI_SIMPLE(cli, alias_remove, &request, cli->words[0]);
	return cli_did(cli, status, "removed", cli->words[0]);
}

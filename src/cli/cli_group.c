/*
 * cli_group.c - groups; where an account's mail goes on to, and how much it
 * may send.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli_impl.h"

enum {
	MEMBERS_MAX = 65536,
};
#define LIMIT_DEFAULT	UINT64_MAX	/* see account_limit in the contract */
#define LIMIT_NONE	(UINT64_MAX - 1)
#define LIMIT_SAME	(UINT64_MAX - 2)

/* ---- an account's ------------------------------------------------------ */

int
cli_account_forward(struct cli *cli)
{
	struct text targets = TEXT_INIT(MEMBERS_MAX);
	struct account_forward_request request = {
		.address = span_str(cli->words[0]), .keep = cli->keep };
	struct account_forward_reply reply;
	int status;

	if (cli->keep && cli->count == 1)
		return cli_say(EX_USAGE, "--keep needs a target");
	status = cli_open(cli);
	cli_lines(cli, 1, &targets);
	request.targets = text_span(&targets);
	if (status == EX_OK && call_account_forward(cli->store, cli->arena,
	    &request, &reply) != 1)
		status = cli_no_answer();
	else if (status == EX_OK)
		status = cli_target_result(cli, reply.result,
		    reply.bad_target, cli->words[0]);
	text_free(&targets);
	return cli_did(cli, status, cli->count == 1 ? "stays here"
	    : cli->keep ? "kept and sent on" : "sent on", cli->words[0]);
}

/* A number, "none" (may be sent), "any", "default"; NULL leaves it. */
static bool
read_limit(const char *text, uint64_t *out)
{
	*out = LIMIT_SAME;
	if (text == NULL)
		return true;
	if (strcmp(text, "default") == 0)
		*out = LIMIT_DEFAULT;
	else if (strcmp(text, "any") == 0)
		*out = LIMIT_NONE;
	else if (strcmp(text, "none") == 0)
		*out = 0;
	else
		return span_u64(span_str(text), out) == 1 &&
		    *out < LIMIT_SAME;
	return true;
}

struct limits_of {
	struct cli *cli;
	bool found;
};

static const char *
limit_text(uint64_t limit)
{
	static char texts[2][32];
	static unsigned turn;
	char *out = texts[turn++ % 2];

	if (limit >= LIMIT_SAME)
		return "any number";
	snprintf(out, sizeof(texts[0]), "%" PRIu64, limit);
	return out;
}

static json_t *
limit_json(uint64_t limit)
{
	return limit >= INT64_MAX ? json_null()
	    : json_integer((json_int_t)limit);
}

static void
show_limits(void *arg, const struct directory_row *row)
{
	struct limits_of *l = arg;

	if (!span_is_nocase(row->name, l->cli->words[0]))
		return;
	l->found = true;
	if (!l->cli->json)
		printf("%.*s: in the last 24 hours %" PRIu64 " messages of "
		    "%s, %" PRIu64 " recipients outside of %s\n",
		    SPAN_ARG(row->name), row->sent_messages,
		    limit_text(row->max_messages), row->sent_recipients,
		    limit_text(row->max_recipients));
	cli_print_json(l->cli, json_pack("{s:o, s:I, s:o, s:I, s:o}",
	    "address", cli_json(row->name), "sent_messages",
	    (json_int_t)row->sent_messages, "max_messages",
	    limit_json(row->max_messages), "sent_recipients",
	    (json_int_t)row->sent_recipients, "max_recipients",
	    limit_json(row->max_recipients)));
}

static const char *
domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at == NULL ? "" : at + 1;
}

int
cli_account_limit(struct cli *cli)
{
	struct account_limit_request request = {
		.address = span_str(cli->words[0]) };
	struct limits_of l = { cli, false };
	int status;

	if (!read_limit(cli->messages, &request.messages) ||
	    !read_limit(cli->recipients, &request.recipients))
		return cli_say(EX_USAGE, "a limit is a number, none, any or "
		    "default");
	status = cli_open(cli);
	if (status == EX_OK && (cli->messages != NULL ||
	    cli->recipients != NULL))
		status = CLI_SIMPLE(cli, account_limit, &request,
		    cli->words[0]);
	if (status == EX_OK)
		status = cli_directory_rows(cli, DIRECTORY_ACCOUNTS,
		    domain_of(cli->words[0]), show_limits, &l);
	if (status == EX_OK && !l.found)
		status = cli_result(RESULT_NOT_FOUND, cli->words[0]);
	return status;
}

/* ---- groups ------------------------------------------------------------ */

static const char *const who_names[GROUP_WHOS] = {
	[GROUP_ANYONE] = "anyone",
	[GROUP_ACCOUNTS] = "accounts",
	[GROUP_MEMBERS] = "members",
};

static bool
read_who(const char *text, uint32_t *out)
{
	for (*out = 0; *out < GROUP_WHOS; (*out)++)
		if (strcmp(text, who_names[*out]) == 0)
			return true;
	return false;
}

static void
show_group(void *arg, const struct directory_row *row)
{
	struct cli *cli = *(struct cli **)arg;
	json_t *all = ((json_t **)arg)[1], *members = json_array();
	struct span rest = row->targets, line;
	const char *who = row->flags < GROUP_WHOS ? who_names[row->flags]
	    : "?";

	if (!cli->json)
		printf("%.*s (%s may write)\n", SPAN_ARG(row->name), who);
	while (rest.n > 0) {
		rest = span_cut(rest, '\n', &line);
		if (line.n == 0)
			continue;
		json_array_append_new(members, cli_json(line));
		if (!cli->json)
			printf("    %.*s\n", SPAN_ARG(line));
	}
	json_array_append_new(all, json_pack("{s:o, s:s, s:o}", "address",
	    cli_json(row->name), "who", who, "members", members));
}

int
cli_group_list(struct cli *cli)
{
	void *arg[] = { cli, json_array() };
	int status = cli_open(cli);

	if (status == EX_OK)
		status = cli_directory_rows(cli, DIRECTORY_GROUPS,
		    cli->count > 0 ? cli->words[0] : "", show_group, arg);
	return cli_print_rows(cli, status, arg[1]);
}

/* What is known of a group before it is changed. */
struct group {
	const char *address;
	struct text members;
	uint32_t who;
	bool found;
};

static void
note_group(void *arg, const struct directory_row *row)
{
	struct group *g = arg;

	if (!span_is_nocase(row->name, g->address))
		return;
	g->found = true;
	g->who = row->flags;
	text_add(&g->members, row->targets);
	text_char(&g->members, '\n');
}

static int
find_group(struct cli *cli, struct group *g)
{
	*g = (struct group){ .address = cli->words[0],
		.members = TEXT_INIT(2 * MEMBERS_MAX) };
	return cli_directory_rows(cli, DIRECTORY_GROUPS,
	    domain_of(cli->words[0]), note_group, g);
}

static int
set_group(struct cli *cli, const struct group *g, const char *did)
{
	struct group_set_request request = {
		.address = span_str(cli->words[0]),
		.members = BLOB_OF(text_span(&g->members)), .who = g->who };
	struct group_set_reply reply;
	int status;

	if (text_full(&g->members))
		return cli_say(EX_DATAERR, "%s: too many members",
		    cli->words[0]);
	if (call_group_set(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	status = cli_target_result(cli, reply.result, reply.bad_target,
	    cli->words[0]);
	return cli_did(cli, status, did != NULL ? did : reply.made
	    ? "made" : "changed", cli->words[0]);
}

static int
read_members(struct cli *cli, struct text *out)
{
	char piece[4096];
	size_t n;

	cli_lines(cli, 1, out);
	if (cli->members == NULL)
		return EX_OK;
	if (strcmp(cli->members, "-") != 0)
		return file_read(AT_FDCWD, cli->members, MEMBERS_MAX, out) == 1
		    ? EX_OK : cli_say(EX_NOINPUT, "%s: %s", cli->members,
		    strerror(errno));
	while ((n = fread(piece, 1, sizeof(piece), stdin)) > 0)
		text_add(out, span_of(piece, n));
	return ferror(stdin) ? cli_say(EX_IOERR, "standard input: %s",
	    strerror(errno)) : EX_OK;
}

int
cli_group_set(struct cli *cli)
{
	uint32_t who = GROUP_ANYONE;
	struct text members = TEXT_INIT(2 * MEMBERS_MAX);
	struct group g = { 0 };
	int status;

	if (cli->who != NULL && !read_who(cli->who, &who))
		return cli_say(EX_USAGE, "--who is anyone, accounts or "
		    "members");
	status = cli_open(cli);
	if (status == EX_OK)
		status = find_group(cli, &g);
	if (status == EX_OK)
		status = read_members(cli, &members);
	if (status == EX_OK && members.n > 0) {
		text_clear(&g.members);
		text_add(&g.members, text_span(&members));
	} else if (status == EX_OK && (!g.found || cli->members != NULL)) {
		status = cli_say(EX_USAGE, "%s: a group needs members",
		    cli->words[0]);
	}
	if (cli->who != NULL)
		g.who = who;
	if (status == EX_OK)
		status = set_group(cli, &g, NULL);
	text_free(&members);
	text_free(&g.members);
	return status;
}

static bool
is_listed(struct span lines, struct span line)
{
	struct span other;

	while (lines.n > 0) {
		lines = span_cut(lines, '\n', &other);
		if (other.n > 0 && span_eq_nocase(other, line))
			return true;
	}
	return false;
}

/* The members that are not in `without`. */
static void
take_out(struct group *g, struct span without)
{
	struct text left = TEXT_INIT(2 * MEMBERS_MAX);
	struct span rest = text_span(&g->members), line;

	while (rest.n > 0) {
		rest = span_cut(rest, '\n', &line);
		if (line.n == 0 || is_listed(without, line))
			continue;
		text_add(&left, line);
		text_char(&left, '\n');
	}
	text_free(&g->members);
	g->members = left;
}

static int
change_members(struct cli *cli, bool join)
{
	struct text changed = TEXT_INIT(MEMBERS_MAX);
	struct group g = { 0 };
	int status = cli_open(cli);

	if (status == EX_OK)
		status = find_group(cli, &g);
	if (status == EX_OK && !g.found)
		status = cli_result(RESULT_NOT_FOUND, cli->words[0]);
	cli_lines(cli, 1, &changed);
	if (status == EX_OK) {
		take_out(&g, text_span(&changed));
		if (join)
			text_add(&g.members, text_span(&changed));
		status = g.members.n > 0 ? set_group(cli, &g, "changed") :
		    cli_say(EX_USAGE, "%s: these are all of its members; "
		    "`postrider group remove` removes it", cli->words[0]);
	}
	text_free(&changed);
	text_free(&g.members);
	return status;
}

int
cli_group_join(struct cli *cli)
{
	return change_members(cli, true);
}

int
cli_group_leave(struct cli *cli)
{
	return change_members(cli, false);
}

int
cli_group_remove(struct cli *cli)
{
	struct group_set_request request = {
		.address = span_str(cli->words[0]) };
	int status = cli_open(cli);

	if (status == EX_OK)
		status = CLI_SIMPLE(cli, group_set, &request, cli->words[0]);
	return cli_did(cli, status, "removed", cli->words[0]);
}

/*
 * cli_quota.c - how much accounts and domains hold and may hold; annotations
 * of the server.
 */
#include <stdio.h>

#include "base/param.h"
#include "cli/cli_impl.h"
#include "store/quota.h"

/* ---- limits as words --------------------------------------------------- */

/* "none", "default", or a number of that type. */
static bool
read_limit(const char *word, enum param_type type, uint64_t *out)
{
	const struct param row = { .name = "limit", .type = type,
	    .max = INT64_MAX };
	struct text why = TEXT_INIT(1024);
	bool good;

	if (word == NULL)
		*out = QUOTA_SAME;
	else if (strcmp(word, "none") == 0)
		*out = QUOTA_NONE;
	else if (strcmp(word, "default") == 0)
		*out = QUOTA_DEFAULT;
	else {
		good = param_read(&row, out, span_str(word), &why) == 1;
		text_free(&why);
		return good;
	}
	return true;
}

static json_t *
limit_json(uint64_t limit)
{
	return limit >= INT64_MAX ? json_null()
	    : json_integer((json_int_t)limit);
}

/* "4.2 MB of 1.0 GB", or the first alone. */
static void
print_bytes(const char *what, uint64_t used, uint64_t max)
{
	printf("  %s", cli_bytes(used));
	if (max != UINT64_MAX)
		printf(" of %s", cli_bytes(max));
	printf(" %s", what);
}

static void
print_count(const char *what, uint64_t used, uint64_t max)
{
	printf("  %" PRIu64, used);
	if (max != UINT64_MAX)
		printf(" of %" PRIu64, max);
	printf(" %s", what);
}

/* ---- showing ----------------------------------------------------------- */

static json_t *
show_root(const struct cli *cli, const struct quota_row *row)
{
	bool account = span_find_char(row->root, '@', 0) != SIZE_MAX;

	if (!cli->json) {
		printf("%-40.*s", SPAN_ARG(row->root));
		print_bytes("stored", row->bytes, row->max_bytes);
		print_count("messages", row->messages, row->max_messages);
		if (account) {
			print_count("mailboxes", row->mailboxes,
			    row->max_mailboxes);
			print_bytes("of annotations", row->annotations,
			    row->max_annotations);
		}
		putchar('\n');
	}
	return json_pack("{s:o, s:I, s:o, s:I, s:o, s:I, s:o, s:I, s:o}",
	    "root", cli_json(row->root),
	    "bytes", (json_int_t)row->bytes,
	    "max_bytes", limit_json(row->max_bytes),
	    "messages", (json_int_t)row->messages,
	    "max_messages", limit_json(row->max_messages),
	    "mailboxes", (json_int_t)row->mailboxes,
	    "max_mailboxes", limit_json(row->max_mailboxes),
	    "annotations", (json_int_t)row->annotations,
	    "max_annotations", limit_json(row->max_annotations));
}

static int
show(struct cli *cli, struct span root, json_t *all)
{
	struct quota_get_request request = { .root = root };
	struct quota_get_reply reply;
	struct quota_row row;
	struct cursor rows;
	int status;

	if (call_quota_get(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result,
	    arena_cstr(cli->arena, root));
	rows = (struct cursor){ .rest = reply.rows.bytes };
	while (status == EX_OK && quota_row_get(&rows, &row) == 1)
		json_array_append_new(all, show_root(cli, &row));
	blob_release(&reply.rows);
	return status;
}

static void
note_name(void *arg, const struct directory_row *row)
{
	struct text *names = arg;

	text_add(names, row->name);
	text_char(names, '\n');
}

/* Every domain, and every account. */
static int
show_all(struct cli *cli, json_t *all)
{
	struct text names = TEXT_INIT(0);
	struct span rest, name;
	int status = cli_directory_rows(cli, DIRECTORY_DOMAINS, "",
	    note_name, &names);

	if (status == EX_OK)
		status = cli_directory_rows(cli, DIRECTORY_ACCOUNTS, "",
		    note_name, &names);
	for (rest = text_span(&names); rest.n > 0 && status == EX_OK;) {
		rest = span_cut(rest, '\n', &name);
		if (name.n > 0)
			status = show(cli, name, all);
		arena_reset(cli->arena);
	}
	text_free(&names);
	return status;
}

int
cli_quota(struct cli *cli)
{
	json_t *all = json_array();
	int status = cli_open(cli);

	if (status == EX_OK)
		status = cli->count > 0 ? show(cli, span_str(cli->words[0]),
		    all) : show_all(cli, all);
	return cli_print_rows(cli, status, all);
}

int
cli_quota_set(struct cli *cli)
{
	struct quota_set_request request = {
		.root = span_str(cli->words[0]) };
	int status;

	if (!read_limit(cli->storage, PARAM_SIZE, &request.bytes) ||
	    !read_limit(cli->messages, PARAM_COUNT, &request.messages) ||
	    !read_limit(cli->mailboxes, PARAM_COUNT, &request.mailboxes) ||
	    !read_limit(cli->annotations, PARAM_SIZE, &request.annotations))
		return cli_say(EX_USAGE, "a limit is a number, none or "
		    "default");
	status = cli_open(cli);
	if (status == EX_OK)
		status = CLI_SIMPLE(cli, quota_set, &request, cli->words[0]);
	return cli_did(cli, status, "set", cli->words[0]);
}

/* ---- annotations of the server ------------------------------------------ */

static json_t *
show_annotation(const struct cli *cli, const struct metadata_row *row)
{
	if (!cli->json) {
		struct span value = cli_shown(cli, row->value);

		printf("%.*s %.*s\n", SPAN_ARG(row->entry), SPAN_ARG(value));
	}
	return json_pack("{s:o, s:o}", "entry", cli_json(row->entry),
	    "value", cli_json(row->value));
}

int
cli_annotation_list(struct cli *cli)
{
	struct metadata_get_request request = { .entries = SPAN("/shared"),
	    .depth = UINT32_MAX, .max_size = UINT64_MAX };
	struct metadata_get_reply reply;
	struct metadata_row row;
	struct cursor rows;
	json_t *all = json_array();
	int status = cli_open(cli);

	if (status == EX_OK && call_metadata_get(cli->store, cli->arena,
	    &request, &reply) != 1)
		status = cli_no_answer();
	else if (status == EX_OK) {
		status = cli_result(reply.result, "annotations");
		rows = (struct cursor){ .rest = reply.rows.bytes };
		while (status == EX_OK && metadata_row_get(&rows, &row) == 1)
			json_array_append_new(all,
			    show_annotation(cli, &row));
		blob_release(&reply.rows);
	}
	return cli_print_rows(cli, status, all);
}

/* Without a value it goes. */
int
cli_annotation_set(struct cli *cli)
{
	struct text rows = TEXT_INIT(0);
	struct metadata_set_request request = { .watch = 0 };
	int status = cli_open(cli);

	metadata_row_put(&rows, &(struct metadata_row){
	    .entry = span_str(cli->words[0]), .exists = cli->count > 1,
	    .value = cli->count > 1 ? span_str(cli->words[1])
	    : SPAN_EMPTY });
	request.rows = BLOB_OF(text_span(&rows));
	if (status == EX_OK)
		status = CLI_SIMPLE(cli, metadata_set, &request,
		    cli->words[0]);
	text_free(&rows);
	return cli_did(cli, status, cli->count > 1 ? "set" : "removed",
	    cli->words[0]);
}

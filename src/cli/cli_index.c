/*
 * cli_index.c - the search index: how far it is, and making it anew.
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli_impl.h"

enum { BAR = 40 };

/* ---- status ---------------------------------------------------------- */

static int
add_status(struct cli *cli, struct index_status_reply *sum)
{
	struct index_status_request request = { .after = sum->next };
	struct index_status_reply reply;

	arena_reset(cli->arena);
	if (call_index_status(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	sum->next = reply.next;
	sum->messages += reply.messages;
	sum->indexed += reply.indexed;
	sum->segments += reply.segments;
	sum->bytes += reply.bytes;
	sum->waiting = reply.waiting;
	return cli_result(reply.result, "index");
}

static void
show_bar(const struct index_status_reply *s)
{
	char bar[BAR + 1];
	uint64_t all = MAX(s->messages, UINT64_C(1));
	size_t done = (size_t)(s->messages == 0 ? BAR
	    : s->indexed * BAR / all);

	memset(bar, '.', BAR);
	memset(bar, '#', MIN(done, (size_t)BAR));
	bar[BAR] = '\0';
	printf("[%s] %" PRIu64 " %%\n", bar,
	    s->messages == 0 ? 100 : s->indexed * 100 / all);
}

static void
show_status(const struct cli *cli, const struct index_status_reply *s)
{
	if (cli->json)
		return;
	if (isatty(STDOUT_FILENO))
		show_bar(s);
	printf("%" PRIu64 " of %" PRIu64 " messages indexed, in %" PRIu64
	    " segments of %s\n", s->indexed, s->messages, s->segments,
	    cli_bytes(s->bytes));
	if (s->waiting > 0)
		printf("%" PRIu64 " mailboxes wait\n", s->waiting);
}

int
cli_index_status(struct cli *cli)
{
	struct index_status_reply sum = { .next = 0 };
	int status = cli_open(cli);

	if (status == EX_OK) {
		do
			status = add_status(cli, &sum);
		while (status == EX_OK && sum.next != 0);
	}
	if (status != EX_OK)
		return status;
	show_status(cli, &sum);
	cli_print_json(cli, json_pack("{s:I, s:I, s:I, s:I, s:I}",
	    "messages", (json_int_t)sum.messages,
	    "indexed", (json_int_t)sum.indexed,
	    "segments", (json_int_t)sum.segments,
	    "bytes", (json_int_t)sum.bytes,
	    "waiting", (json_int_t)sum.waiting));
	return EX_OK;
}

/* ---- rebuild --------------------------------------------------------- */

static int
rebuild_mailbox(const struct account_mail *m, uint64_t mailbox,
    const char *what)
{
	struct index_rebuild_request request = { .grant = m->grant,
		.mailbox = mailbox };

	return CLI_SIMPLE(m->cli, index_rebuild, &request, what);
}

static int
rebuild_account(struct cli *cli, const char *address)
{
	struct mailbox_list_request request = { 0 };
	struct mailbox_list_reply reply;
	struct account_mail m;
	struct mailbox_row row;
	struct cursor rows;
	int status = mail_open(&m, cli, address);

	if (status != EX_OK)
		return status;
	request.grant = m.grant;
	if (call_mailbox_list(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, address);
	rows = (struct cursor){ .rest = reply.rows.bytes };
	while (status == EX_OK && mailbox_row_get(&rows, &row) == 1)
		if (row.mailbox != 0 && row.place == PLACE_OWN)
			status = rebuild_mailbox(&m, row.mailbox, address);
	blob_release(&reply.rows);
	return status;
}

static void
note_account(void *arg, const struct directory_row *row)
{
	put_bytes(arg, row->name);
}

static int
rebuild_all(struct cli *cli)
{
	struct text names = TEXT_INIT(0);
	struct cursor c = { 0 };
	struct progress p;
	uint64_t done = 0;
	int status = cli_directory_rows(cli, DIRECTORY_ACCOUNTS, "",
	    note_account, &names);

	c.rest = text_span(&names);
	progress_begin(&p, cli, "accounts", 0);
	while (status == EX_OK && c.rest.n > 0) {
		char *name;

		arena_reset(cli->arena);
		name = arena_cstr(cli->arena, get_bytes(&c, 512));
		if (c.bad || name == NULL)
			break;
		status = rebuild_account(cli, name);
		progress_set(&p, ++done);
	}
	progress_end(&p);
	text_free(&names);
	return status;
}

static int
rebuild_one(struct cli *cli, const char *address, const char *name)
{
	struct account_mail m;
	uint64_t mailbox;
	int status = mail_open(&m, cli, address);

	if (status == EX_OK)
		status = mail_mailbox(&m, span_str(name), false, &mailbox);
	return status == EX_OK ? rebuild_mailbox(&m, mailbox, name) : status;
}

int
cli_index_rebuild(struct cli *cli)
{
	int status = cli_open(cli);

	if (status != EX_OK)
		return status;
	if (cli->count == 0)
		status = rebuild_all(cli);
	else if (cli->count == 1)
		status = rebuild_account(cli, cli->words[0]);
	else
		status = rebuild_one(cli, cli->words[0], cli->words[1]);
	return cli_did(cli, status, "rebuilding", cli->count == 0
	    ? "the whole index" : cli->words[cli->count - 1]);
}

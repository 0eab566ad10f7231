/*
 * cli_backup.c - everything into a folder and back; and looking it over.
 *
 * A backup is a folder: the settings, the keys, the certificate, and a
 * checkpoint of the store, which the store makes below its own directory (it
 * can reach no other) and we copy from there. The file BACKUP is written
 * last: a folder without it is not whole.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cli/cli_impl.h"
#include "mail/date.h"
#include "role/datadir.h"
#include "role/dkim_keys.h"

#define MARK "BACKUP"

static void
step(void *arg, uint64_t bytes)
{
	struct progress *p = arg;

	progress_set(p, p->done + bytes);
}

/* What lies in a data directory beside the store; may be missing. */
static const char *const beside[] = { DATADIR_CONFIG, "tls", DKIM_DIRECTORY };

static int
copy_beside(int from, int to, struct progress *p)
{
	for (size_t i = 0; i < ARRAY_LEN(beside); i++)
		if (faccessat(from, beside[i], F_OK, 0) == 0 &&
		    file_copy_tree(from, beside[i], to, beside[i], step,
		    p) != 1)
			return cli_say(EX_CANTCREAT, "%s: %s", beside[i],
			    strerror(errno));
	return EX_OK;
}

/* ---- backup ------------------------------------------------------------------- */

static int
write_mark(int to)
{
	struct text mark = TEXT_INIT(256);
	int r;

	text_str(&mark, "A backup made by postrider " POSTRIDER_VERSION " at ");
	date_add_rfc3339(&mark, (struct date){
		.seconds = clock_wall_seconds() });
	text_char(&mark, '\n');
	r = file_write(to, MARK, text_span(&mark), 0644);
	text_free(&mark);
	return r == 1 && fsync(to) == 0 ? EX_OK : cli_say(EX_CANTCREAT,
	    MARK ": %s", strerror(errno));
}

static int
copy_checkpoint(struct cli *cli, int data, int to, const char *checkpoint,
    uint64_t *bytes)
{
	struct progress p;
	int status = EX_OK;

	*bytes = file_tree_size(data, checkpoint);
	progress_begin(&p, cli, "copying", *bytes);
	if (file_copy_tree(data, checkpoint, to, "engine", step, &p) != 1)
		status = cli_say(EX_CANTCREAT, "%s: %s", checkpoint,
		    strerror(errno));
	if (status == EX_OK)
		status = copy_beside(data, to, &p);
	progress_end(&p);
	return status == EX_OK ? write_mark(to) : status;
}

static int
take_backup(struct cli *cli, int data, int to, uint64_t *bytes)
{
	char name[17];
	uint64_t random = random_u64();
	struct backup_begin_request begin;
	struct backup_begin_reply begun;
	struct backup_end_request end;
	struct backup_end_reply ended;
	int status;

	hex_of(name, &random, sizeof(random));
	begin = (struct backup_begin_request){ .name = span_str(name) };
	end = (struct backup_end_request){ .name = span_str(name) };
	if (call_backup_begin(cli->store, cli->arena, &begin, &begun) != 1)
		return cli_no_answer();
	if (begun.result != RESULT_OK)
		return cli_result(begun.result, "checkpoint");
	status = copy_checkpoint(cli, data, to,
	    arena_cstr(cli->arena, begun.path), bytes);
	if (call_backup_end(cli->store, cli->arena, &end, &ended) != 1 ||
	    ended.result != RESULT_OK)
		cli_say(0, "the checkpoint below the data directory could "
		    "not be removed");
	return status;
}

int
cli_backup(struct cli *cli)
{
	const char *folder = cli->words[0];
	uint64_t bytes = 0;
	int data, to, status = cli_open(cli);

	if (status != EX_OK)
		return status;
	if (mkdir(folder, 0700) != 0)
		return cli_say(EX_CANTCREAT, "%s: %s", folder,
		    strerror(errno));
	to = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	data = open(cli->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0 || data < 0)
		status = cli_say(EX_CANTCREAT, "%s: %s", folder,
		    strerror(errno));
	else
		status = take_backup(cli, data, to, &bytes);
	if (to >= 0)
		close(to);
	if (data >= 0)
		close(data);
	if (status != EX_OK)
		return status;
	cli_print_json(cli, json_pack("{s:s, s:I}", "folder", folder, "bytes",
	    (json_int_t)bytes));
	if (!cli->json)
		printf("%s in %s\n", cli_bytes(bytes), folder);
	return EX_OK;
}

/* ---- restore -------------------------------------------------------------------- */

static int
put_back(struct cli *cli, int from, int data)
{
	struct progress p;
	int store = openat(data, DATADIR_STORE, O_RDONLY | O_DIRECTORY |
	    O_CLOEXEC), status;

	if (store < 0)
		return cli_say(EX_CANTCREAT, DATADIR_STORE ": %s",
		    strerror(errno));
	progress_begin(&p, cli, "copying", file_tree_size(from, "engine"));
	status = file_copy_tree(from, "engine", store, "engine", step,
	    &p) == 1 ? copy_beside(from, data, &p) : cli_say(EX_CANTCREAT,
	    "%s: %s", cli->data, strerror(errno));
	progress_end(&p);
	close(store);
	return status;
}

static int
restore(struct cli *cli, int from)
{
	struct text why = TEXT_INIT(4096);
	int data, status;

	if (faccessat(from, MARK, F_OK, 0) != 0)
		return cli_say(EX_NOINPUT, "%s is not a whole backup",
		    cli->words[0]);
	data = datadir_open(cli->data, true, &why);
	if (data < 0)
		status = cli_say(EX_CANTCREAT, "%.*s",
		    SPAN_ARG(text_span(&why)));
	else if (faccessat(data, DATADIR_CONFIG, F_OK, 0) == 0)
		status = cli_say(EX_CANTCREAT, "%s holds something already",
		    cli->data);
	else
		status = put_back(cli, from, data);
	if (data >= 0)
		close(data);
	text_free(&why);
	return status;
}

int
cli_restore(struct cli *cli)
{
	int from = open(cli->words[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int status;

	if (from < 0)
		return cli_say(EX_NOINPUT, "%s: %s", cli->words[0],
		    strerror(errno));
	status = restore(cli, from);
	close(from);
	if (status != EX_OK)
		return status;
	cli_print_json(cli, json_pack("{s:s}", "data", cli->data));
	if (!cli->json)
		printf("%s is as it was; `postrider run --data %s` serves "
		    "it\n", cli->data, cli->data);
	return EX_OK;
}

/* ---- check ----------------------------------------------------------------------- */

struct findings {
	uint64_t found, repaired;
	json_t *report;
};

static int
check_once(struct cli *cli, uint64_t *from, struct findings *f,
    struct progress *p)
{
	struct check_step_request request = {
		.from = *from, .repair = cli->repair };
	struct check_step_reply reply;
	struct span rest, line;
	int status;

	arena_reset(cli->arena);
	if (call_check_step(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, "check");
	f->found += reply.found;
	f->repaired += reply.repaired;
	rest = reply.report.bytes;
	while (rest.n > 0) {
		rest = span_cut(rest, '\n', &line);
		if (line.n == 0)
			continue;
		json_array_append_new(f->report, cli_json(line));
		if (!cli->json) {
			progress_end(p);
			printf("%.*s\n", SPAN_ARG(line));
		}
	}
	blob_release(&reply.report);
	p->total = reply.total;
	progress_set(p, reply.done);
	*from = reply.next;
	return status;
}

int
cli_check_store(struct cli *cli)
{
	struct findings f = { .report = json_array() };
	struct progress p;
	uint64_t from = 0;
	int status = cli_open(cli);

	progress_begin(&p, cli, "checking", 0);
	while (status == EX_OK) {
		status = check_once(cli, &from, &f, &p);
		if (from == 0)
			break;
	}
	progress_end(&p);
	cli_print_json(cli, json_pack("{s:I, s:I, s:o}", "found",
	    (json_int_t)f.found, "repaired", (json_int_t)f.repaired,
	    "report", f.report));
	if (status != EX_OK)
		return status;
	if (!cli->json)
		printf("%" PRIu64 " found, %" PRIu64 " repaired\n", f.found,
		    f.repaired);
	return f.found > f.repaired ? EX_DATAERR : EX_OK;
}

int
cli_check(struct cli *cli)
{
	if (cli->count == 0)
		return cli_check_store(cli);
	return cli->repair ? cli_say(EX_USAGE, "--repair is for the store: "
	    "the DNS is yours to mend") : cli_check_domain(cli);
}

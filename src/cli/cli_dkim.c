/*
 * cli_dkim.c - the keys that sign domains' mail; and telling a running
 * server that something changed.
 *
 * The files are ours to write (role/dkim_keys.h); a server that runs reads
 * them again at SIGHUP.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli_impl.h"
#include "mail/address.h"
#include "role/datadir.h"
#include "role/dkim_keys.h"
#include "verify/dkim.h"

/* ---- the running server ----------------------------------------------- */

/* Who listens at the admin socket: the supervisor. 0: nobody; -1 errno. */
static pid_t
who_serves(int data)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);
	int fd = datadir_admin_connect(data, DATADIR_ADMIN);
	pid_t pid = -1;

	if (fd < 0)
		return errno == ENOENT || errno == ECONNREFUSED ? 0 : -1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0)
		pid = peer.pid;
	close(fd);
	return pid;
}

int
cli_tell_server(struct cli *cli, bool *runs)
{
	int data = open(cli->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int status = EX_OK;
	pid_t pid = data < 0 ? -1 : who_serves(data);

	*runs = pid > 0;
	if (pid < 0 || (pid > 0 && kill(pid, SIGHUP) != 0))
		status = cli_say(errno == EPERM || errno == EACCES ?
		    EX_NOPERM : EX_UNAVAILABLE, "the server on %s could not "
		    "be told: %s", cli->data, strerror(errno));
	if (data >= 0)
		close(data);
	return status;
}

int
cli_reload(struct cli *cli)
{
	bool runs;
	int status = cli_tell_server(cli, &runs);

	if (status == EX_OK && !runs)
		status = cli_say(EX_UNAVAILABLE, "no server runs on %s",
		    cli->data);
	if (status != EX_OK)
		return status;
	cli_print_json(cli, json_pack("{s:s}", "told", cli->data));
	if (!cli->json)
		printf("the server was told to read its settings, "
		    "certificate and keys again; its log says how it went\n");
	return EX_OK;
}

/* ---- domains ---------------------------------------------------------- */

int
cli_domain_word(struct cli *cli, const char *word, struct span *out)
{
	return address_domain(span_str(word), cli->arena, out) == 1 ? EX_OK :
	    cli_say(EX_DATAERR, "%s: not a domain", word);
}

static int
page_has(struct cli *cli, struct span domain, struct text *after, bool *found,
    bool *more)
{
	struct directory_list_request in = { .kind = DIRECTORY_DOMAINS,
	    .after = text_span(after) };
	struct directory_list_reply out;
	struct directory_row row;
	struct cursor rows;
	int status;

	if (call_directory_list(cli->store, cli->arena, &in, &out) != 1)
		return cli_no_answer();
	status = cli_result(out.result, "domains");
	rows = (struct cursor){ .rest = out.rows.bytes };
	while (status == EX_OK && directory_row_get(&rows, &row) == 1) {
		*found |= span_eq(row.name, domain);
		text_clear(after);
		text_add(after, row.name);
	}
	*more = out.more && !rows.bad;
	blob_release(&out.rows);
	return status;
}

int
cli_domain_is_ours(struct cli *cli, struct span domain)
{
	struct text after = TEXT_INIT(4096);
	bool found = false, more = true;
	int status = EX_OK;

	while (status == EX_OK && !found && more)
		status = page_has(cli, domain, &after, &found, &more);
	text_free(&after);
	return status != EX_OK || found ? status :
	    cli_say(EX_NOHOST, "%.*s is not one of this server's domains "
	    "(`postrider domain add` makes it one)", SPAN_ARG(domain));
}

/* ---- keys ------------------------------------------------------------- */

static int
failed(struct cli *cli, const struct text *why)
{
	return cli_say(EX_CANTCREAT, "%s/%.*s", cli->data,
	    SPAN_ARG(text_span(why)));
}

static int
open_data(struct cli *cli, int *data)
{
	*data = open(cli->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *data >= 0 ? EX_OK : cli_say(EX_NOINPUT, "%s: %s", cli->data,
	    strerror(errno));
}

static bool
note_one(void *arg, const struct dkim_file *f)
{
	(void)f;
	*(bool *)arg = true;
	return false;
}

int
cli_dkim_begin(struct cli *cli, struct span domain)
{
	struct text why = TEXT_INIT(1024), selector = TEXT_INIT(64);
	bool there = false, runs;
	int data, status = open_data(cli, &data);

	if (status != EX_OK)
		return status;
	if (dkim_keys_each(data, domain, note_one, NULL, &there, &why) != 1 ||
	    (!there && dkim_keys_make(data, domain, clock_wall_seconds(),
	    &selector, &why) != 1))
		status = failed(cli, &why);
	close(data);
	text_free(&why);
	text_free(&selector);
	return status == EX_OK ? cli_tell_server(cli, &runs) : status;
}

int
cli_dkim_end(struct cli *cli, struct span domain)
{
	struct text why = TEXT_INIT(1024);
	int data, status = open_data(cli, &data);
	bool runs;

	if (status != EX_OK)
		return status;
	if (dkim_keys_remove(data, domain, &why) != 1)
		status = failed(cli, &why);
	close(data);
	text_free(&why);
	return status == EX_OK ? cli_tell_server(cli, &runs) : status;
}

/* ---- dkim list -------------------------------------------------------- */

struct listing {
	struct cli *cli;
	json_t *rows;
	cli_dkim_fn *fn;
	void *arg;
};

static bool
each_key(void *arg, const struct dkim_file *f)
{
	struct listing *l = arg;
	struct text why = TEXT_INIT(256), record = TEXT_INIT(0);
	struct dkim_pem *pem = dkim_pem_new(f->pem, &why);

	if (pem != NULL) {
		dkim_record_write(dkim_pem_algorithm(pem),
		    dkim_pem_public(pem), &record);
		l->fn(l->cli, l->arg, f, dkim_algorithm_name(
		    dkim_pem_algorithm(pem)), text_span(&record));
	}
	dkim_pem_free(&pem);
	text_free(&record);
	text_free(&why);
	return true;
}

static void
each_bad(void *arg, const char *path, struct span why)
{
	struct listing *l = arg;

	cli_say(0, "%s/%s: %.*s", l->cli->data, path, SPAN_ARG(why));
}

int
cli_dkim_each(struct cli *cli, struct span domain, cli_dkim_fn *fn, void *arg)
{
	struct listing l = { .cli = cli, .fn = fn, .arg = arg };
	struct text why = TEXT_INIT(1024);
	int data, status = open_data(cli, &data);

	if (status != EX_OK)
		return status;
	if (dkim_keys_each(data, domain, each_key, each_bad, &l, &why) != 1)
		status = failed(cli, &why);
	close(data);
	text_free(&why);
	return status;
}

static void
show_key(struct cli *cli, void *arg, const struct dkim_file *f,
    const char *algorithm, struct span record)
{
	json_t *row = json_pack("{s:o, s:o, s:s, s:o, s:o}", "domain",
	    cli_json(f->domain), "selector", cli_json(f->selector),
	    "algorithm", algorithm, "created", cli_json_time(f->created),
	    "record", cli_json(record));

	if (f->retired != 0)
		json_object_set_new(row, "retired",
		    cli_json_time(f->retired));
	json_array_append_new(arg, row);
	if (!cli->json)
		printf("%-24.*s %-20.*s %-15s made %s%s%s\n",
		    SPAN_ARG(f->domain), SPAN_ARG(f->selector), algorithm,
		    cli_time(f->created), f->retired != 0 ? ", retired " : "",
		    f->retired != 0 ? cli_time(f->retired) : "");
}

int
cli_dkim_list(struct cli *cli)
{
	struct span domain = SPAN_EMPTY;
	json_t *rows = json_array();
	int status = cli->count == 0 ? EX_OK :
	    cli_domain_word(cli, cli->words[0], &domain);

	if (status == EX_OK)
		status = cli_dkim_each(cli, domain, show_key, rows);
	return cli_print_rows(cli, status, rows);
}

/* ---- dkim rotate ------------------------------------------------------ */

static int
rotate(struct cli *cli, struct span domain, struct text *selector)
{
	struct text why = TEXT_INIT(1024);
	int data, status = open_data(cli, &data);

	if (status != EX_OK)
		return status;
	if (dkim_keys_make(data, domain, clock_wall_seconds(), selector,
	    &why) != 1)
		status = failed(cli, &why);
	close(data);
	text_free(&why);
	return status;
}

int
cli_dkim_rotate(struct cli *cli)
{
	struct text selector = TEXT_INIT(64);
	struct span domain;
	bool runs;
	int status = cli_domain_word(cli, cli->words[0], &domain);

	if (status == EX_OK)
		status = cli_open(cli);
	if (status == EX_OK)
		status = cli_domain_is_ours(cli, domain);
	if (status == EX_OK)
		status = rotate(cli, domain, &selector);
	if (status == EX_OK)
		status = cli_tell_server(cli, &runs);
	if (status == EX_OK)
		cli_print_json(cli, json_pack("{s:o, s:o}", "domain",
		    cli_json(domain), "selector",
		    cli_json(text_span(&selector))));
	if (status == EX_OK && !cli->json)
		printf("%.*s: new keys %.*s-rsa and %.*s-ed25519. Publish "
		    "them: `postrider dns %.*s`\nprints the records. Until "
		    "the DNS shows them the older ones sign.\n",
		    SPAN_ARG(domain), SPAN_ARG(text_span(&selector)),
		    SPAN_ARG(text_span(&selector)), SPAN_ARG(domain));
	text_free(&selector);
	return status;
}

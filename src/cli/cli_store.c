/*
 * cli_store.c - reaching the store: the running one, or one of our own.
 *
 * A server on the data directory holds its lock; then the admin socket is
 * the way. Otherwise we take the lock and serve the contract ourselves, on
 * worker threads behind a socket pair.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"
#include "cli/cli_impl.h"
#include "ipc/serve.h"
#include "role/data_store.h"
#include "role/datadir.h"
#include "verify/resolve.h"

/* The store of this process, when there is one. */
static struct {
	int directory, lock;
	struct store *store;
	struct server *server;
	char path[4096];
} own = { .directory = -1, .lock = -1 };

int
cli_settings(struct cli *cli)
{
	struct text why = TEXT_INIT(4096);
	char path[4096];
	int status = EX_OK;

	snprintf(path, sizeof(path), "%s/%s", cli->data, DATADIR_CONFIG);
	switch (settings_load(&cli->settings,
	    cli->config != NULL ? cli->config : path, &why)) {
	case 1:
		break;
	case 0:
		status = cli_say(EX_CONFIG, "%.*s", SPAN_ARG(text_span(&why)));
		break;
	default:
		status = cli_say(EX_NOINPUT, "%.*s (`postrider init DOMAIN "
		    "--data %s` makes a data directory)",
		    SPAN_ARG(text_span(&why)), cli->data);
	}
	text_free(&why);
	return status;
}

static int
open_directory(struct cli *cli)
{
	struct text why = TEXT_INIT(4096);
	int status = EX_OK;

	own.directory = datadir_open(cli->data, false, &why);
	if (own.directory < 0)
		status = cli_say(EX_NOINPUT, "%.*s", SPAN_ARG(text_span(&why)));
	text_free(&why);
	return status;
}

static int
connect_running(struct cli *cli)
{
	int fd = datadir_admin_connect(own.directory, DATADIR_ADMIN);

	if (fd < 0)
		return cli_say(errno == EACCES ? EX_NOPERM : EX_UNAVAILABLE,
		    "process %d serves %s, but it cannot be reached: %s",
		    (int)cli->server, cli->data, strerror(errno));
	cli->running = true;
	link_attach(cli->store, fd);
	return EX_OK;
}

static int
start_own(struct cli *cli)
{
	struct text why = TEXT_INIT(4096);
	uint8_t key[32];
	int ends[2], status = EX_OK;

	snprintf(own.path, sizeof(own.path), "%s/%s", cli->data,
	    DATADIR_STORE);
	random_bytes(key, sizeof(key));
	own.store = data_store_open(own.path, &cli->settings, key, &why);
	secret_wipe(key, sizeof(key));
	if (own.store == NULL)
		status = cli_say(EX_SOFTWARE, "%.*s",
		    SPAN_ARG(text_span(&why)));
	text_free(&why);
	if (status != EX_OK)
		return status;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, ends) != 0)
		return cli_say(EX_OSERR, "socketpair: %s", strerror(errno));
	own.server = server_new(STORE, &store_handlers, own.store);
	store_set_server(own.store, own.server);
	if (server_start_threads(own.server, 4) != 1 ||
	    server_add(own.server, ends[0], CLI, 0) != 1)
		return cli_say(EX_OSERR, "threads: %s", strerror(errno));
	link_attach(cli->store, ends[1]);
	return EX_OK;
}

int
cli_open(struct cli *cli)
{
	int status = open_directory(cli);

	if (status != EX_OK)
		return status;
	log_set_level(LOG_LEVEL_WARNING);
	status = cli_settings(cli);
	if (status != EX_OK)
		return status;
	cli->store = link_new(CLI, STORE);
	own.lock = datadir_lock(own.directory, &cli->server);
	if (own.lock >= 0) {
		cli->server = 0;
		return start_own(cli);
	}
	if (cli->server == -1)
		return cli_say(EX_NOPERM, "%s: %s", cli->data,
		    strerror(errno));
	return connect_running(cli);
}

int
cli_open_resolver(struct cli *cli)
{
	int fd;

	if (!cli->running)
		return cli_say(EX_UNAVAILABLE, "no server runs on %s, and "
		    "only a running one asks the DNS", cli->data);
	fd = datadir_admin_connect(own.directory, DATADIR_ADMIN_DNS);
	if (fd < 0)
		return cli_say(errno == EACCES ? EX_NOPERM : EX_UNAVAILABLE,
		    "%s/%s: %s", cli->data, DATADIR_ADMIN_DNS,
		    strerror(errno));
	cli->resolver = link_new(CLI, RESOLVER);
	link_attach(cli->resolver, fd);
	resolve_setup(cli->resolver);
	return EX_OK;
}

/* What root made below store/ must not keep the store's user out. */
static void
give_back(void)
{
	struct text why = TEXT_INIT(4096);
	struct stat st;

	if (geteuid() == 0 && fstatat(own.directory, DATADIR_STORE, &st,
	    AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid != 0 &&
	    datadir_give_store(own.directory, st.st_uid, st.st_gid, &why) != 1)
		cli_say(0, "%.*s", SPAN_ARG(text_span(&why)));
	text_free(&why);
}

void
cli_close(struct cli *cli)
{
	if (cli->store != NULL)
		link_free(&cli->store);
	if (cli->resolver != NULL) {
		resolve_setup(NULL);
		link_free(&cli->resolver);
	}
	if (own.server != NULL) {
		server_stop(own.server);
		store_set_server(own.store, NULL);
		server_free(&own.server);
	}
	if (own.store != NULL) {
		data_store_close(&own.store);
		give_back();
	}
	if (own.lock >= 0)
		close(own.lock);
	if (own.directory >= 0)
		close(own.directory);
	own.lock = own.directory = -1;
}

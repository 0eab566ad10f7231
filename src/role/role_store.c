/*
 * role_store.c - keeps accounts, mailboxes and the queue; calls nobody.
 *
 * The main thread listens to the supervisor; calls are handled by worker
 * threads (ipc/serve.h). It stands in its own directory and can see no other.
 */
#include "base/log.h"
#include "base/metric.h"
#include "base/routes.h"
#include "base/secret.h"
#include "io/loop.h"
#include "ipc/serve.h"
#include "role/control.h"
#include "role/data_store.h"

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

enum { PENDING_MAX = 1024 };

/* Sockets that came before the store was open. */
struct pending {
	int fd;
	enum role_bit role;
	unsigned instance;
	bool listens;
};

static struct {
	struct store *store;
	struct server *server;
	uint8_t grant_key[32];
	struct routes *routes;		/* until the store is open */
	struct text authorities, token_keys;
	struct pending pending[PENDING_MAX];
	size_t pending_count;
} here = {
	.authorities = { .limit = 4 << 20 },
	.token_keys = { .limit = 1 << 20 },
};

/* ---- what the supervisor tells ----------------------------------------- */

/* Older settings may still be read by a thread: they are kept. */
static void
on_settings(const struct settings *s)
{
	struct settings *copy;

	if (here.store == NULL)
		return;
	copy = xmalloc(sizeof(*copy));
	*copy = *s;
	store_set_settings(here.store, copy);
}

static void
on_grant_key(struct span key)
{
	must(key.n == sizeof(here.grant_key));
	memcpy(here.grant_key, key.p, key.n);
}

/* The store owns them once it is open. */
static void
hand_routes_on(void)
{
	if (here.store == NULL || here.routes == NULL)
		return;
	store_set_routes(here.store, here.routes);
	here.routes = NULL;
}

static void
on_routes(struct span encoded)
{
	struct text why = TEXT_INIT(1024);

	routes_free(&here.routes);
	here.routes = routes_decode(encoded, &why);
	if (here.routes == NULL)
		log_event(LOG_LEVEL_ERROR, "store.routes",
		    log_text("error", text_span(&why)));
	text_free(&why);
	hand_routes_on();
}

/* Before the store is open, what is told is kept for it. */
static void
on_login_trust(struct span authorities, struct span token_keys)
{
	text_clear(&here.authorities);
	text_add(&here.authorities, authorities);
	text_clear(&here.token_keys);
	text_add(&here.token_keys, token_keys);
	if (here.store != NULL)
		store_set_login_trust(here.store, authorities, token_keys);
}

static void
serve(const struct pending *p)
{
	if ((p->listens ? server_listen(here.server, p->fd, p->role) :
	    server_add(here.server, p->fd, p->role, p->instance)) != 1)
		log_event(LOG_LEVEL_ERROR, "store.peer",
		    log_str("peer", role_name(p->role)), log_errno());
}

static void
add(struct pending p)
{
	if (here.server != NULL)
		serve(&p);
	else if (here.pending_count < PENDING_MAX)
		here.pending[here.pending_count++] = p;
	else
		close(p.fd);
}

static void
on_listen(enum protocol protocol, int fd)
{
	must(protocol == PROTOCOL_ADMIN);
	add((struct pending){ fd, CLI, 0, true });
}

static void
on_peer(enum role_bit role, unsigned instance, int fd)
{
	add((struct pending){ fd, role, instance, false });
}

/* ---- life -------------------------------------------------------------- */

static void
on_start(void)
{
	struct settings *s = xmalloc(sizeof(*s));
	struct text why = TEXT_INIT(4096);

	*s = control_self()->settings;
	here.store = data_store_open(".", s, here.grant_key, &why);
	if (here.store == NULL)
		control_fail("store.open", text_span(&why));
	text_free(&why);
	hand_routes_on();
	store_set_login_trust(here.store, text_span(&here.authorities),
	    text_span(&here.token_keys));
	here.server = server_new(STORE, &store_handlers, here.store);
	store_set_server(here.store, here.server);
	if (server_start_threads(here.server,
	    store_worker_threads(s)) != 1)
		control_fail("store.threads",
		    span_str(strerrordesc_np(errno)));
	for (size_t i = 0; i < here.pending_count; i++)
		serve(&here.pending[i]);
	here.pending_count = 0;
	control_ready();
}

static void
on_stop(int64_t grace_ms)
{
	(void)grace_ms;
	if (here.server != NULL)
		server_stop(here.server);
	data_store_close(&here.store);
	secret_wipe(here.grant_key, sizeof(here.grant_key));
	control_done();
}

enum { ARENAS = 4, MAPPED_FROM = 4 << 20 };

/*
 * Each arena of the allocator keeps its own free memory: a few are enough.
 * And what is large (a password's hash takes 19 MiB) is given back at once;
 * left alone, the allocator would learn from the first one to keep it.
 */
static void
prepare(void)
{
	mallopt(M_ARENA_MAX, ARENAS);
	mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
}

const struct role_events store_events = {
	.prepare = prepare,
	.settings = on_settings,
	.grant_key = on_grant_key,
	.routes = on_routes,
	.login_trust = on_login_trust,
	.listen = on_listen,
	.peer = on_peer,
	.start = on_start,
	.stop = on_stop,
};

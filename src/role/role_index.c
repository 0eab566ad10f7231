/*
 * role_index.c - reads mail and makes the search index; answers searches.
 *
 * The only role that parses mail without a client's asking. It has no file
 * and no network; the store hands it the messages that are new, and keeps what
 * it makes of them. A search comes with the grant of who searches, and the
 * store decides with it what may be looked at. Owned, it reads the mail that
 * comes while it is, and its searches find, or do not find, what it likes.
 */
#include "base/log.h"
#include "base/metric.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "ipc/call.h"
#include "ipc/serve.h"
#include "role/control.h"
#include "role/index_cache.h"
#include "role/index_lookup.h"
#include "role/index_work.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

enum { GAUGE_TIME = 2000, MAPPED_FROM = 1 << 20, NICENESS = 10 };

static struct {
	struct link *store;
	struct server *server;
	struct timer gauges;
} here;

static const struct handlers handlers = { .index_search = index_lookup };

/* ---- what the supervisor tells --------------------------------------- */

static void
on_work(void *arg, const void *note)
{
	(void)arg;
	(void)note;
	index_work_wake();
}

/* A new store does not know yet whom to tell. */
static void
on_store_attached(void *arg)
{
	(void)arg;
	index_work_wake();
}

static void
on_settings(const struct settings *s)
{
	if (here.store == NULL) {
		here.store = link_new(INDEX, STORE);
		link_on_attach(here.store, on_store_attached, NULL);
		link_on_note(here.store, VERB_index_work, on_work, NULL);
		here.server = server_new(INDEX, &handlers, NULL);
		if (server_on_fibers(here.server) != 1)
			control_fail("index.loop",
			    span_str(strerrordesc_np(errno)));
	}
	index_cache_limit(s->index_cache);
	index_lookup_setup(here.store, span_str(s->index_languages));
}

static void
on_peer(enum role_bit role, unsigned instance, int fd)
{
	if (role == STORE)
		link_attach(here.store, fd);
	else if (server_add(here.server, fd, role, instance) != 1)
		log_event(LOG_LEVEL_ERROR, "index.peer", log_errno());
}

/* ---- life ------------------------------------------------------------ */

static void
on_gauges(struct timer *t)
{
	metric_set("fibers", fiber_count());
	metric_set("calls.store", link_pending(here.store));
	metric_set("index.cache_bytes", index_cache_bytes());
	timer_set(t, clock_after(GAUGE_TIME));
}

static void
on_start(void)
{
	here.gauges.fn = on_gauges;
	on_gauges(&here.gauges);
	index_work_start(here.store, &control_self()->settings);
	control_ready();
}

/* What was being made is begun anew by the next process. */
static void
on_stop(int64_t grace_ms)
{
	(void)grace_ms;
	timer_clear(&here.gauges);
	index_work_stop();
	server_stop(here.server);
	control_done();
}

/*
 * What is large is given back at once. And where there is not enough of the
 * processor for all, delivery and the sessions come first.
 */
static void
prepare(void)
{
	mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
	setpriority(PRIO_PROCESS, 0, NICENESS);
}

const struct role_events index_events = {
	.prepare = prepare,
	.settings = on_settings,
	.peer = on_peer,
	.start = on_start,
	.stop = on_stop,
};

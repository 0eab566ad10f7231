/*
 * role_relay.c - connects to other systems and hands them their mail.
 *
 * The only role that makes connections for mail. It owns no file and holds
 * nothing durable: envelopes are leased from the store, names are asked of
 * the resolver, signatures of the signer.
 */
#include "base/log.h"
#include "base/metric.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "relay/relay.h"
#include "relay/relay_sign.h"
#include "relay/relay_target.h"
#include "relay/relay_token.h"
#include "role/control.h"
#include "verify/resolve.h"

#include <unistd.h>

enum { GAUGE_TIME = 2000 };

static struct {
	struct link *store, *signer, *resolver;
	struct timer gauges;
} here;

static const struct settings *
now(void *arg)
{
	(void)arg;
	return &control_self()->settings;
}

/* ---- what the supervisor tells ------------------------------------------- */

static void
on_queue_ready(void *arg, const void *note)
{
	(void)arg;
	(void)note;
	relay_ready();
}

static void
on_token_waits(void *arg, const void *note)
{
	(void)arg;
	(void)note;
	relay_token_ask();
}

static void
on_store_attached(void *arg)
{
	(void)arg;
	relay_token_ask();
	relay_store_attached();
}

static void
on_settings(const struct settings *s)
{
	struct relay_environment around = { .settings = now };

	(void)s;
	if (here.store == NULL) {
		here.store = link_new(RELAY, STORE);
		here.signer = link_new(RELAY, SIGNER);
		here.resolver = link_new(RELAY, RESOLVER);
		link_on_note(here.store, VERB_queue_ready, on_queue_ready,
		    NULL);
		link_on_note(here.store, VERB_token_waits,
		    on_token_waits, NULL);
		link_on_attach(here.store, on_store_attached, NULL);
		resolve_setup(here.resolver);
		relay_sign_setup(here.signer);
	}
	around.store = here.store;
	relay_setup(&around);
}

static void
on_peer(enum role_bit role, unsigned instance, int fd)
{
	struct link *l = role == STORE ? here.store :
	    role == SIGNER ? here.signer :
	    role == RESOLVER ? here.resolver : NULL;

	(void)instance;
	if (l != NULL)
		link_attach(l, fd);
	else
		close(fd);
}

/* ---- life ---------------------------------------------------------------- */

static void
on_gauges(struct timer *t)
{
	relay_gauges();
	metric_set("fibers", fiber_count());
	metric_set("calls.store", link_pending(here.store));
	metric_set("calls.signer", link_pending(here.signer));
	metric_set("calls.resolver", link_pending(here.resolver));
	timer_set(t, clock_after(GAUGE_TIME));
}

static void
on_start(void)
{
	here.gauges.fn = on_gauges;
	on_gauges(&here.gauges);
	relay_start();
	relay_token_start();
	control_ready();
}

static void
on_stopped(void *arg)
{
	(void)arg;
	control_done();
}

static void
on_stop(int64_t grace_ms)
{
	timer_clear(&here.gauges);
	relay_token_stop();
	relay_stop(grace_ms, on_stopped, NULL);
}

const struct role_events relay_events = {
	.prepare = relay_self_prepare,
	.settings = on_settings,
	.trust = relay_take_authorities,
	.routes = relay_take_routes,
	.token_secret = relay_take_token_secret,
	.peer = on_peer,
	.start = on_start,
	.stop = on_stop,
};

/*
 * relay.c - what the modules of relay were told and whom they ask.
 */
#include "relay/relay.h"
#include "base/log.h"

#include <stdlib.h>

enum { SESSIONS_MAX = 1000 };		/* of TLS, kept for resumption */

static struct {
	struct relay_environment around;
	struct tls_client *tls;
	struct relay_rules *rules;
} here;

void
relay_setup(const struct relay_environment *around)
{
	here.around = *around;
	if (here.rules == NULL) {
		here.rules = xcalloc(1, sizeof(*here.rules));
		here.rules->users = 1;
	}
}

struct link *
relay_store(void)
{
	return here.around.store;
}

const struct settings *
relay_settings(void)
{
	return here.around.settings(here.around.arg);
}

struct tls_client *
relay_tls(void)
{
	return here.tls;
}

void
relay_take_authorities(struct span pem)
{
	struct tls_client_options options = { .authorities_pem = pem,
	    .max_sessions = SESSIONS_MAX };
	struct text why = TEXT_INIT(1024);
	struct tls_client *fresh = tls_client_make(&options, &why);

	if (fresh == NULL) {
		log_event(LOG_LEVEL_ERROR, "relay.authorities",
		    log_text("error", text_span(&why)));
	} else {
		struct tls_client *old = here.tls;

		here.tls = fresh;
		tls_client_free(&old);
	}
	text_free(&why);
}

/* ---- routes -------------------------------------------------------------- */

struct relay_rules *
relay_rules_take(void)
{
	here.rules->users++;
	return here.rules;
}

void
relay_rules_drop(struct relay_rules **rp)
{
	struct relay_rules *r = *rp;

	*rp = NULL;
	if (r == NULL || --r->users > 0)
		return;
	routes_free(&r->routes);
	free(r);
}

void
relay_take_routes(struct span encoded)
{
	struct text why = TEXT_INIT(1024);
	struct relay_rules *fresh = xcalloc(1, sizeof(*fresh));

	fresh->users = 1;
	fresh->routes = routes_decode(encoded, &why);
	if (fresh->routes == NULL)
		log_event(LOG_LEVEL_ERROR, "relay.routes",
		    log_text("error", text_span(&why)));
	relay_rules_drop(&here.rules);
	here.rules = fresh;
	text_free(&why);
}

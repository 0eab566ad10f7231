/*
 * outside.c - the files that those who send mail need, read for them.
 */
#include "role/outside.h"
#include "base/log.h"
#include "base/routes.h"
#include "role/datadir.h"

#include <stdio.h>

enum { AUTHORITIES_MAX = 4 << 20 };

/*
 * Without authorities TLS still encrypts, and DANE needs none: mail goes
 * on, and who asks for a verified certificate waits.
 */
static void
read_authorities(int directory, const char *path, struct text *out)
{
	if (*path == '\0' || datadir_read(directory, path, out) == 1)
		return;
	text_clear(out);
	log_event(LOG_LEVEL_WARNING, "supervisor.no_authorities",
	    log_str("file", path), log_errno());
}

/* The first line of its file is a route's password. 1; 0 and *why. */
static int
read_password(int directory, struct route *r, struct text *why)
{
	struct text file = TEXT_INIT(64 << 10);
	struct span line;
	int done = 0;

	if (*r->password_file == '\0')
		return 1;
	if (datadir_read(directory, r->password_file, &file) != 1) {
		text_printf(why, "route %s: %s: %s", r->name,
		    r->password_file, strerrordesc_np(errno));
		goto out;
	}
	span_cut(text_span(&file), '\n', &line);
	line = span_chomp(line);
	if (line.n >= sizeof(r->password)) {
		text_printf(why, "route %s: %s: the password is too long",
		    r->name, r->password_file);
		goto out;
	}
	snprintf(r->password, sizeof(r->password), "%.*s", SPAN_ARG(line));
	*r->password_file = '\0';	/* one of the two */
	done = 1;
out:
	text_wipe(&file);
	return done;
}

static int
read_routes(int directory, const char *config, struct outside *out,
    struct text *why)
{
	struct routes *routes = routes_load(config, why);
	int done = routes != NULL;

	for (size_t i = 0; done == 1 && i < routes->count; i++)
		done = read_password(directory, routes->list[i], why);
	if (done == 1) {
		routes_encode(routes, true, &out->routes);
		routes_encode(routes, false, &out->routes_public);
	}
	routes_free(&routes);
	return done;
}

int
outside_load(int directory, const struct settings *s, const char *config,
    struct outside *out, struct text *why)
{
	struct outside fresh = { TEXT_INIT(AUTHORITIES_MAX),
	    TEXT_INIT(1 << 20), TEXT_INIT(1 << 20) };

	if (read_routes(directory, config, &fresh, why) != 1) {
		outside_free(&fresh);
		return 0;
	}
	read_authorities(directory, s->relay_authorities, &fresh.authorities);
	outside_free(out);
	*out = fresh;
	return 1;
}

void
outside_free(struct outside *o)
{
	text_free(&o->authorities);
	text_wipe(&o->routes);
	text_free(&o->routes_public);
}

/*
 * outside.c - the files that those who send mail need, read for them.
 */
#include "role/outside.h"
#include "base/log.h"
#include "base/routes.h"
#include "role/datadir.h"
#include "store/jwt.h"

#include <stdio.h>

enum { AUTHORITIES_MAX = 4 << 20, TOKEN_SECRET_MAX = 1024 };

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

/* All of a file that a setting names; none is fine. 1; 0 and *why. */
static int
read_whole(int directory, const char *setting, const char *path,
    struct text *out, struct text *why)
{
	if (*path == '\0' || datadir_read(directory, path, out) == 1)
		return 1;
	text_printf(why, "%s: %s: %s", setting, path,
	    strerrordesc_np(errno));
	return 0;
}

/* Who logs in is not left to chance: what cannot be read is an error. */
static int
read_login(int directory, const struct settings *s, struct outside *out,
    struct text *why)
{
	struct text file = TEXT_INIT(64 << 10);
	struct jwk_set *keys = NULL;
	struct span line;
	int done = read_whole(directory, "tls.client_ca", s->tls_client_ca,
	    &out->client_authorities, why);

	if (done == 1)
		done = read_whole(directory, "oauth.keys", s->oauth_keys,
		    &out->token_keys, why);
	if (done == 1 && out->token_keys.n > 0) {
		text_printf(why, "oauth.keys: ");
		keys = jwk_set_read(text_span(&out->token_keys), why);
		if (keys != NULL && jwk_set_count(keys) == 0)
			text_str(why, "no key in it can be used");
		done = jwk_set_count(keys) > 0;
		if (done == 1)
			text_clear(why);
		jwk_set_free(&keys);
	}
	if (done == 1)
		done = read_whole(directory, "oauth.client_secret",
		    s->oauth_client_secret, &file, why);
	span_cut(text_span(&file), '\n', &line);
	text_add(&out->token_secret, span_chomp(line));
	text_wipe(&file);
	return done;
}

int
outside_load(int directory, const struct settings *s, const char *config,
    struct outside *out, struct text *why)
{
	struct outside fresh = { TEXT_INIT(AUTHORITIES_MAX),
	    TEXT_INIT(1 << 20), TEXT_INIT(1 << 20),
	    TEXT_INIT(AUTHORITIES_MAX), TEXT_INIT(1 << 20),
	    TEXT_INIT(TOKEN_SECRET_MAX) };

	if (read_routes(directory, config, &fresh, why) != 1 ||
	    read_login(directory, s, &fresh, why) != 1) {
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
	text_free(&o->client_authorities);
	text_free(&o->token_keys);
	text_wipe(&o->token_secret);
}

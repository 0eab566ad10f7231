/*
 * dns_files.c - see dns_files.h.
 */
#include "role/dns_files.h"
#include "base/log.h"
#include "role/datadir.h"
#include "role/dns_plan.h"

enum { FILE_MAX = 64 << 10 };
#define RESOLV_CONF "/etc/resolv.conf"

static void
read_or_warn(int directory, const char *path, bool needed, struct text *out,
    const char *event)
{
	if (*path != '\0' && datadir_read(directory, path, out) == 1)
		return;
	text_clear(out);
	if (needed)
		log_event(LOG_LEVEL_WARNING, event, log_str("file", path),
		    log_errno());
}

static int
check(const struct settings *s, const struct dns_files *f, struct text *why)
{
	struct dns_texts texts = { text_span(&f->resolv_conf),
	    text_span(&f->trust_anchor), text_span(&f->root_hints) };
	struct dns_plan plan;
	int r = dns_plan_make(s, &texts, &plan, why);

	dns_plan_free(&plan);
	return r;
}

/*
 * Without a trust anchor nothing is validated, and mail goes on. Without
 * hints libunbound has its own list of root servers.
 */
int
dns_files_load(int directory, const struct settings *s,
    struct dns_files *out, struct text *why)
{
	struct dns_files fresh = { TEXT_INIT(FILE_MAX), TEXT_INIT(FILE_MAX),
	    TEXT_INIT(FILE_MAX) };
	bool system = span_is(span_trim(span_str(s->resolver_servers)),
	    "system");

	read_or_warn(directory, RESOLV_CONF, system, &fresh.resolv_conf,
	    "supervisor.no_resolv_conf");
	read_or_warn(directory, s->resolver_trust_anchor, s->resolver_dnssec,
	    &fresh.trust_anchor, "supervisor.no_trust_anchor");
	read_or_warn(directory, s->resolver_root_hints, false,
	    &fresh.root_hints, "supervisor.no_root_hints");
	if (check(s, &fresh, why) != 1) {
		dns_files_free(&fresh);
		return 0;
	}
	dns_files_free(out);
	*out = fresh;
	return 1;
}

void
dns_files_free(struct dns_files *f)
{
	text_free(&f->resolv_conf);
	text_free(&f->trust_anchor);
	text_free(&f->root_hints);
}
